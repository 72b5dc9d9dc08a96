//! `roomkeeper token …`: keys and tokens by hand. No cluster is asked.

mod create;
mod inspect;
mod key;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Args, Subcommand};
use roomkeeper_client::types::Timestamp;

use crate::cli::trouble::FINE;
use crate::config::KeySource;

/// `roomkeeper token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it
    Create(create::CreateArgs),
    /// Print what a token says, and whether it is valid
    Inspect(inspect::InspectArgs),
    /// Make a key for tokens
    Key(key::KeyArgs),
}

/// Runs it. Exit code 1: the token that was looked at is not valid.
pub(crate) fn run(args: TokenArgs) -> Result<u8> {
    match args.command {
        TokenCommand::Create(args) => create::run(args).map(|()| FINE),
        TokenCommand::Inspect(args) => inspect::run(args),
        TokenCommand::Key(args) => key::run(&args).map(|()| FINE),
    }
}

/// A file, or with `env:` before it an environment variable.
fn parse_source(text: &str) -> Result<KeySource, String> {
    match text.parse() {
        Ok(source) => Ok(source),
        Err(_) if text.is_empty() => Err("expected a file, or env:VARIABLE".to_owned()),
        Err(_) => Ok(KeySource::File(text.into())),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_named_by_its_file_or_variable() {
        assert_eq!(parse_source("a/b.key"), Ok(KeySource::File("a/b.key".into())));
        assert_eq!(parse_source("file:b.key"), Ok(KeySource::File("b.key".into())));
        assert_eq!(parse_source("env:KEY"), Ok(KeySource::Env("KEY".into())));
        assert!(parse_source("").is_err());
    }
}
