//! A rollout from its start to its end, and what people ask of it on the way.

use std::time::{Duration, Instant};

use rollout::engine::clock::SystemClock;
use rollout::engine::mailbox::{Ask, Request};
use rollout::engine::next::NAP;
use rollout::engine::{Ended, Error, Reply, Tools, request, resume, rollback, start};
use rollout::hands::Taken;
use rollout::journal::entry::{Entry, Event, Outcome};
use rollout::journal::lock::{Lock, LockError};
use rollout::journal::verify::verify;
use rollout::plan::{Freeze, Inconclusive, Killed};

use super::fake::{Fake, Fleet, Happening, NAME, PROXIES, RINGS, folder, start_of_time, target};

pub(crate) fn fake() -> (tempfile::TempDir, Fake) {
    let folder = folder();
    let fake = Fake::new(folder.path());
    (folder, fake)
}

fn kinds(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| serde_json::to_value(&entry.what).unwrap()["event"].as_str().unwrap().to_owned())
        .collect()
}

fn position(entries: &[Entry], is: impl Fn(&Event) -> bool) -> usize {
    entries.iter().position(|entry| is(&entry.what)).unwrap_or_else(|| panic!("not in {:?}", kinds(entries)))
}

#[test]
fn a_good_build_reaches_every_ring() {
    let (_folder, fake) = fake();
    let ended = start(fake.tools(), &fake.setup()).unwrap();
    assert_eq!(ended, Ended::Done("all 3 rings have the build".to_owned()));
    assert_eq!(fake.fleet(), Fleet::New);

    let entries = fake.entries();
    assert_eq!(fake.lock().seen, entries, "whoever observes hears of each entry, once it is written");
    let recorded = entries.iter().filter(|entry| matches!(entry.what, Event::Recorded { .. })).count();
    assert_eq!(recorded, RINGS * PROXIES);
    let last_record = entries.iter().rposition(|entry| matches!(entry.what, Event::Recorded { .. })).unwrap();
    assert!(
        last_record < position(&entries, |event| matches!(event, Event::Writing { .. })),
        "everything is recorded before anything is written"
    );
    for ring in 0..RINGS {
        let name = ring.to_string();
        let promoted = position(&entries, |event| matches!(event, Event::Promoted { ring, .. } if *ring == name));
        let converged = position(&entries, |event| matches!(event, Event::Converged { ring } if *ring == name));
        let looks = entries[converged..promoted]
            .iter()
            .filter(|entry| matches!(&entry.what, Event::Looked { ring, .. } if *ring == name))
            .count();
        assert!(looks >= 3, "30 s of bake are three looks ten seconds apart, not {looks}");
        if ring > 0 {
            let before = (ring - 1).to_string();
            assert!(
                entries[converged..promoted]
                    .iter()
                    .any(|entry| matches!(&entry.what, Event::Looked { ring, .. } if *ring == before)),
                "rings that keep the build are still looked at"
            );
        }
    }
    let whole = verify(&fake.folder()).unwrap();
    // The module, the configuration, what four places had, and one build for each ring.
    assert_eq!((whole.rollouts, whole.blobs, whole.warnings.as_slice()), (1, 2 + 4 + 3, [].as_slice()));
}

#[test]
fn looks_that_take_longer_than_their_interval_hold_nothing_up() {
    let (_folder, fake) = fake();
    let look = fake.lock().plan.policy.interval + Duration::from_secs(1);
    fake.lock().look = look;
    assert_eq!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done("all 3 rings have the build".to_owned()));
    let entries = fake.entries();
    let last = position(&entries, |event| matches!(event, Event::RingStarted { ring } if ring == "2"));
    for ring in ["0", "1"] {
        let looks: Vec<_> = entries[last..]
            .iter()
            .filter(|entry| matches!(&entry.what, Event::Looked { ring: of, .. } if of == ring))
            .map(|entry| entry.at)
            .collect();
        // Two are watched, and every second step goes forward.
        let rarest = looks.windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap();
        assert!(Duration::try_from(rarest).unwrap() <= 4 * look, "ring {ring} was not looked at for {rarest}");
    }
}

#[test]
fn a_second_rollout_follows_the_first_in_the_same_journal() {
    let (_folder, fake) = fake();
    fake.lock().scores.insert(1, -1.0);
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
    fake.lock().scores.insert(1, 1.0);
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    assert_eq!(verify(&fake.folder()).unwrap().rollouts, 2);
}

#[test]
fn a_failed_gate_takes_everything_back_newest_ring_first() {
    let (_folder, fake) = fake();
    fake.lock().scores.insert(1, -1.0);
    let Ended::RolledBack(reason) = start(fake.tools(), &fake.setup()).unwrap() else { panic!("not rolled back") };
    assert_eq!(reason, "ring 1 failed: errors: Fail, by the score; traps: Fail, by the score");
    assert_eq!(fake.fleet(), Fleet::Old);
    let restored: Vec<_> = fake
        .entries()
        .iter()
        .filter_map(|entry| if let Event::Restored { target, .. } = &entry.what { Some(target.clone()) } else { None })
        .collect();
    assert_eq!(restored, [target(1, 1), target(1, 0), target(0, 1), target(0, 0)]);
    let verified = fake
        .entries()
        .iter()
        .filter_map(|entry| {
            if let Event::Verified { ring, found } = &entry.what { Some((ring.clone(), found.clone())) } else { None }
        })
        .collect::<Vec<_>>();
    assert_eq!(verified[1], ("0".to_owned(), "2 of 2 proxies report build old0, 0 another one".to_owned()));
    assert!(verify(&fake.folder()).is_ok());
}

#[test]
fn an_earlier_ring_that_turns_bad_takes_everything_back() {
    let (_folder, fake) = fake();
    fake.at(75, Happening::Score(0, -1.0));
    let Ended::RolledBack(reason) = start(fake.tools(), &fake.setup()).unwrap() else { panic!("not rolled back") };
    // `errors` is not among the gates of a ring that was promoted: what is compared with a control is decided by then.
    assert_eq!(reason, "ring 0 failed: traps: Fail, by the score");
    assert!(fake.entries().iter().any(|entry| matches!(&entry.what, Event::RingStarted { ring } if ring == "1")));
    assert_eq!(fake.fleet(), Fleet::Old);
}

#[test]
fn a_refused_build_stops_at_the_first_proxy() {
    let (_folder, fake) = fake();
    fake.lock().refuse.insert((0, 0));
    assert_eq!(
        start(fake.tools(), &fake.setup()).unwrap(),
        Ended::RolledBack("ring 0, p0 refused the build: no such field: colour".to_owned())
    );
    assert_eq!(
        fake.lock().writes.iter().map(|(target, _)| target.clone()).collect::<Vec<_>>(),
        [target(0, 0), target(0, 0)]
    );
    assert_eq!(fake.fleet(), Fleet::Old);
}

#[test]
fn a_proxy_that_never_takes_the_build_is_given_up_on() {
    let (_folder, fake) = fake();
    fake.lock().silent.insert((1, 1));
    let Ended::RolledBack(reason) = start(fake.tools(), &fake.setup()).unwrap() else { panic!("not rolled back") };
    assert_eq!(reason, "ring 1, p1 did not take the build within 20 s: still the old one");
    assert_eq!(fake.fleet(), Fleet::Old);
}

#[test]
fn a_quorum_goes_on_without_one_that_is_late() {
    let (_folder, fake) = fake();
    fake.lock().plan.policy.quorum = 0.5;
    fake.lock().silent.insert((1, 1));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    assert!(fake.entries().iter().any(|entry| matches!(&entry.what, Event::Written { taken: Taken::Pending(_), .. })));
}

#[test]
fn a_ring_that_is_not_decided_waits_for_a_person_who_approves() {
    let (_folder, fake) = fake();
    fake.lock().scores.insert(0, 0.0);
    fake.at(50, Happening::Ask(Ask::Approve { ring: None }))
        .at(500, Happening::Ask(Ask::Approve { ring: Some("0".to_owned()) }));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    let entries = fake.entries();
    let at = |is: &dyn Fn(&Event) -> bool| entries[position(&entries, is)].clone();
    let waiting = at(&|event| matches!(event, Event::Waiting { .. }));
    let Event::Waiting { why, .. } = &waiting.what else { unreachable!() };
    assert!(why.starts_with("not decided within 60 s: errors: Inconclusive"), "{why}");
    let approved = at(&|event| matches!(event, Event::Approved { .. }));
    assert_eq!((approved.who.as_str(), approved.at.duration_since(start_of_time()).as_secs()), ("bob@test", 500));
    let early = at(
        &|event| matches!(event, Event::Trouble { what } if what == "an approval was dropped: nothing waits for one"),
    );
    assert!(early.sequence < waiting.sequence, "what is said too soon does not hold later");
    let promoted = at(&|event| matches!(event, Event::Promoted { ring, .. } if ring == "0"));
    assert_eq!(promoted.sequence, approved.sequence + 1);
    assert!(matches!(&promoted.what, Event::Promoted { why, .. } if why == "approved by bob@test: as agreed"));
}

#[test]
fn a_ring_that_is_not_decided_is_taken_back_where_the_file_says_so() {
    let (_folder, fake) = fake();
    fake.lock().scores.insert(0, 0.0);
    fake.lock().plan.policy.inconclusive = Inconclusive::Rollback;
    let Ended::RolledBack(reason) = start(fake.tools(), &fake.setup()).unwrap() else { panic!("not rolled back") };
    assert!(reason.starts_with("ring 0: not decided within 60 s"), "{reason}");
}

#[test]
fn a_ring_that_waits_for_a_person_is_still_judged() {
    let (_folder, fake) = fake();
    fake.lock().scores.insert(0, 0.0);
    fake.at(300, Happening::Score(0, -1.0));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
}

#[test]
fn a_ring_with_approval_is_not_touched_before_it() {
    let (_folder, fake) = fake();
    fake.lock().plan.rings[1].approval = true;
    fake.at(1000, Happening::Ask(Ask::Approve { ring: Some("2".to_owned()) }))
        .at(2000, Happening::Ask(Ask::Approve { ring: None }));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    let entries = fake.entries();
    let started = &entries[position(&entries, |event| matches!(event, Event::RingStarted { ring } if ring == "1"))];
    assert_eq!(started.at.duration_since(start_of_time()).as_secs(), 2000);
}

#[test]
fn a_pause_stops_what_goes_forward_and_not_what_goes_back() {
    let (_folder, fake) = fake();
    fake.at(10, Happening::Ask(Ask::Pause)).at(1000, Happening::Ask(Ask::Resume));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    let entries = fake.entries();
    let promoted = &entries[position(&entries, |event| matches!(event, Event::Promoted { .. }))];
    assert_eq!(promoted.at.duration_since(start_of_time()).as_secs(), 1000);

    let (_folder, fake) = self::fake();
    fake.at(10, Happening::Ask(Ask::Pause)).at(500, Happening::Score(0, -1.0));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
}

#[test]
fn no_ring_starts_in_a_freeze() {
    let (_folder, fake) = fake();
    let until = start_of_time() + Duration::from_secs(3600);
    fake.lock().plan.policy.freeze = vec![Freeze { from: start_of_time(), until, reason: "quarter end".to_owned() }];
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    let entries = fake.entries();
    assert_eq!(entries[position(&entries, |event| matches!(event, Event::RingStarted { .. }))].at, until);
    assert!(fake.lock().waits.iter().any(|wait| wait.ends_with("quarter end")));
}

#[test]
fn a_rollout_goes_no_further_than_its_last_ring() {
    let (_folder, fake) = fake();
    fake.lock().plan.policy.max_ring = Some("1".to_owned());
    assert_eq!(
        start(fake.tools(), &fake.setup()).unwrap(),
        Ended::Done("2 of 3 rings have the build, as far as this rollout goes".to_owned())
    );
    assert_eq!(fake.content(2, 0), None);
}

#[test]
fn what_cannot_be_recorded_refuses_the_rollout() {
    let (_folder, fake) = fake();
    fake.lock().prometheus_away = true;
    let Ended::Refused(reason) = start(fake.tools(), &fake.setup()).unwrap() else { panic!("not refused") };
    assert!(
        reason.starts_with(
            "nothing was changed: ring 0: what runs there before is not known: Prometheus does not answer"
        ),
        "{reason}"
    );
    assert!(fake.lock().writes.is_empty());
}

#[test]
fn a_check_that_does_not_hold_refuses_the_rollout() {
    let (_folder, fake) = fake();
    let mut setup = fake.setup();
    setup.preflight.push(("a/a".to_owned(), false, "errors has no data".to_owned()));
    assert_eq!(start(fake.tools(), &setup).unwrap(), Ended::Refused("a/a: errors has no data".to_owned()));
    assert_eq!(kinds(&fake.entries()), ["opened", "preflight", "preflight", "finished"]);
}

#[test]
fn told_to_stop_it_holds_or_goes_back_as_the_file_says() {
    for (killed, expected) in [(Killed::Hold, None), (Killed::Rollback, Some(Fleet::Old))] {
        let (_folder, fake) = fake();
        fake.lock().plan.policy.killed = killed;
        fake.at(60, Happening::Stop);
        let ended = start(fake.tools(), &fake.setup()).unwrap();
        match expected {
            Some(fleet) => {
                assert_eq!(ended, Ended::RolledBack("the tool was told to end".to_owned()));
                assert_eq!(fake.fleet(), fleet);
            }
            None => {
                assert!(matches!(ended, Ended::Held(_)));
                fake.lock().stop = Default::default();
                assert!(matches!(resume(fake.tools(), NAME, "on we go", false).unwrap(), Ended::Done(_)));
                assert_eq!(fake.fleet(), Fleet::New);
            }
        }
    }
}

#[test]
fn told_twice_to_stop_it_leaves_a_rollback_to_others() {
    let (_folder, fake) = fake();
    fake.lock().plan.policy.killed = Killed::Rollback;
    fake.at(60, Happening::ProxyAway(0, 0, true))
        .at(61, Happening::Stop)
        .at(200, Happening::Stop)
        .at(201, Happening::ProxyAway(0, 0, false));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Held(_)));
    fake.lock().stop = Default::default();
    assert!(matches!(resume(fake.tools(), NAME, "", false).unwrap(), Ended::RolledBack(_)));
    assert_eq!(fake.fleet(), Fleet::Old);
}

#[test]
fn a_rollout_that_is_done_can_be_taken_back() {
    let (_folder, fake) = fake();
    start(fake.tools(), &fake.setup()).unwrap();
    assert!(matches!(resume(fake.tools(), NAME, "", false), Err(Error::Nothing { .. })));
    assert_eq!(rollback(fake.tools(), NAME, "complaints", false).unwrap(), Ended::RolledBack("complaints".to_owned()));
    assert_eq!(fake.fleet(), Fleet::Old);
    let Err(Error::Nothing { last: Some(last), .. }) = rollback(fake.tools(), NAME, "again", false) else {
        panic!("taken back twice")
    };
    assert_eq!(last, "rolled back: complaints");
    assert!(verify(&fake.folder()).is_ok());
}

#[test]
fn what_somebody_else_put_there_is_left_and_reported() {
    let (_folder, fake) = fake();
    // Changed while ring 0 is watched; then ring 1 fails.
    fake.at(20, Happening::Foreign(0, 1))
        .at(21, Happening::Ask(Ask::Rollback { force: false }))
        .at(600, Happening::Mend(0, 1));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
    assert_eq!(fake.fleet(), Fleet::Old);
    let entries = fake.entries();
    let waits: Vec<_> = entries.iter().filter(|entry| matches!(&entry.what, Event::Waiting { why, .. } if why.starts_with("somebody else changed ring 0, p1"))).collect();
    assert_eq!(waits.len(), 1, "said once");
    assert!(entries.last().unwrap().at.duration_since(start_of_time()).as_secs() >= 600);
    assert!(!fake.lock().writes.iter().skip(2).any(|(place, _)| *place == target(0, 1)), "it was not written to again");
}

#[test]
fn force_overwrites_what_somebody_else_put_there() {
    let (_folder, fake) = fake();
    fake.at(20, Happening::Foreign(0, 1))
        .at(21, Happening::Ask(Ask::Rollback { force: false }))
        .at(600, Happening::Ask(Ask::Rollback { force: true }));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
    assert_eq!(fake.fleet(), Fleet::Old);
}

#[test]
fn a_place_that_somebody_changed_meanwhile_does_not_get_the_build() {
    let (_folder, fake) = fake();
    fake.at(20, Happening::Foreign(1, 0))
        .at(600, Happening::Ask(Ask::Approve { ring: None }))
        .at(900, Happening::Mend(1, 0))
        .at(901, Happening::Ask(Ask::Approve { ring: None }));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    assert_eq!(fake.fleet(), Fleet::New);
    let waits = fake.entries().iter().filter(|entry| matches!(&entry.what, Event::Waiting { .. })).count();
    assert_eq!(waits, 2, "approved while it was still there, it waits again");
}

fn asks(ask: Ask, fake: &Fake) -> Request {
    Request { ask, who: "bob@test".to_owned(), comment: "as agreed".to_owned(), at: fake.lock().wall }
}

#[test]
fn what_is_asked_when_nobody_is_at_it_holds_when_it_goes_on() {
    let (_folder, fake) = fake();
    fake.lock().plan.rings[1].approval = true;
    fake.at(100, Happening::Stop);
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Held(_)));
    fake.lock().stop = Default::default();
    let patience = Duration::from_secs(5);
    let Err(Error::Dropped(why)) =
        request(fake.tools(), NAME, &asks(Ask::Approve { ring: Some("2".to_owned()) }, &fake), patience)
    else {
        panic!("approved what does not wait")
    };
    assert_eq!(why, "an approval was dropped: what waits is ring 1: approval before it gets the build");
    assert_eq!(
        request(fake.tools(), NAME, &asks(Ask::Approve { ring: None }, &fake), patience).unwrap(),
        Reply::Written
    );
    let Reply::Ended(Ended::Done(_)) = request(fake.tools(), NAME, &asks(Ask::Resume, &fake), patience).unwrap() else {
        panic!("not done")
    };
    let finished = fake
        .entries()
        .iter()
        .filter(|entry| matches!(entry.what, Event::Finished { outcome: Outcome::Done, .. }))
        .count();
    assert_eq!(finished, 1);
}

#[test]
fn two_operators_are_kept_apart() {
    let (_folder, fake) = fake();
    let lock = Lock::take(&fake.folder(), "eve@elsewhere", start_of_time()).unwrap();
    let Err(Error::Lock(error)) = start(fake.tools(), &fake.setup()) else { panic!("two at once") };
    assert_eq!(
        error.to_string(),
        format!(
            "process {} of eve@elsewhere has been at this rollout since 2026-03-01T08:00:00Z; ask it with `rollout approve`, `pause` or `rollback`, or wait until it ends",
            std::process::id()
        )
    );
    let error = request(fake.tools(), NAME, &asks(Ask::Pause, &fake), Duration::from_secs(5)).unwrap_err();
    assert!(matches!(&error, Error::NotTaken { holder: Some(holder), .. } if holder.who == "eve@elsewhere"), "{error}");
    drop(lock);
    assert!(matches!(Lock::take(&fake.folder(), "ada", start_of_time()), Ok(_) | Err(LockError::Journal(_))));
}

#[test]
fn an_unfinished_rollout_has_to_be_ended_before_the_next() {
    let (_folder, fake) = fake();
    fake.at(30, Happening::Stop);
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Held(_)));
    assert!(matches!(start(fake.tools(), &fake.setup()), Err(Error::UnderWay(_))));
}

/// Ends what is running when a test fails.
struct Ends<'a>(&'a Fake);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let stop = self.0.lock().stop.clone();
            stop.ask();
            stop.ask();
        }
    }
}

#[test]
fn a_running_process_takes_requests_soon() {
    assert!(NAP < Duration::from_secs(1));
    let (_folder, fake) = fake();
    fake.lock().plan.rings[0].approval = true;
    let real = || Tools { clock: Box::new(SystemClock::default()), ..fake.tools() };
    let patience = Duration::from_secs(30);
    let asks = |ask: Ask| Request {
        ask,
        who: "bob@test".to_owned(),
        comment: "as agreed".to_owned(),
        at: jiff::Timestamp::now(),
    };
    std::thread::scope(|scope| {
        let _ends = Ends(&fake);
        let running = scope.spawn(|| start(real(), &fake.setup()).unwrap());
        let deadline = Instant::now() + patience;
        let until = |is: &dyn Fn(&Event) -> bool| {
            while !fake.entries().iter().any(|entry| is(&entry.what)) {
                assert!(Instant::now() < deadline, "{:?}", kinds(&fake.entries()));
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        until(&|event| matches!(event, Event::Waiting { .. }));
        for ask in [Ask::Pause, Ask::Resume, Ask::Approve { ring: None }] {
            let began = Instant::now();
            let Reply::Taken(Some(holder)) = request(real(), NAME, &asks(ask), patience).unwrap() else {
                panic!("not taken")
            };
            assert_eq!(holder.pid, std::process::id());
            // Within a second, were the disk not busy with all the other tests.
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
        until(&|event| matches!(event, Event::Converged { .. }));
        assert!(matches!(
            request(real(), NAME, &asks(Ask::Rollback { force: false }), patience).unwrap(),
            Reply::Taken(_)
        ));
        assert_eq!(running.join().unwrap(), Ended::RolledBack("asked for by bob@test: as agreed".to_owned()));
    });
    assert_eq!(fake.fleet(), Fleet::Old);
}
