//! The query parameters that concern a request's way, and the addresses it goes to.

use std::fmt::Write;

use http::Uri;
use roomkeeper_protocol::Error;

use super::RouteMode;

/// The query parameters that concern a request's way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) mode: Option<RouteMode>,
    pub(crate) hops: u32,
}

impl Query {
    /// Reads them.
    ///
    /// # Errors
    /// `bad_request`: one of them is not what it should be, or there is a token: those would end up in logs and in
    /// the addresses of redirects.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Error> {
        let mut query = Self::default();
        for (name, value) in pairs(uri) {
            match name {
                "route" => query.mode = Some(mode(value)?),
                "hops" => {
                    let expected = || Error::bad_request("hops: expected a whole number, 0 or more");
                    query.hops = value.parse().map_err(|_| expected())?;
                }
                "token" | "access_token" => {
                    return Err(Error::bad_request("tokens are not accepted in URLs: use hello or a header"));
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

fn mode(value: &str) -> Result<RouteMode, Error> {
    match value {
        "redirect" => Ok(RouteMode::Redirect),
        "frame" => Ok(RouteMode::Frame),
        "proxy" => Ok(RouteMode::Proxy),
        _ => Err(Error::bad_request("route: expected redirect, frame or proxy")),
    }
}

/// Where a redirect points: the same path and query at the owner, one hop more.
pub(crate) fn location(base: &str, uri: &Uri, hops: u32) -> String {
    let mut out = with_query(base, uri, &["hops"]);
    let separator = if out.contains('?') { '&' } else { '?' };
    // Writing to a text cannot fail.
    let _ = write!(out, "{separator}hops={}", hops.saturating_add(1));
    out
}

/// The path and query of a relayed request: without what concerned the way here.
pub(crate) fn relay_path(uri: &Uri) -> String {
    with_query("", uri, &["route", "hops"])
}

/// The same address for a socket: `ws://` for `http://`.
pub(crate) fn socket_url(url: &str) -> String {
    match url.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => url.to_owned(),
    }
}

fn with_query(base: &str, uri: &Uri, without: &[&str]) -> String {
    let mut out = format!("{base}{}", uri.path());
    let mut separator = '?';
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !without.contains(&name) {
            out.push(separator);
            out.push_str(pair);
            separator = '&';
        }
    }
    out
}

fn pairs(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    uri.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn query_of_a_request_is_read() {
        let query = Query::of(&uri("/v1/ws?route=proxy&hops=2&x=y")).unwrap();
        assert_eq!(query, Query { mode: Some(RouteMode::Proxy), hops: 2 });
        assert_eq!(Query::of(&uri("/v1/ws")).unwrap(), Query::default());
    }

    #[test]
    fn query_that_is_wrong_or_holds_a_token_is_refused() {
        for query in ["route=teleport", "hops=-1", "hops=x", "token=abc", "x=1&access_token=abc"] {
            assert!(Query::of(&uri(&format!("/v1/ws?{query}"))).is_err(), "{query}");
        }
    }

    #[test]
    fn location_keeps_path_and_query_and_counts_hops() {
        let base = "http://b:7700";
        assert_eq!(location(base, &uri("/v1/rooms/a"), 0), "http://b:7700/v1/rooms/a?hops=1");
        assert_eq!(
            location(base, &uri("/v1/rooms/a/messages?from=3&hops=1&to=9"), 1),
            "http://b:7700/v1/rooms/a/messages?from=3&to=9&hops=2"
        );
        assert_eq!(socket_url("http://b:7700/x"), "ws://b:7700/x");
        assert_eq!(socket_url("https://b"), "wss://b");
    }

    #[test]
    fn relay_path_leaves_out_what_concerned_the_way() {
        assert_eq!(relay_path(&uri("/v1/rooms/a?route=proxy&life=1-2-3&hops=4")), "/v1/rooms/a?life=1-2-3");
        assert_eq!(relay_path(&uri("/v1/rooms/a?hops=4")), "/v1/rooms/a");
    }
}
