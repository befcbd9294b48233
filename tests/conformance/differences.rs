//! How the transcripts differ, by reason: the text of the golden file.

use std::fmt::Write as _;

use super::cases::CRASHES;
use super::transcript::{Hunk, MASKS};

/// Why hunks differ.
#[derive(Debug)]
struct Reason {
    /// The reason.
    why: &'static str,
    /// A hunk is of the first reason of which one of its lines contains one of these.
    signs: &'static [&'static str],
}

/// The reasons that are known, the most particular first.
const REASONS: [Reason; 1] = [Reason {
    why: "The host has no clusters without endpoints: their name is unknown to it.",
    signs: &["http_call(\"nobody\""],
}];

/// Of hunks without a known reason.
const UNEXPLAINED: &str = "Not explained yet.";

/// All differences, with what is not compared at all before them.
pub(super) fn report(cases: usize, hunks: &[(String, Hunk)]) -> String {
    let mut differing: Vec<&str> = hunks.iter().map(|(case, _)| case.as_str()).collect();
    differing.dedup();
    let mut text = String::from(
        "How the embedded host (+) differs from Envoy 1.40 (-), as the conformance probe sees them. Made by\n\
         `UPDATE_EXPECT=1 cargo test --package tests conformance`; the reasons are in conformance/differences.rs.\n\n",
    );
    let _ = writeln!(text, "{} of {cases} cases are the same, line by line.\n", cases - differing.len());
    let _ = writeln!(text, "Masked:");
    for mask in &MASKS {
        let _ = writeln!(text, "  {mask}");
    }
    let _ = writeln!(text, "\nLeft out, since Envoy 1.40 ends with a segmentation fault:");
    for case in CRASHES {
        let _ = writeln!(text, "  {case}");
    }
    let sections = REASONS.iter().map(|reason| reason.why).chain([UNEXPLAINED]);
    let _ = writeln!(text, "\nReasons:");
    for (number, why) in (1..).zip(sections.clone()) {
        let count = hunks.iter().filter(|(_, hunk)| reason_of(hunk) == why).count();
        let _ = writeln!(text, "  {number}. {why} ({count})");
    }
    for (number, why) in (1..).zip(sections) {
        section(&mut text, number, why, hunks);
    }
    text
}

/// The hunks of one reason; those that are alike are told once, with all their cases.
fn section(text: &mut String, number: usize, why: &str, hunks: &[(String, Hunk)]) {
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for (case, hunk) in hunks.iter().filter(|(_, hunk)| reason_of(hunk) == why) {
        let lines = hunk.text();
        let at = told.iter().position(|(known, _)| *known == lines).unwrap_or_else(|| {
            told.push((lines, Vec::new()));
            told.len() - 1
        });
        told[at].1.push(case);
    }
    if !told.is_empty() {
        let _ = writeln!(text, "\n\n{number}. {why}");
    }
    for (lines, mut cases) in told {
        cases.dedup();
        let _ = write!(text, "\n== {}\n{lines}", cases.join("\n== "));
    }
}

fn reason_of(hunk: &Hunk) -> &'static str {
    let lines = || hunk.envoy.iter().chain(&hunk.host);
    let found = REASONS.iter().find(|reason| lines().any(|line| reason.signs.iter().any(|sign| line.contains(sign))));
    found.map_or(UNEXPLAINED, |reason| reason.why)
}
