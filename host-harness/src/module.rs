//! A WebAssembly module, compiled once for each way of running it.

mod cache;
mod runtime;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use wasmtime::{ExternType, InstancePre};

pub use cache::{CacheError, CodeCache};
pub(crate) use runtime::DEADLINE_STEP;
use runtime::Runtimes;

use crate::hostcall;
use crate::vm::state::HostState;

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
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not valid WebAssembly.
    #[error("not a valid module: {0}")]
    Invalid(String),
    /// It says which ABI it speaks in no way that the host knows.
    #[error(
        "missing or unknown proxy-wasm ABI version; the module must export proxy_abi_version_0_2_1, proxy_abi_version_0_2_0 or proxy_abi_version_0_1_0{0}"
    )]
    AbiVersion(String),
    /// It imports what the host does not have.
    #[error("the host does not provide what the module imports: {}", .0.join(", "))]
    Imports(Vec<String>),
}

/// The ABI that a module speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0.
    V0_1_0,
    /// 0.2.0.
    V0_2_0,
    /// 0.2.1.
    V0_2_1,
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        })
    }
}

impl AbiVersion {
    /// Whether this version has a hostcall that not all have.
    pub(crate) fn has(self, hostcall: &str) -> bool {
        match hostcall {
            "proxy_get_configuration"
            | "proxy_clear_route_cache"
            | "proxy_continue_request"
            | "proxy_continue_response" => self == Self::V0_1_0,
            "proxy_continue_stream" | "proxy_close_stream" => self >= Self::V0_2_0,
            "proxy_get_log_level" => self >= Self::V0_2_1,
            _ => true,
        }
    }
}

/// A module; clones share the compiled code, and so do modules made from the same bytes.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
    /// How its code is made where it is not in memory.
    runtimes: Arc<Runtimes>,
}

struct Inner {
    bytes: Vec<u8>,
    sha256: String,
    compiled: Mutex<HashMap<EngineOptions, Compiled>>,
}

/// Machine code, linked.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) instance: InstancePre<HostState>,
    pub(crate) abi: AbiVersion,
}

impl Module {
    /// Reads a module from a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not valid WebAssembly.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ModuleError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| ModuleError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(bytes)
    }

    /// A module from its bytes, or from the WebAssembly text format.
    ///
    /// Code is compiled when a VM first needs it, once for each [`EngineOptions`].
    ///
    /// # Errors
    ///
    /// When the bytes are not valid WebAssembly.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, ModuleError> {
        let bytes = bytes.into();
        let sha256 = hex(&bytes);
        let mut known = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = known.iter().find(|inner| inner.sha256 == sha256) {
            return Ok(Self { inner: Arc::clone(inner), runtimes: Arc::clone(&UNCACHED) });
        }
        let module = Self::alone(bytes, sha256)?;
        if known.len() >= KEPT_MODULES {
            known.remove(0);
        }
        known.push(Arc::clone(&module.inner));
        Ok(module)
    }

    /// A module of which this process knows nothing yet.
    fn alone(bytes: Vec<u8>, sha256: String) -> Result<Self, ModuleError> {
        let runtimes = Arc::clone(&UNCACHED);
        let engine = &runtimes.get(EngineOptions::default())?.engine;
        let binary = wat::parse_bytes(&bytes).map_err(|error| ModuleError::Invalid(error.to_string()))?;
        wasmtime::Module::validate(engine, &binary).map_err(invalid)?;
        Ok(Self { inner: Arc::new(Inner { bytes, sha256, compiled: Mutex::default() }), runtimes })
    }

    /// The same module, whose code is kept on disk. What this process has compiled already is not compiled again to be kept.
    #[must_use]
    pub fn cached_in(mut self, cache: &CodeCache) -> Self {
        self.runtimes = Arc::clone(&cache.runtimes);
        self
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

    /// The ABI that the module speaks.
    ///
    /// # Errors
    ///
    /// When a host would refuse to load the module.
    pub fn abi_version(&self) -> Result<AbiVersion, ModuleError> {
        Ok(self.compiled(EngineOptions::default())?.abi)
    }

    /// The module as the engine has it, and the ABI that it speaks or why that is not known.
    pub(crate) fn parts(&self) -> Result<(wasmtime::Module, Result<AbiVersion, ModuleError>), ModuleError> {
        let runtime = self.runtimes.get(EngineOptions::default())?;
        let module = self.runtimes.compile(&runtime.engine, &self.inner.bytes)?;
        let abi = abi_version(&module);
        Ok((module, abi))
    }

    /// The machine code for these options, linked with the host's functions.
    pub(crate) fn compiled(&self, options: EngineOptions) -> Result<Compiled, ModuleError> {
        // Held while compiling: others that want the same code wait for it and do not compile it again.
        let mut compiled = self.inner.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&options) {
            return Ok(known.clone());
        }
        let runtime = self.runtimes.get(options)?;
        let module = self.runtimes.compile(&runtime.engine, &self.inner.bytes)?;
        let abi = abi_version(&module)?;
        let missing = missing_imports(&module, abi);
        if !missing.is_empty() {
            return Err(ModuleError::Imports(missing));
        }
        let instance = runtime.linker.instantiate_pre(&module).map_err(invalid)?;
        let code = Compiled { instance, abi };
        compiled.insert(options, code.clone());
        Ok(code)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("sha256", &self.inner.sha256).field("size", &self.inner.bytes.len()).finish()
    }
}

/// Modules that this process has loaded, the oldest first. Tests load the same one again and again.
static MODULES: Mutex<Vec<Arc<Inner>>> = Mutex::new(Vec::new());
const KEPT_MODULES: usize = 16;

/// The engines of code that is not kept on disk.
static UNCACHED: LazyLock<Arc<Runtimes>> = LazyLock::new(Arc::default);

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        use fmt::Write as _;
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn invalid(error: wasmtime::Error) -> ModuleError {
    ModuleError::Invalid(format!("{error:#}"))
}

fn abi_version(module: &wasmtime::Module) -> Result<AbiVersion, ModuleError> {
    const PREFIX: &str = "proxy_abi_version_";
    let mut others = Vec::new();
    for export in module.exports() {
        match export.name().strip_prefix(PREFIX) {
            Some("0_2_1") => return Ok(AbiVersion::V0_2_1),
            Some("0_2_0") => return Ok(AbiVersion::V0_2_0),
            Some("0_1_0") => return Ok(AbiVersion::V0_1_0),
            Some(_) => others.push(export.name().to_owned()),
            None => {}
        }
    }
    Err(ModuleError::AbiVersion(if others.is_empty() {
        String::new()
    } else {
        format!(", it exports {}", others.join(", "))
    }))
}

pub(crate) fn missing_imports(module: &wasmtime::Module, abi: AbiVersion) -> Vec<String> {
    let mut missing = Vec::new();
    for import in module.imports() {
        let there = hostcall::provides(import.module(), import.name(), abi);
        if !there || !matches!(import.ty(), ExternType::Func(_)) {
            missing.push(format!("{}.{}", import.module(), import.name()));
        }
    }
    missing
}
