//! The text exposition format, strictly: what a Prometheus would refuse is an error with its line.

use thiserror::Error;

use super::Sample;

/// Why an exposition was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was wrong with it.
    pub message: String,
}

/// Parses a whole exposition.
pub(super) fn exposition(text: &str) -> Result<Vec<Sample>, ParseError> {
    let mut samples = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        samples.push(sample(line).map_err(|message| ParseError { line: index + 1, message })?);
    }
    Ok(samples)
}

/// `NAME{LABEL="VALUE",…} VALUE [TIMESTAMP]`.
fn sample(line: &str) -> Result<Sample, String> {
    let mut cursor = Cursor { rest: line };
    let name = cursor.name(true)?;
    let mut labels = Vec::new();
    if cursor.take('{') {
        loop {
            cursor.blanks();
            if cursor.take('}') {
                break;
            }
            let label = cursor.name(false)?;
            cursor.blanks();
            cursor.expect('=')?;
            cursor.blanks();
            let value = cursor.quoted()?;
            if labels.iter().any(|(other, _)| *other == label) {
                return Err(format!("label `{label}` comes twice"));
            }
            labels.push((label, value));
            cursor.blanks();
            if !cursor.take(',') {
                cursor.expect('}')?;
                break;
            }
        }
    } else if !cursor.rest.starts_with([' ', '\t']) {
        return Err(format!("expected `{{` or a blank after `{name}`"));
    }
    let mut fields = cursor.rest.split_ascii_whitespace();
    let value = number(fields.next().ok_or("no value")?)?;
    if let Some(timestamp) = fields.next() {
        timestamp.parse::<i64>().map_err(|_| format!("`{timestamp}` is not a timestamp in milliseconds"))?;
    }
    if let Some(extra) = fields.next() {
        return Err(format!("`{extra}` after the sample"));
    }
    Ok(Sample { name, labels, value })
}

/// A value: what Go's `ParseFloat` takes and exporters write.
pub(super) fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" | "Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => {
            text.parse().map_err(|_| format!("`{text}` is not a number"))
        }
        _ => Err(format!("`{text}` is not a number")),
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(format!("expected `{wanted}` before `{}`", self.rest)) }
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`, with `:` too in metric names.
    fn name(&mut self, colon: bool) -> Result<String, String> {
        let end = self
            .rest
            .char_indices()
            .find(|(index, c)| {
                let first = c.is_ascii_alphabetic() || *c == '_' || (colon && *c == ':');
                !(first || (*index > 0 && c.is_ascii_digit()))
            })
            .map_or(self.rest.len(), |(index, _)| index);
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        if name.is_empty() {
            return Err(format!("expected a {} name before `{}`", if colon { "metric" } else { "label" }, self.rest));
        }
        let name = name.to_owned();
        self.rest = rest;
        Ok(name)
    }

    /// A label value: `\\`, `\"` and `\n` are the only escapes.
    fn quoted(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut value = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some('\\') => value.push('\\'),
                    Some('"') => value.push('"'),
                    Some('n') => value.push('\n'),
                    other => return Err(format!("unknown escape `\\{}`", other.map(String::from).unwrap_or_default())),
                },
                Some(c) => value.push(c),
                None => return Err("a label value has no closing quote".to_owned()),
            }
        }
        self.rest = chars.as_str();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_proxies_write() {
        type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], f64);
        let cases: [Case; 7] = [
            ("up 1", "up", &[], 1.0),
            ("a_total{} 3", "a_total", &[], 3.0),
            ("a_total{x=\"1\",} 3", "a_total", &[("x", "1")], 3.0),
            (
                "a{endpoint=\"/v1/{id}\",le=\"+Inf\"} 12 1700000000000",
                "a",
                &[("endpoint", "/v1/{id}"), ("le", "+Inf")],
                12.0,
            ),
            ("a{x=\"q\\\"\\\\\\n\"} +Inf", "a", &[("x", "q\"\\\n")], f64::INFINITY),
            ("a { x = \"é\" } 1e3", "a", &[("x", "é")], 1000.0),
            ("ns:rule:rate5m 0.25", "ns:rule:rate5m", &[], 0.25),
        ];
        for (line, name, labels, value) in cases {
            // A blank between name and brace is legal, and rare enough to be tried here alone.
            let line = line.replace(" {", "{");
            let found = sample(&line).unwrap();
            assert_eq!(found.name, name);
            let found_labels: Vec<(&str, &str)> = found.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(found_labels, labels, "{line}");
            assert!(found.value.total_cmp(&value).is_eq(), "{line}");
        }
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        let cases = [
            ("1a 1", "expected a metric name"),
            ("a", "expected `{` or a blank"),
            ("a{x=\"1\"", "expected `}`"),
            ("a{x=1} 1", "expected `\"`"),
            ("a{x=\"1} 1", "no closing quote"),
            ("a{x=\"1\",x=\"2\"} 1", "comes twice"),
            ("a{x=\"\\t\"} 1", "unknown escape `\\t`"),
            ("a one", "not a number"),
            ("a 1 2 3", "`3` after the sample"),
            ("a infinity", "not a number"),
        ];
        for (line, expected) in cases {
            let message = sample(line).unwrap_err();
            assert!(message.contains(expected), "{line}: {message}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(exposition("# HELP a b\na 1\nb{\n").unwrap_err().line, 3);
        assert_eq!(exposition("\n# only comments\r\n").unwrap(), vec![]);
    }
}
