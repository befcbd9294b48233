//! The Wasm build of this crate in wasmtime, with the answers of [`Bench`](crate::Bench).

use anyhow::{Context as _, Result, bail, ensure};
use wasmtime::{Config, Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

use crate::{Request, Subject, encode};

/// The machine code of the Wasm build, with or without a count of what it executes.
#[derive(Clone, Debug)]
pub struct WasmModule {
    module: Module,
    metered: bool,
}

impl WasmModule {
    /// Compiles the build. `metered` counts fuel: about one for each WebAssembly instruction, exact, the same on every machine.
    ///
    /// # Errors
    /// When the bytes are not a valid module.
    pub fn new(bytes: &[u8], metered: bool) -> Result<Self> {
        let mut config = Config::new();
        // As the embedded host has it.
        config.consume_fuel(metered).cranelift_nan_canonicalization(true).max_wasm_stack(512 << 10);
        let engine = Engine::new(&config).map_err(plain)?;
        let module = Module::new(&engine, bytes).map_err(plain).context("the Wasm build is not valid")?;
        Ok(Self { module, metered })
    }
}

/// One instance of the Wasm build, with a table.
pub struct WasmBench {
    store: Store<()>,
    memory: Memory,
    metered: bool,
    reserve: TypedFunc<u32, u32>,
    output: TypedFunc<(), u32>,
    output_length: TypedFunc<(), u32>,
    load: TypedFunc<(), u32>,
    add_matchit: TypedFunc<(), u32>,
    add_requests: TypedFunc<(), u32>,
    clear: TypedFunc<(), ()>,
    answers: TypedFunc<(u32, u32), u32>,
    run: TypedFunc<(u32, u32, u32), u64>,
    ask: TypedFunc<(u32, u32, u32), u32>,
    allocations: TypedFunc<(), u64>,
    live_bytes: TypedFunc<(), u64>,
}

impl std::fmt::Debug for WasmBench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmBench").field("metered", &self.metered).finish_non_exhaustive()
    }
}

/// "It could not be done", as the exports say it.
const FAILED: u32 = u32::MAX;

impl WasmBench {
    /// An instance without a table.
    ///
    /// # Errors
    /// When the module is another than the Wasm build of this crate.
    pub fn empty(module: &WasmModule) -> Result<Self> {
        let engine = module.module.engine();
        let mut linker = Linker::new(engine);
        // A router asks nothing of its host; a panic wants to print, and traps here.
        linker.define_unknown_imports_as_traps(&module.module).map_err(plain)?;
        let mut store = Store::new(engine, ());
        refuel(&mut store, module.metered)?;
        let instance = linker.instantiate(&mut store, &module.module).map_err(plain)?;
        let memory = instance.get_memory(&mut store, "memory").context("the Wasm build exports no memory")?;
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
            initialize.call(&mut store, ()).map_err(plain)?;
        }
        let (i, s) = (&instance, &mut store);
        Ok(Self {
            memory,
            metered: module.metered,
            reserve: export(i, s, "reserve")?,
            output: export(i, s, "output")?,
            output_length: export(i, s, "output_length")?,
            load: export(i, s, "load")?,
            add_matchit: export(i, s, "add_matchit")?,
            add_requests: export(i, s, "add_requests")?,
            clear: export(i, s, "clear")?,
            answers: export(i, s, "answers")?,
            run: export(i, s, "run")?,
            ask: export(i, s, "ask")?,
            allocations: export(i, s, "allocations")?,
            live_bytes: export(i, s, "live_bytes")?,
            store,
        })
    }

    /// An instance with a configuration of the plugin, in JSON.
    ///
    /// # Errors
    /// Every mistake in the configuration.
    pub fn new(module: &WasmModule, config: &[u8]) -> Result<Self> {
        let mut bench = Self::empty(module)?;
        bench.give(config)?;
        bench.load()?;
        Ok(bench)
    }

    /// Copies bytes into the instance.
    ///
    /// # Errors
    /// When the instance has no room for them.
    pub fn give(&mut self, bytes: &[u8]) -> Result<()> {
        refuel(&mut self.store, self.metered)?;
        let length = u32::try_from(bytes.len()).context("too many bytes for a Wasm memory")?;
        let at = self.reserve.call(&mut self.store, length).map_err(plain)?;
        self.memory.write(&mut self.store, at as usize, bytes).context("the instance named a place outside its memory")
    }

    /// Compiles the configuration that was given.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(&mut self) -> Result<()> {
        refuel(&mut self.store, self.metered)?;
        if self.load.call(&mut self.store, ()).map_err(plain)? == FAILED {
            bail!("{}", String::from_utf8_lossy(&self.take()?));
        }
        Ok(())
    }

    /// Gives `matchit` the same routes; gives back how many it has no form for.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn add_matchit(&mut self) -> Result<u32> {
        refuel(&mut self.store, self.metered)?;
        self.add_matchit.call(&mut self.store, ()).map_err(plain)
    }

    /// Adds a list of requests; gives back its number.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn add_requests(&mut self, requests: &[Request]) -> Result<u32> {
        self.give(&encode(requests))?;
        let list = self.add_requests.call(&mut self.store, ()).map_err(plain)?;
        ensure!(list != FAILED, "the Wasm build cannot read the requests");
        Ok(list)
    }

    /// Forgets all requests; the next list has the number 0.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn clear(&mut self) -> Result<()> {
        refuel(&mut self.store, self.metered)?;
        self.clear.call(&mut self.store, ()).map_err(plain)
    }

    /// The number of each request's endpoint: its place in the table's labels.
    ///
    /// # Errors
    /// When the instance traps or has no such list.
    pub fn answers(&mut self, subject: Subject, list: u32) -> Result<Vec<u32>> {
        refuel(&mut self.store, self.metered)?;
        let done = self.answers.call(&mut self.store, (subject as u32, list)).map_err(plain)?;
        ensure!(done != FAILED, "there is no list {list}");
        Ok(self.take()?.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    /// Asks for each request of a list, so many times over; gives back the sum of the endpoints' numbers and the fuel burned.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn run(&mut self, subject: Subject, list: u32, rounds: u32) -> Result<(u64, u64)> {
        refuel(&mut self.store, self.metered)?;
        let sum = self.run.call(&mut self.store, (subject as u32, list, rounds)).map_err(plain)?;
        let left = if self.metered { self.store.get_fuel().map_err(plain)? } else { FUEL };
        Ok((sum, FUEL - left))
    }

    /// What one round of a list costs a subject, beyond the loop around it: fuel, exactly.
    ///
    /// # Errors
    /// When the instance traps or is not metered.
    pub fn fuel(&mut self, subject: Subject, list: u32) -> Result<u64> {
        ensure!(self.metered, "the instance is not metered");
        let mut round = |subject| -> Result<u64> {
            let once = self.run(subject, list, 1)?.1;
            Ok(self.run(subject, list, 2)?.1 - once)
        };
        Ok(round(subject)? - round(Subject::Nothing)?)
    }

    /// The label that a request of a list has.
    ///
    /// # Errors
    /// When the instance traps or has no such request.
    pub fn ask(&mut self, subject: Subject, list: u32, request: u32) -> Result<Vec<u8>> {
        refuel(&mut self.store, self.metered)?;
        let answer = self.ask.call(&mut self.store, (subject as u32, list, request)).map_err(plain)?;
        ensure!(answer != FAILED, "there is no request {request} in list {list}");
        self.take()
    }

    /// How often the instance's allocator has given out memory so far.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn allocations(&mut self) -> Result<u64> {
        refuel(&mut self.store, self.metered)?;
        self.allocations.call(&mut self.store, ()).map_err(plain)
    }

    /// Bytes that the instance's allocator has given out and that are in use.
    ///
    /// # Errors
    /// When the instance traps.
    pub fn live_bytes(&mut self) -> Result<u64> {
        refuel(&mut self.store, self.metered)?;
        self.live_bytes.call(&mut self.store, ()).map_err(plain)
    }

    /// Bytes of the instance's linear memory, which never shrinks.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    fn take(&mut self) -> Result<Vec<u8>> {
        let at = self.output.call(&mut self.store, ()).map_err(plain)? as usize;
        let length = self.output_length.call(&mut self.store, ()).map_err(plain)? as usize;
        let bytes = self.memory.data(&self.store).get(at..).and_then(|rest| rest.get(..length));
        Ok(bytes.context("the instance named a place outside its memory")?.to_vec())
    }
}

/// More than any call here burns, and far from the end of the number.
const FUEL: u64 = 1 << 50;

fn refuel(store: &mut Store<()>, metered: bool) -> Result<()> {
    if metered { store.set_fuel(FUEL).map_err(plain) } else { Ok(()) }
}

fn export<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
    instance: &Instance,
    store: &mut Store<()>,
    name: &str,
) -> Result<TypedFunc<P, R>> {
    instance.get_typed_func(&mut *store, name).map_err(plain).with_context(|| format!("export `{name}`"))
}

fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
