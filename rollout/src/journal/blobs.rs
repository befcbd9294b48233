//! Bytes under the name of their SHA-256.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::disk::Disk;
use crate::build::sha256;

/// A folder of them.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Blobs {
    pub(super) fn new(folder: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { folder, disk }
    }

    /// The file of a blob.
    #[must_use]
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256)
    }

    /// Keeps bytes, for certain, and says what they are called. An entry that names them is written afterwards.
    ///
    /// # Errors
    /// When they could not be kept.
    pub fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        let name = sha256(bytes);
        let path = self.path(&name);
        let kept = if std::fs::read(&path).is_ok_and(|found| found == bytes) {
            // Whoever put it there may have ended before its name was certain.
            super::disk::sync_folder(&self.folder)
        } else {
            self.disk.put(&path, bytes)
        };
        kept.map(|()| name).map_err(|error| Error::NotWritten { path, error })
    }

    /// The bytes with this digest.
    ///
    /// # Errors
    /// When they are not there, or are others.
    pub fn get(&self, sha256: &str) -> Result<Vec<u8>, Error> {
        let path = self.path(sha256);
        let bytes = read(&path)?;
        let found = crate::build::sha256(&bytes);
        if found == sha256 {
            Ok(bytes)
        } else {
            Err(Error::Blob { path, what: format!("its bytes have SHA-256 {found}; get it from a backup") })
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Blob {
            path: path.to_owned(),
            what: "it is missing, and the journal names it; get it from a backup".to_owned(),
        },
        _ => Error::io(path, error),
    })
}
