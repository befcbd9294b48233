//! What can be asked for on the command line.

pub(crate) mod rollout;
pub(crate) mod routes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use edge_observer::envoy::Upstream;
use edge_observer::proxy::ProxyKind;
use edge_observer::scanner::{AnsweredBy, MAX_ROUTES, UnmatchedKind};

/// The operator's tool of edge-observer: telemetry for an HTTP API from a WebAssembly filter in the proxy in front of it.
///
/// Exit codes: 0 done, 1 the checked thing is bad, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "edge-observer", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Say more of what happens, on standard error; twice for even more.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put the filter in front of an API and look at what it reports.
    ///
    /// Without options: the sample API behind the embedded host, a steady mix of requests, and a live table until Ctrl-C.
    Up(Up),
    /// Check plugin configurations: every mistake at once, or what they amount to.
    Check(Check),
    /// Make a route table, see what it does with real paths, and what it costs.
    #[command(subcommand)]
    Routes(routes::Routes),
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Send the requests of an access log through the filter and compare its counts with the log.
    ///
    /// The log is in the common or combined format. The upstream answers each request with the log's own status and size.
    Replay(Replay),
    /// Show where Envoy and Prometheus come from.
    Tools(Tools),
    /// A scanner's paths between a steady load on a large route table, and whether every promise is held.
    ///
    /// `cargo xtask bench scanner` runs it on the module as it is now.
    #[command(hide = true)]
    BenchScanner(BenchScanner),
}

/// What `up` and `replay` have in common.
#[derive(Debug, Args)]
pub(crate) struct Stage {
    /// Which proxy runs the filter [default: harness].
    #[arg(long, value_enum)]
    pub(crate) proxy: Option<ProxyKind>,
    /// Plugin configuration, YAML or JSON [default: the EUCORA profile].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The filter's module [default: what `cargo xtask build` writes].
    #[arg(long, value_name = "FILE")]
    pub(crate) module: Option<PathBuf>,
    /// Worker threads of the proxy.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) workers: u32,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) stage: Stage,
    /// Your own API, as http://HOST:PORT; nothing is sent then [default: the sample API].
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<Upstream>,
    /// Where clients connect: ADDRESS:PORT, or a port on loopback [default: 127.0.0.1:10000, or a free port].
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the metrics and admin pages are [default: 127.0.0.1:9901, or a free port].
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,
    /// Send N requests, then account for every one of them: exit 0 only when client, filter and proxy agree.
    #[arg(long, value_name = "N", conflicts_with = "upstream", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// Requests a second [default: 200; with --requests as fast as they are answered; with --rings 40, on each proxy].
    #[arg(long, value_name = "N", conflicts_with = "upstream", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Also start Prometheus with the shipped rules, and Alertmanager whose receivers are on loopback; the proxy is Envoy.
    #[arg(long)]
    pub(crate) stack: bool,
    /// A fleet instead: five rings of two Envoys, Prometheus, and a rollout file, to try `edge-observer rollout` on.
    #[arg(long, conflicts_with_all = ["proxy", "upstream", "listen", "admin", "requests", "stack", "workers", "latency", "json"])]
    pub(crate) rings: bool,
    /// With --rings: where the rollout file and all else is [default: a folder that goes away at the end].
    #[arg(long, value_name = "DIR", requires = "rings")]
    pub(crate) folder: Option<PathBuf>,
    /// Seed of the mix of requests and of the sample API's latencies and errors.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The sample API's latencies are multiplied by this; 0 answers at once.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub(crate) latency: f64,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Plugin configurations, YAML or JSON; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    pub(crate) files: Vec<PathBuf>,
    /// Print the JSON Schema of a plugin configuration instead.
    #[arg(long, conflicts_with = "files")]
    pub(crate) schema: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) stage: Stage,
    /// The access log, with --explain also a HAR file; `-` is standard input.
    #[arg(long, value_name = "FILE", visible_alias = "har")]
    pub(crate) access_log: PathBuf,
    /// Start nothing: show which rules are about each request, what they make of it, and why others are not.
    #[arg(long, conflicts_with_all = ["proxy", "module", "workers", "connections"])]
    pub(crate) explain: bool,
    /// Connections to the proxy.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) connections: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Tools {
    /// Fetch what is missing and can be fetched.
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Debug, Args)]
#[command(about = "A scanner's paths between a steady load on a large route table, and whether every promise is held")]
pub(crate) struct BenchScanner {
    /// How long requests are sent.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Requests a second, three of five of them a scanner's.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// Routes in the table.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=MAX_ROUTES as i64))]
    pub(crate) routes: u32,
    /// Connections to the proxy, half of them HTTP/2, which carries three of four requests.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1_024))]
    pub(crate) connections: u32,
    /// What becomes of paths that no route has.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) unmatched: UnmatchedKind,
    /// Who answers the requests.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) answered_by: AnsweredBy,
    /// Which proxy runs the filter.
    #[arg(long, value_enum, default_value_t = ProxyKind::Envoy)]
    pub(crate) proxy: ProxyKind,
    /// Worker threads of the proxy.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) workers: u32,
    /// The filter's module [default: what `cargo xtask build` writes].
    #[arg(long, value_name = "FILE")]
    pub(crate) module: Option<PathBuf>,
    /// Seed of the route table and of the requests.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `127.0.0.1:8080`, `[::1]:8080`, `:8080` or `8080`.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| "write it as ADDRESS:PORT, such as 127.0.0.1:8080, or as a port".to_owned())
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1_000.0).contains(&value) => Ok(value),
        _ => Err("use a number from 0 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn addresses_may_be_short() {
        for (text, expected) in [
            ("8080", Some("127.0.0.1:8080")),
            (":0", Some("127.0.0.1:0")),
            ("[::1]:1", Some("[::1]:1")),
            ("localhost", None),
            ("70000", None),
        ] {
            assert_eq!(address(text).ok(), expected.map(|expected| expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        let cases: [&[&str]; 7] = [
            &["check"],
            &["check", "--schema", "x.yaml"],
            &["up", "--upstream", "ftp://x"],
            &["up", "--upstream", "http://x", "--requests", "5"],
            &["up", "--requests", "0"],
            &["up", "--latency", "-1"],
            &["replay"],
        ];
        for case in cases {
            let error = Arguments::try_parse_from(["edge-observer"].iter().chain(case)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{case:?}");
        }
    }
}
