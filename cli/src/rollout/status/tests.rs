use jiff::SignedDuration;
use rollout::journal::entry::{Entry, Event};
use rollout::overview::history;

use super::*;

const JOURNALS: [&str; 6] = ["good", "failed", "taken-back", "paused", "baking", "killed"];

fn entries(name: &str) -> Vec<Entry> {
    let file = format!("{}/../rollout/testdata/journals/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn view(entries: &[Entry], seconds: i64) -> Overview {
    Overview::of(entries, entries.last().unwrap().at + SignedDuration::from_secs(seconds)).unwrap()
}

#[track_caller]
fn check(name: &str, seconds: i64, width: usize, expected: &str) {
    let found = render(&view(&entries(name), seconds), width);
    assert_eq!(found, expected.strip_prefix('\n').unwrap(), "found:\n{found}");
}

#[test]
fn a_ring_that_is_watched() {
    check(
        "baking",
        10,
        100,
        "
edge-observer 018bcfe5-6800-7000-8000-00000000000a
ring 0 is watched: 4 min 10 s of at least 10 min and at most 2 h; about 7 min to go

ring  state      proxies  before        build         gates        requests  control
0     watched          1  bbbbbbbbbbb0  aaaaaaaaaaa0  1 of 2 pass    24,000  2
1     untouched        2  bbbbbbbbbbb1  aaaaaaaaaaa1  –                   –  2
2     untouched        1  bbbbbbbbbbb2  aaaaaaaaaaa2  –                   –  –

ring 0: 127.0.0.2 took the build

   gate      verdict       evidence  ring      control   reason
✓  liveness  pass             100 %                      1 of 1 proxies run the bui…
·  errors    inconclusive      30 %  ▁▂▃▄▅▆▇█  ████████  too few requests

last, 10 s ago, alice@ops-1: looked at ring 0: 1 of 2 gates pass, 0 fail
person, 4 min 35 s ago, alice@ops-1: started, module 120970d81283
",
    );
}

#[test]
fn the_same_in_a_narrow_terminal() {
    check(
        "baking",
        10,
        40,
        "
edge-observer
  018bcfe5-6800-7000-8000-00000000000a
ring 0 is watched: 4 min 10 s of at
  least 10 min and at most 2 h; about 7
  min to go

ring  state      gates
0     watched    1 of 2 pass
1     untouched  –
2     untouched  –

ring 0: 127.0.0.2 took the build

   gate      verdict       evidence
✓  liveness  pass             100 %
·  errors    inconclusive      30 %

· errors: too few requests

last, 10 s ago, alice@ops-1: looked at
  ring 0: 1 of 2 gates pass, 0 fail
person, 4 min 35 s ago, alice@ops-1:
  started, module 120970d81283
",
    );
}

#[test]
fn one_that_failed() {
    check(
        "failed",
        60,
        120,
        "
edge-observer 018bcfe5-6800-7000-8000-00000000000a
rolled back after 1 min 44 s: ring 0 failed: errors: 1.1 % of 48000 requests of the ring are 5xx, 0.4 % of 31000 of its
  control

ring  state      proxies  before        build         gates                requests  control
0     back             1  bbbbbbbbbbb0  aaaaaaaaaaa0  1 of 2 pass, 1 fail    48,000  2
1     untouched        2  bbbbbbbbbbb1  aaaaaaaaaaa1  –                           –  2
2     untouched        1  bbbbbbbbbbb2  aaaaaaaaaaa2  –                           –  –

ring 0: 127.0.0.2 has what it had

   gate      verdict  evidence  ring      control   reason
✓  liveness  pass        100 %                      1 of 1 proxies run the build
✗  errors    fail        100 %  ▁▂▃▄▅▆▇█  ▃▃▃▃▃▃▃▃  1.1 % of 48000 requests of the ring are 5xx, 0…

✗ errors: 1.1 % of 48000 requests of the ring are 5xx, 0.4 % of 31000 of its control

person, 2 min 44 s ago, alice@ops-1: started, module 120970d81283
",
    );
}

#[test]
fn one_whose_tool_was_killed() {
    check(
        "killed",
        300,
        96,
        "
edge-observer 018bcfe5-6800-7000-8000-00000000000a
ring 1 gets the build: 1 of 2 places
nothing was written for 5 min: if the tool is gone, `rollout resume` or `rollout rollback` goes
  on

ring  state          proxies  before        build         gates        requests  control
0     has the build        1  bbbbbbbbbbb0  aaaaaaaaaaa0  2 of 2 pass    48,000  2
1     writing              2  bbbbbbbbbbb1  aaaaaaaaaaa1  –                   –  2
2     untouched            1  bbbbbbbbbbb2  aaaaaaaaaaa2  –                   –  –

ring 1: 127.0.0.3 took the build, 127.0.0.4 being written

last, 5 min ago, alice@ops-1: writing ring 1, 127.0.0.4: 11507a0e2f5e
person, 5 min 4 s ago, bob@ops-2: approved ring 1: go
",
    );
}

#[test]
fn what_goes_on_is_one_sentence() {
    for (name, count, expected) in [
        ("good", 2, "preflight: 1 check held so far"),
        ("good", 5, "what is in place is being recorded"),
        ("good", 7, "ring 0 is next"),
        ("good", 9, "ring 0 gets the build: 0 of 1 places"),
        ("good", 10, "ring 0 has the build; until every proxy runs it"),
        ("good", 12, "ring 0 settles; it is judged in 1 min"),
        ("good", 13, "ring 0 is watched: 1 min of at least 10 min and at most 2 h; 1 h 59 min left at most"),
        (
            "good",
            17,
            "ring 1 waits for a person, 0 s so far: approval before it gets the build; `rollout approve` or `rollout rollback`",
        ),
        ("paused", usize::MAX, "paused at ring 0 by bob@ops-2, 0 s so far: lunch; `rollout resume` goes on"),
        ("good", usize::MAX, "done after 36 min: all 3 rings have the build"),
        ("taken-back", usize::MAX, "rolled back after 17 min: asked for by bob@ops-2: checkout is slow"),
    ] {
        let entries = entries(name);
        let view = view(&entries[..count.min(entries.len())], 0);
        assert_eq!(phase(&view), expected, "{name} after {count}");
    }
}

#[test]
fn what_cannot_be_decided_in_time_is_said() {
    let entries = entries("baking");
    let mut view = view(&entries, 10);
    let bake = view.rings[0].bake.as_mut().unwrap();
    bake.max_left_seconds = 400.0;
    assert!(
        phase(&view).ends_with("at this pace it is not decided in the 6 min 40 s that are left"),
        "{}",
        phase(&view)
    );
    view.rings[0].bake.as_mut().unwrap().max_left_seconds = 0.0;
    assert!(phase(&view).ends_with("its time is over"), "{}", phase(&view));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for name in JOURNALS {
        let view = view(&entries(name), 100);
        for width in NARROWEST..=160 {
            let text = render(&view, width);
            let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
            assert!(widest.chars().count() <= width, "{name}, {width}: {widest}");
        }
    }
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let mut entries = entries("paused");
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n✓  errors  pass\u{9b}31m";
    for entry in &mut entries {
        match &mut entry.what {
            Event::Paused { comment } => evil.clone_into(comment),
            Event::Looked { judgement, .. } => {
                for gate in &mut judgement.gates {
                    evil.clone_into(&mut gate.reason);
                    evil.clone_into(&mut gate.gate);
                }
            }
            _ => {}
        }
        evil.clone_into(&mut entry.who);
    }
    for width in [40, 80, 160] {
        let text = render(&view(&entries, 1), width);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("✓  errors")), "no line is forged: {text}");
    }
    let past = render_history(&history(&entries, entries[0].at), 100);
    assert_eq!(past.lines().count(), 2, "{past:?}");
}

#[test]
fn the_rollouts_of_a_journal() {
    let mut all = entries("failed");
    all.extend(entries("good"));
    all.extend(entries("paused"));
    let past = history(&all, all.last().unwrap().at);
    let expected = "
rollout        started (UTC)     by           module        rings         took  outcome
018bcfe5-6800  2023-11-14 22:13  alice@ops-1  120970d81283  0 of 3  1 min 44 s  rolled back
018bcfe5-6800  2023-11-14 22:13  alice@ops-1  120970d81283  3 of 3      36 min  done
018bcfe5-6800  2023-11-14 22:13  alice@ops-1  120970d81283  0 of 3  4 min 30 s  under way
";
    assert_eq!(render_history(&past, 100), expected.strip_prefix('\n').unwrap());
    assert!(render_history(&past, 140).contains("\n018bcfe5-6800-7000-8000-00000000000a  2023"));
    assert_eq!(render_history(&[], 100), "no rollout yet\n");
}

#[test]
fn sparklines_of_both_have_one_scale() {
    let check = |history: &[(Option<f64>, Option<f64>)], width, ring: &str, control: &str| {
        assert_eq!(sparks(history, width), (ring.to_owned(), control.to_owned()), "{history:?}");
    };
    check(&[], 8, "", "");
    check(&[(Some(0.0), Some(0.0)), (Some(0.0), None)], 8, "▁▁", "▁");
    check(&[(Some(5.0), None), (None, None), (Some(5.0), None)], 8, "▄ ▄", "");
    check(&[(Some(0.0), Some(8.0)), (Some(4.0), Some(8.0)), (Some(8.0), Some(8.0))], 8, "▁▅█", "███");
    check(&[(Some(f64::NAN), Some(f64::INFINITY)), (Some(1.0), Some(2.0))], 8, " ▁", " █");
    // Eight in four steps: means of two.
    let eight: Vec<_> = (0..8).map(|at| (Some(f64::from(at)), None)).collect();
    check(&eight, 4, "▁▃▆█", "");
    let long: Vec<_> = (0..480).map(|at| (Some(f64::from(at)), Some(0.0))).collect();
    let (ring, control) = sparks(&long, 16);
    assert_eq!((ring.chars().count(), control.chars().count()), (16, 16));
}

#[test]
fn lengths_of_time_read_well() {
    for (seconds, expected) in [
        (-3.0, "0 s"),
        (59.4, "59 s"),
        (60.0, "1 min"),
        (245.0, "4 min 5 s"),
        (630.0, "10 min"),
        (7_200.0, "2 h"),
        (3_900.0, "1 h 5 min"),
        (183_600.0, "2 d 3 h"),
    ] {
        assert_eq!(span(seconds), expected);
    }
}

#[test]
fn words_are_wrapped_and_long_ones_broken() {
    assert_eq!(wrap("one two three", 8, 2), "one two\n  three\n");
    assert_eq!(wrap("abcdefghijkl", 5, 2), "abcde\n  fgh\n  ijk\n  l\n");
    assert_eq!(wrap("", 5, 2), "\n");
    assert_eq!((cut("abcdef", 4), cut("abcd", 4)), ("abc…".to_owned(), "abcd".to_owned()));
}
