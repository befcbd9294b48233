//! How the transcripts differ, by reason: the text of the golden file.

use std::fmt::Write as _;

use fancy_regex::Regex;

use super::cases::CRASHES;
use super::tcp;
use super::transcript::{Hunk, MASKS};

/// Why hunks differ.
#[derive(Debug)]
struct Reason {
    /// The reason.
    why: &'static str,
    /// What finds its hunks, in their text; a hunk is of the first reason that finds it.
    sign: &'static str,
}

/// The reasons that are known, the most particular first.
const REASONS: [Reason; 7] = [
    Reason {
        why: "A request that HTTP does not allow (no method, no path) is sent by Envoy; the host's client refuses to.",
        sign: r#"(?s)\A- > on_http_call_response\(.*\n\+ .* get_status\(\) = Ok "reset"|\A- .*call_body.* "saw (GET )? "#,
    },
    Reason {
        why: "Statuses that HTTP does not allow, and a body with 204: hyper sends neither.",
        sign: r#""(?:zero|ninety-nine|thousand|a body that may not be)""#,
    },
    Reason {
        why: "A request whose body ends short of its `content-length`: Envoy leaves the upstream waiting, and the client; \
              the host's client ends the connection, which is a 503.",
        sign: r"on_response_body\(stream, size=95, end=1\)|reset reason: connection termination|no answer in time",
    },
    Reason {
        why: "To go on with the response from within its own headers callback makes Envoy send a malformed answer.",
        sign: "client: a malformed answer",
    },
    Reason {
        why: "Expressions that make messages, have types as values or other time zones than UTC: the host has none of these.",
        sign: r#"\A[-+] request_headers expr_[a-z]+\("(type\(1\)|int\b|google\.|timestamp\(0\)\.getHours\('|request\.time\.getHours\(')"#,
    },
    Reason {
        why: "Signatures with SHA-1 and SHA-224, and with a hash that does not go with the curve: the host's library makes none.",
        sign: "not supported by this host",
    },
    Reason {
        why: "Envoy tells of an item in a queue after everything that one read brought; the host between two callbacks.",
        sign: r"\A[-+] > on_request_body\(stream, size=5, end=0\)\n[-+] > on_request_trailers\(stream, trailers=1\)\n\z",
    },
];

/// Of hunks without a known reason.
const UNEXPLAINED: &str = "Not explained yet.";

/// All differences, with what is not compared at all before them.
pub(super) fn report(cases: usize, hunks: &[(String, Hunk)]) -> String {
    let mut differing: Vec<&str> = hunks.iter().map(|(case, _)| case.as_str()).collect();
    differing.dedup();
    let mut text = String::from(
        "How the embedded host (+) differs from Envoy 1.40 (-), as the conformance probe sees them. Made by\n\
         `UPDATE_EXPECT=1 cargo test --package tests conformance`; the reasons are in tests/conformance/differences.rs.\n\n",
    );
    let _ = writeln!(text, "{} of {cases} cases are the same, line by line.\n", cases - differing.len());
    let _ = writeln!(text, "Masked:");
    for mask in &MASKS {
        let _ = writeln!(text, "  {mask}");
    }
    let _ = writeln!(text, "\nLeft out, since Envoy 1.40 ends (a segmentation fault, or a failed assertion):");
    for case in CRASHES.iter().chain(&tcp::CRASHES) {
        let _ = writeln!(text, "  {case}");
    }
    let sections = sections(hunks);
    let _ = writeln!(text, "\nReasons, and in how many places they show:");
    for (why, found) in &sections {
        let _ = writeln!(text, "  ({}) {why}", found.len());
    }
    for (why, found) in &sections {
        section(&mut text, why, found);
    }
    text
}

/// The hunks by reason, as text with their cases.
fn sections(hunks: &[(String, Hunk)]) -> Vec<(&'static str, Vec<(&str, String)>)> {
    let signs: Vec<Regex> = REASONS.iter().map(|reason| Regex::new(reason.sign).unwrap()).collect();
    let mut sections: Vec<_> = REASONS.iter().map(|reason| (reason.why, Vec::new())).collect();
    sections.push((UNEXPLAINED, Vec::new()));
    for (case, hunk) in hunks {
        let text = hunk.text();
        let at = signs.iter().position(|sign| sign.is_match(&text).unwrap()).unwrap_or(REASONS.len());
        sections[at].1.push((case.as_str(), text));
    }
    sections
}

/// The hunks of one reason; those that are alike are told once, with all their cases.
fn section(text: &mut String, why: &str, hunks: &[(&str, String)]) {
    if hunks.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n\n## {why}");
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for (case, lines) in hunks {
        match told.iter_mut().find(|(known, _)| known == lines) {
            Some((_, cases)) => cases.push(case),
            None => told.push((lines, vec![case])),
        }
    }
    for (lines, mut cases) in told {
        cases.dedup();
        let _ = write!(text, "\n== {}\n{lines}", cases.join("\n== "));
    }
}
