//! Tag extraction by Envoy's rules; the whole list against Envoy's own output is in `exposition`.

use super::*;

fn config(stats_config: &str) -> Result<StatsConfig, String> {
    StatsConfig::from_bootstrap_yaml(&format!("node: {{id: x}}\nstats_config:\n{stats_config}"))
        .map_err(|error| error.to_string())
}

fn tagged(config: &StatsConfig, name: &str) -> (String, Vec<(String, String)>) {
    let TaggedName { name, tags } = config.tagged(name);
    (name, tags)
}

fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect()
}

#[test]
fn a_bootstrap_without_stats_config_means_envoys_defaults() {
    for text in ["", "node: {id: x}", "stats_config:"] {
        let config = StatsConfig::from_bootstrap_yaml(text).unwrap();
        assert_eq!(
            tagged(&config, "http.ingress.downstream_rq_2xx"),
            (
                String::from("http.downstream_rq_xx"),
                tags(&[("envoy.response_code_class", "2"), ("envoy.http_conn_manager_prefix", "ingress")])
            )
        );
        assert_eq!(config.buckets("wasmcustom.x"), DEFAULT_BUCKETS);
        assert!(config.keeps("anything"));
    }
}

#[test]
fn default_tags_can_be_turned_off_and_named_one_by_one() {
    let off = config("  use_all_default_tags: false").unwrap();
    assert_eq!(tagged(&off, "http.ingress.downstream_rq_2xx").0, "http.ingress.downstream_rq_2xx");
    let one =
        config("  use_all_default_tags: false\n  stats_tags: [{tag_name: envoy.http_conn_manager_prefix}]").unwrap();
    assert_eq!(
        tagged(&one, "http.ingress.downstream_rq_2xx"),
        (String::from("http.downstream_rq_2xx"), tags(&[("envoy.http_conn_manager_prefix", "ingress")]))
    );
}

#[test]
fn every_extractor_sees_the_original_name() {
    let config = config(
        "  stats_tags:\n  - {tag_name: a, regex: '(a=\\.=(.*?);\\.;)'}\n  - {tag_name: b, regex: '(b=\\.=(.*?);\\.;)'}",
    )
    .unwrap();
    // The value of `a` holds what looks like a `b`: both are found, and both ranges go.
    assert_eq!(
        tagged(&config, "wasmcustom.n.a=.=x.b=.=y;.;"),
        (String::from("wasmcustom.n"), tags(&[("a", "x.b=.=y"), ("b", "y")]))
    );
}

#[test]
fn anchored_expressions_come_last_and_only_for_their_segment() {
    let config = config(
        "  stats_tags:\n  - {tag_name: late, regex: '^wasmcustom\\.(n)'}\n  - {tag_name: other, regex: '^http\\.(n)'}\n  \
         - {tag_name: early, regex: '(m)$'}",
    )
    .unwrap();
    assert_eq!(tagged(&config, "wasmcustom.n.m").1, tags(&[("early", "m"), ("late", "n")]));
}

#[test]
fn a_dot_does_not_match_the_end_of_a_line() {
    let config = config("  stats_tags: [{tag_name: a, regex: '(a=\\.=([.]?.*?);)'}]").unwrap();
    assert_eq!(tagged(&config, "n.a=.=.x;").1, tags(&[("a", ".x")]));
    for end in ['\n', '\r', '\u{2028}'] {
        assert_eq!(tagged(&config, &format!("n.a=.=x{end}y;")).1, tags(&[]));
    }
}

#[test]
fn the_first_histogram_setting_that_matches_the_full_name_wins() {
    let config = config(
        "  histogram_bucket_settings:\n  - {match: {prefix: wasmcustom.a}, buckets: [2, 1, 1]}\n  \
         - {match: {suffix: B, ignore_case: true}, buckets: [3]}\n  \
         - {match: {safe_regex: {google_re2: {}, regex: 'w.*c'}}, buckets: [4]}",
    )
    .unwrap();
    assert_eq!(config.buckets("wasmcustom.ab"), [1.0, 2.0]);
    assert_eq!(config.buckets("wasmcustom.b"), [3.0]);
    assert_eq!(config.buckets("wasmcustom.c"), [4.0]);
    assert_eq!(config.buckets("wasmcustom.cd"), DEFAULT_BUCKETS);
    assert_eq!(config.buckets("a"), DEFAULT_BUCKETS);
}

#[test]
fn the_matcher_chooses_stats() {
    let only = config("  stats_matcher: {inclusion_list: {patterns: [{contains: rq}, {exact: x}]}}").unwrap();
    assert!(only.keeps("a_rq_b") && only.keeps("x") && !only.keeps("xy"));
    let except = config("  statsMatcher: {exclusionList: {patterns: [{prefix: a}]}}").unwrap();
    assert!(!except.keeps("ab") && except.keeps("ba"));
    assert!(!config("  stats_matcher: {reject_all: true}").unwrap().keeps("x"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let message = config(
        "  stats_tags:\n  - {tag_name: a, regex: '('}\n  - {tag_name: b}\n  - {regex: x}\n  \
         - {tag_name: c, regex: x, fixed_value: y}\n  \
         histogram_bucket_settings:\n  - {match: {prefix: a, suffix: b}, buckets: [1]}\n  \
         - {match: {prefix: a}, buckets: []}\n  \
         stats_matcher: {reject_all: true, inclusion_list: {patterns: []}}",
    )
    .unwrap_err();
    let lines: Vec<_> = message.lines().collect();
    for (part, line) in [
        ("stats_config.stats_tags[0].regex: `(`: ", 0),
        ("stats_config.stats_tags[1]: `b` has no `regex`", 0),
        ("stats_config.stats_tags[2].tag_name: it is empty", 0),
        ("stats_config.stats_tags[3]: it has both", 0),
        ("stats_config.histogram_bucket_settings[0].match: needs exactly one of", 0),
        ("stats_config.histogram_bucket_settings[1].buckets: ", 0),
        ("stats_config.stats_matcher: more than one", 0),
    ] {
        assert_eq!(lines.iter().filter(|found| found.starts_with(part)).count(), 1 + line, "{part}\n{message}");
    }
}

#[test]
fn what_is_no_bootstrap_is_said_so() {
    let error = |text: &str| StatsConfig::from_bootstrap_yaml(text).unwrap_err().to_string();
    assert!(error("a: [").starts_with("bootstrap: "));
    assert!(error("stats_config: {stats_tag: []}").starts_with("stats_config: "));
    assert!(error("stats_config: 7").starts_with("stats_config: "));
}
