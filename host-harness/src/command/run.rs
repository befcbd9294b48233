//! `run`: recorded traffic through a module.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use host_harness::exposition::prometheus;
use host_harness::replay::{self, MetricReport, Replay, Report};
use host_harness::stats_config::StatsConfig;
use host_harness::test::Host;
use host_harness::{LogLevel, PluginConfig};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::cache::CacheArguments;
use super::conformance::ConformanceArguments;

/// Arguments of the command.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A HAR file, or an access log in the common or combined format; `-` is standard input
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,
    /// The module, as .wasm or .wat
    #[arg(long, value_name = "FILE")]
    module: PathBuf,
    /// What the module gets as its plugin configuration, byte for byte
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of the plugin, which also names its VM
    #[arg(long, value_name = "NAME", default_value = "plugin")]
    name: String,
    /// Which root context of the module to use
    #[arg(long, value_name = "ID", default_value = "")]
    root_id: String,
    /// Workers that take turns, each with a VM of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    #[command(flatten)]
    conformance: ConformanceArguments,
    /// The level of the module's log: trace, debug, info, warn, error or critical
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    log_level: LogLevel,
    /// Write the stats to this file at the end, in Prometheus' text format, as for the node exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// An Envoy bootstrap file whose `stats_config` says how stats are named and shown
    #[arg(long, value_name = "FILE")]
    stats_config: Option<PathBuf>,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

fn level(text: &str) -> Result<LogLevel, String> {
    let levels = ["trace", "debug", "info", "warn", "error", "critical"];
    let code = levels.iter().position(|known| *known == text).and_then(|code| u32::try_from(code).ok());
    code.and_then(LogLevel::from_code).ok_or_else(|| format!("not a level; say one of {}", levels.join(", ")))
}

/// Runs it; says whether the module came through well.
pub(crate) fn run(arguments: &Run, cache: &CacheArguments) -> anyhow::Result<bool> {
    let bytes = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let module = cache.load(&arguments.module)?;
    let stats_config = match &arguments.stats_config {
        Some(path) => {
            let text = String::from_utf8(bytes(path)?).with_context(|| format!("{} is not UTF-8", path.display()))?;
            StatsConfig::from_bootstrap_yaml(&text).with_context(|| format!("{} is wrong", path.display()))?
        }
        None => StatsConfig::default(),
    };
    let plugin = PluginConfig {
        name: arguments.name.clone(),
        vm_id: arguments.name.clone(),
        root_id: arguments.root_id.clone(),
        configuration: arguments.config.as_deref().map(bytes).transpose()?.unwrap_or_default(),
        ..PluginConfig::default()
    };

    let progress = progress(&arguments.recording);
    let input = open(&arguments.recording)?;
    let name = arguments.recording.display();
    let recording = replay::read(BufReader::new(progress.wrap_read(input)));
    let mut recording = recording.with_context(|| format!("cannot read {name}"))?.peekable();
    let mut host = Host::builder()
        .module(&module)
        .plugin(plugin)
        .workers(arguments.workers.into())
        .log_level(arguments.log_level)
        .conformance(arguments.conformance.given().unwrap_or_default())
        .trace(false);
    // Time begins with the recording.
    if let Some(Ok(Ok(first))) = recording.peek()
        && let Some(start) = first.start_ns
    {
        host = host.clock_at(start);
    }
    let host = host.start().map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let mut replay = Replay::new(host, arguments.workers.into());
    for next in recording {
        match next.with_context(|| format!("cannot read {name}"))? {
            Ok(recorded) => replay.play(recorded),
            Err(reason) => replay.skip(reason),
        }
    }
    let (host, report) = replay.finish();
    progress.finish_and_clear();

    if let Some(path) = &arguments.metrics {
        replace(path, &prometheus(host.shared().stats(), &stats_config))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(&if arguments.json { serde_json::to_string_pretty(&report)? } else { text(&report) });
    Ok(report.failure.is_none() && report.stuck == 0)
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(file))
}

/// Shown on a terminal, once a second has passed.
fn progress(recording: &Path) -> ProgressBar {
    let length = std::fs::metadata(recording).map(|data| data.len()).unwrap_or_default();
    if !std::io::stderr().is_terminal() || length == 0 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

/// Replaces a file at once: who reads it sees the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let beside = folder.join(format!(".{}.{}", name.display(), std::process::id()));
    let written = File::create(&beside).and_then(|mut file| file.write_all(text.as_bytes()));
    let result = written.and_then(|()| std::fs::rename(&beside, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    result
}

#[allow(clippy::print_stdout, reason = "it is what the command is for")]
fn print(text: &str) {
    println!("{text}");
}

/// The report for people.
fn text(report: &Report) -> String {
    let mut rows: Vec<(&str, String)> = vec![("streams", report.streams.to_string())];
    let some = |number: u64, text: &str| (number > 0).then(|| format!("{number} {text}"));
    rows.push(("upstream", format!("{} forwarded", report.forwarded)));
    let mut list = |title: &'static str, lines: Vec<String>| {
        rows.extend(lines.into_iter().enumerate().map(|(index, line)| (if index == 0 { title } else { "" }, line)));
    };
    list("statuses", report.statuses.iter().map(|(status, number)| format!("{status} {number:>10}")).collect());
    list("local replies", report.local_replies.iter().map(|(text, number)| format!("{number} {text}")).collect());
    let odd = [
        some(report.unanswered, "without a response"),
        some(report.stuck, "held by the module until they timed out"),
        (!report.ended).then(|| "a root context did not end".to_owned()),
    ];
    list("beside", odd.into_iter().flatten().collect());
    list("skipped", report.skipped.iter().map(|(reason, number)| format!("{number} {reason}")).collect());
    list("failure", report.failure.iter().flat_map(|text| text.lines()).map(str::to_owned).collect());
    list("log", report.log.lines.iter().map(|(level, number)| format!("{number} {level}")).collect());
    list("complaints", report.log.complaints.clone());
    list("metrics", metrics(report));
    list("cost", cost(report));
    let mut text = String::new();
    for (title, value) in rows {
        let value: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        _ = writeln!(text, "{}", format!("{title:<13} {value}").trim_end());
    }
    text.truncate(text.trim_end().len());
    text
}

fn metrics(report: &Report) -> Vec<String> {
    let longest = report.metrics.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let line = |(name, metric): (&String, &MetricReport)| match metric {
        MetricReport::Counter(value) => format!("{name:<longest$} {value:>12}"),
        MetricReport::Gauge(value) => format!("{name:<longest$} {value:>12} (gauge)"),
        MetricReport::Histogram(count) => format!("{name:<longest$} {count:>12} observations"),
    };
    report.metrics.iter().map(line).collect()
}

/// Means of a stream.
fn cost(report: &Report) -> Vec<String> {
    let cost = &report.cost;
    let mean = |sum: u64| {
        let tenths = (sum.saturating_mul(10) + report.streams / 2).checked_div(report.streams).unwrap_or(0);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let mut lines = vec![
        format!("{:<40} {:>12} at most {}", "fuel a stream", mean(cost.fuel), cost.max_fuel),
        format!("{:<40} {:>12}", "callbacks a stream", mean(cost.callbacks)),
        format!("{:<40} {:>12}", "bytes into the module a stream", mean(cost.bytes_in)),
        format!("{:<40} {:>12}", "bytes out of the module a stream", mean(cost.bytes_out)),
        format!("{:<40} {:>12}", "re-entries into the allocator a stream", mean(cost.allocations)),
        format!("{:<40} {:>12} KiB", "memory", cost.memory / 1024),
    ];
    let calls = |(name, number): (&&'static str, &u64)| format!("{name:<40} {:>12}", mean(*number));
    lines.extend(cost.hostcalls.iter().map(calls));
    lines
}
