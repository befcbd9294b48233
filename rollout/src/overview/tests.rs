use jiff::SignedDuration;
use serde_json::{Value, json};

use super::fixture::{ALICE, BOB, ID, Story, baking, failed, good, half, kept, killed, paused, taken_back, target};
use super::*;

fn later(story: &Story, seconds: i64) -> Overview {
    Overview::of(&story.entries, story.now() + SignedDuration::from_secs(seconds)).unwrap()
}

fn stages(view: &Overview) -> Vec<Stage> {
    view.rings.iter().map(|ring| ring.stage).collect()
}

#[test]
fn a_good_rollout_is_done_and_every_ring_keeps_the_build() {
    let view = later(&good(), 3_600);
    assert_eq!((view.phase.clone(), view.outcome), (Phase::Done, Some(Outcome::Done)));
    assert_eq!(stages(&view), [Stage::Promoted; 3]);
    assert_eq!((view.rollout.as_str(), view.name.as_deref()), (ID, Some("edge-observer")));
    let ring = view.ring("1").unwrap();
    assert_eq!(
        (ring.before.as_slice(), ring.build.as_deref()),
        (["bbbbbbbbbbb1".to_owned()].as_slice(), Some("aaaaaaaaaaa1"))
    );
    assert_eq!((ring.approvals[0].who.as_str(), ring.approvals[0].what.as_str()), (BOB, "CHG-4711"));
    assert_eq!((ring.looks, ring.expected, ring.control.as_deref()), (3, Some(2), Some("2")));
    assert_eq!(ring.judgement.as_ref().unwrap().verdict, Verdict::Pass);
    assert!(ring.bake.is_none() && !view.stalled, "nothing is waited for when it is over");
    assert_eq!(view.person.what, "approved ring 1: CHG-4711");
}

#[test]
fn every_step_of_a_good_rollout_is_a_phase() {
    let story = good();
    let mut phases: Vec<Phase> = Vec::new();
    for count in 1..=story.entries.len() {
        let entries = &story.entries[..count];
        let phase = Overview::of(entries, entries.last().unwrap().at).unwrap().phase;
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
    }
    let ring = |ring: &str| {
        let ring = ring.to_owned();
        [
            Phase::Writing { ring: ring.clone() },
            Phase::Converging { ring: ring.clone() },
            Phase::Settling { ring: ring.clone() },
            Phase::Baking { ring },
        ]
    };
    let next = |ring: &str| Phase::Next { ring: ring.to_owned() };
    let mut expected = vec![Phase::Preflight, Phase::Recording, next("0")];
    expected.extend(ring("0"));
    expected.extend([next("1"), Phase::Waiting { ring: "1".to_owned() }, next("1")]);
    expected.extend(ring("1"));
    expected.push(next("2"));
    expected.extend(ring("2"));
    expected.extend([Phase::Closing, Phase::Done]);
    assert_eq!(phases, expected);
}

#[test]
fn a_ring_that_failed_is_back_with_what_it_ran_before() {
    let view = later(&failed(), 0);
    assert_eq!(
        (view.phase.clone(), stages(&view)),
        (Phase::RolledBack, vec![Stage::Back, Stage::Untouched, Stage::Untouched])
    );
    let ring = &view.rings[0];
    assert_eq!(ring.judgement.as_ref().unwrap().verdict, Verdict::Fail);
    assert_eq!(ring.places[0].restored, Some(Taken::Yes));
    assert_eq!(ring.places[0].sha256, ring.places[0].before_sha256, "what was put there last is what was there before");
    assert!(view.finished.as_ref().unwrap().what.contains("errors: 1.1 %"), "{view:?}");
    assert_eq!(view.person.who, ALICE, "nobody but who began it said anything");
}

#[test]
fn while_it_is_taken_back_touched_rings_say_so() {
    let story = taken_back();
    let at = story.entries.iter().position(|entry| matches!(entry.what, Event::Verified { .. })).unwrap();
    let view = Overview::of(&story.entries[..=at], story.now()).unwrap();
    assert_eq!(view.phase, Phase::RollingBack);
    assert_eq!(stages(&view), [Stage::TakingBack, Stage::Back, Stage::Untouched], "a ring that was promoted, too");
    assert_eq!(
        (view.person.who.as_str(), view.person.what.as_str()),
        (BOB, "rolling back: asked for by bob@ops-2: checkout is slow")
    );
}

#[test]
fn one_that_was_done_can_still_be_taken_back() {
    let mut story = good();
    story.tell(60, BOB, Event::RollingBack { reason: "asked for by bob@ops-2".to_owned() });
    let view = later(&story, 0);
    assert_eq!((view.phase.clone(), view.outcome, view.finished.clone()), (Phase::RollingBack, None, None));
    assert_eq!(stages(&view), [Stage::TakingBack; 3]);
}

#[test]
fn a_pause_and_what_a_person_is_waited_for_come_before_the_ring() {
    let view = later(&paused(), 86_400);
    assert_eq!(view.phase, Phase::Paused { ring: Some("0".to_owned()) });
    assert_eq!((view.paused.as_ref().unwrap().what.as_str(), view.stalled), ("lunch", false));
    assert_eq!(view.rings[0].stage, Stage::Baking, "it is judged on");
    let mut story = paused();
    story.tell(5, BOB, Event::Resumed { comment: String::new() });
    assert_eq!(later(&story, 0).phase, Phase::Baking { ring: "0".to_owned() });
}

#[test]
fn a_tool_that_was_killed_is_missed() {
    let story = killed();
    let (soon, late) = (later(&story, 60), later(&story, 181));
    assert_eq!(late.phase, Phase::Writing { ring: "1".to_owned() });
    assert_eq!((soon.stalled, late.stalled, late.silent_seconds), (false, true, 181.0));
    let places: Vec<_> = late.rings[1].places.iter().map(|place| (place.touched, place.written.is_some())).collect();
    assert_eq!(places, [(true, true), (true, false)]);
}

#[test]
fn the_time_left_is_the_bakes_and_that_of_the_slowest_gate() {
    let story = baking();
    let bake = later(&story, 0).rings[0].bake.unwrap();
    assert_eq!((bake.passed_seconds, bake.min_left_seconds, bake.max_left_seconds), (240.0, 360.0, 6_960.0));
    // 180 s of looks gave 0.3 of the evidence.
    assert!((bake.estimate_seconds.unwrap() - 420.0).abs() < 1e-6, "{bake:?}");
    let mut no_evidence = baking();
    let mut judgement = half();
    judgement.gates[1].progress = 0.0;
    no_evidence.look(15, "0", judgement);
    assert_eq!(later(&no_evidence, 0).rings[0].bake.unwrap().estimate_seconds, None, "nothing is promised");
    let mut passed = baking();
    let mut judgement = half();
    judgement.gates[1].verdict = Verdict::Pass;
    passed.look(60, "0", judgement);
    assert_eq!(
        later(&passed, 0).rings[0].bake.unwrap().estimate_seconds,
        Some(300.0),
        "what is left is the least time"
    );
}

#[test]
fn a_clock_that_was_set_back_gives_no_negative_times() {
    let story = baking();
    let view = Overview::of(&story.entries, Timestamp::UNIX_EPOCH).unwrap();
    let bake = view.rings[0].bake.unwrap();
    assert_eq!((view.silent_seconds, bake.passed_seconds, bake.min_left_seconds), (0.0, 0.0, 600.0));
}

#[test]
fn a_plan_that_cannot_be_read_any_more_leaves_what_the_entries_say() {
    let mut story = failed();
    if let Event::Opened { plan, .. } = &mut story.entries[0].what {
        *plan = "an older form".to_owned();
    }
    let view = later(&story, 0);
    assert_eq!((view.name.clone(), view.outcome), (None, Some(Outcome::RolledBack)));
    assert_eq!(
        (view.rings.len(), view.rings[0].stage, view.rings[0].places[0].name.as_str()),
        (3, Stage::Back, "127.0.0.2")
    );
}

#[test]
fn a_refused_rollout_touched_nothing() {
    let mut story = Story::new();
    story.open(0, ID);
    story.tell(1, ALICE, Event::Preflight { check: "module".into(), holds: false, found: "it traps".into() });
    story.tell(0, ALICE, Event::Finished { outcome: Outcome::Refused, reason: "module: it traps".into() });
    let view = later(&story, 0);
    assert_eq!((view.phase.clone(), stages(&view)), (Phase::Refused, vec![Stage::Untouched; 3]));
    assert_eq!(view.preflight.iter().filter(|check| !check.holds).count(), 1);
}

#[test]
fn rings_beyond_the_last_one_are_left_out() {
    let mut story = Story::new();
    story.open(0, ID);
    if let Event::Opened { plan, .. } = &mut story.entries[0].what {
        *plan = plan.replace("interval: 15s", "interval: 15s, max_ring: \"1\"");
    }
    assert_eq!(stages(&later(&story, 0)), [Stage::Untouched, Stage::Untouched, Stage::LeftOut]);
}

#[test]
fn what_is_recorded_first_is_what_it_goes_back_to() {
    let mut story = killed();
    let target = target("0", "127.0.0.2");
    story.tell(1, ALICE, Event::Recorded { target, sha256: Some("ours".into()), digest: Some("aaaaaaaaaaa0".into()) });
    let ring = &later(&story, 0).rings[0];
    assert_ne!(ring.places[0].before_sha256.as_deref(), Some("ours"));
    assert_eq!(ring.before, ["bbbbbbbbbbb0"]);
}

#[test]
fn the_json_has_its_documented_shape() {
    let value = serde_json::to_value(later(&baking(), 0)).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys.into_iter().collect::<std::collections::BTreeSet<_>>(),
        [
            "at",
            "configuration_sha256",
            "finished",
            "last",
            "module_sha256",
            "name",
            "outcome",
            "paused",
            "person",
            "phase",
            "preflight",
            "rings",
            "rollout",
            "rolling_back",
            "shape",
            "silent_seconds",
            "stalled",
            "started",
            "trouble",
            "troubles",
            "waiting",
        ]
        .into()
    );
    assert_eq!(value["phase"], json!({"name": "baking", "ring": "0"}));
    let ring = &value["rings"][0];
    assert_eq!(ring["stage"], "baking");
    assert_eq!(ring["places"][0]["written"], "yes");
    assert_eq!(ring["judgement"]["gates"][1]["verdict"], "inconclusive");
    assert_eq!(ring["bake"]["min_left_seconds"], 360.0);
    assert_eq!(value["started"]["at"], "2023-11-14T22:13:20Z");
    assert_eq!(value["outcome"], Value::Null);
}

#[test]
fn history_has_every_rollout_of_a_journal() {
    let mut story = failed();
    story.open(3_600, "018bcfe5-0000-7000-8000-00000000000b").start("0").bake("0");
    let past = history(&story.entries, story.now() + SignedDuration::from_secs(60));
    let [first, second] = past.as_slice() else { panic!("{past:?}") };
    assert_eq!((first.outcome, first.reached.as_slice()), (Some(Outcome::RolledBack), ["0".to_owned()].as_slice()));
    assert!(first.promoted.is_empty() && first.duration_seconds == 104.0, "{first:?}");
    assert_eq!(
        (second.outcome, second.reason.as_deref(), &second.phase),
        (None, None, &Phase::Next { ring: "1".to_owned() })
    );
    assert_eq!(
        (second.rings.len(), second.reached.as_slice(), second.promoted.as_slice()),
        (3, ["0".to_owned()].as_slice(), ["0".to_owned()].as_slice())
    );
    assert_eq!(second.who, ALICE);
}

/// The fixtures are files too, for the tests of who shows them.
#[test]
fn the_journals_in_testdata_are_these() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/journals");
    for (name, story) in [
        ("good", good()),
        ("failed", failed()),
        ("taken-back", taken_back()),
        ("paused", paused()),
        ("baking", baking()),
        ("killed", killed()),
    ] {
        let text: String = story.entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect();
        let file = folder.join(format!("{name}.jsonl"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&file).ok() == Some(text),
            "{}: run again with UPDATE_EXPECT=1",
            file.display()
        );
    }
}

#[test]
fn a_ring_that_keeps_the_build_shows_what_it_keeps_it_for_until_it_fails() {
    let shown = |verdict| {
        let story = kept(verdict);
        let view = Overview::of(&story.entries, story.now()).unwrap();
        let ring = view.ring("0").unwrap();
        let shown = ring.verdict().unwrap();
        (ring.judgement.as_ref().unwrap().verdict, shown.verdict, shown.gates[1].gate.clone())
    };
    for harmless in [Verdict::Pass, Verdict::Inconclusive] {
        assert_eq!(shown(harmless), (Verdict::Pass, Verdict::Pass, "errors".to_owned()));
    }
    assert_eq!(shown(Verdict::Fail), (Verdict::Pass, Verdict::Fail, "traps".to_owned()));
}
