//! `bench`: how fast the host is, beside the least that a host on wasmtime can be.

mod minimal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use host_harness::test::{Host, Reply, Request};
use host_harness::{
    HeaderMap, Limits, LogSink, Module, PluginConfig, Role, Shared, SharedOptions, StreamEnd, StreamFacts, Worker,
};
use serde::Serialize;

use minimal::{Headers, Minimal};

/// Arguments of the command.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Rounds in which every host has a turn
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Streams of a turn
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A filter with six callbacks and fifteen hostcalls a stream.
const FILTER: &str = include_str!("bench/filter.wat");
const LINES: usize = 11;

/// What one host did.
#[derive(Debug, Serialize)]
struct Row {
    host: &'static str,
    /// The median of the rounds.
    streams_per_second: f64,
    /// The median of the rounds' own ratios to the minimal host with the same metering.
    of_minimal: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    hosts: Vec<Row>,
    /// Microseconds to make a VM and start the plugin in it, of a module that is compiled already.
    fresh_vm_us: f64,
    /// Whether this program was built without optimisation for itself.
    unoptimised: bool,
}

/// Measures and prints.
pub(crate) fn run(arguments: &Bench) -> anyhow::Result<()> {
    let module = Module::from_bytes(FILTER).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut minimal = Minimal::new(FILTER, false)?;
    let mut minimal_fuel = Minimal::new(FILTER, true)?;
    let mut bare = Streams::new(&module, None, false)?;
    let mut fuel = Streams::new(&module, Some(1_000_000_000), false)?;
    let mut traced = Streams::new(&module, Some(1_000_000_000), true)?;
    let mut tests = Host::builder().module(&module).trace(false).start().map_err(|error| anyhow::anyhow!("{error}"))?;

    let request = request_headers();
    let response = [(":status", "200"), ("content-type", "text/plain")];
    let own = |headers: &[(&str, &str)]| -> Headers {
        headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    };
    let (own_request, own_response) = (own(&request), own(&response));
    let (map, response_map) = (HeaderMap::from(request), HeaderMap::from(response));

    let mut hosts: Vec<(&'static str, usize, Turn<'_>)> = vec![
        ("minimal host", 0, Box::new(|| check(minimal.stream(own_request.clone(), own_response.clone())?))),
        ("minimal host, fuel", 1, Box::new(|| check(minimal_fuel.stream(own_request.clone(), own_response.clone())?))),
        ("host-harness, nothing metered or kept", 0, Box::new(|| bare.stream(&map, &response_map))),
        ("host-harness, fuel, cost and log", 1, Box::new(|| fuel.stream(&map, &response_map))),
        ("host-harness, fuel, cost, log and trace", 1, Box::new(|| traced.stream(&map, &response_map))),
        ("host-harness, test::Host::exchange", 1, {
            let reply = Reply::status(200).header("content-type", "text/plain");
            let request = Request::get("/").headers(map.clone()).reply(reply);
            Box::new(move || {
                let exchange = tests.exchange(request.clone());
                check((exchange.cost.hostcall("proxy_log") as usize, exchange.filter_state.len()))
            })
        }),
    ];

    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); hosts.len()];
    // The first round warms up.
    for round in 0..=arguments.rounds {
        for ((_, _, turn), times) in hosts.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            for _ in 0..arguments.streams {
                turn()?;
            }
            if round > 0 {
                times.push(begun.elapsed());
            }
        }
    }
    let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<f64>>();
    let times: Vec<Vec<f64>> = times.iter().map(|times| seconds(times)).collect();
    let rows = hosts.iter().zip(&times).map(|((host, rival, _), own)| {
        let rival = times.get(*rival).map(Vec::as_slice).unwrap_or_default();
        Row {
            host,
            streams_per_second: f64::from(arguments.streams) / median(own.clone()),
            of_minimal: median(rival.iter().zip(own).map(|(rival, own)| rival / own).collect()),
        }
    });
    let figures =
        Figures { hosts: rows.collect(), fresh_vm_us: fresh_vm(&module)?, unoptimised: cfg!(debug_assertions) };
    print(&if arguments.json { serde_json::to_string_pretty(&figures)? } else { text(&figures) });
    Ok(())
}

/// Takes one stream through a host.
type Turn<'a> = Box<dyn FnMut() -> anyhow::Result<()> + 'a>;

fn request_headers() -> [(&'static str, &'static str); 8] {
    [
        (":authority", "api.example.com"),
        (":path", "/hello"),
        (":method", "GET"),
        (":scheme", "http"),
        ("user-agent", "curl/8.5.0"),
        ("accept", "*/*"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "9f3c3b52-5bd5-4a0e-9b63-4b5b2c6f4f11"),
    ]
}

/// That a host did the work.
fn check((lines, filter_state): (usize, usize)) -> anyhow::Result<()> {
    ensure!(lines == LINES && filter_state == 1, "a stream logged {lines} lines and set {filter_state} properties");
    Ok(())
}

/// The harness' own parts, as a proxy uses them.
struct Streams {
    worker: Worker,
    shared: Arc<Shared>,
    kept: bool,
}

impl Streams {
    fn new(module: &Module, fuel: Option<u64>, trace: bool) -> anyhow::Result<Self> {
        let kept = fuel.is_some();
        let shared = Shared::new(SharedOptions {
            log: if kept { LogSink::Memory } else { LogSink::Discard },
            limits: Limits { fuel_per_callback: fuel, ..Limits::default() },
            trace,
            ..SharedOptions::default()
        });
        let worker = Worker::start(module, &PluginConfig::default(), &shared, Role::Worker(0))?;
        Ok(Self { worker, shared, kept })
    }

    fn stream(&mut self, request: &HeaderMap, response: &HeaderMap) -> anyhow::Result<()> {
        let worker = &mut self.worker;
        let stream = worker.open_stream(StreamFacts::default());
        worker.request_headers(stream, request.clone(), true);
        worker.response_headers(stream, response.clone(), true);
        let finished = worker.finish(stream, StreamEnd::default());
        if self.kept && self.shared.trace().is_on() {
            self.shared.trace().clear();
        }
        check((finished.cost.hostcall("proxy_log") as usize, finished.filter_state.len()))
    }
}

/// Microseconds for a VM of its own, the median of many.
fn fresh_vm(module: &Module) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        let shared = Shared::new(SharedOptions::default());
        let worker = Worker::start(module, &PluginConfig::default(), &shared, Role::Worker(0))?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        drop(worker);
    }
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::print_stdout, reason = "it is what the command is for")]
fn print(text: &str) {
    println!("{text}");
}

fn text(figures: &Figures) -> String {
    let mut lines = vec![format!("{:<42} {:>12} {:>12}", "host", "streams/s", "÷ minimal")];
    for row in &figures.hosts {
        lines.push(format!("{:<42} {:>12.0} {:>12.2}", row.host, row.streams_per_second, row.of_minimal));
    }
    lines.push(format!("\na fresh VM with the plugin started: {:.0} µs", figures.fresh_vm_us));
    if figures.unoptimised {
        lines.push("built for development: build with --release for figures that count".to_owned());
    }
    lines.join("\n")
}
