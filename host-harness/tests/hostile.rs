//! Modules that mean harm, made from numbers: the short form of the fuzz target `hostile`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "hostile/bytes.rs"]
mod bytes;
#[path = "hostile/drive.rs"]
mod drive;
#[path = "hostile/module.rs"]
mod module;

use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// The time that all of this may take; more with the variable `HOST_HARNESS_HOSTILE_SECONDS`.
const SECONDS: u64 = 6;
/// How long one module may take: it has little fuel, and a debug build is slow.
const ONE_WITHIN: Duration = Duration::from_secs(20);
/// The most memory that this process may come to use.
const MOST_KIB: u64 = 2 << 20;

#[test]
fn modules_that_mean_harm_end_in_clear_errors() {
    let set = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(set("HOST_HARNESS_HOSTILE_SECONDS").unwrap_or(SECONDS));
    let first = set("HOST_HARNESS_HOSTILE_SEED").unwrap_or(0);
    let began = Instant::now();
    let (mut ran, mut started, mut hostcalls, mut failed) = (0, 0, 0, 0);
    for seed in first.. {
        if began.elapsed() >= time {
            break;
        }
        let mut input = vec![0; 4096];
        ChaCha12Rng::seed_from_u64(seed).fill_bytes(&mut input);
        let one = Instant::now();
        let came = std::panic::catch_unwind(|| drive::run(&input));
        let came = came.unwrap_or_else(|_| panic!("a panic with HOST_HARNESS_HOSTILE_SEED={seed}"));
        assert!(one.elapsed() < ONE_WITHIN, "HOST_HARNESS_HOSTILE_SEED={seed} took {:?}", one.elapsed());
        ran += 1;
        started += u32::from(came.callbacks > 0);
        failed += u32::from(came.failure.is_some());
        hostcalls += came.hostcalls;
    }
    let peak = peak_kib();
    assert!(peak < MOST_KIB, "the host grew to {peak} KiB");
    // The modules are not all refused, nor all harmless.
    assert!(
        started * 4 > ran && hostcalls > u64::from(ran) && failed > 0,
        "{started} of {ran} started, {failed} failed"
    );
    #[allow(clippy::print_stderr, reason = "how much was tried")]
    {
        eprintln!("{ran} modules, {started} started, {failed} failed, {hostcalls} hostcalls, {peak} KiB");
    }
}

/// The most memory that this process has used so far; 0 where that is not known.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}
