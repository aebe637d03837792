//! Activations and their derivatives, in loops that vectorise.

use crate::activation::Activation;

// These are `for` loops, since the body of a `for_each` may stay a function of its own, compiled
// for any processor.

/// `z <- a(z)`
#[inline(always)]
pub(super) fn activate(activation: Activation, z: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            for z in z {
                // Written so that NaN stays NaN.
                *z = if *z <= 0.0 { 0.0 } else { *z };
            }
        }
        Activation::Tanh => {
            for z in z {
                *z = tanh(*z);
            }
        }
        Activation::Sigmoid => {
            for z in z {
                *z = sigmoid(*z);
            }
        }
    }
}

/// `delta <- delta * a'(z)`, in terms of `h = a(z)`.
#[inline(always)]
pub(super) fn differentiate(activation: Activation, h: &[f32], delta: &mut [f32]) {
    let pairs = delta.iter_mut().zip(h);
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            for (d, &h) in pairs {
                *d = if h <= 0.0 { 0.0 } else { *d };
            }
        }
        Activation::Tanh => {
            for (d, &h) in pairs {
                *d *= 1.0 - h * h;
            }
        }
        Activation::Sigmoid => {
            for (d, &h) in pairs {
                *d *= h * (1.0 - h);
            }
        }
    }
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent without branches, so that it vectorises; within a few units in the last
/// place of the standard library's, and NaN for NaN. Near zero, where the exponential form would
/// cancel, an odd polynomial (a minimax fit, exact to `4e-9`).
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    const NEAR: f32 = 0.625;
    let square = x * x;
    let mut p = -0.005_717_029;
    for c in [0.020_650_573, -0.053_743_493, 0.133_314_9, -0.333_332_84] {
        p = square.mul_add(p, c);
    }
    let near = (x * square).mul_add(p, x);
    let far = 1.0 - 2.0 / (1.0 + exp(2.0 * x));
    if x.abs() < NEAR { near } else { far }
}

/// `e^x` without branches, so that it vectorises; within two units in the last place of the
/// standard library's, and NaN for NaN. `e^x = 2^n e^r` with `|r| <= ln(2) / 2`, the rest a Taylor
/// polynomial.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let rounded = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    let mut p = 1.0 / 5040.0;
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = r.mul_add(p, c);
    }
    // The low bits of `rounded` are n, which becomes the exponent of 2^n.
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits() - 127);
    p * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::{exp, tanh};

    #[test]
    fn exp_is_exact_to_a_few_units_in_the_last_place() {
        for i in -8_700..=8_800 {
            let x = i as f32 * 0.01;
            let (ours, std) = (exp(x), x.exp());
            assert!(
                (ours - std).abs() <= 4.0 * f32::EPSILON * std,
                "exp({x}) = {std}, not {ours}"
            );
        }
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_exact_to_a_few_units_in_the_last_place() {
        for i in -20_000..=20_000 {
            let x = i as f32 * 0.001;
            let (ours, std) = (tanh(x), x.tanh());
            assert!(
                (ours - std).abs() <= 4.0 * f32::EPSILON * std.abs(),
                "tanh({x}) = {std}, not {ours}"
            );
        }
        assert!(tanh(f32::NAN).is_nan());
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)], [1.0, -1.0]);
    }
}
