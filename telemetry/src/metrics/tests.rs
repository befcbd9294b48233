//! The laws of the catalogue, and label values against every extractor.

use std::sync::OnceLock;

use fancy_regex::Regex;
use proptest::prelude::*;

use super::*;
use label::{escape, unescape};

/// Words that Istio's extractors take for their own when a `.` follows.
const EXTRACTOR_WORDS: [&str; 5] = ["cache", "component", "tag", "wasm_filter", "rbac"];

fn labels() -> Vec<&'static str> {
    stats_tags().into_iter().map(|(name, _)| name).collect()
}

/// Those of a configuration that declares no metric.
fn stats_tags() -> Vec<(&'static str, String)> {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    super::stats_tags(CONFIG.get_or_init(|| Config::from_json(b"").unwrap()))
}

#[test]
fn names_are_unique_and_well_formed() {
    for (index, metric) in METRICS.iter().enumerate() {
        let name = metric.suffix;
        assert!(!METRICS.iter().skip(index + 1).any(|other| other.suffix == name), "{name} twice");
        assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(!EXTRACTOR_WORDS.iter().any(|word| name.ends_with(word)), "{name} ends like an extractor");
        assert!(!name.contains("_rq_"), "{name}");
    }
}

#[test]
fn counters_end_in_total_but_for_the_parts_of_a_histogram() {
    for metric in METRICS {
        let part = metric.suffix.ends_with("_seconds_bucket") || metric.suffix.ends_with("_seconds_count");
        assert_eq!(metric.kind == MetricKind::Counter, part || metric.suffix.ends_with("_total"), "{}", metric.suffix);
        assert_eq!(metric.native, metric.kind == MetricKind::Histogram, "{}", metric.suffix);
        assert!(!metric.unit.is_empty() && !metric.help.is_empty() && !metric.help.ends_with('.'), "{}", metric.suffix);
    }
}

#[test]
fn no_label_is_the_end_of_another() {
    let labels = labels();
    for (index, a) in labels.iter().enumerate() {
        for (other, b) in labels.iter().enumerate() {
            assert!(index == other || !a.ends_with(b), "{b} would be found in {a}");
        }
        // A label that ends in a word of Istio's would be taken for it at the delimiter; one that ends a metric name at its dot.
        assert!(a.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{a}");
        assert!(METRICS.iter().all(|metric| !format!("x_{}", metric.suffix).ends_with(&format!("{a}="))));
    }
}

#[test]
fn tags_are_those_of_istio_in_catalogue_order() {
    let tags = stats_tags();
    assert_eq!(
        labels(),
        [
            "method",
            "endpoint",
            "status",
            "le",
            "version",
            "config",
            "ring",
            "worker",
            "outcome",
            "reason",
            "hostcall",
            "rule_name",
            "poll",
            "sink",
            "state"
        ]
    );
    assert_eq!(tags[0], ("method", r"(method=\.=(.*?);\.;)".to_owned()));
    let istio: Vec<_> = istio_tags(&[]).into_iter().filter(|(name, _)| name.contains("extra")).collect();
    assert_eq!(istio[0].1.replace("{{extra stat tag}}", "method"), tags[0].1);
}

#[test]
fn the_reference_names_every_metric() {
    let reference = reference_markdown("shop");
    for metric in METRICS {
        assert!(reference.contains(&format!("| `shop_{}` |", metric.suffix)));
    }
    assert_eq!(reference.lines().count(), METRICS.len() + 2);
    assert!(reference.lines().skip(2).all(|line| line.matches(" | ").count() == 3), "{reference}");
}

#[test]
fn a_stat_name_has_its_labels_in_order_and_no_empty_one() {
    let mut name = String::from("left over");
    stat_name::write(&mut name, "eucora", &catalogue::REQUESTS, &["GET", "/api/v1/{id}", "200"]);
    assert_eq!(name, "eucora_http_requests_total.method=.=GET;.;endpoint=.=/api/v1/{id};.;status=.=200;.;");
    stat_name::write(&mut name, "eucora", &catalogue::BUILD_INFO, &["0.1.0", "44136fa355b3", ""]);
    assert_eq!(name, "eucora_edge_build_info.version=.=0.1.0;.;config=.=44136fa355b3;.;");
    stat_name::write(&mut name, "eucora", &catalogue::ENDPOINT_OVERFLOW, &[]);
    assert_eq!(name, "eucora_edge_endpoint_overflow_total");
}

fn check_escape(value: &str, expected: &str) {
    let mut escaped = String::new();
    escape(value, &mut escaped);
    assert_eq!(escaped, expected);
    assert_eq!(unescape(&escaped), value.as_bytes(), "{value}");
}

#[test]
fn ordinary_values_come_out_as_they_are() {
    for value in [
        "/api/v1/deployments/{id}",
        "/v1.0/x",
        "/repos/{base}...{head}",
        "/a b/\"q\"\\",
        "100%",
        "50%/x",
        "/x.json",
        "0.05",
        "+Inf",
        "/a=b",
        "/stage.d",
    ] {
        check_escape(value, value);
    }
}

#[test]
fn what_could_fool_an_extractor_is_escaped() {
    check_escape("a;b", "a%3Bb");
    check_escape("a\r\n\0\u{7f}", "a%0D%0A%00%7F");
    check_escape("é", "%C3%A9");
    check_escape("%41", "%2541");
    check_escape("%4", "%4");
    check_escape(".a.", "%2Ea%2E");
    check_escape(".", "%2E");
    check_escape("..", "%2E%2E");
    check_escape("a..b", "a..b");
    check_escape("x=.=y", "x=%2E=y");
    check_escape("a=.b", "a=%2Eb");
    check_escape("a.=b", "a%2E=b");
    check_escape("/cache.x.json", "/cache%2Ex.json");
    check_escape("/component.x.", "/component%2Ex%2E");
    check_escape("/tag.x", "/tag%2Ex");
    check_escape("/stage.x", "/stage.x");
    check_escape("/vintag.x", "/vintag%2Ex");
    check_escape("/wasm_filter.x", "/wasm_filter%2Ex");
    check_escape("/rbac.allowed", "/rbac%2Eallowed");
    check_escape("/x.istio_dry_run_allow_", "/x%2Eistio_dry_run_allow_");
    check_escape("/x.shadow_denied", "/x%2Eshadow_denied");
    // An escape beside a `%` that stays cannot be read as another escape.
    check_escape("%;", "%%3B");
    check_escape("%2.", "%2%2E");
    check_escape("%a;", "%a%3B");
}

/// Istio's whole list as its proxies run it, with `own` for the extra tags.
fn istio_tags(own: &[(&'static str, String)]) -> Vec<(String, String)> {
    let list: serde_json::Value = serde_json::from_str(include_str!("../../testdata/istio-stats-tags.json")).unwrap();
    let mut tags = Vec::new();
    for entry in list["stats_tags"].as_array().unwrap() {
        let (name, regex) = (entry["tag_name"].as_str().unwrap(), entry["regex"].as_str().unwrap());
        if name.contains("{{") && !own.is_empty() {
            tags.extend(own.iter().map(|(label, _)| ((*label).to_owned(), regex.replace(name, label))));
        } else {
            tags.push((name.to_owned(), regex.to_owned()));
        }
    }
    tags
}

/// Envoy's tag extraction: every extractor looks at the whole original name; of its first match, capture 1 is removed from
/// the name and capture 2 is the value, capture 1 where there is no second or it is empty; dots at either end are dropped.
struct Extractors(Vec<(String, Regex)>);

impl Extractors {
    fn new(tags: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(tags.into_iter().map(|(name, regex)| (name, Regex::new(&regex).unwrap())).collect())
    }

    fn run(&self, stat: &str) -> (String, Vec<(String, String)>) {
        let mut labels = Vec::new();
        let mut removed = vec![false; stat.len()];
        for (label, regex) in &self.0 {
            let Some(captures) = regex.captures(stat).unwrap() else {
                continue;
            };
            let Some(remove) = captures.get(1).filter(|found| !found.as_str().is_empty()) else {
                continue;
            };
            let value = captures.get(2).filter(|found| !found.as_str().is_empty()).unwrap_or(remove);
            removed[remove.range()].iter_mut().for_each(|byte| *byte = true);
            labels.push((label.clone(), value.as_str().trim_matches('.').to_owned()));
        }
        let kept = stat.bytes().zip(&removed).filter(|(_, removed)| !**removed).map(|(byte, _)| byte).collect();
        (String::from_utf8(kept).unwrap().trim_matches('.').to_owned(), labels)
    }
}

/// Text made to fool: pieces of delimiters, of labels and of Istio's expressions, and anything else.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = vec![
        ".",
        ";",
        "=",
        "=.=",
        ";.;",
        ";.",
        "%",
        "%2E",
        "%3",
        "2E",
        "cache",
        "cache.",
        "component.",
        "tag.",
        "wasm_filter.",
        "rbac.allowed",
        "rbac",
        ".denied",
        ".istio_dry_run_allow_",
        ".shadow_allowed",
        "istio_dry_run_deny_",
        "shadow_denied",
        "method",
        "method=.=",
        "endpoint=.=",
        "status",
        "le=.=",
        "_rq_200",
        "_rq_2xx",
        "cluster.x;",
        "http.",
        "listener.",
        "mongo.a.cmd",
        "tcp.",
        "server.x.watchdog",
        "wasmcustom.",
        "/",
        "{id}",
        "{base}...{head}",
        "v1.0",
        "x",
        "\n",
        "\0",
        "\u{7f}",
        "é",
        "\u{2028}",
        "\\",
        "\"",
        " ",
    ];
    prop_oneof![
        8 => proptest::collection::vec(prop_oneof![10 => proptest::sample::select(pieces).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)], 0..12)
            .prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

fn check_extraction(extractors: &Extractors, metric: &Metric, values: &[&str]) {
    let mut stat = String::new();
    stat_name::write(&mut stat, "eucora", metric, values);
    let (name, found) = extractors.run(&format!("wasmcustom.{stat}"));
    assert_eq!(name, format!("wasmcustom.eucora_{}", metric.suffix), "{stat}");
    let mut found: Vec<(String, Vec<u8>)> = found.into_iter().map(|(label, value)| (label, unescape(&value))).collect();
    found.sort();
    let mut expected: Vec<(String, Vec<u8>)> = metric
        .labels
        .iter()
        .zip(values)
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| ((*label).to_owned(), value.as_bytes().to_vec()))
        .collect();
    expected.sort();
    assert_eq!(found, expected, "{stat}");
}

#[test]
fn every_metric_survives_every_extractor_with_plain_values() {
    let istio = Extractors::new(istio_tags(&stats_tags()));
    let envoy = Extractors::new(stats_tags().into_iter().map(|(name, regex)| (name.to_owned(), regex)));
    for metric in METRICS {
        for extractors in [&istio, &envoy] {
            let values = vec!["/v1.0/{base}...{head}"; metric.labels.len()];
            check_extraction(extractors, metric, &values);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn hostile_values_come_out_whole_and_nothing_else(values in proptest::collection::vec(hostile(), 3), metric in 0..METRICS.len()) {
        thread_local! {
            static BOTH: [Extractors; 2] = [
                Extractors::new(istio_tags(&stats_tags())),
                Extractors::new(stats_tags().into_iter().map(|(name, regex)| (name.to_owned(), regex))),
            ];
        }
        let metric = &METRICS[metric];
        let values: Vec<&str> = values.iter().map(String::as_str).take(metric.labels.len()).collect();
        BOTH.with(|both| both.iter().for_each(|extractors| check_extraction(extractors, metric, &values)));
    }

    #[test]
    fn escaping_is_injective(a in hostile(), b in hostile()) {
        let escaped = |value: &str| { let mut out = String::new(); escape(value, &mut out); out };
        prop_assert_eq!(unescape(&escaped(&a)), a.as_bytes());
        prop_assert_eq!(a == b, escaped(&a) == escaped(&b));
        prop_assert!(escaped(&a).bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';'));
    }
}

#[test]
fn bounds_are_exact_and_their_labels_are_those_of_prometheus_client() {
    let buckets =
        Buckets::from_seconds(&[0.000001, 0.000015, 0.00002, 0.0001, 0.01, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 86_400.0])
            .unwrap();
    let labels: Vec<&str> = buckets.labels().iter().map(AsRef::as_ref).collect();
    assert_eq!(
        labels,
        ["1e-06", "1.5e-05", "2e-05", "0.0001", "0.01", "0.05", "0.1", "0.25", "1.0", "2.5", "10.0", "86400.0", "+Inf"]
    );
    assert_eq!(
        buckets.micros(),
        [1, 15, 20, 100, 10_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000, 86_400_000_000]
    );
}

#[test]
fn a_bound_is_inclusive() {
    let buckets = Buckets::from_seconds(&[0.01, 0.05]).unwrap();
    let found: Vec<usize> =
        [0, 9_999, 10_000, 10_001, 50_000, 50_001, u64::MAX].into_iter().map(|micros| buckets.find(micros)).collect();
    assert_eq!(found, [0, 0, 0, 1, 1, 2, 2]);
}

proptest! {
    #[test]
    fn any_whole_number_of_microseconds_is_read_exactly(micros in 1u64..=86_400_000_000) {
        let seconds: f64 = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).parse().unwrap();
        let buckets = Buckets::from_seconds(&[seconds]).unwrap();
        prop_assert_eq!(buckets.micros(), [micros]);
        prop_assert_eq!(buckets.labels()[0].parse::<f64>().unwrap(), seconds);
    }
}

#[test]
fn statuses_are_the_registry_zero_and_499() {
    let set = StatusSet::registered();
    assert_eq!(set.len(), 66);
    assert!(
        [0, 100, 103, 200, 204, 226, 304, 404, 418, 422, 429, 431, 451, 499, 500, 503, 511]
            .iter()
            .all(|code| set.contains(*code))
    );
    assert!(
        [1, 99, 105, 209, 420, 427, 430, 509, 512, 599, 999, 1000, u16::MAX].iter().all(|code| !set.contains(*code))
    );
    assert!(set.iter().is_sorted() && set.iter().count() == 66);
    assert_eq!(StatusLabel::code(1000), StatusLabel::OTHER);
    assert_eq!(StatusLabel::code(999).to_string(), "999");
    assert_eq!(StatusLabel::OTHER.to_string(), "other");
}
