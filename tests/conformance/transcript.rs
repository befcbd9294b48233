//! What was logged and answered, without what differs by nature, and how two transcripts differ.

use std::fmt::{self, Write as _};

use fancy_regex::Regex;

/// A part of a line that is not compared.
#[derive(Debug)]
pub(super) struct Mask {
    /// What it is.
    name: &'static str,
    /// What finds it.
    pattern: &'static str,
    /// What stands there instead.
    replacement: &'static str,
    /// Why it differs by nature.
    why: &'static str,
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// What is not compared.
pub(super) const MASKS: [Mask; 2] = [
    Mask {
        name: "number of a stream's header lines",
        pattern: r"(?<=_headers\(stream, headers=)\d+",
        replacement: "N",
        why: "Envoy adds headers of its own to requests and responses",
    },
    Mask {
        name: "number of an answer's header lines",
        pattern: r"(?<=^> on_http_call_response\(root, call \d, headers=)[1-9]\d*",
        replacement: "N",
        why: "Envoy adds headers of its own to the answers to callouts",
    },
];

/// What one case said, line by line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transcript {
    /// The case.
    pub(super) case: String,
    /// The lines.
    pub(super) lines: Vec<String>,
}

/// Applies [`MASKS`].
#[derive(Debug)]
pub(super) struct Masks(Vec<(Regex, &'static str)>);

impl Masks {
    /// Ready for use.
    pub(super) fn new() -> Self {
        Self(MASKS.iter().map(|mask| (Regex::new(mask.pattern).unwrap(), mask.replacement)).collect())
    }

    /// The line as it is compared.
    fn apply(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, (regex, with)| regex.replace_all(&line, *with).into_owned())
    }
}

/// Where two transcripts of a case part ways and meet again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    /// Lines of Envoy that the host lacks.
    pub(super) envoy: Vec<String>,
    /// Lines of the host that Envoy lacks.
    pub(super) host: Vec<String>,
}

impl Hunk {
    /// As a unified diff has it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (sign, lines) in [('-', &self.envoy), ('+', &self.host)] {
            for line in lines {
                let _ = writeln!(text, "{sign} {line}");
            }
        }
        text
    }
}

/// The hunks from Envoy's lines to the host's.
pub(super) fn difference(masks: &Masks, envoy: &Transcript, host: &Transcript) -> Vec<Hunk> {
    let envoy: Vec<String> = envoy.lines.iter().map(|line| masks.apply(line)).collect();
    let host: Vec<String> = host.lines.iter().map(|line| masks.apply(line)).collect();
    // The length of what the ends from `i` and `j` have in common.
    let mut common = vec![vec![0_usize; host.len() + 1]; envoy.len() + 1];
    for i in (0..envoy.len()).rev() {
        for j in (0..host.len()).rev() {
            common[i][j] =
                if envoy[i] == host[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut hunks = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < envoy.len() || j < host.len() {
        let mut hunk = Hunk { envoy: Vec::new(), host: Vec::new() };
        loop {
            match (envoy.get(i), host.get(j)) {
                (Some(theirs), Some(ours)) if theirs == ours => break,
                (Some(theirs), ours) if ours.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                    hunk.envoy.push(theirs.clone());
                    i += 1;
                }
                (_, Some(ours)) => {
                    hunk.host.push(ours.clone());
                    j += 1;
                }
                (_, None) => break,
            }
        }
        if hunk.envoy.is_empty() && hunk.host.is_empty() {
            i += 1;
            j += 1;
        } else {
            hunks.push(hunk);
        }
    }
    hunks
}
