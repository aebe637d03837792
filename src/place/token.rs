//! The secret that a server and its clients share.

use std::fmt;

use crate::error::{Error, Result};

/// What a client must show a server to be allowed to compute there.
///
/// Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from a text, without the white space around it.
    ///
    /// # Errors
    ///
    /// If nothing is left of the text.
    pub fn new(text: &str) -> Result<Self> {
        match text.trim() {
            "" => Err(Error::Invalid("the token is empty".to_string())),
            token => Ok(Self(token.to_string())),
        }
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_token_is_not_part_of_it() {
        let token = Token::new(" secret\n").expect("it is not empty");
        assert_eq!(token.reveal(), "secret");
        assert!(Token::new(" \n").is_err());
    }

    #[test]
    fn a_token_stays_out_of_debug_output() {
        let token = Token::new("secret").expect("it is not empty");
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
