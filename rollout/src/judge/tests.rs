//! The gates on looks that are made by hand: two rings of two proxies, each of which counts on.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::signals::*;
use super::{Arm, Asked, Case, GateVerdict, Judgement, Look, Verdict, judge, look};
use crate::metrics::{Answer, Metrics, MetricsError, Sample};
use crate::plan::{Plan, parse};

const NEW: &str = "aaaaaaaaaaaa";
const OLD: &str = "bbbbbbbbbbbb";

fn plan(more: &str) -> Plan {
    let text = format!(
        r#"
name: edge
artifact: {{module: a, configuration: b}}
hands: {{file_ecds: {{}}}}
prometheus: {{url: http://p}}
rings:
- name: "0"
  instances:
  - {{name: r1, ecds: r1/e, modules: m, admin: http://a:1}}
  - {{name: r2, ecds: r2/e, modules: m, admin: http://a:1}}
- name: "1"
  instances:
  - {{name: c1, ecds: c1/e, modules: m, admin: http://a:1}}
  - {{name: c2, ecds: c2/e, modules: m, admin: http://a:1}}
{more}
"#
    );
    parse(&text, Path::new("/")).unwrap()
}

/// One proxy at one look, changed by a test.
type Page = BTreeMap<(String, String), f64>;

/// What a proxy has counted after so many looks of 15 s with 1,500 requests each; one in 100 fails.
fn page(arm: Arm, at: usize) -> Page {
    let looks = at as f64 + 1.0;
    let requests = 1_500.0 * looks;
    let build = if arm == Arm::Ring { NEW } else { OLD };
    let time = 1_700_000_000.0 + 15.0 * at as f64;
    // Every second interval is a little slower, so that there is a spread to learn.
    let wobble = if at.is_multiple_of(2) { 0.0 } else { 30.0 };
    [
        (BUILD, build, 1.0),
        (HEARTBEAT, "0", 15.0 * looks),
        (HEARTBEAT, "1", 15.0 * looks),
        (THREADS, "", 2.0),
        (REQUESTS, "", requests),
        (REQUESTS_AT, "", time),
        (COUNTED, "", requests),
        (COUNTED_AT, "", time),
        (FAILED, "", 15.0 * looks),
        (UPTIME, "", 1_000.0 + 15.0 * looks),
        (DURATION_SUM, "/a", requests * 8_000.0 + wobble),
        (DURATION_COUNT, "/a", requests),
        (CPU, "", requests * 0.000_3),
        (MEMORY, "", 100e6),
        (SERIES, "", 1_000.0),
        (BUDGET, "", 60_000.0),
    ]
    .into_iter()
    .map(|(signal, key, value)| ((signal.to_owned(), key.to_owned()), value))
    .collect()
}

/// Looks, each proxy's pages changed by `change`; a proxy whose page is `None` was not scraped.
fn looks(plan: &Plan, count: usize, change: impl Fn(&str, usize, &mut Option<Page>)) -> Vec<Look> {
    let case = case(plan);
    (0..count)
        .map(|at| {
            let mut asked = Vec::new();
            for (arm, proxies, ring) in
                [(Arm::Ring, ["r1", "r2"], Some(case.ring)), (Arm::Control, ["c1", "c2"], case.control)]
            {
                let Some(ring) = ring else { continue };
                let pages = proxies.map(|proxy| {
                    let mut page = Some(page(arm, at));
                    change(proxy, at, &mut page);
                    (proxy, page)
                });
                for signal in of(plan) {
                    let mut answer = Answer::default();
                    for (proxy, page) in &pages {
                        for ((name, key), value) in page.iter().flatten().filter(|((name, _), _)| *name == signal.name)
                        {
                            let mut labels = BTreeMap::from([("instance".to_owned(), (*proxy).to_owned())]);
                            if !key.is_empty() {
                                let label = if name == HEARTBEAT {
                                    "worker"
                                } else if name == BUILD {
                                    "config"
                                } else {
                                    "endpoint"
                                };
                                labels.insert(label.to_owned(), key.clone());
                            }
                            answer.samples.push(Sample { labels, value: *value });
                        }
                    }
                    let query = signal.resolved(&plan.gates, ring);
                    asked.push(Asked { signal: signal.name, arm, query, answer: Ok(answer) });
                }
            }
            let start = Timestamp::from_second(1_700_000_000).unwrap();
            Look { at: start + SignedDuration::from_secs(15 * at as i64), asked }
        })
        .collect()
}

fn case(plan: &Plan) -> Case<'_> {
    Case { plan, ring: &plan.rings[0], control: Some(&plan.rings[1]), digest: Some(NEW) }
}

fn verdict(plan: &Plan, looks: &[Look]) -> Judgement {
    judge(&case(plan), looks)
}

fn gate(judgement: &Judgement, name: &str) -> GateVerdict {
    judgement.gates.iter().find(|gate| gate.gate == name).unwrap_or_else(|| panic!("{name}: {judgement:?}")).clone()
}

fn set(page: &mut Option<Page>, signal: &str, key: &str, value: f64) {
    page.as_mut().unwrap().insert((signal.to_owned(), key.to_owned()), value);
}

#[test]
fn rings_that_are_alike_pass_every_gate() {
    let plan = plan("");
    let looks = looks(&plan, 60, |_, _, _| {});
    let judgement = verdict(&plan, &looks);
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!(judgement.requests, 2.0 * 59.0 * 1_500.0);
    assert_eq!(judgement.gates.len(), 11);
    assert_eq!(verdict(&plan, &looks), judgement, "the same looks give the same");
    // The fleet compared with itself does not care which build it is.
    let same = Case { digest: None, ..case(&plan) };
    assert_eq!(judge(&same, &looks).verdict, Verdict::Pass);
}

#[test]
fn nothing_passes_before_there_is_evidence() {
    let plan = plan("");
    for count in [0, 1, 2] {
        assert_eq!(verdict(&plan, &looks(&plan, count, |_, _, _| {})).verdict, Verdict::Inconclusive, "{count}");
    }
}

#[test]
fn more_errors_than_the_control_fail_with_the_numbers() {
    let plan = plan("");
    let looks = looks(&plan, 20, |proxy, at, page| {
        if proxy.starts_with('r') {
            set(page, FAILED, "", 45.0 * (at as f64 + 1.0));
        }
    });
    let errors = gate(&verdict(&plan, &looks), "errors");
    assert_eq!(errors.verdict, Verdict::Fail);
    assert!(
        errors
            .reason
            .starts_with("3.00 % of 57,000 in ring 0 failed with 5xx, 1.00 % of 57,000 in ring 1; evidence against "),
        "{}",
        errors.reason
    );
    assert_eq!((errors.numbers["requests"], errors.numbers["bad"]), (57_000.0, 1_710.0));
}

#[test]
fn a_slower_endpoint_is_named() {
    let plan = plan("");
    let looks = looks(&plan, 40, |proxy, at, page| {
        if proxy.starts_with('r') {
            let requests = 1_500.0 * (at as f64 + 1.0);
            let wobble = if at.is_multiple_of(2) { 0.0 } else { 9e5 };
            set(page, DURATION_SUM, "/a", requests * 11_000.0 + wobble);
        }
    });
    let latency = gate(&verdict(&plan, &looks), "latency");
    assert_eq!(latency.verdict, Verdict::Fail, "{latency:?}");
    assert!(
        latency.reason.starts_with("/a: 11.") && latency.reason.contains("8.00 ms in ring 1"),
        "{}",
        latency.reason
    );
}

#[test]
fn what_the_filter_does_not_count_fails_beyond_the_blur() {
    let plan = plan("");
    let forgets = |share: f64| {
        looks(&plan, 40, move |proxy, at, page| {
            if proxy.starts_with('r') {
                set(page, COUNTED, "", (1.0 - share) * 1_500.0 * (at as f64 + 1.0));
            }
        })
    };
    let two = gate(&verdict(&plan, &forgets(0.02)), "completeness");
    assert_eq!(two.verdict, Verdict::Fail, "{}", two.reason);
    assert!(
        two.reason.starts_with("of 117,000 requests of ring 0 the filter did not count 2,340, ± "),
        "{}",
        two.reason
    );
    // Counting twice is as wrong.
    assert_eq!(gate(&verdict(&plan, &forgets(-0.02)), "completeness").verdict, Verdict::Fail);
    assert_eq!(gate(&verdict(&plan, &forgets(0.0)), "completeness").verdict, Verdict::Pass);
}

#[test]
fn a_worker_that_falls_silent_is_a_trap_also_behind_a_gap() {
    let plan = plan("");
    let silent = |gap: bool| {
        looks(&plan, 20, move |proxy, at, page| {
            if proxy == "r2" && at >= 10 {
                set(page, HEARTBEAT, "1", 15.0 * 10.0);
            }
            if gap && proxy == "r2" && at == 14 {
                *page = None;
            }
        })
    };
    for gap in [false, true] {
        let traps = gate(&verdict(&plan, &silent(gap)), "traps");
        assert_eq!(traps.verdict, Verdict::Fail, "{gap}: {}", traps.reason);
        assert!(traps.reason.contains("worker 1 of r2 does not tick any more"), "{}", traps.reason);
    }
}

#[test]
fn what_a_dead_vm_leaves_uncounted_is_laid_to_it() {
    let plan = plan("");
    let dies = |dead: bool| {
        looks(&plan, 12, move |proxy, at, page| {
            if proxy == "r2" && at >= 11 {
                set(page, COUNTED, "", 1_500.0 * 11.0 + 10.0);
                if dead {
                    set(page, HEARTBEAT, "1", 15.0 * 11.0);
                }
            }
        })
    };
    let found = verdict(&plan, &dies(true));
    // One interval is too short to say that it will not come back, …
    assert_ne!(gate(&found, "traps").verdict, Verdict::Fail);
    // … and what is lost meanwhile is lost all the same.
    let completeness = gate(&found, "completeness");
    assert_eq!(completeness.verdict, Verdict::Fail, "{}", completeness.reason);
    let why = "; worker 1 of r2 has not ticked for 15 s while its proxy answers, as when its VM has failed";
    assert!(completeness.reason.ends_with(why), "{}", completeness.reason);
    let alive = gate(&verdict(&plan, &dies(false)), "completeness");
    assert!(alive.verdict == Verdict::Fail && !alive.reason.contains("ticked"), "{}", alive.reason);
}

#[test]
fn vms_that_fail_are_traps_unless_the_control_has_them_too() {
    let plan = plan("");
    let failing = |both: bool| {
        looks(&plan, 20, move |proxy, at, page| {
            if proxy == "r1" || (both && proxy == "c1") {
                set(page, VM_FAILURES, "", (at / 5) as f64);
            }
        })
    };
    assert_eq!(gate(&verdict(&plan, &failing(false)), "traps").verdict, Verdict::Fail);
    assert_ne!(gate(&verdict(&plan, &failing(true)), "traps").verdict, Verdict::Fail);
}

#[test]
fn nothing_is_never_less_than_nothing() {
    let plan = plan("");
    for look in 0..4 {
        let judgement = verdict(&plan, &looks(&plan, 4, |_, _, _| {})[..look]);
        let numbers = judgement.gates.iter().flat_map(|gate| gate.numbers.values().copied().chain([gate.progress]));
        assert!(
            numbers.chain([judgement.requests]).all(|number| number != 0.0 || number.is_sign_positive()),
            "{judgement:#?}"
        );
    }
}

#[test]
fn another_build_and_a_lost_quorum_fail_when_they_last() {
    let plan = plan("");
    let other = looks(&plan, 8, |proxy, at, page| {
        if proxy == "r2" && at >= 4 {
            page.as_mut().unwrap().remove(&(BUILD.to_owned(), NEW.to_owned()));
            set(page, BUILD, OLD, 1.0);
        }
    });
    let liveness = gate(&verdict(&plan, &other), "liveness");
    assert_eq!(
        (liveness.verdict, liveness.reason.as_str()),
        (Verdict::Fail, "r2 reports bbbbbbbbbbbb, not build aaaaaaaaaaaa")
    );
    assert_eq!(gate(&verdict(&plan, &other[..6]), "liveness").verdict, Verdict::Inconclusive);
    let gone = looks(&plan, 10, |proxy, at, page| {
        if proxy == "r2" && at >= 4 {
            *page = None;
        }
    });
    // Five scrapes that failed, and one more.
    assert_eq!(gate(&verdict(&plan, &gone[..9]), "liveness").verdict, Verdict::Inconclusive);
    let liveness = gate(&verdict(&plan, &gone), "liveness");
    assert_eq!(liveness.verdict, Verdict::Fail);
    assert!(
        liveness.reason.starts_with("lost quorum: 1 of 2 proxies report build aaaaaaaaaaaa"),
        "{}",
        liveness.reason
    );
}

#[test]
fn one_restart_is_left_out_and_many_fail() {
    let plan = plan("");
    let once = looks(&plan, 60, |proxy, at, page| {
        if proxy == "r1" && at >= 30 {
            // Another process: it began to count anew.
            *page = Some(self::page(Arm::Ring, at - 30));
        }
    });
    let judgement = verdict(&plan, &once);
    assert_eq!(gate(&judgement, "restarts").verdict, Verdict::Pass);
    assert_eq!(gate(&judgement, "errors").verdict, Verdict::Pass, "{judgement:#?}");
    let often = looks(&plan, 20, |_, at, page| {
        if page.as_ref().unwrap().contains_key(&(BUILD.to_owned(), NEW.to_owned())) {
            set(page, UPTIME, "", 10.0 + (at % 5) as f64);
        }
    });
    assert_eq!(gate(&verdict(&plan, &often), "restarts").verdict, Verdict::Fail);
}

#[test]
fn refusals_and_series_without_end_fail() {
    let plan = plan("");
    let refused = looks(&plan, 5, |proxy, at, page| {
        if proxy == "r1" {
            set(page, REFUSALS, "", if at >= 3 { 1.0 } else { 0.0 });
        }
    });
    assert_eq!(gate(&verdict(&plan, &refused), "refusals").verdict, Verdict::Fail);
    let exploding = looks(&plan, 20, |proxy, at, page| {
        if proxy == "r1" {
            set(page, SERIES, "", 1_000.0 + 100.0 * at as f64);
        }
    });
    let series = gate(&verdict(&plan, &exploding), "series");
    assert_eq!(series.verdict, Verdict::Fail);
    assert!(series.reason.starts_with("a proxy of ring 0 has 2,900 series, of ring 1 1,000;"), "{}", series.reason);
    let slowly = looks(&plan, 20, |proxy, at, page| {
        if proxy == "r1" {
            set(page, SERIES, "", 1_000.0 + 8.0 * at as f64);
        }
    });
    assert_eq!(gate(&verdict(&plan, &slowly), "series").verdict, Verdict::Inconclusive, "it is not through yet");
    // A proxy that began anew comes to have what the others have.
    let catching_up = looks(&plan, 20, |proxy, at, page| {
        if proxy.starts_with('r') {
            set(page, SERIES, "", 500.0 + 20.0 * at as f64);
        }
    });
    assert_eq!(gate(&verdict(&plan, &catching_up), "series").verdict, Verdict::Pass);
    let over = looks(&plan, 5, |proxy, _, page| {
        if proxy == "r1" {
            set(page, SERIES, "", 60_001.0);
        }
    });
    assert_eq!(gate(&verdict(&plan, &over), "series").reason, "r1 has 60,001 series, its configuration allows 60,000");
}

#[test]
fn missing_data_is_told_by_name_and_never_a_pass() {
    let plan = plan("");
    let good = looks(&plan, 60, |_, _, _| {});
    let with = |signal: &str, arm: Arm, answer: Result<Answer, MetricsError>| {
        let mut looks = good.clone();
        let last = looks.last_mut().unwrap();
        let asked = last.asked.iter_mut().find(|asked| asked.signal == signal && asked.arm == arm).unwrap();
        asked.answer = answer;
        looks
    };
    let away = || Err(MetricsError::Away("connection refused".into()));
    let refused = || Err(MetricsError::Refused("parse error".into()));
    let none = || Ok(Answer::default());
    let no_numbers = || Ok(Answer { not_numbers: 2, ..Answer::default() });
    for (signal, arm, answer, name, reason) in [
        (CPU, Arm::Ring, none(), "cpu", "cpu of ring 0: no series"),
        (CPU, Arm::Control, none(), "cpu", "cpu of ring 1: no series"),
        (MEMORY, Arm::Ring, no_numbers(), "memory", "memory of ring 0: 2 series, none of which is a number"),
        (SERIES, Arm::Control, away(), "series", "series of ring 1: Prometheus does not answer: connection refused"),
        (COUNTED, Arm::Ring, refused(), "completeness", "counted of ring 0: Prometheus refused the query: parse error"),
        (FAILED, Arm::Ring, away(), "errors", "failed of ring 0: Prometheus does not answer: connection refused"),
        (DURATION_SUM, Arm::Ring, none(), "latency", "duration_sum of ring 0: no series"),
        (UPTIME, Arm::Ring, none(), "restarts", "uptime of ring 0: no series"),
        (REFUSALS, Arm::Ring, refused(), "refusals", "refusals of ring 0: Prometheus refused the query: parse error"),
        (BUILD, Arm::Ring, away(), "liveness", "build of ring 0: Prometheus does not answer: connection refused"),
    ] {
        let judgement = verdict(&plan, &with(signal, arm, answer));
        let found = gate(&judgement, name);
        assert_eq!((found.verdict, found.reason.as_str()), (Verdict::Inconclusive, reason), "{name}");
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
    }
}

#[test]
fn a_control_without_requests_decides_nothing() {
    let plan = plan("");
    let looks = looks(&plan, 30, |proxy, _, page| {
        if proxy.starts_with('c') {
            for signal in [REQUESTS, COUNTED] {
                set(page, signal, "", 0.0);
            }
        }
    });
    let errors = gate(&verdict(&plan, &looks), "errors");
    assert_eq!((errors.verdict, errors.reason.as_str()), (Verdict::Inconclusive, "no requests in ring 1 yet"));
}

#[test]
fn without_a_control_only_what_stands_alone_is_judged() {
    let plan = plan("");
    let alone = Case { control: None, ..case(&plan) };
    let mut looks = looks(&plan, 60, |_, _, _| {});
    looks.iter_mut().for_each(|look| look.asked.retain(|asked| asked.arm == Arm::Ring));
    let judgement = judge(&alone, &looks);
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!(gate(&judgement, "errors").reason, "not compared: no ring runs the build before any more");
}

#[test]
fn own_gates_are_judged_as_the_others() {
    let plan = plan(
        r#"
gates:
  own:
  - {name: age, within: {query: "max(age{{{select}}})", max: 60}}
  - {name: carts, share: {bad: "bad{{{select}}}", total: "all{{{select}}}", smallest_harm: 0.01}}
"#,
    );
    let value =
        |value: f64| Ok(Answer { samples: vec![Sample { labels: BTreeMap::new(), value }], ..Answer::default() });
    let mut looks = looks(&plan, 30, |proxy, at, page| {
        let all = 1_000.0 * (at as f64 + 1.0);
        set(page, "own:carts:total", "", all);
        set(page, "own:carts:bad", "", if proxy.starts_with('r') { 0.04 * all } else { 0.01 * all });
    });
    let put = |looks: &mut Vec<Look>, age: f64| {
        let last = looks.last_mut().unwrap();
        last.asked.iter_mut().find(|asked| asked.signal == "own:age:value").unwrap().answer = value(age);
    };
    put(&mut looks, 61.0);
    let judgement = verdict(&plan, &looks);
    assert_eq!(gate(&judgement, "own:carts").verdict, Verdict::Fail);
    assert_eq!(gate(&judgement, "own:age").reason, "61 is above 60");
    put(&mut looks, 59.0);
    assert_eq!(gate(&verdict(&plan, &looks), "own:age").verdict, Verdict::Pass);
    let asked: Vec<&str> = looks[0].asked.iter().map(|asked| asked.query.as_str()).collect();
    assert!(asked.contains(&r#"max(age{instance=~"r1|r2"})"#), "{asked:?}");
}

#[derive(Debug)]
struct Nobody;

impl Metrics for Nobody {
    fn query(&self, _: &str, _: Timestamp) -> Result<Answer, MetricsError> {
        Err(MetricsError::Away("nobody".into()))
    }
}

#[test]
fn a_look_asks_both_arms_and_keeps_what_it_heard() {
    let plan = plan("");
    let case = case(&plan);
    let heard = look(&case, &Nobody, Timestamp::UNIX_EPOCH);
    assert_eq!(heard.asked.iter().filter(|asked| asked.arm == Arm::Ring).count(), of(&plan).len());
    assert_eq!(heard.asked.len(), 2 * of(&plan).len());
    assert!(heard.asked.iter().all(|asked| asked.answer.is_err() && !asked.query.contains("{{")), "{heard:?}");
    let looks = vec![heard; 50];
    let judgement = judge(&case, &looks);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.gates.iter().all(|gate| gate.verdict == Verdict::Inconclusive), "{judgement:#?}");
}

#[test]
fn every_signal_of_both_presets_has_a_query_with_its_matchers() {
    for preset in ["envoy", "istio"] {
        let plan = plan(&format!("gates: {{preset: {preset}}}"));
        for signal in of(&plan) {
            let query = signal.resolved(&plan.gates, &plan.rings[0]);
            let without = query.starts_with("vector(0) unless");
            assert!(!query.is_empty() && (without || query.contains("r1|r2")), "{preset}, {}: {query}", signal.name);
        }
    }
}
