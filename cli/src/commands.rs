//! The commands: from arguments to the library and to an exit code.

mod rollout;
mod routes;

use std::io::Write as _;

use anyhow::Context as _;
use edge_observer::fleet::{self, FleetOptions};
use edge_observer::proxy::{self, ProxyKind};
use edge_observer::replay::{self, ReplayOptions};
use edge_observer::scanner::{self, ScannerOptions};
use edge_observer::tools::{Fetch, Tools};
use edge_observer::up::{self, UpOptions};
use edge_observer::{Usage, check, config_file, table};
use host_harness::serve::Signals;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::arguments::{self, Arguments, Command};

/// Runs a command; the result is the exit code.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<u8> {
    trace(arguments.verbose);
    let verbose = arguments.verbose > 0;
    match arguments.command {
        Command::Up(up) => run_up(up),
        Command::Check(check) => run_check(&check),
        Command::Replay(replay) => run_replay(replay),
        Command::Routes(routes) => routes::run(routes, verbose),
        Command::Rollout(rollout) => rollout::run(rollout),
        Command::Tools(tools) => run_tools(&tools),
        Command::BenchScanner(scanner) => run_scanner(scanner),
    }
}

fn run_check(arguments: &arguments::Check) -> anyhow::Result<u8> {
    if arguments.schema {
        print_json(&check::schema())?;
        return Ok(0);
    }
    let reports = check::files(&arguments.files);
    if arguments.json {
        print_json(&reports.iter().map(check::Report::to_json).collect())?;
    } else {
        let text: Vec<String> = reports.iter().map(check::Report::to_text).collect();
        print_text(text.join("\n").trim_end())?;
    }
    Ok(check::exit_code(&reports))
}

fn run_rings(arguments: arguments::Up) -> anyhow::Result<u8> {
    let runtime = runtime()?;
    let stop = on_signal(&runtime)?;
    let stage = arguments.stage;
    let mut options = FleetOptions::new(proxy::module_path(stage.module.as_deref())?);
    if let Some(file) = &stage.config {
        options.configuration = serde_json::from_str(&config_file::require(file)?.json)?;
    }
    options.rate = arguments.rate.map_or(options.rate, f64::from);
    options.folder = arguments.folder;
    options.seed = arguments.seed;
    options.usual_ports = true;
    let Some(totals) = finish(runtime, fleet::run(options, stop))? else { return Ok(0) };
    print_text(totals.to_text().trim_end())?;
    Ok(u8::from(totals.failed() > 0))
}

fn run_up(arguments: arguments::Up) -> anyhow::Result<u8> {
    if arguments.rings {
        return run_rings(arguments);
    }
    if arguments.stage.json && arguments.requests.is_none() {
        return Err(Usage::error("--json prints the result of a finite run; add --requests N"));
    }
    let runtime = runtime()?;
    let stop = on_signal(&runtime)?;
    let stage = arguments.stage;
    let proxy = match stage.proxy {
        Some(ProxyKind::Harness) if arguments.stack => {
            return Err(Usage::error("--stack scrapes a listener of Envoy's; leave out --proxy harness, or --stack"));
        }
        None if arguments.stack => ProxyKind::Envoy,
        proxy => proxy.unwrap_or_default(),
    };
    let options = UpOptions {
        proxy,
        stack: arguments.stack,
        upstream: arguments.upstream,
        config: stage.config,
        listen: arguments.listen,
        admin: arguments.admin,
        requests: arguments.requests,
        rate: arguments.rate.map(f64::from),
        workers: stage.workers,
        module: stage.module,
        seed: arguments.seed,
        latency_scale: arguments.latency,
        quiet: stage.json,
        stop,
    };
    if options.requests.is_none() {
        finish(runtime, up::run_live(options))?;
        return Ok(0);
    }
    let accounting = finish(runtime, up::run(options))?;
    if stage.json {
        print_json(&serde_json::to_value(&accounting)?)?;
    } else {
        print_text(accounting.to_text().trim_end())?;
    }
    Ok(u8::from(!accounting.is_exact()))
}

fn run_replay(arguments: arguments::Replay) -> anyhow::Result<u8> {
    if arguments.explain {
        let explained = replay::explain::run(&arguments.access_log, arguments.stage.config.as_deref())?;
        if arguments.stage.json {
            print_json(&serde_json::to_value(&explained)?)?;
        } else {
            print_text(explained.to_text().trim_end())?;
        }
        return Ok(0);
    }
    let runtime = runtime()?;
    let stop = on_signal(&runtime)?;
    let stage = arguments.stage;
    let options = ReplayOptions {
        proxy: stage.proxy.unwrap_or_default(),
        access_log: arguments.access_log,
        config: stage.config,
        module: stage.module,
        workers: stage.workers,
        connections: usize::try_from(arguments.connections)?,
        quiet: stage.json,
        stop,
    };
    let result = finish(runtime, replay::run(options))?;
    if stage.json {
        print_json(&serde_json::to_value(&result)?)?;
    } else {
        print_text(result.to_text().trim_end())?;
    }
    Ok(u8::from(!result.is_exact()))
}

fn run_scanner(arguments: arguments::BenchScanner) -> anyhow::Result<u8> {
    let runtime = runtime()?;
    let stop = on_signal(&runtime)?;
    let options = ScannerOptions {
        proxy: arguments.proxy,
        seconds: arguments.seconds,
        rate: arguments.rate,
        routes: usize::try_from(arguments.routes)?,
        connections: usize::try_from(arguments.connections)?,
        unmatched: arguments.unmatched,
        answered_by: arguments.answered_by,
        workers: arguments.workers,
        module: arguments.module,
        seed: arguments.seed,
        quiet: arguments.json,
        stop,
    };
    let report = finish(runtime, scanner::run(options))?;
    if arguments.json {
        print_json(&serde_json::to_value(&report)?)?;
    } else {
        print_text(report.to_text().trim_end())?;
    }
    Ok(u8::from(!report.all_held()))
}

fn run_tools(arguments: &arguments::Tools) -> anyhow::Result<u8> {
    let fetch = if arguments.install { Fetch::Allowed } else { Fetch::Never };
    let mut missing = 0;
    let mut found = table::Table::new([
        ("tool", table::Column::Text),
        ("version", table::Column::Text),
        ("from", table::Column::Text),
        ("path", table::Column::Text),
    ]);
    let mut problems = Vec::new();
    for tool in Tools::new(fetch).all() {
        match tool {
            Ok(tool) => found.row([
                tool.name.to_owned(),
                tool.version,
                tool.origin.to_string(),
                tool.path.display().to_string(),
            ]),
            Err(problem) => {
                missing += 1;
                problems.push(problem.to_string());
            }
        }
    }
    print_text(found.render().trim_end())?;
    for problem in problems {
        eprintln!("edge-observer: {problem}");
    }
    Ok(u8::from(missing > 0))
}

/// Standard error, and only when asked for: standard output is for results.
fn trace(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("cannot start threads")
}

/// Runs a command to its end, and does not wait for threads that are still about something that nobody needs any more: after Ctrl-C, a read of
/// standard input or a download.
fn finish<T>(runtime: Runtime, command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}

/// Cancelled by Ctrl-C and SIGTERM. A second one ends the process at once, as if nobody had listened.
fn on_signal(runtime: &Runtime) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    let _inside = runtime.enter();
    let mut signals = Signals::listen().context("cannot listen for Ctrl-C")?;
    runtime.spawn(async move {
        signals.next().await;
        cancelled.cancel();
        signals.next().await;
        std::process::exit(130);
    });
    Ok(stop)
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print_text(&serde_json::to_string_pretty(value)?)
}

/// Prints, and takes a reader that has left (`… | head`) for one that has seen enough.
fn print_text(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the result"),
    }
}
