//! A plugin configuration as people write it: YAML or JSON, from a file or standard input.

mod strict;

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;
use telemetry::config::{Config, ConfigError};

use crate::Usage;
use crate::table::plural;

/// The name that stands for standard input.
pub const STDIN: &str = "-";

/// A configuration that was read and is valid.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The same as the JSON that the proxy hands to the filter.
    pub json: String,
}

/// What is wrong with a configuration file.
#[derive(Debug)]
pub enum Problem {
    /// It could not be read at all.
    Unreadable(io::Error),
    /// Its mistakes, in the order of the file; at least one.
    Mistakes(Vec<Mistake>),
}

impl Problem {
    /// One message that names the file and has all of its mistakes.
    pub fn into_error(self, file: &Path) -> anyhow::Error {
        let name = file.display();
        match self {
            Problem::Unreadable(error) => Usage::error(format!("cannot read {name}: {error}")),
            Problem::Mistakes(mistakes) => {
                let lines: Vec<String> = mistakes.iter().map(|mistake| format!("{name}: {mistake}")).collect();
                let number = plural(mistakes.len() as u64, "mistake");
                anyhow::anyhow!("the configuration has {number}:\n{}", lines.join("\n"))
            }
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The field, such as `routes.table[3].template`, or `line 3, column 7` of a text that is no YAML or JSON at all.
    pub path: String,
    /// What was found, and the cure.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl From<&ConfigError> for Mistake {
    fn from(error: &ConfigError) -> Self {
        let path = if error.path.is_empty() { "configuration".to_owned() } else { error.path.clone() };
        Self { path, message: error.message.clone() }
    }
}

/// Reads and validates a file; `-` is standard input.
///
/// # Errors
/// That the file cannot be read, or all of its mistakes.
pub fn load(path: &Path) -> Result<Loaded, Problem> {
    validate(value(path)?).map_err(Problem::Mistakes)
}

/// Reads a file without validating it as a configuration; `-` is standard input.
///
/// # Errors
/// That the file cannot be read, or is no YAML or JSON.
pub fn value(path: &Path) -> Result<Value, Problem> {
    let bytes = if path.as_os_str() == STDIN {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    parse_value(&bytes.map_err(Problem::Unreadable)?).map_err(|mistake| Problem::Mistakes(vec![mistake]))
}

/// The same for one that a command needs: the error is one message that names the file and has all of its mistakes.
///
/// # Errors
/// As [`load`].
pub fn require(path: &Path) -> anyhow::Result<Loaded> {
    load(path).map_err(|problem| problem.into_error(path))
}

/// Parses and validates YAML or JSON (which is read as JSON when its first character is `{`). An empty text is the default configuration.
///
/// # Errors
/// All mistakes: first those that make it no YAML or JSON, else those of the configuration.
pub fn parse(bytes: &[u8]) -> Result<Loaded, Vec<Mistake>> {
    validate(parse_value(bytes).map_err(|mistake| vec![mistake])?)
}

fn parse_value(bytes: &[u8]) -> Result<Value, Mistake> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Mistake { path: format!("line {line}"), message: "not UTF-8; save the file as UTF-8".to_owned() }
    })?;
    strict::value(text)
}

fn validate(value: Value) -> Result<Loaded, Vec<Mistake>> {
    let json = value.to_string();
    match Config::from_value(value) {
        Ok(config) => Ok(Loaded { config, json }),
        Err(errors) => Err(errors.iter().map(Mistake::from).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        parse(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn yaml_and_json_of_the_same_content_are_the_same_configuration() {
        let yaml = parse(b"# a comment\nnamespace: shop\nmetrics: {flush_interval_ms: 500}\n").unwrap();
        let json = parse(b"{\"metrics\": {\"flush_interval_ms\": 500},\n\t\"namespace\": \"shop\"}").unwrap();
        assert_eq!(yaml.config.digest(), json.config.digest());
        assert_eq!(yaml.config.namespace(), "shop");
    }

    #[test]
    fn nothing_is_the_default() {
        for text in ["", "\n", "# only a comment\n", "---\n", "{}"] {
            assert_eq!(parse(text.as_bytes()).unwrap().config.namespace(), "eucora", "{text:?}");
        }
    }

    #[test]
    fn what_is_no_yaml_or_json_says_where() {
        let cases = [
            ("namespace: a\nnamespace: b\n", "line 2, column 1: key `namespace` comes twice; keep one"),
            ("namespace: [a\nring: b\n", "line 2"),
            ("\tnamespace: a\n", "line 1"),
            ("metrics:\n\tmethods: [GET]\n", "line 2, column 1: found a tab; indent with spaces"),
            ("{\"namespace\": \"a\" \"ring\": 1}", "line 1, column 19: "),
            ("{\"namespace\": \"a\", \"namespace\": \"b\"}", "key `namespace` comes twice; keep one"),
            ("{\"a\": 1} x", "line 1, column 10: "),
            ("metrics:\n  series_budget: .inf\n", "not a finite number"),
            ("a: 1\n---\nb: 2\n", "more than one"),
            ("metrics:\n  methods: &m [GET]\n  statuses: *n\n", "unknown anchor"),
        ];
        for (text, expected) in cases {
            let found = mistakes(text);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].contains(expected), "{text:?}: {found:?}");
        }
        let error = parse(b"namespace: a\nring: \xff\n").unwrap_err();
        assert_eq!(error[0].to_string(), "line 2: not UTF-8; save the file as UTF-8");
    }

    #[test]
    fn every_mistake_of_the_configuration_is_reported() {
        let found = mistakes("namespace: Shop\nmetrics: {flush_interval_ms: 5}\nroutse: {}\n");
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn one_message_names_the_file_and_all_mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bad.yaml");
        fs::write(&file, "namespace: Shop\nmetrics: {flush_interval_ms: 5}\n").unwrap();
        let message = require(&file).unwrap_err().to_string();
        assert!(message.starts_with("the configuration has 2 mistakes:\n"), "{message}");
        assert_eq!(message.matches("bad.yaml: ").count(), 2, "{message}");
        let message = require(&folder.path().join("none.yaml")).unwrap_err().to_string();
        assert!(message.starts_with("cannot read ") && message.contains("none.yaml"), "{message}");
    }
}
