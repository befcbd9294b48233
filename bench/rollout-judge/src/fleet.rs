//! A fleet that is not there: what its proxies' pages would show at each scrape, and a Prometheus that answers the judge's queries from them.
//!
//! Requests are a Poisson process. A proxy has three pages, each scraped at its own moment of an interval: its own, that of the filter's requests, which
//! shows what the filter handed over at its last tick, and that of its processor time and memory.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Gamma, Normal, Poisson};
use rollout::judge::signals;
use rollout::judge::{Arm, Case};
use rollout::metrics::{Answer, Metrics, MetricsError, Sample};

use crate::scenario::{Harm, Scenario};

/// Seconds between two looks, and two scrapes.
pub(crate) const INTERVAL: f64 = 15.0;
/// The build's digest, and that of before.
pub(crate) const NEW: &str = "0123456789ab";
const OLD: &str = "ba9876543210";
/// Endpoints with their share of the requests, mean duration in ms, and whether a slow build slows them.
const ENDPOINTS: [(&str, f64, f64, bool); 3] =
    [("/users", 0.6, 12.0, false), ("/orders/{id}", 0.3, 25.0, true), ("/reports", 0.1, 60.0, false)];
/// Threads that tick: two workers and the main one.
const THREADS: usize = 3;
/// Processor seconds: of a request, and of a second without any.
const BY_REQUEST: f64 = 0.000_25;
const IDLE: f64 = 0.004;
const MIB: f64 = 1_048_576.0;

/// What a proxy has counted so far.
#[derive(Debug, Clone, Default)]
struct Counters {
    requests: f64,
    failed: f64,
    overflow: f64,
    counted: f64,
    traps: f64,
    cpu: f64,
    durations: [(f64, f64); ENDPOINTS.len()],
    proxy_ms: f64,
    upstream_ms: f64,
    beats: [f64; THREADS],
}

/// What the scrapes of one interval saw; none where one failed.
#[derive(Debug, Clone, Default)]
struct Pages {
    own: Option<(Counters, f64, f64)>,
    filter: Option<(Counters, f64)>,
    process: Option<(f64, f64)>,
}

#[derive(Debug)]
struct Proxy {
    name: String,
    arm: Arm,
    build: &'static str,
    now: Counters,
    /// Where the simulation of this proxy is, seconds.
    at: f64,
    began: f64,
    /// Offsets of the three scrapes and of the tick.
    phases: [f64; 3],
    tick: f64,
    lumps: f64,
    /// Noise of this interval: of durations in ms, and of processor time as a factor.
    noise: (f64, f64),
    away_until: f64,
    dead: usize,
    pages: Pages,
}

/// The fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    scenario: Scenario,
    harm: Harm,
    rng: ChaCha8Rng,
    proxies: Vec<Proxy>,
    questions: HashMap<String, (String, Arm)>,
    look: u32,
    away: bool,
    /// With `FAIL_OPEN` a VM that traps is gone; with `FAIL_RELOAD` it is counted.
    fail_open: bool,
}

impl Fleet {
    pub(crate) fn new(case: &Case<'_>, scenario: Scenario, harm: Harm, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut questions = HashMap::new();
        let mut proxies = Vec::new();
        for (arm, ring) in [(Arm::Ring, Some(case.ring)), (Arm::Control, case.control)] {
            let Some(ring) = ring else { continue };
            for signal in signals::of(case.plan) {
                questions.insert(signal.resolved(&case.plan.gates, ring), (signal.name.clone(), arm));
            }
            for (index, instance) in ring.instances.iter().enumerate() {
                let mixed = scenario == Scenario::Mixed && arm == Arm::Ring && index == 0;
                proxies.push(Proxy {
                    name: instance.name.clone(),
                    arm,
                    build: if arm == Arm::Ring && !mixed { NEW } else { OLD },
                    now: Counters::default(),
                    at: 0.0,
                    began: -3_600.0,
                    phases: std::array::from_fn(|_| rng.random::<f64>() * INTERVAL),
                    tick: rng.random(),
                    lumps: 0.0,
                    noise: (0.0, 1.0),
                    away_until: 0.0,
                    dead: 0,
                    pages: Pages::default(),
                });
            }
        }
        let fail_open = rng.random_bool(0.5);
        Self { scenario, harm, rng, proxies, questions, look: 0, away: false, fail_open }
    }

    /// Goes on by one interval.
    pub(crate) fn step(&mut self) -> Timestamp {
        self.look += 1;
        let end = f64::from(self.look) * INTERVAL;
        let chance = |rng: &mut ChaCha8Rng, on: bool, p: f64| on && rng.random_bool(p);
        self.away = chance(&mut self.rng, self.scenario == Scenario::MissingScrapes, 0.03);
        let restarts = self.scenario == Scenario::Restart && self.look == 50;
        for index in 0..self.proxies.len() {
            let Some(proxy) = self.proxies.get_mut(index) else { continue };
            let lossy = self.scenario == Scenario::MissingScrapes;
            if chance(&mut self.rng, self.scenario == Scenario::Resets, 0.02) {
                // As `/reset_counters` does: the proxy itself goes on.
                proxy.now = Counters { cpu: proxy.now.cpu, beats: proxy.now.beats, ..Counters::default() };
            }
            if restarts && index == 0 {
                proxy.now = Counters::default();
                proxy.began = end;
                proxy.away_until = end + 2.0 * INTERVAL;
                proxy.lumps = -60.0;
            }
            let wild = self.scenario == Scenario::Noisy;
            let spread = if wild { 0.15 } else { 0.03 };
            let factor = (1.0 + spread * normal(&mut self.rng)).max(0.2);
            proxy.noise = (0.4 * normal(&mut self.rng), factor);
            if chance(&mut self.rng, wild, 0.1) {
                proxy.noise =
                    (proxy.noise.0 + exponential(&mut self.rng, 15.0), factor + exponential(&mut self.rng, 0.5));
            }
            // Memory comes in lumps around its trend, as allocators have it; after a restart it fills again.
            let lump = if wild { 4.0 } else { 1.0 };
            proxy.lumps = 0.7 * proxy.lumps + lump * normal(&mut self.rng);
            let begin = end - INTERVAL;
            let own_at = begin + proxy.phases[0];
            let filter_at = begin + proxy.phases[1];
            let ticked = ((filter_at - proxy.tick).floor() + proxy.tick).max(proxy.at);
            let process_at = begin + proxy.phases[2];
            let mut order = [(own_at, 0), (ticked, 1), (process_at, 2)];
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            proxy.pages = Pages::default();
            for (at, page) in order {
                let away = at < proxy.away_until || chance(&mut self.rng, lossy, 0.1);
                advance(proxy, at, self.scenario, self.harm, self.fail_open, &mut self.rng);
                match page {
                    _ if away => {}
                    0 => {
                        let series = 400.0 + 3.0 * (at / 600.0).floor() + extra_series(proxy, self.harm);
                        proxy.pages.own = Some((proxy.now.clone(), at, series));
                    }
                    1 => proxy.pages.filter = Some((proxy.now.clone(), filter_at)),
                    _ => {
                        let cpu = (proxy.now.cpu * 100.0).floor() / 100.0;
                        proxy.pages.process = Some((cpu, memory(proxy, at, self.harm)));
                    }
                }
            }
        }
        time(end)
    }

    fn samples(&self, signal: &str, arm: Arm) -> Vec<Sample> {
        let mut samples = Vec::new();
        for proxy in self.proxies.iter().filter(|proxy| proxy.arm == arm) {
            let mut add = |more: &[(&str, &str)], value: f64| {
                let mut labels = BTreeMap::from([("instance".to_owned(), proxy.name.clone())]);
                labels.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
                samples.push(Sample { labels, value });
            };
            if let Some((counters, at, series)) = &proxy.pages.own {
                match signal {
                    signals::BUILD => {
                        add(&[("config", proxy.build)], 1.0);
                        if proxy.build == NEW {
                            add(&[("config", OLD)], 0.0);
                        }
                    }
                    signals::HEARTBEAT => {
                        for (worker, beats) in counters.beats.iter().enumerate() {
                            add(&[("worker", &worker.to_string())], *beats);
                        }
                    }
                    signals::THREADS => add(&[], THREADS as f64),
                    signals::REQUESTS => add(&[], counters.requests),
                    signals::REQUESTS_AT => add(&[], *at),
                    // A counter begins with the first of what it counts.
                    signals::FAILED if counters.failed > 0.0 => add(&[], counters.failed),
                    signals::VM_FAILURES if counters.traps > 0.0 && !self.fail_open => add(&[], counters.traps),
                    signals::REFUSALS => add(&[], 0.0),
                    signals::UPTIME => add(&[], (at - proxy.began).floor()),
                    signals::PROXY_SUM => add(&[], counters.proxy_ms),
                    signals::UPSTREAM_SUM => add(&[], counters.upstream_ms),
                    signals::PROXY_COUNT | signals::UPSTREAM_COUNT => add(&[], counters.requests),
                    signals::SERIES => add(&[], *series),
                    signals::BUDGET => add(&[], 5_000.0),
                    _ => {}
                }
            }
            if let Some((counters, at)) = &proxy.pages.filter {
                let endpoints = ENDPOINTS.iter().zip(counters.durations);
                match signal {
                    signals::COUNTED => add(&[], counters.counted),
                    signals::COUNTED_AT => add(&[], *at),
                    signals::OVERFLOW if counters.overflow > 0.0 => add(&[], counters.overflow),
                    signals::DURATION_SUM => {
                        endpoints.for_each(|(endpoint, (sum, _))| add(&[("endpoint", endpoint.0)], sum * 1e3));
                    }
                    signals::DURATION_COUNT => {
                        endpoints.for_each(|(endpoint, (_, count))| add(&[("endpoint", endpoint.0)], count));
                    }
                    _ => {}
                }
            }
            if let Some((cpu, memory)) = proxy.pages.process {
                match signal {
                    signals::CPU => add(&[], cpu),
                    signals::MEMORY => add(&[], memory),
                    _ => {}
                }
            }
        }
        samples
    }
}

impl Metrics for Fleet {
    fn query(&self, expression: &str, _: Timestamp) -> Result<Answer, MetricsError> {
        if self.away {
            return Err(MetricsError::Away("connection refused".to_owned()));
        }
        let (signal, arm) =
            self.questions.get(expression).ok_or_else(|| MetricsError::Refused(format!("unknown: {expression}")))?;
        Ok(Answer { samples: self.samples(signal, *arm), ..Answer::default() })
    }
}

/// Requests until a moment, and what comes of them.
fn advance(proxy: &mut Proxy, to: f64, scenario: Scenario, harm: Harm, fail_open: bool, rng: &mut ChaCha8Rng) {
    let seconds = to - proxy.at;
    if seconds <= 0.0 {
        return;
    }
    // What began after this moment has no requests yet.
    let serving = to - proxy.began.max(proxy.at);
    proxy.at = to;
    if serving <= 0.0 {
        return;
    }
    let bad = if proxy.arm == Arm::Ring && proxy.build == NEW { harm } else { Harm::default() };
    let swing = match scenario {
        Scenario::Swings => (std::f64::consts::TAU * to / 3_600.0).sin(),
        _ => 0.0,
    };
    let rate = scenario.rate() * (1.0 + 0.7 * swing);
    let ticks = (to - proxy.tick).floor() - (to - seconds - proxy.tick).floor();
    for beats in proxy.now.beats.iter_mut().skip(proxy.dead) {
        *beats += ticks;
    }
    proxy.now.cpu += IDLE * seconds;
    for (endpoint, (_, share, mean, slowed)) in ENDPOINTS.iter().enumerate() {
        let requests = poisson(rng, rate * share * serving);
        if requests <= 0.0 {
            continue;
        }
        let now = &mut proxy.now;
        now.requests += requests;
        now.failed += poisson(rng, requests * (0.003 * (1.0 + 0.8 * swing) + bad.errors)).min(requests);
        now.overflow += poisson(rng, requests * (0.002 + bad.overflow)).min(requests);
        now.counted += requests - poisson(rng, requests * bad.uncounted).min(requests);
        let traps = poisson(rng, requests * bad.traps);
        now.traps += traps;
        if fail_open && traps > 0.0 && proxy.dead + 1 < THREADS {
            proxy.dead += 1;
        }
        // The sum of as many durations: a gamma distribution whose single ones vary by eight tenths of their mean.
        let upstream = gamma_sum(rng, requests, mean * (1.0 + 0.3 * swing), 0.8) + requests * proxy.noise.0;
        let own = gamma_sum(rng, requests, 0.4, 1.0) + if *slowed { requests * bad.latency } else { 0.0 };
        if let Some((sum, count)) = now.durations.get_mut(endpoint) {
            *sum += (upstream + own).max(0.0);
            *count += requests;
        }
        now.upstream_ms += upstream.max(0.0);
        now.proxy_ms += (upstream + own).max(0.0);
        // A share more of all that a request costs, its part of what the proxy takes anyway included.
        let more = requests * bad.cpu * (BY_REQUEST + IDLE / rate);
        now.cpu += (gamma_sum(rng, requests, BY_REQUEST, 0.7) + more) * proxy.noise.1;
    }
}

fn memory(proxy: &Proxy, at: f64, harm: Harm) -> f64 {
    let leak = if proxy.arm == Arm::Ring && proxy.build == NEW { harm.memory } else { 0.0 };
    let hours = (at - proxy.began.max(0.0)).max(0.0) / 3_600.0;
    let pages = (150.0 * MIB + proxy.lumps * MIB + (2.0 * MIB + leak) * hours) / 4_096.0;
    pages.floor() * 4_096.0
}

fn extra_series(proxy: &Proxy, harm: Harm) -> f64 {
    if proxy.arm == Arm::Ring && proxy.build == NEW { (harm.series * 420.0).ceil() } else { 0.0 }
}

fn time(seconds: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(1_700_000_000.0 + seconds)
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    Normal::new(0.0, 1.0).map_or(0.0, |normal| normal.sample(rng))
}

fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

fn poisson(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(rng))
}

fn gamma_sum(rng: &mut ChaCha8Rng, count: f64, mean: f64, variation: f64) -> f64 {
    let squared = variation * variation;
    Gamma::new(count / squared, mean * squared).map_or(0.0, |gamma| gamma.sample(rng))
}
