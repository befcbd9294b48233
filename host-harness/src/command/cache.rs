//! Where the commands keep modules' compiled code.

use std::path::{Path, PathBuf};

use clap::Args;
use host_harness::{CodeCache, Module};

/// Arguments of all commands that load modules.
#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    /// Where modules' compiled code is kept; without it the variable HOST_HARNESS_CACHE, or `host-harness` among the user's caches
    #[arg(long = "cache", value_name = "DIR", global = true, conflicts_with = "no_cache")]
    folder: Option<PathBuf>,
    /// Compile modules anew each time, and keep nothing
    #[arg(long, global = true)]
    no_cache: bool,
}

impl CacheArguments {
    /// The cache, if there is to be one. Without one modules only take longer to load: no error.
    pub(crate) fn open(&self) -> Option<CodeCache> {
        if self.no_cache {
            return None;
        }
        let opened = match self.folder.as_ref().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => CodeCache::open(folder),
            None => CodeCache::of_user(),
        };
        opened.inspect_err(|error| warn(&error.to_string())).ok()
    }

    /// A module from its file.
    pub(crate) fn load(&self, path: &Path) -> anyhow::Result<Module> {
        // Its message tells everything that its source would tell again.
        let module = Module::from_file(path).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(match self.open() {
            Some(cache) => module.cached_in(&cache),
            None => module,
        })
    }
}

#[allow(clippy::print_stderr, reason = "it is how a command warns")]
fn warn(error: &str) {
    eprintln!("host-harness: compiled modules are not kept: {error}; name a folder with --cache, or say --no-cache");
}
