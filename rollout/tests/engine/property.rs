//! Whatever people ask, whatever fails and whenever a process is killed: in the end all proxies have the build or all have what they had, the journal
//! says which, and no ring kept the build without a pass or a person's word.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use proptest::prelude::*;
use rollout::engine::course::answered;
use rollout::engine::mailbox::Ask;
use rollout::engine::{Ended, Error, resume, rollback, start};
use rollout::journal::entry::{Entry, Event, Outcome};
use rollout::journal::rollouts;
use rollout::journal::verify::verify;
use rollout::judge::Verdict;
use rollout::plan::{Inconclusive, Killed};

use super::fake::{Fake, Fleet, Happening, Kill, Killed9, NAME, PROXIES, RINGS, folder, unwind};

/// One process: what it does, what happens meanwhile, where it is killed.
#[derive(Debug, Clone)]
struct Process {
    what: u8,
    happenings: Vec<(u64, Happening)>,
    kill: Option<u32>,
    hours: i64,
}

#[derive(Debug, Clone)]
struct Rules {
    hold: bool,
    inconclusive_holds: bool,
    approvals: [bool; RINGS],
    quorum: bool,
}

fn happening() -> impl Strategy<Value = Happening> {
    let place = || (0..RINGS, 0..PROXIES);
    prop_oneof![
        3 => any::<bool>().prop_map(Happening::PrometheusAway),
        3 => (place(), any::<bool>()).prop_map(|((ring, proxy), away)| Happening::ProxyAway(ring, proxy, away)),
        2 => (place(), any::<bool>()).prop_map(|((ring, proxy), silent)| Happening::Silent(ring, proxy, silent)),
        4 => (0..RINGS, prop_oneof![Just(0.0), Just(1.0), Just(-1.0)]).prop_map(|(ring, score)| Happening::Score(ring, score)),
        1 => (-100_000_i64..100_000).prop_map(Happening::Jump),
        4 => proptest::option::of((0..RINGS).prop_map(|ring| ring.to_string())).prop_map(|ring| Happening::Ask(Ask::Approve { ring })),
        2 => Just(Happening::Ask(Ask::Pause)),
        2 => Just(Happening::Ask(Ask::Resume)),
        1 => any::<bool>().prop_map(|force| Happening::Ask(Ask::Rollback { force })),
        1 => Just(Happening::Stop),
        1 => place().prop_map(|(ring, proxy)| Happening::Foreign(ring, proxy)),
        2 => proptest::option::of(0_u64..4000).prop_map(Happening::Room),
    ]
}

fn process() -> impl Strategy<Value = Process> {
    let happenings = proptest::collection::vec((0_u64..250, happening()), 0..8);
    (1_u8..6, happenings, proptest::option::of(1_u32..260), -50_i64..50)
        .prop_map(|(what, happenings, kill, hours)| Process { what, happenings, kill, hours })
}

fn fake(root: &Path, rules: &Rules, hours: i64) -> Fake {
    let fake = Fake::new(root);
    {
        let mut shared = fake.lock();
        shared.wall = shared.wall.saturating_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        shared.plan.policy.killed = if rules.hold { Killed::Hold } else { Killed::Rollback };
        shared.plan.policy.inconclusive =
            if rules.inconclusive_holds { Inconclusive::Hold } else { Inconclusive::Rollback };
        shared.plan.policy.quorum = if rules.quorum { 0.5 } else { 1.0 };
        for (ring, approval) in shared.plan.rings.iter_mut().zip(rules.approvals) {
            ring.approval = approval;
        }
    }
    fake
}

/// Runs a process; `None` when it was killed.
fn run(act: impl FnOnce() -> Result<Ended, Error>) -> Option<Result<Ended, Error>> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Killed9>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// Every ring that kept the build had a pass on its latest look, which was answered, or a person's word.
fn promotions_are_earned(entries: &[Entry]) {
    for (at, entry) in entries.iter().enumerate() {
        let Event::Promoted { ring: name, .. } = &entry.what else { continue };
        let earned = entries[..at].iter().rev().find_map(|before| match &before.what {
            Event::Approved { ring, .. } if ring == name => Some(true),
            Event::Looked { ring, look, judgement } if ring == name => {
                // After an approval there may be looks, while it is paused.
                let approved = entries[..at]
                    .iter()
                    .any(|entry| matches!(&entry.what, Event::Approved { ring, .. } if ring == name));
                Some(approved || (judgement.verdict == Verdict::Pass && answered(look)))
            }
            _ => None,
        });
        assert_eq!(earned, Some(true), "ring {name} at entry {}", entry.sequence);
    }
}

fn check(rules: &Rules, processes: &[Process], back: bool) {
    let folder = folder();
    let root = folder.path();
    let mut foreign = false;
    for (at, process) in processes.iter().cloned().enumerate() {
        // The first one starts the rollout.
        let what = if at == 0 { 0 } else { process.what };
        let fake = fake(root, rules, process.hours);
        for (at, what) in process.happenings {
            foreign |= matches!(what, Happening::Foreign(..));
            fake.at(at, what);
        }
        // It does not wait for ever.
        fake.at(400, Happening::Stop).at(400, Happening::Stop);
        fake.lock().kill = process.kill.map(|at| Kill { at, how: unwind });
        let _ = run(|| match what {
            0 => start(fake.tools(), &fake.setup()),
            1..=3 => resume(fake.tools(), NAME, "again", what == 3),
            _ => rollback(fake.tools(), NAME, "enough", what == 5),
        });
        let entries = fake.entries();
        promotions_are_earned(&entries);
    }

    // Everything is well again, and a person sees to it.
    let last = fake(root, rules, 0);
    for at in 0..40 {
        last.at(at * 100, Happening::Ask(Ask::Approve { ring: None })).at(at * 100 + 1, Happening::Ask(Ask::Resume));
    }
    let back = back || foreign;
    let ended = if back {
        rollback(last.tools(), NAME, "to the end", true)
    } else {
        resume(last.tools(), NAME, "to the end", false)
    };
    let entries = last.entries();
    verify(&last.folder()).unwrap_or_else(|error| panic!("{error:?}"));
    promotions_are_earned(&entries);
    let latest = rollouts(&entries).next_back().unwrap_or_default();
    let outcomes: Vec<_> = latest
        .iter()
        .filter_map(|entry| if let Event::Finished { outcome, .. } = &entry.what { Some(*outcome) } else { None })
        .collect();
    let touched = entries.iter().any(|entry| matches!(entry.what, Event::Writing { .. }));
    match (outcomes.as_slice(), ended) {
        ([Outcome::Done], _) => assert_eq!(last.fleet(), Fleet::New),
        ([Outcome::RolledBack] | [Outcome::Done, Outcome::RolledBack], _) if !foreign => {
            assert_eq!(last.fleet(), Fleet::Old)
        }
        ([Outcome::RolledBack] | [Outcome::Done, Outcome::RolledBack], _) => {
            // What somebody else put in a place that was never touched is not this rollout's.
            let ours =
                (0..RINGS).flat_map(|ring| (0..PROXIES).map(move |proxy| (ring, proxy))).find(|&(ring, proxy)| {
                    last.content(ring, proxy).is_some_and(|bytes| bytes.starts_with(b"config: new"))
                });
            assert_eq!(ours, None);
        }
        ([Outcome::Refused], _) => assert!(!touched),
        ([], Err(Error::Nothing { .. })) => assert!(latest.is_empty() && !touched),
        (outcomes, ended) => panic!("{outcomes:?} {ended:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {  max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_always_ends_well(
        hold in any::<bool>(),
        inconclusive_holds in any::<bool>(),
        approvals in any::<[bool; RINGS]>(),
        quorum in any::<bool>(),
        processes in proptest::collection::vec(process(), 1..5),
        back in any::<bool>(),
    ) {
        check(&Rules { hold, inconclusive_holds, approvals, quorum }, &processes, back);
    }
}
