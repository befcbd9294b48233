//! Whole rollouts over a fleet of real Envoys with traffic and a real Prometheus: a good build reaches the last ring and nobody notices; each bad one is
//! stopped where it was first seen, and taken back.
//!
//! A short form runs with all other tests. `EDGE_OBSERVER_ROLLOUT=all` runs each build on a fleet of its own, with the gates as they are when nothing is
//! said but for the allowed `completeness`, and prints what became of it; `EDGE_OBSERVER_ROLLOUT=traps` those whose name has that word.
//! `EDGE_OBSERVER_ROLLOUT_KEEP=FOLDER` keeps the fleets there with all that was written, the journals among it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_observer::fleet::{Fleet, FleetOptions, Totals};
use edge_observer::rollout::world::Real;
use edge_observer::rollout::{artifact, load};
use edge_observer::tools::{Fetch, Tools as Programs, skip_test};
use rollout::engine::clock::SystemClock;
use rollout::engine::{self, Ended, Observer, RealJudge, Setup, Stop, Tools};
use rollout::journal::disk::RealDisk;
use rollout::journal::entry::{Entry, Event};
use rollout::journal::{Folder, read, verify::verify};
use rollout::judge::Verdict;
use serde_json::{Value, json};

use super::bad_builds::{self, BadBuild, Harm, good, module_with, refused_configuration};
use crate::support::proxy::module_path;

/// What became of a build.
struct Outcome {
    ended: Ended,
    /// The ring in which it was when it was taken back.
    ring: String,
    /// The gates that failed there; `hands` where a proxy refused it.
    gates: Vec<String>,
    /// From the first byte of the ring to the decision.
    after: Duration,
    /// Rings that keep it.
    promoted: Vec<String>,
    /// Whether every watched file has the bytes of before.
    restored: bool,
}

/// Whether everything that a fleet needs is here.
fn programs() -> bool {
    let tools = Programs::new(Fetch::Never);
    for tool in [tools.envoy(), tools.prometheus(), tools.process_exporter()] {
        if let Err(error) = tool {
            skip_test(&error);
            return false;
        }
    }
    true
}

/// Tells of each step, with the time.
#[derive(Debug)]
struct Tell(Instant);

impl Observer for Tell {
    fn entry(&mut self, entry: &Entry) {
        let text = match &entry.what {
            Event::RingStarted { ring } => format!("ring {ring} gets the build"),
            Event::Converged { ring } => format!("ring {ring} runs it"),
            Event::Promoted { ring, why } => format!("ring {ring} keeps it: {why}"),
            Event::RollingBack { reason } => format!("taken back: {reason}"),
            Event::Waiting { ring, why } => format!("ring {ring} waits: {why}"),
            Event::Trouble { what } => format!("trouble: {what}"),
            Event::Finished { reason, .. } => format!("over: {reason}"),
            Event::Looked { ring, judgement, .. } => {
                let open = judgement.gates.iter().filter(|gate| gate.verdict != Verdict::Pass);
                let open: Vec<_> = open
                    .map(|gate| {
                        format!("{} {:?} {:.0} % {}", gate.gate, gate.verdict, 100.0 * gate.progress, gate.reason)
                    })
                    .collect();
                format!("ring {ring}: {:.0} requests; {}", judgement.requests, open.join(" | "))
            }
            _ => return,
        };
        eprintln!("{:>6.1} s  {text}", self.0.elapsed().as_secs_f64());
    }
}

fn files(fleet: &Fleet) -> BTreeMap<PathBuf, Vec<u8>> {
    fleet.members().iter().map(|one| (one.envoy.ecds(), std::fs::read(one.envoy.ecds()).unwrap())).collect()
}

/// Rolls a build out as `edge-observer rollout start` does.
async fn roll(fleet: &Fleet, build: &BadBuild, overrides: &Value) -> Outcome {
    let mut overrides = overrides.clone();
    overrides["artifact"] = json!({ "environment": build.environment });
    let file = fleet.plan_file(&build.module, &build.configuration, &overrides).unwrap();
    let state = file.parent().unwrap().join("state");
    let before = files(fleet);
    let at = state.clone();
    let ended = tokio::task::spawn_blocking(move || start(&file, &at)).await.unwrap();

    let folder = Folder::new(&state, "fleet");
    let whole = verify(&folder);
    assert!(whole.is_ok(), "{whole:?}");
    let entries = read(&folder.journal()).unwrap().latest().to_vec();
    outcome(ended, &entries, files(fleet) == before)
}

fn start(file: &Path, state: &Path) -> Ended {
    let loaded = load(file).unwrap();
    let artifact = artifact(&loaded.plan).unwrap();
    let tools = Tools {
        world: Box::new(Real),
        judge: Box::new(RealJudge),
        clock: Box::new(SystemClock::default()),
        disk: Arc::new(RealDisk),
        observer: Box::new(Tell(Instant::now())),
        stop: Stop::default(),
        who: engine::who(),
        state: state.to_owned(),
    };
    let setup = Setup {
        plan_text: loaded.text,
        base: loaded.base,
        module: artifact.module,
        configuration: artifact.configuration.to_string(),
        preflight: Vec::new(),
    };
    engine::start(tools, &setup).unwrap()
}

fn outcome(ended: Ended, entries: &[Entry], restored: bool) -> Outcome {
    let mut outcome = Outcome {
        ended,
        ring: String::new(),
        gates: Vec::new(),
        after: Duration::ZERO,
        promoted: Vec::new(),
        restored,
    };
    let mut started = None;
    for entry in entries {
        match &entry.what {
            Event::RingStarted { ring } => {
                outcome.ring.clone_from(ring);
                started = Some(entry.at);
            }
            Event::Promoted { ring, .. } => outcome.promoted.push(ring.clone()),
            Event::Looked { ring, judgement, .. } if *ring == outcome.ring => {
                let failed = judgement.gates.iter().filter(|gate| gate.verdict == Verdict::Fail);
                outcome.gates = failed.map(|gate| gate.gate.clone()).collect();
            }
            Event::RollingBack { reason } => {
                if reason.contains("refused the build") {
                    outcome.gates.push("hands".to_owned());
                }
                let since = started.map(|started| entry.at.duration_since(started).unsigned_abs());
                outcome.after = since.unwrap_or_default();
                break;
            }
            _ => {}
        }
    }
    outcome
}

/// Taken back by the right gate before many proxies had it, and nothing of it is left.
fn assert_stopped(build: &BadBuild, outcome: &Outcome) {
    let name = build.name;
    assert!(matches!(&outcome.ended, Ended::RolledBack(_)), "{name}: {:?}", outcome.ended);
    assert!(matches!(outcome.ring.as_str(), "0" | "1"), "{name}: stopped in ring {}", outcome.ring);
    assert!(outcome.gates.iter().any(|gate| build.gates.contains(&gate.as_str())), "{name}: {:?}", outcome.gates);
    assert!(outcome.restored, "{name}: not every file has the bytes of before");
}

fn assert_done(outcome: &Outcome) {
    assert!(matches!(&outcome.ended, Ended::Done(_)), "{:?}", outcome.ended);
    assert_eq!(outcome.promoted, ["0", "1", "2", "3", "4"]);
}

/// Every request was answered, and client, Envoy and filter counted the same.
fn assert_unnoticed(totals: &Totals) {
    assert!(totals.is_exact(), "{}", totals.to_text());
}

fn cost(totals: &Totals) -> String {
    let share = |cpu: Duration| 100.0 * cpu.as_secs_f64() / totals.ran.as_secs_f64();
    let proxies: Duration = totals.proxies.iter().filter_map(|proxy| proxy.cpu).sum();
    format!(
        "{} requests in {:.0} s, {:.0}/s; processor: proxies {:.0} % of a core, load and API {:.0} %; latest request {} ms late",
        totals.requests(),
        totals.ran.as_secs_f64(),
        totals.requests() as f64 / totals.ran.as_secs_f64(),
        share(proxies),
        share(totals.own_cpu.unwrap_or_default()),
        totals.late.as_millis(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_build_reaches_every_ring_and_bad_ones_do_not() {
    if !programs() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(FleetOptions::new(module_path().to_owned())).await.unwrap();
    // Only great harm can be told from none in seconds: what the filter has yet to hand over is the traffic of two seconds, which is a quarter of eight.
    let quick = json!({
        "policy": {
            "interval": "1s", "converge": "15s", "settle": "2s", "bake": { "min": "3s", "max": "60s" },
            "inconclusive": "rollback",
        },
        "gates": {
            "completeness": 0.25, "traps": 0.02, "errors": 0.2, "latency": "off", "cpu": "off", "memory": "off",
            "series": 1.0, "overflow": 0.2,
        },
    });
    let forgets = BadBuild {
        name: "forgets every other request",
        module: module_with(Harm::Forget(2), folder.path()),
        gates: &["completeness"],
        ..good(folder.path())
    };
    let stopped = [refused_configuration(), forgets];
    for build in &stopped {
        let outcome = roll(&fleet, build, &quick).await;
        assert_stopped(build, &outcome);
    }
    let lost = fleet.members().len();
    let outcome = roll(&fleet, &good(folder.path()), &quick).await;
    assert_done(&outcome);
    let totals = fleet.stop().await.unwrap();
    eprintln!("{}", cost(&totals));
    // What the forgetful build did not count is the only thing that is missing, and only where it was.
    let exact = totals.proxies.iter().filter(|proxy| proxy.envoy == proxy.filter).count();
    assert_eq!((totals.failed(), exact), (0, lost - 2), "{}", totals.to_text());
    assert!(totals.proxies.iter().all(|proxy| proxy.client.total() == proxy.envoy), "{}", totals.to_text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_build_gets_what_it_deserves() {
    let Ok(which) = std::env::var("EDGE_OBSERVER_ROLLOUT") else {
        eprintln!("left out: it takes an hour; EDGE_OBSERVER_ROLLOUT=all runs it");
        return;
    };
    if !programs() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rate: f64 = std::env::var("EDGE_OBSERVER_ROLLOUT_RATE").map_or(60.0, |rate| rate.parse().unwrap());
    let keep = std::env::var_os("EDGE_OBSERVER_ROLLOUT_KEEP").map(PathBuf::from);
    let overrides = json!({
        "policy": { "inconclusive": "rollback", "bake": { "min": "20s", "max": "10m" } },
        // 0.5 % takes eight minutes a ring at 60 requests a second on each proxy.
        "gates": { "completeness": 0.01 },
    });
    let mut table = String::from("| build | stopped in ring | gates | after | restored |\n|---|---|---|---|---|\n");
    let mut wrong = Vec::new();
    for build in bad_builds::all(folder.path()).iter().filter(|build| which == "all" || build.name.contains(&which)) {
        eprintln!("---- {}", build.name);
        let mut options = FleetOptions::new(module_path().to_owned());
        options.rate = rate;
        options.folder = keep.as_ref().map(|keep| keep.join(build.name.replace(|c: char| !c.is_alphanumeric(), "-")));
        let fleet = Fleet::start(options).await.unwrap();
        let outcome = roll(&fleet, build, &overrides).await;
        let totals = fleet.stop().await.unwrap();
        eprintln!("{}\n{}", cost(&totals), totals.to_text());
        let checked = std::panic::catch_unwind(|| {
            if build.gates.is_empty() {
                assert_done(&outcome);
                assert_unnoticed(&totals);
            } else {
                assert_stopped(build, &outcome);
                assert_eq!(totals.failed(), 0, "{}", totals.to_text());
            }
        });
        if checked.is_err() {
            wrong.push(build.name);
        }
        let (ring, restored) = match &outcome.ended {
            Ended::Done(_) => ("none", "-"),
            _ => (outcome.ring.as_str(), if outcome.restored { "byte for byte" } else { "NO" }),
        };
        let gates = outcome.gates.join(", ");
        let after = outcome.after.as_secs_f64();
        writeln!(table, "| {} | {ring} | {gates} | {after:.0} s | {restored} |", build.name).unwrap();
        eprintln!("{table}");
    }
    assert!(wrong.is_empty(), "not as expected: {wrong:?}");
}
