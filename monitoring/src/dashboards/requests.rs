//! *Edge: requests*: rate, errors and duration by endpoint, and one endpoint from close by.

use telemetry::metrics::catalogue::{
    CORRELATION, DURATION_BUCKET, DURATION_COUNT, DURATION_SUM, REQUESTS as REQUESTS_TOTAL,
};

use super::control_plane::{BY_STATUS, drill_down, text};
use super::{Parts, REQUESTS, increase, quantile, rate, share, sum};
use crate::model::{Chart, Column, Dashboard, Panel, Row, Variable};

/// Services side by side may have endpoints of the same name.
const BY_ENDPOINT: &str = "{{endpoint}} {{service}}";

const CHOSEN: &str = "endpoint=~\"$endpoint\"";
const CHOSEN_AND_METHOD: &str = "endpoint=~\"$endpoint\",method=~\"$method\"";

pub(super) fn dashboard(parts: &Parts<'_>) -> Dashboard {
    let requests = parts.names.metric(REQUESTS_TOTAL);
    let mut variables = parts.service_and_instance(&requests);
    let within = format!("{requests}{{service=~\"$service\",instance=~\"$instance\"}}");
    variables.push(Variable {
        name: "endpoint",
        label: "Endpoint",
        description: "Route templates, as the filter counts them.",
        selector: within.clone(),
        of_label: "endpoint",
    });
    variables.push(Variable {
        name: "method",
        label: "Method",
        description: "For the panels of chosen endpoints.",
        selector: within,
        of_label: "method",
    });
    Dashboard {
        uid: REQUESTS,
        title: "Edge: requests",
        description: "Requests, errors and latency by endpoint, as the filter at the edge counts them. Choose an endpoint at the top, or click one.",
        tags: &["edge"],
        from: "now-1h",
        variables,
        annotations: parts.annotations(),
        rows: vec![
            Row { title: "All chosen endpoints", panels: overview(parts) },
            Row { title: "By endpoint, all instances", panels: by_endpoint(parts) },
            Row { title: "Chosen endpoints, methods and instances", panels: close_by(parts) },
            Row { title: "Correlation", panels: correlation(parts) },
        ],
    }
}

fn overview(parts: &Parts<'_>) -> Vec<Panel> {
    let requests = |more: &str| rate(&parts.own(REQUESTS_TOTAL, &format!("{CHOSEN}{more}")));
    let part = |status: &str| share("service", &requests(&format!(",status=~\"{status}\"")), &requests(""));
    let stat = |title: &'static str, unit: &'static str| Panel::new(Chart::Stat, (4, 5), title, unit).from_zero();
    vec![
        stat("Requests", "reqps")
            .says("Requests a second of the chosen endpoints and instances.")
            .color("blue")
            .asks(sum("service", &requests("")), "{{service}}"),
        stat("Server errors", "percentunit")
            .says("Share of requests that ended with 5xx.")
            .decimals(2)
            .without_value("no traffic")
            .alert(parts.names, "HighErrorRate")
            .asks(part("5.."), "{{service}}"),
        stat("Client errors", "percentunit")
            .says(
                "Share of requests that ended with 4xx. High after a deployment of a client, or while someone \
                 tries what is not there.",
            )
            .decimals(2)
            .without_value("no traffic")
            .color("yellow")
            .asks(part("4.."), "{{service}}"),
        stat("Clients that left", "percentunit")
            .says(
                "Share of requests whose client left before an answer (status 0). It grows before errors do when \
                 the API gets slow.",
            )
            .decimals(2)
            .without_value("no traffic")
            .color("purple")
            .asks(part("0"), "{{service}}"),
        stat("Latency p95", "s")
            .says("95 of 100 requests of the chosen endpoints are answered within this time.")
            .without_value("no traffic")
            .alert_bound(parts.names, "SlowResponseTime")
            .asks(quantile("0.95", "service", &rate(&parts.own(DURATION_BUCKET, CHOSEN))), "{{service}}"),
        Panel::new(Chart::Number, (4, 5), "Requests in this time", "short")
            .says("Requests of the chosen endpoints in the whole time range.")
            .decimals(1)
            .color("blue")
            .asks(sum("service", &increase(&parts.own(REQUESTS_TOTAL, CHOSEN), "$__range")), "{{service}}"),
    ]
}

fn by_endpoint(parts: &Parts<'_>) -> Vec<Panel> {
    let kept = |name: &str| parts.record(name, CHOSEN);
    let rate = kept("service_endpoint:eucora_http_requests:rate5m");
    let errors = kept("service_endpoint:eucora_http_requests_errors:ratio_rate5m");
    let p50 = kept("service_endpoint:eucora_http_request_duration_seconds:p50_5m");
    let p95 = kept("service_endpoint:eucora_http_request_duration_seconds:p95_5m");
    let p99 = kept("service_endpoint:eucora_http_request_duration_seconds:p99_5m");
    // At most 15 lines, and the same ones over the whole time: those that were greatest on average, as seen from its end.
    let greatest = |what: &str, most: &str| {
        format!("{what} and on (service, endpoint) topk(15, avg_over_time({most}[$__range] @ end()))")
    };
    let link = drill_down("&var-endpoint=${__field.labels.endpoint:percentencode}");
    let lines = |title: &'static str, unit: &'static str, width: u32| {
        Panel::new(Chart::Lines, (width, 11), title, unit).from_zero().data_link("This endpoint alone", &link)
    };
    // Without the series' names, which differ: else no two answers would share a row.
    let row = |what: &str| format!("max by (service, endpoint) ({what})");
    let numbers = Column { field: "Value #A", title: "Requests/s", unit: "reqps", steps: Vec::new() };
    let errors_alert = Panel::new(Chart::Table, (1, 1), "", "").alert(parts.names, "HighErrorRate").steps(parts.names);
    let slow = Panel::new(Chart::Table, (1, 1), "", "").alert_bound(parts.names, "SlowResponseTime").steps(parts.names);
    vec![
        lines("Request rate by endpoint", "reqps", 12)
            .says("Requests a second over 5 minutes, the 15 busiest endpoints of this time.")
            .asks(greatest(&rate, &rate), BY_ENDPOINT),
        lines("Server error share by endpoint", "percentunit", 12)
            .says("Share of requests that ended with 5xx over 5 minutes, the 15 endpoints with the most.")
            .alert(parts.names, "HighErrorRate")
            .asks(greatest(&errors, &errors), BY_ENDPOINT),
        lines("Latency p50 by endpoint", "s", 8)
            .says("Half of the requests are answered within this time; the 15 busiest endpoints.")
            .asks(greatest(&p50, &rate), BY_ENDPOINT),
        lines("Latency p95 by endpoint", "s", 8)
            .says("95 of 100 requests are answered within this time; the 15 busiest endpoints.")
            .alert_bound(parts.names, "SlowResponseTime")
            .asks(greatest(&p95, &rate), BY_ENDPOINT),
        lines("Latency p99 by endpoint", "s", 8)
            .says(
                "99 of 100 requests are answered within this time; the 15 busiest endpoints. With few requests it \
                 is the slowest of them.",
            )
            .asks(greatest(&p99, &rate), BY_ENDPOINT),
        Panel::new(Chart::Table, (24, 10), "Endpoints", "short")
            .says("Every endpoint over the last 5 minutes. Click one to see it alone.")
            .without_value("no traffic")
            .asks(row(&format!("{rate} > 0")), "")
            .asks(row(&errors), "")
            .asks(row(&format!("{p50} >= 0")), "")
            .asks(row(&format!("{p95} >= 0")), "")
            .asks(row(&format!("{p99} >= 0")), "")
            .columns(vec![
                text("endpoint", "Endpoint"),
                text("service", "Service"),
                numbers,
                Column { field: "Value #B", title: "Server errors", unit: "percentunit", steps: errors_alert },
                Column { field: "Value #C", title: "p50", unit: "s", steps: Vec::new() },
                Column { field: "Value #D", title: "p95", unit: "s", steps: slow },
                Column { field: "Value #E", title: "p99", unit: "s", steps: Vec::new() },
            ])
            .runbook(parts.names, "HighErrorRate")
            .runbook(parts.names, "SlowResponseTime")
            .data_link("This endpoint alone", &drill_down("&var-endpoint=${__data.fields.Endpoint:percentencode}")),
    ]
}

fn close_by(parts: &Parts<'_>) -> Vec<Panel> {
    let requests = rate(&parts.own(REQUESTS_TOTAL, CHOSEN_AND_METHOD));
    let buckets = parts.own(DURATION_BUCKET, CHOSEN_AND_METHOD);
    let mean = format!(
        "{} / 1e6 / ({} > 0)",
        sum("", &rate(&parts.own(DURATION_SUM, CHOSEN_AND_METHOD))),
        sum("", &rate(&parts.own(DURATION_COUNT, CHOSEN_AND_METHOD)))
    );
    let all = sum("method, status", &requests);
    vec![
        Panel::new(Chart::Areas, (12, 9), "Requests by status", "reqps")
            .says("Requests a second by status code; 0: the client left before an answer.")
            .from_zero()
            .series_colors(&BY_STATUS)
            .asks(sum("status", &requests), "{{status}}")
            .runbook(parts.names, "HighErrorRate"),
        Panel::new(Chart::Lines, (12, 9), "Latency", "s")
            .says("Quantiles from exact buckets, linear inside a bucket, and the mean from the exact sum.")
            .from_zero()
            .alert_bound(parts.names, "SlowResponseTime")
            .asks(quantile("0.5", "", &rate(&buckets)), "p50")
            .asks(quantile("0.95", "", &rate(&buckets)), "p95")
            .asks(quantile("0.99", "", &rate(&buckets)), "p99")
            .asks(mean, "mean"),
        Panel::new(Chart::Heatmap, (12, 9), "Latency heat map", "s")
            .says(
                "Requests by latency over time, from the cumulative buckets: the darker, the more. Two bands are \
                 two kinds of requests, which a quantile hides.",
            )
            .asks(sum("le", &increase(&buckets, "$__rate_interval")), "{{le}}"),
        Panel::new(Chart::Lines, (12, 9), "Requests by instance", "reqps")
            .says(
                "Requests a second by host or pod: one line that leaves the others is a balancer or a host in \
                 trouble.",
            )
            .from_zero()
            .asks(sum("instance", &requests), "{{instance}}"),
        Panel::new(Chart::Lines, (12, 9), "Requests by method", "reqps")
            .says("Requests a second by method; OTHER is every method that the API does not have.")
            .from_zero()
            .asks(sum("method", &requests), "{{method}}"),
        Panel::new(Chart::Table, (12, 9), "Methods and statuses", "reqps")
            .says("Requests a second now, by method and status.")
            .asks(format!("{all} > 0"), "")
            .columns(vec![
                text("method", "Method"),
                text("status", "Status"),
                Column { field: "Value", title: "Requests/s", unit: "reqps", steps: Vec::new() },
            ])
            .without_value("no traffic"),
    ]
}

fn correlation(parts: &Parts<'_>) -> Vec<Panel> {
    let requests = rate(&parts.own(CORRELATION, ""));
    vec![
        Panel::new(Chart::Areas, (12, 8), "Correlation IDs", "reqps")
            .says(
                "What became of the correlation IDs of requests: kept, generated, refused, or none. Sums to the \
                 requests.",
            )
            .from_zero()
            .asks(sum("outcome", &requests), "{{outcome}}"),
        Panel::new(Chart::Lines, (12, 8), "Correlation IDs by reason", "reqps")
            .says("Why an ID was kept or not. Many refused ones are a client that sends what is no ID.")
            .from_zero()
            .asks(sum("outcome, reason", &requests), "{{outcome}} {{reason}}"),
    ]
}
