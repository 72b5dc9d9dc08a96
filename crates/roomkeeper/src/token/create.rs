//! `roomkeeper token create`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use roomkeeper_auth::{Action, Actions, Claims, KeyId, RoomPattern, Scope, SigningKey};
use roomkeeper_client::types::UserId;

use super::{now, parse_source};
use crate::config::KeySource;

/// Flags of `token create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The key that makes tokens: a private key in PEM or a secret, in a file or, with env: before it, a variable
    #[arg(long, value_name = "FILE|env:VARIABLE", value_parser = parse_source)]
    key: KeySource,
    /// What the nodes call the key (auth.keys)
    #[arg(long, value_name = "ID")]
    kid: KeyId,
    /// The user
    #[arg(long, value_name = "USER")]
    sub: UserId,
    /// Rooms that it may use, by name; `*` stands for any characters. A user's own rooms need no mention
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',', requires = "actions")]
    rooms: Vec<RoomPattern>,
    /// What it may do there: publish, subscribe, history, create, delete, presence, or all
    #[arg(long, value_name = "ACTION,…", value_delimiter = ',', value_parser = parse_actions, requires = "rooms")]
    actions: Vec<Actions>,
    /// How long it is valid
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// Who issues it, where the nodes ask for that (auth.issuer)
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Whom it is for, where the nodes ask for that (auth.audience)
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

fn parse_actions(text: &str) -> Result<Actions, String> {
    match text {
        "all" => Ok(Actions::ALL),
        name => match name.parse::<Action>() {
            Ok(action) => Ok([action].into_iter().collect()),
            Err(error) => Err(format!("{error}, or all")),
        },
    }
}

/// Prints the token, and nothing else.
pub(super) fn run(args: CreateArgs) -> Result<()> {
    println!("{}", make(args)?);
    Ok(())
}

fn make(args: CreateArgs) -> Result<String> {
    let text = args.key.read().map_err(anyhow::Error::msg)?;
    let key = SigningKey::read(&text).with_context(|| args.key.to_string())?;
    if args.ttl < Duration::from_secs(1) {
        bail!("--ttl: expected at least 1s");
    }
    let issued = now().millis() / 1_000;
    let actions = args.actions.into_iter().fold(Actions::NONE, Actions::and);
    let claims = Claims {
        sub: args.sub,
        exp: issued.saturating_add(args.ttl.as_secs()),
        nbf: None,
        iat: Some(issued),
        iss: args.issuer,
        aud: args.audience.into(),
        scopes: args.rooms.into_iter().map(|rooms| Scope { rooms, actions }).collect(),
    };
    key.sign(&args.kid, &claims).with_context(|| args.key.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use roomkeeper_auth::{Algorithm, Verifier, VerifyingKey};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: CreateArgs,
    }

    fn made(flags: &[&str]) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("key");
        std::fs::write(&key, SECRET)?;
        let key = format!("--key={}", key.display());
        let flags = ["create", &key, "--kid=k", "--sub=ann"].into_iter().chain(flags.iter().copied());
        make(Cli::try_parse_from(flags)?.args)
    }

    #[test]
    fn token_that_is_made_is_valid_and_grants_what_was_asked() {
        let key = VerifyingKey::read(Algorithm::Hs256, SECRET).unwrap();
        let audience = Some("rooms".to_owned());
        let verifier = Verifier::new([("k".parse().unwrap(), key)], None, audience).unwrap();
        let flags = ["--rooms=chat.*,log", "--actions=publish,subscribe", "--ttl=1h", "--audience=rooms"];
        let token = made(&flags).unwrap();
        let identity = verifier.verify(&token, now()).unwrap();
        assert_eq!(identity.user().as_str(), "ann");
        let left = identity.expires().unwrap().millis() - now().millis();
        assert!((3_500_000..=3_600_000).contains(&left), "{left}");
        assert!(identity.allows(Action::Publish, &"chat.a".parse().unwrap()));
        assert!(identity.allows(Action::Subscribe, &"log".parse().unwrap()));
        assert!(!identity.allows(Action::Delete, &"log".parse().unwrap()));
        let all = verifier
            .verify(&made(&["--rooms=*", "--actions=all", "--audience=rooms"]).unwrap(), now())
            .unwrap();
        assert_eq!(all.actions(&"any".parse().unwrap()), Actions::ALL);
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        for flags in [
            &["--rooms=chat"][..],
            &["--actions=publish"],
            &["--rooms=chat", "--actions=moderate"],
            &["--rooms=a b", "--actions=publish"],
            &["--ttl=0s"],
            &["--ttl=soon"],
        ] {
            assert!(made(flags).is_err(), "{flags:?}");
        }
    }
}
