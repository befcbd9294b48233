//! *Edge: filter health*: whether the filter itself is well, what it holds and what it costs.

use telemetry::metrics::catalogue::{
    BODIES, BUILD_INFO, EVENT_BATCHES, EVENT_QUEUE_AGE, EVENTS, EVENTS_LOGGED, EVENTS_QUEUED, HEARTBEAT,
    HOSTCALL_FAULTS, POLL_STALENESS, POLLS, RULES, SERIES_BUDGET,
};

use super::control_plane::text;
use super::{HEALTH, Parts, envoy_target, increase, rate, sum};
use crate::model::{Chart, Dashboard, Panel, Row};
use crate::names::external;

const INSTANCE: &str = "{{instance}}";

/// Nothing of the kind has happened since the proxy started.
const NEVER_YET: &str = "the series begins with the first of its kind";

pub(super) fn dashboard(parts: &Parts<'_>) -> Dashboard {
    Dashboard {
        uid: HEALTH,
        title: "Edge: filter health",
        description: "Whether the filter runs on every thread, which builds run, what it holds, what it lost, and what it costs.",
        tags: &["edge"],
        from: "now-3h",
        variables: parts.service_and_instance(&envoy_target()),
        annotations: parts.annotations(),
        rows: vec![
            Row { title: "Threads and builds", panels: threads(parts) },
            Row { title: "Series and counts", panels: series(parts) },
            Row { title: "Security events", panels: events(parts) },
            Row { title: "Rules, bodies, polls", panels: business(parts) },
            Row { title: "Configuration and virtual machines", panels: configuration(parts) },
            Row { title: "Cost", panels: cost(parts) },
        ],
    }
}

fn threads(parts: &Parts<'_>) -> Vec<Panel> {
    let alive = parts.record_of_instance("eucora_edge_workers:alive", "");
    // Past 256 threads the others share one count.
    let threads = format!("clamp_max(max by (service, instance) ({}) + 1, 257)", parts.of(external::CONCURRENCY, ""));
    let build = parts.own(BUILD_INFO, "");
    vec![
        Panel::new(Chart::Stat, (6, 8), "Threads without the filter", "short")
            .says(
                "Threads of the proxy, its main thread among them, on which no heartbeat moves. Their requests \
                 pass unobserved. It may be 1 for a moment after a restart.",
            )
            .alert(parts.names, "EdgeWorkerWithoutFilter")
            .runbook(parts.names, "EdgeHeartbeatMissing")
            .asks(format!("{threads} - on (service, instance) {alive}"), INSTANCE),
        Panel::new(Chart::Lines, (9, 8), "Threads, and those with the filter", "short")
            .says("All threads of the proxy, and those whose heartbeat moved.")
            .from_zero()
            .decimals(0)
            .asks(threads, "threads {{instance}}")
            .asks(alive, "with the filter {{instance}}")
            .runbook(parts.names, "EdgeWorkerWithoutFilter"),
        Panel::new(Chart::Table, (9, 8), "Builds in force", "short")
            .says(
                "Version, configuration and ring of each instance. Within a ring there should be one of each, but \
                 for the minutes of a rollout.",
            )
            .asks(format!("max by (service, instance, version, config, ring) ({build}) == 1"), "")
            .columns(vec![
                text("instance", "Instance"),
                text("service", "Service"),
                text("version", "Version"),
                text("config", "Configuration"),
                text("ring", "Ring"),
            ])
            .runbook(parts.names, "EdgeBuildMismatch"),
        Panel::new(Chart::Lines, (12, 8), "Heartbeats", "short")
            .says(
                "Ticks a second by thread: about 1 on each. A flat line at 0 is a thread that lost its filter; a \
                 new VM may count under another number.",
            )
            .from_zero()
            .asks(rate(&parts.own(HEARTBEAT, "")), "{{instance}} thread {{worker}}")
            .runbook(parts.names, "EdgeHeartbeatMissing"),
        Panel::new(Chart::Lines, (12, 8), "Instances by build", "short")
            .says(
                "How many instances run each build and configuration. A rollout is a line that falls while \
                 another rises.",
            )
            .from_zero()
            .decimals(0)
            .asks(format!("count by (version, config, ring) ({build} == 1)"), "{{version}} {{config}} {{ring}}")
            .runbook(parts.names, "EdgeBuildMismatch"),
    ]
}

fn series(parts: &Parts<'_>) -> Vec<Panel> {
    let count = parts.record_of_instance("eucora_edge_series:count", "");
    let budget = parts.own(SERIES_BUDGET, "");
    let by = |what: &str| format!("max by (service, instance) ({what})");
    let (count, budget) = (by(&count), by(&budget));
    let ours = increase(&parts.record_of_instance("service_instance:eucora_http_streams:sum", ""), "30m");
    let theirs = increase(&parts.of(external::RQ_COMPLETED, "envoy_http_conn_manager_prefix=\"ingress\""), "30m");
    let requests = rate(&parts.record_of_instance("service_instance:eucora_http_requests:sum", ""));
    let overflow = rate(&parts.record_of_instance("service_instance:eucora_edge_endpoint_overflow:sum", ""));
    let faults = increase(&parts.record_of_instance("service_instance:eucora_edge_hostcall_faults:sum", ""), "15m");
    vec![
        Panel::new(Chart::Gauge, (6, 8), "Series of the budget", "percentunit")
            .says("Series that the filter holds, of those that its configuration allows (metrics.series_budget).")
            .scale(0.0, 1.0)
            .alert(parts.names, "EdgeSeriesBudget")
            .asks(format!("{count} / on (service, instance) ({budget} > 0)"), INSTANCE),
        Panel::new(Chart::Lines, (9, 8), "Series", "locale")
            .says("Series of the filter by instance. They only grow, until the proxy restarts.")
            .from_zero()
            .decimals(0)
            .asks(count, INSTANCE)
            .runbook(parts.names, "EdgeSeriesBudget"),
        Panel::new(Chart::Lines, (9, 8), "Requests without an endpoint of their own", "percentunit")
            .says(
                "Share of requests that were counted under the endpoint _overflow, because there was no room for \
                 one of their own.",
            )
            .from_zero()
            .decimals(2)
            .without_value("no traffic")
            .alert(parts.names, "EdgeEndpointOverflow")
            .asks(format!("{} / ({} > 0)", sum("service", &overflow), sum("service", &requests)), "{{service}}"),
        Panel::new(Chart::Lines, (12, 8), "Count of the filter against Envoy's", "percentunit")
            .says(
                "How far the filter's count of requests is from Envoy's own, over 30 minutes. Nothing but noise \
                 of the scrape is right; more is traffic that passes unobserved.",
            )
            .from_zero()
            .without_value("no traffic")
            .alert(parts.names, "EdgeCountsDiffer")
            .asks(
                format!(
                    "abs(1 - {} / on (service, instance) ({} > 0))",
                    sum("service, instance", &ours),
                    sum("service, instance", &theirs)
                ),
                INSTANCE,
            ),
        Panel::new(Chart::Lines, (12, 8), "Hostcall faults", "short")
            .says(
                "Calls from the filter to the proxy that the proxy refused, in 15 minutes. The request went on \
                 each time.",
            )
            .from_zero()
            .decimals(0)
            .alert(parts.names, "EdgeHostcallFaults")
            .asks(sum("instance", &faults), "all {{instance}}")
            .asks_perhaps(
                sum("instance, hostcall", &increase(&parts.own(HOSTCALL_FAULTS, ""), "15m")),
                "{{hostcall}} {{instance}}",
                NEVER_YET,
            ),
    ]
}

fn events(parts: &Parts<'_>) -> Vec<Panel> {
    let ended = rate(&parts.own(EVENTS, ""));
    let undelivered = parts.record_of_instance("service_instance:eucora_edge_events_undelivered:sum", "");
    let undelivered = sum("instance", &increase(&undelivered, "15m"));
    vec![
        Panel::new(Chart::Number, (6, 8), "Events not delivered", "short")
            .says(
                "Security events of 15 minutes that should have gone to a sink and went to the proxy's log. They \
                 are not lost, but nobody is told.",
            )
            .decimals(0)
            .alert(parts.names, "EdgeEventsUndelivered")
            .asks(undelivered, INSTANCE),
        Panel::new(Chart::Lines, (9, 8), "Events", "cps")
            .says("Security events a second, by sink and what became of them: made = delivered + logged + queued.")
            .from_zero()
            .asks_perhaps(sum("sink, state", &ended), "{{sink}} {{state}}", NEVER_YET)
            .runbook(parts.names, "EdgeEventsUndelivered"),
        Panel::new(Chart::Lines, (9, 8), "Events in the log, by reason", "cps")
            .says("Security events a second that went to the proxy's log, and why.")
            .from_zero()
            .asks_perhaps(sum("sink, reason", &rate(&parts.own(EVENTS_LOGGED, ""))), "{{sink}} {{reason}}", NEVER_YET)
            .runbook(parts.names, "EdgeEventsUndelivered"),
        Panel::new(Chart::Lines, (8, 8), "Age of the oldest event", "s")
            .says("How long the oldest event has waited, by sink. It grows while a receiver does not answer.")
            .from_zero()
            .alert(parts.names, "EdgeEventQueueAge")
            .without_value("no sink")
            .asks_perhaps(
                format!("max by (instance, sink) ({})", parts.own(EVENT_QUEUE_AGE, "")),
                "{{sink}} {{instance}}",
                "without a sink nothing waits",
            ),
        Panel::new(Chart::Lines, (8, 8), "Events that wait", "short")
            .says("Security events that wait or are under way, by sink.")
            .from_zero()
            .decimals(0)
            .asks_perhaps(
                sum("instance, sink", &parts.own(EVENTS_QUEUED, "")),
                "{{sink}} {{instance}}",
                "without a sink nothing waits",
            )
            .runbook(parts.names, "EdgeEventQueueAge"),
        Panel::new(Chart::Lines, (8, 8), "Batches", "cps")
            .says("Calls to sinks a second: first tries, and those that were made again after a failure.")
            .from_zero()
            .asks_perhaps(
                sum("sink, state", &rate(&parts.own(EVENT_BATCHES, ""))),
                "{{sink}} {{state}}",
                "without a sink nothing is sent",
            )
            .runbook(parts.names, "EdgeEventQueueAge"),
    ]
}

fn business(parts: &Parts<'_>) -> Vec<Panel> {
    vec![
        Panel::new(Chart::Lines, (12, 9), "Rules", "cps")
            .says(
                "Streams a second that a rule of the configuration is about, by rule and outcome; forgot: its \
                 memory was full.",
            )
            .from_zero()
            .asks_perhaps(
                sum("rule_name, outcome", &rate(&parts.own(RULES, ""))),
                "{{rule_name}} {{outcome}}",
                NEVER_YET,
            ),
        Panel::new(Chart::Lines, (12, 9), "Bodies", "cps")
            .says("Request bodies a second that a rule wanted a value of, and what came of reading them.")
            .from_zero()
            .asks_perhaps(sum("outcome", &rate(&parts.own(BODIES, ""))), "{{outcome}}", NEVER_YET),
        Panel::new(Chart::Lines, (12, 7), "Polls", "cps")
            .says("Requests a second for polled gauges, by outcome. One worker of each proxy asks.")
            .from_zero()
            .asks_perhaps(
                sum("poll, outcome", &rate(&parts.own(POLLS, ""))),
                "{{poll}} {{outcome}}",
                "a configuration may have no polls",
            )
            .runbook(parts.names, "EdgePollStale"),
        Panel::new(Chart::Lines, (12, 7), "Age of polled gauges", "s")
            .says("The time since the last answer that counted. Deployments and the CAB queue are as old as this.")
            .from_zero()
            .alert(parts.names, "EdgePollStale")
            .asks_perhaps(
                format!("max by (instance, poll) ({})", parts.own(POLL_STALENESS, "")),
                "{{poll}} {{instance}}",
                "a configuration may have no polls",
            ),
    ]
}

fn configuration(parts: &Parts<'_>) -> Vec<Panel> {
    let grown = |external, range: &str| sum("instance", &increase(&parts.of(external, ""), range));
    let refused = format!("{} + {}", grown(external::CONFIG_FAILED, "30m"), grown(external::CONFIG_REJECTED, "30m"));
    let failed = format!("{} + {}", grown(external::VM_RELOAD_FAILED, "15m"), grown(external::FETCH_FAILED, "15m"));
    let perhaps = "only Envoy that takes the filter's configuration by ECDS has it";
    vec![
        Panel::new(Chart::Lines, (8, 8), "Configurations put in force (1h)", "short")
            .says("Configurations of the filter that were put in force in the last hour.")
            .from_zero()
            .decimals(0)
            .asks_perhaps(grown(external::CONFIG_RELOADED, "1h"), INSTANCE, perhaps)
            .runbook(parts.names, "EdgeConfigRejected"),
        Panel::new(Chart::Lines, (8, 8), "Configurations refused", "short")
            .says("Configurations that the proxy or the filter refused in 30 minutes. The one before stays in force.")
            .alert(parts.names, "EdgeConfigRejected")
            .from_zero()
            .decimals(0)
            .asks_perhaps(refused, INSTANCE, perhaps),
        Panel::new(Chart::Lines, (8, 8), "VMs started again", "short")
            .says(
                "Virtual machines of the filter that were started again after a trap in 15 minutes, and those \
                 that could not be, or whose module could not be fetched.",
            )
            .from_zero()
            .decimals(0)
            .alert(parts.names, "EdgeVmReloads")
            .asks(grown(external::VM_RELOADED, "15m"), "started again {{instance}}")
            .asks(failed, "failed {{instance}}"),
    ]
}

fn cost(parts: &Parts<'_>) -> Vec<Panel> {
    vec![
        Panel::new(Chart::Lines, (8, 8), "Memory of Envoy", "bytes")
            .says(
                "What Envoy's allocator has handed out, and what it holds of the system. The memory of the \
                 filter's VMs is beside it, in V8.",
            )
            .from_zero()
            .asks(parts.of(external::MEMORY_ALLOCATED, ""), "allocated {{instance}}")
            .asks(parts.of(external::MEMORY_PHYSICAL, ""), "held {{instance}}"),
        Panel::new(Chart::Lines, (8, 8), "Virtual machines", "short")
            .says(
                "Wasm VMs in Envoy: one for each thread, one of the main thread's own, and for a moment twice as \
                 many while a configuration is replaced.",
            )
            .from_zero()
            .decimals(0)
            .asks(parts.of(external::WASM_VMS, ""), INSTANCE)
            .runbook(parts.names, "EdgeVmReloads"),
        Panel::new(Chart::Lines, (8, 8), "Workers that were stuck", "short")
            .says(
                "How often in 10 minutes a worker of Envoy did not come back to its loop in time: the one sign of \
                 too much work on a thread that Envoy's own page has. Processor time is not on it; cargo xtask \
                 bench envoy measures what the filter adds to a request.",
            )
            .from_zero()
            .decimals(0)
            .asks(sum("instance", &increase(&parts.of(external::WORKER_MISS, ""), "10m")), INSTANCE),
    ]
}
