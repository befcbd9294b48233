//! Reads stat names back into metric names and labels.

use std::collections::BTreeMap;

/// Splits `NAME.label=.=VALUE;.;…`.
pub(crate) fn parse(stat: &str) -> (String, BTreeMap<String, String>) {
    let Some(first) = stat.find("=.=") else { return (stat.trim_end_matches('.').to_owned(), BTreeMap::new()) };
    let start = stat[..first].rfind('.').unwrap();
    let labels = stat[start + 1..]
        .split(";.;")
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once("=.=").unwrap_or_else(|| panic!("{part:?} in {stat}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (stat[..start].to_owned(), labels)
}

/// The value of one series, 0 when it does not exist.
pub(crate) fn value(counters: &BTreeMap<String, u64>, name: &str, labels: &BTreeMap<String, String>) -> u64 {
    counters.iter().filter(|(stat, _)| parse(stat) == (name.to_owned(), labels.clone())).map(|(_, value)| value).sum()
}

/// The sum over every metric whose name ends so.
pub(crate) fn sum(counters: &BTreeMap<String, u64>, suffix: &str) -> u64 {
    counters.iter().filter(|(stat, _)| parse(stat).0.ends_with(suffix)).map(|(_, value)| value).sum()
}
