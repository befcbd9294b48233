//! *Rings*: each ring beside the ring before it, which is how a rollout is judged.

use telemetry::metrics::catalogue::{BUILD_INFO, DURATION_BUCKET, REQUESTS as REQUESTS_TOTAL};

use super::control_plane::text;
use super::{Parts, RINGS, rate};
use crate::model::{Chart, Column, Dashboard, Panel, Row, Variable};

/// The last ring.
const LAST: u32 = 4;

const RING: &str = "ring {{ring}}";

const NO_RING_BEFORE: &str = "only a ring with traffic in the ring before it has something to compare";

pub(super) fn dashboard(parts: &Parts<'_>) -> Dashboard {
    let build = parts.names.metric(BUILD_INFO);
    let mut variables = parts.service_and_instance(&build);
    variables.push(Variable {
        name: "ring",
        label: "Ring",
        description: "Rings, 0 being the canary. Proxies whose configuration names no ring are shown as the ring `none`.",
        selector: format!("{build}{{service=~\"$service\",instance=~\"$instance\"}}"),
        of_label: "ring",
    });
    Dashboard {
        uid: RINGS,
        title: "Rings",
        description: "Each ring beside the ring before it: builds, requests, server errors, latency. A build goes on to the next ring when it is no worse than the one before.",
        tags: &["edge", "rollout"],
        from: "now-3h",
        variables,
        annotations: parts.annotations(),
        rows: vec![
            Row { title: "Now", panels: now(parts) },
            Row { title: "Ring by ring", panels: side_by_side(parts) },
            Row { title: "Against the ring before", panels: against(parts) },
        ],
    }
}

/// Which rings are looked at.
#[derive(Clone, Copy, Debug)]
enum Rings {
    /// Those that were chosen, `none` among them.
    Chosen,
    /// Those that have one after them, chosen or not: to compare with.
    Numbered,
}

/// Whose instance is in which ring: 1 for each, with the label `ring`. An instance has one, whatever is said of it.
fn ring_of(parts: &Parts<'_>, rings: Rings) -> String {
    let builds = match rings {
        Rings::Chosen => parts.own(BUILD_INFO, "ring=~\"$ring\""),
        Rings::Numbered => parts.own(BUILD_INFO, &format!("ring=~\"[0-{LAST}]\"")),
    };
    format!(
        "topk by (service, instance) (1, \
         label_replace(max by (service, instance, ring) ({builds} == 1), \"ring\", \"none\", \"ring\", \"\"))"
    )
}

/// `what`, summed up by ring and `more`.
fn by_ring(parts: &Parts<'_>, rings: Rings, more: &str, what: &str) -> String {
    format!(
        "sum by (ring{more}) (sum by (service, instance{more}) ({what}) \
         * on (service, instance) group_left (ring) {})",
        ring_of(parts, rings)
    )
}

fn requests(parts: &Parts<'_>, rings: Rings) -> String {
    by_ring(parts, rings, "", &rate(&parts.own(REQUESTS_TOTAL, "")))
}

fn errors(parts: &Parts<'_>, rings: Rings) -> String {
    let failed = by_ring(parts, rings, "", &rate(&parts.own(REQUESTS_TOTAL, "status=~\"5..\"")));
    let all = requests(parts, rings);
    format!("({failed} or {all} * 0) / ({all} > 0)")
}

fn p95(parts: &Parts<'_>, rings: Rings) -> String {
    let buckets = rate(&parts.own(DURATION_BUCKET, ""));
    format!("histogram_quantile(0.95, {}) >= 0", by_ring(parts, rings, ", le", &buckets))
}

/// What the ring before had, under the number of the ring after it; `what` is of numbered rings.
fn of_ring_before(what: &str) -> String {
    // The last first: 0 becomes 1 when 1 is 2 already.
    (0..=LAST).rev().fold(format!("({what})"), |expr, ring| {
        format!("label_replace({expr}, \"ring\", \"{}\", \"ring\", \"{ring}\")", ring + 1)
    })
}

fn now(parts: &Parts<'_>) -> Vec<Panel> {
    let limits = |panel: Panel| panel.steps(parts.names);
    let errors_steps = limits(Panel::new(Chart::Table, (1, 1), "", "").alert(parts.names, "HighErrorRate"));
    let slow_steps = limits(Panel::new(Chart::Table, (1, 1), "", "").alert_bound(parts.names, "SlowResponseTime"));
    // Only for rings that are there: the last one is before a ring that is not.
    let beside = |before: &str, now: &str| format!("{} and on (ring) ({now})", of_ring_before(before));
    let column = |field, title, unit, steps: &[_]| Column { field, title, unit, steps: steps.to_vec() };
    let instances = format!("count by (ring) ({})", ring_of(parts, Rings::Chosen));
    let builds = format!(
        "count by (ring, version, config) (label_replace(max by (service, instance, version, config, ring) ({}) == 1, \"ring\", \"none\", \"ring\", \"\"))",
        parts.own(BUILD_INFO, "ring=~\"$ring\"")
    );
    vec![
        Panel::new(Chart::Table, (15, 7), "Rings", "short")
            .says("Each ring now; before: the same of the ring before it.")
            .asks(instances, "")
            .asks(requests(parts, Rings::Chosen), "")
            .asks(errors(parts, Rings::Chosen), "")
            .asks_perhaps(beside(&errors(parts, Rings::Numbered), &errors(parts, Rings::Chosen)), "", NO_RING_BEFORE)
            .asks(p95(parts, Rings::Chosen), "")
            .asks_perhaps(beside(&p95(parts, Rings::Numbered), &p95(parts, Rings::Chosen)), "", NO_RING_BEFORE)
            .columns(vec![
                text("ring", "Ring"),
                column("Value #A", "Instances", "short", &[]),
                column("Value #B", "Requests/s", "reqps", &[]),
                column("Value #C", "Server errors", "percentunit", &errors_steps),
                column("Value #D", "Errors before", "percentunit", &errors_steps),
                column("Value #E", "p95", "s", &slow_steps),
                column("Value #F", "p95 before", "s", &slow_steps),
            ])
            .runbook(parts.names, "HighErrorRate")
            .runbook(parts.names, "SlowResponseTime"),
        Panel::new(Chart::Table, (9, 7), "Builds by ring", "short")
            .says(
                "How many instances of each ring run which build and configuration. One line a ring, but for the \
                 minutes of a rollout.",
            )
            .asks(builds, "")
            .columns(vec![
                text("ring", "Ring"),
                text("version", "Version"),
                text("config", "Configuration"),
                column("Value", "Instances", "short", &[]),
            ])
            .runbook(parts.names, "EdgeBuildMismatch"),
    ]
}

fn side_by_side(parts: &Parts<'_>) -> Vec<Panel> {
    let lines = |title: &'static str, unit: &'static str| Panel::new(Chart::Lines, (8, 9), title, unit).from_zero();
    vec![
        lines("Request rate by ring", "reqps")
            .says("Requests a second by ring. A ring without traffic proves nothing.")
            .asks(requests(parts, Rings::Chosen), RING),
        lines("Server error share by ring", "percentunit")
            .says("Share of requests that ended with 5xx, by ring.")
            .alert(parts.names, "HighErrorRate")
            .asks(errors(parts, Rings::Chosen), RING),
        lines("Latency p95 by ring", "s")
            .says("95 of 100 requests are answered within this time, by ring.")
            .alert_bound(parts.names, "SlowResponseTime")
            .asks(p95(parts, Rings::Chosen), RING),
    ]
}

fn against(parts: &Parts<'_>) -> Vec<Panel> {
    let minus = |now: &str, before: &str| format!("({now}) - on (ring) {}", of_ring_before(before));
    let over = |now: &str, before: &str| format!("({now}) / on (ring) ({} > 0)", of_ring_before(before));
    vec![
        Panel::new(Chart::Lines, (12, 9), "Server error share against the ring before", "percentunit")
            .says(
                "The ring's share of server errors less that of the ring before. Above 0 it is worse; a rollout \
                 that stays above 0 should stop.",
            )
            .asks_perhaps(minus(&errors(parts, Rings::Chosen), &errors(parts, Rings::Numbered)), RING, NO_RING_BEFORE)
            .runbook(parts.names, "HighErrorRate"),
        Panel::new(Chart::Lines, (12, 9), "Latency p95 against the ring before", "short")
            .says("The ring's 95th percentile divided by that of the ring before. 1 is equal, 2 is twice as slow.")
            .from_zero()
            .decimals(2)
            .asks_perhaps(over(&p95(parts, Rings::Chosen), &p95(parts, Rings::Numbered)), RING, NO_RING_BEFORE)
            .runbook(parts.names, "SlowResponseTime"),
    ]
}
