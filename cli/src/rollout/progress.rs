//! What a running rollout says: a line for each thing that happened, and on a terminal what it waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rollout::engine::Observer;
use rollout::hands::Taken;
use rollout::journal::entry::{Entry, Event};
use rollout::judge::{Judgement, Verdict};

use super::preflight::{Check, Progress};
use crate::table::printable;

/// Writes to standard error, so that standard output has the result alone.
#[derive(Debug)]
pub struct Lines {
    bar: Option<ProgressBar>,
    /// What the last look of a ring came to, so that only what is new is said.
    said: Option<(String, Verdict)>,
    /// Rings that keep the build: of them only what is bad is said, or it would alternate with what is said of the next one.
    kept: BTreeSet<String>,
}

impl Lines {
    /// Nothing is said where `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, said: None, kept: BTreeSet::new() }
    }

    fn line(&self, text: &str) {
        if let Some(bar) = &self.bar {
            if bar.is_hidden() {
                eprintln!("{text}");
            } else {
                bar.println(text);
            }
        }
    }

    fn wait(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(printable(text));
        }
    }

    fn looked(&mut self, ring: &str, judgement: &Judgement) -> Option<String> {
        if self.kept.contains(ring) && judgement.verdict != Verdict::Fail {
            return None;
        }
        let now = (ring.to_owned(), judgement.verdict);
        let news = self.said.as_ref() != Some(&now);
        self.said = Some(now);
        let gates = |verdict| judgement.gates.iter().filter(move |gate| gate.verdict == verdict);
        match judgement.verdict {
            Verdict::Fail => {
                let reasons: Vec<&str> = gates(Verdict::Fail).map(|gate| gate.reason.as_str()).collect();
                Some(format!("ring {ring}: FAIL: {}", reasons.join("; ")))
            }
            Verdict::Pass if news => {
                Some(format!("ring {ring}: every gate passes, {:.0} requests", judgement.requests))
            }
            Verdict::Inconclusive => {
                let open: Vec<&str> = gates(Verdict::Inconclusive).map(|gate| gate.gate.as_str()).collect();
                self.wait(&format!(
                    "ring {ring}: {:.0} requests; not decided: {}",
                    judgement.requests,
                    open.join(", ")
                ));
                None
            }
            Verdict::Pass => None,
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Lines {
    fn begins(&mut self, what: &str) {
        self.wait(&format!("looking at {what}"));
    }

    fn done(&mut self, check: &Check) {
        let mark = if check.holds { "ok" } else { "NO" };
        self.line(&format!("{mark}  {}: {}", check.check, printable_lines(&check.found)));
    }

    fn gathers(&mut self, ring: &str, judgement: &Judgement, left: Duration) -> bool {
        let open: Vec<&str> = judgement
            .gates
            .iter()
            .filter(|gate| gate.verdict == Verdict::Inconclusive)
            .map(|gate| gate.gate.as_str())
            .collect();
        let left = left.as_secs();
        self.wait(&format!("ring {ring} as it is: not decided yet: {}; at most {left} s more", open.join(", ")));
        true
    }
}

impl Observer for Lines {
    fn entry(&mut self, entry: &Entry) {
        if let Event::Promoted { ring, .. } = &entry.what {
            self.kept.insert(ring.clone());
        }
        let text = match &entry.what {
            Event::Looked { ring, judgement, .. } => self.looked(ring, judgement),
            what => text(what),
        };
        if let Some(text) = text {
            self.line(&format!("{}  {}", entry.at.strftime("%H:%M:%S"), printable_lines(&text)));
        }
    }

    fn waits(&mut self, what: &str) {
        self.wait(what);
    }
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n    ")
}

/// What happened, in a line; none for what is of no interest while it runs.
fn text(what: &Event) -> Option<String> {
    let with = |text: String, comment: &str| if comment.is_empty() { text } else { format!("{text}: {comment}") };
    Some(match what {
        Event::Opened { rollout, .. } => format!("rollout {rollout}"),
        Event::Preflight { check, holds: false, found } => format!("{check}: {found}"),
        Event::Preflight { .. } | Event::Recorded { .. } | Event::Writing { .. } | Event::Looked { .. } => return None,
        Event::RingStarted { ring } => format!("ring {ring}: gets the build"),
        Event::Written { target, taken } => format!("{target}: {}", said(taken)),
        Event::Converged { ring } => format!("ring {ring}: every proxy reports the build"),
        Event::Promoted { ring, why } => format!("ring {ring}: keeps the build: {why}"),
        Event::Waiting { ring, why } => format!("ring {ring}: waits: {why}"),
        Event::Approved { ring, comment } => with(format!("ring {ring}: approved"), comment),
        Event::Paused { comment } => with("paused".to_owned(), comment),
        Event::Resumed { comment } => with("goes on".to_owned(), comment),
        Event::RollingBack { reason } => format!("TAKEN BACK: {reason}"),
        Event::Restored { target, taken } => format!("{target}: has what it had before; {}", said(taken)),
        Event::Verified { ring, found } => format!("ring {ring}: {found}"),
        Event::Trouble { what } => format!("trouble: {what}"),
        Event::Finished { outcome, reason } => format!("{outcome}: {reason}"),
    })
}

fn said(taken: &Taken) -> String {
    match taken {
        Taken::Yes => "taken".to_owned(),
        Taken::Pending(why) => format!("not taken yet: {why}"),
        Taken::Refused(why) => format!("REFUSED: {why}"),
    }
}
