//! What other processes ask of the one that is at a rollout: a file each, taken in the order of their names, which begin with the time.
//!
//! A request is written down in the journal before its file is removed. A process that is killed in between leaves the file, and the next one takes it
//! again where the first one ended: then nothing waits for that approval any more, or the rollout is paused already, and nothing comes of it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::Error;
use crate::journal::disk::Disk;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// To go on with what waits for a person.
    Approve {
        /// The ring that it is for; whichever waits, where none is named.
        ring: Option<String>,
    },
    /// To go no further for now.
    Pause,
    /// To go on after a pause.
    Resume,
    /// To take everything back.
    Rollback {
        /// Also where others put something meanwhile, and though not all proxies can be heard of.
        force: bool,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What.
    #[serde(flatten)]
    pub ask: Ask,
    /// Who asks: [`super::who`].
    pub who: String,
    /// What they say.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// The folder of requests.
#[derive(Debug, Clone)]
pub struct Mailbox(PathBuf);

impl Mailbox {
    /// That in a folder, which exists.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Leaves a request; its file is gone when somebody took it.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn leave(&self, disk: &dyn Disk, request: &Request) -> Result<PathBuf, Error> {
        let path = self.0.join(format!("{:020}-{}.json", request.at.as_nanosecond(), std::process::id()));
        let text = serde_json::to_vec(request).map_err(|error| Error::NotJson(error.to_string()))?;
        disk.put(&path, &text).map_err(|error| Error::NotWritten { path: path.clone(), error })?;
        Ok(path)
    }

    /// What was left, oldest first; what is not a request comes with why.
    #[must_use]
    pub fn waiting(&self) -> Vec<(PathBuf, Result<Request, String>)> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&self.0)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        paths
            .into_iter()
            .map(|path| {
                let request = std::fs::read(&path)
                    .map_err(|error| error.to_string())
                    .and_then(|text| serde_json::from_slice(&text).map_err(|error| format!("not a request: {error}")));
                (path, request)
            })
            .collect()
    }

    /// It was taken.
    pub fn remove(&self, path: &Path) {
        // One that cannot be removed is taken again, which comes to nothing.
        let _ = std::fs::remove_file(path);
    }
}
