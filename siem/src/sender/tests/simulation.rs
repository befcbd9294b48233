//! A receiver that does anything, under a clock that goes anywhere: the sender's invariants hold after every step, and when the receiver becomes
//! well, what is left arrives.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::clock::MAX_STEP_MS;
use super::*;
use crate::testing::{SHARED_KEY, data_collector};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    /// Forward, in milliseconds.
    Wait(u64),
    /// The wall clock is set.
    Set(u64),
    /// A call, if there is one, answered at once.
    Exchange(Reply),
    /// A call, if there is one, to be answered later or never.
    Poll,
    /// The answer to one of the last calls, answered before or not.
    Answer(usize, Reply),
    NotSent(usize),
    Unknown(u64),
    /// The events that came to their end are asked for.
    Drain,
}

#[derive(Clone, Debug)]
struct Reply {
    status: Option<u16>,
    retry_after: Option<Vec<u8>>,
    body: Vec<u8>,
}

fn replies() -> impl Strategy<Value = Reply> {
    let known = prop::sample::select(&[200_u16, 204, 301, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 504]);
    let status = prop_oneof![
        1 => Just(None),
        4 => known.prop_map(Some),
        1 => any::<u16>().prop_map(Some),
        4 => Just(Some(200)),
        2 => Just(Some(400)),
    ];
    let retry_after = prop_oneof![
        Just(Vec::new()),
        Just(b"3".to_vec()),
        Just(b"99999999999999999999".to_vec()),
        Just(b"Fri, 31 Dec 9999 23:59:59 GMT".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    let hec = (prop_oneof![Just(0), Just(6), 0..30_u8], prop::option::of(0..6_u8), prop::option::of(0..4_u8)).prop_map(
        |(code, event, ack)| {
            let event = event.map_or(String::new(), |event| format!(",\"invalid-event-number\":{event}"));
            let ack = ack.map_or(String::new(), |ack| format!(",\"ackId\":{ack}"));
            format!("{{\"text\":\"x\",\"code\":{code}{event}{ack}}}")
        },
    );
    let body = prop_oneof![
        1 => Just(String::new()),
        4 => hec,
        2 => (0..4_u8, any::<bool>()).prop_map(|(ack, is_indexed)| format!("{{\"acks\":{{\"{ack}\":{is_indexed}}}}}")),
        3 => (0..99_999_u32)
            .prop_map(|life| format!("{{\"access_token\":\"t{life}\",\"expires_in\":{life},\"code\":0,\"ackId\":1}}")),
        1 => "[{}\\[\\]\":,a-c0-9\\\\]{0,20}",
    ];
    (status, prop::option::of(retry_after), body.prop_map(String::into_bytes))
        .prop_map(|(status, retry_after, body)| Reply { status, retry_after, body })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![8 => 0..2_000_u64, 4 => 0..30_000_u64, 1 => 0..1_000_000_u64, 1 => any::<u64>()];
    let step = prop_oneof![
        6 => (1..6_u8).prop_map(Step::Push),
        8 => wait.prop_map(Step::Wait),
        1 => any::<u64>().prop_map(Step::Set),
        12 => replies().prop_map(Step::Exchange),
        3 => Just(Step::Poll),
        3 => (0..4_usize, replies()).prop_map(|(call, reply)| Step::Answer(call, reply)),
        1 => (0..4_usize).prop_map(Step::NotSent),
        1 => any::<u64>().prop_map(Step::Unknown),
        6 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..120)
}

fn protocols() -> impl Strategy<Value = Protocol> {
    let lines = json::Settings { path: "/".to_owned(), framing: Framing::Lines, authorization: Authorization::None };
    prop::sample::select(vec![
        Protocol::LogsIngestion(logs_ingestion()),
        Protocol::DataCollector(data_collector()),
        hec(false),
        hec(true),
        json_protocol(),
        Protocol::Json(lines),
    ])
}

fn limits() -> impl Strategy<Value = Limits> {
    let sizes = (1..12_usize, prop_oneof![Just(100_usize), Just(600), Just(3_000), Just(1 << 20)], 1..8_usize);
    let memory = prop_oneof![Just(1_usize), Just(3_000), Just(1 << 20)];
    (sizes, memory, 0..3_usize, 0..4_usize, 0..2_000_u64, prop_oneof![Just(60_000_u64), Just(3_600_000)]).prop_map(
        |(
            (queue_events, batch_bytes, batch_events),
            queue_bytes,
            in_flight,
            unacknowledged,
            max_wait_ms,
            max_age_ms,
        )| {
            Limits {
                queue_events,
                queue_bytes,
                batch_events,
                batch_bytes,
                max_wait_ms,
                in_flight,
                unacknowledged,
                max_age_ms,
                ..Limits::default()
            }
        },
    )
}

/// The first acknowledgement's number of a receiver that has become well.
const WELL: u64 = 1_000_000;

struct World {
    sender: Sender,
    limits: Limits,
    now_ns: u64,
    random: u64,
    calls: Vec<CallId>,
    pushed: u64,
    ended: BTreeMap<u64, Reason>,
    delivered: BTreeSet<u64>,
    largest: usize,
    /// What went under each batch's ID.
    ids: BTreeMap<String, Vec<u8>>,
}

impl World {
    fn new(protocol: Protocol, limits: Limits, seed: u64) -> Self {
        let secret = if matches!(protocol, Protocol::DataCollector(_)) { SHARED_KEY } else { "hush" };
        let sender = Sender::new(settings(protocol), limits.clone(), Secret::new(secret)).unwrap();
        Self {
            sender,
            limits: limits.sane(),
            now_ns: START_NS,
            random: seed,
            calls: Vec::new(),
            pushed: 0,
            ended: BTreeMap::new(),
            delivered: BTreeSet::new(),
            largest: 0,
            ids: BTreeMap::new(),
        }
    }

    fn push(&mut self) {
        let mut event = Event::new(u128::from(self.pushed).to_be_bytes(), "X", Class::Probe, self.now_ns);
        // Some records are larger than some limits.
        if self.pushed.is_multiple_of(3) {
            event.approved_by = Some(crate::event::Text::new("a\u{1}".repeat(100)));
        }
        self.largest = self.largest.max(event.size());
        self.pushed += 1;
        if let Err(event) = self.sender.push(event, self.now_ns) {
            self.end(&event, Reason::QueueFull);
        }
    }

    fn end(&mut self, event: &Event, reason: Reason) {
        let number = u64::try_from(u128::from_be_bytes(event.uid)).unwrap();
        assert!(!self.delivered.contains(&number), "{number} was delivered");
        assert_eq!(self.ended.insert(number, reason), None, "{number} ends once");
    }

    fn poll(&mut self) -> Option<Call> {
        let random = &mut self.random;
        let call = self.sender.poll(self.now_ns, &mut || {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *random
        })?;
        assert!(self.calls.last().is_none_or(|last| *last < call.id));
        assert!(call.headers.iter().all(|(_, value)| value.iter().all(|byte| matches!(byte, b' '..=b'~'))));
        if numbers(&call).is_empty() {
            let path = header(&call, ":path");
            assert!(path.ends_with("/token") || path.starts_with("/services/collector/ack?"), "{path}");
        } else {
            assert!(call.body.len() <= self.limits.batch_bytes, "{} bytes", call.body.len());
            assert!(numbers(&call).len() <= self.limits.batch_events);
            let id = header(&call, "x-ms-client-request-id");
            if !id.is_empty() {
                let body = self.ids.entry(id.to_owned()).or_insert_with(|| call.body.clone());
                assert_eq!(*body, call.body, "an ID is of one batch");
            }
        }
        self.calls.push(call.id);
        Some(call)
    }

    fn answer(&mut self, id: CallId, reply: &Reply) {
        let header = |name: &str| reply.retry_after.clone().filter(|_| name == "retry-after");
        self.sender.answer(id, self.now_ns, &Answer { status: reply.status, header: &header, body: &reply.body });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Push(count) => (0..count).for_each(|_| self.push()),
            Step::Wait(ms) => self.now_ns = self.now_ns.saturating_add(ms.saturating_mul(1_000_000)),
            Step::Set(now_ns) => self.now_ns = now_ns,
            Step::Exchange(reply) => {
                if let Some(call) = self.poll() {
                    self.answer(call.id, &reply);
                }
            }
            Step::Poll => {
                self.poll();
            }
            Step::Answer(back, reply) => {
                if let Some(id) = self.calls.iter().rev().nth(back).copied() {
                    self.answer(id, &reply);
                }
            }
            Step::NotSent(back) => {
                if let Some(id) = self.calls.iter().rev().nth(back).copied() {
                    self.sender.not_sent(id, self.now_ns);
                }
            }
            Step::Drain => self.drain(),
            Step::Unknown(id) => {
                let id = CallId(id.saturating_add(1_000));
                self.sender.answer(id, self.now_ns, &Answer { status: Some(200), ..Answer::NONE });
            }
        }
    }

    fn drain(&mut self) {
        while let Some(end) = self.sender.next_settled() {
            match end {
                Settled::Logged { event, reason } => self.end(&event, reason),
                Settled::Delivered { uid } => {
                    let number = u64::try_from(u128::from_be_bytes(uid)).unwrap();
                    assert!(!self.ended.contains_key(&number), "{number} was logged");
                    assert!(self.delivered.insert(number), "{number} is delivered once");
                }
            }
        }
        let counts = self.sender.counts();
        assert_eq!(counts.delivered, self.delivered.len() as u64);
        for reason in Reason::ALL {
            let logged = self.ended.values().filter(|known| **known == reason).count();
            assert_eq!(counts.logged(reason), logged as u64);
        }
        assert_eq!(counts.queued as u64, self.pushed - (self.delivered.len() + self.ended.len()) as u64);
    }

    /// The invariants, whether or not what came to its end was asked for.
    fn check(&self) {
        let counts = self.sender.counts();
        assert_eq!(counts.made, self.pushed);
        assert_eq!(counts.made, counts.delivered + counts.all_logged() + counts.queued as u64);
        assert!(counts.queued + self.sender.ends.len() <= self.limits.queue_events);
        let bytes = counts.queued_bytes + self.sender.ends.bytes();
        assert!(bytes <= self.limits.queue_bytes.max(self.largest), "{bytes}");
        assert!(counts.in_flight <= counts.queued);
        assert_eq!(counts.oldest_ns.is_none(), counts.queued == 0);
        assert_eq!(counts.queued_bytes == 0, counts.queued == 0);
        let batches = self.sender.under_way.iter().filter(|call| matches!(call.what, What::Batch { .. })).count();
        assert!(batches <= self.limits.in_flight);
        assert!(self.sender.unacknowledged.len() <= self.limits.unacknowledged);
        assert!(self.sender.under_way.len() <= self.limits.in_flight + 2);
        assert!(self.sender.again.iter().all(|batch| !batch.entries.is_empty()));
        // Each event in one place alone.
        let under_way = self.sender.under_way.iter().filter_map(|call| match &call.what {
            What::Batch { batch, .. } => Some(batch),
            What::Token | What::Acks(_) => None,
        });
        let unacknowledged = self.sender.unacknowledged.iter().map(|batch| &batch.batch);
        let batches = under_way.chain(unacknowledged).chain(&self.sender.again).flat_map(|batch| &batch.entries);
        let uids: Vec<_> = batches.chain(&self.sender.queue).map(|entry| entry.event.uid).collect();
        assert_eq!(uids.len(), counts.queued);
        assert_eq!(uids.iter().collect::<BTreeSet<_>>().len(), counts.queued);
    }

    /// Answers as a receiver does that is well, until nothing is left.
    fn recover(&mut self) {
        // What was called before is given up or answered late. The longest thing to wait for is a pause that was asked for.
        self.now_ns = START_NS;
        for _ in 0..20_000 {
            while let Some(call) = self.poll() {
                let path = header(&call, ":path");
                let body = if path.ends_with("/token") {
                    GRANT.to_owned()
                } else if path.starts_with("/services/collector/ack") {
                    // Of batches from before it knows nothing.
                    let asked: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
                    let asked = asked["acks"].as_array().unwrap().iter().map(|ack| ack.as_u64().unwrap());
                    let acks = asked.map(|ack| (ack.to_string(), (ack >= WELL).into()));
                    serde_json::json!({ "acks": acks.collect::<serde_json::Map<_, _>>() }).to_string()
                } else {
                    format!("{{\"text\":\"Success\",\"code\":0,\"ackId\":{}}}", WELL + call.id.0)
                };
                self.answer(call.id, &Reply { status: Some(200), retry_after: None, body: body.into_bytes() });
                self.check();
            }
            self.drain();
            self.check();
            if self.sender.counts().queued == 0 {
                return;
            }
            self.now_ns += 100_000_000;
        }
        panic!("{:?} are left", self.sender.counts());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_receiver_does_events_are_accounted_for(
        protocol in protocols(),
        limits in limits(),
        steps in steps(),
        seed: u64,
        is_abandoned: bool,
    ) {
        let mut world = World::new(protocol, limits, seed);
        for step in steps {
            world.step(step);
            world.check();
        }
        if is_abandoned {
            world.sender.abandon();
            world.check();
            world.drain();
            prop_assert_eq!(world.sender.counts().queued, 0);
            prop_assert!(world.poll().is_none());
        } else {
            world.drain();
            let before = world.ended.clone();
            world.recover();
            // A receiver that is well refuses nothing; what was left may be too old by now, or too large for any call.
            for (number, reason) in &world.ended {
                prop_assert!(before.contains_key(number) || matches!(reason, Reason::Expired | Reason::TooLarge));
            }
        }
        prop_assert_eq!(world.delivered.len() + world.ended.len(), usize::try_from(world.pushed).unwrap());
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// At 200 events a second, a receiver that fails for a minute loses nothing and refuses nothing.
    #[test]
    fn after_a_minute_of_failure_everything_arrives(
        protocol in protocols(),
        replies in prop::collection::vec(
            prop::sample::select(vec![None, Some(408), Some(429), Some(500), Some(503)]),
            1..20,
        ),
        seed: u64,
    ) {
        let limits = Limits { queue_events: 20_000, queue_bytes: 64 << 20, batch_bytes: 1 << 20, ..Limits::default() };
        let mut world = World::new(protocol, limits, seed);
        let mut replies = replies.into_iter().cycle();
        for _ in 0..60 {
            (0..200).for_each(|_| world.push());
            world.now_ns += 1_000_000_000;
            while let Some(call) = world.poll() {
                let status = replies.next().unwrap();
                let reply = Reply { status, retry_after: None, body: Vec::new() };
                world.answer(call.id, &reply);
            }
            world.drain();
            world.check();
        }
        prop_assert!(world.delivered.is_empty());
        let failed_calls = world.calls.len();
        prop_assert!((3..=61).contains(&failed_calls), "{}", failed_calls);
        let start_ns = world.now_ns;
        while world.sender.counts().queued > 0 {
            prop_assert!(world.now_ns - start_ns < MAX_STEP_MS * 1_000_000);
            world.now_ns += 100_000_000;
            while let Some(call) = world.poll() {
                let path = header(&call, ":path");
                let body = if path.ends_with("/token") {
                    GRANT.to_owned()
                } else if path.contains("/ack") {
                    let ids = world.sender.unacknowledged.iter().map(|batch| format!("\"{}\":true", batch.ack));
                    format!("{{\"acks\":{{{}}}}}", ids.collect::<Vec<_>>().join(","))
                } else {
                    format!("{{\"text\":\"Success\",\"code\":0,\"ackId\":{}}}", call.id.0)
                };
                world.answer(call.id, &Reply { status: Some(200), retry_after: None, body: body.into_bytes() });
            }
            world.drain();
            world.check();
        }
        prop_assert_eq!(world.delivered.len(), 12_000);
    }
}
