//! Journals made by hand: a good rollout, and the ways in which others end or do not.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::build::sha256;
use crate::hands::{Taken, Target};
use crate::journal::entry::{Entry, Event, Outcome};
use crate::judge::{Arm, Asked, GateVerdict, Judgement, Look, Verdict};
use crate::metrics::{Answer, MetricsError, Sample};

pub(crate) const ALICE: &str = "alice@ops-1";
pub(crate) const BOB: &str = "bob@ops-2";
pub(crate) const ID: &str = "018bcfe5-6800-7000-8000-00000000000a";

pub(crate) const PLAN: &str = r#"name: edge-observer
artifact: {module: edge_observer.wasm, configuration: eucora.yaml}
hands: {file_ecds: {}}
prometheus: {url: http://127.0.0.1:9090, token_env: PROMETHEUS_TOKEN}
rings:
- name: "0"
  instances: [{name: 127.0.0.2, ecds: a/ecds/edge.yaml, modules: a/modules, admin: "http://127.0.0.2:9901"}]
- name: "1"
  approval: true
  instances:
  - {name: 127.0.0.3, ecds: b/ecds/edge.yaml, modules: b/modules, admin: "http://127.0.0.3:9901"}
  - {name: 127.0.0.4, ecds: c/ecds/edge.yaml, modules: c/modules, admin: "http://127.0.0.4:9901"}
- name: "2"
  instances: [{name: 127.0.0.5, ecds: d/ecds/edge.yaml, modules: d/modules, admin: "http://127.0.0.5:9901"}]
policy: {interval: 15s, converge: 2m, settle: 1m, inconclusive: hold, bake: {min: 10m, max: 2h}}
announce: {grafana: {url: http://127.0.0.1:3000, token_env: GRAFANA_TOKEN}}
"#;

/// A journal under construction.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) entries: Vec<Entry>,
    at: Timestamp,
    previous: String,
}

impl Story {
    /// At 2023-11-14T22:13:20Z, with nothing in it.
    pub(crate) fn new() -> Self {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        Self { entries: Vec::new(), at, previous: "0".repeat(64) }
    }

    /// The next entry, so many seconds after the one before.
    pub(crate) fn tell(&mut self, seconds: i64, who: &str, what: Event) -> &mut Self {
        self.at += SignedDuration::from_secs(seconds);
        let sequence = self.entries.len() as u64;
        let entry = Entry { sequence, at: self.at, who: who.to_owned(), what, previous: self.previous.clone() };
        self.previous = sha256(&serde_json::to_vec(&entry).unwrap());
        self.entries.push(entry);
        self
    }

    /// SHA-256 of the last line.
    pub(crate) fn head(&self) -> &str {
        &self.previous
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn open(&mut self, seconds: i64, id: &str) -> &mut Self {
        let digests = [("0", "aaaaaaaaaaa0"), ("1", "aaaaaaaaaaa1"), ("2", "aaaaaaaaaaa2")];
        let opened = Event::Opened {
            rollout: id.to_owned(),
            plan: PLAN.to_owned(),
            base: "/srv/edge".to_owned(),
            module_sha256: sha256(b"module"),
            configuration_sha256: sha256(b"configuration"),
            digests: digests.map(|(ring, digest)| (ring.to_owned(), digest.to_owned())).into(),
        };
        self.tell(seconds, ALICE, opened);
        for (check, found) in [("module", "214 requests of the corpus, no trap"), ("fleet", "every gate passes")] {
            let (check, found) = (check.to_owned(), found.to_owned());
            self.tell(1, ALICE, Event::Preflight { check, holds: true, found });
        }
        for target in TARGETS.map(|(ring, name)| target(ring, name)) {
            let digest = Some(format!("bbbbbbbbbbb{}", target.ring));
            let sha256 = Some(sha256(format!("before {target}").as_bytes()));
            self.tell(0, ALICE, Event::Recorded { target, sha256, digest });
        }
        self
    }

    /// The ring gets the build, and runs it 20 s later.
    pub(crate) fn start(&mut self, ring: &str) -> &mut Self {
        self.tell(1, ALICE, Event::RingStarted { ring: ring.to_owned() });
        for target in places(ring) {
            let sha256 = Some(sha256(format!("new {target}").as_bytes()));
            self.tell(1, ALICE, Event::Writing { target: target.clone(), sha256 });
            self.tell(1, ALICE, Event::Written { target, taken: Taken::Yes });
        }
        let early = judgement(&[gate("liveness", Verdict::Inconclusive, 0.5)], 0.0);
        self.look(5, ring, early).tell(15, ALICE, Event::Converged { ring: ring.to_owned() })
    }

    pub(crate) fn look(&mut self, seconds: i64, ring: &str, judgement: Judgement) -> &mut Self {
        let look = look(ring, self.at + SignedDuration::from_secs(seconds));
        self.tell(seconds, ALICE, Event::Looked { ring: ring.to_owned(), look, judgement })
    }

    /// It is looked at 40 times in 10 minutes, and keeps the build.
    pub(crate) fn bake(&mut self, ring: &str) -> &mut Self {
        self.look(60, ring, young()).look(270, ring, half()).look(270, ring, good_judgement());
        let why = "every gate passed on 48000 requests".to_owned();
        self.tell(0, ALICE, Event::Promoted { ring: ring.to_owned(), why })
    }

    pub(crate) fn wait(&mut self, ring: &str, why: &str) -> &mut Self {
        self.tell(0, ALICE, Event::Waiting { ring: ring.to_owned(), why: why.to_owned() })
    }

    pub(crate) fn approve(&mut self, ring: &str, comment: &str) -> &mut Self {
        self.tell(300, BOB, Event::Approved { ring: ring.to_owned(), comment: comment.to_owned() })
    }

    /// The rings get back what they had.
    pub(crate) fn back(&mut self, who: &str, reason: &str, rings: &[&str]) -> &mut Self {
        self.tell(1, who, Event::RollingBack { reason: reason.to_owned() });
        for target in rings.iter().flat_map(|ring| places(ring)) {
            let sha256 = Some(sha256(format!("before {target}").as_bytes()));
            self.tell(1, ALICE, Event::Writing { target: target.clone(), sha256 });
            self.tell(2, ALICE, Event::Restored { target, taken: Taken::Yes });
        }
        for ring in rings {
            let found = format!("{0} of {0} proxies report build bbbbbbbbbbb{ring}, 0 another one", places(ring).len());
            self.tell(15, ALICE, Event::Verified { ring: (*ring).to_owned(), found });
        }
        let outcome = Outcome::RolledBack;
        self.tell(0, ALICE, Event::Finished { outcome, reason: reason.to_owned() })
    }
}

const TARGETS: [(&str, &str); 4] = [("0", "127.0.0.2"), ("1", "127.0.0.3"), ("1", "127.0.0.4"), ("2", "127.0.0.5")];

pub(crate) fn target(ring: &str, name: &str) -> Target {
    Target { ring: ring.to_owned(), name: name.to_owned() }
}

fn places(ring: &str) -> Vec<Target> {
    TARGETS.iter().filter(|(of, _)| *of == ring).map(|(ring, name)| target(ring, name)).collect()
}

/// Raw answers: two counters of the ring, one of its control, and one that was not answered.
fn look(ring: &str, at: Timestamp) -> Look {
    let control = if ring == "2" { "1" } else { "2" };
    let asked = |signal: &str, arm, of: &str, answer| Asked {
        signal: signal.to_owned(),
        arm,
        query: format!("envoy_http_downstream_rq_{signal}{{instance=~\"ring {of}\",x=~\"a|b\"}}"),
        answer,
    };
    let count = |instance: &str, value| {
        let labels = BTreeMap::from([("instance".to_owned(), instance.to_owned())]);
        Sample { labels, value }
    };
    let answer = |samples| Ok(Answer { samples, ..Answer::default() });
    Look {
        at,
        asked: vec![
            asked("total", Arm::Ring, ring, answer(vec![count("a", 24_000.0), count("b", 24_000.0)])),
            asked("total", Arm::Control, control, answer(vec![count("c", 31_000.0)])),
            asked("5xx", Arm::Ring, ring, Err(MetricsError::Away("connection refused".to_owned()))),
        ],
    }
}

pub(crate) fn gate(name: &str, verdict: Verdict, progress: f64) -> GateVerdict {
    let (reason, numbers): (&str, &[(&str, f64)]) = match (name, verdict) {
        ("liveness", Verdict::Pass) => ("1 of 1 proxies run the build", &[("proxies", 1.0)]),
        ("liveness", _) => ("0 of 1 proxies run the build", &[("proxies", 0.0)]),
        ("errors", Verdict::Fail) => (
            "1.1 % of 48000 requests of the ring are 5xx, 0.4 % of 31000 of its control",
            &[("ring_share", 0.011), ("control_share", 0.004), ("against_e", 5_120.0)],
        ),
        ("errors", Verdict::Pass) => (
            "0.4 % of 48000 requests of the ring are 5xx, 0.4 % of 31000 of its control",
            &[("ring_share", 0.004), ("control_share", 0.004), ("for_e", 31.0)],
        ),
        ("errors", Verdict::Inconclusive) => ("too few requests", &[("ring_share", 0.004), ("control_share", 0.004)]),
        _ => ("nothing found", &[]),
    };
    let history = if name == "errors" {
        let top = if verdict == Verdict::Fail { 0.011 } else { 0.004 };
        (0..8_i32).map(|at| (Some(0.001 + f64::from(at) / 7.0 * (top - 0.001)), Some(0.004))).collect()
    } else {
        Vec::new()
    };
    let numbers = numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    GateVerdict { gate: name.to_owned(), verdict, reason: reason.to_owned(), numbers, history, progress }
}

pub(crate) fn judgement(gates: &[GateVerdict], requests: f64) -> Judgement {
    let any = |verdict| gates.iter().any(|gate| gate.verdict == verdict);
    let verdict = match (any(Verdict::Fail), any(Verdict::Inconclusive)) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Inconclusive,
        (false, false) => Verdict::Pass,
    };
    Judgement { verdict, gates: gates.to_vec(), requests }
}

/// After the first look.
fn young() -> Judgement {
    use Verdict::{Inconclusive, Pass};
    judgement(&[gate("liveness", Pass, 1.0), gate("errors", Inconclusive, 0.0)], 0.0)
}

/// Half of the evidence is there.
pub(crate) fn half() -> Judgement {
    use Verdict::{Inconclusive, Pass};
    judgement(&[gate("liveness", Pass, 1.0), gate("errors", Inconclusive, 0.3)], 24_000.0)
}

fn good_judgement() -> Judgement {
    judgement(&[gate("liveness", Verdict::Pass, 1.0), gate("errors", Verdict::Pass, 1.0)], 48_000.0)
}

/// Every ring keeps the build; ring 1 was approved.
pub(crate) fn good() -> Story {
    let mut story = Story::new();
    story.open(0, ID).start("0").bake("0");
    story.wait("1", "approval before it gets the build").approve("1", "CHG-4711").start("1").bake("1");
    story.start("2").bake("2");
    let reason = "all 3 rings have the build".to_owned();
    story.tell(0, ALICE, Event::Finished { outcome: Outcome::Done, reason });
    story
}

/// Ring 0 keeps the build and is looked at on.
pub(crate) fn kept(verdict: Verdict) -> Story {
    let mut story = Story::new();
    let later = judgement(&[gate("liveness", verdict, 1.0), gate("traps", Verdict::Inconclusive, 0.0)], 900.0);
    story.open(0, ID).start("0").bake("0").look(15, "0", later);
    story
}

/// Ring 0 failed on `errors`.
pub(crate) fn failed() -> Story {
    let mut story = Story::new();
    let bad = judgement(&[gate("liveness", Verdict::Pass, 1.0), gate("errors", Verdict::Fail, 1.0)], 48_000.0);
    let reason = format!("ring 0 failed: errors: {}", bad.gates[1].reason);
    story.open(0, ID).start("0").look(60, "0", bad).back(ALICE, &reason, &["0"]);
    story
}

/// Bob took it back while ring 1 was watched.
pub(crate) fn taken_back() -> Story {
    let mut story = Story::new();
    story.open(0, ID).start("0").bake("0");
    story.wait("1", "approval before it gets the build").approve("1", "go").start("1").look(60, "1", half());
    story.back(BOB, "asked for by bob@ops-2: checkout is slow", &["1", "0"]);
    story
}

/// Paused while ring 0 was watched.
pub(crate) fn paused() -> Story {
    let mut story = Story::new();
    story.open(0, ID).start("0").look(60, "0", young()).look(180, "0", half());
    story.tell(5, BOB, Event::Paused { comment: "lunch".to_owned() });
    story
}

/// Ring 0 is watched, and has a third of its evidence.
pub(crate) fn baking() -> Story {
    let mut story = Story::new();
    story.open(0, ID).start("0").look(60, "0", young()).look(180, "0", half());
    story
}

/// The tool was killed between two places of ring 1.
pub(crate) fn killed() -> Story {
    let mut story = Story::new();
    story.open(0, ID).start("0").bake("0");
    story.wait("1", "approval before it gets the build").approve("1", "go");
    story.tell(1, ALICE, Event::RingStarted { ring: "1".to_owned() });
    let place = target("1", "127.0.0.3");
    story.tell(1, ALICE, Event::Writing { target: place.clone(), sha256: Some(sha256(b"new")) });
    story.tell(1, ALICE, Event::Written { target: place, taken: Taken::Yes });
    story.tell(1, ALICE, Event::Writing { target: target("1", "127.0.0.4"), sha256: Some(sha256(b"new")) });
    story
}
