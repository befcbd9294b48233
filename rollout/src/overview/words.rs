//! Entries in words.

use crate::hands::Taken;
use crate::journal::entry::{Event, Outcome};
use crate::judge::Verdict;

/// An outcome in words: `done`, `rolled back`, `refused`.
#[must_use]
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::RolledBack => "rolled back",
        Outcome::Refused => "refused",
    }
}

/// What happened, as one line. What people wrote is in it as they wrote it: whoever shows it escapes it.
#[must_use]
pub fn words(event: &Event) -> String {
    match event {
        Event::Opened { module_sha256, .. } => format!("started, module {}", short(module_sha256)),
        Event::Preflight { check, holds: true, found } => format!("preflight {check}: {found}"),
        Event::Preflight { check, holds: false, found } => format!("preflight {check} does not hold: {found}"),
        Event::Recorded { target, sha256, digest } => {
            let found = sha256.as_deref().map_or("nothing was there", short);
            let build = digest.as_ref().map(|digest| format!(", build {digest}")).unwrap_or_default();
            format!("recorded {target}: {found}{build}")
        }
        Event::RingStarted { ring } => format!("ring {ring} gets the build"),
        Event::Writing { target, sha256 } => match sha256 {
            Some(sha256) => format!("writing {target}: {}", short(sha256)),
            None => format!("taking away {target}"),
        },
        Event::Written { target, taken } => format!("written {target}: {}", answer(taken)),
        Event::Converged { ring } => format!("ring {ring}: every proxy runs the build"),
        Event::Looked { ring, judgement, .. } => {
            let count = |verdict| judgement.gates.iter().filter(|gate| gate.verdict == verdict).count();
            let (pass, fail) = (count(Verdict::Pass), count(Verdict::Fail));
            format!("looked at ring {ring}: {pass} of {} gates pass, {fail} fail", judgement.gates.len())
        }
        Event::Promoted { ring, why } => format!("ring {ring} keeps the build: {why}"),
        Event::Waiting { ring, why } => format!("ring {ring} waits: {why}"),
        Event::Approved { ring, comment } => with(&format!("approved ring {ring}"), comment),
        Event::Paused { comment } => with("paused", comment),
        Event::Resumed { comment } => with("resumed", comment),
        Event::RollingBack { reason } => with("rolling back", reason),
        Event::Restored { target, taken } => format!("restored {target}: {}", answer(taken)),
        Event::Verified { ring, found } => format!("ring {ring} runs what it ran before: {found}"),
        Event::Trouble { what } => format!("trouble: {what}"),
        Event::Finished { outcome: how, reason } => with(outcome(*how), reason),
    }
}

fn with(what: &str, said: &str) -> String {
    if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") }
}

/// The first digits of a SHA-256, as builds are named.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

fn answer(taken: &Taken) -> String {
    match taken {
        Taken::Yes => "taken".to_owned(),
        Taken::Pending(why) => format!("not taken yet: {why}"),
        Taken::Refused(why) => format!("refused: {why}"),
    }
}
