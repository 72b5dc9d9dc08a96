//! The client: its seeds and its rooms.

use std::sync::Arc;

use reqwest::Url;
use roomkeeper_types::{RoomName, UserId};

use crate::targets::{Targets, parse_base};
use crate::{ClientConfig, Error, Metrics, Room, TokenSource, driver};

/// Longest window: what a semaphore and a channel of that size cost is still small.
const WINDOW_MAX: usize = 1 << 16;

/// A client of a cluster. Cheap to clone.
///
/// [`Client::room`] opens rooms. The other calls are requests over plain HTTP, each by itself, to whichever
/// node answers: for what is not worth a socket.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    pub(crate) seeds: Arc<[Url]>,
    pub(crate) http: reqwest::Client,
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
    pub fn with_token(&self, token: Option<TokenSource>) -> Self {
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
}
