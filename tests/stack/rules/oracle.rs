//! The service levels' figures and the burn-rate alerts, beside a computation of our own from the same requests.
//!
//! Four days of traffic are made up: a curve of the day, a background of failures and slow requests, and incidents. What Prometheus makes of its counters
//! has to be what counting the requests of each window gives.

use std::fmt::Write;
use std::process::Command;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use edge_observer::tools::Tools;

use super::files::root;
use super::shown;

/// Minutes from one sample to the next.
const STEP: usize = 5;
const DAY: usize = 24 * 60 / STEP;
const STEPS: usize = 4 * DAY;

/// Windows, in minutes.
const WINDOWS: [(&str, usize); 7] =
    [("5m", 5), ("30m", 30), ("1h", 60), ("2h", 120), ("6h", 360), ("1d", 1440), ("3d", 4320)];

/// Long window, short window and burn rate of each row of the SRE Workbook's table, by alert.
const FAST: [(usize, usize, f64); 2] = [(60, 5, 14.4), (360, 30, 6.0)];
const SLOW: [(usize, usize, f64); 2] = [(1440, 120, 3.0), (4320, 360, 1.0)];

/// Bad requests in the long window that it takes.
const ENOUGH: u64 = 10;

/// How long an alert's condition must have been one and the same for its state to be beyond doubt, in minutes: `for`, and the intervals of the groups.
const SETTLED: usize = 40;

/// The requests of one step.
#[derive(Clone, Copy, Default)]
struct Requests {
    all: u64,
    failed: u64,
    slow: u64,
}

#[derive(Clone, Copy)]
enum Slo {
    Availability,
    Latency,
}

impl Slo {
    fn name(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Latency => "latency",
        }
    }

    fn budget(self) -> f64 {
        match self {
            Self::Availability => 0.001,
            Self::Latency => 0.01,
        }
    }

    fn bad(self, requests: Requests) -> u64 {
        match self {
            Self::Availability => requests.failed,
            Self::Latency => requests.slow,
        }
    }
}

/// From hour to hour, this share of the requests fails or is slow.
struct Incident {
    hours: std::ops::Range<usize>,
    failed: f64,
    slow: f64,
}

const INCIDENTS: &[Incident] = &[
    Incident { hours: 20..21, failed: 0.03, slow: 0.0 }, // Fast: 30 times, for an hour.
    Incident { hours: 34..42, failed: 0.008, slow: 0.0 }, // Fast: 8 times, for eight hours.
    Incident { hours: 50..53, failed: 0.0, slow: 0.5 },  // Fast: 50 times, of the other objective.
    Incident { hours: 60..96, failed: 0.004, slow: 0.01 }, // Slow: 4 times, for more than a day.
];

fn traffic() -> Vec<Requests> {
    let mut random = ChaCha8Rng::seed_from_u64(0x5105);
    (0..STEPS)
        .map(|step| {
            let hour = step * STEP / 60;
            let by_day = if (8..18).contains(&(hour % 24)) { 4_000..6_000 } else { 100..400 };
            let all = random.random_range(by_day);
            let (mut failed, mut slow) = (0.0002, 0.002);
            for incident in INCIDENTS.iter().filter(|incident| incident.hours.contains(&hour)) {
                failed += incident.failed;
                slow += incident.slow;
            }
            let count =
                |share: f64, random: &mut ChaCha8Rng| (0..all).filter(|_| random.random_bool(share)).count() as u64;
            let failed = count(failed, &mut random);
            Requests { all, failed, slow: count(slow, &mut random) }
        })
        .collect()
}

/// All and bad requests of the `minutes` before the end of a step.
fn within(traffic: &[Requests], step: usize, minutes: usize, slo: Slo) -> (u64, u64) {
    let window = &traffic[(step + 1).saturating_sub(minutes / STEP)..=step];
    (window.iter().map(|requests| requests.all).sum(), window.iter().map(|requests| slo.bad(*requests)).sum())
}

#[expect(clippy::cast_precision_loss, reason = "some millions of requests")]
fn share(traffic: &[Requests], step: usize, minutes: usize, slo: Slo) -> f64 {
    let (all, bad) = within(traffic, step, minutes, slo);
    bad as f64 / all as f64
}

fn burns(traffic: &[Requests], step: usize, slo: Slo, table: &[(usize, usize, f64)], margin: f64) -> bool {
    table.iter().any(|&(long, short, rate)| {
        let too_fast = |minutes| share(traffic, step, minutes, slo) / slo.budget() > rate * margin;
        too_fast(long) && too_fast(short) && within(traffic, step, long, slo).1 >= ENOUGH
    })
}

/// Whether the alert has to fire, where there is no doubt.
fn fires(traffic: &[Requests], step: usize, slo: Slo, table: &[(usize, usize, f64)]) -> Option<bool> {
    let now = burns(traffic, step, slo, table, 1.0);
    let same = |step| [0.95, 1.05].into_iter().all(|margin| burns(traffic, step, slo, table, margin) == now);
    (step.checked_sub(SETTLED / STEP)?..=step).all(same).then_some(now)
}

/// A counter of a process that starts again after two days and a half, but is never anywhere near 0: what `rate` makes up at its ends is the same for all.
fn counter(out: &mut String, series: &str, of: impl Iterator<Item = u64>) {
    let mut total = 1_000_000;
    let _ = write!(out, "      - series: '{series}'\n        values: \"{total}");
    for (step, count) in of.enumerate() {
        total = if step == STEPS * 5 / 8 { count } else { total + count };
        let _ = write!(out, " {total}");
    }
    out.push_str("\"\n");
}

fn query(out: &mut String, expr: &str, minutes: usize, samples: &[(String, f64)]) {
    let _ = write!(out, "      - expr: '{expr}'\n        eval_time: {minutes}m\n        exp_samples:");
    for (labels, value) in samples {
        let _ = write!(out, "\n          - {{labels: '{labels}', value: {value}}}");
    }
    out.push_str(if samples.is_empty() { " []\n" } else { "\n" });
}

#[test]
fn windows_and_burn_rates_are_what_the_requests_say() {
    let Some(promtool) = crate::stack::tool(Tools::promtool) else { return };
    let traffic = traffic();
    let of = |endpoint: &str, rest: &str| {
        format!("{{service=\"eucora-api\",instance=\"a\",method=\"GET\",endpoint=\"{endpoint}\",{rest}}}")
    };
    let rules = root().canonicalize().unwrap().join("prometheus/rules");
    let mut file = format!(
        "rule_files: ['{0}/slo.yml', '{0}/alerts-slo.yml']\nevaluation_interval: {STEP}m\n\
         group_eval_order: [eucora-slo-objectives, eucora-slo-requests, eucora-slo-short, eucora-slo-long, eucora-slo-period, eucora-slo-alerts]\n\
         tests:\n  - interval: {STEP}m\n    input_series:\n",
        rules.display(),
    );
    let requests = "eucora_http_requests_total";
    counter(&mut file, &format!("{requests}{}", of("/a/", "status=\"200\"")), traffic.iter().map(|r| r.all - r.failed));
    counter(&mut file, &format!("{requests}{}", of("/a/", "status=\"503\"")), traffic.iter().map(|r| r.failed));
    let bucket = format!("eucora_http_request_duration_seconds_bucket{}", of("/a/", "le=\"1.0\""));
    counter(&mut file, &bucket, traffic.iter().map(|r| r.all - r.slow));
    file.push_str("    promql_expr_test:\n");

    let mut asked = [[0, 0], [0, 0]];
    let both = [Slo::Availability, Slo::Latency];
    // Every hour and a bit, at multiples of 10 minutes: the long windows are recorded every other minute. The sample of a step is one step after its start.
    for minutes in (130..STEPS * STEP).step_by(70) {
        let step = minutes / STEP - 1;
        for (name, window) in WINDOWS.iter().copied().chain([("30d", 43_200)]) {
            let samples: Vec<_> = both
                .iter()
                .map(|slo| {
                    (
                        format!("{{service=\"eucora-api\",slo=\"{}\"}}", slo.name()),
                        (1e6 * share(&traffic, step, window, *slo)).round(),
                    )
                })
                .collect();
            query(&mut file, &format!("round(1e6 * slo:sli_error:ratio_rate{name})"), minutes, &samples);
        }
        for slo in both {
            for (index, (alert, severity, table)) in
                [("ErrorBudgetBurnFast", "critical", FAST), ("ErrorBudgetBurnSlow", "warning", SLOW)]
                    .into_iter()
                    .enumerate()
            {
                let Some(firing) = fires(&traffic, step, slo, &table) else { continue };
                asked[index][usize::from(firing)] += 1;
                let labels = format!(
                    "ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",service=\"eucora-api\",severity=\"{severity}\",slo=\"{0}\",team=\"api\"}}",
                    slo.name()
                );
                let expr = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",slo=\"{}\"}}", slo.name());
                query(&mut file, &expr, minutes, &if firing { vec![(labels, 1.0)] } else { Vec::new() });
            }
        }
    }
    assert!(asked.iter().flatten().all(|times| *times >= 3), "an alert is never, or always, asked for: {asked:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oracle.yml");
    std::fs::write(&path, &file).unwrap();
    let output = Command::new(promtool).args(["test", "rules"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
}
