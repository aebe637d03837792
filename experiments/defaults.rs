//! What a method learns with where no flag says it. It is written down when a call begins: another
//! default tomorrow changes no run of today.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::method::Method;
use crate::synthesizer::SynthesizerKind;

/// What a method learns with.
pub struct Learning {
    pub lr: f64,
    pub synthesizer: SynthesizerKind,
    pub synthesizer_lr: f64,
}

/// What one method learns with, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    lr: f64,
    /// None here and below for a method without synthesizers.
    synthesizer: Option<SynthesizerKind>,
    synthesizer_lr: Option<f64>,
}

/// What the methods of a call learn with, by their names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefaultsOf(BTreeMap<String, Defaults>);

impl DefaultsOf {
    /// That of every method, as `of` has it.
    pub fn new(methods: &[Method], of: impl Fn(Method) -> Learning) -> Self {
        let named = methods.iter().map(|&method| {
            let learning = of(method);
            let has_synthesizers = method.credit().uses_synthesizers();
            let defaults = Defaults {
                lr: learning.lr,
                synthesizer: has_synthesizers.then_some(learning.synthesizer),
                synthesizer_lr: has_synthesizers.then_some(learning.synthesizer_lr),
            };
            (method.to_string(), defaults)
        });
        Self(named.collect())
    }

    /// What a method learns with: what was `said` for all, or else what is written down, or else the
    /// standard. That is a rate of the layers, by how much that of the synthesizers is higher, and
    /// their shape.
    pub fn learning(
        &self,
        method: Method,
        said: (Option<f64>, &Option<SynthesizerKind>, Option<f64>),
        (standard_lr, times, standard): (f64, f64, SynthesizerKind),
    ) -> Learning {
        let known = self.0.get(&method.to_string());
        let lr = said.0.or(known.map(|known| known.lr));
        let lr = lr.unwrap_or(standard_lr);
        let synthesizer = known.and_then(|known| known.synthesizer.clone());
        let synthesizer = said.1.clone().or(synthesizer).unwrap_or(standard);
        let synthesizer_lr = said.2.or(known.and_then(|known| known.synthesizer_lr));
        let synthesizer_lr = synthesizer_lr.or(synthesizer.own_rate());
        Learning {
            lr,
            synthesizer,
            synthesizer_lr: synthesizer_lr.unwrap_or(times * lr),
        }
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

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
