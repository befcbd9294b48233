//! The build in the embedded host, before any proxy has it: a mix of requests and hostile ones, of which not one may be lost, changed or answered otherwise.

use std::time::Duration;

use host_harness::test::{Host, HostBuilder, Message, Reply, Request, Upstream};
use host_harness::{FailurePolicy, LogLevel};
use http::HeaderName;
use rollout::hands::Build;
use serde_json::Value;
use telemetry::config::Config;

use crate::load::{Mix, MixOptions};

/// Requests of the mix.
const REQUESTS: u64 = 2_000;
/// Workers, so that what they share is shared.
const WORKERS: usize = 2;
/// What the upstream answers, in turn.
const STATUSES: [u16; 9] = [200, 200, 200, 204, 304, 404, 422, 500, 503];
/// The seed of the mix.
const SEED: u64 = 1;
/// What the variables that proxies give the VM hold here.
const VALUE: &str = "12345678-1234-1234-1234-123456789012";
/// How many complaints are shown.
const SHOWN: usize = 5;

/// What a build did.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// Requests, each of which was answered as the upstream did.
    pub requests: u64,
    /// Mean fuel a request: executed WebAssembly instructions, roughly.
    pub fuel: u64,
    /// Mean hostcalls a request.
    pub hostcalls: f64,
    /// Memory of a worker at the end, bytes.
    pub memory: usize,
    /// Series that it made.
    pub series: usize,
}

/// Runs the build.
///
/// # Errors
/// Everything that went wrong, in words.
pub fn rehearse(build: &Build, environment: &[String]) -> Result<Rehearsed, Vec<String>> {
    let config = Config::from_json(build.configuration.as_bytes()).map_err(|errors| lines(&errors.to_string()))?;
    let mut host = start(build, environment)?;
    let requests = requests(&config).map_err(|error| vec![error.to_string()])?;
    let sent = requests.len() as u64;
    let mut complaints = Vec::new();
    let (mut fuel, mut hostcalls) = (0, 0);
    for (number, request) in requests.into_iter().enumerate() {
        let (answered, body) = (request.reply_headers().cloned(), request.whole_body());
        let shown = shown(&request);
        let exchange = host.exchange_on(number % WORKERS, request);
        fuel += exchange.cost.fuel;
        hostcalls += u64::from(exchange.cost.total_hostcalls());
        let expected = answered.as_ref().and_then(|headers| headers.get(":status").map(<[u8]>::to_vec));
        let got = exchange.response.as_ref().and_then(|response| response.headers.get(":status").map(<[u8]>::to_vec));
        if let Some(details) = &exchange.local_reply {
            complaints.push(format!("{shown}: the module answered by itself ({details})"));
        } else if exchange.stuck {
            complaints.push(format!("{shown}: the module holds the request"));
        } else if expected != got {
            let text = |status: Option<Vec<u8>>| {
                status.map_or("nothing".to_owned(), |status| String::from_utf8_lossy(&status).into_owned())
            };
            complaints.push(format!("{shown}: the upstream answered {}, the client got {}", text(expected), text(got)));
        } else if exchange.upstream.as_ref().is_none_or(|message: &Message| message.body != body) {
            complaints.push(format!("{shown}: the upstream did not get the body that was sent"));
        }
    }
    let memory = (0..WORKERS).map(|number| host.worker(number).memory_size()).max().unwrap_or_default();
    for number in 0..WORKERS {
        if let Some(why) = host.worker(number).failed() {
            complaints.push(format!("the VM of worker {number} failed: {}", first_line(why)));
        }
    }
    // What was not handed over yet is handed over when root contexts end.
    host.advance(Duration::from_secs(3));
    host.shutdown();
    let stats = host.stats();
    let of = |metric: &str| format!("{}_{metric}.", config.namespace());
    let sum = |metric: &str| {
        stats.iter().filter(|(name, _)| name.starts_with(&of(metric))).map(|(_, value)| value).sum::<u64>()
    };
    let counted = sum("http_requests_total");
    if counted != sent {
        complaints.push(format!("{sent} requests were sent, the filter counted {counted}"));
    }
    let digest = format!("config=.={};.;", build.digest);
    if !stats
        .iter()
        .any(|(name, value)| name.starts_with(&of("edge_build_info")) && name.contains(&digest) && *value == 1)
    {
        complaints.push(format!(
            "the filter does not report the build as {}; is the module older than the field `build` of the configuration?",
            build.digest
        ));
    }
    for entry in host.logs().iter().filter(|entry| entry.level >= LogLevel::Error) {
        complaints.push(format!("the filter's log: {}", first_line(&entry.message)));
    }
    if complaints.is_empty() {
        let per_request = |total: u64| total as f64 / sent.max(1) as f64;
        Ok(Rehearsed {
            requests: sent,
            fuel: fuel / sent.max(1),
            hostcalls: per_request(hostcalls),
            memory,
            series: stats.len(),
        })
    } else {
        let more = complaints.len().saturating_sub(SHOWN);
        complaints.truncate(SHOWN);
        if more > 0 {
            complaints.push(format!("… and {more} more"));
        }
        Err(complaints)
    }
}

fn start(build: &Build, environment: &[String]) -> Result<Host, Vec<String>> {
    let mut builder = Host::builder()
        .module_bytes(build.module.clone())
        .configuration(build.configuration.clone())
        .failure_policy(FailurePolicy::FailOpen)
        .workers(u32::try_from(WORKERS).unwrap_or(1))
        .seed(SEED);
    for name in environment {
        builder = builder.env(name, VALUE);
    }
    clusters(builder, &build.configuration).start().map_err(|failure| {
        let mut said = lines(&failure.to_string());
        said.extend(
            failure.logs.iter().filter(|entry| entry.level >= LogLevel::Warn).map(|entry| entry.message.clone()),
        );
        said
    })
}

/// Every cluster that the configuration names is there, and answers.
fn clusters(mut builder: HostBuilder, configuration: &str) -> HostBuilder {
    let value: Value = serde_json::from_str(configuration).unwrap_or_default();
    let listed = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let named = listed(value.get("polls"))
        .into_iter()
        .chain(listed(value.get("events").and_then(|events| events.get("sinks"))));
    for cluster in named.filter_map(|item| item.get("cluster")?.as_str().map(str::to_owned)) {
        builder = builder.cluster(cluster, Upstream::always(Reply::status(200).chunk("{}")));
    }
    builder
}

fn requests(config: &Config) -> anyhow::Result<Vec<Request>> {
    let header: HeaderName = config.correlation().header().parse()?;
    let mut options = MixOptions { seed: SEED, correlation_header: header, ..MixOptions::default() };
    options.routes = config.routes().specs().to_vec();
    if options.routes.is_empty() {
        options.shares.unknown_path = 1.0;
    }
    let mix = Mix::new(&options)?;
    let mut requests: Vec<Request> = (0..REQUESTS)
        .map(|number| {
            let planned = mix.request(number);
            let mut request = Request::new(planned.method.as_str(), &planned.target);
            for (name, value) in &planned.headers {
                request = request.header(name.as_str(), value.as_bytes());
            }
            if !planned.body.is_empty() {
                request = request.chunk(planned.body.to_vec());
            }
            let turn = usize::try_from(number).unwrap_or_default() % STATUSES.len();
            let status = STATUSES.get(turn).copied().unwrap_or(200);
            request.takes(Duration::from_micros(500 * (number % 40))).reply(Reply::status(status))
        })
        .collect();
    requests.extend(hostile(config.correlation().header()));
    Ok(requests)
}

/// What an attacker may send and a proxy lets through.
fn hostile(correlation_header: &str) -> Vec<Request> {
    let long = "a".repeat(60_000);
    let id = correlation_header;
    let many = (0..90).fold(Request::get("/"), |request, number| request.header(format!("x-{number}"), "v"));
    vec![
        Request::get(b"/\xff\xfe/\x80".as_slice()),
        Request::get(format!("/{long}")),
        Request::get("/".repeat(4_000)),
        Request::get("/a%2F..%2F..%2Fetc/passwd%00"),
        Request::get("/x?y=.;.status=.=200;.;"),
        Request::get("/wasmcustom.cache.x.=.=1;.;/{id}"),
        Request::new("M".repeat(200), "/"),
        Request::new(b"\xff".as_slice(), "/"),
        Request::get("*"),
        Request::get(""),
        Request::get("/").header(id, long.as_str()),
        Request::get("/").header(id, b"\r\n\xff\x00".as_slice()),
        Request::get("/").header(id, "a").header(id, "b"),
        Request::get("/").header("traceparent", "00-00000000000000000000000000000000-0000000000000000-ff"),
        Request::get("/").header("tracestate", long.as_str()),
        many,
        Request::post("/", vec![0xff; 70_000]).header("content-type", "application/json"),
        Request::post("/", "[".repeat(10_000)).header("content-type", "application/json"),
    ]
    .into_iter()
    .map(|request| request.reply(Reply::status(400)))
    .collect()
}

fn shown(request: &Request) -> String {
    let text = |name| request.header_map().get(name).map(|value| value.escape_ascii().to_string()).unwrap_or_default();
    let path: String = text(":path").chars().take(60).collect();
    format!("{} {path}", text(":method").chars().take(20).collect::<String>())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
