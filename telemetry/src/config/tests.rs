//! Every message, and what an accepted configuration means.

use serde_json::{Value, json};

use super::fields::{Field, Kind, ROOT};
use super::*;
use crate::correlation::{Generator, Trust};
use crate::route::{
    Case, DotSegments, DuplicateSlashes, LabelStyle, MatrixParameters, PercentEncoding, PlaceholderLimits,
    TrailingSlash, UndeclaredMethods, Unmatched,
};

/// The messages for this configuration, which must be refused.
fn messages(value: Value) -> Vec<String> {
    let errors = Config::from_value(value.clone()).expect_err(&format!("accepted: {value}"));
    errors.iter().map(ToString::to_string).collect()
}

fn check(value: Value, expected: &str) {
    assert_eq!(messages(value), [expected]);
}

#[test]
fn nothing_at_all_means_the_defaults() {
    for bytes in [&b""[..], b" \n", b"{}"] {
        let config = Config::from_json(bytes).unwrap();
        assert_eq!((config.namespace(), config.ring(), config.digest()), ("eucora", "", "44136fa355b3"));
    }
    let config = Config::from_json(b"").unwrap();
    assert_eq!(config.correlation().header(), "x-correlation-id");
    assert_eq!(*config.correlation().policy(), Policy { trust: Trust::Any, generator: Generator::UuidV7 });
    assert!(config.correlation().respond() && !config.correlation().expose());
    assert_eq!(config.correlation().trace_mode(), TraceMode::Pass);
    assert_eq!(*config.routes().options(), RouteOptions::default());
    assert_eq!((config.max_endpoints(), config.routes().max_learned(), config.routes().specs().len()), (2, 0, 0));
    assert_eq!(config.metrics().methods().len(), 9);
    assert_eq!(config.metrics().statuses().len(), 66);
    assert_eq!((config.metrics().extra_statuses(), config.metrics().flush_interval_ms()), (16, 1000));
    assert!(!config.metrics().histogram());
    let log = config.access_log();
    assert!(log.endpoint() && !log.correlation_id() && !log.outcome());
    let les: Vec<&str> = config.metrics().buckets().labels().iter().map(AsRef::as_ref).collect();
    assert_eq!(les, ["0.01", "0.05", "0.1", "0.25", "0.5", "1.0", "2.0", "2.5", "5.0", "10.0", "+Inf"]);
}

/// The defaults of the table, as a configuration that spells them all out.
#[test]
fn placeholders_with_every_other_default_are_within_the_budget() {
    let config = Config::from_json(br#"{"routes": {"unmatched": "placeholders"}}"#).unwrap();
    assert_eq!(config.routes().max_learned(), 40);
}

fn defaults_of(fields: &[Field]) -> Value {
    let spelled = fields.iter().filter_map(|field| {
        let value = match (&field.kind, field.default) {
            (Kind::Section(_), _) if field.name == "placeholders" => return None,
            (Kind::Section(fields), _) => defaults_of(fields),
            (_, Some(text)) => serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", field.name)),
            (_, None) => return None,
        };
        Some((field.name.to_owned(), value))
    });
    Value::Object(spelled.collect())
}

#[test]
fn the_defaults_that_the_table_states_are_the_defaults() {
    let spelled = Config::from_value(defaults_of(ROOT)).unwrap();
    let plain = Config::from_json(b"").unwrap();
    assert_ne!(spelled.digest(), plain.digest());
    assert_eq!(format!("{spelled:?}").replace(spelled.digest(), ""), format!("{plain:?}").replace(plain.digest(), ""));
}

#[test]
fn every_field_arrives() {
    let config = Config::from_value(json!({
        "namespace": "shop_2", "ring": "canary 0",
        "correlation": {"header": "X-Request-Id", "trust": {"networks": ["10.0.0.0/8", "::1"], "mtls": true}, "generate": "traceparent",
                        "respond": true, "expose": true, "traceparent": "start"},
        "routes": {"label": "name", "case": "insensitive", "trailing_slash": "strict", "unmatched": "placeholders", "placeholders": {"max_endpoints": 7, "max_per_parent": 5, "min_hits": 2},
                   "duplicate_slashes": "merge", "dot_segments": "remove", "percent_encoding": "slashes", "matrix_parameters": "strip", "undeclared_methods": "unknown",
                   "table": [{"methods": ["GET", "POST"], "template": "/a/{id}", "name": "a"}, {"template": "/b"}]},
        "metrics": {"series_budget": 60000, "buckets_seconds": [0.5, 2], "methods": ["GET"], "statuses": [200, 404], "extra_statuses": 3,
                    "histogram": true, "flush_interval_ms": 250},
        "access_log": {"filter_state": ["outcome", "correlation_id"]},
    }))
    .unwrap();
    assert_eq!((config.namespace(), config.ring()), ("shop_2", "canary 0"));
    let correlation = config.correlation();
    assert_eq!(correlation.header(), "x-request-id");
    assert_eq!(
        correlation.policy().trust,
        Trust::Senders { networks: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()], mtls: true }
    );
    assert_eq!((correlation.policy().generator, correlation.trace_mode()), (Generator::TraceId, TraceMode::Start));
    assert!(correlation.respond() && correlation.expose());
    let routes = config.routes();
    assert_eq!(
        *routes.options(),
        RouteOptions {
            label: LabelStyle::Name,
            case: Case::Insensitive,
            trailing_slash: TrailingSlash::Strict,
            duplicate_slashes: DuplicateSlashes::Merge,
            dot_segments: DotSegments::Remove,
            percent_encoding: PercentEncoding::Slashes,
            matrix_parameters: MatrixParameters::Strip,
            undeclared_methods: UndeclaredMethods::Unknown,
            unmatched: Unmatched::Placeholders(PlaceholderLimits { max_endpoints: 7, max_per_parent: 5, min_hits: 2 })
        }
    );
    assert_eq!(routes.specs()[0].methods, Some(vec![Method::Get, Method::Post]));
    assert_eq!((routes.specs()[0].name.as_deref(), routes.specs()[1].methods.as_ref()), (Some("a"), None));
    let metrics = config.metrics();
    assert_eq!((metrics.series_budget(), metrics.buckets().micros()), (60_000, &[500_000, 2_000_000][..]));
    assert_eq!(
        (metrics.methods(), metrics.statuses().iter().collect::<Vec<_>>()),
        (&[Method::Get][..], vec![0, 200, 404])
    );
    assert!(metrics.histogram() && metrics.extra_statuses() == 3 && metrics.flush_interval_ms() == 250);
    let log = config.access_log();
    assert!(!log.endpoint() && log.correlation_id() && log.outcome());
}

#[test]
fn every_mistake_is_reported_at_once() {
    let errors = Config::from_value(json!({
        "namespace": "Eucora", "rings": 1, "series_budget": 5, "wholly_strange": {},
        "correlation": {"header": "x request id", "trust": {"networks": ["10.0.0.0/40", 7], "mtls": "yes"}, "generate": "uuid", "respond": false, "expose": true},
        "routes": {"label": null, "placeholders": {"max_endpoints": 0}, "table": [{"methods": ["get"], "template": "/a"}, {"name": "b"}, 3]},
        "metrics": {"buckets_seconds": [1, 0.5, "x", 0.0000001, 1], "methods": ["GET", "GET"], "statuses": "all", "extra_statuses": -1, "flush_interval_ms": 1.5},
        "access_log": {"filter_state": ["endpoint", "path", "endpoint"]},
    }))
    .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "rings: unknown field; did you mean `ring`?
series_budget: unknown field; it belongs in `metrics`
wholly_strange: unknown field; the fields here are `namespace`, `ring`, `build`, `correlation`, `routes`, `metrics`, `access_log`, `facts`, `rules`, `bodies`, `polls`, `events`
correlation.trust.networks[1]: found 7; use a network like `10.0.0.0/8`
correlation.trust.mtls: found `yes`; use `true` or `false`
correlation.generate: found `uuid`; use `uuidv7`, `uuidv4`, `traceparent` or `proxy`
routes.label: found nothing; use `template` or `name`, or remove it
routes.placeholders.max_endpoints: found 0; use a whole number from 1 to 10000
routes.table[0].methods[0]: found `get`; use `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`, `CONNECT` or `TRACE`
routes.table[1].template: missing; add a path template like `/users/{id}`
routes.table[2]: found 3; use an object (`methods`, `template`, `name`)
metrics.buckets_seconds[2]: found `x`; use a number
metrics.statuses: found `all`; use `registered` or a list of status codes
metrics.extra_statuses: found -1; use a whole number from 0 to 900
metrics.flush_interval_ms: found 1.5; use a whole number from 100 to 60000
access_log.filter_state[1]: found `path`; use `correlation_id`, `endpoint` or `outcome`
namespace: found `Eucora`; use a lower-case letter, then at most 31 lower-case letters, digits and `_`
correlation.header: `x request id` is not a header name; use letters, digits and `-`, at most 64
correlation.expose: found `true`, but `correlation.respond` is `false`; set that to `true`, or this to `false`
correlation.trust.networks[0]: `10.0.0.0/40` has no prefix length that an IPv4 network can have; use 0 to 32
routes.placeholders: given, but `routes.unmatched` is `unknown`; set that to `placeholders`, or remove this
metrics.buckets_seconds[1]: `0.5` comes after `1.0`; sort the bounds in ascending order
metrics.buckets_seconds[3]: `0.0000001` is finer than a microsecond; use at most 6 decimals
metrics.buckets_seconds[4]: `1` is there twice; remove one
metrics.methods[1]: found `GET` twice; remove one
access_log.filter_state[2]: found `endpoint` twice; remove one"
    );
    assert_eq!(errors.len(), 26);
}

#[test]
fn the_whole_may_be_wrong() {
    let error = Config::from_json(b"{\"namespace\": }").unwrap_err().to_string();
    assert_eq!(error, "configuration: not JSON: expected value at line 1 column 15; give a JSON object");
    check(json!([]), "configuration: found a list; use an object with fields");
    check(json!(null), "configuration: found nothing; use an object with fields");
    assert!(Config::from_json(b"\xff").is_err());
    assert!(Config::from_json("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn a_field_given_twice_is_refused_and_not_overwritten() {
    let check = |json: &str, expected: &str| {
        assert_eq!(Config::from_json(json.as_bytes()).unwrap_err().to_string(), expected, "{json}")
    };
    check(r#"{"metrics": {"histogram": true, "histogram": false}}"#, "metrics.histogram: is there 2 times; keep one");
    check(r#"{"ring": "a", "namespace": "eucora", "ring": "a", "ring": 3}"#, "ring: is there 3 times; keep one");
    // In every item of a list, beside other mistakes, and where the field has to be there.
    check(
        r#"{"routes": {"table": [{"template": "/a"}, {"template": "/b", "template": "/c"}]}, "metrics": {}, "metrics": {}, "x\n": 1, "x\n": 2}"#,
        "`x\\n`: unknown field; the fields here are `namespace`, `ring`, `build`, `correlation`, `routes`, `metrics`, `access_log`, `facts`, `rules`, `bodies`, `polls`, `events`
routes.table[1].template: is there 2 times; keep one
metrics: is there 2 times; keep one",
    );
}

#[test]
fn fields_of_the_wrong_type() {
    check(json!({"ring": 2}), "ring: found 2; use at most 64 printable ASCII characters");
    check(json!({"ring": "é"}), "ring: found `é`; use at most 64 printable ASCII characters");
    check(json!({"build": "a b"}), "build: found `a b`; use at most 64 letters, digits, `.`, `_` and `-`");
    check(json!({"routes": "/a"}), "routes: found `/a`; use an object with fields");
    check(json!({"routes": {"table": {}}}), "routes.table: found an object; use a list of routes");
    check(json!({"correlation": null}), "correlation: found nothing; use an object with fields, or remove it");
    check(
        json!({"correlation": {"trust": []}}),
        "correlation.trust: found a list; use `any`, `none` or an object (`networks`, `mtls`)",
    );
    check(
        json!({"correlation": {"trust": "all"}}),
        "correlation.trust: found `all`; use `any`, `none` or an object (`networks`, `mtls`)",
    );
    check(json!({"metrics": {"histogram": 1}}), "metrics.histogram: found 1; use `true` or `false`");
    check(
        json!({"namespace": "a\n".repeat(60)}),
        &format!(
            "namespace: found `{}…`; use a lower-case letter, then at most 31 lower-case letters, digits and `_`",
            "a\\n".repeat(40)
        ),
    );
}

#[test]
fn unknown_fields() {
    check(json!({"routes": {"tabel": []}}), "routes.tabel: unknown field; did you mean `table`?");
    check(json!({"name space": 1}), "`name space`: unknown field; did you mean `namespace`?");
    check(json!({"correlation": {"Header": "x"}}), "correlation.Header: unknown field; did you mean `header`?");
    check(
        json!({"metrics": {"flush-interval-ms": 5}}),
        "metrics.flush-interval-ms: unknown field; did you mean `flush_interval_ms`?",
    );
    check(json!({"metrics": {"table": []}}), "metrics.table: unknown field; it belongs in `routes`");
    check(json!({"routes": {"ring": ""}}), "routes.ring: unknown field; it belongs at the top level");
    check(
        json!({"routes": {"table": [{"template": "/a", "path": 1}]}}),
        "routes.table[0].path: unknown field; the fields beside it are `methods`, `template`, `name`",
    );
}

#[test]
fn meanings_that_do_not_hold() {
    check(
        json!({"namespace": ""}),
        "namespace: found ``; use a lower-case letter, then at most 31 lower-case letters, digits and `_`",
    );
    check(
        json!({"correlation": {"header": "Host"}}),
        "correlation.header: `Host` has a meaning of its own to the proxy; use another header",
    );
    check(
        json!({"correlation": {"header": ""}}),
        "correlation.header: `` is not a header name; use letters, digits and `-`, at most 64",
    );
    check(
        json!({"correlation": {"trust": {}}}),
        "correlation.trust: found no `networks` and no `mtls`; give one of them, or use `none`",
    );
    check(
        json!({"correlation": {"generate": "proxy", "trust": "none"}}),
        "correlation.trust: given, but with `correlation.generate: proxy` an ID that is not trusted would stay; leave whom to trust to the proxy and remove this, or let the filter make IDs",
    );
    check(
        json!({"access_log": {"filter_state": ["endpoint", "endpoint", "endpoint", "outcome"]}}),
        "access_log.filter_state: found 4 words; use at most 3",
    );
    check(
        json!({"correlation": {"trust": {"networks": ["10.1.0.0/8"]}}}),
        "correlation.trust.networks[0]: `10.1.0.0/8` has address bits past its prefix; write `10.0.0.0/8`",
    );
    check(
        json!({"metrics": {"buckets_seconds": []}}),
        "metrics.buckets_seconds: found no bound; give at least one, or leave the field out",
    );
    check(
        json!({"metrics": {"buckets_seconds": (1..=33).collect::<Vec<_>>()}}),
        "metrics.buckets_seconds: found 33 bounds in seconds; use at most 32",
    );
    check(
        json!({"metrics": {"buckets_seconds": [0]}}),
        "metrics.buckets_seconds[0]: `0` is not above 0; remove it (the bucket `+Inf` is always there)",
    );
    check(
        json!({"metrics": {"buckets_seconds": [90000]}}),
        "metrics.buckets_seconds[0]: `90000` is more than a day; use seconds up to 86400",
    );
    check(json!({"metrics": {"statuses": [200, 200]}}), "metrics.statuses[1]: found `200` twice; remove one");
}

#[test]
fn route_problems_keep_their_numbers_beside_unsound_entries() {
    let messages = messages(json!({"routes": {"table": [7, {"template": "/a/{id}"}, {"template": "/a/{name}"}]}}));
    assert_eq!(messages[0], "routes.table[0]: found 7; use an object (`methods`, `template`, `name`)");
    assert!(messages[1].starts_with("routes.table[2].template: ") && messages[1].contains("[1]"), "{messages:?}");
    assert_eq!(messages.len(), 2);
}

#[test]
fn the_budget_is_the_stated_product() {
    let config = Config::from_value(json!({
        "routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 5}, "table": [{"template": "/a"}, {"template": "/b"}]},
        "metrics": {"methods": ["GET", "POST"], "statuses": [200, 404, 500], "extra_statuses": 6, "buckets_seconds": [1, 2], "histogram": true},
    }))
    .unwrap();
    // 9 endpoints, 3 methods; 0 and 3 statuses, 6 more, `other`; 2 bounds, +Inf, count, sum.
    let terms: Vec<(&str, u64)> = config.budget().terms().iter().map(|term| (term.what, term.series)).collect();
    assert_eq!(terms, [("requests", 27 * 11), ("durations", 27 * 5), ("histogram", 27), ("own metrics", 319)]);
    assert_eq!(config.budget().total(), 297 + 135 + 27 + 319);
    assert_eq!(
        config.budget().to_string(),
        "requests     297  9 endpoints × 3 methods × 11 statuses
durations    135  9 endpoints × 3 methods × 5 (buckets, +Inf, count, sum)
histogram     27  9 endpoints × 3 methods
own metrics  319  builds, budget, workers, correlation outcomes, hostcalls
total        778  of 50000 allowed by metrics.series_budget"
    );
}

#[test]
fn the_budget_counts_each_metric() {
    let config = Config::from_value(json!({
        "routes": {"undeclared_methods": "unknown", "table": [
            {"methods": ["GET", "POST"], "template": "/a"}, {"methods": ["GET"], "template": "/b"}, {"methods": ["PUT"], "template": "/b"}]},
        "metrics": {"methods": ["GET"], "statuses": [200], "extra_statuses": 0, "buckets_seconds": [1]},
    }))
    .unwrap();
    // `unknown` and `_overflow` may have GET and OTHER; `/a` has both, `/b` too: PUT is OTHER. 0, 200, `other`; one bound and +Inf.
    let terms: Vec<(u64, &str)> =
        config.budget().terms().iter().map(|term| (term.series, &*term.how)).take(2).collect();
    assert_eq!(
        terms,
        [(24, "4 endpoints × 2 methods × 3 statuses"), (32, "4 endpoints × 2 methods × 4 (buckets, +Inf, count, sum)")]
    );
    let metrics: Vec<(&str, u64)> = config
        .budget()
        .terms()
        .iter()
        .flat_map(|term| term.metrics.iter().map(|(name, series)| (&**name, *series)))
        .collect();
    assert_eq!(
        metrics[..4],
        [
            ("http_requests_total", 24),
            ("http_request_duration_seconds_bucket", 16),
            ("http_request_duration_seconds_count", 8),
            ("http_request_duration_microseconds_total", 8)
        ]
    );
    assert_eq!(metrics.iter().map(|(_, series)| series).sum::<u64>(), config.budget().total());
}

#[test]
fn methods_that_are_not_declared_may_cost_no_series() {
    let config = |undeclared: &str| {
        Config::from_value(json!({
            "routes": {"undeclared_methods": undeclared, "unmatched": "placeholders", "placeholders": {"max_endpoints": 1}, "label": "name",
                       "table": [{"methods": ["GET"], "template": "/a", "name": "x"}, {"methods": ["GET", "PUT"], "template": "/b", "name": "x"},
                                 {"methods": ["DELETE"], "template": "/b", "name": "y"}, {"template": "/c"}]},
            "metrics": {"methods": ["GET", "PUT", "DELETE"]},
        }))
        .unwrap()
    };
    // 2 of its own, 1 learned, x, y, /c, and /b for methods that neither x nor y declares; 3 methods and OTHER.
    assert_eq!(config("template").routes().table().pairs(config("template").metrics().methods()), 7 * 4);
    // Any method for the first three and /c; x has GET and PUT, y has DELETE.
    let closed = config("unknown");
    assert_eq!(closed.routes().table().pairs(closed.metrics().methods()), 3 * 4 + 4 + 2 + 1);
    assert_eq!(closed.budget().terms()[0].how, "19 pairs of endpoint and method × 83 statuses");
}

#[test]
fn a_configuration_over_its_budget_is_refused_with_the_number() {
    check(
        json!({"metrics": {"series_budget": 2000}}),
        "metrics.series_budget: found 2000, but this configuration can lead to 2239 series (1660 requests + 260 durations + 319 own metrics); \
         raise it, or shorten `routes.table`, `metrics.methods`, `metrics.statuses` or `metrics.buckets_seconds`",
    );
    let messages =
        messages(json!({"routes": {"unmatched": "placeholders", "placeholders": {"max_endpoints": 10_000}}}));
    assert!(
        messages[0].contains("shorten `routes.table`, `routes.placeholders.max_endpoints`, `metrics.methods`"),
        "{messages:?}"
    );
    assert!(Config::from_value(json!({"metrics": {"series_budget": 2239}})).is_ok());
}

#[test]
fn the_digest_is_of_the_value_and_not_of_its_writing() {
    let digest = |text: &str| Config::from_json(text.as_bytes()).unwrap().digest().to_owned();
    let one = digest(r#"{"ring": "1", "metrics": {"buckets_seconds": [1.0, 2.5], "series_budget": 50000}}"#);
    assert_eq!(one, digest(r#"{ "metrics":{"series_budget":5e4,"buckets_seconds":[1,2.50]},"ring":"1"}"#));
    assert_ne!(
        one,
        digest(r#"{"build": "0f3a", "ring": "1", "metrics": {"buckets_seconds": [1.0, 2.5], "series_budget": 50000}}"#)
    );
    assert_ne!(one, digest(r#"{"ring": "2", "metrics": {"buckets_seconds": [1.0, 2.5], "series_budget": 50000}}"#));
    assert!(one.len() == 12 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn text_and_a_parsed_value_mean_the_same() {
    let text = r#"{"r\u0069ng": "c\u0061nary", "metrics": {"series_budget": 5e4, "statuses": [200], "methods": ["G\u0045T"]},
                   "routes": {"table": [{"template": "/\u0061/{id}", "methods": ["GET"], "name": null, "x": 1}, {"template": "/b"}]}}"#;
    let both = |text: &str| {
        let (read, given) =
            (Config::from_json(text.as_bytes()), Config::from_value(serde_json::from_str(text).unwrap()));
        assert_eq!(format!("{read:?}"), format!("{given:?}"));
        read
    };
    let config = both(&text.replace(r#", "name": null, "x": 1"#, "")).unwrap();
    assert_eq!((config.ring(), config.metrics().methods()), ("canary", &[Method::Get][..]));
    assert_eq!(config.routes().specs()[0].template, "/a/{id}");
    assert_eq!(
        both(text).unwrap_err().to_string(),
        "routes.table[0].x: unknown field; the fields beside it are `methods`, `template`, `name`\n\
         routes.table[0].name: found nothing; use a name, or remove it"
    );
}

/// Every field of the table with its path.
fn all(fields: &'static [Field], prefix: &str, out: &mut Vec<(String, &'static Field)>) {
    fn below(kind: &'static Kind, path: &str, out: &mut Vec<(String, &'static Field)>) {
        match kind {
            Kind::Section(fields) => all(fields, &format!("{path}."), out),
            Kind::List { of, .. } => below(of, &format!("{path}[]"), out),
            Kind::Either(kinds) => kinds.iter().for_each(|kind| below(kind, path, out)),
            _ => {}
        }
    }
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        out.push((path.clone(), field));
        below(&field.kind, &path, out);
    }
}

#[test]
fn every_field_is_documented_and_in_the_reference() {
    let mut fields = Vec::new();
    all(ROOT, "", &mut fields);
    assert_eq!(fields.len(), 145);
    let reference = reference_markdown();
    for (path, field) in &fields {
        assert!(!field.doc.is_empty() && !field.doc.ends_with('.') && !field.doc.contains('|'), "{path}");
        assert!(reference.contains(&format!("| `{path}` | ")), "{path}");
    }
    assert_eq!(reference.lines().count(), fields.len() + 2);
    assert!(reference.contains("| `metrics.flush_interval_ms` | a whole number from 100 to 60000 | `1000` | how often counts are handed to the proxy |"));
}

#[cfg(feature = "schema")]
mod schema_tests;

#[test]
fn facts_for_the_access_log_are_declared_ones() {
    let config = |facts: Value| {
        let json = json!({
            "facts": [{"name": "deployment_id", "from": "method"}, {"name": "endpoint", "from": "endpoint"}],
            "access_log": {"facts": facts},
        });
        Config::from_value(json).map(|config| config.access_log().facts().to_vec()).map_err(|errors| errors.to_string())
    };
    assert_eq!(config(json!(["deployment_id"])), Ok(vec![0]));
    assert_eq!(
        config(json!(["deployment_id", "nobody", "deployment_id", "endpoint"])).unwrap_err(),
        "access_log.facts[1]: `nobody` is no fact; declare it in `facts`
access_log.facts[2]: found `deployment_id` twice; remove one
access_log.facts[3]: `endpoint` is what `access_log.filter_state` calls something else; rename the fact"
    );
}
