//! The evidence pack of one rollout, for a change advisory board: Markdown to read, JSON with every query and raw answer.
//!
//! Both are made of the journal's entries alone, so the same journal always gives the same bytes, and whoever has the journal can make them again. No
//! environment is read: of tokens there is nothing but the names of the variables that hold them, as the rollout file has them. In the Markdown no text
//! that a person, a proxy or Prometheus wrote can make a table row, a heading, a link or HTML: see [`text`](mod@text).

mod markdown;
mod pack;
#[cfg(test)]
mod tests;
pub mod text;

use crate::journal::entry::{Entry, Event};
use crate::journal::rollouts;
use pack::Pack;

pub use pack::SHAPE;

/// The evidence pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The rollout's ID.
    pub rollout: String,
    /// Markdown, as GitHub and GitLab have it.
    pub markdown: String,
    /// JSON, in the shape that [`SHAPE`] numbers; ends in a line feed.
    pub json: String,
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The journal has no rollout.
    #[error("the journal has no rollout yet")]
    Empty,
    /// None has this ID.
    #[error("the journal has no rollout with ID {0}; `rollout history` lists them")]
    Unknown(String),
    /// Several begin so.
    #[error("several rollouts have an ID that begins with {0}; give more of it")]
    Ambiguous(String),
    /// It cannot be written as JSON.
    #[error("the report cannot be written as JSON: {0}")]
    Json(String),
}

/// The report of a rollout of a journal. `head` is the SHA-256 of the journal's last line; `id` the rollout's ID or the beginning of it, and without it
/// the latest is meant.
///
/// # Errors
/// When there is no such rollout.
pub fn report(journal: &[Entry], head: &str, id: Option<&str>) -> Result<Report, ReportError> {
    let entries = find(journal, id)?;
    // The hash of a line is in the line after it.
    let after = entries.last().and_then(|last| journal.iter().find(|entry| entry.sequence == last.sequence + 1));
    let head = after.map_or(head, |after| &after.previous);
    let pack = Pack::of(entries, head).ok_or(ReportError::Empty)?;
    let mut json = serde_json::to_string_pretty(&pack).map_err(|error| ReportError::Json(error.to_string()))?;
    json.push('\n');
    Ok(Report { rollout: pack.overview.rollout.clone(), markdown: markdown::write(&pack), json })
}

fn find<'a>(journal: &'a [Entry], id: Option<&str>) -> Result<&'a [Entry], ReportError> {
    let Some(id) = id else { return rollouts(journal).next_back().ok_or(ReportError::Empty) };
    let begins = |entries: &&[Entry]| match entries.first().map(|first| &first.what) {
        Some(Event::Opened { rollout, .. }) => rollout.starts_with(id),
        _ => false,
    };
    let mut found = rollouts(journal).filter(begins);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(ReportError::Ambiguous(id.to_owned())),
        (None, _) => Err(ReportError::Unknown(id.to_owned())),
    }
}
