//! One page for each alert: what it means, how to see it, what to do; and a table of all of them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use promql_parser::parser;

use super::files::{alerts, root};
use super::names;

const SECTIONS: [&str; 3] = ["What it means", "How to see it", "What to do"];

fn folder() -> PathBuf {
    root().join("docs/runbooks")
}

/// A page's sections, by heading, without what stands before the first.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, ""))).collect()
}

/// The blocks of code in one language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let alerts: BTreeSet<_> = alerts().into_iter().map(|alert| format!("{}.md", alert.name)).collect();
    let pages: BTreeSet<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    let missing: Vec<_> = alerts.difference(&pages).collect();
    let orphans: Vec<_> = pages.difference(&alerts).collect();
    assert!(missing.is_empty() && orphans.is_empty(), "without a page: {missing:?}; without an alert: {orphans:?}");
}

#[test]
fn every_runbook_says_three_things() {
    let mut faults = Vec::new();
    for alert in alerts() {
        let page = std::fs::read_to_string(folder().join(format!("{}.md", alert.name))).unwrap();
        if page.lines().next() != Some(&format!("# {}", alert.name)) {
            faults.push(format!("{}: the title", alert.name));
        }
        let found = sections(&page);
        if found.iter().map(|(heading, _)| *heading).ne(SECTIONS) {
            faults.push(format!(
                "{}: the sections are {:?}",
                alert.name,
                found.iter().map(|(heading, _)| heading).collect::<Vec<_>>()
            ));
        }
        faults.extend(
            found
                .iter()
                .filter(|(_, text)| text.trim().len() < 40)
                .map(|(heading, _)| format!("{}: {heading} is empty", alert.name)),
        );
        // Somebody woken at night looks at a page's own commands.
        if found.get(1).is_some_and(|(_, text)| !text.contains("```")) {
            faults.push(format!("{}: nothing to look at it with", alert.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn queries_in_runbooks_parse_and_name_what_exists() {
    let known = names::known();
    let mut faults = Vec::new();
    let mut queries = 0;
    for alert in alerts() {
        let page = std::fs::read_to_string(folder().join(format!("{}.md", alert.name))).unwrap();
        // One query is a block, or a part of it between empty lines; lines that begin with `#` are remarks, as in PromQL.
        for query in blocks(&page, "promql")
            .into_iter()
            .flat_map(|block| block.split("\n\n"))
            .filter(|query| !query.trim().is_empty())
        {
            queries += 1;
            match parser::parse(query) {
                Ok(expr) => faults
                    .extend(names::faults(&expr, &known).0.into_iter().map(|fault| format!("{}: {fault}", alert.name))),
                Err(error) => faults.push(format!("{}: {error}: {query}", alert.name)),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(queries > 30, "{queries}");
}

#[test]
fn the_table_of_alerts_is_up_to_date() {
    let mut found = String::from(
        "# Runbooks\n\nOne page for each alert of `prometheus/rules/`. An alert's `runbook_url` leads to its page, its `dashboard_url` to what it looks \
         like. *Threshold* is what the value is compared with, *for* how long that has to hold; where more than one window counts, the page says so.\n\n\
         A test makes this table from the rules.\n\n\
         | alert | severity | team | threshold | for | meaning |\n|---|---|---|---|---|---|\n",
    );
    for alert in alerts() {
        let (sign, number) = alert.threshold().unwrap();
        let page = std::fs::read_to_string(folder().join(format!("{}.md", alert.name))).unwrap();
        let meaning = sections(&page)[0].1.trim().lines().next().unwrap().to_owned();
        let pending = if alert.pending.is_empty() { "–" } else { &alert.pending };
        let (severity, team) = (&alert.labels["severity"], &alert.labels["team"]);
        let _ = writeln!(
            found,
            "| [{0}]({0}.md) | {severity} | {team} | {sign} {number} | {pending} | {meaning} |",
            alert.name
        );
    }
    let path = folder().join("README.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/runbooks/README.md differs; if that is meant, run again with UPDATE_EXPECT=1:\n{found}"
    );
}
