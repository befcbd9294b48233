//! Things that go away, fill up or jump.

use rollout::engine::mailbox::Ask;
use rollout::engine::{Ended, Error, resume, start};
use rollout::journal;
use rollout::journal::entry::{Entry, Event};
use rollout::journal::verify::verify;

use super::fake::{Fake, Fleet, Happening, NAME, start_of_time};
use super::steps::fake;

fn seconds(entry: &Entry) -> i64 {
    entry.at.duration_since(start_of_time()).as_secs()
}

fn promoted(fake: &Fake, name: &str) -> i64 {
    seconds(
        fake.entries()
            .iter()
            .find(|entry| matches!(&entry.what, Event::Promoted { ring, .. } if ring == name))
            .unwrap(),
    )
}

fn troubles(fake: &Fake) -> Vec<(i64, String)> {
    let entries = fake.entries();
    entries
        .iter()
        .filter_map(
            |entry| if let Event::Trouble { what } = &entry.what { Some((seconds(entry), what.clone())) } else { None },
        )
        .collect()
}

#[test]
fn without_prometheus_nothing_is_promoted_and_it_goes_on_afterwards() {
    let (_folder, fake) = fake();
    let usual = {
        let (_folder, fake) = self::fake();
        start(fake.tools(), &fake.setup()).unwrap();
        promoted(&fake, "0")
    };
    // It is away just as the ring would be promoted.
    fake.at(20, Happening::PrometheusAway(true)).at(50, Happening::PrometheusAway(false));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    let late = promoted(&fake, "0");
    assert!(usual < 50 && late >= 50, "{usual} {late}");
    let away: Vec<_> = troubles(&fake);
    assert_eq!(away.len(), 1, "said once: {away:?}");
    assert_eq!(away[0].1, "ring 0: Prometheus does not answer: connection refused; nothing is promoted until it does");
}

#[test]
fn without_prometheus_for_long_a_person_is_waited_for() {
    let (_folder, fake) = fake();
    fake.at(20, Happening::PrometheusAway(true))
        .at(3000, Happening::PrometheusAway(false))
        .at(3001, Happening::Ask(Ask::Approve { ring: None }));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    assert!(promoted(&fake, "0") >= 3001);
}

#[test]
fn without_prometheus_a_ring_that_converges_is_not_given_up_on() {
    let (_folder, fake) = fake();
    // The first ring has taken the build when nobody can be asked whether it runs it.
    fake.lock().silent.insert((0, 1));
    fake.at(1, Happening::PrometheusAway(true))
        .at(5, Happening::Silent(0, 1, false))
        .at(400, Happening::PrometheusAway(false));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
    assert_eq!(fake.fleet(), Fleet::New);
    let entries = fake.entries();
    assert!(
        entries
            .iter()
            .any(|entry| matches!(entry.what, Event::Converged { .. }) && (400..=410).contains(&seconds(entry)))
    );
}

#[test]
fn a_rollback_goes_on_without_prometheus_and_ends_only_with_it() {
    let (_folder, fake) = fake();
    fake.at(20, Happening::PrometheusAway(true))
        .at(21, Happening::Ask(Ask::Rollback { force: false }))
        .at(2000, Happening::PrometheusAway(false));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
    let entries = fake.entries();
    let restored = entries.iter().rfind(|entry| matches!(entry.what, Event::Restored { .. })).unwrap();
    assert!(seconds(restored) < 30, "the bytes do not wait for it");
    assert!(seconds(entries.last().unwrap()) >= 2000);
    let said =
        troubles(&fake).into_iter().filter(|(_, what)| what.contains("what it ran before is not seen yet")).count();
    assert!((2..=8).contains(&said), "said now and then: {said}");
}

#[test]
fn a_proxy_that_is_away_does_not_keep_the_others_from_going_back() {
    let (_folder, fake) = fake();
    fake.lock().scores.insert(1, -1.0);
    fake.at(32, Happening::ProxyAway(0, 0, true)).at(4000, Happening::ProxyAway(0, 0, false));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
    assert_eq!(fake.fleet(), Fleet::Old);
    let entries = fake.entries();
    let restored: Vec<_> = entries
        .iter()
        .filter_map(|entry| {
            if let Event::Restored { target, .. } = &entry.what {
                Some((target.to_string(), seconds(entry)))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(restored.len(), 4);
    assert!(restored[..3].iter().all(|(_, at)| *at < 200), "{restored:?}");
    assert!(restored[3].0 == "ring 0, p0" && restored[3].1 >= 4000, "{restored:?}");
    let trouble: Vec<_> =
        troubles(&fake).into_iter().filter(|(_, what)| what == "ring 0, p0: no route to host").collect();
    assert!((10..=16).contains(&trouble.len()), "every five minutes: {trouble:?}");
    let announced = entries
        .iter()
        .filter(|entry| matches!(&entry.what, Event::Writing { target, .. } if target.to_string() == "ring 0, p0"));
    assert_eq!(announced.count(), 2, "the build, and what was there before");
}

#[test]
fn a_proxy_that_is_gone_for_good_can_be_left_by_force() {
    let (_folder, fake) = fake();
    // It had its bytes back, and then it was gone.
    fake.at(20, Happening::Ask(Ask::Rollback { force: false }))
        .at(20, Happening::PrometheusAway(true))
        .at(600, Happening::Ask(Ask::Rollback { force: true }));
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::RolledBack(_)));
    assert_eq!(fake.fleet(), Fleet::Old);
    let entries = fake.entries();
    let verified = entries
        .iter()
        .find_map(|entry| if let Event::Verified { found, .. } = &entry.what { Some(found.clone()) } else { None })
        .unwrap();
    assert!(verified.starts_with("not seen, and not waited for any longer, as was asked"), "{verified}");
}

#[test]
fn a_full_disk_stops_it_before_anything_that_is_not_recorded() {
    // The room runs out in every entry, in every blob, in turn.
    let total = {
        let (_folder, fake) = fake();
        start(fake.tools(), &fake.setup()).unwrap();
        std::fs::metadata(fake.folder().journal()).unwrap().len()
    };
    let mut stopped = 0;
    for room in (0..total).step_by(usize::try_from(total / 60).unwrap()) {
        let (_folder, fake) = fake();
        fake.lock().room = Some(room);
        match start(fake.tools(), &fake.setup()) {
            Err(Error::Journal(error @ journal::Error::NotWritten { .. })) => {
                stopped += 1;
                assert!(
                    error.to_string().contains("nothing is changed on the fleet without a record of it"),
                    "{error}"
                );
                let announced =
                    fake.entries().iter().filter(|entry| matches!(entry.what, Event::Writing { .. })).count();
                assert!(
                    fake.lock().writes.len() <= announced,
                    "{} writes, {announced} announced",
                    fake.lock().writes.len()
                );
                // There is still no room: still nothing happens.
                let writes = fake.lock().writes.len();
                let _ = resume(fake.tools(), NAME, "", false).unwrap_err();
                assert_eq!(fake.lock().writes.len(), writes);
                fake.lock().room = None;
                match resume(fake.tools(), NAME, "there is room again", false) {
                    Ok(Ended::Done(_)) => assert_eq!(fake.fleet(), Fleet::New),
                    Err(Error::Nothing { .. }) => assert_eq!(fake.fleet(), Fleet::Old, "it had not begun"),
                    other => panic!("{other:?}"),
                }
                verify(&fake.folder()).unwrap();
            }
            other => panic!("room for {room} bytes of {total}: {other:?}"),
        }
    }
    assert!(stopped >= 60, "{stopped}");
}

#[test]
fn a_clock_that_jumps_promotes_nothing() {
    for hours in [-48, -1, 1, 48] {
        let (_folder, fake) = fake();
        fake.at(12, Happening::Jump(hours * 3600));
        assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Done(_)));
        let looks = fake
            .entries()
            .iter()
            .take_while(|entry| !matches!(entry.what, Event::Promoted { .. }))
            .filter(|entry| matches!(entry.what, Event::Looked { .. }))
            .count();
        assert!(looks >= 4, "{hours} h: {looks} looks before the first promotion, one of them to see it converge");
        let whole = verify(&fake.folder()).unwrap();
        assert_eq!(whole.warnings.len(), usize::from(hours < 0), "{:?}", whole.warnings);
    }
}

#[test]
fn a_clock_that_jumped_while_nobody_was_there_promotes_nothing() {
    for hours in [-48_i64, 48] {
        let (_folder, fake) = fake();
        fake.at(15, Happening::Stop);
        assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Held(_)));
        fake.lock().stop = Default::default();
        let passed = fake.lock().steady;
        fake.at(0, Happening::Jump(hours * 3600));
        // The script is looked at when time passes.
        rollout::engine::clock::Clock::sleep(&fake, std::time::Duration::ZERO);
        assert!(matches!(resume(fake.tools(), NAME, "", false).unwrap(), Ended::Done(_)));
        let looks = fake
            .entries()
            .iter()
            .take_while(|entry| !matches!(entry.what, Event::Promoted { .. }))
            .filter(|entry| matches!(entry.what, Event::Looked { .. }))
            .count();
        assert!(looks >= 4, "{hours} h: {looks} looks");
        assert!(fake.lock().steady > passed + std::time::Duration::from_secs(60), "three rings take their time");
    }
}

#[test]
fn a_request_that_is_none_is_dropped_and_reported() {
    let (_folder, fake) = fake();
    fake.folder().make().unwrap();
    let script = fake.clone();
    fake.at(5, Happening::Ask(Ask::Pause)).at(6, Happening::Ask(Ask::Resume));
    let path = fake.folder().requests().join("0-broken.json");
    // It is there when the rollout is taken up again; `start` drops what was asked of the one before.
    fake.at(10, Happening::Stop);
    assert!(matches!(start(fake.tools(), &fake.setup()).unwrap(), Ended::Held(_)));
    std::fs::write(&path, "{").unwrap();
    script.lock().stop = Default::default();
    assert!(matches!(resume(fake.tools(), NAME, "", false).unwrap(), Ended::Done(_)));
    assert!(!path.exists());
    assert!(troubles(&fake).iter().any(|(_, what)| what.contains("a request was dropped")));
}
