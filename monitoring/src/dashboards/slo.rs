//! *SLO*: what was promised, how much of the error budget is left, and how fast it goes.

use telemetry::metrics::catalogue::REQUESTS as REQUESTS_TOTAL;

use super::control_plane::{drill_down, text};
use super::{Parts, SLO, increase, sum};
use crate::model::{Chart, Column, Dashboard, Panel, Row, Side, Variable};

const CHOSEN: &str = "slo=~\"$slo\"";
const SERIES: &str = "{{slo}} {{service}}";

/// Windows of hours and days take that long to say something, but have a value from the start.
const NO_TRAFFIC: &str = "without requests there is no ratio";

pub(super) fn dashboard(parts: &Parts<'_>) -> Dashboard {
    let errors = parts.names.record("slo:sli_error:ratio_rate5m");
    Dashboard {
        uid: SLO,
        title: "SLO",
        description: "Service level objectives over 30 days: the objective, what is left of the error budget, and how fast it goes.",
        tags: &["slo"],
        from: "now-24h",
        variables: vec![
            Variable {
                name: "service",
                label: "Service",
                description: "The services behind the edge. Objectives are of a service, not of an instance.",
                selector: errors.clone(),
                of_label: "service",
            },
            Variable {
                name: "slo",
                label: "Objective",
                description: "availability: not 5xx; latency: within its bound.",
                selector: format!("{errors}{{service=~\"$service\"}}"),
                of_label: "slo",
            },
        ],
        annotations: parts.annotations(),
        rows: vec![
            Row { title: "Objective and budget", panels: budget(parts) },
            Row { title: "Burn rates", panels: burn(parts) },
            Row { title: "Where the budget goes", panels: spent(parts) },
        ],
    }
}

fn budget(parts: &Parts<'_>) -> Vec<Panel> {
    let objective = format!("{}{{{CHOSEN}}}", parts.names.record("slo:objective:ratio"));
    let left = parts.record("slo:period_error_budget_remaining:ratio", CHOSEN);
    let good = |window: &str| format!("1 - {}", errors(parts, window));
    vec![
        Panel::new(Chart::Number, (4, 7), "Objective", "percentunit")
            .says(
                "The share of requests that must be good over 30 days. It is set in one place, \
                 prometheus/rules/slo.yml.",
            )
            .decimals(2)
            .color("blue")
            .asks(format!("max by (slo) ({objective})"), "{{slo}}"),
        Panel::new(Chart::Number, (5, 7), "Good requests, 30 days", "percentunit")
            .says("The share of requests that were good over 30 days, or since there are records.")
            .decimals(3)
            .color("blue")
            .without_value("no traffic")
            .asks_perhaps(good("30d"), SERIES, NO_TRAFFIC),
        Panel::new(Chart::Number, (5, 7), "Good requests, 5 minutes", "percentunit")
            .says("The share of requests that were good just now.")
            .decimals(3)
            .color("blue")
            .without_value("no traffic")
            .asks(good("5m"), SERIES),
        Panel::new(Chart::Gauge, (5, 7), "Error budget left", "percentunit")
            .says(
                "What is left of the errors that 30 days allow. Below 0 the objective is missed: changes other \
                 than repairs should wait.",
            )
            .scale(0.0, 1.0)
            .decimals(1)
            .without_value("no traffic")
            .own_limit(Side::Below, 0.0, "red")
            .asks_perhaps(left.clone(), SERIES, NO_TRAFFIC)
            .runbook(parts.names, "ErrorBudgetBurnSlow"),
        Panel::new(Chart::Stat, (5, 7), "Burn rate now", "short")
            .says(
                "How fast the budget goes, over 5 minutes: 1 spends it in exactly 30 days, 14.4 spends 2 % of it \
                 in an hour.",
            )
            .decimals(1)
            .without_value("no traffic")
            .alert_windows(parts.names, "ErrorBudgetBurnFast")
            .asks(parts.record("slo:current_burn_rate:ratio", CHOSEN), SERIES),
        Panel::new(Chart::Lines, (24, 8), "Error budget left over time", "percentunit")
            .says("What was left of the budget of 30 days. It rises when bad hours leave the window.")
            .asks_perhaps(left, SERIES, NO_TRAFFIC)
            .runbook(parts.names, "ErrorBudgetBurnSlow"),
    ]
}

fn burn(parts: &Parts<'_>) -> Vec<Panel> {
    let budget = parts.names.record("slo:error_budget:ratio");
    let rate = |window: &str| {
        format!("{} / on (slo) group_left () max by (slo) ({budget}{{{CHOSEN}}})", errors(parts, window))
    };
    let mut page = Panel::new(Chart::Lines, (12, 10), "Burn rate, windows that page", "short")
        .says(
            "An alert fires where a long window and its short one are both above its line: 1 h and 5 m above the \
             upper, 6 h and 30 m above the lower.",
        )
        .from_zero()
        .alert_windows(parts.names, "ErrorBudgetBurnFast");
    for (window, legend) in [
        ("5m", "5m {{slo}} {{service}}"),
        ("30m", "30m {{slo}} {{service}}"),
        ("1h", "1h {{slo}} {{service}}"),
        ("6h", "6h {{slo}} {{service}}"),
    ] {
        page = page.asks_perhaps(rate(window), legend, NO_TRAFFIC);
    }
    let mut ticket = Panel::new(Chart::Lines, (12, 10), "Burn rate, windows that make a ticket", "short")
        .says("The same for the slow alert: 1 d and 2 h above the upper line, 3 d and 6 h above the lower.")
        .from_zero()
        .alert_windows(parts.names, "ErrorBudgetBurnSlow");
    for (window, legend) in [
        ("2h", "2h {{slo}} {{service}}"),
        ("6h", "6h {{slo}} {{service}}"),
        ("1d", "1d {{slo}} {{service}}"),
        ("3d", "3d {{slo}} {{service}}"),
    ] {
        ticket = ticket.asks_perhaps(rate(window), legend, NO_TRAFFIC);
    }
    vec![
        page,
        ticket,
        Panel::new(Chart::Lines, (24, 8), "Share of bad requests", "percentunit")
            .says("The share of requests that were not good, over 5 minutes and over an hour.")
            .from_zero()
            .asks(errors(parts, "5m"), "5m {{slo}} {{service}}")
            .asks_perhaps(errors(parts, "1h"), "1h {{slo}} {{service}}", NO_TRAFFIC)
            .runbook(parts.names, "ErrorBudgetBurnFast"),
    ]
}

fn spent(parts: &Parts<'_>) -> Vec<Panel> {
    let requests = parts.names.metric(REQUESTS_TOTAL);
    let failed = increase(&format!("{requests}{{service=~\"$service\",status=~\"5..\"}}"), "$__range");
    vec![
        Panel::new(Chart::Table, (24, 9), "Server errors by endpoint", "short")
            .says(
                "The 20 endpoints with the most server errors in the time range: where the budget of availability \
                 went.",
            )
            .without_value("no errors")
            .asks_perhaps(
                format!("topk(20, {} > 0)", sum("service, endpoint, status", &failed)),
                "",
                "in health there are no errors",
            )
            .columns(vec![
                text("endpoint", "Endpoint"),
                text("service", "Service"),
                text("status", "Status"),
                Column { field: "Value", title: "Errors", unit: "short", steps: Vec::new() },
            ])
            .decimals(0)
            .data_link("This endpoint alone", &drill_down("&var-endpoint=${__data.fields.Endpoint:percentencode}"))
            .runbook(parts.names, "HighErrorRate"),
    ]
}

/// The share of bad requests over this window.
fn errors(parts: &Parts<'_>, window: &str) -> String {
    parts.record(&format!("slo:sli_error:ratio_rate{window}"), CHOSEN)
}
