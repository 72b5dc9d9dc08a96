//! `roomkeeper token inspect`.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use roomkeeper_auth::{Action, Claims, Invalid, KeyId, Peek, Verifier, VerifyingKey};
use roomkeeper_client::types::{Timestamp, Token};
use serde_json::Value;

use super::{now, parse_source};
use crate::cli::trouble::{FINE, NO};
use crate::config::KeySource;

/// Flags of `token inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The token
    #[arg(env = "ROOMKEEPER_TOKEN", hide_env_values = true)]
    token: Token,
    /// What its signature is checked with: a public key in PEM or a secret, in a file or, with env: before it, a
    /// variable
    #[arg(long, value_name = "FILE|env:VARIABLE", value_parser = parse_source)]
    key: Option<KeySource>,
}

/// Prints what it says and whether it is valid. Exit code 1: it is not.
pub(super) fn run(args: InspectArgs) -> Result<u8> {
    let token = args.token.secret();
    let peek = match Peek::at(token) {
        Ok(peek) => peek,
        Err(why) => {
            println!("not valid: {why}");
            return Ok(NO);
        }
    };
    println!("algorithm  {}", peek.algorithm);
    println!(
        "key (kid)  {}",
        peek.key.as_deref().unwrap_or("none: no node can tell which key it is signed with")
    );
    println!("claims     {}", serde_json::to_string(&peek.claims)?);
    let verdict = match &args.key {
        None => judge_unsigned(&peek),
        Some(source) => {
            let text = source.read().map_err(anyhow::Error::msg)?;
            let key = VerifyingKey::guess(&text).with_context(|| source.to_string())?;
            judge(token, &peek, key)
        }
    };
    if let Ok(claims) = peek.claims() {
        explain(&claims, &peek);
    }
    println!("\n{}", verdict.words);
    Ok(if verdict.is_good { FINE } else { NO })
}

struct Verdict {
    is_good: bool,
    words: String,
}

fn judge_unsigned(peek: &Peek) -> Verdict {
    let not_checked = "its signature was not checked: --key says with what";
    match peek.claims() {
        Err(error) => Verdict { is_good: false, words: format!("not valid: {error}; {not_checked}") },
        Ok(claims) if now() >= claims.expires() => {
            Verdict { is_good: false, words: format!("not valid: it has expired (exp); {not_checked}") }
        }
        Ok(_) => Verdict { is_good: true, words: format!("not expired; {not_checked}") },
    }
}

/// By the rules of a node that has just this key and asks for the audience that the token names.
fn judge(token: &str, peek: &Peek, key: VerifyingKey) -> Verdict {
    let no = |words: String| Verdict { is_good: false, words: format!("not valid: {words}") };
    let id: KeyId = match peek.key.as_deref().map(str::parse) {
        None => return no("it names no key (kid)".to_owned()),
        Some(Err(error)) => return no(format!("kid: {error}")),
        Some(Ok(id)) => id,
    };
    let audience = match peek.claims.get("aud") {
        Some(Value::String(name)) => Some(name.clone()),
        Some(Value::Array(names)) => names.first().and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let verifier = match Verifier::new([(id, key)], None, audience) {
        Ok(verifier) => verifier,
        Err(error) => return no(error.to_string()),
    };
    match verifier.claims(token, now()) {
        Ok(_) => Verdict { is_good: true, words: "valid".to_owned() },
        Err(Invalid(why)) => match peek.claims() {
            Err(error) => no(format!("{why}: {error}")),
            Ok(_) => no(why.to_string()),
        },
    }
}

/// What it comes to, in words.
fn explain(claims: &Claims, peek: &Peek) {
    println!("user       {}, who may use its own rooms ~{}:…", claims.sub, claims.sub);
    println!("expires    {}", moment(claims.expires()));
    for scope in &claims.scopes {
        let names: Vec<&str> = scope.actions.iter().map(Action::name).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        println!("may        {names} in {}", scope.rooms);
    }
    let unknown = unknown_actions(peek);
    if !unknown.is_empty() {
        println!("unknown    {}: no actions of this release, which grant nothing", unknown.join(", "));
    }
}

fn moment(time: Timestamp) -> String {
    let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(time.millis()));
    let left = time.millis().abs_diff(now().millis()) / 1_000;
    let left = humantime::format_duration(Duration::from_secs(left));
    if time > now() { format!("{at}, in {left}") } else { format!("{at}, {left} ago") }
}

fn unknown_actions(peek: &Peek) -> Vec<String> {
    let scopes = peek.claims.get("scopes").and_then(Value::as_array).into_iter().flatten();
    let actions = scopes.filter_map(|scope| scope.get("actions")?.as_array()).flatten();
    let names = actions.filter_map(Value::as_str).filter(|name| name.parse::<Action>().is_err());
    names.map(str::to_owned).collect()
}
