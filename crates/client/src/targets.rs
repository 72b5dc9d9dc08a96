//! Which node to try next.

use rand::{Rng, RngExt};
use reqwest::Url;

use crate::Error;

/// The seeds in turn, from a random one on, with the owner's address first whenever a server has told it.
#[derive(Debug)]
pub(crate) struct Targets {
    seeds: Vec<Url>,
    turn: usize,
    hint: Option<Url>,
    /// The node that failed last: its turn is over.
    failed: Option<String>,
}

impl Targets {
    pub(crate) fn new(seeds: Vec<Url>, rng: &mut impl Rng) -> Self {
        let turn = if seeds.is_empty() { 0 } else { rng.random_range(0..seeds.len()) };
        Self { seeds, turn, hint: None, failed: None }
    }

    /// A server has named the owner: it is tried next, once. A dead owner redirects nobody, so after that
    /// the seeds follow.
    pub(crate) fn learn(&mut self, url: &str) -> Result<(), Error> {
        self.hint = Some(parse_base(url)?);
        Ok(())
    }

    /// The node at this origin has failed: should it be the next one in turn, the others come first.
    pub(crate) fn failed(&mut self, origin: &str) {
        self.failed = Some(origin.to_owned());
    }

    /// The node to try next; `None` without seeds.
    pub(crate) fn next(&mut self) -> Option<Url> {
        if let Some(hint) = self.hint.take() {
            return Some(hint);
        }
        if let Some(failed) = self.failed.take()
            && self.seeds.get(self.turn).is_some_and(|seed| origin(seed) == failed)
        {
            self.advance();
        }
        let url = self.seeds.get(self.turn)?.clone();
        self.advance();
        Some(url)
    }

    /// The node that comes after that one; `None` where there is no second one.
    pub(crate) fn peek(&self, before: &Url) -> Option<Url> {
        let in_turn = (0..self.seeds.len()).map(|step| &self.seeds[(self.turn + step) % self.seeds.len()]);
        in_turn.into_iter().find(|seed| origin(seed) != origin(before)).cloned()
    }

    fn advance(&mut self) {
        self.turn = (self.turn + 1) % self.seeds.len().max(1);
    }
}

/// Which node a URL leads to, whatever the path.
pub(crate) fn origin(url: &Url) -> String {
    format!("http://{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80))
}

/// Reads the URL of a node: `http://host:port`, `ws` allowed for `http`.
pub(crate) fn parse_base(text: &str) -> Result<Url, Error> {
    let bad = |reason: &str| Error::BadUrl { url: text.to_owned(), reason: reason.to_owned() };
    let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "ws" => url.set_scheme("http").map_err(|()| bad("the scheme cannot be http"))?,
        "https" | "wss" => return Err(bad("this client does not speak TLS yet")),
        other => return Err(bad(&format!("the scheme is '{other}'"))),
    }
    if url.host_str().is_none() {
        return Err(bad("it has no host"));
    }
    Ok(url)
}

/// The same place under `ws`, as a handshake needs it.
pub(crate) fn as_socket(mut url: Url) -> Url {
    // Between the special schemes http and ws this always succeeds.
    let _ = url.set_scheme("ws");
    url
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn targets(seed: u64) -> Targets {
        let seeds = ["http://a:1", "http://b:1", "http://c:1"].map(|url| parse_base(url).unwrap());
        Targets::new(seeds.to_vec(), &mut SmallRng::seed_from_u64(seed))
    }

    #[test]
    fn next_repeated_visits_every_seed_in_turn() {
        let mut targets = targets(3);
        let round: Vec<Url> = (0..3).filter_map(|_| targets.next()).collect();
        let again: Vec<Url> = (0..3).filter_map(|_| targets.next()).collect();
        assert_eq!(round, again);
        let mut sorted = round;
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 3);
    }

    #[test]
    fn next_of_many_clients_starts_at_different_seeds() {
        let mut starts: Vec<Url> = (0..32).filter_map(|seed| targets(seed).next()).collect();
        starts.sort();
        starts.dedup();
        assert_eq!(starts.len(), 3);
    }

    #[test]
    fn hint_is_tried_once_then_the_seeds() {
        let mut targets = targets(3);
        targets.learn("http://owner:9").unwrap();
        assert_eq!(targets.next().unwrap().host_str(), Some("owner"));
        assert_ne!(targets.next().unwrap().host_str(), Some("owner"));
    }

    #[test]
    fn node_that_failed_is_not_the_next_one() {
        let mut targets = targets(3);
        let round: Vec<Url> = (0..3).filter_map(|_| targets.next()).collect();
        targets.failed(&origin(&round[0]));
        assert_eq!(targets.next().as_ref(), Some(&round[1]));
        targets.failed(&origin(&round[0]));
        assert_eq!(targets.next().as_ref(), Some(&round[2]), "its turn has not come");
        assert_eq!(targets.next().as_ref(), Some(&round[0]));
    }

    #[test]
    fn node_that_failed_is_tried_again_where_it_is_the_only_one() {
        let only = parse_base("http://a:1").unwrap();
        let mut targets = Targets::new(vec![only.clone()], &mut SmallRng::seed_from_u64(3));
        targets.failed(&origin(&only));
        assert_eq!(targets.next(), Some(only.clone()));
        assert_eq!(targets.peek(&only), None);
    }

    #[test]
    fn peek_is_another_node_and_takes_no_turn() {
        let mut targets = targets(3);
        let first = targets.next().unwrap();
        let second = targets.peek(&first).unwrap();
        assert_eq!(targets.next(), Some(second.clone()));
        targets.learn("http://owner:9").unwrap();
        let owner = targets.next().unwrap();
        assert_ne!(targets.peek(&owner), Some(owner));
    }

    #[test]
    fn url_that_names_no_node_is_refused() {
        for text in ["", "127.0.0.1:7700", "ftp://a:1", "https://a:1", "http://"] {
            assert!(matches!(parse_base(text), Err(Error::BadUrl { .. })), "{text}");
        }
        assert_eq!(as_socket(parse_base("ws://a:7700").unwrap()).as_str(), "ws://a:7700/");
    }
}
