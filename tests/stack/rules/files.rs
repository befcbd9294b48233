//! The rules and their unit tests, as they are on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promql_parser::parser::{self, Expr};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    #[serde(rename = "interval")]
    _interval: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) record: Option<String>,
    alert: Option<String>,
    pub(super) expr: String,
    #[serde(rename = "for", default)]
    pending: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Rule {
    /// What it is called, for messages.
    pub(super) fn name(&self) -> &str {
        self.record.as_deref().or(self.alert.as_deref()).unwrap_or_default()
    }

    pub(super) fn parsed(&self) -> Expr {
        parser::parse(&self.expr).unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }
}

/// An alert.
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) pending: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    expr: Expr,
}

impl Alert {
    /// What its value is compared with: the first comparison that its expression comes to, past guards and alternatives.
    pub(super) fn threshold(&self) -> Option<(String, f64)> {
        fn number(expr: &Expr) -> Option<f64> {
            match expr {
                Expr::NumberLiteral(number) => Some(number.val),
                Expr::Paren(paren) => number(&paren.expr),
                _ => None,
            }
        }
        let mut expr = &self.expr;
        loop {
            match expr {
                Expr::Paren(paren) => expr = &paren.expr,
                Expr::Binary(binary) if binary.op.is_set_operator() => expr = &binary.lhs,
                Expr::Binary(binary) if binary.op.is_comparison_operator() => {
                    return number(&binary.rhs).map(|number| (binary.op.to_string(), number));
                }
                _ => return None,
            }
        }
    }
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<UnitTest>,
}

#[derive(Deserialize)]
pub(super) struct UnitTest {
    pub(super) name: String,
    #[serde(default)]
    pub(super) alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
pub(super) struct AlertTest {
    pub(super) alertname: String,
    #[serde(default)]
    pub(super) exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Deserialize)]
pub(super) struct ExpectedAlert {
    #[serde(default)]
    pub(super) exp_annotations: BTreeMap<String, String>,
}

pub(super) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The YAML files of a folder.
pub(super) fn yaml(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .yml file in {folder}");
    files
}

fn read<T: DeserializeOwned>(folder: &str) -> Vec<T> {
    yaml(folder)
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

pub(super) fn groups() -> Vec<Group> {
    read::<RuleFile>("prometheus/rules").into_iter().flat_map(|file| file.groups).collect()
}

pub(super) fn rules() -> Vec<Rule> {
    groups().into_iter().flat_map(|group| group.rules).collect()
}

pub(super) fn alerts() -> Vec<Alert> {
    rules()
        .into_iter()
        .filter(|rule| rule.alert.is_some())
        .map(|rule| Alert {
            expr: rule.parsed(),
            name: rule.alert.unwrap(),
            pending: rule.pending,
            labels: rule.labels,
            annotations: rule.annotations,
        })
        .collect()
}

pub(super) fn unit_tests() -> Vec<UnitTest> {
    read::<TestFile>("prometheus/tests").into_iter().flat_map(|file| file.tests).collect()
}
