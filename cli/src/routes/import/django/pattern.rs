//! One URL pattern: what is left of Django's routes and regular expressions, to the segments of a template.

use super::super::template::short;

/// Segments of literal text and parameters, the latter with whether they may hold slashes.
type Segments = Vec<Vec<(String, Option<bool>)>>;

/// Path converters of Django that match one segment.
const CONVERTERS: [&str; 4] = ["int", "slug", "str", "uuid"];
/// Views whose only parameter is the rest of the path.
const SERVES_A_TREE: [&str; 3] = [
    "django.views.static.serve",
    "django.contrib.staticfiles.views.serve",
    "django.contrib.admin.sites.catch_all_view",
];

/// Reads a pattern: its segments, and what is to be said about them.
pub(super) fn segments(url: &str, view: &str) -> Result<(Segments, Vec<String>), String> {
    let expression = url.contains("(?P<") || url.contains('^') || url.ends_with('$');
    let mut scan = Scan { rest: url, view, segments: vec![Vec::new()], notes: Vec::new(), groups: 0 };
    // A list has a slash before each; a regular expression has none.
    let start = scan.rest.trim_start_matches('^');
    scan.rest = start.strip_prefix('/').unwrap_or(start);
    while let Some(found) = scan.next() {
        match found {
            '/' => {
                scan.segments.push(Vec::new());
                if expression && scan.rest.starts_with('?') {
                    // A slash that may be left out: `routes.trailing_slash` has its own rule for that.
                    scan.next();
                }
            }
            '\\' => scan.escaped()?,
            '<' => scan.converter()?,
            '(' if expression => scan.group()?,
            '^' | '$' if expression => {}
            '(' | ')' | '[' | ']' | '|' | '?' => return Err(scan.regex(found)),
            '*' | '+' if expression => return Err(scan.regex(found)),
            _ => scan.text(found),
        }
    }
    Ok((scan.segments, scan.notes))
}

struct Scan<'a> {
    rest: &'a str,
    view: &'a str,
    segments: Segments,
    notes: Vec<String>,
    /// How many groups without a name there were.
    groups: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let found = self.rest.chars().next()?;
        self.rest = self.rest.get(found.len_utf8()..).unwrap_or_default();
        Some(found)
    }

    fn regex(&self, found: char) -> String {
        format!(
            "it has `{found}` of a regular expression outside of a named group, which no template can express; write the route by hand"
        )
    }

    fn text(&mut self, found: char) {
        let Some(segment) = self.segments.last_mut() else { return };
        match segment.last_mut() {
            Some((text, None)) => text.push(found),
            _ => segment.push((found.to_string(), None)),
        }
    }

    fn parameter(&mut self, name: &str, slashes: bool) {
        if let Some(segment) = self.segments.last_mut() {
            segment.push((name.to_owned(), Some(slashes)));
        }
    }

    fn escaped(&mut self) -> Result<(), String> {
        match self.next() {
            Some('A' | 'Z' | 'b' | 'B') => Ok(()),
            Some('/') => {
                self.segments.push(Vec::new());
                Ok(())
            }
            Some(found) if found.is_ascii_alphanumeric() => Err(format!(
                "it has `\\{found}` of a regular expression outside of a named group, which no template can express; write the route by hand"
            )),
            Some(found) => {
                self.text(found);
                Ok(())
            }
            None => Err("it ends in `\\`".to_owned()),
        }
    }

    /// `<int:pk>`, or `<pk>` of a group whose expression is not shown.
    fn converter(&mut self) -> Result<(), String> {
        let Some((inner, after)) = self.rest.split_once('>') else {
            return Err("it has `<` without `>`".to_owned());
        };
        self.rest = after;
        match inner.split_once(':') {
            // Django REST framework's: `.json`, perhaps with a slash behind.
            Some((converter, name)) if converter.starts_with("drf_format_suffix") => {
                self.text('.');
                self.parameter(name, false);
            }
            Some(("path", name)) => self.parameter(name, true),
            Some((converter, name)) => {
                if !CONVERTERS.contains(&converter) {
                    self.notes.push(format!(
                        "the converter `{}` is not one of Django's own; it is taken to match one segment",
                        short(converter)
                    ));
                }
                self.parameter(name, false);
            }
            None => {
                let tree = SERVES_A_TREE.contains(&self.view);
                if inner == "path" && !tree {
                    self.notes
                        .push("what `<path>` matches is not shown; it is taken for the rest of the path".to_owned());
                }
                self.parameter(inner, tree || inner == "path");
            }
        }
        Ok(())
    }

    /// What follows `(`.
    fn group(&mut self) -> Result<(), String> {
        let body = closed(self.rest).ok_or_else(|| "it has `(` without `)`".to_owned())?;
        self.rest = self.rest.get(body.len() + 1..).unwrap_or_default();
        if self.rest.starts_with(['?', '*', '+', '{']) {
            return Err(format!(
                "the group `({})` may be left out or repeated, which no template can express; write one route for each form",
                short(body)
            ));
        }
        if let Some(named) = body.strip_prefix("?P<") {
            let Some((name, expression)) = named.split_once('>') else {
                return Err(format!("the group `({})` has no name", short(body)));
            };
            self.parameter(name, holds_slashes(expression));
            return Ok(());
        }
        if body.starts_with('?') {
            return Err(format!(
                "the group `({})` is an alternative, which no template can express; write one route for each",
                short(body)
            ));
        }
        self.groups += 1;
        let name = format!("arg{}", self.groups);
        self.parameter(&name, holds_slashes(body));
        Ok(())
    }
}

/// The text up to the parenthesis that closes the one before it.
fn closed(text: &str) -> Option<&str> {
    let mut open = 1_usize;
    let mut class = false;
    let mut escaped = false;
    for (at, found) in text.char_indices() {
        match found {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => open += 1,
            ')' if !class => open -= 1,
            _ => {}
        }
        if open == 0 {
            return text.get(..at);
        }
    }
    None
}

/// Whether a group's expression can match a slash: `.+`, or a slash outside of `[…]`.
fn holds_slashes(expression: &str) -> bool {
    let mut class = false;
    let mut before = ' ';
    for found in expression.chars() {
        match found {
            _ if before == '\\' => {
                before = ' ';
                continue;
            }
            '[' => class = true,
            ']' => class = false,
            '*' | '+' if before == '.' && !class => return true,
            '/' if !class => return true,
            _ => {}
        }
        before = found;
    }
    false
}
