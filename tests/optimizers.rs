//! What every optimizer has to do, whichever its rule: clip.

mod common;

use std::panic::catch_unwind;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{
    AdaGradConfig, AdafactorConfig, AdamConfig, AdamWConfig, AdanConfig, GradientsParams,
    LambConfig, LionConfig, MuonConfig, RmsPropConfig, SgdConfig,
};
use burn::tensor::Device;
use common::{on_every_device, seeded, tensor, values};
use dni::{Dense, DenseConfig, Optimizer};

/// A weight `[1, 2]` after updates by these gradients.
fn updated(mut optimizer: Optimizer, gradients: &[[f32; 2]], device: &Device) -> Vec<f32> {
    let config = DenseConfig::new(1, 2).with_bias(false);
    let mut section: Dense = config.init(&mut seeded(1), device).valid();
    for gradient in gradients {
        let mut gradients = GradientsParams::new();
        let gradient = tensor(gradient.to_vec(), [1, 2], device);
        gradients.register(section.weight.id, gradient);
        section = optimizer.update(section, gradients);
    }
    values(section.weight.val())
}

/// The second gradient is in no need of clipping; the first one, whole, would still drown it.
#[test]
fn every_optimizer_clips_before_its_rule_sees_the_gradient() {
    let norm = || GradientClippingConfig::Norm(1.0);
    let value = || GradientClippingConfig::Value(0.7);
    const RATE: f64 = 0.1;
    macro_rules! of_burn {
        ($config:ident, $with:ident) => {
            [
                Optimizer::new($config::new().$with(Some(norm())), RATE),
                Optimizer::new($config::new().$with(Some(value())), RATE),
                Optimizer::new($config::new(), RATE),
            ]
        };
    }
    let ours = |optimizer: fn(f64) -> Optimizer| {
        let clipped = |clipping| optimizer(RATE).with_clipping(clipping);
        [clipped(norm()), clipped(value()), optimizer(RATE)]
    };
    on_every_device(|device, checks| {
        for (name, [by_norm, by_value, bare]) in [
            ("our Adam", ours(Optimizer::adam)),
            ("our SGD", ours(Optimizer::sgd)),
            ("Adafactor", of_burn!(AdafactorConfig, with_grad_clipping)),
            ("AdaGrad", of_burn!(AdaGradConfig, with_grad_clipping)),
            ("Adam", of_burn!(AdamConfig, with_grad_clipping)),
            ("AdamW", of_burn!(AdamWConfig, with_grad_clipping)),
            ("Adan", of_burn!(AdanConfig, with_grad_clipping)),
            ("LAMB", of_burn!(LambConfig, with_grad_clipping)),
            ("Lion", of_burn!(LionConfig, with_grad_clipping)),
            ("Muon", ours(|rate| Optimizer::new(MuonConfig::new(), rate))),
            ("RMSProp", of_burn!(RmsPropConfig, with_grad_clipping)),
            ("SGD", of_burn!(SgdConfig, with_gradient_clipping)),
        ] {
            let whole = [[30.0, 40.0], [-0.3, -0.4]];
            let unclipped = updated(bare.clone(), &whole, device);
            for (how, optimizer, first) in [
                ("norm", by_norm, [0.6, 0.8]),
                ("value", by_value, [0.7, 0.7]),
            ] {
                let clipped = updated(optimizer, &whole, device);
                let expected = updated(bare.clone(), &[first, whole[1]], device);
                let what = format!("{name} by {how}");
                checks.all_close(&what, &[clipped], std::slice::from_ref(&expected), 1e-5);
                let makes_a_difference = unclipped != expected;
                checks.that(format!("{what} makes no difference"), makes_a_difference);
            }
        }
    });
}

#[test]
fn clipping_to_nothing_is_refused() {
    for threshold in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        for clipping in [
            GradientClippingConfig::Norm(threshold),
            GradientClippingConfig::Value(threshold),
        ] {
            let refused = catch_unwind(|| Optimizer::sgd(0.1).with_clipping(clipping)).is_err();
            assert!(refused, "{threshold}");
        }
    }
}
