//! Compiled code on disk: a module that has been compiled once is only read from then on.

mod checksums;

use std::fmt;
use std::fs::DirBuilder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig};

pub(super) use checksums::Checksums;

use super::runtime::{Kept, Runtimes};

/// A folder in which compiled code is kept, by the module's bytes and everything that changes what is compiled of them.
///
/// Several processes may use one at a time. An entry that cannot be read, or is not what was written, is compiled anew, and so is
/// everything after an update of this crate. What is in the folder runs as code of this process: one that others may write to is not taken.
///
/// ```
/// use host_harness::{CodeCache, Module};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let cache = CodeCache::open(folder)?;
/// # let path = folder.join("filter.wat");
/// # std::fs::write(&path, "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")))")?;
/// let module = Module::from_file(&path)?.cached_in(&cache);
/// module.abi_version()?;
/// assert_eq!((cache.hits(), cache.misses()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CodeCache {
    pub(super) runtimes: Arc<Runtimes>,
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Nobody says where the user's caches are.
    #[error("neither XDG_CACHE_HOME nor HOME says where caches are")]
    NoFolder,
    /// The folder cannot be made or written to.
    #[error("cannot write to {path}: {source}")]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others could put code into it.
    #[error("{0} is another user's, or all may write to it, and what is in it would be run")]
    Untrusted(PathBuf),
    /// The engine does not take it.
    #[error("{0}")]
    Engine(String),
}

impl CodeCache {
    /// The most that is kept, in bytes. At times it is more, until a process adds its first entry, after a minute at the earliest.
    pub const MOST_BYTES: u64 = 256 << 20;

    /// Opens a folder, which is made if it is not there, for this user alone.
    ///
    /// # Errors
    ///
    /// When it cannot be written to, or others can.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, CacheError> {
        Self::bounded(folder.as_ref(), Self::MOST_BYTES, Duration::from_secs(60))
    }

    /// Opens the folder that the variable `HOST_HARNESS_CACHE` names; without it, `host-harness` among the user's caches.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; and when nobody says where caches are.
    pub fn of_user() -> Result<Self, CacheError> {
        let named = std::env::var_os("HOST_HARNESS_CACHE").filter(|folder| !folder.is_empty());
        if let Some(folder) = named {
            return Self::open(PathBuf::from(folder));
        }
        let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(in_home)));
        Self::open(caches.ok_or(CacheError::NoFolder)?.join("host-harness"))
    }

    fn bounded(folder: &Path, most_bytes: u64, looked_at_every: Duration) -> Result<Self, CacheError> {
        let write = |source| CacheError::Write { path: folder.to_owned(), source };
        let folder = std::path::absolute(folder).map_err(write)?;
        private(&folder)?;
        let mut config = CacheConfig::new();
        let code = folder.join("code");
        config
            .with_directory(&code)
            // The engine would write an entry anew, smaller, that has been used so often.
            .with_optimized_compression_usage_counter_threshold(u64::MAX)
            .with_files_total_size_soft_limit(most_bytes)
            .with_file_count_soft_limit(4096)
            .with_cleanup_interval(looked_at_every);
        let cache = Cache::new(config).map_err(|error| CacheError::Engine(format!("{error:#}")))?;
        let checksums = Checksums::new(code, folder.join("checksums"));
        Ok(Self { runtimes: Arc::new(Runtimes::new(Some(Kept { cache, checksums }))) })
    }

    /// How many times code was found.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.runtimes.cache().map_or(0, Cache::cache_hits)
    }

    /// How many times code was compiled, and kept.
    #[must_use]
    pub fn misses(&self) -> usize {
        self.runtimes.cache().map_or(0, Cache::cache_misses)
    }
}

impl fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeCache").field("cache", &self.runtimes.cache()).finish()
    }
}

/// Makes a folder, and finds out whether this user may write to it and no other.
fn private(folder: &Path) -> Result<(), CacheError> {
    let write = |source| CacheError::Write { path: folder.to_owned(), source };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(write)?;
    let trial = tempfile::tempfile_in(folder).map_err(write)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let (own, its) = (trial.metadata().map_err(write)?, folder.metadata().map_err(write)?);
        if own.uid() != its.uid() || its.mode() & 0o002 != 0 {
            return Err(CacheError::Untrusted(folder.to_owned()));
        }
    }
    drop(trial);
    Ok(())
}

#[cfg(test)]
mod tests;
