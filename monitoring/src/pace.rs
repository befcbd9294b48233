//! The rules at another pace: the same expressions with shorter windows, for a test that cannot wait for hours.

use std::time::Duration;

use serde_yaml_ng::Value;

/// Why rules cannot be paced.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    /// No YAML.
    #[error("the rules are no YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// A duration that is none of Prometheus'.
    #[error("`{found}` is no duration; write it as 30s, 5m, 1h30m or 7d")]
    Duration {
        /// The text.
        found: String,
    },
}

/// A file of rules with another length in the place of each: windows and offsets of expressions by `window`, `for` and the groups' `interval` by
/// `hold`.
///
/// # Errors
/// When the text is no YAML, or has a duration that is none.
pub fn paced(
    rules: &str,
    window: &dyn Fn(Duration) -> Duration,
    hold: &dyn Fn(Duration) -> Duration,
) -> Result<String, PaceError> {
    let mut file: Value = serde_yaml_ng::from_str(rules)?;
    let groups = file.get_mut("groups").and_then(Value::as_sequence_mut);
    for group in groups.into_iter().flatten() {
        pace_field(group, "interval", hold)?;
        for rule in group.get_mut("rules").and_then(Value::as_sequence_mut).into_iter().flatten() {
            pace_field(rule, "for", hold)?;
            if let Some(Value::String(expr)) = rule.get_mut("expr") {
                *expr = pace_expression(expr, window)?;
            }
        }
    }
    Ok(serde_yaml_ng::to_string(&file)?)
}

fn pace_field(of: &mut Value, name: &str, pace: &dyn Fn(Duration) -> Duration) -> Result<(), PaceError> {
    if let Some(Value::String(text)) = of.get_mut(name) {
        *text = written(pace(parse(text)?));
    }
    Ok(())
}

/// The windows, `[5m]` and `[1h:5m]`, and what follows `offset`.
fn pace_expression(expr: &str, pace: &dyn Fn(Duration) -> Duration) -> Result<String, PaceError> {
    let mut out = String::with_capacity(expr.len());
    let mut rest = expr;
    while let Some(at) = rest.find(['"', '\'', '`', '[', 'o', '#']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let whole_word = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        let taken = match from.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => {
                let length = quoted(from, quote);
                out.push_str(from.get(..length).unwrap_or(from));
                length
            }
            Some('#') => {
                let length = from.find('\n').unwrap_or(from.len());
                out.push_str(from.get(..length).unwrap_or(from));
                length
            }
            Some('[') => {
                let end = from.find(']').unwrap_or(from.len());
                out.push('[');
                let lengths: Result<Vec<String>, PaceError> = from
                    .get(1..end)
                    .unwrap_or_default()
                    .split(':')
                    .map(|text| {
                        if text.trim().is_empty() { Ok(String::new()) } else { Ok(written(pace(parse(text.trim())?))) }
                    })
                    .collect();
                out.push_str(&lengths?.join(":"));
                end
            }
            _ if whole_word && from.starts_with("offset ") => {
                let text = from.get("offset ".len()..).unwrap_or_default();
                let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
                out.push_str("offset ");
                out.push_str(&written(pace(parse(text.get(..end).unwrap_or_default())?)));
                "offset ".len() + end
            }
            _ => {
                out.push('o');
                1
            }
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// The length of a text in quotes, both included. Only a backquote knows no escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A duration as Prometheus writes it: numbers with units, the larger first.
fn parse(text: &str) -> Result<Duration, PaceError> {
    let wrong = || PaceError::Duration { found: text.to_owned() };
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            "w" => Duration::from_secs(7 * 86_400),
            "y" => Duration::from_secs(365 * 86_400),
            _ => return Err(wrong()),
        };
        total = unit.checked_mul(number).and_then(|more| total.checked_add(more)).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

fn written(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(duration: Duration) -> Duration {
        duration / 2
    }

    fn check(expr: &str, expected: &str) {
        assert_eq!(pace_expression(expr, &half).unwrap(), expected);
    }

    #[test]
    fn windows_and_offsets_change_and_nothing_else() {
        check("rate(a:rate5m[10s])", "rate(a:rate5m[5000ms])");
        check("sum(x[1h30m] offset 2m) or vector(0)", "sum(x[2700000ms] offset 60000ms) or vector(0)");
        check("max_over_time(x[1h:1m])", "max_over_time(x[1800000ms:30000ms])");
        check("max_over_time(x[1h:])", "max_over_time(x[1800000ms:])");
        check(r#"x{a=~"[45]..",b='\'[5m]',c=`[5m]\`}[2s]"#, r#"x{a=~"[45]..",b='\'[5m]',c=`[5m]\`}[1000ms]"#);
        check("my_offset 5 # [5m] isn't\nx[4s]", "my_offset 5 # [5m] isn't\nx[2000ms]");
        check("x > 300", "x > 300");
    }

    #[test]
    fn a_length_that_is_none_is_an_error() {
        for text in ["", "5", "m", "5x", "5m5", "99999999999m"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        assert!(pace_expression("x[five]", &half).is_err());
    }

    #[test]
    fn a_file_keeps_all_but_its_lengths() {
        let text = "groups:\n- name: g\n  interval: 1m\n  rules:\n  - alert: A\n    expr: x[2m] > 1\n    for: 10m\n    labels: {severity: warning}\n";
        let paced = paced(text, &half, &|_| Duration::from_secs(1)).unwrap();
        let value: Value = serde_yaml_ng::from_str(&paced).unwrap();
        let rule = &value["groups"][0]["rules"][0];
        assert_eq!(value["groups"][0]["interval"], "1000ms");
        assert_eq!((&rule["expr"], &rule["for"]), (&Value::from("x[60000ms] > 1"), &Value::from("1000ms")));
        assert_eq!(rule["labels"]["severity"], "warning");
    }
}
