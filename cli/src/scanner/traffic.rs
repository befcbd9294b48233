//! The requests of a run: calls of every route in turn, and scanner junk between them.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use telemetry::method::Method as Known;
use telemetry::route::RouteSpec;

use super::junk;
use super::table::SIBLING;
use super::upstream::ANSWER;
use crate::load::{Kind, Planned, SentId, Source};

/// Of so many requests …
const ROUND: u64 = 5;
/// … so many call routes; the others are junk.
const CALLS: u64 = 2;

/// What is answered to the calls of one route, in turn. After two rounds, 16 calls, every series of the route exists: at full rate in the
/// first ten seconds.
const ANSWERS: [u16; 8] = [200, 404, 200, 422, 405, 204, 200, 500];

/// The answer that means that the route does not have the method.
const WRONG_METHOD: u16 = 405;

/// What is answered to junk: mostly that there is no such thing, and now and then a page for whatever was asked for.
const JUNK_ANSWERS: [u16; 16] = [404, 404, 200, 404, 404, 404, 403, 404, 404, 404, 200, 404, 404, 301, 404, 400];

/// Methods of scanners, beside `GET`.
const JUNK_METHODS: [&str; 6] = ["HEAD", "POST", "OPTIONS", "PROPFIND", "TRACE", "DELETE"];

/// Every status that a request may ask to be answered with.
pub(super) fn statuses() -> Vec<StatusCode> {
    let all: BTreeSet<u16> = ANSWERS.into_iter().chain(JUNK_ANSWERS).collect();
    all.into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).collect()
}

/// The requests of a run. Request *n* of a table and a seed is always the same.
#[derive(Debug)]
pub(super) struct Traffic {
    routes: Vec<RouteSpec>,
    header: HeaderName,
    seed: u64,
}

impl Traffic {
    /// Traffic for these routes; there is at least one. `header` carries the correlation ID.
    pub(super) fn new(routes: Vec<RouteSpec>, header: HeaderName, seed: u64) -> Self {
        Self { routes, header, seed }
    }

    /// Whether a request is junk.
    pub(super) fn is_junk(number: u64) -> bool {
        number % ROUND >= CALLS
    }

    fn route(&self, place: u64) -> Option<(u32, &RouteSpec)> {
        let index = usize::try_from(place % (self.routes.len().max(1) as u64)).ok()?;
        Some((u32::try_from(index).ok()?, self.routes.get(index)?))
    }

    /// A call of a route: each in its turn, and each time with the next answer.
    fn call(&self, number: u64, rng: &mut ChaCha8Rng, planned: &mut Planned) -> u16 {
        let place = number / ROUND * CALLS + number % ROUND;
        let Some((index, route)) = self.route(place) else { return 404 };
        let turn = usize::try_from(place / (self.routes.len().max(1) as u64)).unwrap_or(0);
        // Another answer for each route at a time, so that no second is unlike the next.
        let status = *ANSWERS.get((turn + usize::try_from(index).unwrap_or(0)) % ANSWERS.len()).unwrap_or(&200);
        planned.route = Some(index);
        planned.target = path(&route.template, rng);
        planned.method = match route.methods.as_deref() {
            _ if status == WRONG_METHOD => Method::OPTIONS,
            Some(methods) => {
                methods.get(turn / ANSWERS.len() % methods.len().max(1)).map_or(Method::GET, |known| method(*known))
            }
            None => {
                if (turn / ANSWERS.len()).is_multiple_of(2) {
                    Method::GET
                } else {
                    Method::PUT
                }
            }
        };
        status
    }

    fn junk(&self, number: u64, rng: &mut ChaCha8Rng, planned: &mut Planned) -> u16 {
        let any = self.route(rng.random()).map_or("", |(_, route)| route.template.as_str());
        // `/api/v1/AREA/RESOURCE`, without what comes below.
        let end = any.match_indices('/').nth(4).map_or(any.len(), |(at, _)| at);
        // Its place among the junk: the number itself would, in step with the rounds, never meet some of the kinds.
        let place = number / ROUND * (ROUND - CALLS) + number % ROUND - CALLS;
        planned.target = junk::target(place, any.get(..end).unwrap_or(any), rng);
        if rng.random_ratio(1, 8) {
            let token = pick(rng, &JUNK_METHODS);
            planned.method = Method::from_bytes(token.as_bytes()).unwrap_or(Method::GET);
        }
        // What the proxy refuses by itself has no correlation ID.
        planned.odd = true;
        *pick(rng, &JUNK_ANSWERS)
    }
}

impl Source for Traffic {
    fn request(&self, number: u64) -> Planned {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let mut planned = Planned {
            method: Method::GET,
            target: String::new(),
            headers: HeaderMap::with_capacity(6),
            body: Bytes::new(),
            kind: Kind::Plain,
            id: SentId::None,
            route: None,
            odd: false,
        };
        let status = if Self::is_junk(number) {
            self.junk(number, &mut rng, &mut planned)
        } else {
            self.call(number, &mut rng, &mut planned)
        };
        planned.headers.insert(header::USER_AGENT, HeaderValue::from_static("edge-observer-scanner"));
        planned.headers.insert(ANSWER, HeaderValue::from(status));
        if matches!(planned.method, Method::POST | Method::PUT | Method::PATCH) {
            planned.body = Bytes::from_static(b"{\"ring\": 1}");
            planned.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if rng.random_ratio(1, 4)
            && let Ok(id) = HeaderValue::try_from(format!("scan-{:08x}-{number}", rng.random::<u32>()))
        {
            planned.headers.insert(&self.header, id.clone());
            planned.id = SentId::Good(id);
        }
        planned
    }
}

fn method(known: Known) -> Method {
    known.as_str().parse().unwrap_or(Method::GET)
}

/// A path that this template covers and no other one before it: values have digits where a static sibling has none, and the static sibling's own
/// text only where nothing of what follows is below it.
fn path(template: &str, rng: &mut impl Rng) -> String {
    let mut path = String::with_capacity(template.len() + 48);
    let mut rest = template;
    let mut first = true;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        if first && !after.is_empty() && rng.random_ratio(1, 8) {
            path.push_str(SIBLING);
        } else {
            path.push_str(&value(name, rng));
        }
        first = false;
        rest = after;
    }
    path.push_str(rest);
    match rng.random_range(0..16) {
        0 | 1 => match path.strip_suffix('/') {
            Some(without) => path.truncate(without.len()),
            None => path.push('/'),
        },
        2 => path = path.replacen("/api/", "/%61p%69/", 1),
        3..7 => path.push_str(&format!("?page={}&ordering=-created_at", rng.random_range(1..50))),
        _ => {}
    }
    path
}

fn value(name: &str, rng: &mut impl Rng) -> String {
    match name {
        "version" => rng.random_range(1..40).to_string(),
        "format" => (*pick(rng, &["csv", "json", "xlsx", "tar.gz"])).to_owned(),
        "base" => format!("release-{}.{}", rng.random_range(1..9), rng.random_range(0..30)),
        "head" => format!("feature~{}", rng.random_range(1..400)),
        "path..." => {
            let depth = rng.random_range(1..5);
            (0..depth).map(|_| format!("{:05x}.txt", rng.random::<u16>())).collect::<Vec<_>>().join("/")
        }
        _ => match rng.random_range(0..4) {
            0 => junk::uuid(rng),
            // Words, which no heuristic tells from a static segment.
            1 => format!("team-{}", rng.random_range(1..10_000)),
            _ => rng.random_range(1..1_000_000).to_string(),
        },
    }
}

fn pick<'a, T>(rng: &mut impl Rng, choices: &'a [T]) -> &'a T {
    #[expect(
        clippy::indexing_slicing,
        reason = "the index is drawn from the slice's own range; callers give no empty slice"
    )]
    &choices[rng.random_range(0..choices.len())]
}

#[cfg(test)]
mod tests;
