//! What the rules, polls and sinks of a configuration do, in words and as JSON.

use serde::Serialize;
use siem::event::Class;
use siem::protocol::Protocol;
use telemetry::config::{Config, PollConfig, SinkConfig};
use telemetry::metrics;
use telemetry::poll::Missing;
use telemetry::rule::{EventSpec, MetricSpec, MetricValue, Rule, Source, explain};

use crate::table::{Column, Table, count, plural};

/// Everything that a configuration declares beyond requests.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The rules.
    pub rules: Vec<RuleExplained>,
    /// The polls.
    pub polls: Vec<PollExplained>,
    /// The sinks of events.
    pub sinks: Vec<SinkExplained>,
    /// The labels that the proxy has to take out of stat names.
    pub stats_tags: Tags,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleExplained {
    /// Its name.
    pub name: String,
    /// What has to hold, in words; nothing where it is about every stream.
    pub when: Vec<String>,
    /// What it counts.
    pub metric: Option<MetricExplained>,
    /// The event that it makes.
    pub event: Option<EventExplained>,
    /// What it reads of bodies.
    pub body: Option<BodyExplained>,
    /// Whether repetitions count.
    pub once: Option<OnceExplained>,
}

/// What a rule counts.
#[derive(Debug, Clone, Serialize)]
pub struct MetricExplained {
    /// The metric's whole name.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: &'static str,
    /// What is added, set or observed: a number, or a fact.
    pub value: String,
    /// What the value is multiplied by.
    pub scale: u32,
    /// The labels.
    pub labels: Vec<LabelExplained>,
    /// The upper bounds of a histogram's buckets.
    pub buckets: Vec<String>,
    /// How many series the metric has.
    pub series: u64,
}

/// A label.
#[derive(Debug, Clone, Serialize)]
pub struct LabelExplained {
    /// Its name.
    pub name: String,
    /// The fact behind it; a poll's has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fact: Option<String>,
    /// Where that fact is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Every value.
    pub values: Vec<String>,
}

/// An event.
#[derive(Debug, Clone, Serialize)]
pub struct EventExplained {
    /// `EventType`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of activity it is about.
    pub class: &'static str,
    /// How much it matters.
    pub severity: String,
    /// The facts that it carries.
    pub facts: Vec<String>,
    /// How many requests make one.
    pub burst: Option<BurstExplained>,
}

/// How many requests make one event.
#[derive(Debug, Clone, Serialize)]
pub struct BurstExplained {
    /// So many requests.
    pub count: u32,
    /// Within so many seconds.
    pub window_seconds: u32,
    /// Of one of these.
    pub by: Vec<String>,
}

/// What is read of bodies.
#[derive(Debug, Clone, Serialize)]
pub struct BodyExplained {
    /// JSON pointers.
    pub pointers: Vec<String>,
    /// Up to so many bytes.
    pub max_bytes: usize,
}

/// Until when a repetition does not count.
#[derive(Debug, Clone, Serialize)]
pub struct OnceExplained {
    /// What repetitions have in common.
    pub by: Vec<String>,
    /// Within so many seconds.
    pub window_seconds: u32,
    /// How many are remembered.
    pub keys: u32,
}

/// One poll.
#[derive(Debug, Clone, Serialize)]
pub struct PollExplained {
    /// Its name.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// The `:authority`.
    pub authority: String,
    /// The `:path`.
    pub path: String,
    /// The names of more headers. Their values may be secret.
    pub headers: Vec<String>,
    /// From one answer to the next request.
    pub interval_ms: u32,
    /// How long an answer may take.
    pub timeout_ms: u32,
    /// From when on the gauges are stale.
    pub stale_after_ms: u32,
    /// The gauges.
    pub gauges: Vec<GaugeExplained>,
}

/// One gauge.
#[derive(Debug, Clone, Serialize)]
pub struct GaugeExplained {
    /// Its whole name.
    pub name: String,
    /// Where its numbers are.
    pub pointer: String,
    /// What they are multiplied by.
    pub scale: u32,
    /// The labels.
    pub labels: Vec<LabelExplained>,
    /// What is missing is this.
    pub missing: &'static str,
    /// What it goes to when it is stale; nothing where it stays.
    pub stale: Option<u64>,
    /// How many series it has.
    pub series: u64,
}

/// One sink.
#[derive(Debug, Clone, Serialize)]
pub struct SinkExplained {
    /// Its name.
    pub name: String,
    /// The protocol, as the configuration calls it.
    pub protocol: &'static str,
    /// The clusters: the receiver's, and that of the token endpoint.
    pub clusters: Vec<String>,
    /// The receiver's `:authority`.
    pub authority: String,
    /// How events are written.
    pub format: &'static str,
    /// The variable of the VM's environment that has the secret.
    pub secret_env: Option<String>,
    /// How many events may wait.
    pub queue_events: usize,
}

/// Labels.
#[derive(Debug, Clone, Serialize)]
pub struct Tags {
    /// All that the configuration needs.
    pub needed: Vec<String>,
    /// Those that the shipped bootstrap does not have.
    pub not_shipped: Vec<Tag>,
}

/// An extractor, as Envoy's `stats_config.stats_tags` has it.
#[derive(Debug, Clone, Serialize)]
pub struct Tag {
    /// The label.
    pub tag_name: String,
    /// The regular expression.
    pub regex: String,
}

impl Explained {
    /// What a configuration declares.
    pub fn new(config: &Config) -> Self {
        let shipped = shipped_tags();
        let tags = metrics::stats_tags(config);
        let (names, missing): (Vec<_>, Vec<_>) =
            (tags.iter().map(|(name, _)| (*name).to_owned()).collect(), tags.iter().collect());
        let not_shipped = missing.into_iter().filter(|(name, _)| !shipped.iter().any(|shipped| shipped == name));
        Self {
            rules: config.rules().rules().iter().map(|rule| self::rule(config, rule)).collect(),
            polls: config.polls().iter().map(|poll| self::poll(config, poll)).collect(),
            sinks: config.events().sinks().iter().map(sink).collect(),
            stats_tags: Tags {
                needed: names,
                not_shipped: not_shipped
                    .map(|(name, regex)| Tag { tag_name: (*name).to_owned(), regex: regex.clone() })
                    .collect(),
            },
        }
    }

    /// The same for people; empty where nothing is declared.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut add = |table: Table| {
            out.push('\n');
            out.push_str(&table.render());
        };
        if !self.rules.is_empty() {
            add(table("rule", self.rules.iter().map(|rule| (rule.name.as_str(), rule.lines()))));
        }
        if !self.polls.is_empty() {
            add(table("poll", self.polls.iter().map(|poll| (poll.name.as_str(), poll.lines()))));
        }
        if !self.sinks.is_empty() {
            add(table("sink", self.sinks.iter().map(|sink| (sink.name.as_str(), sink.lines()))));
        } else if self.rules.iter().any(|rule| rule.event.is_some()) {
            out.push_str("\nwithout a sink, events go to the proxy's log\n");
        }
        let missing = &self.stats_tags.not_shipped;
        let needed = plural(self.stats_tags.needed.len() as u64, "label");
        let verb = if self.stats_tags.needed.len() == 1 { "is" } else { "are" };
        if missing.is_empty() {
            out.push_str(&format!("\nstats_tags: {needed} {verb} needed, and the shipped bootstrap has each\n"));
        } else {
            out.push_str(&format!("\nstats_tags: {needed} {verb} needed; add to the shipped bootstrap:\n"));
            for tag in missing {
                let regex = tag.regex.replace('\\', "\\\\");
                out.push_str(&format!("  - {{tag_name: {}, regex: \"{regex}\"}}\n", tag.tag_name));
            }
        }
        out
    }
}

/// A table whose first column has each name once.
fn table<'a>(what: &str, parts: impl Iterator<Item = (&'a str, Vec<(&'static str, String)>)>) -> Table {
    let mut table = Table::new([(what, Column::Text), ("", Column::Text), ("what", Column::Text)]);
    for (name, lines) in parts {
        let mut name = name;
        let mut last = "";
        for (aspect, text) in lines {
            let shown = if aspect == last { "" } else { aspect };
            table.row([name, shown, &text]);
            (name, last) = ("", aspect);
        }
    }
    table
}

impl RuleExplained {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines: Vec<_> = self.when.iter().map(|words| ("when", words.clone())).collect();
        if lines.is_empty() {
            lines.push(("when", "always".to_owned()));
        }
        if let Some(metric) = &self.metric {
            let names: Vec<&str> = metric.labels.iter().map(|label| label.name.as_str()).collect();
            let scale = if metric.scale == 1 { String::new() } else { format!(" times {}", metric.scale) };
            let verb = match metric.kind {
                "counter" => "add",
                "gauge" => "set",
                _ => "observe",
            };
            let (name, labels, value) = (&metric.name, braces(&names), &metric.value);
            lines.push((
                "metric",
                format!("{name}{labels}: {}, {verb} {value}{scale}, {} series", metric.kind, count(metric.series)),
            ));
            for label in &metric.labels {
                let from = label.from.join(", else ");
                lines.push(("label", format!("{}: {} (from {from})", label.name, label.values.join(", "))));
            }
            if !metric.buckets.is_empty() {
                lines.push(("buckets", metric.buckets.join(", ")));
            }
        }
        if let Some(event) = &self.event {
            let facts =
                if event.facts.is_empty() { String::new() } else { format!(", with {}", event.facts.join(", ")) };
            lines.push(("event", format!("{}: {}, {}{facts}", event.kind, event.class, event.severity)));
            if let Some(burst) = &event.burst {
                let by = burst.by.join(", else ");
                let window = plural(u64::from(burst.window_seconds), "second");
                lines.push(("burst", format!("one of {} of one {by} within {window}", count(u64::from(burst.count)))));
            }
        }
        lines.push((
            "body",
            match &self.body {
                None => "not read".to_owned(),
                Some(body) => {
                    format!("{}, of up to {}", body.pointers.join(", "), plural(body.max_bytes as u64, "byte"))
                }
            },
        ));
        lines.push((
            "once",
            match &self.once {
                None => "every time".to_owned(),
                Some(once) => {
                    let window = plural(u64::from(once.window_seconds), "second");
                    format!("by {} within {window}, {} keys", once.by.join(", else "), count(u64::from(once.keys)))
                }
            },
        ));
        lines
    }
}

impl PollExplained {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines =
            vec![("asks", format!("GET {} of cluster {}, host {}", self.path, self.cluster, self.authority))];
        if !self.headers.is_empty() {
            lines.push(("headers", self.headers.join(", ")));
        }
        lines.push((
            "times",
            format!(
                "every {} ms, time-out {} ms, stale after {} ms",
                count(self.interval_ms.into()),
                count(self.timeout_ms.into()),
                count(self.stale_after_ms.into())
            ),
        ));
        for gauge in &self.gauges {
            let names: Vec<&str> = gauge.labels.iter().map(|label| label.name.as_str()).collect();
            let stale =
                gauge.stale.map_or_else(|| "stays when stale".to_owned(), |value| format!("{value} when stale"));
            lines.push((
                "gauge",
                format!(
                    "{}{} from {}, {} series, {} where missing, {stale}",
                    gauge.name,
                    braces(&names),
                    gauge.pointer,
                    count(gauge.series),
                    gauge.missing
                ),
            ));
            for label in &gauge.labels {
                lines.push(("label", format!("{}: {}", label.name, label.values.join(", "))));
            }
        }
        lines
    }
}

impl SinkExplained {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let secret = self.secret_env.as_ref().map_or_else(|| "none".to_owned(), |name| format!("${name}"));
        vec![
            ("to", format!("{} at {}, cluster {}", self.protocol, self.authority, self.clusters.join(" and "))),
            ("format", self.format.to_owned()),
            ("secret", secret),
            ("queue", format!("{} in each worker", plural(self.queue_events as u64, "event"))),
        ]
    }
}

fn braces(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!("{{{}}}", names.join(",")) }
}

fn rule(config: &Config, rule: &Rule) -> RuleExplained {
    let rules = config.rules();
    let facts = rules.facts();
    let sources = |sources: &[Source]| sources.iter().map(|source| explain::source(rules, source)).collect::<Vec<_>>();
    let metric = rule.metric.as_ref().and_then(|counts| {
        let spec = rules.metrics().get(counts.metric)?;
        let labels = spec.labels.iter().zip(&counts.labels).map(|((name, values), fact)| {
            let fact = facts.get(*fact);
            LabelExplained {
                name: name.clone(),
                fact: fact.map(|fact| fact.name.clone()),
                from: fact.map(|fact| sources(&fact.sources)).unwrap_or_default(),
                values: values.clone(),
            }
        });
        let value = match counts.value {
            MetricValue::Whole(whole) => whole.to_string(),
            MetricValue::Fact(fact) => facts.get(fact).map(|fact| fact.name.clone()).unwrap_or_default(),
        };
        Some(self::metric(config, spec, value, labels.collect()))
    });
    // A label's pointer is read as well as one of the keys of repetitions and senders.
    let keys = rule.once.iter().flat_map(|once| &once.by);
    let senders = rule.event.iter().flat_map(|event| &event.burst).flat_map(|burst| &burst.by);
    let needed = rule.facts().filter_map(|fact| facts.get(fact)).flat_map(|fact| &fact.sources);
    let mut pointers: Vec<String> = Vec::new();
    for source in keys.chain(senders).chain(needed) {
        if let Source::Body(pointer) = source
            && let Some(text) = rules.pointers().text(*pointer)
            && !pointers.contains(&text)
        {
            pointers.push(text);
        }
    }
    RuleExplained {
        name: rule.name.clone(),
        when: explain::parts(config, &rule.condition).into_iter().map(|(words, _)| words).collect(),
        metric,
        event: rule.event.as_ref().map(|spec| event(config, spec)),
        body: (!pointers.is_empty()).then(|| BodyExplained { pointers, max_bytes: rules.max_body() }),
        once: rule.once.as_ref().map(|once| OnceExplained {
            by: sources(&once.by),
            window_seconds: once.window_seconds,
            keys: once.keys,
        }),
    }
}

fn metric(config: &Config, spec: &MetricSpec, value: String, labels: Vec<LabelExplained>) -> MetricExplained {
    MetricExplained {
        name: format!("{}_{}", config.namespace(), spec.name),
        kind: spec.kind.as_str(),
        value,
        scale: spec.scale,
        labels,
        buckets: spec.buckets.iter().flat_map(|buckets| buckets.labels()).map(ToString::to_string).collect(),
        series: spec.combinations().saturating_mul(spec.series_each()),
    }
}

fn event(config: &Config, spec: &EventSpec) -> EventExplained {
    let rules = config.rules();
    let fields = spec.fields;
    let of_fields = [fields.deployment_id, fields.decision, fields.approved_by, fields.risk_score];
    let facts = of_fields.into_iter().flatten().chain(spec.with.iter().copied());
    EventExplained {
        kind: spec.kind.clone(),
        class: match spec.class {
            Class::Decision => "decision",
            Class::Authentication => "authentication",
            Class::Authorization => "authorization",
            Class::PrivilegedOperation => "privileged_operation",
            Class::Probe => "probe",
        },
        severity: format!("{:?}", spec.severity.unwrap_or_else(|| spec.class.severity())).to_ascii_lowercase(),
        facts: facts.filter_map(|fact| rules.facts().get(fact)).map(|fact| fact.name.clone()).collect(),
        burst: spec.burst.as_ref().map(|burst| BurstExplained {
            count: burst.count,
            window_seconds: burst.window_seconds,
            by: burst.by.iter().map(|source| explain::source(rules, source)).collect(),
        }),
    }
}

fn poll(config: &Config, poll: &PollConfig) -> PollExplained {
    let spec = poll.plan().spec();
    let gauges = spec.gauges.iter().map(|gauge| GaugeExplained {
        name: format!("{}_{}", config.namespace(), gauge.name),
        pointer: gauge.pointer.clone(),
        scale: gauge.scale,
        labels: gauge
            .labels
            .iter()
            .map(|(name, values)| LabelExplained {
                name: name.clone(),
                fact: None,
                from: Vec::new(),
                values: values.clone(),
            })
            .collect(),
        missing: match gauge.missing {
            Missing::Zero => "zero",
            Missing::Stale => "stale",
        },
        stale: gauge.stale,
        series: gauge.labels.iter().map(|(_, values)| values.len() as u64).fold(1, u64::saturating_mul),
    });
    PollExplained {
        name: poll.name().to_owned(),
        cluster: spec.cluster.clone(),
        authority: spec.authority.clone(),
        path: spec.path.clone(),
        headers: spec.headers.iter().map(|(name, _)| name.clone()).collect(),
        interval_ms: spec.interval_ms,
        timeout_ms: spec.timeout_ms,
        stale_after_ms: spec.stale_after_ms,
        gauges: gauges.collect(),
    }
}

fn sink(sink: &SinkConfig) -> SinkExplained {
    let settings = sink.settings();
    let mut clusters = vec![settings.cluster.clone()];
    let protocol = match &settings.protocol {
        Protocol::LogsIngestion(azure) => {
            clusters.push(azure.token_cluster.clone());
            "logs_ingestion"
        }
        Protocol::DataCollector(_) => "data_collector",
        Protocol::SplunkHec(_) => "splunk_hec",
        Protocol::Json(_) => "json",
    };
    SinkExplained {
        name: sink.name().to_owned(),
        protocol,
        clusters,
        authority: settings.authority.clone(),
        format: settings.format.as_str(),
        secret_env: sink.secret_env().map(str::to_owned),
        queue_events: sink.limits().queue_events,
    }
}

/// The labels that the shipped bootstrap has extractors for.
fn shipped_tags() -> Vec<String> {
    let bootstrap: serde_yaml_ng::Value = serde_yaml_ng::from_str(crate::envoy::BOOTSTRAP).unwrap_or_default();
    let tags = bootstrap.get("stats_config").and_then(|stats| stats.get("stats_tags"));
    let names = tags.and_then(serde_yaml_ng::Value::as_sequence).into_iter().flatten();
    names.filter_map(|tag| tag.get("tag_name")?.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_file;

    fn explained(text: &str) -> Explained {
        Explained::new(&config_file::parse(text.as_bytes()).unwrap().config)
    }

    #[test]
    fn the_profile_reads_as_what_it_does() {
        let explained = explained(crate::envoy::PROFILE);
        let text = explained.to_text();
        for line in [
            "\ncab_decisions         when    the endpoint is approval-approve, approval-reject, cab-approve, cab-reject, deployment-approve or deployment-reject\n",
            "the status is 2xx\n",
            "the status is not 202\n",
            "metric  eucora_cab_approvals_total{decision,risk_level}: counter, add 1, 15 series\n",
            "label   decision: approved, rejected, other (from endpoint)\n",
            "risk_level: low, medium, high, critical, unknown (from body:/risk_level, else response_header:x-risk-level)\n",
            "event   CAB_APPROVAL: decision, informational, with deployment_id, decision, approved_by, risk_score, risk_level\n",
            "of up to 65,536 bytes\n",
            "once    by request_header:idempotency-key, else correlation_id within 86,400 seconds, 4,096 keys\n",
            "burst   one of 5 of one source within 60 seconds\n",
            "approved_by and requested_by are there, and equal\n",
            "the path looks for traversal or control_bytes\n",
            "GET /api/v1/metrics/summary of cluster api, host api\n",
            "every 15,000 ms, time-out 5,000 ms, stale after 90,000 ms\n",
            "eucora_active_deployments{ring,status} from /active_deployments/{status}/{ring}, 20 series, zero where missing, stays when stale\n",
            "without a sink, events go to the proxy's log\n",
            "needed, and the shipped bootstrap has each\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
        let forbidden = explained.rules.iter().find(|rule| rule.name == "forbidden").unwrap();
        assert!(forbidden.body.is_none(), "else every body is read");
        let failures = &explained.rules[3];
        assert!(failures.when.contains(&"the status is 0 (no answer), 4xx or 5xx".to_owned()), "{:?}", failures.when);
    }

    #[test]
    fn labels_that_the_bootstrap_does_not_have_are_named() {
        let text = r#"
routes: {table: [{template: "/t/{tier}"}]}
facts: [{name: tier, from: "path:tier", values: [gold, tin], default: other}, {name: size, from: request_bytes, type: number}]
rules:
- name: sizes
  metric: {name: upload_bytes, kind: histogram, value: size, buckets: [1, 1000], labels: {tier: tier}}
events:
  sinks:
  - {name: soc, cluster: siem, authority: siem.example, secret_env: SOC_TOKEN, splunk_hec: {}, format: ocsf}
"#;
        let explained = explained(text);
        let missing: Vec<&str> = explained.stats_tags.not_shipped.iter().map(|tag| tag.tag_name.as_str()).collect();
        assert_eq!(missing, ["tier"]);
        let text = explained.to_text();
        assert!(text.contains("  - {tag_name: tier, regex: \"(tier=\\\\.=(.*?);\\\\.;)\"}\n"), "{text}");
        assert!(text.contains("\nsizes  when     always\n"), "{text}");
        assert!(text.contains("eucora_upload_bytes{tier}: histogram, observe size, 15 series\n"), "{text}");
        assert!(text.contains("\nsoc   to      splunk_hec at siem.example, cluster siem\n"), "{text}");
        assert!(text.contains("secret  $SOC_TOKEN\n") && text.contains("format  ocsf\n"), "{text}");
        let json = serde_json::to_value(&explained).unwrap();
        assert_eq!(json["rules"][0]["metric"]["labels"][0]["values"], serde_json::json!(["gold", "tin", "other"]));
        assert_eq!(json["sinks"][0]["secret_env"], "SOC_TOKEN");
        assert_eq!(json["stats_tags"]["not_shipped"][0]["tag_name"], "tier");
    }

    #[test]
    fn a_configuration_without_rules_needs_the_filters_own_labels_alone() {
        let text = explained("{}").to_text();
        assert!(text.starts_with("\nstats_tags: ") && text.lines().count() == 2, "{text}");
    }
}
