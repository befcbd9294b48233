use serde_json::json;

use super::*;

fn plugin(spec: Value) -> Value {
    json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "p", "namespace": "n"}, "spec": spec})
}

fn found(object: &Value) -> Vec<String> {
    check(object).iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect()
}

#[test]
fn every_rule_of_the_crds_is_known() {
    fn messages(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                    out.push(rule["message"].as_str().unwrap().to_owned());
                }
                fields.values().for_each(|value| messages(value, out));
            }
            Value::Array(items) => items.iter().for_each(|value| messages(value, out)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    CRDS.iter().for_each(|crd| messages(&serde_json::from_str(crd).unwrap(), &mut all));
    assert!(all.len() >= 25, "{}", all.len());
    for message in all {
        assert!(rules::holds(&message, &Value::Null).is_some(), "no rule for: {message}");
    }
}

#[test]
fn every_mistake_is_told_at_once_with_its_path() {
    let object = plugin(json!({
        "url": "ftp://x/y",
        "sha256": "ABC",
        "failStrategy": "FAIL_OPENED",
        "priority": 3_000_000_000_i64,
        "pluginconfig": {},
        "pluginConfig": {"anything": {"goes": [1]}},
        "match": [{"mode": "SERVER", "port": 1}, {"ports": [{"number": 0}, {"number": 80}, {"number": 80}]}],
        "selector": {"matchLabels": {"app": "a*", "n": 1}},
        "targetRefs": [{"kind": "Gateway", "name": "g", "namespace": "other"}],
        "vmConfig": {"env": [{"name": "A", "valueFrom": "HOST", "value": "x"}, {"name": "A"}]},
    }));
    let found = found(&object);
    let paths: Vec<&str> = found.iter().map(|mistake| mistake.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "spec",
            "spec.failStrategy",
            "spec.match[0].port",
            "spec.match[1].ports[0].number",
            "spec.match[1].ports[2].number",
            "spec.pluginconfig",
            "spec.priority",
            "spec.selector.matchLabels.app",
            "spec.selector.matchLabels.n",
            "spec.sha256",
            "spec.targetRefs[0].namespace",
            "spec.url",
            "spec.vmConfig.env[0]",
            "spec.vmConfig.env[1].name",
        ],
        "{found:#?}"
    );
    assert_eq!(found[0], "spec: only one of targetRefs or selector can be set");
    assert_eq!(found[5], "spec.pluginconfig: is no field of this kind; an API server drops it in silence");
    assert_eq!(check(&object)[5].to_string(), format!("WasmPlugin n/p: {}", found[5]));
}

#[test]
fn what_is_needed_and_what_may_be_null() {
    assert_eq!(found(&plugin(json!({"url": "oci://r/x", "priority": null}))), Vec::<String>::new());
    assert_eq!(found(&plugin(json!({}))), ["spec: \"url\" is a required property"]);
    let none = json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"labels": {"ring": 0}}});
    assert_eq!(
        found(&none),
        [
            ": \"spec\" is a required property",
            "metadata.labels[\"ring\"]: found 0; a text is needed, in quotes",
            "metadata.name: is missing",
        ]
    );
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    assert!(!is_known(&other) && check(&other).is_empty());
}

#[test]
fn rules_of_the_other_kinds() {
    let both = json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "TrafficExtension", "metadata": {"name": "t"},
        "spec": {"wasm": {"url": "file:///x"}, "lua": {"inlineCode": "x"}}});
    let found_both = found(&both);
    assert!(found_both.contains(&"spec: exactly one of wasm or lua must be set".to_owned()), "{found_both:?}");
    let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "e"}, "spec": {
        "workloadSelector": {"labels": {"a": "b"}}, "targetRefs": [],
        "configPatches": [{"applyTo": "HTTP_FILTERS", "match": {"context": "WAYPOINT"}, "patch": {"operation": "ADD", "value": {"x": 1}, "values": 1}}],
    }});
    let found_filter = found(&filter);
    let paths: Vec<&str> = found_filter.iter().map(|mistake| mistake.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        ["spec", "spec.configPatches[0].applyTo", "spec.configPatches[0].match", "spec.configPatches[0].patch.values"],
        "{found_filter:#?}"
    );
    for (text, expected) in
        [("1ms", true), ("1h30m", true), ("0.5s", true), ("999us", false), ("5", false), ("", false), ("x", false)]
    {
        assert_eq!(rules::holds("must be a valid duration greater than 1ms", &json!(text)), Some(expected), "{text}");
    }
}
