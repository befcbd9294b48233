//! What was logged and answered, without what differs by nature, and how two transcripts differ.

use std::fmt::{self, Write as _};

use fancy_regex::Regex;

/// A part of a line that is not compared.
#[derive(Debug)]
pub(super) struct Mask {
    /// What it is.
    name: &'static str,
    /// Why it differs by nature.
    why: &'static str,
    /// What finds it.
    pattern: &'static str,
    /// What stands there instead.
    replacement: &'static str,
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// What is not compared.
pub(super) const MASKS: [Mask; 3] = [
    Mask {
        name: "the number of header lines",
        why: "Envoy adds some of its own, also where they stand for trailers, and the host takes off those of the connection",
        pattern: r"(?x)(?<=_headers\(stream,\ headers=)\d+|(?<=>\ on_http_call_response\(root,\ call\ \d,\ headers=)[1-9]\d*
            |(?<=>\ on_grpc_receive_initial_metadata\(root,\ call\ \d,\ headers=)[1-9]\d*
            |(?<=>\ on_grpc_receive_trailing_metadata\(root,\ call\ \d,\ trailers=)(?:[7-9]|\d\d)",
        replacement: "N",
    },
    Mask {
        name: "`connection`, `transfer-encoding`, `x-envoy-external-address` among all headers",
        why: "these are the header lines in question",
        pattern: r"(?x)
            ,\ (?:connection=close|transfer-encoding=chunked|x-envoy-external-address=127\.0\.0\.1)(?=[,\]])
            |(?<=\[)(?:connection=close|transfer-encoding=chunked)(?:,\ )?",
        replacement: "",
    },
    Mask {
        name: "an empty last piece of a body, when the probe does nothing in between",
        why: "Envoy's HTTP/1 codec learns of the end after the last bytes, the host often with them",
        pattern: r"(?m)^(> on_(request|response)_body\(stream, size=\d+), end=0\)\n> on_\2_body\(stream, size=0, end=1\)$",
        replacement: "$1, end=1)",
    },
];

/// What one case said, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// The lines as they are compared.
    fn apply(&self, transcript: &Transcript) -> Vec<String> {
        let text = transcript.lines.join("\n");
        let masked = self.0.iter().fold(text, |text, (regex, with)| regex.replace_all(&text, *with).into_owned());
        masked.lines().map(str::to_owned).collect()
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
    let (envoy, host) = (masks.apply(envoy), masks.apply(host));
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
