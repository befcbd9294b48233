use std::path::Path;
use std::time::Duration;

use super::*;

const SMALL: &str = r#"
name: edge-observer
artifact: {module: edge.wasm, configuration: /etc/edge.yaml}
hands: {file_ecds: {}}
prometheus: {url: "http://127.0.0.1:9090/"}
rings:
- name: "0"
  instances: [{name: 127.0.0.2, ecds: a/ecds/edge.yaml, modules: a/modules, admin: "http://127.0.0.2:9901"}]
- name: "1"
  instances: [{name: edge+1, ecds: b/ecds/edge.yaml, modules: b/modules, admin: "http://127.0.0.3:9901"}]
  bake: {min: 1h30m}
"#;

fn mistakes(text: &str) -> Vec<String> {
    parse(text, Path::new("/base")).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The small file with one thing in place of another.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    mistakes(&SMALL.replacen(from, to, 1))
}

#[test]
fn what_is_not_said_has_a_default() {
    let plan = parse(SMALL, Path::new("/base")).unwrap();
    assert_eq!(plan.artifact.module, Path::new("/base/edge.wasm"));
    assert_eq!(plan.artifact.configuration, Path::new("/etc/edge.yaml"));
    assert_eq!(plan.hands, HandsPlan::FileEcds { filter: "edge_observer".into() });
    assert_eq!(plan.prometheus.url, "http://127.0.0.1:9090");
    assert_eq!(plan.policy.interval, plan.prometheus.scrape_interval);
    let [first, second] = plan.rings.as_slice() else { unreachable!() };
    assert_eq!(first.select, r#"instance=~"127\\.0\\.0\\.2""#);
    assert_eq!(second.select, r#"instance=~"edge\\+1""#);
    assert_eq!((first.expected, first.control.as_deref(), second.control.as_deref()), (1, Some("1"), None));
    assert_eq!(second.bake, Bake { min: Duration::from_secs(5_400), max: Duration::from_secs(7_200) });
    assert_eq!(plan.gates.errors, Some(0.005));
    assert_eq!(plan.gates.memory, Some(67_108_864.0));
}

#[test]
fn a_gate_can_be_turned_off_and_set() {
    let text = format!("{SMALL}gates: {{cpu: off, errors: 0.02, latency: 500us, memory: 1.5GiB/h}}\n");
    let gates = parse(&text, Path::new("/")).unwrap().gates;
    assert_eq!((gates.cpu, gates.errors, gates.latency), (None, Some(0.02), Some(Duration::from_micros(500))));
    assert_eq!(gates.memory, Some(1.5 * 1_073_741_824.0));
}

#[test]
fn istio_asks_for_what_a_ring_of_pods_needs() {
    let text = "
name: shop
artifact: {module: a, configuration: b}
hands: {istio: {namespace: shop, apply: {git: {folder: deploy}}}}
prometheus: {url: http://p}
rings: [{name: canary}]
";
    assert_eq!(
        mistakes(text),
        [
            "rings[0].match_labels: is missing; give the labels that the ring's pods have and no others",
            "rings[0].select: is missing; give the label matchers of the ring's proxies in Prometheus, such as `edge_ring=\"0\"`",
            "rings[0].expected: is missing; say how many proxies the ring has",
            "artifact.image: is missing; give the address of the image that proxies fetch, `oci://REGISTRY/REPOSITORY@sha256:…`",
        ]
    );
}

#[test]
fn every_mistake_is_told_with_its_place_and_the_cure() {
    for (from, to, expected) in [
        ("name: edge-observer", "name: Edge", "name: found `Edge`; use at most 40 lower-case letters, digits and `-`"),
        ("name: edge-observer", "", "name: is missing; give the rollouts of this filter a name"),
        ("hands:", "hand:", "hands: is missing; say how the rings are reached: `file_ecds: {}` or `istio: {…}`"),
        ("{file_ecds: {}}", "{file_ecds: {}, istio: {}}", "hands: has both `file_ecds` and `istio`; keep one"),
        (
            "module: edge.wasm",
            "modul: edge.wasm",
            "artifact.module: is missing; name the module's file, as `cargo xtask build` writes it",
        ),
        (
            "9090/\"}",
            "9090/?x\"}",
            "prometheus.url: found `http://127.0.0.1:9090/?x`; use `http://HOST:PORT` or `https://…`, without user and query",
        ),
        (
            "9090/\"}",
            "9090/\", timeout: 5}",
            "prometheus.timeout: found `5`; use a duration such as `500ms`, `15s`, `10m`, `2h`, `1d` or `1h30m`",
        ),
        (
            "9090/\"}",
            "99999\"}",
            "prometheus.url: found `http://127.0.0.1:99999`; use `http://HOST:PORT` or `https://…`, without user and query",
        ),
        ("name: \"1\"", "name: \"0\"", "rings[1].name: `0` is the name of another ring too"),
        (
            "name: edge+1",
            "name: 127.0.0.2",
            "rings[1].instances[0].name: `127.0.0.2` is in two places; a proxy belongs to one ring",
        ),
        (
            "b/ecds/edge.yaml",
            "a/ecds/edge.yaml",
            "rings[1].instances[0].ecds: is another proxy's file too; each needs its own",
        ),
        (
            "bake: {min: 1h30m}",
            "bake: {min: 2h, max: 1h}",
            "rings[1].bake.max: is shorter than `min`; a ring would be given up before it may pass",
        ),
        ("bake: {min: 1h30m}", "control: \"0\"", "rings[1].control: ring `0` has the build by then; name a later ring"),
        (
            "bake: {min: 1h30m}",
            "select: 'up{}'",
            "rings[1].select: found `up{}`; use label matchers such as `instance=~\"a|b\"`",
        ),
        ("rings:", "gates: {eror: 1}\nrings:", "gates.eror: unknown field; did you mean `errors`?"),
        ("rings:", "gates: {errors: 0}\nrings:", "gates.errors: found `0`; use a share above 0, at most 1, or `off`"),
        (
            "rings:",
            "policy: {interval: 1s}\nrings:",
            "policy.interval: is shorter than prometheus.scrape_interval; looks in between see nothing new",
        ),
        ("rings:", "policy: {max_ring: \"7\"}\nrings:", "policy.max_ring: found `7`; use the name of a ring"),
        (
            "rings:",
            "gates: {signals: {failled: \"up{{{select}}}\"}}\nrings:",
            "gates.signals.failled: is no signal; did you mean `failed`?",
        ),
        (
            "rings:",
            "gates: {signals: {failed: up}}\nrings:",
            "gates.signals.failed: does not name `{{select}}`, so it would be the same for every ring; put it between the braces of each selector",
        ),
        (
            "rings:",
            "gates: {own: [{name: x, within: {query: up, max: 1}}]}\nrings:",
            "gates.own[0].within.query: does not name `{{select}}`, so it would be the same for every ring; put it between the braces of each selector",
        ),
        (
            "rings:",
            "policy: {freeze: [{from: yesterday, until: 2026-12-24T00:00:00Z}]}\nrings:",
            "policy.freeze[0].from: found `yesterday`; use a time such as `2026-12-24T00:00:00Z`",
        ),
    ] {
        let found = changed(from, to);
        assert!(found.iter().any(|mistake| mistake == expected), "{to}: {found:#?}");
    }
}

#[test]
fn a_text_that_is_no_yaml_says_where() {
    let found = mistakes("name: [a\nb: c\n");
    assert!(found[0].starts_with("line "), "{found:?}");
    assert!(mistakes("name: a\nname: b\n")[0].contains("duplicate entry"), "{:?}", mistakes("name: a\nname: b\n"));
    assert_eq!(mistakes("")[0], "rollout file: is empty; see docs/rollout.md for an example");
    assert_eq!(mistakes("- a")[0], "rollout file: found `[\"a\"]`; use an object with fields");
}

#[test]
fn durations_and_growths_have_units() {
    for (text, seconds) in
        [("1s", Some(1.0)), ("1h30m", Some(5400.0)), ("0.5s", Some(0.5)), ("250ms", Some(0.25)), ("1d", Some(86_400.0))]
    {
        assert_eq!(units::duration(text).map(|found| found.as_secs_f64()), seconds, "{text}");
    }
    for text in ["", "5", "s", "-1s", "1x", "1..5s", "0s", "9999999d", "1s ", "é"] {
        assert_eq!(units::duration(text), None, "{text}");
    }
    for (text, bytes) in
        [("1KiB/h", Some(1024.0)), ("2 MB/h", Some(2e6)), ("1MiB", None), ("-1MiB/h", None), ("infMB/h", None)]
    {
        assert_eq!(units::growth(text), bytes, "{text}");
    }
}
