//! What is looked at while the load runs: once a second the proxy's memory and the requests done, now and then its statistics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use telemetry::config::Config;
use tokio::sync::oneshot;

use super::{ScannerOptions, verdict};
use crate::load::Ledger;
use crate::process;
use crate::proxy::Proxy;
use crate::scrape;
use crate::table::bytes;
use crate::up::progress_bar;

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_secs(1);
/// How often the statistics are fetched, as the shipped Prometheus does.
const SCRAPE: Duration = Duration::from_secs(15);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Resident memory by seconds since the start. The embedded host's is that of this whole process.
    pub(super) memory: Vec<(f64, u64)>,
    /// Requests done in each second.
    pub(super) rates: Vec<f64>,
    /// Heartbeats in the first scrape that had any.
    pub(super) first_beats: BTreeMap<String, u64>,
    /// The filter's series by seconds since the start.
    pub(super) series: Vec<(f64, u64)>,
    /// Processor time of the proxy's process.
    pub(super) cpu: Option<Duration>,
}

impl Watched {
    /// The second by which all series had come, but for one in 200.
    pub(super) fn complete(&self) -> f64 {
        let last = self.series.last().map_or(0, |(_, series)| *series);
        self.series
            .iter()
            .find(|(_, series)| series.saturating_mul(200) >= last.saturating_mul(199))
            .map_or(0.0, |(at, _)| *at)
    }
}

/// Watches until the load is done.
///
/// # Errors
/// When the proxy is gone, or the load could not be sent.
pub(super) async fn until(
    mut sending: oneshot::Receiver<anyhow::Result<Ledger>>,
    proxy: &Proxy,
    config: &Config,
    options: &ScannerOptions,
    progress: &AtomicU64,
) -> anyhow::Result<(Ledger, Watched)> {
    let pid = pid(proxy);
    let cpu_before = pid.and_then(process::cpu);
    let bar = progress_bar(options.requests(), options.quiet);
    let started = Instant::now();
    let mut watched = Watched::default();
    let (mut done, mut at) = (0, 0.0);
    let mut next_scrape = SCRAPE / 4;
    let mut ticks = tokio::time::interval(SAMPLE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ledger = loop {
        tokio::select! {
            ledger = &mut sending => break ledger.context("the load generator failed")??,
            _ = ticks.tick() => {}
        }
        let now = started.elapsed();
        let seconds = now.as_secs_f64();
        if let Some(pid) = pid {
            match process::resident(pid) {
                Some(resident) => watched.memory.push((seconds, resident)),
                None if cfg!(target_os = "linux") => bail!("the proxy ended after {seconds:.0} s of the load"),
                None => {}
            }
        }
        let total = progress.load(Ordering::Relaxed);
        if seconds - at > 0.5 {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            watched.rates.push((total - done) as f64 / (seconds - at));
            (done, at) = (total, seconds);
        }
        bar.set_position(total);
        if let Some((_, resident)) = watched.memory.last() {
            bar.set_message(bytes(*resident));
        }
        if now >= next_scrape {
            next_scrape = now + SCRAPE;
            // A scrape that fails shows at the end, or with the process.
            if let Ok(scrape) = scrape::fetch(proxy.admin()).await {
                if watched.first_beats.is_empty() {
                    watched.first_beats = verdict::beats(config, &scrape);
                }
                watched.series.push((seconds, verdict::own_series(config, &scrape)));
            }
        }
    };
    bar.finish_and_clear();
    watched.cpu = pid.and_then(process::cpu).zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    Ok((ledger, watched))
}

fn pid(proxy: &Proxy) -> Option<u32> {
    match proxy {
        Proxy::Envoy(envoy) => envoy.pid(),
        Proxy::Harness(_) => Some(std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_complete_when_hardly_any_are_left_to_come() {
        let complete = |series: &[(f64, u64)]| Watched { series: series.to_vec(), ..Watched::default() }.complete();
        assert_eq!(complete(&[]), 0.0);
        assert_eq!(complete(&[(3.0, 500), (13.0, 996), (23.0, 1_000), (33.0, 1_000)]), 13.0);
        assert_eq!(complete(&[(3.0, 100), (13.0, 200), (23.0, 300)]), 23.0);
    }
}
