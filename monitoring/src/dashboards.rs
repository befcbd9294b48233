//! The dashboards. Each is built from the names of the catalogue, the profile and the rules, and from the alerts' limits.

mod control_plane;
mod health;
pub(crate) mod queries;
mod requests;
mod rings;
mod slo;

use std::fmt::Write as _;

use telemetry::metrics::catalogue::{BUILD_INFO, Metric};

pub use queries::{Query, queries};

use crate::Error;
use crate::model::{Annotation, Dashboard, Marks, Variable};
use crate::names::external::{ALERTS, External};
use crate::names::{Names, external};

/// The dashboard of the API.
pub const CONTROL_PLANE: &str = "eucora-control-plane";
/// The dashboard of the requests at the edge.
pub const REQUESTS: &str = "eucora-edge-requests";
/// The dashboard of the filter itself.
pub const HEALTH: &str = "eucora-edge-health";
/// The dashboard of the objectives.
pub const SLO: &str = "eucora-slo";
/// The dashboard of the rings.
pub const RINGS: &str = "eucora-rings";

/// Every dashboard.
///
/// # Errors
///
/// Everything that a dashboard names and that is not there: a metric, a recorded series, an alert.
pub fn all(names: &Names) -> Result<Vec<Dashboard>, Error> {
    let parts = Parts { names };
    let dashboards = vec![
        control_plane::dashboard(&parts),
        requests::dashboard(&parts),
        health::dashboard(&parts),
        slo::dashboard(&parts),
        rings::dashboard(&parts),
    ];
    for panel in dashboards.iter().flat_map(|dashboard| &dashboard.rows).flat_map(|row| &row.panels) {
        panel.steps(names);
    }
    let problems = names.problems();
    if problems.is_empty() { Ok(dashboards) } else { Err(Error::Dashboards(problems)) }
}

/// What all dashboards are built with.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    names: &'a Names,
}

/// What a selector has besides the service: the instance, for series that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Instance,
    Service,
}

impl Parts<'_> {
    /// A metric of the filter, in the chosen services and instances; `more` are further matchers.
    fn own(&self, metric: Metric, more: &str) -> String {
        select(&self.names.metric(metric), Scope::Instance, more)
    }

    /// A metric that the profile declares.
    fn declared(&self, suffix: &str, more: &str) -> String {
        select(&self.names.declared(suffix), Scope::Instance, more)
    }

    /// A metric of another program.
    #[allow(clippy::unused_self, reason = "beside its siblings, which need it")]
    fn of(&self, external: External, more: &str) -> String {
        select(external.name, Scope::Instance, more)
    }

    /// A recorded series, which is of a service.
    fn record(&self, name: &str, more: &str) -> String {
        select(&self.names.record(name), Scope::Service, more)
    }

    /// A recorded series that is of an instance.
    fn record_of_instance(&self, name: &str, more: &str) -> String {
        select(&self.names.record(name), Scope::Instance, more)
    }

    /// Service and instance, of the series of this metric.
    fn service_and_instance(&self, metric: &str) -> Vec<Variable> {
        vec![
            Variable {
                name: "service",
                label: "Service",
                description: "The services behind the edge.",
                selector: metric.to_owned(),
                of_label: "service",
            },
            Variable {
                name: "instance",
                label: "Instance",
                description: "The hosts or pods. Panels of recorded series show all of them.",
                selector: format!("{metric}{{service=~\"$service\"}}"),
                of_label: "instance",
            },
        ]
    }

    /// The alerts that fire, and the rollouts.
    fn annotations(&self) -> Vec<Annotation> {
        let build = |offset: &str| {
            format!(
                "max by (service, version, config, ring) ({}{offset} == 1)",
                select(&self.names.metric(BUILD_INFO), Scope::Service, "")
            )
        };
        vec![
            Annotation {
                name: "Alerts",
                color: "red",
                source: Marks::Query {
                    expr: format!(
                        "max by (alertname, severity, service) ({}{{alertstate=\"firing\",alertname!=\"Watchdog\",severity=~\"critical|warning\"}})",
                        ALERTS.name
                    ),
                    title: "{{alertname}}",
                    text: "{{severity}} {{service}}",
                    tags: "severity",
                },
            },
            Annotation {
                name: "New builds",
                color: "blue",
                // What runs now and did not run two minutes ago.
                source: Marks::Query {
                    expr: format!("{} unless {}", build(""), build(" offset 2m")),
                    title: "Build {{version}}",
                    text: "configuration {{config}} {{ring}}",
                    tags: "version,ring",
                },
            },
            Annotation { name: "Rollouts", color: "purple", source: Marks::Tag("rollout") },
        ]
    }
}

/// `metric{service=~"$service",instance=~"$instance",more}`.
fn select(metric: &str, scope: Scope, more: &str) -> String {
    let mut text = format!("{metric}{{service=~\"$service\"");
    if scope == Scope::Instance {
        text.push_str(",instance=~\"$instance\"");
    }
    if !more.is_empty() {
        let _ = write!(text, ",{more}");
    }
    text.push('}');
    text
}

/// `rate(…[$__rate_interval])`.
fn rate(selector: &str) -> String {
    format!("rate({selector}[$__rate_interval])")
}

/// `increase(…[range])`.
fn increase(selector: &str, range: &str) -> String {
    format!("increase({selector}[{range}])")
}

/// `sum by (labels) (what)`, or `sum(what)`.
fn sum(labels: &str, what: &str) -> String {
    if labels.is_empty() { format!("sum({what})") } else { format!("sum by ({labels}) ({what})") }
}

/// `part / whole`, 0 where there is no part, and nothing where there is no whole.
fn share(labels: &str, part: &str, whole: &str) -> String {
    let whole = sum(labels, whole);
    format!("({} or {whole} * 0) / ({whole} > 0)", sum(labels, part))
}

/// A quantile of cumulative buckets; without traffic nothing, rather than "not a number".
fn quantile(q: &str, labels: &str, buckets: &str) -> String {
    let by = if labels.is_empty() { "le".to_owned() } else { format!("{labels}, le") };
    format!("histogram_quantile({q}, {}) >= 0", sum(&by, buckets))
}

/// An external metric's name alone, for variables.
fn name(external: External) -> String {
    external.name.to_owned()
}

/// The variables of a dashboard that Envoy's own metrics stand on.
fn envoy_target() -> String {
    name(external::CONCURRENCY)
}
