//! Instructions instead of time: the same Envoys, one after the other, under Valgrind's Callgrind, which counts every instruction that a process
//! executes, JIT-compiled ones too.
//!
//! Time says what an operator pays, and needs many rounds on a quiet machine to tell two filters apart. Of instructions, two runs differ by a few
//! hundredths of the smallest difference that matters, and so does a machine with neighbours. What they leave out of time is mostly memory: Callgrind
//! counts beside them what a first-level cache would not have held, one for code and one for data, of [`CACHES`].

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::process::Command;

use crate::running::{self, Running};
use crate::variants::Variant;
use crate::workload::{Files, Workload};

/// Requests before the count begins: pools and caches are filled, and every series is made.
const BEFORE: u32 = 600;
/// Requests that are counted. Envoy runs some fifty times slower than else.
const COUNTED: u32 = 2_000;
/// The fewest that are counted: a filter's ticks go on meanwhile, and each request has its share of them.
const LEAST_COUNTED: u32 = 300;

/// The caches that Callgrind simulates, the same on every machine: of the first level 32 KiB, eight ways and lines of 64 bytes; the last level is
/// not looked at.
const CACHES: &str = "--cache-sim=yes --I1=32768,8,64 --D1=32768,8,64 --LL=8388608,16,64";

/// What a request takes of the processor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    /// Reads of code that the first-level cache did not have.
    pub(crate) code_misses: f64,
    /// Reads and writes of data that the first-level cache did not have.
    pub(crate) data_misses: f64,
}

impl Count {
    /// Both, made by this function.
    pub(crate) fn with(self, other: Self, of: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            instructions: of(self.instructions, other.instructions),
            code_misses: of(self.code_misses, other.code_misses),
            data_misses: of(self.data_misses, other.data_misses),
        }
    }
}

/// What each request of one variant takes, in the order of the workloads.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<Count>,
}

/// Counts every variant's instructions under every workload.
pub(crate) async fn count(variants: &[Variant], paths: &[String], workloads: &[Workload]) -> Result<Vec<Counts>> {
    let files = Files::new(paths)?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let program = wrapped(&running::envoy_binary().await?, folder.path())?;
    let upstream = crate::upstream::start().await?;
    let first = paths.first().context("no requests")?;
    let bar = ProgressBar::new((variants.len() * workloads.len()) as u64)
        .with_style(ProgressStyle::with_template("    {bar:40} {percent} %, {eta} left  {wide_msg}")?);
    let mut counts = Vec::new();
    for variant in variants {
        bar.set_message(variant.name);
        bar.tick();
        let mut one = Running::start(variant, program.clone(), upstream, 1).await.with_context(|| variant.name)?;
        one.probe(first).await.with_context(|| variant.name)?;
        let mut each = Vec::new();
        for workload in workloads {
            one.send(*workload, workload.requests(BEFORE), &files).await.with_context(|| variant.name)?;
            control("--instr=on", one.pid).await?;
            // Callgrind itself has something to learn of code that it has not seen.
            one.send(*workload, workload.requests(BEFORE), &files).await.with_context(|| variant.name)?;
            control("--zero", one.pid).await?;
            let requests = workload.requests(COUNTED).max(LEAST_COUNTED);
            one.send(*workload, requests, &files).await.with_context(|| variant.name)?;
            control("--dump", one.pid).await?;
            control("--instr=off", one.pid).await?;
            let total = newest_total(folder.path(), one.pid)?;
            each.push(total.with(total, |total, _| total / f64::from(requests)));
            bar.inc(1);
        }
        one.check_counts().await.with_context(|| variant.name)?;
        one.envoy.stop(Duration::from_secs(10)).await?;
        counts.push(Counts { name: variant.name, requests: each });
    }
    bar.finish_and_clear();
    Ok(counts)
}

/// A program that runs Envoy under Callgrind, which writes to this folder and counts nothing until it is told to.
fn wrapped(envoy: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("envoy");
    // Valgrind's own messages would be taken for Envoy's.
    let script = format!(
        "#!/bin/sh\nexec valgrind --quiet --log-file='{folder}/valgrind.%p' --tool=callgrind --smc-check=all-non-file \
         --instr-atstart=no {CACHES} --callgrind-out-file='{folder}/out.%p' '{envoy}' \"$@\"\n",
        folder = folder.display(),
        envoy = envoy.display()
    );
    std::fs::write(&program, script).with_context(|| program.display().to_string())?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

/// Tells the Callgrind of a process what to do.
async fn control(what: &str, pid: u32) -> Result<()> {
    let output = Command::new("callgrind_control")
        .args([what, &pid.to_string()])
        .output()
        .await
        .context("cannot run callgrind_control; it is part of Valgrind: `apt-get install valgrind`")?;
    ensure!(output.status.success(), "callgrind_control {what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The counts in the last file that the Callgrind of a process dumped: they are numbered.
fn newest_total(folder: &Path, pid: u32) -> Result<Count> {
    let mut number = 1;
    let path = |number: u32| folder.join(format!("out.{pid}.{number}"));
    while path(number + 1).exists() {
        number += 1;
    }
    let file = path(number);
    let text = std::fs::read_to_string(&file).with_context(|| format!("Callgrind wrote no {}", file.display()))?;
    total(&text).with_context(|| format!("{} has no totals of the events that were asked for", file.display()))
}

/// The numbers behind `totals:`, which are in the order of the names behind `events:`; a last one that is 0 is left out.
fn total(dump: &str) -> Option<Count> {
    let words = |key| Some(dump.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace());
    let events: Vec<&str> = words("events:")?.collect();
    let totals: Vec<f64> = words("totals:")?.map(str::parse).collect::<Result<_, _>>().ok()?;
    let of = |event| {
        let place = events.iter().position(|name| *name == event)?;
        Some(totals.get(place).copied().unwrap_or_default())
    };
    Some(Count { instructions: of("Ir")?, code_misses: of("I1mr")?, data_misses: of("D1mr")? + of("D1mw")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_stand_at_the_end_in_the_order_of_the_events() {
        let dump = "events: Ir Dr Dw I1mr D1mr D1mw ILmr\nsummary: 7\n\nfn=(1) a\n0 3\n\ntotals: 1200 4 5 60 7 8\n";
        let count = Count { instructions: 1200.0, code_misses: 60.0, data_misses: 15.0 };
        assert_eq!(total(dump), Some(count));
        assert_eq!(total("events: Ir\ntotals: 7\n"), None);
        assert_eq!(total("events: Ir I1mr D1mr D1mw\nsummary: 7\n"), None);
    }
}
