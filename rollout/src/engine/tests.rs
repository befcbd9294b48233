//! Each decision, from entries and a time. Whole rollouts are in `tests/engine`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::course::{Course, Leg};
use super::next::{Looking, NAP, Now, Step, next};
use super::state::{Mark, State};
use crate::hands::{Taken, Target};
use crate::journal::entry::{Entry, Event, Outcome};
use crate::judge::{Arm, Asked, GateVerdict, Judgement, Look, Verdict};
use crate::metrics::{Answer, MetricsError};
use crate::plan::{
    AnnouncePlan, Artifact, Bake, Freeze, Gates, HandsPlan, Inconclusive, Killed, Plan, Policy, Preset, PrometheusPlan,
    Ring,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_352_000 + second).unwrap()
}

fn target(ring: &str, name: &str) -> Target {
    Target { ring: ring.to_owned(), name: name.to_owned() }
}

/// Two rings of two places; converge 60 s, settle 10 s, looks every 10 s, bake 30 to 100 s.
fn course(change: impl FnOnce(&mut Plan)) -> Course {
    let ring = |name: &str| Ring {
        name: name.to_owned(),
        select: format!("ring=\"{name}\""),
        expected: 2,
        instances: Vec::new(),
        match_labels: BTreeMap::new(),
        control: None,
        approval: false,
        bake: Bake { min: seconds(30), max: seconds(100) },
    };
    let mut plan = Plan {
        name: "r".to_owned(),
        artifact: Artifact {
            module: "m".into(),
            module_sha256: None,
            configuration: "c".into(),
            image: None,
            environment: Vec::new(),
        },
        hands: HandsPlan::FileEcds { filter: "r".to_owned() },
        prometheus: PrometheusPlan {
            url: String::new(),
            token_env: None,
            timeout: seconds(5),
            scrape_interval: seconds(5),
        },
        rings: vec![ring("0"), ring("1")],
        gates: Gates {
            namespace: "eucora".to_owned(),
            preset: Preset::Envoy,
            signals: BTreeMap::new(),
            completeness: None,
            traps: Some(0.0001),
            errors: Some(0.005),
            latency: None,
            cpu: None,
            memory: None,
            series: None,
            overflow: None,
            own: Vec::new(),
        },
        policy: Policy {
            interval: seconds(10),
            converge: seconds(60),
            settle: seconds(10),
            quorum: 1.0,
            false_stop: 0.01,
            missed_harm: 0.05,
            inconclusive: Inconclusive::Hold,
            killed: Killed::Hold,
            freeze: Vec::new(),
            max_ring: None,
        },
        announce: AnnouncePlan::default(),
    };
    change(&mut plan);
    let legs = plan
        .rings
        .iter()
        .map(|ring| Leg { ring: ring.clone(), targets: vec![target(&ring.name, "a"), target(&ring.name, "b")] })
        .collect();
    Course { watch: plan.clone(), plan, legs }
}

/// Entries as they are told: what, and at which second.
#[derive(Clone, Default)]
struct Story(Vec<Entry>);

impl Story {
    fn then(mut self, second: i64, what: Event) -> Self {
        let sequence = self.0.len() as u64;
        self.0.push(Entry { sequence, at: at(second), who: "ada@here".to_owned(), what, previous: String::new() });
        self
    }

    fn opened() -> Self {
        let what = Event::Opened {
            rollout: "id".to_owned(),
            plan: String::new(),
            base: String::new(),
            module_sha256: "m".to_owned(),
            configuration_sha256: "c".to_owned(),
            digests: BTreeMap::new(),
        };
        Self::default().then(0, what)
    }

    fn recorded() -> Self {
        let mut story = Self::opened();
        for (ring, name) in [("0", "a"), ("0", "b"), ("1", "a"), ("1", "b")] {
            story = story.then(
                0,
                Event::Recorded {
                    target: target(ring, name),
                    sha256: Some(format!("before {ring}{name}")),
                    digest: None,
                },
            );
        }
        story
    }

    fn started(self, ring: &str, second: i64) -> Self {
        self.then(second, Event::RingStarted { ring: ring.to_owned() })
    }

    fn writing(self, ring: &str, name: &str, second: i64) -> Self {
        self.then(second, Event::Writing { target: target(ring, name), sha256: Some(format!("new {ring}")) })
    }

    fn written(self, ring: &str, name: &str, second: i64, taken: Taken) -> Self {
        self.writing(ring, name, second).then(second, Event::Written { target: target(ring, name), taken })
    }

    /// The ring has the build since `second`.
    fn converged(self, ring: &str, second: i64) -> Self {
        let ring_name = ring.to_owned();
        self.started(ring, second)
            .written(ring, "a", second, Taken::Yes)
            .written(ring, "b", second, Taken::Yes)
            .then(second, Event::Converged { ring: ring_name })
    }

    fn looked(self, ring: &str, second: i64, answered: bool, gates: &[(&str, Verdict)]) -> Self {
        let answer = if answered { Ok(Answer::default()) } else { Err(MetricsError::Away("refused".to_owned())) };
        let look = Look {
            at: at(second),
            asked: vec![Asked { signal: "s".to_owned(), arm: Arm::Ring, query: "q".to_owned(), answer }],
        };
        self.then(second, Event::Looked { ring: ring.to_owned(), look, judgement: judgement(gates) })
    }

    fn next(&self, course: &Course, second: i64) -> Step {
        next(course, &State::of(&self.0), &now(second, &since(second)))
    }

    fn next_after_a_watch(&self, course: &Course, second: i64) -> Step {
        next(course, &State::of(&self.0), &Now { watched: true, ..now(second, &since(second)) })
    }
}

fn judgement(gates: &[(&str, Verdict)]) -> Judgement {
    let gate = |&(gate, verdict): &(&str, Verdict)| GateVerdict {
        gate: gate.to_owned(),
        verdict,
        reason: "so it is".to_owned(),
        numbers: BTreeMap::new(),
        history: Vec::new(),
        progress: 0.0,
    };
    let all = |is: Verdict| gates.iter().any(|(_, verdict)| *verdict == is);
    let verdict = if all(Verdict::Fail) {
        Verdict::Fail
    } else if all(Verdict::Inconclusive) || gates.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    Judgement { verdict, gates: gates.iter().map(gate).collect(), requests: 12.0 }
}

fn since(second: i64) -> impl Fn(Mark) -> Duration {
    move |mark| Duration::try_from(at(second).duration_since(mark.at)).unwrap_or_default()
}

fn now(second: i64, since: &dyn Fn(Mark) -> Duration) -> Now<'_> {
    Now { wall: at(second), since, watched: false }
}

fn waits(step: &Step) -> &str {
    let Step::Wait(time, why) = step else { panic!("{step:?}") };
    assert!(*time <= NAP);
    why
}

fn goes_back(step: Step) -> String {
    let Step::Decide(Event::RollingBack { reason }) = step else { panic!("{step:?}") };
    reason
}

const PASS: &[(&str, Verdict)] = &[("liveness", Verdict::Pass), ("errors", Verdict::Pass)];
const OPEN: &[(&str, Verdict)] = &[("liveness", Verdict::Pass), ("errors", Verdict::Inconclusive)];

#[test]
fn everything_is_recorded_before_the_first_ring_starts() {
    let course = course(|_| {});
    let story = Story::opened();
    assert_eq!(story.next(&course, 0), Step::Record(target("0", "a")));
    let story = story.then(0, Event::Recorded { target: target("0", "a"), sha256: None, digest: None });
    assert_eq!(story.next(&course, 0), Step::Record(target("0", "b")));
    assert_eq!(Story::recorded().next(&course, 0), Step::Decide(Event::RingStarted { ring: "0".to_owned() }));
}

#[test]
fn a_second_record_of_a_place_does_not_count() {
    let story = Story::recorded()
        .then(1, Event::Recorded { target: target("0", "a"), sha256: Some("later".to_owned()), digest: None });
    assert_eq!(State::of(&story.0).before[&target("0", "a")].sha256.as_deref(), Some("before 0a"));
}

#[test]
fn places_are_written_one_after_another() {
    let course = course(|_| {});
    let story = Story::recorded().started("0", 0);
    assert_eq!(story.next(&course, 0), Step::Put(target("0", "a")));
    let story = story.writing("0", "a", 0);
    assert_eq!(story.next(&course, 1), Step::Ask(target("0", "a")));
    assert_eq!(story.next(&course, 60), Step::GiveUp(target("0", "a")));
    let story = story.then(5, Event::Written { target: target("0", "a"), taken: Taken::Yes });
    assert_eq!(story.next(&course, 64), Step::Put(target("0", "b")));
}

#[test]
fn a_refusal_goes_back_and_so_does_a_lost_quorum() {
    let refused = || Story::recorded().started("0", 0).written("0", "a", 1, Taken::Refused("no".to_owned()));
    assert_eq!(goes_back(refused().next(&course(|_| {}), 1)), "ring 0, a refused the build: no");
    let late = || Story::recorded().started("0", 0).written("0", "a", 60, Taken::Pending("silence".to_owned()));
    assert_eq!(goes_back(late().next(&course(|_| {}), 60)), "ring 0, a did not take the build within 60 s: silence");
    let half = course(|plan| plan.policy.quorum = 0.5);
    assert_eq!(late().next(&half, 60), Step::Put(target("0", "b")));
    assert!(matches!(refused().next(&half, 1), Step::Decide(Event::RollingBack { .. })), "a refusal is no absence");
    let both = late().written("0", "b", 120, Taken::Pending("silence".to_owned()));
    goes_back(both.next(&half, 120));
}

#[test]
fn a_ring_converges_by_liveness_or_is_given_up_on() {
    let course = course(|_| {});
    let written =
        || Story::recorded().started("0", 0).written("0", "a", 0, Taken::Yes).written("0", "b", 0, Taken::Yes);
    assert_eq!(written().next(&course, 0), Step::Look("0".to_owned(), Looking::Converge));
    let missing: &[_] = &[("liveness", Verdict::Fail)];
    let mut story = written().looked("0", 0, true, missing);
    assert!(
        waits(&story.next(&course, 5)).contains("until all its proxies run the build"),
        "not there yet is no failure yet"
    );
    assert_eq!(story.next(&course, 10), Step::Look("0".to_owned(), Looking::Converge));
    for second in [10, 20, 30, 40, 50] {
        story = story.looked("0", second, true, missing);
    }
    assert_eq!(goes_back(story.next(&course, 60)), "ring 0 did not come to run the build within 60 s: so it is");
    assert_eq!(
        written().looked("0", 3, true, PASS).next(&course, 3),
        Step::Decide(Event::Converged { ring: "0".to_owned() })
    );
    let refused = written().looked("0", 3, true, &[("liveness", Verdict::Fail), ("refusals", Verdict::Fail)]);
    assert_eq!(goes_back(refused.next(&course, 3)), "ring 0 failed: refusals: so it is");
}

#[test]
fn while_prometheus_is_away_the_time_to_converge_does_not_count() {
    let course = course(|_| {});
    let mut story = Story::recorded().started("0", 0).written("0", "a", 0, Taken::Yes).written("0", "b", 0, Taken::Yes);
    for second in (0..1000).step_by(10) {
        story = story.looked("0", second, false, &[("liveness", Verdict::Inconclusive)]);
    }
    assert_eq!(story.next(&course, 1000), Step::Look("0".to_owned(), Looking::Converge));
}

#[test]
fn a_ring_settles_and_is_then_looked_at_every_interval() {
    let course = course(|_| {});
    let story = Story::recorded().converged("0", 0);
    assert_eq!(waits(&story.next(&course, 3)), "ring 0: settling, for another 7 s");
    assert_eq!(story.next(&course, 10), Step::Look("0".to_owned(), Looking::Judge));
    let story = story.looked("0", 10, true, OPEN);
    assert_eq!(waits(&story.next(&course, 19)), "ring 0 is watched");
    assert_eq!(story.next(&course, 20), Step::Look("0".to_owned(), Looking::Judge));
}

#[test]
fn a_pass_promotes_when_its_time_has_passed_and_it_was_looked_at_that_often() {
    let course = course(|_| {});
    let promotes = |story: &Story, second| matches!(story.next(&course, second), Step::Decide(Event::Promoted { .. }));
    let two = || Story::recorded().converged("0", 0).looked("0", 10, true, OPEN).looked("0", 20, true, PASS);
    assert!(!promotes(&two(), 29), "30 s have not passed");
    assert!(!promotes(&two(), 86_400), "a clock that jumped is not a third look");
    assert!(promotes(&two().looked("0", 30, true, PASS), 30));
    assert!(!promotes(&two().looked("0", 30, true, OPEN), 30));
    assert!(
        !promotes(&two().looked("0", 30, false, PASS), 30),
        "a look without an answer is not a pass, whatever the judge says"
    );
    assert!(!promotes(
        &two()
            .looked("0", 30, false, OPEN)
            .looked("0", 35, true, PASS)
            .then(36, Event::Paused { comment: String::new() }),
        40
    ));
    let away = two().looked("0", 30, false, OPEN).looked("0", 40, true, PASS);
    assert!(promotes(&away, 40), "three were answered");
    assert!(!promotes(
        &Story::recorded()
            .converged("0", 0)
            .looked("0", 10, false, OPEN)
            .looked("0", 20, false, OPEN)
            .looked("0", 30, true, PASS),
        30
    ));
}

#[test]
fn a_failed_gate_goes_back_whatever_else_there_is() {
    let course = course(|_| {});
    let bad: &[_] = &[("liveness", Verdict::Pass), ("errors", Verdict::Fail)];
    let story = || Story::recorded().converged("0", 0).looked("0", 10, true, bad);
    assert_eq!(goes_back(story().next(&course, 10)), "ring 0 failed: errors: so it is");
    goes_back(story().then(11, Event::Paused { comment: String::new() }).next(&course, 11));
    goes_back(story().then(11, Event::Waiting { ring: "0".to_owned(), why: String::new() }).next(&course, 11));
}

fn undecided() -> Story {
    (1..=10).fold(Story::recorded().converged("0", 0), |story, look| story.looked("0", look * 10, true, OPEN))
}

#[test]
fn what_is_not_decided_in_time_waits_or_goes_back() {
    let Step::Decide(Event::Waiting { ring, why }) = undecided().next(&course(|_| {}), 100) else {
        panic!("does not wait")
    };
    assert_eq!((ring.as_str(), why.as_str()), ("0", "not decided within 100 s: errors: so it is"));
    let back = course(|plan| plan.policy.inconclusive = Inconclusive::Rollback);
    assert_eq!(goes_back(undecided().next(&back, 100)), "ring 0: not decided within 100 s: errors: so it is");
    let few = Story::recorded().converged("0", 0).looked("0", 10, true, OPEN);
    assert_eq!(
        few.next(&back, 86_400),
        Step::Look("0".to_owned(), Looking::Judge),
        "a clock that jumped is not a time that is over"
    );
}

#[test]
fn a_person_decides_what_waits_and_it_is_looked_at_meanwhile() {
    let course = course(|_| {});
    let story = || undecided().then(100, Event::Waiting { ring: "0".to_owned(), why: "not decided".to_owned() });
    assert_eq!(waits(&story().next(&course, 105)), "ring 0 waits for a person: not decided");
    assert_eq!(story().next(&course, 110), Step::Look("0".to_owned(), Looking::Judge));
    assert!(waits(&story().looked("0", 110, true, PASS).next(&course, 111)).contains("waits for a person"));
    let approved = story().then(105, Event::Approved { ring: "0".to_owned(), comment: "fine".to_owned() });
    assert_eq!(
        approved.next(&course, 105),
        Step::Decide(Event::Promoted { ring: "0".to_owned(), why: "approved by ada@here: fine".to_owned() })
    );
}

#[test]
fn an_approval_before_the_start_is_none_afterwards() {
    let course = course(|plan| plan.rings[0].approval = true);
    let story = Story::recorded();
    assert!(matches!(story.next(&course, 0), Step::Decide(Event::Waiting { .. })));
    let story = story.then(0, Event::Waiting { ring: "0".to_owned(), why: "approval".to_owned() });
    assert!(waits(&story.next(&course, 5)).contains("approval"));
    let story = story.then(5, Event::Approved { ring: "0".to_owned(), comment: String::new() });
    assert_eq!(story.next(&course, 5), Step::Decide(Event::RingStarted { ring: "0".to_owned() }));
    let story = story.converged("0", 5);
    let state = State::of(&story.0);
    assert!(state.ring("0").unwrap().start_approved.is_some() && state.ring("0").unwrap().approved.is_none());
}

#[test]
fn pauses_and_freezes_hold_the_next_ring() {
    let freeze = Freeze { from: at(0), until: at(100), reason: "quarter end".to_owned() };
    let frozen = course(|plan| plan.policy.freeze = vec![freeze]);
    let starts = |story: &Story, second| {
        story.next(&frozen, second) == Step::Decide(Event::RingStarted { ring: "0".to_owned() })
    };
    assert!(waits(&Story::recorded().next(&frozen, 0)).ends_with("quarter end"));
    assert!(starts(&Story::recorded(), 100) && starts(&Story::recorded(), -1));
    let paused = Story::recorded().then(1, Event::Paused { comment: "lunch".to_owned() });
    assert_eq!(waits(&paused.next(&frozen, 100)), "paused by ada@here: lunch");
    assert!(starts(&paused.then(2, Event::Resumed { comment: String::new() }), 100));
}

fn promoted() -> Story {
    let story = Story::recorded().converged("0", 0).looked("0", 10, true, PASS);
    story.then(30, Event::Promoted { ring: "0".to_owned(), why: "passed".to_owned() })
}

#[test]
fn where_all_looks_are_due_each_ring_has_its_turn() {
    let course = course(|_| {});
    let judged = promoted().converged("1", 31).looked("1", 41, true, OPEN).looked("0", 42, true, PASS);
    assert_eq!(judged.next(&course, 90), Step::Look("0".to_owned(), Looking::Watch));
    assert_eq!(judged.next_after_a_watch(&course, 90), Step::Look("1".to_owned(), Looking::Judge));
    // Where nothing else is due, one watch may follow another.
    assert_eq!(judged.next_after_a_watch(&course, 50), Step::Wait(NAP, "ring 1 is watched".to_owned()));
    let soon = judged.looked("1", 85, true, OPEN);
    assert_eq!(soon.next_after_a_watch(&course, 90), Step::Look("0".to_owned(), Looking::Watch));
}

#[test]
fn a_ring_that_waits_for_long_is_looked_at_more_seldom() {
    let course = course(|_| {});
    let judged = |looks: i64| {
        (1..=looks).fold(Story::recorded().converged("0", 0), |story, look| story.looked("0", 10 * look, true, OPEN))
    };
    let waiting =
        |looks| judged(looks).then(10 * looks, Event::Waiting { ring: "0".to_owned(), why: "open".to_owned() });
    let due = |looks: i64, after: i64| {
        matches!(waiting(looks).next(&course, 10 * looks + after), Step::Look(_, Looking::Judge))
    };
    assert!(!due(1000, 9) && due(1000, 10), "the first thousand are an interval apart");
    assert!(!due(1500, 14) && due(1500, 15), "half an interval more");
    // What they were apart is what they count for.
    let bakes = |looks| {
        let course = self::course(|plan| plan.rings[0].bake.max = Duration::from_secs(12_500));
        judged(looks).next(&course, 100_000)
    };
    // 1,209 looks in 12,310 s and a little, 1,227 in 12,528 s.
    assert!(matches!(bakes(1209), Step::Look(..)));
    assert!(matches!(bakes(1227), Step::Decide(Event::Waiting { .. })));
}

#[test]
fn of_a_ring_that_keeps_the_build_only_the_latest_looks_are_kept() {
    let kept =
        |story: &Story| State::of(&story.0).ring("0").unwrap().looks.iter().map(|look| look.at).collect::<Vec<_>>();
    let looked = |story: Story, seconds: &mut dyn Iterator<Item = i64>| {
        seconds.fold(story, |story, second| story.looked("0", second, true, PASS))
    };
    let judged = looked(Story::recorded().converged("0", 0), &mut (10..=1000).step_by(10));
    assert_eq!(kept(&judged).len(), 100, "while it is judged, all");
    let promoted = judged.then(1001, Event::Promoted { ring: "0".to_owned(), why: "passed".to_owned() });
    let seldom = looked(promoted.clone(), &mut (1010..=2000).step_by(10));
    assert_eq!(kept(&seldom), (1810..=2000).step_by(10).map(at).collect::<Vec<_>>());
    let often = looked(promoted, &mut (1002..=2000));
    assert_eq!(kept(&often), (1940..=2000).map(at).collect::<Vec<_>>());
    // A clock that goes back makes no old look a new one.
    let back = looked(often, &mut (500..=520));
    assert_eq!(kept(&back), (500..=520).map(at).collect::<Vec<_>>());
}

#[test]
fn looks_that_are_all_due_hold_up_no_step_of_the_next_ring() {
    let course = course(|_| {});
    let started = promoted().started("1", 31);
    let ring = || "1".to_owned();
    for (story, step) in [
        (promoted(), Step::Decide(Event::RingStarted { ring: ring() })),
        (started.clone(), Step::Put(target("1", "a"))),
        (started.clone().writing("1", "a", 32), Step::Ask(target("1", "a"))),
        (
            started.written("1", "a", 33, Taken::Yes).written("1", "b", 34, Taken::Yes),
            Step::Look(ring(), Looking::Converge),
        ),
        (promoted().converged("1", 35), Step::Look(ring(), Looking::Judge)),
    ] {
        assert_eq!(story.next(&course, 50), Step::Look("0".to_owned(), Looking::Watch));
        assert_eq!(story.next_after_a_watch(&course, 50), step);
    }
    let kept = promoted().converged("1", 31).then(32, Event::Promoted { ring: ring(), why: "passed".to_owned() });
    assert!(matches!(kept.next(&course, 50), Step::Look(_, Looking::Watch)));
    assert!(matches!(kept.next_after_a_watch(&course, 50), Step::Decide(Event::Finished { .. })));
}

#[test]
fn rings_that_keep_the_build_are_looked_at_all_the_while() {
    let course = course(|_| {});
    assert_eq!(promoted().next(&course, 39), Step::Decide(Event::RingStarted { ring: "1".to_owned() }));
    assert_eq!(promoted().next(&course, 40), Step::Look("0".to_owned(), Looking::Watch));
    let looked = |gates| promoted().looked("0", 40, true, gates);
    assert_eq!(looked(PASS).next(&course, 49), Step::Decide(Event::RingStarted { ring: "1".to_owned() }));
    assert_eq!(looked(PASS).next(&course, 50), Step::Look("0".to_owned(), Looking::Watch));
    assert_eq!(goes_back(looked(&[("traps", Verdict::Fail)]).next(&course, 41)), "ring 0 failed: traps: so it is");
    let other = looked(&[("errors", Verdict::Fail)]);
    assert_eq!(
        other.next(&course, 41),
        Step::Decide(Event::RingStarted { ring: "1".to_owned() }),
        "what needs a control was decided before"
    );
}

#[test]
fn it_is_done_when_every_ring_has_it() {
    let story =
        promoted().converged("1", 31).then(32, Event::Promoted { ring: "1".to_owned(), why: "passed".to_owned() });
    let finished = Event::Finished { outcome: Outcome::Done, reason: "all 2 rings have the build".to_owned() };
    assert_eq!(story.next(&course(|_| {}), 33), Step::Decide(finished.clone()));
    assert_eq!(story.then(33, finished).next(&course(|_| {}), 34), Step::Over);
}

#[test]
fn back_goes_the_newest_ring_first_and_only_where_something_was_done() {
    let course = course(|_| {});
    let story =
        promoted().started("1", 31).writing("1", "a", 31).then(32, Event::RollingBack { reason: "bad".to_owned() });
    let steps = |story: &Story| story.next(&course, 40);
    assert_eq!(steps(&story), Step::Restore(vec![target("1", "a"), target("0", "b"), target("0", "a")]));
    let restored = |story: Story, ring, name| {
        let sha256 = Some(format!("before {ring}{name}"));
        story
            .then(33, Event::Writing { target: target(ring, name), sha256 })
            .then(33, Event::Restored { target: target(ring, name), taken: Taken::Yes })
    };
    let story = restored(story, "0", "b");
    assert_eq!(steps(&story), Step::Restore(vec![target("1", "a"), target("0", "a")]), "no place waits for another");
    let story = restored(restored(story, "1", "a"), "0", "a");
    assert_eq!(steps(&story), Step::Verify(vec!["1".to_owned(), "0".to_owned()]));
    let verified =
        |story: Story, ring: &str| story.then(34, Event::Verified { ring: ring.to_owned(), found: String::new() });
    let story = verified(verified(story, "1"), "0");
    assert_eq!(steps(&story), Step::Close);
    // Changed again meanwhile: it is put back again, and seen again.
    let story = story.then(35, Event::Writing { target: target("0", "a"), sha256: Some("before 0a".to_owned()) });
    assert_eq!(steps(&story), Step::Restore(vec![target("0", "a")]));
    let story = story.then(36, Event::Restored { target: target("0", "a"), taken: Taken::Yes });
    assert_eq!(steps(&story), Step::Verify(vec!["0".to_owned()]));
}

#[test]
fn nothing_that_was_done_is_nothing_to_take_back() {
    let story = Story::recorded().then(1, Event::RollingBack { reason: "no".to_owned() });
    assert_eq!(story.next(&course(|_| {}), 1), Step::Close);
}

#[test]
fn time_is_never_negative() {
    let story = Story::recorded().converged("0", 5000).looked("0", 5000, true, PASS);
    // The clock was set back by an hour.
    assert!(matches!(story.next(&course(|_| {}), 1400), Step::Wait(..)));
}
