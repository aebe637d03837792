//! How a figure is shown: its title, its unit and its scale.

use serde::Serialize;

use super::Quantity;

/// How a figure is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Presentation {
    pub title: String,
    /// An explanation for readers who do not know it.
    pub meaning: &'static str,
    /// What recorded values are multiplied by: shares become percentages.
    #[serde(skip)]
    pub factor: f64,
    pub logarithmic: bool,
    /// Where values can end, below and above.
    pub ends: [Option<f64>; 2],
    /// Whether the axis always reaches from end to end.
    pub fixed: bool,
}

impl Presentation {
    /// That of a figure by its name.
    pub fn of(name: &str) -> Self {
        let (title, meaning, logarithmic) = match name {
            "loss" => (
                "training loss",
                "the loss on the batches it learns from",
                true,
            ),
            "cosine" => (
                "cosine with the true gradient",
                "1 if the synthetic gradient has the right direction, 0 if it says nothing",
                false,
            ),
            "relative_error" => (
                "relative error",
                "the distance between synthetic and true gradient, relative to the true one: 0 is \
                 right, 1 is what predicting zero would give",
                true,
            ),
            "norm" => (
                "norm of the true gradient",
                "how large the true gradient is",
                true,
            ),
            "synthesizer_loss" => (
                "synthesizer's loss",
                "half the squared distance between the prediction and its target",
                true,
            ),
            "input_loss" => (
                "input model's loss",
                "half the squared distance between the guessed and the real input",
                true,
            ),
            "auxiliary_loss" => ("auxiliary loss", "the loss of the auxiliary task", true),
            "staleness" => (
                "staleness",
                "steps between sending a message and getting the gradient at it",
                false,
            ),
            "lateness" => (
                "seconds late",
                "seconds between sending a message and learning from the gradient at it",
                false,
            ),
            "busy" => (
                "busy",
                "the share of the time in which a worker is at its own work",
                false,
            ),
            _ => ("", "", name.ends_with("_loss")),
        };
        let is_share = name == "busy" || (name.ends_with("_error") && name != "relative_error");
        let mut title = match title {
            "" => name.replace('_', " "),
            known => known.to_string(),
        };
        if is_share {
            title.push_str(" %");
        }
        let ends = match name {
            "cosine" => [Some(-1.0), Some(1.0)],
            _ if is_share => [Some(0.0), Some(100.0)],
            // They grow without end, and are never below nothing.
            _ => [Some(0.0), None],
        };
        Self {
            title,
            meaning,
            factor: if is_share { 100.0 } else { 1.0 },
            logarithmic,
            ends,
            fixed: ["cosine", "busy"].contains(&name),
        }
    }

    /// The names of the figures of interfaces and workers in the order in which they are shown. The first
    /// three are those of comparisons of gradients, on which reading them relies.
    pub const OF_PARTS: [&str; 9] = [
        "cosine",
        "relative_error",
        "norm",
        "synthesizer_loss",
        "input_loss",
        "auxiliary_loss",
        "staleness",
        "lateness",
        "busy",
    ];
}

impl Quantity {
    /// What it is shown after: the loss, then other figures of the network, then interfaces.
    pub(super) fn rank(&self) -> usize {
        let names = Presentation::OF_PARTS;
        match (self.name.as_str(), &self.interface) {
            ("loss", None) => 0,
            (_, None) => 1,
            (name, Some(_)) => {
                let known = names.iter().position(|known| *known == name);
                2 + known.unwrap_or(names.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_where_values_can() {
        for (name, ends, fixed) in [
            ("cosine", [Some(-1.0), Some(1.0)], true),
            ("busy", [Some(0.0), Some(100.0)], true),
            ("test_error", [Some(0.0), Some(100.0)], false),
            ("relative_error", [Some(0.0), None], false),
            ("loss", [Some(0.0), None], false),
        ] {
            let shown = Presentation::of(name);
            assert_eq!((shown.ends, shown.fixed), (ends, fixed), "{name}");
        }
    }
}
