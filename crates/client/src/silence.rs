//! Servers that say nothing any more: stopped, cut off, or gone without a word.

use std::time::Duration;

use tokio::time::Instant;

use crate::ClientConfig;

/// What to make of a server's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it is short.
    Fine,
    /// Ask for a sign of life.
    Ping,
    /// It has lasted for this long: give the server up.
    Gone(Duration),
}

/// How long a server has said nothing. To be asked several times per
/// [`answer_timeout`](ClientConfig::answer_timeout), where something waits for an answer.
#[derive(Debug)]
pub(crate) struct Silence {
    heard: Instant,
    /// When nothing was waiting for an answer, last seen.
    settled: Instant,
    idle_timeout: Duration,
    answer_timeout: Duration,
}

impl Silence {
    /// It begins now.
    pub(crate) fn new(config: &ClientConfig, now: Instant) -> Self {
        let ClientConfig { idle_timeout, answer_timeout, .. } = *config;
        Self { heard: now, settled: now, idle_timeout, answer_timeout }
    }

    /// Something came from the server, or the server is not listened to.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Nothing waited for an answer until now.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.settled = now;
    }

    /// What to make of it, while calls wait for an answer or not. `asks`: when the server is asked something anyway.
    pub(crate) fn look(&mut self, now: Instant, waiting: bool, asks: Option<Instant>) -> Verdict {
        if !waiting {
            self.settled = now;
        }
        let idle = now.duration_since(self.heard);
        // A server that was not asked anything owes no answer: that silence begins with the question.
        let owing = now.duration_since(self.heard.max(self.settled));
        // Where that is asked soon enough for an answer, a ping would only be one more for both.
        let in_time = self.heard + self.idle_timeout.saturating_sub(self.answer_timeout);
        let pings = idle >= self.idle_timeout / 2 && asks.is_none_or(|at| at > in_time);
        if idle >= self.idle_timeout || owing >= self.answer_timeout {
            Verdict::Gone(idle)
        } else if pings || owing >= self.answer_timeout / 2 {
            Verdict::Ping
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 100 ms from the time of the first value on.
    fn looks(from: u64, waiting: impl Fn(u64) -> bool, heard: impl Fn(u64) -> bool) -> Vec<(u64, Verdict)> {
        looks_before(None, from, waiting, heard)
    }

    /// The same, where the server is asked something at that time.
    fn looks_before(
        asks: Option<u64>,
        from: u64,
        waiting: impl Fn(u64) -> bool,
        heard: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Verdict)> {
        let begun = Instant::now();
        let config = ClientConfig::new(["http://a:1"]);
        let mut silence = Silence::new(&config, begun);
        let mut told = Vec::new();
        for ms in (100..=20_000).step_by(100) {
            let now = begun + Duration::from_millis(ms);
            if heard(ms) {
                silence.heard(now);
            }
            let asks = asks.map(|ms| begun + Duration::from_millis(ms));
            let verdict = silence.look(now, waiting(ms), asks);
            if ms >= from && told.last().is_none_or(|(_, last)| *last != verdict) {
                told.push((ms, verdict));
            }
            if matches!(verdict, Verdict::Gone(_)) {
                break;
            }
        }
        told
    }

    #[test]
    fn silence_of_an_idle_server_is_asked_about_then_final() {
        let told = looks(0, |_| false, |_| false);
        let gone = Verdict::Gone(Duration::from_secs(8));
        assert_eq!(told, [(100, Verdict::Fine), (4_000, Verdict::Ping), (8_000, gone)]);
    }

    #[test]
    fn silence_is_not_asked_about_where_a_heartbeat_will_do() {
        let told = looks_before(Some(7_000), 0, |ms| ms > 7_000, |_| false);
        let gone = Verdict::Gone(Duration::from_millis(7_800));
        assert_eq!(told, [(100, Verdict::Fine), (7_400, Verdict::Ping), (7_800, gone)]);
        let told = looks_before(Some(7_500), 0, |_| false, |_| false);
        assert_eq!(told[1], (4_000, Verdict::Ping), "that would be too late");
    }

    #[test]
    fn silence_while_calls_wait_is_final_sooner() {
        let told = looks(0, |ms| ms > 0, |_| false);
        let gone = Verdict::Gone(Duration::from_millis(800));
        assert_eq!(told, [(100, Verdict::Fine), (400, Verdict::Ping), (800, gone)]);
    }

    #[test]
    fn silence_before_the_call_does_not_count_against_it() {
        let told = looks(3_000, |ms| ms > 3_000, |_| false);
        let gone = Verdict::Gone(Duration::from_millis(3_800));
        assert_eq!(told, [(3_000, Verdict::Fine), (3_400, Verdict::Ping), (3_800, gone)]);
    }

    #[test]
    fn server_that_answers_pings_may_take_its_time() {
        let told = looks(0, |_| true, |ms| ms % 500 == 0);
        assert!(told.iter().all(|(_, verdict)| !matches!(verdict, Verdict::Gone(_))), "{told:?}");
    }
}
