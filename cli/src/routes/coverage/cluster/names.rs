//! A template while it is written, and names for its parameters.

use std::collections::BTreeMap;

use crate::routes::coverage::segment::Class;

/// The template of a place.
#[derive(Debug, Default)]
pub(super) struct Names {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    text: String,
    /// The parameter's name.
    parameter: Option<String>,
}

impl Names {
    /// How many segments there are.
    pub(super) fn depth(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn has_parameter(&self) -> bool {
        self.pieces.iter().any(|piece| piece.parameter.is_some())
    }

    pub(super) fn template(&self, slash: bool) -> String {
        let mut text: String = self.pieces.iter().map(|piece| format!("/{}", piece.text)).collect();
        if slash || text.is_empty() {
            text.push('/');
        }
        text
    }

    pub(super) fn pop(&mut self) {
        self.pieces.pop();
    }

    pub(super) fn push_literal(&mut self, text: &str) {
        self.pieces.push(Piece { text: text.to_owned(), parameter: None });
    }

    pub(super) fn push_parameter(&mut self, configured: Option<&str>, classes: &BTreeMap<Class, u64>) {
        let name = configured.map_or_else(|| self.name(classes), str::to_owned);
        let name = self.unique(&name);
        self.pieces.push(Piece { text: format!("{{{name}}}"), parameter: Some(name) });
    }

    pub(super) fn push_partial(&mut self, extension: &str) {
        let name = self.unique("name");
        self.pieces.push(Piece { text: format!("{{{name}}}.{extension}"), parameter: Some(name) });
    }

    pub(super) fn push_tail(&mut self) {
        let name = self.unique("path");
        self.pieces.push(Piece { text: format!("{{{name}...}}"), parameter: Some(name) });
    }

    fn unique(&self, name: &str) -> String {
        let taken = |name: &str| self.pieces.iter().any(|piece| piece.parameter.as_deref() == Some(name));
        if !taken(name) {
            return name.to_owned();
        }
        (2..).map(|number| format!("{name}_{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// From the segment before, and from what most values are.
    fn name(&self, classes: &BTreeMap<Class, u64>) -> String {
        let most = classes.iter().max_by_key(|(class, count)| (**count, std::cmp::Reverse(**class)));
        let class = most.map_or(Class::Word, |(class, _)| *class);
        let before = self.pieces.last().filter(|piece| piece.parameter.is_none()).and_then(|piece| noun(&piece.text));
        match (class, before) {
            (Class::Typed("{date}"), _) => "date".to_owned(),
            (Class::Typed("{email}"), _) => "email".to_owned(),
            (Class::Typed("{jwt}"), _) => "token".to_owned(),
            (Class::Typed(_), Some(noun)) => format!("{noun}_id"),
            (Class::Typed(_), None) => "id".to_owned(),
            (Class::Word | Class::Opaque, Some(noun)) => noun,
            (Class::Word | Class::Opaque, None) => "name".to_owned(),
        }
    }
}

/// The singular of a path segment, as a parameter's name; `None` where it names nothing, as `api` and `v1` do.
fn noun(segment: &str) -> Option<String> {
    let plain: String =
        segment.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let plain = plain.trim_matches('_');
    let version = plain.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let number = plain.starts_with(|c: char| c.is_ascii_digit());
    if plain.is_empty() || plain.len() > 40 || version || number || plain == "api" || plain == "rest" {
        return None;
    }
    Some(singular(plain))
}

fn singular(word: &str) -> String {
    let keep = ["ss", "us", "is", "news"];
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let endings = [
        ("caches", "cache"),
        ("lyses", "lysis"),
        ("tuses", "tus"),
        ("sses", "ss"),
        ("shes", "sh"),
        ("ches", "ch"),
        ("xes", "x"),
    ];
    if let Some((stem, ending)) = endings.iter().find_map(|(many, one)| Some((word.strip_suffix(many)?, one))) {
        return format!("{stem}{ending}");
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 1 && !keep.iter().any(|ending| word.ends_with(ending)) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// Whether a word looks like the name of one thing and not of a kind of things: it has a digit (but is no version), or two hyphens.
pub(super) fn is_slug(word: &str) -> bool {
    let version = word.strip_prefix(['v', 'V']).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let digits = word.bytes().any(|byte| byte.is_ascii_digit());
    (digits && !version) || word.bytes().filter(|byte| *byte == b'-').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_segment_before() {
        for (segment, expected) in [
            ("users", Some("user")),
            ("policies", Some("policy")),
            ("statuses", Some("status")),
            ("addresses", Some("address")),
            ("branches", Some("branch")),
            ("boxes", Some("box")),
            ("analyses", Some("analysis")),
            ("cases", Some("case")),
            ("releases", Some("release")),
            ("status", Some("status")),
            ("access", Some("access")),
            ("news", Some("news")),
            ("check-runs", Some("check_run")),
            ("Users", Some("user")),
            ("v1", None),
            ("api", None),
            ("2024", None),
            ("--", None),
        ] {
            assert_eq!(noun(segment).as_deref(), expected, "{segment}");
        }
    }

    #[test]
    fn a_name_is_there_once() {
        let mut names = Names::default();
        let ints = BTreeMap::from([(Class::Typed("{int}"), 3)]);
        let words = BTreeMap::from([(Class::Word, 3)]);
        for literal in ["users", "users"] {
            names.push_literal(literal);
            names.push_parameter(None, &ints);
        }
        names.push_parameter(None, &words);
        names.push_parameter(Some("name"), &words);
        assert_eq!(names.template(false), "/users/{user_id}/users/{user_id_2}/{name}/{name_2}");
        assert_eq!(Names::default().template(false), "/");
    }

    #[test]
    fn slugs_are_told_from_kinds() {
        for (word, expected) in
            [("release-2-1", true), ("deployments", false), ("v1beta1", false), ("a-b", false), ("a-b-c", true)]
        {
            assert_eq!(is_slug(word), expected, "{word}");
        }
    }
}
