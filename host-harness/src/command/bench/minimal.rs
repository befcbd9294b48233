//! The least that a host on wasmtime can be for one known module: no phases, no statuses, no bounds but the memory's. What a real host
//! costs beyond it is the price of behaving like a proxy.

use anyhow::Context as _;
use wasmtime::{AsContextMut as _, Caller, Config, Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

/// Headers as this host keeps them.
pub(super) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Default)]
struct State {
    memory: Option<Memory>,
    allocate: Option<TypedFunc<u32, u32>>,
    maps: [Headers; 2],
    lines: Vec<Vec<u8>>,
    filter_state: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A module in it.
pub(super) struct Minimal {
    store: Store<State>,
    metered: bool,
    create: TypedFunc<(u32, u32), ()>,
    headers: [TypedFunc<(u32, u32, u32), u32>; 2],
    log: TypedFunc<u32, ()>,
    done: TypedFunc<u32, u32>,
    delete: TypedFunc<u32, ()>,
    next: u32,
}

const FUEL: u64 = 1_000_000_000;

impl Minimal {
    /// Compiles and starts the module.
    pub(super) fn new(text: &str, metered: bool) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(metered);
        let engine = Engine::new(&config).map_err(anyhow::Error::msg)?;
        Self::start(&engine, text, metered).map_err(anyhow::Error::msg)
    }

    fn start(engine: &Engine, text: &str, metered: bool) -> wasmtime::Result<Self> {
        let module = Module::new(engine, text)?;
        let mut linker = Linker::new(engine);
        linker.func_wrap("env", "proxy_log", log)?;
        linker.func_wrap("env", "proxy_get_header_map_pairs", pairs)?;
        linker.func_wrap("env", "proxy_get_header_map_value", value)?;
        linker.func_wrap("env", "proxy_set_property", set_property)?;
        let mut store = Store::new(engine, State::default());
        if metered {
            store.set_fuel(FUEL)?;
        }
        let instance: Instance = linker.instantiate(&mut store, &module)?;
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        store.data_mut().allocate = Some(instance.get_typed_func(&mut store, "proxy_on_memory_allocate")?);
        Ok(Self {
            create: instance.get_typed_func(&mut store, "proxy_on_context_create")?,
            headers: [
                instance.get_typed_func(&mut store, "proxy_on_request_headers")?,
                instance.get_typed_func(&mut store, "proxy_on_response_headers")?,
            ],
            log: instance.get_typed_func(&mut store, "proxy_on_log")?,
            done: instance.get_typed_func(&mut store, "proxy_on_done")?,
            delete: instance.get_typed_func(&mut store, "proxy_on_delete")?,
            store,
            metered,
            next: 2,
        })
    }

    /// Takes a stream through the module; gives how many lines it logged and how much filter state it set.
    pub(super) fn stream(&mut self, request: Headers, response: Headers) -> anyhow::Result<(usize, usize)> {
        self.stream_through(request, response).map_err(anyhow::Error::msg).context("the minimal host failed")
    }

    fn stream_through(&mut self, request: Headers, response: Headers) -> wasmtime::Result<(usize, usize)> {
        let id = self.next;
        self.next += 1;
        let state = self.store.data_mut();
        state.maps = [request, response];
        state.lines.clear();
        state.filter_state.clear();
        if self.metered {
            self.store.set_fuel(FUEL)?;
        }
        self.create.call(&mut self.store, (id, 1))?;
        for headers in &self.headers {
            headers.call(&mut self.store, (id, 8, 1))?;
        }
        self.log.call(&mut self.store, id)?;
        self.done.call(&mut self.store, id)?;
        self.delete.call(&mut self.store, id)?;
        let state = self.store.data();
        Ok((state.lines.len(), state.filter_state.len()))
    }
}

fn bytes(memory: &[u8], pointer: u32, size: u32) -> wasmtime::Result<&[u8]> {
    let start = pointer as usize;
    memory.get(start..start + size as usize).ok_or_else(|| wasmtime::format_err!("outside the memory"))
}

fn memory(guest: &Caller<'_, State>) -> wasmtime::Result<Memory> {
    guest.data().memory.ok_or_else(|| wasmtime::format_err!("no memory"))
}

fn log(mut guest: Caller<'_, State>, _level: u32, message: u32, size: u32) -> wasmtime::Result<u32> {
    let (memory, state) = memory(&guest)?.data_and_store_mut(&mut guest);
    state.lines.push(bytes(memory, message, size)?.to_vec());
    Ok(0)
}

fn pairs(mut guest: Caller<'_, State>, map: u32, pointer_to: u32, size_to: u32) -> wasmtime::Result<u32> {
    let map = guest.data().maps.get(usize::from(map != 0)).map(Vec::as_slice).unwrap_or_default();
    let mut encoded = u32::try_from(map.len())?.to_le_bytes().to_vec();
    for (name, value) in map {
        encoded.extend(u32::try_from(name.len())?.to_le_bytes());
        encoded.extend(u32::try_from(value.len())?.to_le_bytes());
    }
    for (name, value) in map {
        for text in [name, value] {
            encoded.extend(text);
            encoded.push(0);
        }
    }
    give(&mut guest, &encoded, pointer_to, size_to)
}

fn value(
    mut guest: Caller<'_, State>,
    map: u32,
    name: u32,
    name_size: u32,
    pointer_to: u32,
    size_to: u32,
) -> wasmtime::Result<u32> {
    let (memory, state) = memory(&guest)?.data_and_store_mut(&mut guest);
    let name = bytes(memory, name, name_size)?;
    let map = state.maps.get(usize::from(map != 0)).map(Vec::as_slice).unwrap_or_default();
    let Some((_, value)) = map.iter().find(|(known, _)| known == name) else { return Ok(1) };
    let value = value.clone();
    give(&mut guest, &value, pointer_to, size_to)
}

fn set_property(
    mut guest: Caller<'_, State>,
    path: u32,
    path_size: u32,
    value: u32,
    value_size: u32,
) -> wasmtime::Result<u32> {
    let (memory, state) = memory(&guest)?.data_and_store_mut(&mut guest);
    let path = bytes(memory, path, path_size)?.to_vec();
    state.filter_state.push((path, bytes(memory, value, value_size)?.to_vec()));
    Ok(0)
}

fn give(guest: &mut Caller<'_, State>, given: &[u8], pointer_to: u32, size_to: u32) -> wasmtime::Result<u32> {
    let memory = memory(guest)?;
    let allocate = guest.data().allocate.clone().ok_or_else(|| wasmtime::format_err!("no allocator"))?;
    let size = u32::try_from(given.len())?;
    let pointer = allocate.call(guest.as_context_mut(), size)?;
    memory.write(guest.as_context_mut(), pointer as usize, given)?;
    memory.write(guest.as_context_mut(), pointer_to as usize, &pointer.to_le_bytes())?;
    memory.write(guest.as_context_mut(), size_to as usize, &size.to_le_bytes())?;
    Ok(0)
}
