//! What goes on in a simulated fleet, and what is wrong with the build.

use std::path::Path;

use anyhow::{Result, anyhow};
use rollout::plan::Plan;

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Plain,
    Swings,
    FewRequests,
    Resets,
    MissingScrapes,
    Restart,
    Mixed,
    Noisy,
    SmallRing,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] = [
        Self::Plain,
        Self::Swings,
        Self::FewRequests,
        Self::Resets,
        Self::MissingScrapes,
        Self::Restart,
        Self::Mixed,
        Self::Noisy,
        Self::SmallRing,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Swings => "daily swings",
            Self::FewRequests => "few requests",
            Self::Resets => "counter resets",
            Self::MissingScrapes => "missing scrapes",
            Self::Restart => "an instance restarts",
            Self::Mixed => "mixed versions",
            Self::Noisy => "noisy neighbours",
            Self::SmallRing => "one beside four",
        }
    }

    /// Requests a second of each proxy.
    pub(crate) fn rate(self) -> f64 {
        if self == Self::FewRequests { 2.0 } else { 60.0 }
    }

    /// Proxies of the ring, and of its control.
    fn proxies(self) -> (usize, usize) {
        if self == Self::SmallRing { (1, 4) } else { (2, 2) }
    }

    /// A rollout over two rings, as the rollout file's defaults have it, judged in the first. With one ring's share of six compared gates, `false_stop`
    /// gives each gate in a ring a twelfth.
    pub(crate) fn plan(self, false_stop: f64, missed_harm: f64) -> Result<Plan> {
        let instances = |from: usize, count: usize| {
            let line = |index| {
                format!("  - {{name: p{index}, ecds: p{index}/e, modules: p{index}/m, admin: http://p{index}:1}}\n")
            };
            (from..from + count).map(line).collect::<String>()
        };
        let (ring, control) = self.proxies();
        let text = format!(
            "name: simulated\nartifact: {{module: a, configuration: b}}\nhands: {{file_ecds: {{}}}}\nprometheus: {{url: http://p}}\n\
             policy: {{false_stop: {false_stop}, missed_harm: {missed_harm}}}\nrings:\n- name: \"0\"\n  instances:\n{}- name: \"1\"\n  instances:\n{}",
            instances(0, ring),
            instances(ring, control)
        );
        rollout::plan::parse(&text, Path::new("/")).map_err(|mistakes| anyhow!("{mistakes:?}"))
    }
}

/// What is wrong with the build, in the gates' units: shares, milliseconds, bytes an hour.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Harm {
    pub(crate) errors: f64,
    pub(crate) overflow: f64,
    pub(crate) latency: f64,
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
    pub(crate) traps: f64,
    pub(crate) uncounted: f64,
    pub(crate) series: f64,
}

impl Harm {
    /// So many times the smallest harm of every gate. One gate's harm does not show in another.
    pub(crate) fn times(plan: &Plan, times: f64) -> Self {
        let gates = &plan.gates;
        let of = |harm: Option<f64>| harm.unwrap_or(0.0) * times;
        Self {
            errors: of(gates.errors),
            overflow: of(gates.overflow),
            latency: of(gates.latency.map(|harm| harm.as_secs_f64() * 1e3)),
            cpu: of(gates.cpu),
            memory: of(gates.memory),
            traps: of(gates.traps),
            uncounted: of(gates.completeness),
            series: of(gates.series),
        }
    }
}
