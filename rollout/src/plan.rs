//! The rollout file: what is rolled out, over which rings, how each is reached and judged, and what may be decided without a person.
//!
//! [`parse`] reads it and tells every mistake at once; `docs/rollout.md` describes each field.

mod fields;
mod gates;
mod policy;
mod read;
mod rings;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

pub use read::parse;

/// One mistake of a rollout file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Mistake {
    /// The field, such as `rings[1].instances[0].admin`, or `line 3, column 7` of a text that is no YAML.
    pub path: String,
    /// What was found, and the cure.
    pub message: String,
}

/// A rollout that can be started: everything in it is sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whose rollouts these are; names the folder of their state. Letters, digits and `-`.
    pub name: String,
    /// What is rolled out.
    pub artifact: Artifact,
    /// How rings are reached.
    pub hands: HandsPlan,
    /// Where numbers come from.
    pub prometheus: PrometheusPlan,
    /// In the order in which they get the build; at least one.
    pub rings: Vec<Ring>,
    /// How a ring is judged.
    pub gates: Gates,
    /// What may be decided without a person, and how long things may take.
    pub policy: Policy,
    /// Who else hears of it.
    pub announce: AnnouncePlan,
}

/// What is rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The module, a file that this tool can read.
    pub module: PathBuf,
    /// What its SHA-256 must be, in hexadecimal, where the file says it.
    pub module_sha256: Option<String>,
    /// The plugin configuration, YAML or JSON. Each ring gets it with `ring` and `build` set.
    pub configuration: PathBuf,
    /// With Istio: `oci://REGISTRY/REPOSITORY@sha256:…`, where the proxies get the module.
    pub image: Option<String>,
    /// Environment variables that the proxies give the VM, by name; the preflight gives it values of its own.
    pub environment: Vec<String>,
}

/// How rings are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandsPlan {
    /// A watched file for each proxy, on file systems that this tool can write to.
    FileEcds {
        /// The filter's name in the chain of HTTP filters, and of the resource in the watched file.
        filter: String,
    },
    /// An object for each ring.
    Istio(IstioPlan),
}

/// An object for each ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IstioPlan {
    /// The namespace of the workloads and of the objects.
    pub namespace: String,
    /// The objects' names begin with it: `NAME-ring-RING`.
    pub name: String,
    /// What kind of object.
    pub kind: IstioKind,
    /// How it gets to the cluster.
    pub apply: IstioApply,
}

/// What kind of object carries the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IstioKind {
    /// `extensions.istio.io/v1alpha1`, every Istio since 1.12.
    WasmPlugin,
    /// `extensions.istio.io/v1alpha1`, which takes its place.
    TrafficExtension,
    /// `networking.istio.io/v1alpha3`: the same as Envoy's own resources, under the filter's own name in Envoy's statistics.
    EnvoyFilter,
}

/// How an object gets to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IstioApply {
    /// This command, with `get`, `create`, `replace` and `delete` after it.
    Kubectl(Vec<String>),
    /// A folder of a Git working tree from which something else applies them; each change is a commit, and pushed where that is asked for.
    GitOps {
        /// The folder.
        folder: PathBuf,
        /// Whether each commit is pushed.
        push: bool,
    },
}

/// Where numbers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusPlan {
    /// `http://HOST:PORT` or `https://…`, with a path where it has one.
    pub url: String,
    /// The environment variable with a bearer token.
    pub token_env: Option<String>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How often proxies are scraped.
    pub scrape_interval: Duration,
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// Its name, the value of the label `ring`: `0` to `4` as a rule.
    pub name: String,
    /// Label matchers that choose its proxies in Prometheus: `instance=~"a|b"`.
    pub select: String,
    /// How many proxies it has.
    pub expected: u32,
    /// Its proxies, for [`HandsPlan::FileEcds`].
    pub instances: Vec<Instance>,
    /// The labels of its pods, for [`HandsPlan::Istio`].
    pub match_labels: BTreeMap<String, String>,
    /// The ring that it is compared with; none where no later ring is left: then only what can be judged by itself is.
    pub control: Option<String>,
    /// Whether a person has to approve before it gets the build.
    pub approval: bool,
    /// How long it is watched.
    pub bake: Bake,
}

/// One proxy with a watched file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its value of the label `instance`.
    pub name: String,
    /// The watched file.
    pub ecds: PathBuf,
    /// Where modules are put, each under a name with its digest.
    pub modules: PathBuf,
    /// The same folder as the proxy sees it, where that differs.
    pub modules_in_proxy: Option<PathBuf>,
    /// Its admin interface, `http://HOST:PORT`.
    pub admin: String,
}

/// How long a ring is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bake {
    /// At least so long, however good it looks.
    pub min: Duration,
    /// At most so long: what is not decided then is inconclusive.
    pub max: Duration,
}

/// How a ring is judged. A gate that is `None` was turned off.
#[derive(Debug, Clone, PartialEq)]
pub struct Gates {
    /// The namespace of the filter's metrics.
    pub namespace: String,
    /// What the proxies' own metrics are called.
    pub preset: Preset,
    /// PromQL in place of the preset's, by signal: see [`crate::judge::signals`].
    pub signals: BTreeMap<String, String>,
    /// The share of requests that the filter may fail to count.
    pub completeness: Option<f64>,
    /// The smallest share of requests whose trap matters: 0.0001 is one in 10,000.
    pub traps: Option<f64>,
    /// The smallest growth of the 5xx share that matters: 0.005 is half a per cent of all requests.
    pub errors: Option<f64>,
    /// The smallest growth of an endpoint's mean duration that matters.
    pub latency: Option<Duration>,
    /// The smallest growth of processor time a request that matters, as a share: 0.25 is a quarter more.
    pub cpu: Option<f64>,
    /// The smallest growth of a proxy's memory that matters, bytes an hour beyond its control's.
    pub memory: Option<f64>,
    /// The smallest growth of a proxy's number of series that matters, as a share.
    pub series: Option<f64>,
    /// The share of requests that may be counted under `_overflow`, beyond the control's.
    pub overflow: Option<f64>,
    /// The operator's own.
    pub own: Vec<OwnGate>,
}

/// What the proxies' own metrics are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Envoy's `/stats/prometheus`, with `prometheus-process-exporter` beside it.
    Envoy,
    /// Istio's merged page, with cAdvisor's container metrics.
    Istio,
}

/// A gate of the operator's own. In its queries `{{select}}` is the label matchers of the ring or of its control, `{{ring}}` the ring's name.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnGate {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// What is compared.
    pub kind: OwnKind,
}

/// What an own gate compares.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnKind {
    /// Two counters, as a share, ring against control.
    Share {
        /// A counter of what is bad.
        bad: String,
        /// A counter of all.
        total: String,
        /// The smallest growth of the share that matters.
        smallest_harm: f64,
    },
    /// Two counters, as a mean, ring against control.
    Mean {
        /// A counter of the sum.
        sum: String,
        /// A counter of how many.
        count: String,
        /// The smallest growth of the mean that matters.
        smallest_harm: f64,
    },
    /// A value of the ring alone that must stay within limits at each look.
    Within {
        /// The expression; each series of its result is looked at.
        query: String,
        /// At least.
        min: Option<f64>,
        /// At most.
        max: Option<f64>,
    },
}

/// What may be decided without a person, and how long things may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How often a ring is looked at.
    pub interval: Duration,
    /// How long proxies may take to run the build.
    pub converge: Duration,
    /// How long after that nothing is judged: caches fill, code is compiled.
    pub settle: Duration,
    /// The share of a ring's proxies that must be there all the time; fewer are a lost quorum.
    pub quorum: f64,
    /// The probability that a whole rollout of a build that changes nothing is stopped.
    pub false_stop: f64,
    /// The probability that a gate passes a ring in which the smallest harm is done.
    pub missed_harm: f64,
    /// What happens when a ring's time is over and it is not decided.
    pub inconclusive: Inconclusive,
    /// What happens to a rollout whose tool was killed.
    pub killed: Killed,
    /// When no ring may be started.
    pub freeze: Vec<Freeze>,
    /// The last ring that this rollout goes to.
    pub max_ring: Option<String>,
}

/// What happens when a ring's time is over and it is not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inconclusive {
    /// The rollout stays where it is until a person approves or rolls back.
    Hold,
    /// It is taken back.
    Rollback,
}

/// What happens to a rollout whose tool was killed or lost its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// It is taken back, by a guard that outlives the tool.
    Rollback,
    /// It stays as it is until `resume` or `rollback`.
    Hold,
}

/// A time in which no ring may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// From.
    pub from: Timestamp,
    /// Until.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// Who else hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnouncePlan {
    /// Grafana, for annotations.
    pub grafana: Option<GrafanaPlan>,
    /// A receiver of security events.
    pub siem: Option<SiemPlan>,
}

/// Grafana, for annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrafanaPlan {
    /// `https://HOST`, with a path where it has one.
    pub url: String,
    /// The environment variable with a service account's token.
    pub token_env: Option<String>,
}

/// A receiver of security events, as the filter's own `events.sinks` has them, with a URL in place of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiemPlan {
    /// `https://HOST:PORT`.
    pub url: String,
    /// The sink, in the form of the plugin configuration's `events.sinks[]`.
    pub sink: serde_json::Value,
}
