//! Whether a journal is whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::RealDisk;
use super::entry::{Entry, Event, Outcome};
use super::{Error, Folder};

/// What was found in a journal that is whole.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Whole {
    /// How many entries it has.
    pub entries: u64,
    /// How many rollouts.
    pub rollouts: u64,
    /// How many blobs its entries name; each is there, with the bytes that its name says.
    pub blobs: u64,
    /// SHA-256 of the last line. Kept elsewhere, it shows afterwards that no lines were cut off at the end.
    pub head: String,
    /// What is odd and no damage: a clock that went backwards, a last line that was not finished.
    pub warnings: Vec<String>,
}

/// Follows the chain, and reads every blob that is named.
///
/// # Errors
/// All that is wrong. The chain is followed to the first line that is damaged; nothing can be said of what comes after it.
pub fn verify(folder: &Folder) -> Result<Whole, Vec<Error>> {
    let read = super::read(&folder.journal()).map_err(|error| vec![error])?;
    let blobs = folder.blobs(Arc::new(RealDisk));
    let named: BTreeMap<&str, u64> =
        read.entries.iter().rev().flat_map(|entry| names(&entry.what).map(|name| (name, entry.sequence))).collect();
    let mut wrong: Vec<Error> = named
        .iter()
        .filter_map(|(name, line)| match blobs.get(name) {
            Ok(_) => None,
            Err(Error::Blob { path, what }) => {
                Some(Error::Blob { path, what: format!("{what} (line {} names it)", line + 1) })
            }
            Err(other) => Some(other),
        })
        .collect();
    wrong.extend(order(&read.entries).map(|(entry, what)| Error::Damaged {
        path: folder.journal(),
        line: entry.sequence + 1,
        what,
    }));
    if !wrong.is_empty() {
        return Err(wrong);
    }

    let mut warnings: Vec<String> = read
        .entries
        .windows(2)
        .filter_map(|pair| match pair {
            [before, after] if after.at < before.at => Some(format!(
                "line {}: its time, {}, is before that of the line before, {}: the clock was set back",
                after.sequence + 1,
                after.at,
                before.at
            )),
            _ => None,
        })
        .collect();
    if let Some(torn) = &read.torn {
        warnings.push(format!(
            "the last {} bytes are a line that is not finished; they are cut off when the rollout goes on",
            torn.length
        ));
    }
    Ok(Whole {
        entries: read.entries.len() as u64,
        rollouts: read.rollouts().count() as u64,
        blobs: named.len() as u64,
        head: read.head,
        warnings,
    })
}

/// The blobs that an entry names.
fn names(event: &Event) -> impl Iterator<Item = &str> {
    let (first, second) = match event {
        Event::Opened { module_sha256, configuration_sha256, .. } => (Some(module_sha256), Some(configuration_sha256)),
        Event::Recorded { sha256, .. } | Event::Writing { sha256, .. } => (sha256.as_ref(), None),
        _ => (None, None),
    };
    first.into_iter().chain(second).map(String::as_str)
}

/// Entries that cannot follow on those before them: a rollout within another, or one that goes on after its end. One that is done can still be taken
/// back.
fn order(entries: &[Entry]) -> impl Iterator<Item = (&Entry, String)> {
    let mut open = false;
    let mut outcome = None;
    entries.iter().filter_map(move |entry| {
        let wrong = match &entry.what {
            Event::Opened { .. } if open => Some("a rollout begins before the one before it is over".to_owned()),
            Event::Opened { .. } | Event::Trouble { .. } => None,
            Event::RollingBack { .. } if !open && outcome == Some(Outcome::Done) => None,
            _ if !open => Some("it belongs to no rollout that is under way".to_owned()),
            _ => None,
        };
        match &entry.what {
            Event::Opened { .. } | Event::RollingBack { .. } => open = true,
            Event::Finished { outcome: how, .. } => {
                open = false;
                outcome = Some(*how);
            }
            _ => {}
        }
        wrong.map(|what| (entry, what))
    })
}
