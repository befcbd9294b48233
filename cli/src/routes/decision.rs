//! `edge-observer routes match`: why one request has its endpoint, step by step.

use serde_json::{Value, json};
use telemetry::config::Config;
use telemetry::method::Method;
use telemetry::route::{
    Decision, EndpointId, Explanation, MAX_PATH, MAX_SEGMENTS, OVERFLOW_LABEL, RouteSpec, Step, Tried, UNKNOWN_LABEL,
};

use crate::table::{Column, Table, count, plural, printable};

/// Segments longer than this are cut in the table.
const SHOWN: usize = 60;

/// A decision and what led to it.
#[derive(Debug, Clone)]
pub struct Explained {
    method: Method,
    token: String,
    target: String,
    explanation: Explanation,
    endpoint: String,
    because: String,
    labels: Vec<String>,
    worst_visits: usize,
}

/// Explains what the filter makes of a request with this method and target.
pub fn explain(config: &Config, token: &[u8], target: &[u8]) -> Explained {
    let table = config.routes().table();
    let method = Method::from_bytes(token);
    let explanation = table.explain(method, target);
    let (endpoint, because) = reason(config, method, &explanation.decision);
    Explained {
        method: if config.metrics().methods().contains(&method) { method } else { Method::Other },
        token: shown(token),
        target: shown(target),
        labels: table.labels().iter().map(|label| label.to_string()).collect(),
        explanation,
        endpoint,
        because,
        worst_visits: table.size().worst_visits,
    }
}

/// The endpoint label, and the sentence that says why.
fn reason(config: &Config, method: Method, decision: &Decision) -> (String, String) {
    let unknown = |because: &str| (UNKNOWN_LABEL.to_owned(), because.to_owned());
    match decision {
        Decision::Template(endpoint) => {
            let label = label_of(config, *endpoint);
            let because = declared_by(config, method, &label);
            (label, because)
        }
        Decision::MethodNotDeclared => {
            unknown("its template does not declare the method (routes.undeclared_methods: unknown)")
        }
        Decision::NoPath => {
            unknown("the target is no path: `*`, an authority, or neither in origin-form nor in absolute-form")
        }
        Decision::TooLong => unknown(&format!("the path is longer than {} bytes", count(MAX_PATH as u64))),
        Decision::TooManySegments => unknown(&format!("the path has more than {MAX_SEGMENTS} segments")),
        Decision::NoTemplate => unknown("no template covers the path (routes.unmatched: unknown)"),
        Decision::NotPrintable => unknown(
            "no template covers the path, and it has bytes that are not printable ASCII, which no label may have",
        ),
        Decision::LabelTooLong => (
            OVERFLOW_LABEL.to_owned(),
            "no template covers the path, and its label would be longer than 200 bytes".to_owned(),
        ),
        Decision::Placeholder(label) => {
            let limits = config.routes().table().limits().copied().unwrap_or_default();
            let because = format!(
                "no template covers the path; this label comes into being once a worker has seen {} of it answered with anything but 404 and 405, \
                 and is `{UNKNOWN_LABEL}` until then; past {} in the proxy, or {} in one place, it is `{OVERFLOW_LABEL}`",
                plural(u64::from(limits.min_hits.max(1)), "request"),
                plural(limits.max_endpoints as u64, "such label"),
                plural(limits.max_per_parent as u64, "segment"),
            );
            (label.clone(), because)
        }
    }
}

fn label_of(config: &Config, endpoint: EndpointId) -> String {
    config.routes().table().labels().get(endpoint.index()).map_or(UNKNOWN_LABEL, |label| label).to_owned()
}

/// Which routes of the table stand behind a label.
fn declared_by(config: &Config, method: Method, label: &str) -> String {
    let carries = |route: &RouteSpec| route.template == label || route.name.as_deref() == Some(label);
    let declares = |route: &RouteSpec| route.methods.as_ref().is_none_or(|methods| methods.contains(&method));
    let routes: Vec<(usize, &RouteSpec)> =
        config.routes().specs().iter().enumerate().filter(|(_, route)| carries(route)).collect();
    // One that names the method goes before one for any.
    let named = routes.iter().find(|(_, route)| route.methods.is_some() && declares(route));
    match named.or_else(|| routes.iter().find(|(_, route)| declares(route))) {
        Some((index, route)) if route.methods.is_none() => format!("routes.table[{index}] is for any method"),
        Some((index, _)) => format!("routes.table[{index}] declares {method}"),
        None => {
            let entries: Vec<String> =
                routes.iter().take(3).map(|(index, _)| format!("routes.table[{index}]")).collect();
            let verb = if entries.len() == 1 { "covers" } else { "cover" };
            format!(
                "{} {verb} the path, for other methods (routes.undeclared_methods: template)",
                if entries.is_empty() { "a template".to_owned() } else { entries.join(" and ") }
            )
        }
    }
}

impl Explained {
    /// The endpoint label.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The decision for people.
    pub fn to_text(&self) -> String {
        let Explanation { path, normal, steps, visits, .. } = &self.explanation;
        let mut facts = vec![("request", format!("{} {}", self.token, self.target))];
        if self.token != self.method.as_str() {
            facts.push(("", format!("counted under the method {}", self.method)));
        }
        if let Some(path) = path {
            facts.push(("path", shown(path)));
        }
        if let Some(normal) = normal {
            facts.push(("matched as", shown(normal)));
        }
        let mut out: String = facts.iter().map(|(name, value)| format!("{name:<10}  {value}\n")).collect();
        if !steps.is_empty() {
            let columns =
                [("segment", Column::Number), ("text", Column::Text), ("tried", Column::Text), ("fits", Column::Text)];
            let mut table = Table::new(columns);
            for step in steps {
                table.row(self.row(step));
            }
            out.push('\n');
            out.push_str(&table.render());
            out.push('\n');
        }
        out.push_str(&format!("endpoint    {}\n", printable(&self.endpoint)));
        out.push_str(&format!("because     {}\n", self.because));
        if *visits > 0 {
            out.push_str(&format!(
                "cost        {} of the table looked at; no path makes it more than {}\n",
                plural(*visits as u64, "place"),
                count(self.worst_visits as u64)
            ));
        }
        out
    }

    fn row(&self, step: &Step) -> [String; 4] {
        let yes_no = |fits: bool| if fits { "yes" } else { "no" }.to_owned();
        match step {
            Step::Edge { segment, text, tried, fits } => {
                let number =
                    if *tried == Tried::Tail { format!("{}…", segment + 1) } else { (segment + 1).to_string() };
                [number, shown(text), tried_as(tried), yes_no(*fits)]
            }
            Step::Template { endpoint, declared, other_form } => {
                let label = self.labels.get(endpoint.index()).map_or(UNKNOWN_LABEL, String::as_str);
                let form = if *other_form { ", with the other slash at its end" } else { "" };
                let method = if *declared { "declares the method" } else { "does not declare the method" };
                [String::new(), String::new(), format!("template {label}"), format!("{method}{form}")]
            }
        }
    }

    /// The decision for machines.
    pub fn to_json(&self) -> Value {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let steps: Vec<Value> = self
            .explanation
            .steps
            .iter()
            .map(|step| match step {
                Step::Edge { segment, text, tried, fits } => {
                    json!({ "segment": segment, "text": lossy(text), "tried": tried_as(tried), "fits": fits })
                }
                Step::Template { endpoint, declared, other_form } => {
                    json!({ "template": self.labels.get(endpoint.index()), "declared": declared, "other_form": other_form })
                }
            })
            .collect();
        json!({
            "method": self.method.as_str(),
            "path": self.explanation.path.as_deref().map(lossy),
            "matched_as": self.explanation.normal.as_deref().map(lossy),
            "steps": steps,
            "endpoint": self.endpoint,
            "because": self.because,
            "visits": self.explanation.visits,
            "worst_visits": self.worst_visits,
        })
    }
}

fn tried_as(tried: &Tried) -> String {
    match tried {
        Tried::Static => "text".to_owned(),
        Tried::Partial(pattern) => pattern.clone(),
        Tried::Parameter => "{name}".to_owned(),
        Tried::Tail => "{name...}".to_owned(),
    }
}

/// Bytes as a person can read them: text as it is, the rest escaped, and not too long.
fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN + 1).collect();
    if text.chars().count() <= SHOWN {
        return printable(&text);
    }
    let cut: String = text.chars().take(SHOWN).collect();
    format!("{}… ({} bytes)", printable(&cut), count(bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        Config::from_json(json.as_bytes()).unwrap()
    }

    const ROUTES: &str = r#"{"routes": {"table": [
        {"methods": ["GET"], "template": "/users/me", "name": "me"},
        {"methods": ["GET", "PUT"], "template": "/users/{id}"},
        {"template": "/users/{id}/posts/{slug}.json"},
        {"template": "/files/{path...}"}]}}"#;

    #[test]
    fn the_text_shows_each_step() {
        let explained = explain(&config(ROUTES), b"GET", b"/users/%6De/posts/1.json?x=1");
        assert_eq!(
            explained.to_text(),
            "request     GET /users/%6De/posts/1.json?x=1
path        /users/%6De/posts/1.json
matched as  /users/me/posts/1.json

segment  text    tried                                   fits
      1  users   text                                    yes
      2  me      text                                    yes
      3  posts   text                                    no
      2  me      {name}                                  yes
      3  posts   text                                    yes
      4  1.json  text                                    no
      4  1.json  {}.json                                 yes
                 template /users/{id}/posts/{slug}.json  declares the method

endpoint    /users/{id}/posts/{slug}.json
because     routes.table[2] is for any method
cost        6 places of the table looked at; no path makes it more than 6
"
        );
    }

    #[test]
    fn each_endpoint_has_its_reason() {
        let check = |config: &Config, method: &str, path: &str, endpoint: &str, because: &str| {
            let explained = explain(config, method.as_bytes(), path.as_bytes());
            assert_eq!(explained.endpoint(), endpoint, "{path}");
            assert!(explained.because.starts_with(because), "{path}: {}", explained.because);
        };
        let closed = config(ROUTES);
        check(&closed, "GET", "/users/me", "/users/me", "routes.table[0] declares GET");
        check(&closed, "PUT", "/users/me", "/users/{id}", "routes.table[1] declares PUT");
        check(&closed, "DELETE", "/users/7", "/users/{id}", "routes.table[1] covers the path, for other methods");
        check(&closed, "get", "/files/a/b", "/files/{path...}", "routes.table[3] is for any method");
        check(&closed, "GET", "/else", "unknown", "no template covers the path");
        check(&closed, "OPTIONS", "*", "unknown", "the target is no path");
        check(&closed, "GET", &"/a".repeat(99), "unknown", "the path has more than 64 segments");
        let open = config(r#"{"routes": {"unmatched": "placeholders"}}"#);
        check(
            &open,
            "GET",
            "/x/7",
            "/x/{int}",
            "no template covers the path; this label comes into being once a worker has seen 3 requests",
        );
        check(
            &open,
            "GET",
            &format!("/{}", "w".repeat(300)),
            "_overflow",
            "no template covers the path, and its label",
        );
    }

    #[test]
    fn hostile_targets_cannot_steer_the_terminal() {
        let text = explain(&config(ROUTES), b"G\x1b", b"/\x1b[2J\xff/a").to_text();
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("counted under the method OTHER"), "{text}");
        assert!(explain(&config(ROUTES), b"GET", &[b'/'; 70_000]).to_text().len() < 2000);
    }

    #[test]
    fn machines_get_the_same() {
        let json = explain(&config(ROUTES), b"GET", b"/users/me/").to_json();
        assert_eq!(json["endpoint"], "/users/me");
        assert_eq!(json["steps"][2]["other_form"], true);
        assert_eq!(json["matched_as"], Value::Null);
    }
}
