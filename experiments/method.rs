//! Methods by name: how sections get their credit.

use std::fmt;
use std::str::FromStr;

use dni::Credit;
use serde::{Deserialize, Serialize};

/// A way to train a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Method {
    /// True gradients.
    Backprop,
    /// Synthetic gradients.
    Dni,
    /// Synthetic gradients from synthesizers that see the label.
    Cdni,
    /// No gradient below the top.
    None,
    /// BP(lambda): a share `lambda` of what comes from above, the rest synthetic.
    Lambda(f64),
}

impl Method {
    pub fn credit(self) -> Credit {
        match self {
            Self::Backprop => Credit::Backprop,
            Self::Dni | Self::Cdni => Credit::Synthetic,
            Self::None => Credit::None,
            Self::Lambda(lambda) => Credit::Mixed { lambda },
        }
    }

    /// Whether synthesizers see the label.
    pub fn is_conditional(self) -> bool {
        self == Self::Cdni
    }

    /// Whether layers learn from synthetic gradients alone.
    pub fn learns_from_synthetic(self) -> bool {
        self.credit() == Credit::Synthetic
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
            Self::Dni => f.pad("dni"),
            Self::Cdni => f.pad("cdni"),
            Self::None => f.pad("none"),
            Self::Lambda(lambda) => f.pad(&format!("lambda:{lambda}")),
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "backprop" => Ok(Self::Backprop),
            "dni" => Ok(Self::Dni),
            "cdni" => Ok(Self::Cdni),
            "none" => Ok(Self::None),
            _ => text
                .strip_prefix("lambda:")
                .and_then(|lambda| lambda.parse().ok())
                .filter(|lambda| (0.0..=1.0).contains(lambda))
                .map(Self::Lambda)
                .ok_or_else(|| {
                    "choose from backprop, dni, cdni, none and lambda:X, with X from 0 to 1"
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
        for name in ["backprop", "dni", "cdni", "none", "lambda:0.25"] {
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
        ] {
            assert!(name.parse::<Method>().is_err(), "{name}");
        }
    }
}
