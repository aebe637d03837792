//! What several workers of a network do at the same time.

use serde::{Deserialize, Serialize};

/// What one worker did for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// The worker, counted from 1 at the bottom.
    pub worker: usize,
    /// The step that it was at.
    pub step: usize,
    /// What it did.
    pub doing: Doing,
    /// The section that runs, or on which the interface stands; none while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// When it began, in seconds from the beginning of the timeline.
    pub start: f64,
    /// When it ended, in the same unit.
    pub end: f64,
}

/// What a worker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// A section runs and is updated.
    Section,
    /// The interface on top of a section learns, or the input model of the one below the worker.
    Interface,
    /// It waits for another worker, or for a batch.
    Waiting,
}
