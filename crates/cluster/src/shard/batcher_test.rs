//! Batches over a group whose answers the test gives by hand. Time is paused.

use std::collections::VecDeque;

use parking_lot::Mutex;
use roomkeeper_room::{Delete, Refusal};
use roomkeeper_types::{LogIndex, RoomName, Timestamp};
use tokio::sync::oneshot;

use super::*;

type Answer = Result<(LogPosition, Reply), ProposeError>;

/// A group that shows each proposal to the test and answers what the test says.
#[derive(Default)]
struct FakeGroup {
    proposed: Mutex<VecDeque<(Batch, oneshot::Sender<Answer>)>>,
}

impl ShardGroup for FakeGroup {
    fn propose(&self, epoch: Epoch, payload: Bytes) -> BoxFuture<'_, Answer> {
        assert_eq!(epoch, Epoch(7));
        let (answer, answered) = oneshot::channel();
        self.proposed.lock().push_back((Batch::decode(payload).unwrap(), answer));
        Box::pin(async move { answered.await.unwrap_or(Err(ProposeError::NotLeader)) })
    }

    fn read_index(&self) -> BoxFuture<'_, Result<(), GroupError>> {
        Box::pin(async { Ok(()) })
    }
}

/// What completions said, by room.
type Said = Arc<Mutex<Vec<(String, Result<Outcome, SubmitError>)>>>;

/// A batcher at work and everything that its completions said.
struct Bench {
    group: Arc<FakeGroup>,
    queue: Queue,
    ended: CancellationToken,
    space: Arc<Space>,
    said: Said,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Tuning)) -> Self {
        let mut tuning = Tuning::default();
        change(&mut tuning);
        let (group, ended) = (Arc::new(FakeGroup::default()), CancellationToken::new());
        let (stamps, space) = (Arc::<Stamps>::default(), Arc::<Space>::default());
        let (queue, batcher) =
            Batcher::new(Epoch(7), group.clone(), stamps, &tuning, space.clone(), ended.clone());
        tokio::spawn(batcher.run());
        Self { group, queue, ended, space, said: Arc::default() }
    }

    fn submission(&self, room: &str) -> impl Future<Output = ()> + Send + 'static {
        let (name, said) = (room.to_owned(), self.said.clone());
        let command = delete(room);
        let queue = self.queue.clone();
        async move { queue.submit(command, Box::new(move |result| said.lock().push((name, result)))).await }
    }

    async fn submit(&self, rooms: &str) {
        for room in rooms.split_whitespace() {
            self.submission(room).await;
        }
        settle().await;
    }

    /// The batch in flight, which must be the only one.
    fn take(&self) -> (Vec<String>, Timestamp, oneshot::Sender<Answer>) {
        let mut proposed = self.group.proposed.lock();
        assert_eq!(proposed.len(), 1, "one batch is in flight");
        let (batch, answer) = proposed.pop_front().unwrap();
        (
            batch.commands.iter().map(|command| command.room().unwrap().to_string()).collect(),
            batch.time,
            answer,
        )
    }

    async fn commit(&self) -> Vec<String> {
        let (rooms, _, answer) = self.take();
        let outcomes = rooms.iter().map(|_| Outcome::Refused(Refusal::NotFound)).collect();
        answer.send(Ok((LogPosition::default(), Reply::Outcomes(outcomes)))).unwrap();
        settle().await;
        rooms
    }

    async fn fail(&self, error: ProposeError) {
        let (_, _, answer) = self.take();
        answer.send(Err(error)).unwrap();
        settle().await;
    }

    /// What completions said since, as `room:word`.
    fn said(&self) -> String {
        let word = |result| match result {
            Ok(_) => "ok",
            Err(SubmitError::NotProposed) => "not",
            Err(SubmitError::DiskFull) => "full",
            Err(SubmitError::Unknown(_)) => "unknown",
        };
        let said = std::mem::take(&mut *self.said.lock());
        let words: Vec<String> =
            said.into_iter().map(|(room, said)| format!("{room}:{}", word(said))).collect();
        words.join(" ")
    }

    fn proposals(&self) -> usize {
        self.group.proposed.lock().len()
    }
}

fn delete(room: &str) -> Command {
    let room: RoomName = room.parse().unwrap();
    Command::Delete(Delete { room, life: None })
}

fn unknown() -> ProposeError {
    ProposeError::Unknown("test".into())
}

/// Lets all tasks come to rest, without letting time pass.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn commands_during_a_batch_make_up_the_next() {
    let bench = Bench::new(|_| {});
    bench.submit("a").await;
    bench.submit("b c d").await;
    assert_eq!(bench.commit().await, ["a"]);
    assert_eq!(bench.said(), "a:ok");
    assert_eq!(bench.commit().await, ["b", "c", "d"]);
    assert_eq!(bench.said(), "b:ok c:ok d:ok");
    assert_eq!(bench.proposals(), 0);
}

#[tokio::test(start_paused = true)]
async fn stamps_of_batches_never_fall() {
    let bench = Bench::new(|_| {});
    let mut last = Timestamp(0);
    for _ in 0..3 {
        bench.submit("a").await;
        let (_, time, answer) = bench.take();
        assert!(time >= last && time > Timestamp(0));
        last = time;
        answer.send(Err(unknown())).unwrap();
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn entry_is_cut_at_its_bound_and_keeps_the_order() {
    let command = delete("a").encoded_len();
    let bench = Bench::new(|tuning| tuning.entry_bytes_max = Batch::HEADER_LEN + 2 * command);
    bench.submit("a").await;
    bench.submit("b c d e").await;
    assert_eq!(bench.commit().await, ["a"]);
    assert_eq!(bench.commit().await, ["b", "c"]);
    assert_eq!(bench.commit().await, ["d", "e"]);
    assert_eq!(bench.said(), "a:ok b:ok c:ok d:ok e:ok");
}

#[tokio::test(start_paused = true)]
async fn command_above_the_bound_goes_alone() {
    let large = "x".repeat(100);
    let bench = Bench::new(|tuning| tuning.entry_bytes_max = 64);
    bench.submit("a").await;
    bench.submit(&format!("b {large} c")).await;
    assert_eq!(bench.commit().await, ["a"]);
    assert_eq!(bench.commit().await, ["b"]);
    assert_eq!(bench.commit().await, [large]);
    assert_eq!(bench.commit().await, ["c"]);
}

#[tokio::test(start_paused = true)]
async fn full_queue_makes_submitters_wait() {
    let bench = Bench::new(|tuning| tuning.queue_commands_max = 2);
    bench.submit("a").await;
    bench.submit("b c").await;
    let waiting = tokio::spawn(bench.submission("d"));
    settle().await;
    assert!(!waiting.is_finished());
    bench.commit().await;
    assert!(waiting.is_finished());
    assert_eq!(bench.commit().await, ["b", "c"]);
    assert_eq!(bench.commit().await, ["d"]);
}

#[tokio::test(start_paused = true)]
async fn queue_full_of_bytes_makes_submitters_wait() {
    let command = delete("a").encoded_len() as u32;
    let bench = Bench::new(|tuning| tuning.queue_bytes_max = 2 * command);
    bench.submit("a").await;
    bench.submit("b c").await;
    let waiting = tokio::spawn(bench.submission("d"));
    settle().await;
    assert!(!waiting.is_finished());
    bench.commit().await;
    assert!(waiting.is_finished());
}

#[tokio::test(start_paused = true)]
async fn submission_dropped_while_it_waits_was_never_here() {
    let bench = Bench::new(|tuning| tuning.queue_commands_max = 1);
    bench.submit("a").await;
    bench.submit("b").await;
    let waiting = tokio::spawn(bench.submission("c"));
    settle().await;
    waiting.abort();
    settle().await;
    bench.commit().await;
    assert_eq!(bench.commit().await, ["b"]);
    assert_eq!((bench.said(), bench.proposals()), ("a:ok b:ok".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn unknown_batch_ends_all_behind_it_unknown_unproposed() {
    let bench = Bench::new(|tuning| tuning.queue_commands_max = 2);
    bench.submit("a").await;
    bench.submit("b c").await;
    let waiting = tokio::spawn(bench.submission("d"));
    settle().await;
    bench.fail(unknown()).await;
    assert!(waiting.is_finished());
    assert_eq!(bench.said(), "a:unknown b:unknown c:unknown d:unknown");
    assert_eq!(bench.proposals(), 0);
    // What comes after that was known goes its way.
    bench.submit("e").await;
    assert_eq!(bench.commit().await, ["e"]);
    assert_eq!(bench.said(), "e:ok");
}

#[tokio::test(start_paused = true)]
async fn refused_batch_ends_all_behind_it_unproposed() {
    let bench = Bench::new(|_| {});
    bench.submit("a").await;
    bench.submit("b c").await;
    bench.fail(ProposeError::NotLeader).await;
    assert_eq!(bench.said(), "a:not b:not c:not");
    bench.submit("d").await;
    assert_eq!(bench.commit().await, ["d"]);
}

#[tokio::test(start_paused = true)]
async fn reply_that_does_not_fit_is_unknown() {
    let bench = Bench::new(|_| {});
    bench.submit("a").await;
    let (_, _, answer) = bench.take();
    let position = LogPosition { epoch: Epoch(7), index: LogIndex(1) };
    answer.send(Ok((position, Reply::Outcomes(vec![])))).unwrap();
    settle().await;
    assert_eq!(bench.said(), "a:unknown");
}

#[tokio::test(start_paused = true)]
async fn batch_without_an_answer_ends_unknown() {
    let bench = Bench::new(|_| {});
    bench.submit("a").await;
    bench.submit("b").await;
    tokio::time::sleep(Duration::from_millis(4_990)).await;
    assert_eq!(bench.said(), "");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(bench.said(), "a:unknown b:unknown");
}

#[tokio::test(start_paused = true)]
async fn end_of_ownership_with_nothing_in_flight_refuses_at_once() {
    let bench = Bench::new(|_| {});
    bench.ended.cancel();
    settle().await;
    bench.submit("a").await;
    assert_eq!(bench.said(), "a:not");
    assert_eq!(bench.proposals(), 0);
}

#[tokio::test(start_paused = true)]
async fn batch_committed_after_the_end_of_ownership_is_acked_and_the_rest_refused() {
    let bench = Bench::new(|_| {});
    bench.submit("a").await;
    bench.submit("b").await;
    bench.ended.cancel();
    settle().await;
    assert_eq!(bench.said(), "");
    bench.commit().await;
    assert_eq!(bench.said(), "a:ok b:not");
}

#[tokio::test(start_paused = true)]
async fn batch_in_flight_at_the_end_of_ownership_is_not_waited_for_long() {
    let bench = Bench::new(|tuning| tuning.queue_commands_max = 1);
    bench.submit("a").await;
    bench.submit("b").await;
    tokio::spawn(bench.submission("c"));
    settle().await;
    bench.ended.cancel();
    tokio::time::sleep(GRACE + Duration::from_millis(10)).await;
    assert_eq!(bench.said(), "a:unknown b:unknown c:unknown");
}

#[tokio::test(start_paused = true)]
async fn command_dropped_with_its_batcher_ends_unknown() {
    let tuning = Tuning::default();
    let group = Arc::new(FakeGroup::default());
    let (queue, batcher) = Batcher::new(
        Epoch(7),
        group.clone(),
        Arc::default(),
        &tuning,
        Arc::default(),
        CancellationToken::new(),
    );
    let running = tokio::spawn(batcher.run());
    let (done, said) = oneshot::channel();
    queue.submit(delete("a"), Box::new(move |result| drop(done.send(result)))).await;
    settle().await;
    running.abort();
    assert!(matches!(said.await, Ok(Err(SubmitError::Unknown(_)))));
}

#[tokio::test(start_paused = true)]
async fn disk_full_refuses_what_is_not_proposed_until_there_is_room_again() {
    let bench = Bench::new(|_| {});
    bench.submit("a").await;
    bench.submit("b").await;
    assert!(bench.space.look(0, 100));
    bench.submit("c").await;
    // What was proposed before goes on; what waits behind it is refused as a whole.
    assert_eq!(bench.commit().await, ["a"]);
    assert_eq!(bench.said(), "a:ok b:full c:full");
    bench.submit("d").await;
    assert_eq!((bench.proposals(), bench.said().as_str()), (0, "d:full"));
    assert!(bench.space.look(1000, 100));
    bench.submit("e").await;
    assert_eq!(bench.commit().await, ["e"]);
    assert_eq!(bench.said(), "e:ok");
}
