//! A table, requests, and rounds over them.

use std::hint::black_box;

use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::route::{EndpointId, RouteMatch};

use crate::ours::Ours;
use crate::requests::{Request, decode};
use crate::rival::Rival;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Subject {
    /// The loop alone.
    Nothing,
    /// `telemetry::route::RouteTable`.
    Ours,
    /// `matchit::Router`.
    Matchit,
}

impl Subject {
    /// Every subject, in the order of its number.
    pub const ALL: [Subject; 3] = [Subject::Nothing, Subject::Ours, Subject::Matchit];

    /// The subject with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| *subject as u32 == number)
    }
}

/// A request in the form in which each router wants it.
pub(crate) struct Loaded {
    pub(crate) method: Method,
    pub(crate) target: Vec<u8>,
    /// For `matchit`, which wants text.
    pub(crate) text: Option<String>,
}

impl Loaded {
    fn new(request: Request) -> Self {
        let text = String::from_utf8(request.target.clone()).ok();
        Self { method: request.method, target: request.target, text }
    }
}

/// What has rounds.
pub(crate) trait Router {
    /// The number of the request's endpoint.
    fn find(&mut self, request: &Loaded) -> u32;
}

/// The loop alone.
struct Nothing;

impl Router for Nothing {
    #[inline(never)]
    fn find(&mut self, request: &Loaded) -> u32 {
        request.target.len() as u32
    }
}

/// A configuration compiled by both routers, and lists of requests.
#[derive(Default)]
pub struct Bench {
    config: Option<Config>,
    rival: Rival,
    lists: Vec<Vec<Loaded>>,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("config", &self.config).field("lists", &self.lists.len()).finish_non_exhaustive()
    }
}

impl Bench {
    /// Reads a configuration of the plugin, in JSON, and compiles its routes.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn new(config: &[u8]) -> Result<Self, String> {
        let config = Config::from_json(config).map_err(|errors| errors.to_string())?;
        Ok(Self { config: Some(config), ..Self::default() })
    }

    /// Gives `matchit` the same routes; gives back those that it has no form for, and what it said of each.
    pub fn add_matchit(&mut self) -> &[(String, String)] {
        if let Some(config) = &self.config {
            let routes = config.routes();
            self.rival = Rival::build(routes.specs(), routes.table().labels());
        }
        &self.rival.refused
    }

    /// Adds a list of requests, as [`encode`](crate::encode) wrote it; gives back its number.
    pub fn add_requests(&mut self, encoded: &[u8]) -> Option<usize> {
        self.lists.push(decode(encoded)?.into_iter().map(Loaded::new).collect());
        Some(self.lists.len() - 1)
    }

    /// Asks for each request of a list, so many times over; gives back the sum of the endpoints' numbers.
    #[must_use]
    pub fn run(&self, subject: Subject, list: usize, rounds: u32) -> Option<u64> {
        let list = self.lists.get(list)?;
        Some(match subject {
            Subject::Nothing => run(Nothing, list, rounds),
            Subject::Ours => run(Ours::new(self.config.as_ref()?.routes().table()), list, rounds),
            Subject::Matchit => run(&self.rival, list, rounds),
        })
    }

    /// Forgets all requests; the next list has the number 0.
    pub fn clear(&mut self) {
        self.lists.clear();
    }

    /// The number of each request's endpoint: its place in [`RouteTable::labels`](telemetry::route::RouteTable::labels).
    #[must_use]
    pub fn answers(&self, subject: Subject, list: usize) -> Option<Vec<u32>> {
        fn all(mut router: impl Router, list: &[Loaded]) -> Vec<u32> {
            list.iter().map(|request| router.find(request)).collect()
        }
        let list = self.lists.get(list)?;
        Some(match subject {
            Subject::Nothing => all(Nothing, list),
            Subject::Ours => all(Ours::new(self.config.as_ref()?.routes().table()), list),
            Subject::Matchit => all(&self.rival, list),
        })
    }

    /// The label that a request of a list has.
    #[must_use]
    pub fn ask(&self, subject: Subject, list: usize, request: usize) -> Option<Vec<u8>> {
        self.label(subject, self.lists.get(list)?.get(request)?)
    }

    /// The label that any request has.
    #[must_use]
    pub fn answer(&self, subject: Subject, request: &Request) -> Option<Vec<u8>> {
        self.label(subject, &Loaded::new(request.clone()))
    }

    fn label(&self, subject: Subject, request: &Loaded) -> Option<Vec<u8>> {
        let table = self.config.as_ref()?.routes().table();
        let number = match subject {
            Subject::Nothing => EndpointId::UNKNOWN,
            Subject::Ours => {
                let mut ours = Ours::new(table);
                match table.find(request.method, &request.target, &mut ours.buffer) {
                    RouteMatch::Endpoint(number) => number,
                    RouteMatch::Placeholder => return Some(ours.buffer.as_bytes().to_vec()),
                }
            }
            Subject::Matchit => EndpointId((&self.rival).find(request)),
        };
        Some(table.labels().get(number.index())?.as_bytes().to_vec())
    }
}

fn run(mut router: impl Router, list: &[Loaded], rounds: u32) -> u64 {
    let mut sum: u64 = 0;
    for _ in 0..rounds {
        for request in black_box(list) {
            sum = sum.wrapping_add(u64::from(black_box(router.find(black_box(request)))));
        }
    }
    sum
}
