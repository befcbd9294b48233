//! The account of a finite run: what the client saw, what the filter counted, what the proxy counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use telemetry::config::Config;
use telemetry::metrics::catalogue::{CORRELATION, DURATION_BUCKET, DURATION_COUNT, Metric, REQUESTS};

use crate::load::Ledger;
use crate::quantile::Buckets;
use crate::scrape::Scrape;
use crate::stack::prometheus::{Prometheus, Sample};
use crate::table::{Column, Table, count, duration, percent, plural};

/// The most endpoints that are shown to people; the JSON has all.
const SHOWN: usize = 16;

/// Every request of a run, by who counted it.
#[derive(Debug, Clone, Serialize)]
pub struct Accounting {
    /// By method and status.
    pub rows: Vec<Row>,
    /// By class of status, as the proxy counts.
    pub classes: Vec<Class>,
    /// By endpoint, most requests first.
    pub endpoints: Vec<EndpointRow>,
    /// Requests that the client sent.
    pub sent: u64,
    /// Requests in the filter's counters.
    pub counted: u64,
    /// The proxy's `downstream_rq_total`.
    pub proxied: u64,
    /// How correlation IDs came back.
    pub correlation: CorrelationTotals,
    /// What the rules of the EUCORA profile counted; empty with another configuration.
    pub business: Vec<BusinessRow>,
    /// Decisions and operations that were tried again after they had counted.
    pub repetitions: u64,
    /// What Prometheus has of it; only with `--stack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// What does not add up; empty when every request is accounted for.
    pub problems: Vec<String>,
}

/// What Prometheus has of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Requests.
    pub requests: u64,
    /// Series of the filter's.
    pub series: u64,
    /// Rules that it evaluates.
    pub rules: u64,
    /// Alerts that fire.
    pub firing: Vec<String>,
}

impl Stored {
    /// What it has now.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn of(prometheus: &Prometheus) -> anyhow::Result<Self> {
        let number = async |expression: &str| -> anyhow::Result<u64> {
            let value = prometheus.query(expression).await?.first().map_or(0.0, Sample::value);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts are far below 2^53, and none is negative"
            )]
            Ok(value as u64)
        };
        let mut firing: Vec<String> = prometheus
            .alerts()
            .await?
            .into_iter()
            .filter(|alert| alert.state == "firing")
            .filter_map(|alert| alert.labels.get("alertname").cloned())
            .collect();
        firing.sort();
        firing.dedup();
        Ok(Self {
            requests: number("sum(eucora_http_requests_total)").await?,
            series: number(r#"count({__name__=~"eucora_.+", job!=""})"#).await?,
            rules: number("sum(prometheus_rule_group_rules)").await?,
            firing,
        })
    }
}

/// One method and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The method label.
    pub method: String,
    /// The status label; `0` is a client that left.
    pub status: String,
    /// As the client saw it.
    pub client: u64,
    /// As the filter counted.
    pub filter: u64,
}

/// One class of status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    /// `2xx`; `left` are those without an answer.
    pub class: String,
    /// As the client saw it.
    pub client: u64,
    /// As the filter counted.
    pub filter: u64,
    /// The proxy's `downstream_rq_xx`; for `left`, its total without all of those.
    pub proxy: u64,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointRow {
    /// The endpoint label.
    pub endpoint: String,
    /// Requests.
    pub requests: u64,
    /// Share of answers 400 to 499.
    pub client_errors: f64,
    /// Share of answers 500 to 599.
    pub server_errors: f64,
    /// Seconds at 50, 95 and 99 %, from the buckets; none without requests.
    pub quantiles: [Option<f64>; 3],
}

/// One series of a metric that rules count in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusinessRow {
    /// The series.
    pub series: String,
    /// As the client reckons.
    pub client: u64,
    /// As the filter counted.
    pub filter: u64,
}

/// The metrics that rules of the EUCORA profile count in, with their labels in order.
const BUSINESS: [(&str, &[&str]); 2] = [
    ("cab_approvals_total", &["decision", "risk_level"]),
    ("connector_operations_total", &["connector", "operation", "status"]),
];

/// What the rules counted beside what the client reckons. Its reckoning is of the EUCORA profile's rules.
fn business_rows(config: &Config, ledger: &Ledger, scrape: &Scrape) -> Vec<BusinessRow> {
    let profile = crate::config_file::parse(crate::envoy::PROFILE.as_bytes());
    if profile.map_or(true, |profile| profile.config.digest() != config.digest()) {
        return Vec::new();
    }
    let client = ledger.business.counts();
    let mut counts: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (name, labels) in BUSINESS {
        let series = |values: &[String]| {
            let labels: Vec<String> =
                labels.iter().zip(values).map(|(label, value)| format!("{label}={value:?}")).collect();
            format!("{}_{name}{{{}}}", config.namespace(), labels.join(","))
        };
        for ((_, values), number) in client.iter().filter(|((metric, _), _)| *metric == name) {
            let [client, _] = counts.entry(series(values)).or_default();
            *client += number;
        }
        let full = format!("{}_{name}", config.namespace());
        let filter: Vec<(Vec<String>, u64)> = match *labels {
            [a, b] => scrape.counts_by(&full, [a, b]).into_iter().map(|(key, number)| (key.to_vec(), number)).collect(),
            [a, b, c] => {
                scrape.counts_by(&full, [a, b, c]).into_iter().map(|(key, number)| (key.to_vec(), number)).collect()
            }
            _ => Vec::new(),
        };
        for (values, number) in filter {
            let [_, filter] = counts.entry(series(&values)).or_default();
            *filter += number;
        }
    }
    let rows = counts.into_iter().map(|(series, [client, filter])| BusinessRow { series, client, filter });
    rows.filter(|row| row.client + row.filter > 0).collect()
}

/// The full name of a metric.
pub(crate) fn metric_name(config: &Config, metric: &Metric) -> String {
    format!("{}_{}", config.namespace(), metric.suffix)
}

/// How correlation IDs came back, in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CorrelationTotals {
    /// The one that was sent.
    pub kept: u64,
    /// None was sent, one came.
    pub generated: u64,
    /// One that cannot be kept was sent, another came.
    pub replaced: u64,
    /// Anything else: a fault.
    pub wrong: u64,
}

impl Accounting {
    /// Compares a ledger with one scrape of a proxy that has served nothing else.
    pub fn new(config: &Config, ledger: &Ledger, scrape: &Scrape) -> Self {
        let client: BTreeMap<(String, String), u64> = ledger
            .expected(config.metrics().methods())
            .into_iter()
            .map(|((method, status), count)| ((method.as_str().to_owned(), status.to_string()), count))
            .collect();
        let filter: BTreeMap<(String, String), u64> = scrape
            .counts_by(&metric_name(config, &REQUESTS), ["method", "status"])
            .into_iter()
            .map(|([method, status], count)| ((method, status), count))
            .collect();
        let keys: BTreeSet<&(String, String)> = client.keys().chain(filter.keys()).collect();
        let rows: Vec<Row> = keys
            .into_iter()
            .map(|key| Row {
                method: key.0.clone(),
                status: key.1.clone(),
                client: client.get(key).copied().unwrap_or_default(),
                filter: filter.get(key).copied().unwrap_or_default(),
            })
            .filter(|row| row.client + row.filter > 0)
            .collect();
        let proxied = proxy_total(scrape);
        let classes = classes(&rows, scrape, proxied);
        let correlation = &ledger.correlation;
        let mut accounting = Self {
            sent: ledger.total(),
            counted: rows.iter().map(|row| row.filter).sum(),
            proxied,
            correlation: CorrelationTotals {
                kept: correlation.kept,
                generated: correlation.generated,
                replaced: correlation.replaced,
                wrong: correlation.wrong,
            },
            endpoints: endpoint_rows(config, scrape, None),
            business: business_rows(config, ledger, scrape),
            repetitions: ledger.business.repetitions,
            stored: None,
            problems: Vec::new(),
            rows,
            classes,
        };
        accounting.problems = accounting.find_problems(config, ledger, scrape);
        accounting
    }

    /// Whether every request is accounted for.
    pub fn is_exact(&self) -> bool {
        self.problems.is_empty()
    }

    /// With what Prometheus has of it.
    #[must_use]
    pub fn stored(mut self, stored: Stored) -> Self {
        if stored.requests != self.sent {
            let (sent, stored) = (plural(self.sent, "request"), count(stored.requests));
            self.problems.push(format!("{sent} sent, Prometheus has {stored}"));
        }
        if stored.firing.is_empty() {
            self.problems.push("no alert fires, and the watchdog always should".to_owned());
        }
        self.stored = Some(stored);
        self
    }

    fn find_problems(&self, config: &Config, ledger: &Ledger, scrape: &Scrape) -> Vec<String> {
        let mut problems = Vec::new();
        for row in self.rows.iter().filter(|row| row.client != row.filter) {
            problems.push(format!(
                "{} {}: the client saw {}, the filter counted {}",
                row.method,
                row.status,
                count(row.client),
                count(row.filter)
            ));
        }
        for row in self.business.iter().filter(|row| row.client != row.filter) {
            problems.push(format!(
                "{}: the client reckons {}, the filter counted {}",
                row.series,
                count(row.client),
                count(row.filter)
            ));
        }
        for class in self.classes.iter().filter(|class| class.proxy != class.filter) {
            problems.push(format!(
                "{}: the filter counted {}, the proxy {}",
                class.class,
                count(class.filter),
                count(class.proxy)
            ));
        }
        if self.sent != self.proxied {
            problems.push(format!("{} sent, the proxy counted {}", plural(self.sent, "request"), count(self.proxied)));
        }
        if ledger.unanswered_total() > 0 {
            let first = ledger.first_failure.as_deref().unwrap_or("no reason");
            problems.push(format!(
                "{} without an answer; the first: {first}",
                plural(ledger.unanswered_total(), "request")
            ));
        }
        if ledger.truncated > 0 {
            problems.push(format!("{} that broke off", plural(ledger.truncated, "answer")));
        }
        if ledger.correlation.wrong > 0 {
            let first = ledger.correlation.first_wrong.as_deref().unwrap_or("");
            problems.push(format!(
                "{} with a wrong correlation ID; the first: {first}",
                plural(ledger.correlation.wrong, "answer")
            ));
        }
        problems.extend(inner_problems(config, scrape, self.counted));
        problems
    }

    /// The account for people.
    pub fn to_text(&self) -> String {
        let mut table = Table::new([
            ("method", Column::Text),
            ("status", Column::Number),
            ("client", Column::Number),
            ("filter", Column::Number),
            ("", Column::Text),
        ]);
        for row in &self.rows {
            let note = if row.client == row.filter { "" } else { "differs" };
            table.row([row.method.clone(), row.status.clone(), count(row.client), count(row.filter), note.to_owned()]);
        }
        let mut out = table.render();
        let mut table = Table::new([
            ("class", Column::Text),
            ("client", Column::Number),
            ("filter", Column::Number),
            ("proxy", Column::Number),
            ("", Column::Text),
        ]);
        for class in &self.classes {
            let note = if class.client == class.filter && class.filter == class.proxy { "" } else { "differs" };
            table.row([
                class.class.clone(),
                count(class.client),
                count(class.filter),
                count(class.proxy),
                note.to_owned(),
            ]);
        }
        table.row(["all".to_owned(), count(self.sent), count(self.counted), count(self.proxied)]);
        out.push('\n');
        out.push_str(&table.render());
        out.push('\n');
        out.push_str(&endpoint_table(self.endpoints.get(..SHOWN).unwrap_or(&self.endpoints), None));
        if self.endpoints.len() > SHOWN {
            out.push_str(&format!("and {} more endpoints\n", self.endpoints.len() - SHOWN));
        }
        if !self.business.is_empty() {
            let mut table = Table::new([
                ("what rules counted", Column::Text),
                ("client", Column::Number),
                ("filter", Column::Number),
                ("", Column::Text),
            ]);
            for row in &self.business {
                let note = if row.client == row.filter { "" } else { "differs" };
                table.row([row.series.clone(), count(row.client), count(row.filter), note.to_owned()]);
            }
            out.push_str(&format!("\n{}", table.render()));
            out.push_str(&format!("tried again, and not counted again: {}\n", count(self.repetitions)));
        }
        let CorrelationTotals { kept, generated, replaced, wrong } = self.correlation;
        let [kept, generated, replaced, wrong] = [kept, generated, replaced, wrong].map(count);
        out.push_str(&format!(
            "\ncorrelation IDs: {kept} kept, {generated} generated, {replaced} replaced, {wrong} wrong\n"
        ));
        if let Some(Stored { requests, series, rules, firing }) = &self.stored {
            out.push_str(&format!(
                "Prometheus: {} in {} of the filter's, {}; firing: {}\n",
                plural(*requests, "request"),
                count(*series) + " series",
                plural(*rules, "rule"),
                if firing.is_empty() { "nothing".to_owned() } else { firing.join(", ") }
            ));
        }
        if self.is_exact() {
            out.push_str(&format!("every one of {} is accounted for\n", plural(self.sent, "request")));
        } else {
            for problem in &self.problems {
                out.push_str(&format!("not accounted for: {problem}\n"));
            }
        }
        out
    }
}

/// The proxy's own count of requests on its listener for clients.
pub(crate) fn proxy_total(scrape: &Scrape) -> u64 {
    scrape.count("envoy_http_downstream_rq_total", &[("envoy_http_conn_manager_prefix", "ingress")])
}

/// The proxy's own count of answers in one class.
pub(crate) fn proxy_class(scrape: &Scrape, class: &str) -> u64 {
    scrape.count(
        "envoy_http_downstream_rq_xx",
        &[("envoy_http_conn_manager_prefix", "ingress"), ("envoy_response_code_class", class)],
    )
}

fn classes(rows: &[Row], scrape: &Scrape, proxied: u64) -> Vec<Class> {
    let sum = |class: &str, side: fn(&Row) -> u64| {
        rows.iter().filter(|row| row.status.len() == 3 && row.status.starts_with(class)).map(side).sum()
    };
    let mut classes: Vec<Class> = ["1", "2", "3", "4", "5"]
        .into_iter()
        .map(|class| Class {
            class: format!("{class}xx"),
            client: sum(class, |row| row.client),
            filter: sum(class, |row| row.filter),
            proxy: proxy_class(scrape, class),
        })
        .collect();
    let answered: u64 = classes.iter().map(|class| class.proxy).sum();
    let left = |side: fn(&Row) -> u64| rows.iter().filter(|row| row.status == "0").map(side).sum();
    classes.push(Class {
        class: "left".to_owned(),
        client: left(|row| row.client),
        filter: left(|row| row.filter),
        proxy: proxied.saturating_sub(answered),
    });
    classes.retain(|class| class.client + class.filter + class.proxy > 0);
    classes
}

/// What the filter's own metrics must agree on: durations, buckets and correlation outcomes with requests.
fn inner_problems(config: &Config, scrape: &Scrape, counted: u64) -> Vec<String> {
    let mut problems = Vec::new();
    let labels = ["method", "endpoint"];
    let requests = scrape.counts_by(&metric_name(config, &REQUESTS), labels);
    let counts = scrape.counts_by(&metric_name(config, &DURATION_COUNT), labels);
    let buckets = scrape.buckets_by(&metric_name(config, &DURATION_BUCKET), labels);
    for (key, total) in &requests {
        let [method, endpoint] = key;
        let timed = counts.get(key).copied().unwrap_or_default();
        if timed != *total {
            problems.push(format!("{method} {endpoint}: {} requests, but {} durations", count(*total), count(timed)));
        }
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let same = buckets.get(key).map(Buckets::count) == Some(*total as f64);
        if !same {
            problems.push(format!("{method} {endpoint}: the +Inf bucket is not the {} requests", count(*total)));
        }
    }
    let outcomes = scrape.count(&metric_name(config, &CORRELATION), &[]);
    if outcomes != counted {
        problems.push(format!("{} for {}", plural(outcomes, "correlation outcome"), plural(counted, "request")));
    }
    problems
}

/// The endpoints of a scrape, most requests first; what came since `earlier` where one is given.
pub fn endpoint_rows(config: &Config, scrape: &Scrape, earlier: Option<&Scrape>) -> Vec<EndpointRow> {
    let requests_name = metric_name(config, &REQUESTS);
    let bucket_name = metric_name(config, &DURATION_BUCKET);
    let before = earlier.map(|earlier| earlier.counts_by(&requests_name, ["endpoint", "status"])).unwrap_or_default();
    let buckets_before = earlier.map(|earlier| earlier.buckets_by(&bucket_name, ["endpoint"])).unwrap_or_default();
    let mut sums: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (key, total) in scrape.counts_by(&requests_name, ["endpoint", "status"]) {
        let new = total.saturating_sub(before.get(&key).copied().unwrap_or_default());
        let [endpoint, status] = key;
        let [all, client, server] = sums.entry(endpoint).or_default();
        *all += new;
        match status.as_bytes() {
            [b'4', _, _] => *client += new,
            [b'5', _, _] => *server += new,
            _ => {}
        }
    }
    let buckets = scrape.buckets_by(&bucket_name, ["endpoint"]);
    let mut rows: Vec<EndpointRow> = sums
        .into_iter()
        .filter(|(_, [all, ..])| *all > 0)
        .map(|(endpoint, [all, client, server])| {
            let key = [endpoint];
            let all_buckets = buckets.get(&key).cloned().unwrap_or_default();
            let new =
                buckets_before.get(&key).map_or_else(|| all_buckets.clone(), |earlier| all_buckets.since(earlier));
            let [endpoint] = key;
            EndpointRow {
                endpoint,
                requests: all,
                client_errors: share(client, all),
                server_errors: share(server, all),
                quantiles: [0.5, 0.95, 0.99].map(|q| new.quantile(q)),
            }
        })
        .collect();
    rows.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.endpoint.cmp(&b.endpoint)));
    rows
}

fn share(part: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share is shown to one digit after the point")]
    let share = part as f64 / all.max(1) as f64;
    share
}

/// Endpoints as a table: totals, or with `seconds` rates over that time.
pub fn endpoint_table(rows: &[EndpointRow], seconds: Option<f64>) -> String {
    let amount = if seconds.is_some() { "requests/s" } else { "requests" };
    let mut table = Table::new([
        ("endpoint", Column::Text),
        (amount, Column::Number),
        ("4xx", Column::Number),
        ("5xx", Column::Number),
        ("p50", Column::Number),
        ("p95", Column::Number),
        ("p99", Column::Number),
    ]);
    for row in rows {
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown to one digit after the point")]
        let amount =
            seconds.map_or_else(|| count(row.requests), |seconds| format!("{:.1}", row.requests as f64 / seconds));
        let [p50, p95, p99] = row.quantiles.map(|quantile| quantile.map_or_else(|| "-".to_owned(), duration));
        table.row([
            row.endpoint.clone(),
            amount,
            percent(row.client_errors),
            percent(row.server_errors),
            p50,
            p95,
            p99,
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use telemetry::method::Method;

    use super::*;

    const SCRAPE: &str = r#"
eucora_http_requests_total{method="GET",endpoint="/x/",status="200"} 3
eucora_http_requests_total{method="GET",endpoint="/x/",status="0"} 1
eucora_http_requests_total{method="POST",endpoint="unknown",status="404"} 2
eucora_http_request_duration_seconds_count{method="GET",endpoint="/x/"} 4
eucora_http_request_duration_seconds_count{method="POST",endpoint="unknown"} 2
eucora_http_request_duration_seconds_bucket{method="GET",endpoint="/x/",le="0.01"} 4
eucora_http_request_duration_seconds_bucket{method="GET",endpoint="/x/",le="+Inf"} 4
eucora_http_request_duration_seconds_bucket{method="POST",endpoint="unknown",le="0.01"} 0
eucora_http_request_duration_seconds_bucket{method="POST",endpoint="unknown",le="+Inf"} 2
eucora_edge_correlation_total{outcome="generated",reason="missing"} 6
envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="ingress"} 6
envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="admin"} 60
envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"} 3
envoy_http_downstream_rq_xx{envoy_response_code_class="4",envoy_http_conn_manager_prefix="ingress"} 2
"#;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.answered.insert((Method::Get, 200), 3);
        ledger.answered.insert((Method::Post, 404), 2);
        ledger.aborted.insert(Method::Get, 1);
        ledger
    }

    fn accounting(ledger: &Ledger, scrape: &str) -> Accounting {
        Accounting::new(&Config::from_json(b"").unwrap(), ledger, &Scrape::parse(scrape).unwrap())
    }

    #[test]
    fn books_that_agree_are_exact() {
        let accounting = accounting(&ledger(), SCRAPE);
        assert_eq!(accounting.problems, Vec::<String>::new());
        assert_eq!((accounting.sent, accounting.counted, accounting.proxied), (6, 6, 6));
        let text = accounting.to_text();
        assert!(text.contains("left        1       1      1\n"), "{text}");
        assert!(text.ends_with("every one of 6 requests is accounted for\n"), "{text}");
    }

    #[test]
    fn every_difference_is_named() {
        let mut other = ledger();
        other.answered.insert((Method::Get, 200), 2);
        let cases = [
            (accounting(&other, SCRAPE), "GET 200: the client saw 2, the filter counted 3"),
            (accounting(&other, SCRAPE), "5 requests sent, the proxy counted 6"),
            (
                accounting(
                    &ledger(),
                    &SCRAPE.replace(
                        "class=\"4\",envoy_http_conn_manager_prefix=\"ingress\"} 2",
                        "class=\"4\",envoy_http_conn_manager_prefix=\"ingress\"} 1",
                    ),
                ),
                "4xx: the filter counted 2, the proxy 1",
            ),
            (
                accounting(
                    &ledger(),
                    &SCRAPE.replace(
                        "_count{method=\"GET\",endpoint=\"/x/\"} 4",
                        "_count{method=\"GET\",endpoint=\"/x/\"} 3",
                    ),
                ),
                "GET /x/: 4 requests, but 3 durations",
            ),
            (
                accounting(&ledger(), &SCRAPE.replace("le=\"+Inf\"} 2", "le=\"+Inf\"} 1")),
                "POST unknown: the +Inf bucket is not the 2 requests",
            ),
            (
                accounting(&ledger(), &SCRAPE.replace("missing\"} 6", "missing\"} 5")),
                "5 correlation outcomes for 6 requests",
            ),
        ];
        for (accounting, expected) in cases {
            assert!(
                accounting.problems.iter().any(|problem| problem == expected),
                "{expected}: {:?}",
                accounting.problems
            );
            assert!(accounting.to_text().contains(expected));
        }
    }

    #[test]
    fn a_window_shows_only_what_is_new() {
        let config = Config::from_json(b"").unwrap();
        let earlier = Scrape::parse(
            &SCRAPE
                .replace("status=\"200\"} 3", "status=\"200\"} 1")
                .replace("le=\"0.01\"} 4", "le=\"0.01\"} 2")
                .replace("\"+Inf\"} 4", "\"+Inf\"} 2"),
        )
        .unwrap();
        let rows = endpoint_rows(&config, &Scrape::parse(SCRAPE).unwrap(), Some(&earlier));
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].endpoint.as_str(), rows[0].requests), ("/x/", 2));
        assert!(endpoint_table(&rows, Some(2.0)).contains("1.0"));
    }
}
