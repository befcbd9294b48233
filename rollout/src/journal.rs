//! What happened, in an append-only file of JSON lines with a chain of hashes, and the bytes that its entries name.
//!
//! - Each line holds the SHA-256 of the line before it, so that no line can be changed, left out or put in between without it being seen. Lines cut off
//!   at the end cannot be seen from the file alone: the hash of the last one ([`verify::Whole::head`]) belongs somewhere else too.
//! - A line is written with one write and is on disk for certain before [`Journal::append`] returns. What it announces is done afterwards.
//! - A last line that a crash or a full disk has torn was never answered for: it is cut off when the file is next opened for writing, which is itself
//!   recorded. Any other damage is an error, and nothing is repaired.

pub mod blobs;
pub mod disk;
pub mod entry;
pub mod lock;
pub mod verify;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use self::blobs::Blobs;
use self::disk::Disk;
use self::entry::{Entry, Event};
use self::lock::Lock;
use crate::build::sha256;

/// What stands in for the hash of the line before the first.
pub const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something with files.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// An entry or a blob could not be written, so what it announces was not done.
    #[error("{}: cannot be written: {error}; nothing is changed on the fleet without a record of it: make room or put the file system right, then run `rollout resume`", path.display())]
    NotWritten {
        /// Which.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// An entry that could not be read again.
    #[error("an entry cannot be written as JSON and read back: {0}")]
    NotJson(String),
    /// A line is not what it was when it was written.
    #[error("{} line {line}: {what}; the journal was changed or the disk is faulty: keep the file as it is, and get a copy of it from a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A blob is not there, or is not what its name says.
    #[error("{}: {what}", path.display())]
    Blob {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

/// The folder with the state of all rollouts of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// That of rollouts named `name` under a state folder. Nothing is made yet.
    #[must_use]
    pub fn new(state: &Path, name: &str) -> Self {
        Self(state.join(name))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    /// The file that is locked by whoever writes.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Where other processes leave what they want of the one that holds the lock.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }

    /// The bytes that entries name.
    #[must_use]
    pub fn blobs(&self, disk: Arc<dyn Disk>) -> Blobs {
        Blobs::new(self.0.join("blobs"), disk)
    }

    /// Makes the folder, and what is in it, where they are missing.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn make(&self) -> Result<(), Error> {
        for folder in [self.0.clone(), self.0.join("blobs"), self.requests()] {
            std::fs::create_dir_all(&folder).map_err(|error| Error::NotWritten { path: folder.clone(), error })?;
            if let Some(parent) = folder.parent() {
                disk::sync_folder(parent).map_err(|error| Error::NotWritten { path: parent.to_owned(), error })?;
            }
        }
        Ok(())
    }
}

/// A last line that was not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Where it begins, in bytes.
    pub from: u64,
    /// How long it is.
    pub length: u64,
    /// SHA-256 of what there is of it.
    pub sha256: String,
}

/// A journal as it was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// Its entries, oldest first.
    pub entries: Vec<Entry>,
    /// SHA-256 of the last whole line; [`FIRST`] where there is none.
    pub head: String,
    /// What is cut off when it is next opened for writing. Whoever only reads may see a line that is being written.
    pub torn: Option<Torn>,
}

impl Read {
    /// The entries of each rollout, oldest first: from its `opened` to the next one's.
    pub fn rollouts(&self) -> impl DoubleEndedIterator<Item = &[Entry]> {
        rollouts(&self.entries)
    }

    /// The entries of the latest rollout; empty where there was none.
    #[must_use]
    pub fn latest(&self) -> &[Entry] {
        self.rollouts().next_back().unwrap_or_default()
    }
}

/// The entries of each rollout: from its `opened` to the next one's. What comes before the first `opened` is of none.
pub fn rollouts(entries: &[Entry]) -> impl DoubleEndedIterator<Item = &[Entry]> {
    entries
        .chunk_by(|_, next| !matches!(next.what, Event::Opened { .. }))
        .filter(|chunk| chunk.first().is_some_and(|first| matches!(first.what, Event::Opened { .. })))
}

/// Reads a journal and follows its chain. A file that is not there is an empty one.
///
/// # Errors
/// When it cannot be read, or a line is not what it was when it was written.
pub fn read(path: &Path) -> Result<Read, Error> {
    match std::fs::read(path) {
        Ok(bytes) => parse(path, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => parse(path, &[]),
        Err(error) => Err(Error::io(path, error)),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Read, Error> {
    let mut read = Read { head: FIRST.to_owned(), ..Read::default() };
    let mut from = 0_u64;
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let whole = line.strip_suffix(b"\n");
        // A crash of the machine may leave zeros where the end of a line should be, never elsewhere: all lines before it were on disk for certain.
        let last = lines.peek().is_none();
        let Some(text) = whole.filter(|text| !(last && text.contains(&0))) else {
            read.torn = Some(Torn { from, length: line.len() as u64, sha256: sha256(line) });
            break;
        };
        let entry = link(text, read.entries.len() as u64, &read.head).map_err(|what| Error::Damaged {
            path: path.to_owned(),
            line: read.entries.len() as u64 + 1,
            what,
        })?;
        read.head = sha256(text);
        read.entries.push(entry);
        from += line.len() as u64;
    }
    Ok(read)
}

/// The entry of a line that must follow on what is before it.
fn link(line: &[u8], sequence: u64, previous: &str) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_slice(line).map_err(|error| format!("not an entry: {error}"))?;
    if entry.previous != previous {
        return Err(format!(
            "the line before has SHA-256 {previous}, and this one was written after {}",
            entry.previous
        ));
    }
    if entry.sequence != sequence {
        return Err(format!("its number is {}, and {sequence} comes next", entry.sequence));
    }
    Ok(entry)
}

/// The journal, for the one process that may write to it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    length: u64,
    sequence: u64,
    head: String,
    /// Set while the end of the file is not known to be that of a whole line.
    torn: bool,
}

impl Journal {
    /// Opens it for writing, which needs the lock, and says what is in it. A torn last line is cut off and that is recorded.
    ///
    /// # Errors
    /// As for [`read`], and when it cannot be written to.
    pub fn open(
        folder: &Folder,
        _lock: &Lock,
        disk: Arc<dyn Disk>,
        who: &str,
        at: Timestamp,
    ) -> Result<(Self, Vec<Entry>), Error> {
        let path = folder.journal();
        let Read { mut entries, head, torn } = read(&path)?;
        let not_written = |error| Error::NotWritten { path: path.clone(), error };
        let file = File::options().create(true).append(true).open(&path).map_err(not_written)?;
        disk::sync_folder(folder.path()).map_err(not_written)?;
        let end = file.metadata().map_err(|error| Error::io(&path, error))?.len();
        let length = torn.as_ref().map_or(end, |torn| torn.from);
        let mut journal = Self { path, file, disk, length, sequence: entries.len() as u64, head, torn: torn.is_some() };
        if let Some(Torn { length, sha256, .. }) = torn {
            let what = format!(
                "cut off {length} bytes at the end of the journal, a line that was not finished (SHA-256 {sha256}): what it announced was not done"
            );
            entries.push(journal.append(who, at, Event::Trouble { what })?);
        }
        Ok((journal, entries))
    }

    /// Writes an entry. When this returns, it is on disk for certain.
    ///
    /// # Errors
    /// When it is not; then what it announces must not be done. It may be tried again.
    pub fn append(&mut self, who: &str, at: Timestamp, what: Event) -> Result<Entry, Error> {
        let entry = Entry { sequence: self.sequence, at, who: who.to_owned(), what, previous: self.head.clone() };
        let mut line = serde_json::to_vec(&entry).map_err(|error| Error::NotJson(error.to_string()))?;
        // A number that JSON has no form for would make the journal unreadable for ever.
        let entry: Entry = serde_json::from_slice(&line).map_err(|error| Error::NotJson(error.to_string()))?;
        let head = sha256(&line);
        line.push(b'\n');

        let not_written = |error| Error::NotWritten { path: self.path.clone(), error };
        if self.torn {
            self.disk.cut(&self.file, self.length).map_err(not_written)?;
            self.torn = false;
        }
        if let Err(error) = self.disk.append(&self.file, &line) {
            // What there is of the line goes at once if it can, else before the next one is written.
            self.torn = self.disk.cut(&self.file, self.length).is_err();
            return Err(not_written(error));
        }
        self.length += line.len() as u64;
        self.sequence += 1;
        self.head = head;
        Ok(entry)
    }
}
