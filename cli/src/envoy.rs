//! Runs real Envoy from the files that are shipped in `envoy/`, edited only where a run has to differ: addresses, upstream,
//! paths and the filter's configuration.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use edge_observer::{envoy::{EnvoyOptions, EnvoyProxy}, tools::{Fetch, Tools}};
//!
//! let envoy = Tools::new(Fetch::Allowed).envoy()?;
//! let mut options = EnvoyOptions::new(envoy.path, "target/edge-observer/edge_observer.wasm");
//! options.upstream = "http://127.0.0.1:8000".parse()?;
//! options.configuration = r#"{"namespace": "eucora"}"#.into();
//! let mut proxy = EnvoyProxy::start(options).await?;
//! println!("http://{} and http://{}/stats/prometheus", proxy.listen(), proxy.admin());
//! proxy.update_config(r#"{"namespace": "eucora", "ring": "1"}"#).await?;
//! proxy.stop(std::time::Duration::from_secs(5)).await?;
//! # Ok(()) }
//! ```

mod admin;
mod log;
mod process;
mod render;

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    str::FromStr,
    time::Duration,
};

use http::{HeaderName, StatusCode};

pub use admin::EcdsStats;
pub use process::EnvoyProxy;
pub use render::{ACCESS_LOG_OTEL, BOOTSTRAP, ECDS, FILTER, PROFILE, Rendered, bootstrap_for, profile_json, render};

/// How the filter reaches Envoy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Through the watched file, as shipped: it can be replaced while Envoy runs. Envoy itself starts with a refused file,
    /// and lets traffic through; [`EnvoyProxy::start`] reports that as an error unless told otherwise.
    #[default]
    Watched,
    /// In the bootstrap: Envoy refuses to start when the module or its configuration is refused.
    Static,
    /// Not at all: these HTTP filters stand in its place, as Envoy's API has them in JSON, for comparisons.
    Instead(Vec<serde_json::Value>),
}

/// Where Envoy sends requests: `http://HOST:PORT`, or `h2c://HOST:PORT` for HTTP/2 with prior knowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// HTTP/2 with prior knowledge.
    pub http2: bool,
}

/// Why a text is no [`Upstream`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("upstream: `{found}` {problem}; write it as http://HOST:PORT")]
pub struct UpstreamError {
    found: String,
    problem: &'static str,
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let wrong = |problem| UpstreamError { found: text.to_owned(), problem };
        let uri: http::Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
        let http2 = match uri.scheme_str() {
            Some("http") => false,
            Some("h2c") => true,
            Some("https") => return Err(wrong("uses TLS, which the bundled proxies do not speak to the upstream")),
            _ => return Err(wrong("has no scheme that can be used")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("has a path, and requests keep their own"));
        }
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        if authority.contains('@') {
            return Err(wrong("has a user, and requests keep their own"));
        }
        // A port that is out of range would else be taken for none, and another service be asked.
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
        if after_host.contains(':') && uri.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong("has no port from 1 to 65535"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(80), http2 })
    }
}

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), http2: false }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.http2 { "h2c" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Where Envoy writes its access log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// `access.log` in the run folder.
    #[default]
    RunFolder,
    /// A file of the caller's.
    File(PathBuf),
    /// Standard output, as shipped.
    Stdout,
    /// No access log, for measurements.
    Off,
}

/// Answers that Envoy gives by itself, so that a measurement has no second hop in it: a request that names one of the statuses in the header gets
/// it, and never reaches the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAnswers {
    /// The request header.
    pub header: HeaderName,
    /// The statuses that it may name, from 200 to 599.
    pub statuses: Vec<StatusCode>,
}

/// What a run differs in from the shipped files.
#[derive(Debug, Clone)]
pub struct EnvoyOptions {
    /// Envoy's executable, from [`crate::tools::Tools::envoy`].
    pub binary: PathBuf,
    /// The filter's module.
    pub module: PathBuf,
    /// The plugin configuration as JSON. Not looked at here, so that a bad one reaches the filter.
    pub configuration: String,
    /// How the filter reaches Envoy.
    pub delivery: Delivery,
    /// Where requests go.
    pub upstream: Upstream,
    /// Clusters beside the upstream's, by name, for the filter's own calls.
    pub clusters: Vec<(String, SocketAddr)>,
    /// Variables of the VM's environment. They reach it by way of Envoy's own environment, and the files have their names alone, so that no value is in
    /// a file or in `/config_dump`.
    pub environment: Vec<(String, String)>,
    /// Whether a name is resolved to IPv6 where it has both; [`EnvoyProxy::start`] turns it on for an upstream that answers on
    /// IPv6 alone, as some development servers do on `localhost`.
    pub prefer_ipv6: bool,
    /// Where clients connect; port 0 picks one.
    pub listen: SocketAddr,
    /// The admin interface; port 0 picks one.
    pub admin: SocketAddr,
    /// The listener for Prometheus, with the API's metrics path; port 0 picks one, and none leaves it out.
    pub metrics: Option<SocketAddr>,
    /// Whether the API's address answers the API's metrics path too, as envoy/metrics-path.yaml has it; with the listener for Prometheus alone.
    pub metrics_path: bool,
    /// Worker threads.
    pub workers: u32,
    /// The access log.
    pub access_log: AccessLog,
    /// Envoy's own log as JSON, as the shipped file has it; by default it is text.
    pub json_log: bool,
    /// The access log with OpenTelemetry's names, as envoy/access-log-otel.yaml has it.
    pub otel_access_log: bool,
    /// Instead of the shipped route time-out.
    pub route_timeout: Option<Duration>,
    /// Whether Envoy itself puts `x-request-id` on every response; not as shipped.
    pub request_id_in_response: bool,
    /// What Envoy answers by itself: nothing as shipped.
    pub own_answers: Option<OwnAnswers>,
    /// The run folder; none means a private one that goes away with the proxy.
    pub folder: Option<PathBuf>,
    /// Whether to go on when Envoy runs but has refused the watched file.
    pub keep_refused: bool,
    /// How long Envoy may take to be ready.
    pub start_timeout: Duration,
    /// More arguments for Envoy, for example `--component-log-level wasm:debug`.
    pub arguments: Vec<String>,
}

impl EnvoyOptions {
    /// Loopback, free ports, two workers, the shipped EUCORA profile, an upstream that refuses connections.
    pub fn new(binary: impl Into<PathBuf>, module: impl Into<PathBuf>) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            binary: binary.into(),
            module: module.into(),
            configuration: profile_json(),
            delivery: Delivery::default(),
            // Port 9 is `discard`, which nothing listens on.
            upstream: Upstream { host: "127.0.0.1".into(), port: 9, http2: false },
            clusters: Vec::new(),
            environment: Vec::new(),
            prefer_ipv6: false,
            listen: loopback,
            admin: loopback,
            metrics: None,
            metrics_path: false,
            workers: 2,
            access_log: AccessLog::default(),
            json_log: false,
            otel_access_log: false,
            route_timeout: None,
            request_id_in_response: false,
            own_answers: None,
            folder: None,
            keep_refused: false,
            start_timeout: Duration::from_secs(30),
            arguments: Vec::new(),
        }
    }
}

/// Why Envoy does not run, or does not run as asked.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// A file or a process could not be made.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// A shipped file does not have the shape that the edits need.
    #[error("envoy/{file}: no `{path}`, which this tool sets")]
    Shape {
        /// The file under `envoy/`.
        file: &'static str,
        /// The field.
        path: String,
    },
    /// Envoy ended instead of serving.
    #[error("Envoy ended with {status}:\n{}", indented(messages))]
    Ended {
        /// Its exit status.
        status: ExitStatus,
        /// What it and the filter said, oldest first.
        messages: Vec<String>,
    },
    /// Envoy runs, and has refused the filter's file. Whatever ran before goes on.
    #[error("Envoy refused the filter's configuration:\n{}", indented(messages))]
    Refused {
        /// What it and the filter said, oldest first.
        messages: Vec<String>,
    },
    /// It took too long.
    #[error("Envoy: {what} took longer than {}s; its log is {}", limit.as_secs(), log.display())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        limit: Duration,
        /// Envoy's log.
        log: PathBuf,
    },
    /// The admin interface did not answer as it should.
    #[error("Envoy's admin interface, {path}: {reason}")]
    Admin {
        /// What was asked for.
        path: String,
        /// What came instead.
        reason: String,
    },
}

impl EnvoyError {
    /// What Envoy and the filter said, where that is the reason.
    pub fn messages(&self) -> &[String] {
        match self {
            Self::Ended { messages, .. } | Self::Refused { messages } => messages,
            Self::Io { .. } | Self::Shape { .. } | Self::Late { .. } | Self::Admin { .. } => &[],
        }
    }

    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

fn indented(messages: &[String]) -> String {
    if messages.is_empty() {
        return "  (it said nothing)".into();
    }
    messages.iter().map(|message| format!("  {}", message.replace('\n', "\n  "))).collect::<Vec<_>>().join("\n")
}

/// Has Envoy check the rendered files without serving: the bootstrap as shipped, which does not look into the watched file,
/// and the same with the filter in it, which loads the module and has it read its configuration.
pub async fn validate(options: &EnvoyOptions) -> Result<(), EnvoyError> {
    for delivery in [Delivery::Watched, Delivery::Static] {
        process::validate(&EnvoyOptions { delivery, folder: None, ..options.clone() }).await?;
    }
    Ok(())
}

/// Has Envoy check a bootstrap file as it is.
pub async fn validate_file(binary: &Path, bootstrap: &Path) -> Result<(), EnvoyError> {
    process::validate_file(binary, bootstrap).await
}

#[cfg(test)]
mod tests;
