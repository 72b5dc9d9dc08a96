//! Requests to the admin listener of whichever node can be reached there.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use crate::cli::ConnectArgs;

/// Longer than a node waits for meta's leader.
const PATIENCE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(2);

/// Where to ask.
#[derive(Debug, Clone, Args)]
pub(super) struct AdminArgs {
    /// Admin address of a node; without it those that the nodes advertise are tried
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
}

/// What the cluster said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is so now.
    Done,
    /// No, and why.
    Refused(String),
}

#[derive(Debug, Default, Deserialize)]
struct Body {
    error: Option<String>,
}

impl AdminArgs {
    /// Asks one node after the other until one answers.
    ///
    /// # Errors
    /// None does, or none advertises an admin address.
    pub(super) async fn ask(&self, connect: &ConnectArgs, method: Method, path: &str) -> Result<Answer> {
        let addresses = match &self.admin {
            Some(address) => vec![address.clone()],
            None => connect.map().await?.nodes.into_iter().filter_map(|node| node.admin).collect(),
        };
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(PATIENCE).build()?;
        let mut troubles = Vec::new();
        for address in addresses {
            let sent = http.request(method.clone(), format!("http://{address}{path}")).send().await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(error) => {
                    troubles.push(format!("{address} does not answer: {error}"));
                    continue;
                }
            };
            let status = answer.status();
            let why = answer.json::<Body>().await.unwrap_or_default().error;
            match (status, why) {
                (StatusCode::OK, _) => return Ok(Answer::Done),
                (StatusCode::CONFLICT, Some(why)) => return Ok(Answer::Refused(why)),
                (status, why) => troubles.push(format!("{address}: {}", why.unwrap_or(status.to_string()))),
            }
        }
        if troubles.is_empty() {
            bail!("no node advertises an admin address: name one with --admin, such as 127.0.0.1:7702");
        }
        bail!(
            "no admin listener did it (they are on loopback unless you say otherwise: run this on a node's machine, or \
             name an address with --admin)\n{}",
            troubles.join("\n")
        );
    }
}
