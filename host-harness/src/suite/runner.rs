//! Cases through a proxy, several at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::check::{Findings, HostSeen, Metrics, StreamSeen, TalkSeen};
use super::envoy::{self, Envoy};
use super::format::{Action, Case, HostExpect, Only, Stream, Suite, Talk};
use super::harness::Harness;
use super::interrupt::Interrupt;
use super::matcher::shown;
use super::report::{CaseReport, Failure, Outcome, SuiteReport, Unchecked};
use crate::{CodeCache, Conformance, LogLevel};

/// How cases are run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The proxy.
    pub against: Against,
    /// Only cases whose names match.
    pub filter: Option<fancy_regex::Regex>,
    /// How many run at a time; as many as there are processors when 0.
    pub jobs: usize,
    /// Keep the traces of cases that pass, too.
    pub traces: bool,
    /// Where the embedded host keeps modules' compiled code.
    pub cache: Option<CodeCache>,
    /// Whose behaviour the embedded host has, where a suite does not say.
    pub conformance: Option<Conformance>,
    /// By which the run may be ended early.
    pub interrupt: Interrupt,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            against: Against::Harness,
            filter: None,
            jobs: 0,
            traces: false,
            cache: None,
            conformance: None,
            interrupt: Interrupt::default(),
        }
    }
}

/// The proxy that cases run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The embedded host.
    Harness,
    /// A real Envoy, by its executable.
    Envoy(PathBuf),
}

/// What a case is driven through.
pub(super) trait Proxy {
    /// A case begins: what the metrics are now.
    fn begin(&mut self) -> Metrics;
    fn streams(&mut self, streams: &[Stream]) -> Result<Vec<StreamSeen>, String>;
    fn connection(&mut self, talk: &Talk) -> Result<TalkSeen, String>;
    fn advance(&mut self, time: Duration) -> Result<(), String>;
    fn tick(&mut self) -> Result<(), String>;
    fn reconfigure(&mut self, configuration: &[u8]) -> Result<(), String>;
    /// What is to be seen now.
    fn host(&mut self, wanted: &HostExpect) -> HostSeen;
    /// Lets a piece of the time pass that it may take until everything is as expected; `waited` is what has passed. Says
    /// whether any was left.
    fn wait(&mut self, waited: &mut Duration, within: Duration) -> bool;
    fn trace(&mut self) -> String;
}

/// Why a proxy did not start.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) lines: Vec<String>,
    /// What the module wrote.
    pub(super) log: Vec<(LogLevel, String)>,
    pub(super) trace: String,
}

/// Cases that share a host, or one that has its own.
struct Unit<'a> {
    suite: usize,
    cases: Vec<(usize, &'a Case)>,
}

/// Runs the cases of suites. `done` hears of each case, in the order of the files.
pub(super) fn run(
    suites: &[&Suite],
    options: &RunOptions,
    mut done: impl FnMut(usize, &CaseReport),
) -> Vec<SuiteReport> {
    let units = units(suites, options);
    let order: Vec<(usize, usize)> =
        units.iter().flat_map(|unit| unit.cases.iter().map(|(case, _)| (unit.suite, *case))).collect();
    let mut reports: Vec<SuiteReport> = suites
        .iter()
        .map(|suite| SuiteReport { name: suite.name.clone(), file: suite.file.clone(), cases: Vec::new() })
        .collect();
    let jobs = match options.jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(units.len()) {
            let (sender, units, next) = (sender.clone(), &units, &next);
            scope.spawn(move || {
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run_unit(unit, options, |case, report| {
                        // Nobody listens any more only when the program ends.
                        let _ = sender.send(((unit.suite, case), report));
                    });
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut due = order.iter();
        let mut wanted = due.next();
        for (place, report) in receiver {
            early.insert(place, report);
            while let Some(report) = wanted.and_then(|wanted| early.remove(wanted)) {
                let suite = wanted.map_or(0, |(suite, _)| *suite);
                done(suite, &report);
                if let Some(of) = reports.get_mut(suite) {
                    of.cases.push(report);
                }
                wanted = due.next();
            }
        }
    });
    reports
}

fn units<'a>(suites: &[&'a Suite], options: &RunOptions) -> Vec<Unit<'a>> {
    let chosen =
        |case: &Case| options.filter.as_ref().is_none_or(|filter| filter.is_match(&case.name).unwrap_or(false));
    let mut units = Vec::new();
    for (suite, of) in suites.iter().enumerate() {
        let cases = of.cases.iter().enumerate().filter(|(_, case)| chosen(case));
        if of.shared {
            units.push(Unit { suite, cases: cases.collect() });
        } else {
            units.extend(cases.map(|case| Unit { suite, cases: vec![case] }));
        }
    }
    units
}

fn run_unit(unit: &Unit<'_>, options: &RunOptions, mut done: impl FnMut(usize, CaseReport)) {
    // Of those that share a host, the first that is not skipped starts it.
    let mut proxy: Option<Result<Box<dyn Proxy>, Refusal>> = None;
    let cases: Vec<&Case> = unit.cases.iter().map(|(_, case)| *case).collect();
    for (place, case) in &unit.cases {
        if options.interrupt.is_stopped() {
            return;
        }
        let began = Instant::now();
        let mut findings = Findings::default();
        let mut trace = String::new();
        let skipped = skipped(case, &cases, &options.against);
        if skipped.is_none() {
            let fresh = proxy.is_none();
            match proxy.get_or_insert_with(|| start(&cases, case, options)) {
                Ok(proxy) => {
                    drive(case, proxy.as_mut(), fresh, &mut findings);
                    if options.traces || !findings.failures.is_empty() {
                        trace = proxy.trace();
                    }
                }
                Err(refusal) => {
                    refused(case, refusal, &mut findings);
                    trace.clone_from(&refusal.trace);
                }
            }
            if let Against::Envoy(_) = options.against {
                let given = envoy::not_given(&case.setup);
                findings.unchecked.extend(
                    given
                        .into_iter()
                        .map(|(field, why)| Unchecked { path: format!("{}.{field}", case.path), why: why.to_owned() }),
                );
            }
        }
        let outcome = match skipped {
            Some(why) => Outcome::Skipped(why),
            None if findings.failures.is_empty() => Outcome::Passed,
            None => Outcome::Failed,
        };
        if !options.traces && outcome == Outcome::Passed {
            trace.clear();
        }
        done(
            *place,
            CaseReport {
                name: case.name.clone(),
                path: case.path.clone(),
                outcome,
                seconds: began.elapsed().as_secs_f64(),
                checked: findings.checked,
                failures: findings.failures,
                unchecked: findings.unchecked,
                trace,
            },
        );
    }
}

fn skipped(case: &Case, all: &[&Case], against: &Against) -> Option<String> {
    let other = match (case.only, against) {
        (Some(Only::Envoy), Against::Harness) => Some("it is for Envoy only".to_owned()),
        (Some(Only::Harness), Against::Envoy(_)) => Some("it is for the harness only".to_owned()),
        _ => None,
    };
    case.skip.clone().or(other).or_else(|| match against {
        Against::Harness => None,
        Against::Envoy(_) => envoy::cannot(case, all),
    })
}

/// Starts a proxy for cases of one setup.
fn start(cases: &[&Case], first: &Case, options: &RunOptions) -> Result<Box<dyn Proxy>, Refusal> {
    Ok(match &options.against {
        Against::Harness => Box::new(Harness::start(&first.setup, options)?),
        Against::Envoy(binary) => Box::new(Envoy::start(binary, cases, &options.interrupt)?),
    })
}

/// Takes a case through its steps.
fn drive(case: &Case, proxy: &mut dyn Proxy, fresh: bool, findings: &mut Findings) {
    if let Some(wanted) = &case.expect.start_refused {
        findings.checked += 1;
        findings.failures.push(Failure {
            path: format!("{}.start_refused", case.expect.path),
            expected: format!("a start that is refused with {wanted}"),
            found: "it started".to_owned(),
        });
        return;
    }
    // What a host of the case's own did while it started belongs to the case.
    let before = if fresh { Metrics::new() } else { proxy.begin() };
    for step in &case.steps {
        if let Err((expected, found)) = take(&step.action, proxy, findings) {
            findings.failures.push(Failure { path: step.path.clone(), expected, found });
            break;
        }
        look(proxy, &step.expect, &before, findings);
    }
    look(proxy, &case.expect, &before, findings);
}

/// Takes a step; else what should have been, and what was.
fn take(action: &Action, proxy: &mut dyn Proxy, findings: &mut Findings) -> Result<(), (String, String)> {
    let failed = |expected: &str| {
        let expected = expected.to_owned();
        move |found| (expected, found)
    };
    match action {
        Action::Streams(streams) => {
            let seen = proxy.streams(streams).map_err(failed("streams that can be sent"))?;
            for (stream, seen) in streams.iter().zip(&seen) {
                findings.stream(&stream.expect, seen);
            }
            Ok(())
        }
        Action::Connection(talk) => {
            let seen = proxy.connection(talk).map_err(failed("a connection that can be made"))?;
            findings.connection(&talk.expect, &seen);
            Ok(())
        }
        Action::Advance(time) => proxy.advance(*time).map_err(failed("time that passes")),
        Action::Tick => proxy.tick().map_err(failed("a tick")),
        Action::Look => Ok(()),
        Action::Reconfigure { configuration, refused } => {
            let outcome = proxy.reconfigure(configuration);
            findings.checked += 1;
            match (outcome, refused) {
                (Ok(()), None) => Ok(()),
                (Err(error), Some(wanted)) if wanted.fits(error.as_bytes()) => Ok(()),
                (Err(error), None) => Err(("a configuration that is taken".to_owned(), error)),
                (Err(error), Some(wanted)) => Err((format!("a refusal with {wanted}"), shown(error.as_bytes()))),
                (Ok(()), Some(wanted)) => Err((format!("a refusal with {wanted}"), "it was taken".to_owned())),
            }
        }
    }
}

/// Looks at the host until everything is as expected, as long as that may take.
fn look(proxy: &mut dyn Proxy, wanted: &HostExpect, before: &Metrics, findings: &mut Findings) {
    if wanted.is_empty() {
        return;
    }
    let mut waited = Duration::ZERO;
    loop {
        let mut found = Findings::default();
        found.host(wanted, &proxy.host(wanted), before);
        if found.failures.is_empty() || !proxy.wait(&mut waited, wanted.within) {
            return findings.add(found);
        }
    }
}

/// The proxy did not start.
fn refused(case: &Case, refusal: &Refusal, findings: &mut Findings) {
    let told = refusal.lines.join("\n");
    match &case.expect.start_refused {
        Some(wanted) => {
            findings.checked += 1;
            let fits = |line: &String| wanted.fits(line.as_bytes());
            if !refusal.lines.iter().any(fits) && !wanted.fits(told.as_bytes()) {
                findings.failures.push(Failure {
                    path: format!("{}.start_refused", case.expect.path),
                    expected: format!("a start that is refused with {wanted}"),
                    found: shown(told.as_bytes()),
                });
            }
            let seen = HostSeen { log: refusal.log.clone(), ..HostSeen::default() };
            findings.host(&case.expect, &seen, &Metrics::new());
        }
        None => findings.failures.push(Failure {
            path: case.path.clone(),
            expected: "a host that starts".to_owned(),
            found: told,
        }),
    }
}

/// Where Envoy is: by the name given, by the environment's `ENVOY_BIN`, or in the path.
///
/// # Errors
///
/// When there is none.
pub fn find_envoy(named: Option<&Path>) -> Result<PathBuf, String> {
    let named = named
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("ENVOY_BIN").filter(|path| !path.is_empty()).map(PathBuf::from));
    if let Some(path) = named {
        return if path.is_file() { Ok(path) } else { Err(format!("there is no Envoy at {}", path.display())) };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join("envoy"))
        .find(|path| path.is_file())
        .ok_or_else(|| "there is no `envoy` in the path; name it by `--envoy` or the variable ENVOY_BIN".to_owned())
}
