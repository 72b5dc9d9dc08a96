//! Plays one log into its room: line after line, each by its nick's own client.

use std::collections::VecDeque;
use std::time::Duration;

use roomkeeper_client::types::{Offset, UserId};
use roomkeeper_client::{Error, PublishTicket};
use tokio::time::{Instant, sleep_until};

use super::log_file::LogFile;
use super::nicks::Nicks;
use super::progress::Progress;
use super::wire;

/// How fast a log is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Each line as soon as the one before is acked.
    AsAcked,
    /// So many times as fast as it was spoken.
    Times(f64),
}

/// Publishes every line. A line goes out once the lines of other nicks before it are acked, so that the room
/// gets them in the log's order; lines of one nick in a row follow each other without waiting, as one socket
/// keeps them in order.
///
/// Returns the offset of every line's ack.
///
/// # Errors
/// A join or publish that failed for good, or had no answer within the client's deadline.
pub(crate) async fn play(
    log: &LogFile,
    nicks: &mut Nicks<'_>,
    pace: Pace,
    progress: &Progress,
) -> Result<Vec<Option<Offset>>, Error> {
    let mut acks = Vec::with_capacity(log.len() as usize);
    let mut pending: VecDeque<PublishTicket> = VecDeque::new();
    let mut speaking: Option<&UserId> = None;
    let clock = Clock::start(log, pace);
    for number in 0..log.len() {
        let (Some(line), Some(nick)) = (log.line(number), log.nick(number)) else { break };
        if let Some(at) = clock.due(log.second(number)) {
            sleep_until(at).await;
        }
        if speaking.replace(nick).is_some_and(|last| last != nick) {
            settle(&mut pending, &mut acks, progress).await?;
        }
        let room = nicks.of(nick).await?;
        pending.push_back(room.publish_pipelined(vec![wire::message(log.ids, number, line)]).await?);
    }
    settle(&mut pending, &mut acks, progress).await?;
    Ok(acks)
}

/// Waits for the answers of all that is on its way.
async fn settle(
    pending: &mut VecDeque<PublishTicket>,
    acks: &mut Vec<Option<Offset>>,
    progress: &Progress,
) -> Result<(), Error> {
    while let Some(ticket) = pending.pop_front() {
        let ok = ticket.await?;
        acks.push(ok.offsets.first().copied());
        progress.acked();
    }
    Ok(())
}

/// When a line is due.
struct Clock {
    start: Instant,
    /// The first time that the log names.
    first: u32,
    pace: Pace,
}

impl Clock {
    fn start(log: &LogFile, pace: Pace) -> Self {
        let first = (0..log.len()).find_map(|number| log.second(number)).unwrap_or(0);
        Self { start: Instant::now(), first, pace }
    }

    /// `None`: at once.
    fn due(&self, second: Option<u32>) -> Option<Instant> {
        let Pace::Times(speed) = self.pace else { return None };
        let since = f64::from(second?.saturating_sub(self.first));
        Some(self.start + Duration::from_secs_f64(since / speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn line_is_due_when_it_was_spoken_divided_by_the_speed() {
        let log =
            LogFile::new(b"=== x\n[09:10] <a> x\n[09:20] <a> y\n".to_vec(), "r".parse().unwrap()).unwrap();
        let clock = Clock::start(&log, Pace::Times(60.0));
        let due: Vec<Option<Duration>> =
            (0..3).map(|n| clock.due(log.second(n)).map(|at| at - clock.start)).collect();
        assert_eq!(due, [None, Some(Duration::ZERO), Some(Duration::from_secs(10))]);
        assert_eq!(Clock::start(&log, Pace::AsAcked).due(log.second(2)), None);
    }
}
