//! The client: its seeds, its rooms, and what it asks over plain HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, StatusCode, Url};
use roomkeeper_protocol::{CommandKind, Reply, Rooms, RoomsOk, decode_error_json, decode_reply_json};
use roomkeeper_types::{RoomName, Token, UserId};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::hedge::hedge;
use crate::targets::{Targets, origin, parse_base};
use crate::{ClientConfig, ClusterMap, Error, LocalCopy, Metrics, Room, RoomInfo, driver};

/// Longest window: what a semaphore and a channel of that size cost is still small.
const WINDOW_MAX: usize = 1 << 16;

/// A client of a cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    seeds: Arc<[Url]>,
    http: reqwest::Client,
    metrics: Arc<Metrics>,
}

impl Client {
    /// A client with these settings. Connects nowhere yet.
    ///
    /// # Errors
    /// [`Error::NoUrl`], [`Error::BadUrl`].
    pub fn new(mut config: ClientConfig) -> Result<Self, Error> {
        if config.urls.is_empty() {
            return Err(Error::NoUrl);
        }
        let seeds = config.urls.iter().map(|url| parse_base(url)).collect::<Result<_, _>>()?;
        config.window = config.window.clamp(1, WINDOW_MAX);
        config.buffer = config.buffer.max(1);
        let http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.handshake_timeout)
            .build()
            .map_err(|error| Error::Unreadable {
                url: "the HTTP client".into(),
                reason: error.to_string(),
            })?;
        Ok(Self { config: Arc::new(config), seeds, http, metrics: Arc::default() })
    }

    /// The same client for another user; its counters are shared.
    #[must_use]
    pub fn as_user(&self, user: UserId) -> Self {
        let config = ClientConfig { user: Some(user), ..self.config.as_ref().clone() };
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The same client with this token, or without one; its counters are shared.
    #[must_use]
    pub fn with_token(&self, token: Option<Token>) -> Self {
        let config = ClientConfig { token, ..self.config.as_ref().clone() };
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// What the client and those made from it went through.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A room. Each call makes a handle with a socket of its own, starting at a random seed.
    ///
    /// # Panics
    /// Outside a tokio runtime, as the room is served by a task.
    #[must_use]
    pub fn room(&self, name: RoomName) -> Room {
        let targets = Targets::new(self.seeds.to_vec(), &mut rand::rng());
        let handle = driver::spawn(self.config.clone(), self.metrics.clone(), targets, name.clone());
        Room::new(name, handle, self.config.window, self.config.buffer)
    }

    /// A page of the list of rooms.
    ///
    /// # Errors
    /// [`Error::Deadline`], the server's definite no.
    pub async fn rooms(&self, query: &Rooms) -> Result<RoomsOk, Error> {
        let mut pairs = Vec::new();
        if let Some(prefix) = &query.prefix {
            pairs.push(("prefix", prefix.clone()));
        }
        if let Some(after) = &query.after {
            pairs.push(("after", after.clone()));
        }
        for (name, number) in [("limit", query.limit), ("page", query.page)] {
            if let Some(number) = number {
                pairs.push((name, number.to_string()));
            }
        }
        let (url, body) = self.get_any("/v1/rooms", &pairs).await?;
        match decode_reply_json(CommandKind::Rooms, &body) {
            Ok(Reply::Rooms(rooms)) => Ok(rooms),
            Ok(_) => Err(unreadable(&url, "not a list of rooms")),
            Err(error) => Err(unreadable(&url, error)),
        }
    }

    /// Nodes and shards, as the first seed that answers sees them.
    ///
    /// # Errors
    /// [`Error::Deadline`].
    pub async fn cluster_map(&self) -> Result<ClusterMap, Error> {
        let (url, body) = self.get_any("/v1/cluster", &[]).await?;
        json(&url, &body)
    }

    /// Nodes and shards, as that node sees them now.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like: nothing is retried.
    pub async fn cluster_map_of(&self, node: &str) -> Result<ClusterMap, Error> {
        let url = at(&parse_base(node)?, "/v1/cluster", &[]);
        json(&url, &self.get(&url).await?)
    }

    /// Whether that node says it is ready, and what it says otherwise.
    ///
    /// # Errors
    /// [`Error::Refused`] with the node's words, [`Error::Unreachable`].
    pub async fn ready(&self, node: &str) -> Result<(), Error> {
        self.get(&at(&parse_base(node)?, "/readyz", &[])).await.map(drop)
    }

    /// A room's owner, replicas and offsets, as its owner says.
    ///
    /// # Errors
    /// `not_found`, [`Error::Deadline`].
    pub async fn room_info(&self, room: &RoomName) -> Result<RoomInfo, Error> {
        let (url, body) = self.get_any(&format!("/v1/rooms/{room}"), &[]).await?;
        json(&url, &body)
    }

    /// That node's own copy of a room; `None` where the node has no replica of it.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and the like: nothing is retried.
    pub async fn local_copy(&self, node: &str, room: &RoomName) -> Result<Option<LocalCopy>, Error> {
        let query = [("replica", "local".to_owned())];
        let url = at(&parse_base(node)?, &format!("/v1/rooms/{room}"), &query);
        match self.get(&url).await {
            Ok(body) => json(&url, &body).map(Some),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks one seed after the other, with pauses, until one has an answer.
    async fn get_any(&self, path: &str, query: &[(&str, String)]) -> Result<(Url, Bytes), Error> {
        let end = Instant::now() + self.config.deadline;
        let mut targets = Targets::new(self.seeds.to_vec(), &mut rand::rng());
        let mut backoff = Backoff::default();
        loop {
            let mut last = Error::NoUrl;
            for _ in 0..self.seeds.len() {
                let Some(base) = targets.next() else { break };
                let ask = async |base: &Url| {
                    let url = at(base, path, query);
                    self.get(&url).await.map(|body| (url, body))
                };
                let answer = match targets.peek(&base) {
                    Some(other) => hedge(ask(&base), ask(&other)).await,
                    None => ask(&base).await,
                };
                match answer {
                    Ok(answer) => return Ok(answer),
                    Err(error) if error.is_retryable() => last = error,
                    Err(error) => return Err(error),
                }
            }
            let wait = backoff.next(&mut rand::rng()) + Duration::from_millis(10);
            if Instant::now() + wait >= end {
                return Err(Error::Deadline { after: self.config.deadline, last: Some(Box::new(last)) });
            }
            sleep(wait).await;
        }
    }

    async fn get(&self, url: &Url) -> Result<Bytes, Error> {
        let mut request = self.http.get(url.clone());
        if let Some(token) = &self.config.token {
            request = request.bearer_auth(token.secret());
        }
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

fn at(base: &Url, path: &str, query: &[(&str, String)]) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn json<T: DeserializeOwned>(url: &Url, body: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| unreadable(url, error))
}

fn unreadable(url: &Url, reason: impl ToString) -> Error {
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

fn is_not_found(error: &Error) -> bool {
    match error {
        Error::Server(error) => error.code == roomkeeper_protocol::ErrorCode::NotFound,
        Error::Refused { status, .. } => *status == StatusCode::NOT_FOUND.as_u16(),
        _ => false,
    }
}
