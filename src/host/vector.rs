//! Vectors to and from memory.

use pulp::Simd;

/// A vector of a slice that is at most as long; lanes beyond it are zero.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, slice: &[f32]) -> S::f32s {
    match S::as_simd_f32s(slice) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(slice),
    }
}

/// Writes a vector into a slice that is at most as long; what does not fit is dropped.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, slice: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(slice) {
        ([whole], []) => *whole = vector,
        _ => simd.partial_store_f32s(slice, vector),
    }
}
