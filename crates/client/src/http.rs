//! Requests over plain HTTP: to a node, or to one after the other until one has an answer.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, Url};
use roomkeeper_protocol::decode_error_json;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::hedge::hedge;
use crate::targets::{Targets, origin};
use crate::{Client, Error};

/// Names the user, where the cluster takes users at their word.
const USER_HEADER: &str = "roomkeeper-user";

impl Client {
    /// Asks one seed after the other, with pauses, until one has an answer. One that is silent is not waited
    /// for alone.
    pub(crate) async fn get_any(&self, path: &str, query: &[(&str, String)]) -> Result<(Url, Bytes), Error> {
        let ask = move |base: Url| {
            let url = at(&base, path, query);
            async move { self.get(&url).await.map(|body| (url, body)) }
        };
        self.until_answered(|base, other| match other {
            Some(other) => hedge(ask(base), ask(other)).boxed(),
            None => ask(base).boxed(),
        })
        .await
    }

    /// Has a command carried out, sent to one seed after the other: it may be carried out twice.
    pub(crate) async fn send_any(
        &self,
        method: Method,
        path: &str,
        body: &Bytes,
    ) -> Result<(Url, Bytes), Error> {
        self.until_answered(|base, _| {
            let url = at(&base, path, &[]);
            let request = self.http.request(method.clone(), url.clone());
            let request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            async move { self.answer(request, &url).await.map(|body| (url, body)) }.boxed()
        })
        .await
    }

    /// Asks that node, once.
    pub(crate) async fn get(&self, url: &Url) -> Result<Bytes, Error> {
        self.answer(self.http.get(url.clone()), url).await
    }

    /// Asks seeds, each with the one that comes after it, until the deadline.
    async fn until_answered<'a, T>(
        &'a self,
        ask: impl Fn(Url, Option<Url>) -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        let deadline = self.config().deadline;
        let end = Instant::now() + deadline;
        let mut targets = Targets::new(self.seeds.to_vec(), &mut rand::rng());
        let mut backoff = Backoff::default();
        loop {
            let mut last = Error::NoUrl;
            for _ in 0..self.seeds.len() {
                let Some(base) = targets.next() else { break };
                let other = targets.peek(&base);
                match ask(base, other).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) if error.is_retryable() => last = error,
                    Err(error) => return Err(error),
                }
            }
            let wait = backoff.next(&mut rand::rng()) + Duration::from_millis(10);
            if Instant::now() + wait >= end {
                return Err(Error::Deadline { after: deadline, last: Some(Box::new(last)) });
            }
            sleep(wait).await;
        }
    }

    async fn answer(&self, request: RequestBuilder, url: &Url) -> Result<Bytes, Error> {
        let config = self.config();
        let request = match &config.user {
            Some(user) => request.header(USER_HEADER, user.as_str()),
            None => request,
        };
        let request = match &config.token {
            Some(source) => request.bearer_auth(source.get().await?),
            None => request,
        };
        let response = request.send().await.map_err(|error| unreachable(url, error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = response.bytes().await.map_err(|error| unreachable(url, error))?;
        if status.is_success() {
            return Ok(body);
        }
        if let Ok(error) = decode_error_json(&body) {
            return Err(error.into());
        }
        Err(Error::Refused { url: origin(url), status: status.as_u16(), message: words(&body), retry_after })
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A node's URL with that path and query.
pub(crate) fn at(base: &Url, path: &str, query: &[(&str, String)]) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Reads an answer of JSON.
pub(crate) fn json<T: DeserializeOwned>(url: &Url, body: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| unreadable(url, error))
}

/// An answer that is not what was asked for.
pub(crate) fn unreadable(url: &Url, reason: impl ToString) -> Error {
    Error::Unreadable { url: origin(url), reason: reason.to_string() }
}

/// No answer, for the reason at the root: `connection refused` rather than `error sending request`.
fn unreachable(url: &Url, error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_timeout() {
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        return Error::unreachable(origin(url), late);
    }
    let mut root: &dyn std::error::Error = &error;
    while let Some(source) = root.source() {
        root = source;
    }
    Error::unreachable(origin(url), std::io::Error::other(root.to_string()))
}

/// What a refusal's body says: its `reason`, or all of it.
fn words(body: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Reason {
        reason: String,
    }
    match serde_json::from_slice(body) {
        Ok(Reason { reason }) => reason,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}
