//! Update rules, known to a checkpoint by a name and by the values of their constants.

use std::collections::BTreeMap;
use std::fmt;

use burn::grad_clipping::{GradientClipping, GradientClippingConfig};
use burn::optim::{
    AdaGrad, AdaGradConfig, Adafactor, AdafactorConfig, Adam, AdamConfig, AdamW, AdamWConfig, Adan,
    AdanConfig, Lamb, LambConfig, Lion, LionConfig, Muon, MuonConfig, Optimizer, RmsProp,
    RmsPropConfig, Sgd, SgdConfig,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The constants of an update rule by name.
pub type Constants = BTreeMap<String, f64>;

/// An update rule with its constants: the configuration of any of burn's, or a type of your own.
pub trait UpdateRule {
    /// The name of the rule in checkpoints. Types may be renamed and moved; this may not.
    const NAME: &'static str;

    /// The optimizer that takes the steps.
    type Rule: Optimizer;

    /// The optimizer that takes the steps, without clipping.
    fn rule(&self) -> Self::Rule;

    /// Everything that determines its steps, except the learning rate and clipping. A checkpoint
    /// can only be resumed under the same values. Options that are off are left out, so that an
    /// option added later keeps older checkpoints valid.
    fn constants(&self) -> Constants;

    /// How gradients are clipped before the rule sees them. Default: not at all.
    fn clipping(&self) -> Option<GradientClippingConfig> {
        None
    }
}

/// The fields in which burn's configurations keep their clipping.
const CLIPPING: [&str; 2] = ["grad_clipping", "gradient_clipping"];

macro_rules! rules_of_burn {
    ($($name:literal: $config:ident => $rule:ident,)*) => {$(
        impl UpdateRule for $config {
            const NAME: &'static str = $name;
            type Rule = $rule;

            fn rule(&self) -> $rule {
                self.build()
            }

            fn constants(&self) -> Constants {
                let mut constants = Constants::new();
                collect(String::new(), &fields(self), &mut constants);
                constants
            }

            fn clipping(&self) -> Option<GradientClippingConfig> {
                let fields = fields(self);
                let clipping = CLIPPING.iter().find_map(|name| fields.get(name))?;
                serde_json::from_value(clipping.clone()).expect("it was written by burn")
            }
        }
    )*};
}

rules_of_burn! {
    "adafactor": AdafactorConfig => Adafactor,
    "adagrad": AdaGradConfig => AdaGrad,
    "adam": AdamConfig => Adam,
    "adamw": AdamWConfig => AdamW,
    "adan": AdanConfig => Adan,
    "lamb": LambConfig => Lamb,
    "lion": LionConfig => Lion,
    "muon": MuonConfig => Muon,
    "rmsprop": RmsPropConfig => RmsProp,
    "sgd": SgdConfig => Sgd,
}

/// A configuration of burn by its fields, which it shows in no other way.
fn fields(config: &impl Serialize) -> Value {
    // By way of text a number stays what was written, as in 0.9, which is no 32-bit float.
    let text = serde_json::to_string(config).expect("plain values are always JSON");
    serde_json::from_str(&text).expect("it was JSON a moment ago")
}

/// The values of fields, those within others by their dotted path.
fn collect(path: String, value: &Value, constants: &mut Constants) {
    let within = |name: &str| match path.as_str() {
        "" => name.to_string(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => {
            constants.insert(path, 1.0);
        }
        Value::Number(number) => {
            // A number without a 64-bit float is none of an optimizer.
            let number = number.as_f64().unwrap_or(f64::NAN);
            if number != 0.0 {
                constants.insert(path, number);
            }
        }
        Value::String(choice) => {
            constants.insert(within(choice), 1.0);
        }
        Value::Array(values) => {
            for (i, value) in values.iter().enumerate() {
                collect(within(&i.to_string()), value, constants);
            }
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter(|(name, _)| !CLIPPING.contains(&name.as_str()));
            for (name, value) in fields {
                collect(within(name), value, constants);
            }
        }
    }
}

/// What a checkpoint compares of an optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Terms {
    rule: String,
    constants: Constants,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clipping: Option<GradientClippingTerms>,
    /// Over how many updates gradients are accumulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accumulation: Option<usize>,
}

/// burn's clipping, which cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum GradientClippingTerms {
    Value(f32),
    Norm(f32),
}

impl Terms {
    pub fn of<R: UpdateRule>(rule: &R) -> Self {
        Self {
            rule: R::NAME.to_string(),
            constants: rule.constants(),
            clipping: None,
            accumulation: None,
        }
    }

    /// Sets what they say of clipping; what does it.
    ///
    /// # Panics
    ///
    /// If its threshold is not a number above 0.
    pub fn clip(&mut self, clipping: &GradientClippingConfig) -> GradientClipping {
        let (threshold, terms) = match *clipping {
            GradientClippingConfig::Value(most) => (most, GradientClippingTerms::Value(most)),
            GradientClippingConfig::Norm(most) => (most, GradientClippingTerms::Norm(most)),
        };
        assert!(
            threshold > 0.0 && threshold.is_finite(),
            "gradients can be clipped to a number above 0, not to {threshold}"
        );
        self.clipping = Some(terms);
        clipping.init()
    }

    /// Sets over how many updates gradients are accumulated.
    pub fn accumulate(&mut self, updates: usize) {
        self.accumulation = Some(updates);
    }

    /// Whether an update is the learning rate times the gradient, and nothing else.
    pub fn is_plain_descent(&self) -> bool {
        let is_changed = self.clipping.is_some() || self.accumulation.is_some();
        self.rule == SgdConfig::NAME && self.constants.is_empty() && !is_changed
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)?;
        let constants = self.constants.iter();
        let mut said: Vec<String> = constants.map(|(name, v)| format!("{name} {v}")).collect();
        said.extend(self.clipping.map(|clipping| match clipping {
            GradientClippingTerms::Value(most) => format!("values clipped to {most}"),
            GradientClippingTerms::Norm(most) => format!("norms clipped to {most}"),
        }));
        said.extend(
            self.accumulation
                .map(|n| format!("accumulated over {n} updates")),
        );
        match said.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", said.join(", ")),
        }
    }
}
