//! Methods by name: how sections get their credit.

use std::fmt;
use std::str::FromStr;

use dni::Credit;
use serde::{Deserialize, Serialize};

use crate::args::Misuse;
use crate::sections::Sections;

/// A way to train a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Method {
    /// True gradients.
    Backprop,
    /// True gradients, between workers as late as they come.
    Delayed,
    /// True gradients in a pipeline of workers.
    Pipeline,
    /// Synthetic gradients.
    Dni {
        /// The layer, from 1, on top of which the only interface stands; none for where the settings
        /// say.
        only: Option<usize>,
    },
    /// Synthetic gradients from synthesizers that see the label.
    Cdni {
        /// As that of DNI.
        only: Option<usize>,
    },
    /// No gradient below the top.
    None,
    /// BP(lambda): a share `lambda` of what comes from above, the rest synthetic.
    Lambda(f64),
}

impl Method {
    pub const DNI: Self = Self::Dni { only: None };
    pub const CDNI: Self = Self::Cdni { only: None };

    pub fn credit(self) -> Credit {
        match self {
            Self::Backprop | Self::Pipeline => Credit::Backprop,
            Self::Delayed => Credit::Delayed,
            Self::Dni { .. } | Self::Cdni { .. } => Credit::Synthetic,
            Self::None => Credit::None,
            Self::Lambda(lambda) => Credit::Mixed { lambda },
        }
    }

    /// Whether synthesizers see the label.
    pub fn is_conditional(self) -> bool {
        matches!(self, Self::Cdni { .. })
    }

    /// Features of the label that synthesizers see, where it has so many.
    pub fn contexts(self, label: usize) -> usize {
        if self.is_conditional() { label } else { 0 }
    }

    /// Whether layers learn from synthetic gradients alone.
    pub fn learns_from_synthetic(self) -> bool {
        self.credit() == Credit::Synthetic
    }

    /// The layers of each section of a network of so many: as set, unless the method says it.
    pub fn sections(self, set: &Sections, layers: usize) -> Vec<usize> {
        match (self, self.only_interface()) {
            (_, Some(layer)) => vec![layer, layers - layer],
            // Nothing depends on it but how soon data-parallel workers send each other gradients.
            (Self::Backprop, None) => Sections::Every.sizes(layers),
            (_, None) => set.sizes(layers),
        }
    }

    /// `methods`, and after DNI the same with an interface in the middle alone, where it has more of
    /// them.
    pub fn with_placement(methods: Vec<Self>, set: &Sections, layers: usize) -> Vec<Self> {
        let only = Some(layers / 2).filter(|_| *set == Sections::Every && layers > 2);
        let beside = |method: Self| match method {
            Self::Dni { only: None } if only.is_some() => vec![method, Self::Dni { only }],
            _ => vec![method],
        };
        methods.into_iter().flat_map(beside).collect()
    }

    /// Refuses an interface where there is none between layers.
    pub fn check_sections(self, layers: usize) -> Result<(), Misuse> {
        match self.only_interface() {
            Some(layer) if layer >= layers => Err(Misuse(format!(
                "{self} has its interface on top of hidden layer {layer}, but there are {}; choose \
                 one of them",
                layers - 1
            ))),
            _ => Ok(()),
        }
    }

    /// The layer, from 1, of its only interface, if it says where that stands.
    pub fn only_interface(self) -> Option<usize> {
        match self {
            Self::Dni { only } | Self::Cdni { only } => only,
            Self::Backprop | Self::Delayed | Self::Pipeline | Self::None | Self::Lambda(_) => None,
        }
    }

    /// Whether there are synthesizers and they do not see the label.
    pub fn learns_blindly(self) -> bool {
        self.credit().uses_synthesizers() && !self.is_conditional()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backprop => f.pad("backprop"),
            Self::Delayed => f.pad("delayed"),
            Self::Pipeline => f.pad("pipeline"),
            Self::Dni { only: None } => f.pad("dni"),
            Self::Dni { only: Some(layer) } => f.pad(&format!("dni@{layer}")),
            Self::Cdni { only: None } => f.pad("cdni"),
            Self::Cdni { only: Some(layer) } => f.pad(&format!("cdni@{layer}")),
            Self::None => f.pad("none"),
            Self::Lambda(lambda) => f.pad(&format!("lambda:{lambda}")),
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let layer = |prefix: &str| {
            let layer = text.strip_prefix(prefix)?.parse().ok();
            layer.filter(|layer: &usize| *layer > 0).map(Some)
        };
        let lambda = || {
            let lambda = text.strip_prefix("lambda:")?.parse().ok();
            lambda.filter(|lambda| (0.0..=1.0).contains(lambda))
        };
        match text {
            "backprop" => Ok(Self::Backprop),
            "delayed" => Ok(Self::Delayed),
            "pipeline" => Ok(Self::Pipeline),
            "dni" => Ok(Self::DNI),
            "cdni" => Ok(Self::CDNI),
            "none" => Ok(Self::None),
            _ => None
                .or_else(|| {
                    Some(Self::Dni {
                        only: layer("dni@")?,
                    })
                })
                .or_else(|| {
                    Some(Self::Cdni {
                        only: layer("cdni@")?,
                    })
                })
                .or_else(|| Some(Self::Lambda(lambda()?)))
                .ok_or_else(|| {
                    "choose from backprop, pipeline, delayed, dni, cdni, none and lambda:X, with X \
                     from 0 to 1; dni@N and cdni@N have a single interface, on top of hidden layer \
                     N"
                    .to_string()
                }),
        }
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_name() {
        for name in [
            "backprop",
            "delayed",
            "pipeline",
            "dni",
            "cdni",
            "dni@1",
            "cdni@12",
            "none",
            "lambda:0.25",
        ] {
            assert_eq!(name.parse::<Method>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "bp",
            "lambda",
            "lambda:",
            "lambda:2",
            "lambda:-1",
            "lambda:NaN",
            "dni@",
            "dni@0",
            "cdni@-1",
            "backprop@1",
        ] {
            assert!(name.parse::<Method>().is_err(), "{name}");
        }
    }
}
