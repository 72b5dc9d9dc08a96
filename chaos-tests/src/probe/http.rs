//! Plain HTTP, one request at a time, as a browser or curl would send it.

use anyhow::{Context, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::Value;

use super::LIMIT;

/// One node's HTTP, redirects not followed.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    base: String,
    headers: HeaderMap,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `null` where it is empty.
    pub body: Value,
}

impl Answer {
    /// A header's text, empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The error's code, empty where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Http {
    /// The node with that client URL.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(base: impl Into<String>) -> Result<Self> {
        let client = Client::builder().redirect(Policy::none()).timeout(LIMIT).build()?;
        Ok(Self { client, base: base.into(), headers: HeaderMap::new() })
    }

    /// The same, with one more header on every request.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// The same for a value that is made up at run time.
    ///
    /// # Panics
    /// It is none that a header can have.
    #[must_use]
    pub fn with_text(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(error) => panic!("{name}: {error}"),
        }
        self
    }

    /// GET of a path of the node.
    ///
    /// # Errors
    /// No answer, or one whose body is not JSON.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, "").await
    }

    /// POST of a JSON value.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// Any request; `path` may be a whole URL.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let request = self.client.request(method.clone(), &url).headers(self.headers.clone()).body(body);
        let response = request.send().await.with_context(|| format!("{method} {url}"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.with_context(|| format!("{method} {url}"))?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            let text = || format!("{method} {url} answered {status}: {}", String::from_utf8_lossy(&bytes));
            serde_json::from_slice(&bytes).with_context(text)?
        };
        Ok(Answer { status, headers, body })
    }
}
