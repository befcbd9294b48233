//! The configuration reference for the README.

use std::fmt::Write as _;

use super::check::expected;
use super::fields::{Field, Kind, ROOT};

/// Every field as a Markdown table: path, what it may hold, default, meaning.
pub fn reference_markdown() -> String {
    let mut out = String::from("| field | value | default | meaning |\n|---|---|---|---|\n");
    rows(ROOT, "", &mut out);
    out
}

fn rows(fields: &[Field], prefix: &str, out: &mut String) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        let default = match field.default {
            None => "required".to_owned(),
            Some("") => "–".to_owned(),
            Some(json) => format!("`{json}`"),
        };
        let value = match &field.kind {
            Kind::Section(_) => "section".to_owned(),
            kind => expected(kind),
        };
        let _ = writeln!(out, "| `{path}` | {value} | {default} | {} |", field.doc);
        below(&field.kind, &path, out);
    }
}

fn below(kind: &Kind, path: &str, out: &mut String) {
    match kind {
        Kind::Section(fields) => rows(fields, &format!("{path}."), out),
        Kind::List { of, .. } => below(of, &format!("{path}[]"), out),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| below(kind, path, out)),
        Kind::Bool | Kind::Whole { .. } | Kind::Decimal | Kind::Text { .. } | Kind::Choice(_) | Kind::Map { .. } => {}
    }
}
