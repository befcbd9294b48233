//! Tag extractors: what to take out of a stat's name, and what it means.

use std::ops::Range;

use fancy_regex::Regex;

use super::TaggedName;

/// One rule that may find one tag in a name.
#[derive(Debug, Clone)]
pub(super) struct Extractor {
    tag: String,
    /// The name's first segment must be this; from a leading `^word\.` in the expression.
    first_segment: Option<String>,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Fixed(String),
    Regex(Box<Regex>),
    /// Segments with `*` for any, `$` for the value, and `**` at the end for the rest.
    Segments(&'static [&'static str]),
}

/// A tag's value, and the bytes of the name that go with it.
struct Found<'a> {
    value: &'a str,
    remove: Range<usize>,
}

/// Envoy's own extractors, as far as they can match a stat of this host: the stats of its proxy, and any name that a
/// module may make up (always `wasmcustom.…`).
pub(super) fn defaults() -> Vec<Extractor> {
    let mut extractors = Vec::new();
    for (tag, expression) in
        [("envoy.response_code", r"_rq(_(\d{3}))$"), ("envoy.response_code_class", r"_rq_((\d))xx$")]
    {
        // Both are constants that a test compiles.
        extractors.extend(Extractor::regex(tag, expression).ok());
    }
    for (tag, segments) in [
        ("envoy.local_http_ratelimit_prefix", ["$", "http_local_rate_limit", "**"].as_slice()),
        ("envoy.rbac_prefix", ["$", "rbac", "**"].as_slice()),
        ("envoy.cluster_name", ["cluster", "$", "**"].as_slice()),
        ("envoy.http_conn_manager_prefix", ["http", "$", "**"].as_slice()),
        ("envoy.tcp_prefix", ["tcp", "$", "**"].as_slice()),
        // Its listener's `stat_prefix` stands for the address, as there may be one.
        ("envoy.listener_address", ["listener", "$", "**"].as_slice()),
    ] {
        let first = segments.first().filter(|first| **first != "$").map(|first| String::from(*first));
        extractors.push(Extractor { tag: String::from(tag), first_segment: first, rule: Rule::Segments(segments) });
    }
    extractors
}

/// What all `extractors` make of `name`.
pub(super) fn tagged(extractors: &[Extractor], name: &str) -> TaggedName {
    let mut tags: Vec<(String, String)> = Vec::new();
    let mut removed: Vec<Range<usize>> = Vec::new();
    for extractor in extractors {
        if tags.iter().any(|(tag, _)| *tag == extractor.tag) {
            continue;
        }
        if let Some(found) = extractor.find(name) {
            tags.push((extractor.tag.clone(), String::from(found.value.trim_end_matches('.'))));
            removed.push(found.remove);
        }
    }
    let mut left = String::with_capacity(name.len());
    let mut kept_to = 0;
    removed.sort_by_key(|range| range.start);
    for range in removed {
        left.push_str(name.get(kept_to..range.start.max(kept_to)).unwrap_or_default());
        kept_to = kept_to.max(range.end);
    }
    left.push_str(name.get(kept_to..).unwrap_or_default());
    left.truncate(left.trim_end_matches('.').len());
    TaggedName { name: left, tags }
}

impl Extractor {
    pub(super) fn regex(tag: &str, expression: &str) -> Result<Self, String> {
        let regex = Regex::new(&without_line_ends(expression)).map_err(|error| error.to_string())?;
        Ok(Self {
            tag: String::from(tag),
            first_segment: first_segment(expression).map(String::from),
            rule: Rule::Regex(Box::new(regex)),
        })
    }

    pub(super) fn fixed(tag: &str, value: &str) -> Self {
        Self { tag: String::from(tag), first_segment: None, rule: Rule::Fixed(String::from(value)) }
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    /// Whether it looks only at names with one first segment; those come after the others.
    pub(super) const fn is_prefixed(&self) -> bool {
        self.first_segment.is_some()
    }

    fn find<'a>(&'a self, name: &'a str) -> Option<Found<'a>> {
        if let Some(first) = &self.first_segment {
            let (segment, _) = name.split_once('.')?;
            if segment != first {
                return None;
            }
        }
        match &self.rule {
            Rule::Fixed(value) => Some(Found { value, remove: 0..0 }),
            Rule::Regex(regex) => {
                // An expression that gives up (too much backtracking) finds nothing.
                let captures = regex.captures(name).ok().flatten()?;
                if captures.len() < 2 {
                    return None;
                }
                let whole = captures.get(1);
                let value = if captures.len() > 2 { captures.get(2) } else { whole };
                Some(Found {
                    value: value.map_or("", |value| value.as_str()),
                    remove: whole.map_or(0..0, |whole| whole.start()..whole.end()),
                })
            }
            Rule::Segments(pattern) => segments(pattern, name),
        }
    }
}

/// The value at `$`, which goes together with the dot behind it.
fn segments<'a>(pattern: &[&str], name: &'a str) -> Option<Found<'a>> {
    let mut at = 0;
    let mut found = None;
    for part in pattern {
        if *part == "**" {
            return found;
        }
        let rest = name.get(at..).filter(|_| at <= name.len())?;
        let segment = rest.split('.').next()?;
        match *part {
            "$" => {
                let end = (at + segment.len() + 1).min(name.len());
                found = Some(Found { value: segment, remove: at..end });
            }
            "*" => {}
            literal if literal == segment => {}
            _ => return None,
        }
        at += segment.len() + 1;
    }
    found.filter(|_| at > name.len())
}

/// `word` of an expression that begins with `^word\.` or `^word(?=\.)`, or is `^word$`.
fn first_segment(expression: &str) -> Option<&str> {
    let body = expression.strip_prefix('^')?;
    let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (word, rest) = body.split_at_checked(end)?;
    let whole_segment = rest.starts_with(r"\.") || rest.starts_with(r"(?=\.)") || rest == "$";
    (!word.is_empty() && whole_segment).then_some(word)
}

/// The expression with every `.` as ECMAScript has it: any character but the four that end a line, not just `\n`.
fn without_line_ends(expression: &str) -> String {
    let mut text = String::with_capacity(expression.len());
    let mut in_class = false;
    let mut chars = expression.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                text.push(c);
                text.extend(chars.next());
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '.' if !in_class => {
                text.push_str(r"[^\n\r\u{2028}\u{2029}]");
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    text
}
