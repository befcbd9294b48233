//! Before a rollout: would it work, and would its judge let a fleet pass that nothing was done to?
//!
//! Nothing is changed by it, but for a module that is put beside those in use.

pub mod rehearsal;
mod same;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollout::hands::istio::IstioHands;
use rollout::hands::{Build, Hands};
use rollout::istio::disjoint;
use rollout::judge::{self, Arm, Case, Look};
use rollout::metrics::{Metrics, MetricsError};
use rollout::plan::{HandsPlan, IstioPlan, Plan, Ring};
use serde::Serialize;

use crate::table::{Column, Table};

pub use same::{Patience, Progress};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub check: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, and the cure where it does not hold.
    pub found: String,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Preflight {
    /// In order; after one that does not hold, those that need it are left out.
    pub checks: Vec<Check>,
}

impl Preflight {
    /// Whether a rollout may start.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// As a table.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut table = Table::new([("check", Column::Text), ("", Column::Text), ("found", Column::Text)]);
        for check in &self.checks {
            let mut name = check.check.clone();
            let mut holds = if check.holds { "ok" } else { "NO" };
            for line in check.found.lines() {
                table.row([name.as_str(), holds, line]);
                name.clear();
                holds = "";
            }
        }
        table.render()
    }
}

/// What is looked at, and through what.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The rollout.
    pub plan: &'a Plan,
    /// What each ring would get.
    pub builds: &'a BTreeMap<String, Build>,
    /// The fleet.
    pub hands: &'a dyn Hands,
    /// Prometheus.
    pub metrics: &'a dyn Metrics,
    /// How long to wait for evidence.
    pub patience: Patience,
}

/// Looks at everything, and tells of each as soon as it is known.
pub fn run(inputs: &Inputs<'_>, progress: &mut dyn Progress) -> Preflight {
    let mut preflight = Preflight::default();
    let mut add = |check: Check, progress: &mut dyn Progress| {
        progress.done(&check);
        let holds = check.holds;
        preflight.checks.push(check);
        holds
    };
    progress.begins("the build in the embedded host");
    let sound = add(rehearsed(inputs), progress);
    for ring in &inputs.plan.rings {
        progress.begins(&format!("ring {}", ring.name));
        add(fleet(inputs, ring), progress);
    }
    if let HandsPlan::Istio(istio) = &inputs.plan.hands {
        progress.begins("manifests");
        add(manifests(inputs, istio), progress);
    }
    progress.begins("Prometheus");
    let answers = add(prometheus(inputs.metrics), progress);
    if !answers || !sound {
        return preflight;
    }
    let mut complete = true;
    for ring in rings(inputs.plan) {
        complete &= add(data(inputs, ring), progress);
    }
    if complete {
        for ring in rings(inputs.plan) {
            let check = same::check(inputs, ring, progress);
            add(check, progress);
        }
    }
    preflight
}

/// The rings that this rollout goes to.
pub fn rings(plan: &Plan) -> impl Iterator<Item = &Ring> {
    let last = plan.policy.max_ring.as_ref().and_then(|name| plan.rings.iter().position(|ring| ring.name == *name));
    plan.rings.iter().take(last.map_or(usize::MAX, |last| last + 1))
}

fn control<'a>(plan: &'a Plan, ring: &Ring) -> Option<&'a Ring> {
    let name = ring.control.as_ref()?;
    plan.rings.iter().find(|other| other.name == *name)
}

fn case<'a>(inputs: &Inputs<'a>, ring: &'a Ring) -> Case<'a> {
    Case { plan: inputs.plan, ring, control: control(inputs.plan, ring), digest: None }
}

fn rehearsed(inputs: &Inputs<'_>) -> Check {
    let name = "build".to_owned();
    let Some(build) = inputs.plan.rings.first().and_then(|ring| inputs.builds.get(&ring.name)) else {
        return Check { check: name, holds: false, found: "there is no build for the first ring".to_owned() };
    };
    match rehearsal::rehearse(build, &inputs.plan.artifact.environment) {
        Ok(done) => Check {
            check: name,
            holds: true,
            found: format!(
                "{} requests through the embedded host: none lost, changed or uncounted; {} instructions and {:.1} hostcalls each, {} KiB a worker",
                done.requests,
                done.fuel,
                done.hostcalls,
                done.memory / 1024
            ),
        },
        Err(complaints) => Check { check: name, holds: false, found: complaints.join("\n") },
    }
}

/// Whether everything in a ring can be read, and the build be written for it.
fn fleet(inputs: &Inputs<'_>, ring: &Ring) -> Check {
    let targets = inputs.hands.targets(ring);
    let mut problems = Vec::new();
    let mut there = 0;
    for target in &targets {
        let rendered = inputs.hands.read(target).and_then(|previous| {
            there += usize::from(previous.is_some());
            let build = inputs.builds.get(&ring.name);
            build.map(|build| inputs.hands.render(target, previous.as_deref(), build)).transpose()
        });
        if let Err(error) = rendered {
            problems.push(error.to_string());
        }
    }
    let found = if problems.is_empty() {
        let digest = inputs.builds.get(&ring.name).map_or("", |build| build.digest.as_str());
        format!("{} to write, {there} of them with something in place; the build's digest is {digest}", targets.len())
    } else {
        problems.join("\n")
    };
    Check { check: format!("fleet, ring {}", ring.name), holds: problems.is_empty(), found }
}

/// Whether the rings' objects are as Istio's schemas want them, and each pod gets exactly one.
fn manifests(inputs: &Inputs<'_>, istio: &IstioPlan) -> Check {
    let hands = IstioHands::new(istio, &inputs.plan.rings);
    let (holds, found) = match hands.inspect(inputs.builds, disjoint::ROOT_NAMESPACE) {
        Ok(problems) if problems.is_empty() => {
            (true, "as Istio's schemas want them, and no two plugins reach one pod".to_owned())
        }
        Ok(problems) => (false, problems.join("\n")),
        Err(error) => (false, error),
    };
    Check { check: "manifests".to_owned(), holds, found }
}

fn prometheus(metrics: &dyn Metrics) -> Check {
    let (holds, found) = match metrics.query("vector(1)", Timestamp::now()) {
        Ok(answer) if answer.samples.len() == 1 => (true, "it answers".to_owned()),
        Ok(_) => {
            (false, "it does not know that vector(1) is 1; is prometheus.url the address of a Prometheus?".to_owned())
        }
        Err(error) => (false, format!("{error}; check prometheus.url")),
    };
    Check { check: "prometheus".to_owned(), holds, found }
}

/// Whether every gate has data for a ring and its control.
fn data(inputs: &Inputs<'_>, ring: &Ring) -> Check {
    let case = case(inputs, ring);
    let look = judge::look(&case, inputs.metrics, Timestamp::now());
    let missing = missing(&look, ring, case.control);
    let found =
        if missing.is_empty() { format!("{} queries, each with data", look.asked.len()) } else { missing.join("\n") };
    Check { check: format!("data, ring {}", ring.name), holds: missing.is_empty(), found }
}

fn missing(look: &Look, ring: &Ring, control: Option<&Ring>) -> Vec<String> {
    let mut missing = Vec::new();
    for asked in &look.asked {
        let whose = match asked.arm {
            Arm::Ring => &ring.name,
            Arm::Control => control.map_or(&ring.name, |control| &control.name),
        };
        let what = match &asked.answer {
            Err(MetricsError::Away(why)) => format!("Prometheus does not answer: {why}"),
            Err(MetricsError::Refused(why)) => format!("Prometheus refused it: {why}"),
            Ok(answer) if answer.samples.is_empty() && !judge::signals::may_be_absent(&asked.signal) => {
                "no data".to_owned()
            }
            Ok(_) => continue,
        };
        missing.push(format!("{} of ring {whose}: {what}; asked: {}", asked.signal, asked.query));
    }
    missing
}
