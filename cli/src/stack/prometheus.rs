//! Prometheus with the shipped configuration and rules, on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_yaml_ng::Value;

use super::Program;
use crate::client;

/// `prometheus/prometheus.yml`.
pub const CONFIG: &str = include_str!("../../../prometheus/prometheus.yml");

/// The files under `prometheus/rules`, by name.
pub const RULES: &[(&str, &str)] = &[
    ("alerts-api.yml", include_str!("../../../prometheus/rules/alerts-api.yml")),
    ("alerts-edge.yml", include_str!("../../../prometheus/rules/alerts-edge.yml")),
    ("alerts-slo.yml", include_str!("../../../prometheus/rules/alerts-slo.yml")),
    ("certificates.yml", include_str!("../../../prometheus/rules/certificates.yml")),
    ("recording.yml", include_str!("../../../prometheus/rules/recording.yml")),
    ("slo.yml", include_str!("../../../prometheus/rules/slo.yml")),
];

const START_LIMIT: Duration = Duration::from_secs(60);

/// How to run Prometheus.
#[derive(Debug, Clone)]
pub struct PrometheusOptions {
    /// Its executable.
    pub binary: PathBuf,
    /// Where it listens; port 0 is none that it can be asked for.
    pub listen: SocketAddr,
    /// Its files: configuration, rules, data, log.
    pub folder: PathBuf,
    /// What each job of the shipped configuration scrapes. A job that is not here is left out.
    pub targets: BTreeMap<String, Vec<String>>,
    /// Where alerts go.
    pub alertmanager: Option<SocketAddr>,
    /// Instead of the shipped interval of scrapes and rules.
    pub interval: Option<Duration>,
    /// Jobs that are scraped at another interval, for exporters that take their time.
    pub slower: BTreeMap<String, Duration>,
    /// The rules' files, by name.
    pub rules: Vec<(String, String)>,
    /// Feature flags.
    pub features: Vec<String>,
    /// A configuration of its own, in place of the shipped one with these targets.
    pub configuration: Option<String>,
    /// How often Alertmanager is told again of an alert that goes on; Prometheus' own is a minute.
    pub resend: Option<Duration>,
}

impl PrometheusOptions {
    /// The shipped rules, and no target.
    pub fn new(binary: impl Into<PathBuf>, listen: SocketAddr, folder: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            listen,
            folder: folder.into(),
            targets: BTreeMap::new(),
            alertmanager: None,
            interval: None,
            slower: BTreeMap::new(),
            rules: RULES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            features: Vec::new(),
            configuration: None,
            resend: None,
        }
    }

    /// The shipped configuration with these targets.
    ///
    /// # Errors
    /// When the shipped file is not of the form that this program knows.
    pub fn configuration(&self) -> anyhow::Result<String> {
        if let Some(own) = &self.configuration {
            return Ok(own.clone());
        }
        let mut config: Value = serde_yaml_ng::from_str(CONFIG).context("prometheus/prometheus.yml")?;
        let field = |name: &str| format!("prometheus/prometheus.yml has no `{name}`");
        if let Some(interval) = self.interval {
            let global = config.get_mut("global").with_context(|| field("global"))?;
            let text = Value::from(format!("{}ms", interval.as_millis()));
            for name in ["scrape_interval", "evaluation_interval"] {
                *global.get_mut(name).with_context(|| field(name))? = text.clone();
            }
        }
        let alerting = config.get_mut("alerting").with_context(|| field("alerting"))?;
        let managers = alerting.get_mut("alertmanagers").with_context(|| field("alertmanagers"))?;
        *managers = match self.alertmanager {
            Some(address) => serde_yaml_ng::to_value(serde_json::json!([
                { "static_configs": [{ "targets": [address.to_string()] }] }
            ]))?,
            None => Value::Sequence(Vec::new()),
        };
        let jobs = config.get_mut("scrape_configs").and_then(Value::as_sequence_mut);
        let jobs = jobs.with_context(|| field("scrape_configs"))?;
        let name = |job: &Value| job.get("job_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        for wanted in self.targets.keys() {
            ensure!(jobs.iter().any(|job| name(job) == *wanted), "prometheus/prometheus.yml has no job `{wanted}`");
        }
        jobs.retain(|job| self.targets.contains_key(&name(job)));
        for job in jobs {
            let targets = self.targets.get(&name(job)).cloned().unwrap_or_default();
            let place = job.get_mut("static_configs").and_then(|list| list.get_mut(0)?.get_mut("targets"));
            *place.with_context(|| field("static_configs"))? = targets.into_iter().map(Value::from).collect();
            if let (Some(interval), Some(fields)) = (self.slower.get(&name(job)), job.as_mapping_mut()) {
                // Else it would have the time-out of the others, which is their interval.
                for name in ["scrape_interval", "scrape_timeout"] {
                    fields.insert(name.into(), format!("{}ms", interval.as_millis()).into());
                }
            }
        }
        Ok(serde_yaml_ng::to_string(&config)?)
    }
}

/// A running Prometheus. Dropping it ends it.
#[derive(Debug)]
pub struct Prometheus {
    program: Program,
    address: SocketAddr,
    folder: PathBuf,
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Sample {
    /// Its labels, the name included where there is one.
    #[serde(rename = "metric")]
    pub labels: BTreeMap<String, String>,
    /// When, in seconds, and what.
    #[serde(rename = "value")]
    point: (f64, String),
}

impl Sample {
    /// A label's value; empty where it has no such label.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The value.
    pub fn value(&self) -> f64 {
        self.point.1.parse().unwrap_or(f64::NAN)
    }
}

/// An alert that Prometheus knows of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alert {
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// Its texts.
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

#[derive(Debug, Deserialize)]
struct Answer<T> {
    #[serde(default = "Option::default")]
    data: Option<T>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

impl Prometheus {
    /// Writes its files, starts it and waits until it serves.
    ///
    /// # Errors
    /// When a file cannot be written, or Prometheus ends or refuses what is in them.
    pub async fn start(options: &PrometheusOptions) -> anyhow::Result<Self> {
        let folder = std::path::absolute(&options.folder)?;
        std::fs::create_dir_all(folder.join("rules")).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(folder.join("prometheus.yml"), options.configuration()?)?;
        for (name, text) in &options.rules {
            std::fs::write(folder.join("rules").join(name), text)?;
        }
        let mut command = Command::new(&options.binary);
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={}", options.listen))
            .arg("--web.enable-lifecycle");
        if let Some(resend) = options.resend {
            command.arg(format!("--rules.alert.resend-delay={}ms", resend.as_millis()));
        }
        if !options.features.is_empty() {
            command.arg(format!("--enable-feature={}", options.features.join(",")));
        }
        let program = Program::start("prometheus", &command, &folder.join("prometheus.log"))?;
        let mut prometheus = Self { program, address: options.listen, folder };
        let address = options.listen;
        prometheus
            .program
            .until(START_LIMIT, async || {
                client::get(address, "/-/ready").await.is_ok_and(|answer| answer.status == 200)
            })
            .await?;
        Ok(prometheus)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value of an expression now.
    ///
    /// # Errors
    /// When Prometheus refuses the expression, or it is no instant vector.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<Sample>> {
        self.query_at(expression, None).await
    }

    /// The value of an expression at a time in seconds since 1970.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_at(&self, expression: &str, time: Option<f64>) -> anyhow::Result<Vec<Sample>> {
        let time = time.map(|time| format!("&time={time}")).unwrap_or_default();
        let vector: Vector = self.get(&format!("/api/v1/query?query={}{time}", encoded(expression))).await?;
        Ok(vector.result)
    }

    /// The alerts that are pending or firing.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        let alerts: Alerts = self.get("/api/v1/alerts").await?;
        Ok(alerts.alerts)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> anyhow::Result<T> {
        let answer = client::get(self.address, path).await.context("Prometheus does not answer")?;
        let answer: Answer<T> = serde_json::from_slice(&answer.body).with_context(|| {
            format!("Prometheus answered {} {}", answer.status, String::from_utf8_lossy(&answer.body))
        })?;
        match (answer.data, answer.error) {
            (Some(data), None) => Ok(data),
            (_, error) => bail!("Prometheus: {}", error.unwrap_or_default()),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.program.stop().await
    }
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
