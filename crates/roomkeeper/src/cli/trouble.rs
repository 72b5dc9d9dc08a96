//! Errors as people read them: what failed, and what to do next. And as scripts read them: exit codes.

use std::fmt::Write;
use std::process::ExitCode;

use roomkeeper_client::Error;
use roomkeeper_client::protocol::ErrorCode;

/// Nothing to complain about.
pub(crate) const FINE: u8 = 0;
/// The answer is no: rooms differ from their logs, the cluster is degraded, the server refused.
pub(crate) const NO: u8 = 1;
/// There is no answer: wrong usage, or no cluster to talk to.
pub(crate) const NO_ANSWER: u8 = 2;

/// Prints an error with what to do about it, and chooses the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}", explain(error));
    ExitCode::from(code(error))
}

/// The exit code of an error.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::Server(_) | Error::Recreated | Error::Trimmed { .. }) => NO,
        _ => NO_ANSWER,
    }
}

/// The error and what to do next.
fn explain(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error:#}");
    if let Some(next) = error.downcast_ref().and_then(next_step) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{next}");
    }
    text
}

fn next_step(error: &Error) -> Option<&'static str> {
    match error {
        Error::Unreachable { .. } => Some(
            "Is the cluster running? `roomkeeper dev` starts one here; --url or ROOMKEEPER_URL names another.",
        ),
        Error::BadUrl { .. } => Some("Give the client URL of a node, such as --url http://127.0.0.1:7700"),
        Error::Deadline { last: Some(last), .. } => next_step(last),
        Error::Deadline { .. } | Error::Refused { status: 503, .. } => {
            Some("`roomkeeper status` tells which nodes and shards are missing.")
        }
        Error::Refused { .. } | Error::Unreadable { .. } => {
            Some("Is this a Roomkeeper node's client port (7700 by default)?")
        }
        Error::Server(error) => match error.code {
            ErrorCode::Unauthorized => Some(
                "Give a token with ROOMKEEPER_TOKEN or --token; `roomkeeper token create` makes one, `roomkeeper token inspect` \
                 tells whether it is still valid.",
            ),
            ErrorCode::Forbidden => Some("`roomkeeper token inspect` tells what your token allows."),
            ErrorCode::NotFound => Some("`roomkeeper room list` lists the rooms there are."),
            ErrorCode::Unavailable | ErrorCode::Timeout => {
                Some("`roomkeeper status` tells which nodes and shards are missing.")
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused() -> Error {
        let reason = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Error::Unreachable { url: "http://127.0.0.1:7700".into(), reason: reason.into() }
    }

    #[test]
    fn unreachable_cluster_names_the_node_and_the_next_step() {
        let late = Error::Deadline { after: Duration::from_secs(3), last: Some(Box::new(refused())) };
        for error in [refused(), late] {
            let text = explain(&anyhow::Error::new(error));
            assert!(text.contains("cannot reach http://127.0.0.1:7700: connection refused"), "{text}");
            assert!(text.contains("roomkeeper dev"), "{text}");
        }
    }

    #[test]
    fn code_tells_a_no_from_no_answer() {
        let no = roomkeeper_client::protocol::Error::new(ErrorCode::NotFound, "no such room");
        assert_eq!(code(&anyhow::Error::new(Error::Server(no)).context("reading")), NO);
        assert_eq!(code(&anyhow::Error::new(refused())), NO_ANSWER);
        assert_eq!(code(&anyhow::anyhow!("no such file")), NO_ANSWER);
    }
}
