//! Sections and interfaces, reached by name to be changed between two steps.

use std::any::type_name;

use super::{Chain, NamedSection};
use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::section::Section;
use crate::trained::Trained;

/// A section of a chain with its optimizer, borrowed to be changed.
pub struct SectionMut<'a>(&'a mut NamedSection);

impl Chain {
    /// The section of this name, to be changed, if there is one.
    ///
    /// ```
    /// use burn::module::Module;
    /// use burn::tensor::Device;
    /// use dni::data::{Stream, generator};
    /// use dni::{Chain, Dense, DenseConfig, Loss, Optimizer};
    ///
    /// let (device, rng) = (Device::flex(), &mut generator(1, Stream::Parameters));
    /// let mut chain = Chain::new(Loss::SquaredError)
    ///     .section("hidden", DenseConfig::new(2, 8).init(rng, &device), Optimizer::adam(1e-2))
    ///     .section("output", DenseConfig::new(8, 1).init(rng, &device), Optimizer::adam(1e-2));
    ///
    /// let mut hidden = chain.section_mut("hidden").expect("it has this name");
    /// hidden.set_learning_rate(1e-4);
    /// hidden.change(|dense: Dense| dense.freeze())?; // from now on it stays as it is
    /// # Ok::<(), dni::Error>(())
    /// ```
    pub fn section_mut(&mut self, name: &str) -> Option<SectionMut<'_>> {
        let mut sections = self.sections.iter_mut();
        sections.find(|s| s.name == name).map(SectionMut)
    }

    /// The interface on top of the section of this name, to be changed, if there is one.
    pub fn interface_mut(&mut self, below: &str) -> Option<&mut Interface> {
        let i = self.sections.iter().position(|s| s.name == below)?;
        self.interfaces.get_mut(i)
    }
}

impl SectionMut<'_> {
    /// Changes the learning rate of its optimizer from the next step on.
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.0.section.set_learning_rate(learning_rate);
    }

    /// Replaces the section by what `change` returns: other values, frozen or unfrozen layers,
    /// another section of its type. It stays on its device. Its optimizer keeps its states, unless
    /// the parameters have other shapes afterwards; then it starts afresh.
    ///
    /// # Errors
    ///
    /// If the section is not of type `S`; then nothing is changed.
    ///
    /// # Panics
    ///
    /// If a parameter is not a 32-bit float afterwards, or `change` panics; then the section is
    /// lost.
    pub fn change<S: Section>(&mut self, change: impl FnOnce(S) -> S) -> Result<()> {
        let NamedSection { name, section } = &mut *self.0;
        let is = section.name_of_type();
        let trained = section.as_any_mut().downcast_mut::<Trained<S>>();
        let trained = trained.ok_or_else(|| {
            let asked = type_name::<S>();
            Error::Invalid(format!("section '{name}' is a {is}, not a {asked}"))
        })?;
        trained.change(change);
        Ok(())
    }
}
