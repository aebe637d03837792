//! What a method learns with where no flag says it. It is written down when a call begins: another
//! default tomorrow changes no run of today.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::method::Method;
use crate::synthesizer::SynthesizerKind;

/// What one method learns with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    pub lr: f64,
    /// None here and below for a method without synthesizers.
    pub synthesizer: Option<SynthesizerKind>,
    pub synthesizer_lr: Option<f64>,
}

/// What the methods of a call learn with, by their names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefaultsOf(BTreeMap<String, Defaults>);

impl DefaultsOf {
    /// Those of every method, as `of` has them.
    pub fn new(methods: &[Method], of: impl Fn(Method) -> Defaults) -> Self {
        let named = methods
            .iter()
            .map(|&method| (method.to_string(), of(method)));
        Self(named.collect())
    }

    /// Puts those of a single method into their places; those of several are kept.
    pub fn put(
        mut self,
        lr: &mut Option<f64>,
        synthesizer: &mut Option<SynthesizerKind>,
        synthesizer_lr: &mut Option<f64>,
    ) -> Self {
        if self.0.len() == 1
            && let Some((_, only)) = self.0.pop_first()
        {
            *lr = Some(only.lr);
            *synthesizer = only.synthesizer.or(synthesizer.take());
            *synthesizer_lr = only.synthesizer_lr.or(*synthesizer_lr);
        }
        self
    }

    /// Those of a method, if they are written down.
    pub fn get(&self, method: Method) -> Option<&Defaults> {
        self.0.get(&method.to_string())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
