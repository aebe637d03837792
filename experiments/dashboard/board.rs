//! What a dashboard knows of the runs of a call.

use dni::train::Event;

use super::run::RunBoard;
use crate::figure;

/// The runs of a call as far as they have told of themselves, finished ones too.
#[derive(Debug, Clone, Default)]
pub struct Board {
    pub runs: Vec<RunBoard>,
    /// How far all of them are, and how long they will take.
    pub overall: String,
    pub scale: Scale,
    /// Whether the user is asked if they should stop, and whether they do.
    pub is_asking: bool,
    pub is_stopping: bool,
}

/// How values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Losses on a logarithmic axis, others on a linear one.
    #[default]
    Usual,
    Logarithmic,
    Linear,
}

/// What happens to a run, by its number.
pub enum News {
    Begins { label: String, settings: String },
    Heard(Event),
}

impl Board {
    /// Takes note of what happens to a run, by its number from 0.
    pub fn hear(&mut self, run: usize, news: News) {
        match news {
            News::Begins { label, settings } => self.runs.push(RunBoard::new(&label, &settings)),
            News::Heard(event) => {
                if let Some(run) = self.runs.get_mut(run) {
                    run.hear(&event);
                }
            }
        }
    }

    /// Runs that are not over.
    pub fn at_work(&self) -> impl Iterator<Item = &RunBoard> {
        self.runs.iter().filter(|run| !run.is_over)
    }

    /// The run that is shown with all its parts: the first at work, or the last one.
    pub fn shown(&self) -> Option<&RunBoard> {
        self.at_work().next().or(self.runs.last())
    }

    /// The number of a run's method among the methods there are.
    pub fn number_of(&self, run: &RunBoard) -> usize {
        let mut methods: Vec<&str> = Vec::new();
        for known in &self.runs {
            if !methods.contains(&known.method()) {
                methods.push(known.method());
            }
        }
        let found = methods.iter().position(|method| *method == run.method());
        found.unwrap_or_default()
    }

    /// The names of all figures of evaluations, errors first.
    pub fn figures(&self) -> Vec<&str> {
        let all = self.runs.iter().flat_map(|run| run.figures.keys());
        let mut names: Vec<&str> = all.map(String::as_str).collect();
        names.sort_by_key(|name| (!figure::is_share(name), *name));
        names.dedup();
        names
    }
}

impl Scale {
    /// The next one in turn.
    pub fn next(self) -> Self {
        match self {
            Self::Usual => Self::Logarithmic,
            Self::Logarithmic => Self::Linear,
            Self::Linear => Self::Usual,
        }
    }

    /// Whether a figure is drawn on a logarithmic axis, where that can be.
    pub fn is_logarithmic(self, name: &str) -> bool {
        match self {
            Self::Usual => name.ends_with("loss"),
            Self::Logarithmic => true,
            Self::Linear => false,
        }
    }
}
