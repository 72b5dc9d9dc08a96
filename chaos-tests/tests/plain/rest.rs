//! Publishes over HTTP, each to another ready node.

use anyhow::{Result, bail};
use chaos_tests::probe::Http;
use reqwest::Method;
use serde_json::Value;

use super::{HOPS_MAX, Message, Publisher, Ready, Report};

pub(crate) struct Rest {
    ready: Ready,
    path: String,
    http: Http,
}

impl Rest {
    pub(crate) fn new(ready: Ready, room: &str) -> Self {
        Self { ready, path: format!("/v1/rooms/{room}/messages"), http: Http::new("").unwrap() }
    }
}

impl Publisher for Rest {
    async fn publish(&mut self, message: &Message, report: &mut Report) -> Result<Value> {
        let mut url = format!("{}{}", self.ready.pick().await, self.path);
        for _ in 0..=HOPS_MAX {
            let answer = self.http.send(Method::POST, &url, message.fields.to_string()).await?;
            match answer.status {
                200 => return Ok(answer.body),
                307 => {
                    report.followed += 1;
                    url = answer.header("location").to_owned();
                }
                status => bail!("{url} answered {status}: {}", answer.body),
            }
        }
        bail!("too many redirects, the last one to {url}")
    }
}
