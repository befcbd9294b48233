//! One process at a time. The kernel gives the lock back when its holder ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, Folder};

/// Who holds the lock, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its user and host.
    pub who: String,
    /// Since when.
    pub since: Timestamp,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{}", held(.0.as_ref()))]
    Held(Option<Holder>),
    /// It cannot be had at all.
    #[error(transparent)]
    Journal(#[from] Error),
}

fn held(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, who, since }) => {
            format!(
                "process {pid} of {who} has been at this rollout since {since:.0}; ask it with `rollout approve`, `pause` or `rollback`, or wait until it ends"
            )
        }
        None => "another process has just begun with this rollout; look with `rollout status`".to_owned(),
    }
}

/// The lock; it is given back when this is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes it, if nobody has it. Makes the folder where it is missing.
    ///
    /// # Errors
    /// When somebody has it, or there cannot be one.
    pub fn take(folder: &Folder, who: &str, at: Timestamp) -> Result<Self, LockError> {
        folder.make()?;
        let path = folder.lock();
        let io = |error| Error::io(&path, error);
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be writing it just now.
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held(serde_json::from_str(&text).ok()));
            }
            Err(TryLockError::Error(error)) => return Err(io(error).into()),
        }
        let holder = Holder { pid: std::process::id(), who: who.to_owned(), since: at };
        // On a full disk the lock still holds; only its holder's name is not to be had.
        let _ = serde_json::to_vec(&holder)
            .map(|text| file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text)));
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started at this moment has a copy of it until its program is loaded.
        let _ = self.file.unlock();
    }
}
