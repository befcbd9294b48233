//! `edge-observer routes try`: what a configuration makes of a real access log, and templates for what it does not cover.
//!
//! The log's requests go through the filter's own decisions ([`telemetry::filter`]), as one worker of a proxy would have them. The log is read as
//! a stream. What is kept of it is bounded: at most `MAX_PATHS` different paths that no template covers, and of those with the same typed
//! segments at most 128; past that the half with the fewest requests is forgotten, and the report says how many requests that were.
//!
//! Templates for those paths come from `cluster` and are tried: the table with them is built and the log is run again, a file from its start,
//! anything else (standard input, a pipe) from the paths that were kept. One that conflicts with the table, or that changes the label of a
//! request that the table covers, is not proposed.

mod cluster;
mod log;
mod paths;
mod proposals;
mod report;
mod runner;
mod segment;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use telemetry::method::Method;
use telemetry::route::EndpointId;

pub use log::MAX_LINE;
pub use paths::MAX_PATHS;
pub use proposals::{After, ProposedRoute};

use self::log::{Log, Reading, Request};
use self::paths::Paths;
use self::runner::{Runner, Source};
use self::segment::{Probe, Reach, path_of};
use crate::config_file::{self, Loaded};

/// Paths answered with 404 or 405 that are kept, for their examples alone.
const MAX_REFUSED: usize = 10_000;
/// Paths that the table covers which are kept of a log that cannot be read twice.
const MAX_COVERED: usize = 20_000;
/// Examples of a shape.
const EXAMPLES: usize = 3;

/// What to look at.
#[derive(Debug, Clone)]
pub struct CoverageOptions {
    /// The plugin configuration; `-` is standard input.
    pub config: PathBuf,
    /// The access log; `-` is standard input.
    pub access_log: PathBuf,
    /// No progress bar.
    pub quiet: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Coverage {
    /// Lines of the log.
    pub lines: u64,
    /// Requests among them.
    pub requests: u64,
    /// Requests that a template of the table covers.
    pub covered: u64,
    /// Lines without a request, by reason.
    pub left_out: Vec<LeftOut>,
    /// The endpoints that the log yields, most requests first.
    pub endpoints: Vec<EndpointRow>,
    /// Endpoints of the table without a request.
    pub idle: Vec<String>,
    /// How many endpoints the table has.
    pub configured: u64,
    /// The requests that no template covers, by reason.
    pub uncovered: Vec<ReasonRow>,
    /// Paths that no template covers, by shape, most requests first.
    pub shapes: Vec<ShapeRow>,
    /// The same for those that were answered with 404 or 405.
    pub refused: Vec<ShapeRow>,
    /// What was kept of the paths that no template covers.
    pub kept: KeptPaths,
    /// The series that the log makes.
    pub series: Vec<SeriesRow>,
    /// Templates for what no template covers, most requests first.
    pub proposals: Vec<ProposedRoute>,
    /// The table with all of them.
    pub after: Option<After>,
}

/// Lines without a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// How many.
    pub lines: u64,
    /// The first one's number, from 1.
    pub first: usize,
    /// Why.
    pub reason: String,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointRow {
    /// The label.
    pub endpoint: String,
    /// `template`, `learned` or `none` (for `unknown` and `_overflow`).
    pub source: &'static str,
    /// Requests.
    pub requests: u64,
    /// Those with 1xx to 5xx.
    pub by_class: [u64; 5],
    /// Those without an answer.
    pub unanswered: u64,
    /// Those with any other status.
    pub other: u64,
}

/// Why no template covers a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonRow {
    /// The label that it has.
    pub endpoint: String,
    /// Why.
    pub reason: &'static str,
    /// Requests.
    pub requests: u64,
    /// One of them.
    pub example: String,
}

/// Paths of one shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShapeRow {
    /// The path, with placeholders for what is no word.
    pub shape: String,
    /// Requests.
    pub requests: u64,
    /// Different paths.
    pub paths: u64,
    /// Some of those.
    pub examples: Vec<String>,
}

/// What was kept of the paths that no template covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeptPaths {
    /// Different ones that came.
    pub distinct: u64,
    /// Whether there were more than could be counted.
    pub more: bool,
    /// How many were kept to the end.
    pub kept: u64,
    /// Requests whose path was forgotten to make room.
    pub forgotten: u64,
}

/// The series of one term of the budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeriesRow {
    /// The term.
    pub what: &'static str,
    /// What this log makes.
    pub series: u64,
    /// What the configuration allows at most.
    pub at_most: u64,
}

/// Reads the log and says what the configuration makes of it.
///
/// # Errors
/// When the configuration is wrong or the log cannot be read. A log that nothing covers is no error.
pub fn run(options: &CoverageOptions) -> anyhow::Result<Coverage> {
    if options.config == options.access_log && options.config.as_os_str() == config_file::STDIN {
        return Err(crate::Usage::error("configuration and log cannot both be standard input; name a file for one"));
    }
    let loaded = config_file::require(&options.config)?;
    let name = options.access_log.display();
    let log = Log::open(&options.access_log)?;
    let twice = log.size.is_some();
    let mut pass = Pass::new(&loaded, !twice)?;
    let reading = log
        .read(None, options.quiet, &mut |request| pass.request(request))
        .with_context(|| format!("cannot read {name}"))?;
    let specs = loaded.config.routes().specs();
    let paths = pass.paths.iter().map(|(_, known)| known);
    let found = cluster::templates(paths, specs, loaded.config.routes().options());
    let mut again = |each: &mut dyn FnMut(&Request<'_>, u64)| -> anyhow::Result<()> {
        if twice {
            // Only as far as the first time: a log may grow.
            Log::open(&options.access_log)?
                .read(Some(reading.bytes), options.quiet, &mut |request| each(request, 1))
                .with_context(|| format!("cannot read {name} a second time"))?;
        } else {
            pass.replay(each);
        }
        Ok(())
    };
    let (proposals, after) = proposals::test(&loaded.json, &loaded.config, found, &mut again)?;
    Ok(pass.into_coverage(&reading, proposals, after))
}

/// Why no template covers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    NoTemplate,
    Refused,
    NoPath,
    TooLong,
    NotPrintable,
    NoRoom,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoTemplate => "no template",
            Self::Refused => "answered with 404 or 405",
            Self::NoPath => "no path",
            Self::TooLong => "longer than is matched",
            Self::NotPrintable => "not printable",
            Self::NoRoom => "no room for another endpoint",
        }
    }
}

/// The first reading of a log.
struct Pass {
    runner: Runner,
    probe: Probe,
    /// Paths that no template covers and that were answered with something else than 404 and 405 at least once.
    paths: Paths,
    refused: Paths,
    /// Paths that templates cover, where the log cannot be read twice.
    covered: Option<Paths>,
    reasons: BTreeMap<(EndpointId, Reason), (u64, String)>,
    requests: u64,
}

impl Pass {
    fn new(loaded: &Loaded, keep_covered: bool) -> anyhow::Result<Self> {
        let probe = Probe::new()
            .map_err(|problems| anyhow!("{}", problems.first().map_or(String::new(), ToString::to_string)))?;
        Ok(Self {
            runner: Runner::new(loaded.config.clone()),
            probe,
            paths: Paths::new(MAX_PATHS),
            refused: Paths::new(MAX_REFUSED),
            covered: keep_covered.then(|| Paths::new(MAX_COVERED)),
            reasons: BTreeMap::new(),
            requests: 0,
        })
    }

    fn request(&mut self, request: &Request<'_>) {
        self.requests += 1;
        let endpoint = self.runner.run(request);
        let source = self.runner.source(endpoint);
        let method = Method::from_bytes(&request.method);
        if source == Source::Template {
            if let Some(covered) = &mut self.covered {
                covered.add(&self.probe, method, path_of(&request.target), request.status);
            }
            return;
        }
        let reach = self.probe.reach(&request.target);
        if source == Source::Nothing {
            let reason = self.reason(endpoint, request, reach);
            let shown = || request.target.get(..200).unwrap_or(&request.target).escape_ascii().to_string();
            self.reasons.entry((endpoint, reason)).or_insert_with(|| (0, shown())).0 += 1;
        }
        if reach == Reach::Path {
            let store = if matches!(request.status, 404 | 405) { &mut self.refused } else { &mut self.paths };
            store.add(&self.probe, method, path_of(&request.target), request.status);
        }
    }

    fn reason(&self, endpoint: EndpointId, request: &Request<'_>, reach: Reach) -> Reason {
        match reach {
            Reach::NoPath => Reason::NoPath,
            Reach::TooLong => Reason::TooLong,
            Reach::Path if endpoint == EndpointId::OVERFLOW => Reason::NoRoom,
            Reach::Path if !path_of(&request.target).iter().all(u8::is_ascii_graphic) => Reason::NotPrintable,
            Reach::Path if matches!(request.status, 404 | 405) => Reason::Refused,
            Reach::Path => Reason::NoTemplate,
        }
    }

    /// The requests that were kept, path by path.
    fn replay(&self, each: &mut dyn FnMut(&Request<'_>, u64)) {
        for store in self.covered.iter().chain([&self.paths, &self.refused]) {
            for (path, answers) in store.replay() {
                for (method, status, requests) in answers.iter() {
                    let request =
                        Request { method: method.as_str().as_bytes().into(), target: path.as_slice().into(), status };
                    each(&request, requests);
                }
            }
        }
    }

    fn into_coverage(mut self, reading: &Reading, proposals: Vec<ProposedRoute>, after: Option<After>) -> Coverage {
        let made = self.runner.series();
        let config = self.runner.config();
        let series = config.budget().terms().iter().map(|term| SeriesRow {
            what: term.what,
            series: made.get(term.what).copied().unwrap_or(0),
            at_most: term.series,
        });
        let labels = config.routes().table().labels();
        let seen: BTreeMap<EndpointId, u64> = self.runner.counts().map(|(id, count)| (id, count.requests)).collect();
        let idle = labels
            .iter()
            .enumerate()
            .skip(2)
            .filter(|(index, _)| !u32::try_from(*index).is_ok_and(|index| seen.contains_key(&EndpointId(index))));
        let mut endpoints: Vec<EndpointRow> = self
            .runner
            .counts()
            .map(|(id, count)| {
                let [unanswered, by_class @ .., other] = count.classes;
                let source = match self.runner.source(id) {
                    Source::Template => "template",
                    Source::Learned => "learned",
                    Source::Nothing => "none",
                };
                let endpoint = self.runner.label(id).to_owned();
                EndpointRow { endpoint, source, requests: count.requests, by_class, unanswered, other }
            })
            .collect();
        endpoints.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.endpoint.cmp(&b.endpoint)));
        let uncovered = self.reasons.iter().map(|((id, reason), (requests, example))| ReasonRow {
            endpoint: self.runner.label(*id).to_owned(),
            reason: reason.as_str(),
            requests: *requests,
            example: example.clone(),
        });
        let mut uncovered: Vec<ReasonRow> = uncovered.collect();
        uncovered.sort_by_key(|row| std::cmp::Reverse(row.requests));
        let (distinct, more) = self.paths.distinct();
        Coverage {
            lines: reading.lines,
            requests: self.requests,
            covered: self.runner.covered(),
            left_out: left_out(reading),
            configured: labels.len().saturating_sub(2) as u64,
            idle: idle.map(|(_, label)| label.to_string()).collect(),
            endpoints,
            uncovered,
            shapes: shapes(&self.paths),
            refused: shapes(&self.refused),
            kept: KeptPaths { distinct, more, kept: self.paths.len() as u64, forgotten: self.paths.forgotten() },
            series: series.collect(),
            proposals,
            after,
        }
    }
}

fn left_out(reading: &Reading) -> Vec<LeftOut> {
    let mut left: Vec<LeftOut> = reading
        .left
        .iter()
        .map(|(reason, skipped)| LeftOut { lines: skipped.lines, first: skipped.first, reason: reason.to_string() })
        .collect();
    left.sort_by_key(|left| left.first);
    left
}

fn shapes(paths: &Paths) -> Vec<ShapeRow> {
    let shapes = paths.shapes(EXAMPLES).into_iter();
    shapes
        .map(|(shape, found)| ShapeRow {
            shape,
            requests: found.requests,
            paths: found.paths,
            examples: found.examples,
        })
        .collect()
}

#[cfg(test)]
mod tests;
