//! The live table: what a dashboard over the same series would show, once a second.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use telemetry::config::Config;
use telemetry::metrics::MetricKind;
use telemetry::metrics::catalogue::DURATION_BUCKET;

use super::accounting::{endpoint_rows, endpoint_table, metric_name};
use super::{Stand, UpOptions};
use crate::proxy::Proxy;
use crate::quantile::Buckets;
use crate::scrape::{self, Scrape};
use crate::table::{count, duration, percent};

/// The time over which rates and quantiles are shown.
const WINDOW: Duration = Duration::from_secs(30);
/// How often a terminal is refreshed.
const REFRESH: Duration = Duration::from_secs(1);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The most endpoints that are shown at a time.
const ROWS: usize = 16;
/// The widest line of the table: a terminal of 80 columns shows it without a break.
const WIDTH: usize = 79;
/// Below this an endpoint is not shortened.
const LEAST_ENDPOINT: usize = 12;
/// The most scrapes in a row that may fail before the proxy counts as gone.
const FAILURES: u32 = 5;

/// What to try by hand.
pub(super) fn addresses(stand: &Stand, options: &UpOptions) -> String {
    let (listen, admin) = (stand.proxy.listen(), stand.proxy.admin());
    let config = &stand.loaded.config;
    let behind = match (&stand.api, &options.upstream) {
        (Some(api), _) => format!("the sample API on http://{}", api.address()),
        (None, Some(url)) => url.to_string(),
        (None, None) => String::new(),
    };
    let path = config
        .routes()
        .specs()
        .iter()
        .map(|spec| spec.template.as_str())
        .find(|template| !template.contains('{') && template.contains("deploy"));
    let path = path.unwrap_or("/");
    let metrics = if matches!(stand.proxy, Proxy::Harness(_)) { "/metrics" } else { "/stats/prometheus" };
    let mut out = String::new();
    // Writing to a `String` does not fail.
    let _ = writeln!(out, "{} with the filter on http://{listen}, in front of {behind}; try:", stand.proxy.kind());
    let _ = writeln!(out, "  curl -i http://{listen}{path}");
    let _ = writeln!(out, "  curl -i -H '{}: my-own-id-1' http://{listen}{path}", config.correlation().header());
    let _ = writeln!(out, "  curl http://{admin}{metrics} | grep {}_", config.namespace());
    let _ = writeln!(out, "Ctrl-C ends all of it.\n");
    out
}

/// Writes to standard output at once. Whether somebody still reads it: a reader that has left (`… | head`) has seen enough, and ends the run.
pub(crate) fn written(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Shows the table until the proxy, or whoever reads it, is gone.
pub(super) async fn table(proxy: &Proxy, config: &Config, quiet: bool) -> anyhow::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let screen = if terminal && !quiet {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout())
    } else {
        ProgressBar::hidden()
    };
    screen.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
    let started = Instant::now();
    let mut history: VecDeque<(Instant, Scrape)> = VecDeque::new();
    let mut failures = 0;
    let mut next_line = started + LINE_EVERY;
    loop {
        match scrape::fetch(proxy.admin()).await {
            Ok(scrape) => {
                failures = 0;
                history.push_back((Instant::now(), scrape));
            }
            Err(error) => {
                failures += 1;
                if failures >= FAILURES {
                    screen.finish_and_clear();
                    return Err(error).context("the proxy has gone");
                }
            }
        }
        // The newest scrape that is at least a window old stays, as the window's beginning.
        while history.get(1).is_some_and(|(at, _)| at.elapsed() >= WINDOW) {
            history.pop_front();
        }
        if let (Some((from, first)), Some((to, last))) = (history.front(), history.back())
            && to > from
        {
            let view = View::new(config, first, last, to.duration_since(*from));
            if terminal {
                screen.set_message(view.screen());
            } else if !quiet && Instant::now() >= next_line {
                if !written(&format!("{:>5} s  {}\n", started.elapsed().as_secs(), view.summary()))? {
                    return Ok(());
                }
                next_line += LINE_EVERY;
            }
        }
        tokio::time::sleep(REFRESH).await;
    }
}

/// What one refresh shows.
struct View {
    rows: Vec<super::EndpointRow>,
    all: Buckets,
    seconds: f64,
    /// The declared metrics and polled gauges, each summed over its series.
    declared: Vec<(String, u64)>,
}

impl View {
    fn new(config: &Config, first: &Scrape, last: &Scrape, over: Duration) -> Self {
        let bucket = metric_name(config, &DURATION_BUCKET);
        let sum = |scrape: &Scrape| scrape.buckets_by(&bucket, []).remove(&[]).unwrap_or_default();
        Self {
            rows: endpoint_rows(config, last, Some(first)),
            all: sum(last).since(&sum(first)),
            seconds: over.as_secs_f64().max(0.001),
            declared: declared(config, last),
        }
    }

    /// One line over all endpoints.
    fn summary(&self) -> String {
        let requests: u64 = self.rows.iter().map(|row| row.requests).sum();
        #[expect(clippy::cast_precision_loss, reason = "shown to one digit after the point")]
        let (all, weighted) = {
            let part = |share: fn(&super::EndpointRow) -> f64| {
                self.rows.iter().map(|row| share(row) * row.requests as f64).sum::<f64>()
            };
            (requests as f64, [part(|row| row.client_errors), part(|row| row.server_errors)])
        };
        let [client, server] = weighted.map(|part| percent(part / all.max(1.0)));
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| self.all.quantile(q).map_or_else(|| "-".to_owned(), duration));
        format!("{:.1} requests/s, 4xx {client}, 5xx {server}, p50 {p50}, p95 {p95}, p99 {p99}", all / self.seconds)
    }

    /// The whole table.
    fn screen(&self) -> String {
        let shown = self.rows.get(..ROWS).unwrap_or(&self.rows);
        let table = fit(shown, self.seconds);
        let mut out = format!("{}\nover the last {:.0} s\n\n{table}", self.summary(), self.seconds);
        if self.rows.len() > shown.len() {
            let _ = writeln!(out, "and {} more endpoints", count((self.rows.len() - shown.len()) as u64));
        }
        if !self.declared.is_empty() {
            out.push('\n');
        }
        for (name, value) in &self.declared {
            let _ = writeln!(out, "{name}  {}", count(*value));
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// What rules and polls of the configuration have made, a histogram's observations among it.
fn declared(config: &Config, scrape: &Scrape) -> Vec<(String, u64)> {
    let counted = config.rules().metrics().iter().map(|spec| match spec.kind {
        MetricKind::Histogram => format!("{}_count", spec.name),
        MetricKind::Counter | MetricKind::Gauge => spec.name.clone(),
    });
    let polled = config.polls().iter().flat_map(|poll| &poll.plan().spec().gauges).map(|gauge| gauge.name.clone());
    let names = counted.chain(polled).map(|name| format!("{}_{name}", config.namespace()));
    names.map(|name| (name.clone(), scrape.count(&name, &[]))).collect()
}

/// The table of these rows, with the beginnings of long endpoints left out so that no line is wider than [`WIDTH`].
fn fit(rows: &[super::EndpointRow], seconds: f64) -> String {
    let table = endpoint_table(rows, Some(seconds));
    let widest = table.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let longest = rows.iter().map(|row| row.endpoint.chars().count()).max().unwrap_or_default();
    if widest <= WIDTH {
        return table;
    }
    let room = longest.saturating_sub(widest - WIDTH).max(LEAST_ENDPOINT);
    let mut rows = rows.to_vec();
    for row in &mut rows {
        let length = row.endpoint.chars().count();
        if length > room {
            // The end of a path tells more than its beginning.
            row.endpoint = std::iter::once('…').chain(row.endpoint.chars().skip(length - room + 1)).collect();
        }
    }
    endpoint_table(&rows, Some(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_the_difference_of_two_scrapes() {
        let scrape = |ok: u64, bad: u64| {
            let all = ok + bad;
            Scrape::parse(&format!(
                "eucora_http_requests_total{{method=\"GET\",endpoint=\"/x/\",status=\"200\"}} {ok}\n\
                 eucora_http_requests_total{{method=\"GET\",endpoint=\"/x/\",status=\"503\"}} {bad}\n\
                 eucora_http_request_duration_seconds_bucket{{method=\"GET\",endpoint=\"/x/\",le=\"0.05\"}} {all}\n\
                 eucora_http_request_duration_seconds_bucket{{method=\"GET\",endpoint=\"/x/\",le=\"+Inf\"}} {all}\n"
            ))
            .unwrap()
        };
        let view =
            View::new(&Config::from_json(b"").unwrap(), &scrape(100, 0), &scrape(190, 10), Duration::from_secs(10));
        assert_eq!(view.summary(), "10.0 requests/s, 4xx 0.0 %, 5xx 10.0 %, p50 25 ms, p95 48 ms, p99 50 ms");
        let screen = view.screen();
        assert!(view.declared.is_empty() && !screen.contains("cab"), "{screen}");
        assert!(screen.contains("/x/             10.0  0.0 %  10.0 %  25 ms  48 ms  50 ms"), "{screen}");
    }

    #[test]
    fn declared_metrics_and_polled_gauges_are_shown_with_their_sums() {
        let config = crate::config_file::parse(crate::envoy::PROFILE.as_bytes()).unwrap().config;
        let scrape = Scrape::parse(
            "eucora_cab_approvals_total{decision=\"approved\",risk_level=\"low\"} 3\n\
             eucora_cab_approvals_total{decision=\"rejected\",risk_level=\"low\"} 4\neucora_cab_queue_depth 1200\n",
        )
        .unwrap();
        let screen = View::new(&config, &scrape, &scrape, Duration::from_secs(1)).screen();
        assert!(screen.contains("\neucora_cab_approvals_total  7\n"), "{screen}");
        assert!(screen.ends_with("\neucora_cab_queue_depth  1,200"), "{screen}");
    }

    #[test]
    fn the_table_fits_a_terminal_of_80_columns() {
        let row = |endpoint: &str| crate::up::EndpointRow {
            endpoint: endpoint.to_owned(),
            requests: 1_000,
            client_errors: 1.0,
            server_errors: 0.5,
            quantiles: [Some(0.005), Some(0.126), Some(2.5)],
        };
        let long = "/api/v1/connectors/{connector}/operations/{id}/cancel/";
        let table = fit(&[row(long), row("unknown")], 1.0);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        assert!(table.lines().nth(1).is_some_and(|line| line.starts_with('…')), "{table}");
        assert!(table.contains("/operations/{id}/cancel/ ") && table.contains("\nunknown "), "{table}");
        assert!(!fit(&[row("/health/ready")], 1.0).contains('…'));
    }
}
