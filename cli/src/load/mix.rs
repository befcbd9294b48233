//! What is sent: request *n* of a seed is always the same request.

use anyhow::bail;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use telemetry::method::Method as Known;
use telemetry::route::RouteSpec;

use super::business;

/// What the mix is made of.
#[derive(Debug, Clone)]
pub struct MixOptions {
    /// The seed of everything random.
    pub seed: u64,
    /// The routes that are called, with random parameters; popular ones much more often than others.
    pub routes: Vec<RouteSpec>,
    /// The header that carries correlation IDs.
    pub correlation_header: HeaderName,
    /// The shares of what is out of the ordinary.
    pub shares: Shares,
}

/// Shares of all requests, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Paths that no route has.
    pub unknown_path: f64,
    /// A method that the route does not declare, or that nobody knows.
    pub odd_method: f64,
    /// A well-formed correlation ID.
    pub good_id: f64,
    /// A correlation ID that must be refused.
    pub bad_id: f64,
    /// Long polls that the client leaves before the answer.
    pub abort: f64,
    /// WebSockets.
    pub websocket: f64,
    /// gRPC calls.
    pub grpc: f64,
    /// Conditional requests, for 304.
    pub conditional: f64,
    /// Repetitions of a decision or a connector's operation that was sent shortly before, with the same idempotency key.
    pub repeated: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            unknown_path: 0.03,
            odd_method: 0.01,
            good_id: 0.4,
            bad_id: 0.02,
            abort: 0.005,
            websocket: 0.002,
            grpc: 0.01,
            conditional: 0.03,
            repeated: 0.01,
        }
    }
}

impl Default for MixOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            routes: Vec::new(),
            correlation_header: HeaderName::from_static("x-correlation-id"),
            shares: Shares::default(),
        }
    }
}

/// How a request is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sent, and its answer read to the end.
    Plain,
    /// Sent, and left before the answer.
    Abort,
    /// Upgraded, a message echoed, closed.
    Websocket,
}

/// The correlation ID of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentId {
    /// None.
    None,
    /// A well-formed one.
    Good(HeaderValue),
    /// One that must be refused, line by line.
    Bad(Vec<HeaderValue>),
}

/// One request, before it is bound to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The method.
    pub method: Method,
    /// The path and query.
    pub target: String,
    /// The headers, the correlation ID included.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How it is carried out.
    pub kind: Kind,
    /// Its correlation ID.
    pub id: SentId,
    /// The route it is for, by its place in the table, where its source knows it for certain.
    pub route: Option<u32>,
    /// Whether it is so odd that the proxy itself may refuse it, before any filter.
    pub odd: bool,
}

/// The mix, ready to be asked for request *n*.
#[derive(Debug)]
pub struct Mix {
    seed: u64,
    shares: Shares,
    header: HeaderName,
    routes: Vec<RouteSpec>,
    /// The running sum of weights, by route.
    weights: Vec<f64>,
}

const ODD_METHODS: [&str; 5] = ["PROPFIND", "PURGE", "TRACE", "MKCOL", "REPORT"];

const UNKNOWN_PATHS: [&str; 9] = [
    "/",
    "/favicon.ico",
    "/robots.txt",
    "/wp-login.php",
    "/.env",
    "/api/v2/deployments/",
    "/api/v1/deploymentz/7/",
    "/caf%C3%A9/%F0%9F%92%A3",
    "/cgi-bin/test.cgi?x=$(id)",
];

impl Mix {
    /// A mix over these routes.
    pub fn new(options: &MixOptions) -> anyhow::Result<Self> {
        if options.routes.is_empty() && options.shares.unknown_path < 1.0 {
            bail!("there is no route to send requests to; declare routes in the configuration");
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(u64::MAX);
        let mut sum = 0.0;
        let weights = options
            .routes
            .iter()
            .map(|_| {
                sum += 0.05 + rng.random::<f64>().powi(4);
                sum
            })
            .collect();
        Ok(Self {
            seed: options.seed,
            shares: options.shares,
            header: options.correlation_header.clone(),
            routes: options.routes.clone(),
            weights,
        })
    }

    /// Request `number`.
    pub fn request(&self, number: u64) -> Planned {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // One stream of the generator for each request: the same whatever connection takes it, and when.
        rng.set_stream(number);
        let mut planned = self.planned(number, &mut rng);
        // Now and then what was sent shortly before is sent again, as a client does that has seen no answer.
        if rng.random_bool(self.shares.repeated.clamp(0.0, 1.0))
            && let Some(earlier) = self.earlier(number)
        {
            planned = earlier;
        }
        planned.id = self.id(&mut rng, number);
        match &planned.id {
            SentId::None => {}
            SentId::Good(value) => {
                planned.headers.insert(&self.header, value.clone());
            }
            SentId::Bad(values) => {
                for value in values {
                    planned.headers.append(&self.header, value.clone());
                }
            }
        }
        planned
    }

    /// Request `number` without a correlation ID, and never a repetition.
    fn planned(&self, number: u64, rng: &mut ChaCha8Rng) -> Planned {
        let mut planned = self.plain(rng);
        self.special(rng, &mut planned);
        if planned.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json") && !planned.odd {
            business::dress(&mut planned, number, rng);
        }
        planned
    }

    /// The latest request before this one that has an idempotency key.
    fn earlier(&self, number: u64) -> Option<Planned> {
        const REACH: u64 = 400;
        (number.saturating_sub(REACH)..number).rev().find_map(|number| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(number);
            let planned = self.planned(number, &mut rng);
            let is_one = planned.kind == Kind::Plain && business::is_one(&planned);
            (is_one && planned.headers.contains_key(business::IDEMPOTENCY_KEY)).then_some(planned)
        })
    }

    fn plain(&self, rng: &mut ChaCha8Rng) -> Planned {
        let mut planned = Planned {
            method: Method::GET,
            target: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            kind: Kind::Plain,
            id: SentId::None,
            route: None,
            odd: false,
        };
        planned.headers.insert(header::USER_AGENT, HeaderValue::from_static("edge-observer-load"));
        let all = self.weights.last().copied().unwrap_or_default();
        let draw = rng.random::<f64>() * all;
        let route = self.routes.get(self.weights.partition_point(|sum| *sum <= draw)).or_else(|| self.routes.last());
        let Some(route) = route.filter(|_| !rng.random_bool(self.shares.unknown_path.clamp(0.0, 1.0))) else {
            planned.target = (*pick(rng, &UNKNOWN_PATHS)).to_owned();
            return planned;
        };
        planned.target = fill(&route.template, rng);
        planned.method = method(rng, route.methods.as_deref());
        if matches!(planned.method, Method::GET) && rng.random_bool(0.3) {
            planned.target.push_str(&format!("?page={}&ordering=-created_at", rng.random_range(1..50)));
        }
        if matches!(planned.method, Method::POST | Method::PUT | Method::PATCH) {
            let note = "n".repeat(rng.random_range(0..2_000));
            planned.body = Bytes::from(format!(
                "{{\"ring\": {}, \"risk\": {}, \"note\": \"{note}\"}}",
                rng.random_range(0..5),
                rng.random_range(0..100)
            ));
            planned.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        planned
    }

    /// Turns a small part of the requests into something out of the ordinary; the first share that fits wins.
    fn special(&self, rng: &mut ChaCha8Rng, planned: &mut Planned) {
        let luck: f64 = rng.random();
        let shares = &self.shares;
        let mut passed = 0.0;
        let mut hit = |share: f64| {
            passed += share;
            luck < passed
        };
        if hit(shares.odd_method) {
            planned.odd = true;
            planned.method = Method::from_bytes(pick(rng, &ODD_METHODS).as_bytes()).unwrap_or(Method::TRACE);
            planned.body = Bytes::new();
        } else if hit(shares.abort) {
            planned.kind = Kind::Abort;
            planned.method = Method::GET;
            planned.body = Bytes::new();
            let separator = if planned.target.contains('?') { '&' } else { '?' };
            // Longer than any run's patience: the answer must not be quicker than the client's leaving.
            planned.target.push_str(&format!("{separator}wait=600"));
        } else if hit(shares.websocket) {
            planned.kind = Kind::Websocket;
            planned.method = Method::GET;
            planned.body = Bytes::new();
            for (name, value) in [
                (header::CONNECTION, "Upgrade"),
                (header::UPGRADE, "websocket"),
                (header::SEC_WEBSOCKET_VERSION, "13"),
                (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
            ] {
                planned.headers.insert(name, HeaderValue::from_static(value));
            }
        } else if hit(shares.grpc) {
            planned.method = Method::POST;
            planned.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            planned.headers.insert(header::TE, HeaderValue::from_static("trailers"));
            planned.body = Bytes::from_static(&[0, 0, 0, 0, 0]);
        } else if hit(shares.conditional) && planned.method == Method::GET {
            planned.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"v1\""));
        }
    }

    fn id(&self, rng: &mut ChaCha8Rng, number: u64) -> SentId {
        let luck: f64 = rng.random();
        if luck < self.shares.good_id {
            let text = format!("load-{:08x}-{number}", rng.random::<u32>());
            return HeaderValue::try_from(text).map_or(SentId::None, SentId::Good);
        }
        if luck >= self.shares.good_id + self.shares.bad_id {
            return SentId::None;
        }
        let lines: Vec<Vec<u8>> = match rng.random_range(0..8) {
            0 => vec![Vec::new()],
            1 => vec![b"short".to_vec()],
            2 => vec![vec![b'a'; rng.random_range(129..4_000)]],
            3 => vec![b"two words here".to_vec()],
            4 => vec![b"\"><script>alert(1)</script>".to_vec()],
            5 => vec![b"caf\xe9-caf\xe9-caf\xe9".to_vec()],
            6 => vec![b"first-of-two-ids,second-of-two".to_vec()],
            _ => vec![b"first-of-two-lines".to_vec(), b"second-of-two-lines".to_vec()],
        };
        SentId::Bad(lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).collect())
    }
}

/// A declared method, `GET` twice as often as another; of a route for any method mostly `GET`.
fn method(rng: &mut impl Rng, declared: Option<&[Known]>) -> Method {
    let Some(declared) = declared.filter(|declared| !declared.is_empty()) else {
        return pick(rng, &[Method::GET, Method::GET, Method::GET, Method::HEAD, Method::POST]).clone();
    };
    if declared.contains(&Known::Get) && rng.random_bool(0.6) {
        return if rng.random_bool(0.02) { Method::HEAD } else { Method::GET };
    }
    let known = *pick(rng, declared);
    // CONNECT has no path, and OTHER is no token.
    if matches!(known, Known::Connect | Known::Other) {
        Method::GET
    } else {
        known.as_str().parse().unwrap_or(Method::GET)
    }
}

/// A path that a template covers, with plausible values.
fn fill(template: &str, rng: &mut impl Rng) -> String {
    let mut path = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        path.push_str(&value(name, rng));
        rest = after;
    }
    path.push_str(rest);
    path
}

fn value(name: &str, rng: &mut impl Rng) -> String {
    match name {
        "ring" => rng.random_range(0..5).to_string(),
        "connector" => (*pick(rng, &["intune", "jamf", "sccm", "landscape", "ansible"])).to_owned(),
        _ if name.ends_with("...") => {
            let depth = rng.random_range(1..4);
            (0..depth).map(|_| format!("{:04x}", rng.random::<u16>())).collect::<Vec<_>>().join("/")
        }
        _ if rng.random_bool(0.3) => {
            let (high, low) = (rng.random::<u64>(), rng.random::<u64>());
            format!(
                "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                high >> 32,
                high & 0xffff,
                (high >> 16) & 0xfff,
                low >> 52,
                low & 0xffff_ffff_ffff
            )
        }
        _ => rng.random_range(1..100_000).to_string(),
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
mod tests {
    use telemetry::route::{PlaceholderBuffer, RouteMatch, RouteOptions, RouteTable};

    use super::*;

    fn options() -> MixOptions {
        let spec = |methods: &[Known], template: &str| RouteSpec {
            methods: (!methods.is_empty()).then(|| methods.to_vec()),
            template: template.to_owned(),
            name: None,
        };
        MixOptions {
            routes: vec![
                spec(&[Known::Get, Known::Post], "/api/v1/deployments/"),
                spec(&[Known::Get], "/api/v1/deployments/{id}/rings/{ring}/"),
                spec(&[], "/compare/{base}...{head}"),
                spec(&[], "/static/{file...}"),
            ],
            ..MixOptions::default()
        }
    }

    #[test]
    fn request_n_is_always_the_same_and_another_seed_is_another_mix() {
        let (mix, again) = (Mix::new(&options()).unwrap(), Mix::new(&options()).unwrap());
        let other = Mix::new(&MixOptions { seed: 2, ..options() }).unwrap();
        assert!((0..500).all(|n| mix.request(n) == again.request(n)));
        assert!((0..500).any(|n| mix.request(n) != other.request(n)));
    }

    #[test]
    fn the_mix_has_a_bit_of_everything() {
        let mix = Mix::new(&options()).unwrap();
        let all: Vec<Planned> = (0..20_000).map(|n| mix.request(n)).collect();
        let count = |wanted: &dyn Fn(&Planned) -> bool| all.iter().filter(|planned| wanted(planned)).count();
        for (name, found, range) in [
            ("aborts", count(&|p| p.kind == Kind::Abort), 50..200),
            ("websockets", count(&|p| p.kind == Kind::Websocket), 15..90),
            ("odd methods", count(&|p| p.odd), 120..300),
            ("bad ids", count(&|p| matches!(p.id, SentId::Bad(_))), 250..600),
            ("good ids", count(&|p| matches!(p.id, SentId::Good(_))), 7_000..9_000),
            ("posts", count(&|p| p.method == Method::POST), 500..8_000),
            (
                "unknown",
                count(&|p| UNKNOWN_PATHS.iter().any(|path| p.target.starts_with(path) && *path != "/")),
                300..900,
            ),
        ] {
            assert!(range.contains(&found), "{name}: {found}");
        }
    }

    #[test]
    fn filled_templates_are_found_again() {
        let options = options();
        let table = RouteTable::build(&options.routes, &RouteOptions::default()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for route in &options.routes {
            for _ in 0..50 {
                let path = fill(&route.template, &mut rng);
                let RouteMatch::Endpoint(id) =
                    table.find(Known::Get, path.as_bytes(), &mut PlaceholderBuffer::default())
                else {
                    panic!("{path}")
                };
                assert_eq!(&*table.labels()[id.index()], route.template, "{path}");
            }
        }
    }

    #[test]
    fn no_routes_is_an_error_that_says_so() {
        assert!(Mix::new(&MixOptions::default()).unwrap_err().to_string().contains("no route"));
    }
}
