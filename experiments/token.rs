//! Tokens: from a file or the environment, never from the command line, which others can read.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use dni::place::Token;

/// The variable that holds a token.
const VARIABLE: &str = "DNI_TOKEN";

/// Where the token is.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// File with the token that `dni serve` and its clients share [default: the variable DNI_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// The file, if one is named.
    pub fn file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// The token, if there is one.
    pub fn read(&self) -> anyhow::Result<Option<Token>> {
        let Some(path) = &self.token_file else {
            let text = std::env::var(VARIABLE).ok();
            let token = text.as_deref().map(Token::new).transpose();
            return token.with_context(|| format!("the variable {VARIABLE} holds no token"));
        };
        let cannot = || format!("cannot read the token in '{}'", path.display());
        let text = std::fs::read_to_string(path).with_context(cannot)?;
        Ok(Some(Token::new(&text).with_context(cannot)?))
    }
}
