use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const INTERVAL: Duration = Duration::from_millis(100);
const WELL: Health = Health { unfit: false, leaving: false };
const UNFIT: Health = Health { unfit: true, leaving: false };
const SILENCE: Duration = Duration::from_millis(500);

/// A detector of A and B, both heard at the beginning as incarnation 1, and that beginning.
fn detector() -> (Detector, Instant) {
    let begun = Instant::now();
    let mut detector = Detector::new(Rhythm { interval: INTERVAL, silence_max: SILENCE }, begun);
    detector.set_peers(&[A, B], begun);
    detector.heard(A, 1, WELL, begun);
    detector.heard(B, 1, WELL, begun);
    (detector, begun)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ticks in time up to `until`, while B is heard each time.
fn run(detector: &mut Detector, begun: Instant, until: u64) {
    for at in (100..=until).step_by(100) {
        detector.heard(B, 1, WELL, begun + ms(at));
        detector.tick(begun + ms(at));
    }
}

fn cause(detector: &Detector, node: NodeId) -> Option<Cause> {
    detector.suspicion(node).map(|suspicion| suspicion.cause)
}

#[test]
fn node_silent_for_too_long_is_suspected() {
    let (mut detector, begun) = detector();
    run(&mut detector, begun, 400);
    assert_eq!(cause(&detector, A), None);
    run(&mut detector, begun, 500);
    assert_eq!((cause(&detector, A), cause(&detector, B)), (Some(Cause::Silent), None));
}

#[test]
fn node_heard_again_is_not_suspected_any_more() {
    let (mut detector, begun) = detector();
    run(&mut detector, begun, 600);
    assert!(detector.heard(A, 1, WELL, begun + ms(650)));
    assert_eq!(cause(&detector, A), None);
}

#[test]
fn node_that_refuses_is_dead_at_once() {
    let (mut detector, begun) = detector();
    assert!(detector.refused(A, begun + ms(10)));
    assert!(!detector.refused(A, begun + ms(20)), "no news");
    assert_eq!(cause(&detector, A), Some(Cause::Refused));
    assert_eq!(detector.opinion(A, begun + ms(20)), Opinion::Dead);
}

#[test]
fn other_incarnation_means_that_the_former_is_dead_for_a_while() {
    let (mut detector, begun) = detector();
    assert!(detector.heard(A, 2, WELL, begun + ms(50)));
    assert_eq!(cause(&detector, A), Some(Cause::Restarted));
    detector.heard(A, 2, WELL, begun + ms(150));
    assert_eq!(cause(&detector, A), Some(Cause::Restarted));
    assert!(detector.heard(A, 2, WELL, begun + ms(1_050)));
    assert_eq!(cause(&detector, A), None);
}

#[test]
fn first_incarnation_heard_is_no_restart() {
    let begun = Instant::now();
    let mut detector = Detector::new(Rhythm { interval: INTERVAL, silence_max: SILENCE }, begun);
    detector.set_peers(&[A], begun);
    assert_eq!(detector.last_heard(A), None);
    assert!(!detector.heard(A, 7, WELL, begun));
    assert_eq!((cause(&detector, A), detector.last_heard(A)), (None, Some(begun)));
}

#[test]
fn node_that_calls_itself_unfit_is_suspected_until_it_is_fit() {
    let (mut detector, begun) = detector();
    assert!(detector.heard(A, 1, UNFIT, begun + ms(50)));
    assert_eq!(cause(&detector, A), Some(Cause::Unfit));
    assert!(!detector.heard(A, 1, UNFIT, begun + ms(150)));
    assert!(detector.heard(A, 1, WELL, begun + ms(250)));
    assert_eq!(cause(&detector, A), None);
}

#[test]
fn detector_that_slept_suspects_nobody() {
    let (mut detector, begun) = detector();
    run(&mut detector, begun, 600);
    assert_eq!(cause(&detector, A), Some(Cause::Silent));
    let tick = detector.tick(begun + ms(10_000));
    assert_eq!(tick, Tick { changed: true, slept: Some(ms(9_300)) });
    assert_eq!(detector.suspicions(), []);
    assert_eq!(detector.tick(begun + ms(10_100)), Tick { changed: false, slept: None });
}

#[test]
fn tick_late_by_less_than_two_intervals_is_no_sleep() {
    let (mut detector, begun) = detector();
    assert_eq!(detector.tick(begun + ms(299)).slept, None);
    assert_eq!(detector.tick(begun + ms(299 + 300)).slept, Some(ms(200)));
}

#[test]
fn opinion_follows_how_long_ago_the_node_was_heard() {
    let (detector, begun) = detector();
    assert_eq!(detector.opinion(A, begun + ms(199)), Opinion::Alive);
    assert_eq!(detector.opinion(A, begun + ms(200)), Opinion::Unsure);
    assert_eq!(detector.opinion(NodeId(9), begun), Opinion::Unsure);
}

#[test]
fn node_that_left_is_forgotten() {
    let (mut detector, begun) = detector();
    detector.refused(A, begun);
    detector.set_peers(&[B], begun);
    assert_eq!(detector.suspicions(), []);
    assert!(!detector.heard(A, 1, WELL, begun));
}

#[test]
fn node_that_is_about_to_stop_is_not_suspected_but_known_to_be_leaving() {
    let (mut detector, begun) = detector();
    detector.heard(A, 1, Health { unfit: false, leaving: true }, begun);
    assert_eq!((detector.is_leaving(A), detector.is_leaving(B)), (true, false));
    assert_eq!(cause(&detector, A), None);
    detector.heard(A, 2, WELL, begun);
    assert!(!detector.is_leaving(A));
}
