//! Requests of each kind for a table, made from a seed.

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use telemetry::method::Method;
use telemetry::route::{RouteSpec, UNKNOWN_LABEL};

use crate::{Bench, Request, Subject};

/// What a list of requests is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The paths of templates that are text alone.
    Text,
    /// Examples of templates with parameters.
    Parameters,
    /// The same, with text that stands beside a parameter as that parameter's value: the search has to go back.
    GoingBack,
    /// Examples of templates with a segment of a parameter and text.
    Partial,
    /// Examples of templates that end in the rest of the path.
    Rest,
    /// What scanners ask for: no template has its first segment.
    MissAtOnce,
    /// An example whose last text is another: no template, found out at the end.
    MissAtTheEnd,
    /// Of ten requests eight examples of any template, and one of each kind of miss.
    Mixed,
    /// Examples of a hundred templates from all over the table: what a table costs that is larger than what is asked for.
    Hot,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 9] = [
        Kind::Text,
        Kind::Parameters,
        Kind::GoingBack,
        Kind::Partial,
        Kind::Rest,
        Kind::MissAtOnce,
        Kind::MissAtTheEnd,
        Kind::Mixed,
        Kind::Hot,
    ];

    /// What a report calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text alone",
            Kind::Parameters => "parameters",
            Kind::GoingBack => "going back",
            Kind::Partial => "part of a segment",
            Kind::Rest => "rest of the path",
            Kind::MissAtOnce => "miss at once",
            Kind::MissAtTheEnd => "miss at the end",
            Kind::Mixed => "mixed",
            Kind::Hot => "a hundred hot routes",
        }
    }
}

/// So many draws for each request; a table may have no request of a kind.
const PATIENCE: usize = 60;

/// A list of requests of one kind, about which both routers of `bench` agree; empty where the table has none.
#[must_use]
pub fn requests(kind: Kind, table: &[RouteSpec], bench: &Bench, count: usize) -> Vec<Request> {
    let mut maker = Maker { rng: ChaCha8Rng::seed_from_u64(kind as u64), table, bench };
    let mut list = Vec::with_capacity(count);
    for _ in 0..count * PATIENCE {
        if list.len() == count {
            break;
        }
        let drawn = match kind {
            Kind::Mixed => match maker.rng.random_range(0..10) {
                0 => Kind::MissAtOnce,
                1 => Kind::MissAtTheEnd,
                _ => Kind::Mixed,
            },
            other => other,
        };
        list.extend(maker.draw(drawn));
        // None in a thousand draws is none at all.
        if list.is_empty() && maker.rng.random_range(0..1_000) == 0 {
            break;
        }
    }
    list
}

struct Maker<'a> {
    rng: ChaCha8Rng,
    table: &'a [RouteSpec],
    bench: &'a Bench,
}

impl Maker<'_> {
    fn draw(&mut self, kind: Kind) -> Option<Request> {
        let route = match kind {
            Kind::Hot => self.table.get(self.rng.random_range(0..100) * self.table.len() / 100)?,
            _ => self.table.choose(&mut self.rng)?,
        };
        let template = route.template.as_str();
        let segments = || template.split('/').skip(1);
        let is_rest = template.ends_with("...}");
        let is_partial = segments().any(|segment| segment.contains('{') && !is_parameter(segment));
        let method = route.methods.as_ref().and_then(|methods| methods.choose(&mut self.rng).copied());
        let method = method.unwrap_or(Method::Get);
        let (fits, label) = match kind {
            Kind::Text => (!template.contains('{'), template),
            Kind::Parameters => (template.contains('{') && !is_partial && !is_rest, template),
            Kind::GoingBack => (template.contains('{') && !is_rest, template),
            Kind::Partial => (is_partial, template),
            Kind::Rest => (is_rest, template),
            Kind::MissAtOnce => (true, UNKNOWN_LABEL),
            Kind::MissAtTheEnd => (!is_rest, UNKNOWN_LABEL),
            Kind::Mixed | Kind::Hot => (true, template),
        };
        if !fits {
            return None;
        }
        let target = match kind {
            Kind::MissAtOnce => junk(&mut self.rng),
            Kind::MissAtTheEnd => {
                let example = example(template, &mut self.rng);
                let (beginning, _) = example.rsplit_once('/')?;
                format!("{beginning}/{}", value(&mut self.rng).replace('-', "~"))
            }
            Kind::GoingBack => self.misleading(template)?,
            Kind::Text | Kind::Parameters | Kind::Partial | Kind::Rest | Kind::Mixed | Kind::Hot => {
                example(template, &mut self.rng)
            }
        };
        let request = Request { method, target: target.into_bytes() };
        let agreed = [Subject::Ours, Subject::Matchit]
            .into_iter()
            .all(|subject| self.bench.answer(subject, &request).as_deref() == Some(label.as_bytes()));
        agreed.then_some(request)
    }

    /// An example with, for one parameter, a text that another template has in its place, after the same beginning.
    fn misleading(&mut self, template: &str) -> Option<String> {
        let segments: Vec<&str> = template.split('/').collect();
        let parameters: Vec<usize> =
            segments.iter().enumerate().filter(|(_, segment)| is_parameter(segment)).map(|(at, _)| at).collect();
        let place = *parameters.choose(&mut self.rng)?;
        let beginning = shape(segments.get(..place)?);
        let beside: Vec<&str> = self
            .table
            .iter()
            .filter_map(|other| {
                let other: Vec<&str> = other.template.split('/').collect();
                let text = *other.get(place)?;
                (!text.contains('{') && other.len() > place + 1 && shape(other.get(..place)?) == beginning)
                    .then_some(text)
            })
            .collect();
        let text = *beside.choose(&mut self.rng)?;
        let target: Vec<String> = segments
            .iter()
            .enumerate()
            .map(|(at, segment)| if at == place { text.to_owned() } else { example(segment, &mut self.rng) })
            .collect();
        Some(target.join("/"))
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1)
}

/// Segments without the names of parameters.
fn shape(segments: &[&str]) -> String {
    segments.iter().map(|segment| if segment.contains('{') { "/{}" } else { segment }).collect::<Vec<_>>().join("/")
}

/// A template, or a piece of one, with values in the place of its parameters.
pub fn example(template: &str, rng: &mut ChaCha8Rng) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(literal);
        text.push_str(&value(rng));
        if name.ends_with("...") {
            for _ in 0..rng.random_range(0..4) {
                text.push('/');
                text.push_str(&value(rng));
            }
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// A value as real ones are: a number, a name, a hash, a UUID.
fn value(rng: &mut ChaCha8Rng) -> String {
    const NAMES: [&str; 10] = [
        "octocat",
        "hello-world",
        "linux",
        "rust-lang",
        "main",
        "kubernetes",
        "my.repo",
        "feature-login",
        "v1.2.3",
        "acme_corp",
    ];
    match rng.random_range(0..10) {
        0..4 => rng.random_range(1..100_000_000_u32).to_string(),
        4..8 => format!("{}{}", NAMES.choose(rng).copied().unwrap_or("name"), rng.random_range(0..1_000)),
        8 => format!("{:016x}{:016x}{:08x}", rng.random::<u64>(), rng.random::<u64>(), rng.random::<u32>()),
        _ => format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            rng.random::<u32>(),
            rng.random::<u16>(),
            rng.random_range(0..4096),
            rng.random_range(0..4096),
            rng.random_range(0..1_u64 << 48)
        ),
    }
}

/// What a scanner asks for.
fn junk(rng: &mut ChaCha8Rng) -> String {
    const PLACES: [&str; 8] = [
        "wp-login.php",
        ".env",
        ".git/config",
        "cgi-bin/luci",
        "phpmyadmin/index.php",
        "vendor/phpunit/src/Util/PHP/eval-stdin.php",
        "boaform/admin/formLogin",
        "solr/admin/info/system",
    ];
    match rng.random_range(0..2) {
        0 => format!("/{}", PLACES.choose(rng).copied().unwrap_or("x")),
        _ => format!("/{:x}/{}", rng.random::<u64>(), PLACES.choose(rng).copied().unwrap_or("x")),
    }
}
