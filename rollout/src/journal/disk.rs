//! The few things that are done to a disk, so that tests can have one that is full, or that is cut off from power.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// What is done to a disk. When a method returns, it is done for certain.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Adds to the end of a file that was opened for that, with one write.
    ///
    /// # Errors
    /// When it could not be done, or only in part.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file off at a length.
    ///
    /// # Errors
    /// When it could not be done.
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;

    /// Puts a file in place: whole under its name, or not at all.
    ///
    /// # Errors
    /// When it could not be done.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        // `write_all` is one write, unless the disk is full or a signal comes: then what is there is a torn line.
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        file.sync_all()
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    }
}

/// Makes the names in a folder certain.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
