use proptest::prelude::*;

use super::election::Held;
use super::*;

mod plans;
mod simulation;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_700_000_000 * SECOND;

fn gauge(name: &str, pointer: &str, labels: &[(&str, &[&str])]) -> GaugeSpec {
    let labels = labels.iter().map(|(label, values)| {
        ((*label).to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    });
    GaugeSpec {
        name: name.to_owned(),
        labels: labels.collect(),
        pointer: pointer.to_owned(),
        scale: 1,
        missing: Missing::Zero,
        stale: None,
    }
}

fn spec(gauges: Vec<GaugeSpec>) -> PollSpec {
    PollSpec {
        cluster: "api".to_owned(),
        authority: "api.internal".to_owned(),
        path: "/summary".to_owned(),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        interval_ms: 20_000,
        timeout_ms: 5_000,
        backoff_ms: 2_000,
        backoff_cap_ms: 30_000,
        stale_after_ms: 60_000,
        gauges,
    }
}

/// One worker that has the lease for as long as it is told, and its clock.
struct Worker {
    poller: Poller,
    now_ns: u64,
    fresh_ns: u64,
    next_token: u32,
}

impl Worker {
    fn new(gauges: Vec<GaugeSpec>) -> Self {
        Self { poller: Poller::new(Plan::new(spec(gauges)).unwrap()), now_ns: NOW, fresh_ns: NOW, next_token: 1 }
    }

    fn with_queue() -> Self {
        Self::new(vec![gauge("queue", "/queue", &[])])
    }

    /// A tick, a second after the last; the token of the request, if there is one.
    fn tick(&mut self, is_held: bool) -> Option<u32> {
        self.now_ns += SECOND;
        let held = Held { write: [0; 32], until_ns: self.now_ns + 10 * SECOND, fresh_ns: self.fresh_ns };
        let random = self.now_ns.wrapping_mul(0x5851_f42d_4c95_7f2d);
        self.poller.tick(self.now_ns, is_held.then_some(&held), random)?;
        self.next_token += 1;
        self.poller.sent(self.next_token);
        Some(self.next_token)
    }

    /// Ticks until there is a request; its token, and how many seconds it took.
    fn wait(&mut self) -> (u32, u64) {
        let start_ns = self.now_ns;
        for _ in 0..1000 {
            if let Some(token) = self.tick(true) {
                return (token, (self.now_ns - start_ns) / SECOND);
            }
        }
        panic!("nothing is asked");
    }

    fn answer(&mut self, token: u32, body: &str) -> Option<Outcome> {
        body.as_bytes().chunks(7).for_each(|piece| self.poller.piece(token, piece));
        self.poller.answer(token, self.now_ns, Answer::Status(200))
    }

    fn changed(&mut self) -> Vec<(usize, u64)> {
        self.poller.changed().collect()
    }
}

#[test]
fn an_answer_gives_every_series_its_value() {
    let mut worker = Worker::new(vec![
        gauge("deployments", "/active/{status}/{ring}", &[("status", &["running", "a/b"]), ("ring", &["0", "1"])]),
        GaugeSpec { scale: 1000, ..gauge("age", "/age", &[]) },
        gauge("queue", "/queue", &[]),
    ]);
    let (token, _) = worker.wait();
    assert_eq!(worker.changed(), []);
    let body = r#"{"active":{"running":{"0":3,"1":2.5},"a/b":[7]},"age":1.2345,"queue":[{},{}]}"#;
    assert_eq!(worker.answer(token, body), Some(Outcome::Ok));
    assert_eq!(worker.changed(), [(0, 3), (1, 3), (2, 7), (3, 0), (4, 1235), (5, 2)]);
    assert_eq!(worker.changed(), []);
    let (token, _) = worker.wait();
    assert_eq!(worker.answer(token, r#"{"active":{"running":{"0":3}},"age":1.2345,"queue":true}"#), Some(Outcome::Ok));
    assert_eq!(worker.changed(), [(1, 0), (2, 0), (5, 1)]);
    assert_eq!(worker.poller.outcomes(), &[2, 0, 0, 0, 0, 0]);
}

#[test]
fn what_has_no_number_is_missing() {
    for (missing, stale, expected) in [
        (Missing::Zero, None, vec![(0, 0)]),
        (Missing::Zero, Some(9), vec![(0, 0)]),
        (Missing::Stale, None, vec![]),
        (Missing::Stale, Some(9), vec![(0, 9)]),
    ] {
        for body in [r#"{"queue":null}"#, r#"{"queue":"5"}"#, r#"{"queue":-1}"#, r#"{"queue":1e999}"#, "{}", "[]", "1"]
        {
            let mut worker = Worker::new(vec![GaugeSpec { missing, stale, ..gauge("queue", "/queue", &[]) }]);
            let (token, _) = worker.wait();
            assert_eq!(worker.answer(token, r#"{"queue":5}"#), Some(Outcome::Ok));
            assert_eq!(worker.changed(), [(0, 5)]);
            let (token, _) = worker.wait();
            assert_eq!(worker.answer(token, body), Some(Outcome::Ok));
            assert_eq!(worker.changed(), expected, "{body}");
        }
    }
}

#[test]
fn an_answer_that_does_not_count_changes_nothing() {
    let mut worker = Worker::with_queue();
    let (token, _) = worker.wait();
    worker.answer(token, r#"{"queue":5}"#);
    worker.changed();
    for (status, body, expected) in [
        (200, r#"{"queue":6"#.to_owned(), Outcome::Malformed),
        (200, r#"{"queue":6}}"#.to_owned(), Outcome::Malformed),
        (200, String::new(), Outcome::Malformed),
        (200, format!("{{\"queue\":6,\"deep\":{}", "[".repeat(1000)), Outcome::Malformed),
        (200, format!("{{\"queue\":6{}}}", " ".repeat(MAX_BODY)), Outcome::TooLarge),
        (202, r#"{"queue":6}"#.to_owned(), Outcome::Status),
        (503, String::new(), Outcome::Status),
        (0, String::new(), Outcome::Status),
    ] {
        let (token, _) = worker.wait();
        body.as_bytes().chunks(1 << 16).for_each(|piece| worker.poller.piece(token, piece));
        assert_eq!(worker.poller.answer(token, worker.now_ns, Answer::Status(status)), Some(expected));
        assert_eq!(worker.changed(), []);
    }
    let (token, _) = worker.wait();
    assert_eq!(worker.poller.answer(token, worker.now_ns, Answer::None), Some(Outcome::NoAnswer));
    assert_eq!(worker.poller.outcomes(), &[1, 1, 3, 4, 1, 0]);
    // A body of the greatest size counts.
    let (token, _) = worker.wait();
    let body = r#"{"queue":7}"#;
    assert_eq!(worker.answer(token, &format!("{body}{}", " ".repeat(MAX_BODY - body.len()))), Some(Outcome::Ok));
    assert_eq!(worker.changed(), [(0, 7)]);
}

#[test]
fn requests_are_an_interval_apart_give_or_take_a_tenth() {
    let (mut firsts, mut waits) = (Vec::new(), Vec::new());
    for run in 0..50 {
        let mut worker = Worker::with_queue();
        worker.now_ns += run * 1000 * SECOND;
        let (mut token, first) = worker.wait();
        firsts.push(first);
        for _ in 0..5 {
            worker.answer(token, "{}");
            let (next, wait) = worker.wait();
            waits.push(wait);
            token = next;
        }
    }
    assert!(firsts.iter().all(|wait| (1..=21).contains(wait)), "{firsts:?}");
    assert!(firsts.iter().any(|wait| *wait < 6) && firsts.iter().any(|wait| *wait > 15), "{firsts:?}");
    assert!(waits.iter().all(|wait| (18..=22).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait < 20) && waits.iter().any(|wait| *wait > 20), "{waits:?}");
}

#[test]
fn failures_in_a_row_wait_longer_up_to_the_cap() {
    let mut most = [0; 9];
    for run in 0..100 {
        let mut worker = Worker::with_queue();
        worker.now_ns += run * 1000 * SECOND;
        let (mut token, _) = worker.wait();
        for most in &mut most {
            worker.poller.answer(token, worker.now_ns, Answer::Status(500));
            let (next, wait) = worker.wait();
            *most = wait.max(*most);
            token = next;
        }
    }
    // In whole seconds, rounded up.
    for (most, bound) in most.into_iter().zip([2, 4, 8, 16, 30, 30, 30, 30, 30]) {
        assert!((bound * 3 / 4..=bound).contains(&most), "{most} of {bound}");
    }
    // A good answer ends it.
    let mut worker = Worker::with_queue();
    for _ in 0..8 {
        let (token, _) = worker.wait();
        worker.poller.answer(token, worker.now_ns, Answer::None);
    }
    let (token, _) = worker.wait();
    worker.answer(token, "{}");
    let (token, wait) = worker.wait();
    assert!((18..=22).contains(&wait));
    worker.poller.answer(token, worker.now_ns, Answer::None);
    assert!(worker.wait().1 <= 2);
}

#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    let mut worker = Worker::with_queue();
    let ignored = |worker: &mut Worker, token: u32| {
        assert_eq!(worker.answer(token, r#"{"queue":9}"#), None);
        assert_eq!(worker.changed(), []);
    };
    ignored(&mut worker, 0);
    let (token, _) = worker.wait();
    ignored(&mut worker, token + 1);
    ignored(&mut worker, token - 1);
    assert_eq!(worker.answer(token, r#"{"queue":5}"#), Some(Outcome::Ok));
    assert_eq!(worker.changed(), [(0, 5)]);
    ignored(&mut worker, token);
    // One that is late by more than the time-out again.
    let (token, _) = worker.wait();
    for _ in 0..10 {
        worker.tick(true);
    }
    assert_eq!(worker.poller.outcomes(), &[1, 1, 0, 0, 0, 0]);
    ignored(&mut worker, token);
    let (next, _) = worker.wait();
    ignored(&mut worker, token);
    assert_eq!(worker.answer(next, r#"{"queue":6}"#), Some(Outcome::Ok));
    assert_eq!(worker.changed(), [(0, 6)]);
    assert_eq!(worker.poller.outcomes(), &[2, 1, 0, 0, 0, 0]);
}

#[test]
fn a_request_that_the_host_does_not_take_is_a_failure() {
    let mut worker = Worker::with_queue();
    let held = |now_ns: u64| Held { write: [0; 32], until_ns: now_ns + 10 * SECOND, fresh_ns: NOW };
    let mut asked = 0;
    for tick in 1..=200 {
        let now_ns = NOW + tick * SECOND;
        if worker.poller.tick(now_ns, Some(&held(now_ns)), tick).is_some() {
            asked += 1;
            // Saying nothing is as good as saying so.
            if asked % 2 == 0 {
                worker.poller.not_sent();
                worker.poller.not_sent();
                worker.poller.sent(1);
            }
        }
    }
    assert!(asked > 5);
    let [.., not_sent] = *worker.poller.outcomes();
    assert!((asked - 1..=asked).contains(&not_sent), "{not_sent} of {asked}");
}

#[test]
fn without_the_lease_nothing_is_asked_or_reported() {
    let mut worker = Worker::with_queue();
    assert!((0..100).all(|_| worker.tick(false).is_none()));
    assert_eq!((worker.poller.staleness_s(), worker.poller.fresh_ns(worker.now_ns)), (None, None));
    let (token, _) = worker.wait();
    worker.answer(token, r#"{"queue":5}"#);
    let (token, _) = worker.wait();
    // Lost while the request is on its way, with the change not fetched yet.
    worker.tick(false);
    assert_eq!((worker.changed(), worker.poller.staleness_s()), (vec![], None));
    assert_eq!(worker.answer(token, r#"{"queue":6}"#), None);
    assert_eq!((worker.changed(), worker.poller.staleness_s()), (vec![], None));
    // All is reported again when it comes back.
    let (token, _) = worker.wait();
    assert_eq!(worker.answer(token, r#"{"queue":5}"#), Some(Outcome::Ok));
    assert_eq!(worker.changed(), [(0, 5)]);
}

#[test]
fn an_answer_after_the_lease_has_run_out_is_ignored() {
    let mut worker = Worker::with_queue();
    let (token, _) = worker.wait();
    worker.now_ns += 10 * SECOND;
    assert_eq!(worker.answer(token, r#"{"queue":5}"#), None);
    assert_eq!((worker.changed(), worker.poller.staleness_s()), (vec![], None));
    let (token, _) = worker.wait();
    worker.now_ns += 10 * SECOND - 1;
    assert_eq!(worker.answer(token, r#"{"queue":5}"#), Some(Outcome::Ok));
}

#[test]
fn staleness_is_the_time_since_the_last_good_answer() {
    let stale = |stale| GaugeSpec { stale, ..gauge("queue", "/queue", &[]) };
    let mut worker = Worker::new(vec![stale(Some(0)), stale(None), stale(Some(5))]);
    let (token, _) = worker.wait();
    assert_eq!(worker.poller.staleness_s(), Some((worker.now_ns - NOW) / SECOND));
    worker.answer(token, r#"{"queue":5}"#);
    assert_eq!((worker.changed(), worker.poller.staleness_s()), (vec![(0, 5), (1, 5), (2, 5)], Some(0)));
    let good_ns = worker.now_ns;
    let mut changes = Vec::new();
    while worker.now_ns < good_ns + 100 * SECOND {
        if let Some(token) = worker.tick(true) {
            worker.poller.answer(token, worker.now_ns, Answer::Status(503));
        }
        assert_eq!(worker.poller.staleness_s(), Some((worker.now_ns - good_ns) / SECOND));
        assert_eq!(worker.poller.fresh_ns(worker.now_ns), Some(good_ns));
        changes.extend(worker.changed().into_iter().map(|change| ((worker.now_ns - good_ns) / SECOND, change)));
    }
    assert_eq!(changes, [(60, (0, 0))]);
    let (token, _) = worker.wait();
    worker.answer(token, r#"{"queue":5}"#);
    assert_eq!((worker.changed(), worker.poller.staleness_s()), (vec![(0, 5)], Some(0)));
}

#[test]
fn what_another_worker_knew_goes_stale_in_time() {
    let mut worker = Worker::new(vec![GaugeSpec { stale: Some(0), ..gauge("queue", "/queue", &[]) }]);
    worker.fresh_ns = NOW - 50 * SECOND;
    worker.tick(true);
    assert_eq!((worker.changed(), worker.poller.staleness_s()), (vec![], Some(51)));
    while worker.poller.staleness_s() != Some(60) {
        assert_eq!(worker.changed(), []);
        worker.tick(true);
    }
    assert_eq!(worker.changed(), [(0, 0)]);
}

#[test]
fn a_clock_that_jumps_costs_a_request_at_most() {
    let mut worker = Worker::with_queue();
    let (token, _) = worker.wait();
    worker.answer(token, r#"{"queue":5}"#);
    worker.changed();
    // Back: the wait and the age stand still for a tick.
    (0..5).for_each(|_| assert!(worker.tick(true).is_none()));
    worker.now_ns -= 1_000_000 * SECOND;
    assert_eq!((worker.tick(true), worker.poller.staleness_s()), (None, Some(5)));
    let (token, wait) = worker.wait();
    assert!((13..=17).contains(&wait), "{wait}");
    worker.answer(token, r#"{"queue":5}"#);
    // Forward: one request at once.
    worker.now_ns += 1_000_000 * SECOND;
    let token = worker.tick(true).unwrap();
    worker.answer(token, r#"{"queue":5}"#);
    let (_, wait) = worker.wait();
    assert!((18..=22).contains(&wait), "{wait}");
    // Back and forward while a request is on its way.
    worker.now_ns -= 1_000_000 * SECOND;
    worker.tick(true);
    worker.now_ns += 1_000_000 * SECOND;
    worker.tick(true);
    assert_eq!(worker.poller.outcomes(), &[3, 1, 0, 0, 0, 0]);
}

proptest! {
    #[test]
    fn any_times_and_numbers_do_no_harm(
        steps in prop::collection::vec((any::<u64>(), 0_u8..6, any::<bool>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..60),
        times in any::<[u32; 5]>(),
    ) {
        let [interval_ms, timeout_ms, backoff_ms, backoff_cap_ms, stale_after_ms] = times;
        let spec = PollSpec { interval_ms, timeout_ms, backoff_ms, backoff_cap_ms, stale_after_ms, ..spec(vec![gauge("queue", "/queue", &[])]) };
        let mut poller = Poller::new(Plan::new(spec).unwrap());
        for (now_ns, call, is_held, until_ns, fresh_ns, random) in steps {
            let held = Held { write: [0; 32], until_ns, fresh_ns };
            match call {
                0 | 1 => drop(poller.tick(now_ns, is_held.then_some(&held), random).is_some()),
                2 => poller.sent(1),
                3 => poller.not_sent(),
                4 => poller.piece(1, b"1"),
                _ => drop(poller.answer(1, now_ns, if is_held { Answer::Status(200) } else { Answer::None })),
            }
            let _ = (poller.fresh_ns(now_ns), poller.staleness_s(), poller.changed().count());
        }
    }
}
