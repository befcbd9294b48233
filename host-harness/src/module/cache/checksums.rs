//! Checksums of a cache's entries. The engine does not look whether what it reads is what it wrote, and then runs it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Crc;

/// The checksums of a cache: a file for each entry, in a folder of their own, as the engine takes away what it does not know from its.
#[derive(Debug)]
pub(in crate::module) struct Checksums {
    entries: PathBuf,
    sums: PathBuf,
}

/// What the names of their files end in, and those of no entries.
const EXTENSION: &str = "crc32";

impl Checksums {
    /// Of the entries below one folder, in another one.
    pub(super) fn new(entries: PathBuf, sums: PathBuf) -> Self {
        Self { entries, sums }
    }

    /// Takes away each entry that is not what it was when it was written, and each of which that is not known: a process may have ended
    /// before it wrote that down, or not have come so far yet. They are compiled anew.
    pub(in crate::module) fn weed(&self) {
        for entry in files(&self.entries).filter(|path| path.extension().is_none()) {
            let Some(place) = self.place(&entry) else { continue };
            let known = fs::read_to_string(&place).ok();
            if known.is_none() || known != sum(&entry) {
                _ = fs::remove_file(entry);
                _ = fs::remove_file(place);
            }
        }
    }

    /// Writes down what the entries are of which nothing is known: they have just been written. Forgets those that are gone.
    pub(in crate::module) fn note(&self) {
        for entry in files(&self.entries).filter(|path| path.extension().is_none()) {
            if let Some(place) = self.place(&entry).filter(|place| !place.exists())
                && let Some(sum) = sum(&entry)
            {
                // Without it the entry is of no use the next time, which costs time and nothing else.
                _ = write(&place, &sum);
            }
        }
        for place in files(&self.sums) {
            if self.entry(&place).is_some_and(|entry| !entry.exists()) {
                _ = fs::remove_file(place);
            }
        }
    }

    /// Where an entry's checksum is.
    fn place(&self, entry: &Path) -> Option<PathBuf> {
        Some(self.sums.join(entry.strip_prefix(&self.entries).ok()?).with_extension(EXTENSION))
    }

    /// The entry that a checksum is of.
    fn entry(&self, place: &Path) -> Option<PathBuf> {
        Some(self.entries.join(place.strip_prefix(&self.sums).ok()?).with_extension(""))
    }
}

fn sum(entry: &Path) -> Option<String> {
    let mut sum = Crc::new();
    sum.update(&fs::read(entry).ok()?);
    Some(format!("{:08x} {}\n", sum.sum(), sum.amount()))
}

/// Never half a checksum, whoever else writes it.
fn write(place: &Path, sum: &str) -> std::io::Result<()> {
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(sum.as_bytes())?;
    file.persist(place)?;
    Ok(())
}

/// The files below a folder, at any depth; what cannot be read has none.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.into_iter()
}
