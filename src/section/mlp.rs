//! Several dense layers as one section.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Dense, Section, forward_through, pass_through};
use crate::pass::{Input, Pass};

/// Dense layers one above the other, without interfaces between them.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The layers, from the bottom up.
    pub layers: Vec<Dense>,
}

impl Mlp {
    /// A section of these layers, from the bottom up.
    ///
    /// # Panics
    ///
    /// If there are none, or the sizes of two adjacent layers do not fit.
    pub fn new(layers: Vec<Dense>) -> Self {
        assert!(!layers.is_empty(), "a section needs a layer");
        for pair in layers.windows(2) {
            assert!(
                pair[0].outputs() == pair[1].inputs(),
                "a layer of {} inputs cannot stand on one of {} outputs",
                pair[1].inputs(),
                pair[0].outputs()
            );
        }
        Self { layers }
    }

    /// Features of the input message.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Features of the output message.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs()
    }
}

impl Section for Mlp {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        forward_through(&self.layers, input)
    }

    fn pass(&self, input: Input) -> Pass {
        pass_through(&self.layers, input)
    }
}
