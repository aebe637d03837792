//! Elementwise activations and their derivatives, within kernels.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use crate::activation::Activation;

/// `h = a(z)`; what is no number stays none.
#[cube]
pub(super) fn activate(z: f32, #[comptime] activation: Activation) -> f32 {
    if comptime!(activation == Activation::Relu) {
        select(z < 0.0, 0.0, z)
    } else if comptime!(activation == Activation::Tanh) {
        z.tanh()
    } else if comptime!(activation == Activation::Sigmoid) {
        1.0 / (1.0 + (-z).exp())
    } else {
        z
    }
}

/// `dL/dz = delta * a'(z)` from the output `h = a(z)`.
#[cube]
pub(super) fn differentiate(h: f32, delta: f32, #[comptime] activation: Activation) -> f32 {
    if comptime!(activation == Activation::Relu) {
        select(h <= 0.0, 0.0, delta)
    } else if comptime!(activation == Activation::Tanh) {
        delta - delta * h * h
    } else if comptime!(activation == Activation::Sigmoid) {
        delta * (h - h * h)
    } else {
        delta
    }
}
