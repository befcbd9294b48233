//! The EUCORA profile inside the ECDS file: YAML for people in `envoy/plugin-config/`, JSON for the proxy in `envoy/ecds/`.

use serde_yaml_ng::Value;

const BEGIN: &str = "# gen:plugin-config\n";
const END: &str = "# /gen:plugin-config\n";

/// `envoy/ecds/edge-observer.yaml` as it must be: the text with the profile of `plugin-config/` between its markers, one route
/// a line. None when the markers are missing or the profile is not YAML.
pub(crate) fn embed(ecds: &str, profile: &str) -> Option<String> {
    let (before, rest) = ecds.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let value: Value = serde_yaml_ng::from_str(profile).ok()?;
    let mut json = String::new();
    lay_out(&value, 0, &mut json);
    let mut text = format!("{before}{BEGIN}        # envoy/plugin-config/eucora.yaml as JSON.\n        value: |\n");
    for line in json.lines() {
        text.push_str("          ");
        text.push_str(line);
        text.push('\n');
    }
    Some(format!("{text}        {END}{after}"))
}

/// An Istio manifest with the profile between its markers, as the YAML that it is. None when the markers are missing.
pub(crate) fn embed_as_yaml(manifest: &str, profile: &str) -> Option<String> {
    let (before, rest) = manifest.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let indent = before.rsplit('\n').next().unwrap_or_default();
    let mut text = format!("{before}{BEGIN}");
    // The comment at the top is about the file it stands in.
    for line in profile.lines().skip_while(|line| line.is_empty() || line.starts_with('#')) {
        if !line.is_empty() {
            text.push_str(indent);
            text.push_str(line);
        }
        text.push('\n');
    }
    Some(format!("{text}{indent}{END}{after}"))
}

/// YAML as JSON in its own order, with every object and list that holds no further objects on one line.
fn lay_out(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth + 1);
    let close = "  ".repeat(depth);
    match value {
        Value::Mapping(fields) if depth == 0 || fields.values().any(holds_objects) => {
            out.push_str("{\n");
            for (index, (name, field)) in fields.iter().enumerate() {
                let comma = if index + 1 < fields.len() { "," } else { "" };
                out.push_str(&format!("{pad}{}: ", on_one_line(name)));
                lay_out(field, depth + 1, out);
                out.push_str(&format!("{comma}\n"));
            }
            out.push_str(&format!("{close}}}"));
        }
        Value::Sequence(items) if holds_objects(value) => {
            out.push_str("[\n");
            for (index, item) in items.iter().enumerate() {
                let comma = if index + 1 < items.len() { "," } else { "" };
                out.push_str(&pad);
                lay_out(item, depth + 1, out);
                out.push_str(&format!("{comma}\n"));
            }
            out.push_str(&format!("{close}]"));
        }
        other => out.push_str(&on_one_line(other)),
    }
}

fn holds_objects(value: &Value) -> bool {
    value.is_mapping() || value.as_sequence().is_some_and(|items| items.iter().any(Value::is_mapping))
}

/// Compact JSON, but with a space after commas and colons. Written here because the order of a `serde_json` map depends on
/// which features other crates of a build ask for, and this text is compared with a file.
fn on_one_line(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Mapping(fields) => {
            let fields = fields.iter().map(|(name, field)| format!("{}: {}", on_one_line(name), on_one_line(field)));
            format!("{{{}}}", list(fields.collect()))
        }
        Value::Sequence(items) => format!("[{}]", list(items.iter().map(on_one_line).collect())),
        scalar => serde_json::to_string(scalar).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_stays_on_one_line_and_the_value_is_the_same() {
        let profile =
            "namespace: eucora\nroutes:\n  table:\n  - {methods: [GET], template: \"/a/{id}\"}\n  - {template: /b}\n";
        let ecds = "x:\n        # gen:plugin-config\n        old\n        # /gen:plugin-config\n";
        let text = embed(ecds, profile).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines.contains(&r#"{"methods": ["GET"], "template": "/a/{id}"},"#), "{text}");
        let json: String = text.lines().filter(|line| line.starts_with("          ")).collect();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json, serde_yaml_ng::from_str::<serde_json::Value>(profile).unwrap());
        assert_eq!(embed(&text, profile).as_deref(), Some(text.as_str()));
    }

    #[test]
    fn a_manifest_gets_the_profile_at_its_own_depth() {
        let manifest = "spec:\n  pluginConfig:\n    # gen:plugin-config\n    old: 1\n    # /gen:plugin-config\n";
        let text = embed_as_yaml(manifest, "# About this file.\n\na: 1   # Why.\n\nb: {c: 2}\n").unwrap();
        let expected = "spec:\n  pluginConfig:\n    # gen:plugin-config\n    a: 1   # Why.\n\n    b: {c: 2}\n    # /gen:plugin-config\n";
        assert_eq!(text, expected);
        assert_eq!(embed_as_yaml("spec: {}\n", "a: 1\n"), None);
    }

    #[test]
    fn a_file_without_markers_is_left_alone() {
        assert_eq!(embed("x: 1\n", "a: 1\n"), None);
    }
}
