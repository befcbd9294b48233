//! Envoy's `StringMatcher`.

use fancy_regex::Regex;
use serde::Deserialize;

/// One way of comparing a text.
#[derive(Debug, Clone)]
pub(super) struct StringMatcher {
    pattern: Pattern,
    ignore_case: bool,
}

#[derive(Debug, Clone)]
enum Pattern {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    /// Anchored at both ends.
    Regex(Box<Regex>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StringMatcherYaml {
    exact: Option<String>,
    prefix: Option<String>,
    suffix: Option<String>,
    contains: Option<String>,
    #[serde(alias = "safeRegex")]
    safe_regex: Option<RegexYaml>,
    #[serde(alias = "ignoreCase")]
    ignore_case: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegexYaml {
    regex: String,
    /// The engine's settings; there is only one engine.
    #[serde(default, alias = "googleRe2")]
    #[allow(dead_code, reason = "accepted because Envoy accepts it")]
    google_re2: Option<serde_yaml_ng::Value>,
}

impl StringMatcher {
    pub(super) fn build(yaml: StringMatcherYaml) -> Result<Self, String> {
        let StringMatcherYaml { exact, prefix, suffix, contains, safe_regex, ignore_case } = yaml;
        let fold = |text: String| {
            if ignore_case { text.to_ascii_lowercase() } else { text }
        };
        let pattern = match (exact, prefix, suffix, contains, safe_regex) {
            (Some(text), None, None, None, None) => Pattern::Exact(fold(text)),
            (None, Some(text), None, None, None) => Pattern::Prefix(fold(text)),
            (None, None, Some(text), None, None) => Pattern::Suffix(fold(text)),
            (None, None, None, Some(text), None) => Pattern::Contains(fold(text)),
            (None, None, None, None, Some(RegexYaml { regex, .. })) => {
                let anchored = format!("^(?:{regex})$");
                let compiled = Regex::new(&anchored).map_err(|error| format!("`{regex}`: {error}; mend it"))?;
                // Envoy's own rule: case is the expression's business.
                return Ok(Self { pattern: Pattern::Regex(Box::new(compiled)), ignore_case: false });
            }
            _ => {
                return Err(String::from("needs exactly one of exact, prefix, suffix, contains, safe_regex; give one"));
            }
        };
        Ok(Self { pattern, ignore_case })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let folded;
        let text = if self.ignore_case {
            folded = text.to_ascii_lowercase();
            folded.as_str()
        } else {
            text
        };
        match &self.pattern {
            Pattern::Exact(exact) => text == exact,
            Pattern::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Pattern::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Pattern::Contains(part) => text.contains(part.as_str()),
            Pattern::Regex(regex) => regex.is_match(text).unwrap_or(false),
        }
    }
}
