//! Where tokens come from, and when a connection needs the next one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;
use roomkeeper_types::Timestamp;
use tokio::time::{Instant, sleep_until};

use crate::Error;

/// Before the source is asked again that had no token.
const RETRY: Duration = Duration::from_secs(1);
/// A token is not renewed more often, even where the server's clock is behind this one's.
const SHORTEST: Duration = Duration::from_secs(1);

type Fetched = BoxFuture<'static, Result<String, Error>>;

/// Where a client's tokens come from: one for ever, or a function that gets a fresh one.
#[derive(Clone)]
pub struct TokenSource(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Arc<str>),
    Fresh(Arc<dyn Fn() -> Fetched + Send + Sync>),
}

impl TokenSource {
    /// Asked before every connection, before every request over plain HTTP, and when three quarters of the
    /// last token's time are over; while it fails, again every second. What it says of a failure is told to
    /// those who wait for a connection.
    ///
    /// ```
    /// use roomkeeper_client::{ClientConfig, TokenSource};
    ///
    /// let mut config = ClientConfig::new(["http://127.0.0.1:7700"]);
    /// config.token = Some(TokenSource::fresh(|| async { std::fs::read_to_string("/run/token") }));
    /// ```
    pub fn fresh<F, R, E>(get: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        let fetch = move || -> Fetched {
            let got = get();
            async move { got.await.map_err(|error| Error::Token { reason: error.to_string() }) }.boxed()
        };
        Self(Kind::Fresh(Arc::new(fetch)))
    }

    /// The token to use now.
    pub(crate) async fn get(&self) -> Result<String, Error> {
        match &self.0 {
            Kind::Fixed(token) => Ok(token.to_string()),
            Kind::Fresh(fetch) => fetch().await,
        }
    }

    /// Whether the next one may be another one.
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.0, Kind::Fresh(_))
    }
}

impl<T: Into<String>> From<T> for TokenSource {
    fn from(token: T) -> Self {
        Self(Kind::Fixed(token.into().into()))
    }
}

impl fmt::Debug for TokenSource {
    // A token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_fresh() { "TokenSource::fresh" } else { "TokenSource" })
    }
}

/// When a connection's token has to be replaced, and the replacement while it is fetched.
pub(crate) struct Renewal {
    source: Option<TokenSource>,
    due: Option<Instant>,
    fetching: Option<Fetched>,
}

impl Renewal {
    pub(crate) fn new(source: Option<TokenSource>) -> Self {
        Self { source: source.filter(TokenSource::is_fresh), due: None, fetching: None }
    }

    /// The token in use is good until then.
    pub(crate) fn expires(&mut self, at: Timestamp) {
        let expires = UNIX_EPOCH + Duration::from_millis(at.millis());
        let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
        self.due = Some(Instant::now() + (left * 3 / 4).max(SHORTEST));
    }

    /// The connection is gone: the next one begins with a token of its own.
    pub(crate) fn stop(&mut self) {
        self.due = None;
        self.fetching = None;
    }

    /// Whether there may be a token that is still good when the last one is not.
    pub(crate) fn is_possible(&self) -> bool {
        self.source.is_some()
    }

    /// The next token, when it is time. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let (Some(due), Some(source)) = (self.due, &self.source) else {
                return std::future::pending().await;
            };
            if self.fetching.is_none() {
                sleep_until(due).await;
            }
            let source = source.clone();
            let fetching = self.fetching.get_or_insert_with(|| async move { source.get().await }.boxed());
            let got = fetching.await;
            self.fetching = None;
            match got {
                Ok(token) => {
                    self.due = None;
                    return token;
                }
                Err(error) => {
                    tracing::warn!(%error, "the token cannot be renewed");
                    self.due = Some(Instant::now() + RETRY);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::timeout;

    use super::*;

    fn in_ms(ms: u64) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp(u64::try_from(now.as_millis()).unwrap() + ms)
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_renewed_when_three_quarters_of_its_time_are_over() {
        let source = TokenSource::fresh(|| async { Ok::<_, String>("next".to_owned()) });
        let mut renewal = Renewal::new(Some(source));
        let begun = Instant::now();
        renewal.expires(in_ms(40_000));
        assert_eq!(renewal.next().await, "next");
        let took = begun.elapsed();
        assert!((29_000..=30_100).contains(&took.as_millis()), "{took:?}");
        let again = timeout(Duration::from_secs(3_600), renewal.next()).await;
        assert!(again.is_err(), "until the server says how long the new one is good");
    }

    #[tokio::test(start_paused = true)]
    async fn source_that_fails_is_asked_again() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let source = TokenSource::fresh(move || {
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move { if n < 2 { Err("no network") } else { Ok(format!("token {n}")) } }
        });
        assert!(source.get().await.unwrap_err().to_string().contains("no network"));
        let mut renewal = Renewal::new(Some(source));
        renewal.expires(in_ms(0));
        // Dropped while it waits, as a select does.
        assert!(timeout(Duration::from_millis(500), renewal.next()).await.is_err());
        assert_eq!(renewal.next().await, "token 2");
    }

    #[tokio::test(start_paused = true)]
    async fn fixed_token_is_never_renewed_and_never_shown() {
        let source = TokenSource::from("secret");
        assert_eq!(source.get().await.unwrap(), "secret");
        assert!(!format!("{source:?}").contains("secret"));
        let mut renewal = Renewal::new(Some(source));
        renewal.expires(in_ms(0));
        assert!(timeout(Duration::from_secs(3_600), renewal.next()).await.is_err());
    }
}
