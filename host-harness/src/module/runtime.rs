//! Engines, with what modules may import from the host.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Cache, Config, Engine, Linker, Module};

use super::cache::Checksums;
use super::{EngineOptions, ModuleError, invalid};
use crate::hostcall;
use crate::vm::state::HostState;

/// How long a step of the deadline clock is.
pub(crate) const DEADLINE_STEP: Duration = Duration::from_millis(10);

/// An engine and what modules may import from the host.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<HostState>,
}

/// An engine for each way of compiling code. They hold no state of a module, only how code is made and where it is kept.
#[derive(Default)]
pub(super) struct Runtimes {
    /// Where code is kept that has been compiled, if it is.
    kept: Option<Kept>,
    made: Mutex<HashMap<EngineOptions, Arc<Runtime>>>,
}

/// A cache of compiled code.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) cache: Cache,
    pub(super) checksums: Checksums,
}

impl Runtimes {
    pub(super) fn new(kept: Option<Kept>) -> Self {
        Self { kept, made: Mutex::default() }
    }

    /// The cache, if there is one.
    pub(super) fn cache(&self) -> Option<&Cache> {
        self.kept.as_ref().map(|kept| &kept.cache)
    }

    /// Machine code for a module, from the cache if it is there.
    pub(super) fn compile(&self, engine: &Engine, bytes: &[u8]) -> Result<Module, ModuleError> {
        let compile = || Module::new(engine, bytes).map_err(invalid);
        let Some(Kept { cache, checksums }) = &self.kept else { return compile() };
        checksums.weed();
        let before = cache.cache_misses();
        let module = compile()?;
        if cache.cache_misses() != before {
            checksums.note();
        }
        Ok(module)
    }

    /// The one for these options.
    pub(super) fn get(&self, options: EngineOptions) -> Result<Arc<Runtime>, ModuleError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = made.get(&options) {
            return Ok(Arc::clone(runtime));
        }
        let runtime = Arc::new(Runtime::new(options, self.cache().cloned())?);
        made.insert(options, Arc::clone(&runtime));
        Ok(runtime)
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtimes").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Runtime {
    fn new(options: EngineOptions, cache: Option<Cache>) -> Result<Self, ModuleError> {
        let mut config = Config::new();
        config
            .consume_fuel(options.fuel)
            .epoch_interruption(options.deadline)
            .cache(cache)
            // The same bytes in, the same bytes out, on every machine.
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true)
            .max_wasm_stack(512 << 10);
        let engine = Engine::new(&config).map_err(invalid)?;
        let mut linker = Linker::new(&engine);
        hostcall::link_all(&mut linker).map_err(invalid)?;
        if options.deadline {
            let engine = engine.weak();
            let ticker = std::thread::Builder::new().name("wasm-deadline".to_owned());
            let spawned = ticker.spawn(move || {
                while let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(DEADLINE_STEP);
                }
            });
            spawned.map_err(|error| ModuleError::Invalid(format!("no thread for deadlines: {error}")))?;
        }
        Ok(Self { engine, linker })
    }
}
