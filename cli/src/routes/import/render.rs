//! Routes as text: one a line.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use telemetry::route::RouteSpec;

/// A route as YAML, in the form of the shipped profile.
pub(super) fn yaml(route: &RouteSpec) -> String {
    let mut out = String::from("{");
    if let Some(methods) = &route.methods {
        let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
        let _ = write!(out, "methods: [{}], ", methods.join(", "));
    }
    let _ = write!(out, "template: {}", scalar(&route.template));
    if let Some(name) = &route.name {
        let _ = write!(out, ", name: {}", scalar(name));
    }
    out.push('}');
    out
}

/// A route as JSON.
pub(super) fn json(route: &RouteSpec) -> Value {
    let mut out = Map::new();
    if let Some(methods) = &route.methods {
        out.insert("methods".to_owned(), methods.iter().map(|method| method.as_str()).collect());
    }
    out.insert("template".to_owned(), json!(route.template));
    if let Some(name) = &route.name {
        out.insert("name".to_owned(), json!(name));
    }
    Value::Object(out)
}

/// A text as a YAML scalar: plain where every YAML reader takes that for text, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte));
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for found in text.chars() {
        match found {
            '"' | '\\' => out.extend(['\\', found]),
            // Line separators and the byte order mark end or begin something for one reader or another.
            '\u{2028}' | '\u{2029}' | '\u{feff}' => drop(write!(out, "\\u{:04x}", u32::from(found))),
            _ if found.is_control() => drop(write!(out, "\\u{:04x}", u32::from(found))),
            _ => out.push(found),
        }
    }
    out.push('"');
    out
}

/// How the line after what an import wrote begins.
pub(super) const END: &str = "# <<< edge-observer routes import";

/// The lines that begin and end what an import wrote.
pub(super) fn markers(section: &str) -> [String; 2] {
    [format!("# >>> edge-observer routes import ({section})"), format!("{END} ({section})")]
}

/// The routes as a part of a block list, between their markers; every line ends in a line feed.
pub(super) fn block(routes: &[RouteSpec], section: &str, indent: usize) -> String {
    let indent = " ".repeat(indent);
    let [start, end] = markers(section);
    let mut out = format!("{indent}{start}: the next import replaces the lines up to its end\n");
    for route in routes {
        let _ = writeln!(out, "{indent}- {}", yaml(route));
    }
    let _ = writeln!(out, "{indent}{end}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::method::Method;

    #[test]
    fn routes_read_as_in_the_profile() {
        let route = RouteSpec {
            methods: Some(vec![Method::Get, Method::Post]),
            template: "/api/v1/users/{id}/".to_owned(),
            name: Some("user-detail".to_owned()),
        };
        assert_eq!(yaml(&route), "{methods: [GET, POST], template: \"/api/v1/users/{id}/\", name: user-detail}");
        let any = RouteSpec { methods: None, template: "/a".to_owned(), name: None };
        assert_eq!(yaml(&any), "{template: /a}");
        assert_eq!(json(&any).to_string(), "{\"template\":\"/a\"}");
    }

    #[test]
    fn scalars_are_read_back_as_they_were() {
        for text in [
            "a",
            "/",
            "no",
            "Null",
            "y",
            "1",
            "1.5",
            "-",
            "- a",
            "a: b",
            "#",
            "a #b",
            "{x}",
            "[",
            "é",
            "\"",
            "\\",
            "a\nb",
            "\u{1}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "~",
            "*x",
            "&x",
            "!x",
            "%x",
            "@x",
            "`x",
            "meta/root",
            "app:name",
            " a ",
            "a,b",
            "0x1f",
            "1e3",
            ".inf",
            "null-x",
            "",
        ] {
            let written = format!("k: {{v: {}}}", scalar(text));
            let read: Value =
                serde_yaml_ng::from_str(&written).unwrap_or_else(|error| panic!("{text:?}: {written:?}: {error}"));
            assert_eq!(read["k"]["v"], json!(text), "{written}");
        }
    }
}
