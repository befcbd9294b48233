//! Filter state for the proxy's access log, and the plugin's own log lines.

use std::fmt::Write as _;

use crate::config::Config;
use crate::rule::Rules;

/// The keys under which the filter leaves what it knows about a stream, for the proxy's access log; `None` for what the configuration leaves out.
///
/// Each is one part of a property path, literally, dots and all: the proxy shows it as
/// `%FILTER_STATE(wasm.<namespace>.correlation_id:PLAIN)%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterStateKeys {
    /// The correlation ID.
    pub correlation_id: Option<String>,
    /// The endpoint label.
    pub endpoint: Option<String>,
    /// What became of the incoming correlation ID.
    pub outcome: Option<String>,
    /// Facts, by position.
    pub facts: Vec<(String, usize)>,
}

impl FilterStateKeys {
    /// The keys of this configuration.
    pub fn new(config: &Config) -> Self {
        let key = |is_shown: bool, name: &str| is_shown.then(|| format!("{}.{name}", config.namespace()));
        let shown = config.access_log();
        let name = |fact: usize| config.rules().facts().get(fact).map(|fact| fact.name.as_str());
        Self {
            correlation_id: key(shown.correlation_id(), "correlation_id"),
            endpoint: key(shown.endpoint(), "endpoint"),
            outcome: key(shown.outcome(), "outcome"),
            facts: shown.facts().iter().filter_map(|fact| Some((key(true, name(*fact)?)?, *fact))).collect(),
        }
    }
}

impl FilterStateKeys {
    /// Those of facts that are numbers.
    pub fn numbers<'a>(&'a self, rules: &'a Rules) -> impl Iterator<Item = &'a (String, usize)> {
        self.facts.iter().filter(|(_, fact)| rules.facts().get(*fact).is_some_and(|fact| fact.is_number))
    }
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Something did not work, and the filter went on without it.
    Warn,
    /// The filter cannot do its work.
    Error,
}

impl Level {
    /// `debug`, `info`, `warn` or `error`.
    #[inline]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The longest line, in bytes.
pub const MAX_LINE: usize = 4096;

/// What closes a line that lost something.
const TRUNCATED: &str = ",\"truncated\":true}";

/// Writes log lines, each one JSON object on one line of at most [`MAX_LINE`] bytes, into one buffer.
///
/// ```
/// use telemetry::log::{Level, LineWriter};
///
/// let mut writer = LineWriter::default();
/// let line = writer.line(1_700_000_000_123_456_000, Level::Warn, "edge_observer", "hostcall failed").text("hostcall", b"set_property").finish();
/// assert_eq!(
///     line,
///     r#"{"timestamp":"2023-11-14T22:13:20.123456Z","level":"warn","logger":"edge_observer","message":"hostcall failed","hostcall":"set_property"}"#
/// );
/// ```
#[derive(Debug)]
pub struct LineWriter {
    buffer: String,
}

/// A line in the making. Fields whose name is taken twice are the caller's mistake.
#[derive(Debug)]
pub struct Line<'a> {
    buffer: &'a mut String,
    truncated: bool,
}

impl Default for LineWriter {
    fn default() -> Self {
        Self { buffer: String::with_capacity(MAX_LINE) }
    }
}

impl LineWriter {
    /// Begins a line. `unix_ns` is the time in nanoseconds since 1970. What was written before is gone.
    #[inline]
    pub fn line(&mut self, unix_ns: u64, level: Level, logger: &str, message: &str) -> Line<'_> {
        self.buffer.clear();
        self.buffer.push_str("{\"timestamp\":\"");
        siem::time::rfc3339(unix_ns, &mut self.buffer);
        self.buffer.push('"');
        Line { buffer: &mut self.buffer, truncated: false }
            .text("level", level.as_str().as_bytes())
            .text("logger", logger.as_bytes())
            .text("message", message.as_bytes())
    }
}

impl<'a> Line<'a> {
    /// Adds text. Bytes that are not UTF-8 are replaced by U+FFFD; what does not fit is cut off.
    #[inline]
    #[must_use]
    pub fn text(mut self, name: &str, value: &[u8]) -> Self {
        let start = self.buffer.len();
        if !(self.push(",\"", 0) && self.push_escaped(name.as_bytes(), 0) && self.push("\":\"", 1)) {
            return self.without(start);
        }
        // One byte is kept for the closing quote.
        if !self.push_escaped(value, 1) {
            self.truncated = true;
        }
        self.buffer.push('"');
        self
    }

    /// Adds a whole number.
    #[inline]
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        let start = self.buffer.len();
        let digits = value.checked_ilog10().map_or(1, |log| log as usize + 1);
        if !(self.push(",\"", 0) && self.push_escaped(name.as_bytes(), 0) && self.push("\":", digits)) {
            return self.without(start);
        }
        let _ = write!(self.buffer, "{value}");
        self
    }

    /// The finished line, without a line break at its end.
    #[inline]
    pub fn finish(self) -> &'a str {
        self.buffer.push_str(if self.truncated { TRUNCATED } else { "}" });
        self.buffer
    }

    /// Takes back a field that does not fit.
    #[inline]
    fn without(mut self, start: usize) -> Self {
        self.buffer.truncate(start);
        self.truncated = true;
        self
    }

    /// Adds `text` if it and `after` more bytes fit before what closes the line.
    #[inline]
    fn push(&mut self, text: &str, after: usize) -> bool {
        let fits = self.buffer.len() + text.len() + after + TRUNCATED.len() <= MAX_LINE;
        if fits {
            self.buffer.push_str(text);
        }
        fits
    }

    /// Adds the inside of a JSON string, character by character, as far as it and `after` more bytes fit.
    #[inline]
    fn push_escaped(&mut self, bytes: &[u8], after: usize) -> bool {
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                if !self.push_char(c, after) {
                    return false;
                }
            }
            if !chunk.invalid().is_empty() && !self.push_char(char::REPLACEMENT_CHARACTER, after) {
                return false;
            }
        }
        true
    }

    #[inline]
    fn push_char(&mut self, c: char, after: usize) -> bool {
        let mut utf8 = [0; 4];
        match c {
            '"' => self.push("\\\"", after),
            '\\' => self.push("\\\\", after),
            '\n' => self.push("\\n", after),
            '\r' => self.push("\\r", after),
            '\t' => self.push("\\t", after),
            // Line breaks to some readers (NEL, LS, PS) are escaped like control characters; all are below U+10000.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let code = u32::from(c);
                let digit = |shift: u32| char::from_digit(code >> shift & 0xf, 16).unwrap_or('0');
                // All six bytes or none.
                self.push("", 6 + after) && {
                    self.buffer.push_str("\\u");
                    self.buffer.extend([12, 8, 4, 0].map(digit));
                    true
                }
            }
            c => self.push(c.encode_utf8(&mut utf8), after),
        }
    }
}

#[cfg(test)]
mod tests;
