//! What the host keeps for one VM: contexts, metric ids, and what the running callback has asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use wasmtime::{Memory, ResourceLimiter, TypedFunc};

use super::filter_state::{Declared, FilterState};
use super::grpc::Grpc;
use super::written::Unread;
use crate::abi::{BufferType, MapType, MetricType, StreamType};
use crate::hostcall::{Expressions, Hostcall, NAMES};
use crate::stats::Metric;
use crate::{
    AbiVersion, Callout, Conformance, ConnectionFacts, Cost, HeaderMap, LocalReply, PluginConfig, Role, Shared,
    StreamEnd, StreamFacts, UpstreamFacts,
};

/// Everything that hostcalls reach.
pub(crate) struct HostState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) role: Role,
    /// Plugin with which the VM was made: it gives the VM's own names and configuration.
    pub(crate) plugin: Arc<PluginConfig>,
    /// The ABI that the module speaks.
    pub(crate) abi: AbiVersion,
    /// The hostcalls that the module may make; empty is all of them.
    capabilities: Vec<bool>,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocator: Option<TypedFunc<u32, u32>>,
    pub(crate) limiter: Limiter,
    /// `_initialize` or `_start` runs: most hostcalls are not allowed.
    pub(crate) starting: bool,
    /// `proxy_on_vm_start` runs.
    pub(crate) vm_starting: bool,
    /// `proxy_on_configure` runs for this root: its configuration is readable.
    pub(crate) configuring: Option<u32>,
    pub(crate) roots: Vec<Root>,
    pub(crate) streams: HashMap<u32, Box<Stream>, BuildHasherDefault<IdHasher>>,
    pub(crate) connections: HashMap<u32, Box<Connection>, BuildHasherDefault<IdHasher>>,
    next_context: u32,
    /// The context whose callback runs.
    pub(crate) current: u32,
    /// The context that the module chose instead; 0 for none.
    pub(crate) effective: u32,
    pub(crate) metrics: MetricIds,
    pub(crate) random: ChaCha12Rng,
    pub(crate) scratch: Vec<u8>,
    /// What buffer 8 shows: the last buffer that a context looked into, and which context that was.
    pub(crate) looked_into: Option<(u32, BufferType)>,
    /// Callouts: made, awaited, answered.
    pub(crate) calls: Calls,
    pub(crate) grpc: Grpc,
    /// What hostcalls asked for that happens when the callback has returned.
    pub(crate) actions: Vec<(u32, Action)>,
    /// Cost of the running callback's context. It changes places with that context's own, so only its address moves.
    pub(crate) cost: Box<Cost>,
    /// Work that hostcalls may still do in this callback. Fuel does not see it, so that a loop of hostcalls could keep the host
    /// busy for ever.
    pub(crate) work_left: u64,
    /// Lines logged at warn or above while this is `Some`, for error messages.
    pub(crate) complaints: Option<Vec<String>>,
    pub(super) unread: Unread,
}

impl fmt::Debug for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostState")
            .field("role", &self.role)
            .field("roots", &self.roots)
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

/// What hostcalls acted on before a callback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    current: u32,
    effective: u32,
}

/// The callouts of a VM.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// How many VMs the worker has had before this one.
    pub(crate) generation: u32,
    /// The number of the last one; the module sees it four times as large.
    pub(crate) last: u32,
    /// Those that wait for an answer, by the number that the module sees.
    pub(crate) pending: HashMap<u32, Pending>,
    /// Those that the host has still to carry out.
    pub(crate) made: Vec<Callout>,
    /// The answer that the module is told of now.
    pub(crate) response: Option<CallResponse>,
    /// Code and message of the last failure.
    pub(crate) status: (u32, String),
}

/// A callout that waits for its answer.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The root context that will be told.
    pub(crate) root: u32,
    /// What the callout itself takes.
    pub(crate) bytes: usize,
}

/// The response to a callout.
#[derive(Debug)]
pub(crate) struct CallResponse {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

/// What happens after the callback that asked for it.
#[derive(Debug)]
pub(crate) enum Action {
    Continue(StreamType),
    Close,
    LocalReply(Box<LocalReply>),
    /// The root context has finished what it had deferred.
    Done,
}

/// A plugin's root context.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) id: u32,
    pub(crate) plugin: Arc<PluginConfig>,
    pub(crate) tick: Option<Tick>,
    /// Open streams and connections that belong to it.
    pub(crate) streams: usize,
    pub(crate) life: Life,
    /// Properties that streams and connections may set.
    pub(crate) declared: Declared,
    pub(crate) expressions: Expressions,
    pub(crate) cost: Box<Cost>,
}

/// How far a root context's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It gets new streams.
    Active,
    /// It was replaced and waits for its last stream.
    Retired,
    /// `proxy_on_done` answered false.
    Finishing,
    /// `proxy_on_delete` is next, or has been called.
    Over,
}

/// The timer of a root context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick {
    pub(crate) period_ns: u64,
    pub(crate) due_ns: u64,
}

/// One HTTP stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) root: u32,
    pub(crate) facts: StreamFacts,
    /// Where the request goes, once it does.
    pub(crate) upstream: Option<UpstreamFacts>,
    /// When the request began to go there, and when the last of the response came from there.
    pub(crate) upstream_ns: [Option<u64>; 2],
    pub(crate) end: Option<StreamEnd>,
    /// The module has been told of it.
    pub(crate) created: bool,
    /// The module has seen request headers; without them it gets no response callbacks.
    pub(crate) started: bool,
    /// The VM had failed when the stream was opened, and the plugin fails open.
    pub(crate) bypass: bool,
    /// The VM failed in one of its callbacks: no more of them.
    pub(crate) failed: bool,
    /// `proxy_on_log` runs: request and response headers are readable.
    pub(crate) logging: bool,
    /// A local reply has been asked for, or the response has begun.
    pub(crate) replied: bool,
    /// It has been asked to go on with the request, with the response, to close; once is enough.
    pub(crate) asked: [bool; 3],
    /// Response headers have gone to the client.
    pub(crate) response_started: bool,
    /// The module holds the request, the response.
    pub(crate) paused: [bool; 2],
    /// Bytes of the request's and of the response's body that have come so far.
    pub(crate) received: [u64; 2],
    /// The last piece of the body is in the buffer.
    pub(crate) end_of_stream: bool,
    /// Headers and trailers by [`MapType`].
    pub(crate) maps: [Map; 4],
    pub(crate) bodies: [Body; 2],
    pub(crate) code: Option<u16>,
    /// Why the module broke off a response that had begun, if it said so.
    pub(crate) reset_details: Option<String>,
    /// Response code details; none before there is a response.
    pub(crate) details: Option<Cow<'static, str>>,
    pub(crate) filter_state: FilterState,
    /// Seldom are there any, as only those of root contexts are of use.
    pub(crate) declared: Option<Box<Declared>>,
    pub(crate) cost: Box<Cost>,
}

/// Headers or trailers of a stream.
#[derive(Debug, Default)]
pub(crate) struct Map {
    pub(crate) map: HeaderMap,
    /// There are some.
    pub(crate) present: bool,
    /// The module may read and write them now.
    pub(crate) current: bool,
}

/// One direction's body.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Kept back by the module.
    pub(crate) held: Vec<u8>,
    /// The piece that just came.
    pub(crate) chunk: Vec<u8>,
    /// The module sees what is held, not the piece.
    pub(crate) buffering: bool,
    /// The module may read and write it now.
    pub(crate) current: bool,
}

impl Body {
    /// What the module sees.
    pub(crate) fn shown(&self) -> &[u8] {
        if self.buffering { &self.held } else { &self.chunk }
    }

    /// The same, to change.
    pub(crate) fn shown_mut(&mut self) -> &mut Vec<u8> {
        if self.buffering { &mut self.held } else { &mut self.chunk }
    }
}

/// One TCP connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) root: u32,
    pub(crate) facts: ConnectionFacts,
    /// The module has been told of it.
    pub(crate) created: bool,
    /// The VM had failed when the connection was opened, and the plugin fails open.
    pub(crate) bypass: bool,
    /// The VM failed, and another took its place.
    pub(crate) failed: bool,
    /// What the client sent, and what the server sent.
    pub(crate) flows: [Flow; 2],
    /// Bytes that came from the client, and that went to it.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// The server's end came with data in whose callback the module closed the connection: it is told of the end last.
    pub(crate) end_untold: bool,
    /// It has been asked to go on with the client's data, to close; once is enough.
    pub(crate) asked: [bool; 2],
    pub(crate) filter_state: FilterState,
    /// Seldom are there any, as only those of root contexts are of use.
    pub(crate) declared: Option<Box<Declared>>,
    pub(crate) cost: Box<Cost>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// What has come and has not gone on.
    pub(crate) bytes: Vec<u8>,
    /// The module may read and write that now.
    pub(crate) current: bool,
}

/// Metrics that the module has defined. Ids are a running number for each kind, four apart, with the kind in the low bits.
#[derive(Debug, Default)]
pub(crate) struct MetricIds([Vec<Metric>; 3]);

impl MetricIds {
    /// The most that one VM may define of a kind.
    const MAX: usize = 1 << 20;

    pub(crate) fn define(&mut self, kind: MetricType, metric: Metric) -> Option<u32> {
        let list = self.0.get_mut(kind.code() as usize)?;
        if list.len() >= Self::MAX {
            return None;
        }
        list.push(metric);
        Some(u32::try_from(list.len()).ok()? << 2 | kind.code())
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Metric> {
        let index = (id >> 2).checked_sub(1)? as usize;
        self.0.get((id & 3) as usize)?.get(index)
    }
}

impl HostState {
    pub(crate) fn new(shared: &Arc<Shared>, plugin: &Arc<PluginConfig>, role: Role, abi: AbiVersion) -> Self {
        let random = match shared.options.seed {
            // Each VM has its own sequence, which does not depend on what the others do.
            Some(seed) => ChaCha12Rng::seed_from_u64(seed ^ role.number().wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            None => ChaCha12Rng::from_rng(&mut rand::rng()),
        };
        Self {
            shared: Arc::clone(shared),
            role,
            plugin: Arc::clone(plugin),
            abi,
            capabilities: capabilities(plugin),
            memory: None,
            allocator: None,
            limiter: Limiter::new(shared.options.limits.memory),
            starting: false,
            vm_starting: false,
            configuring: None,
            roots: Vec::new(),
            streams: HashMap::default(),
            connections: HashMap::default(),
            next_context: 1,
            current: 0,
            effective: 0,
            metrics: MetricIds::default(),
            random,
            scratch: Vec::new(),
            looked_into: None,
            calls: Calls::default(),
            grpc: Grpc::default(),
            actions: Vec::new(),
            cost: Box::default(),
            work_left: u64::MAX,
            complaints: None,
            unread: Unread::default(),
        }
    }

    /// Whose behaviour the host has.
    pub(crate) fn conformance(&self) -> Conformance {
        self.shared.options.conformance
    }

    /// Whether the module may make a hostcall.
    pub(crate) fn allows(&self, call: Hostcall) -> bool {
        self.capabilities.get(call as usize).copied().unwrap_or(true)
    }

    /// Takes work from what hostcalls may still do; says whether there was enough.
    pub(crate) fn afford(&mut self, work: u64) -> bool {
        let enough = self.work_left >= work;
        self.work_left = self.work_left.saturating_sub(work);
        enough
    }

    /// A context id that is not in use.
    pub(crate) fn new_context_id(&mut self) -> u32 {
        loop {
            let id = self.next_context;
            self.next_context = self.next_context.wrapping_add(1).max(1);
            let taken = self.streams.contains_key(&id) || self.connections.contains_key(&id) || self.root(id).is_some();
            if !taken {
                return id;
            }
        }
    }

    /// Whether a context has this id. A stream or connection for which the VM failed has none any more.
    pub(crate) fn exists(&self, id: u32) -> bool {
        let stream = self.streams.get(&id).is_some_and(|stream| !stream.failed);
        let connection = self.connections.get(&id).is_some_and(|connection| !connection.failed);
        stream || connection || self.root(id).is_some()
    }

    /// The context that hostcalls act on: the effective one, while it is there.
    pub(crate) fn context(&self) -> u32 {
        if self.effective != 0 && self.exists(self.effective) { self.effective } else { self.current }
    }

    /// The stream that hostcalls act on; none for a root context.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        self.streams.get(&self.context()).map(Box::as_ref)
    }

    /// The same, to change.
    pub(crate) fn stream_mut(&mut self) -> Option<&mut Stream> {
        let id = self.context();
        self.streams.get_mut(&id).map(Box::as_mut)
    }

    /// The connection that hostcalls act on; none for other contexts.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connections.get(&self.context()).map(Box::as_ref)
    }

    /// The same, to change.
    pub(crate) fn connection_mut(&mut self) -> Option<&mut Connection> {
        let id = self.context();
        self.connections.get_mut(&id).map(Box::as_mut)
    }

    /// What the module has set as properties of the context that hostcalls act on; a root context has none. Whoever asks is about to search it,
    /// which counts as work for each entry.
    pub(crate) fn filter_state_mut(&mut self) -> Option<&mut FilterState> {
        let id = self.context();
        let state = self.streams.get(&id).map(|stream| &stream.filter_state);
        let state = state.or_else(|| self.connections.get(&id).map(|connection| &connection.filter_state));
        self.afford(state.map_or(0, FilterState::len) as u64);
        let Self { streams, connections, .. } = self;
        let of_stream = streams.get_mut(&id).map(|stream| &mut stream.filter_state);
        of_stream.or_else(|| connections.get_mut(&id).map(|connection| &mut connection.filter_state))
    }

    /// The declarations of the context whose callback runs, whichever it has turned to. Only those of a root context are of use.
    pub(crate) fn declared_mut(&mut self) -> Option<&mut Declared> {
        let id = self.current;
        let Self { roots, streams, connections, .. } = self;
        let of_root = roots.iter_mut().find(|root| root.id == id).map(|root| &mut root.declared);
        let of_stream = streams.get_mut(&id).map(|stream| &mut stream.declared);
        let of_other = of_stream.or_else(|| connections.get_mut(&id).map(|connection| &mut connection.declared));
        of_root.or_else(|| Some(of_other?.get_or_insert_default()))
    }

    /// A map for reading: of the stream that hostcalls act on, or of the callout that is being answered.
    pub(crate) fn readable(&self, map: MapType) -> Option<&HeaderMap> {
        match map {
            MapType::HttpCallResponseHeaders => self.calls.response.as_ref().map(|response| &response.headers),
            // Without trailers there is no map.
            MapType::HttpCallResponseTrailers => {
                self.calls.response.as_ref().map(|response| &response.trailers).filter(|trailers| !trailers.is_empty())
            }
            MapType::GrpcReceiveInitialMetadata => self.grpc.initial_metadata.as_ref(),
            MapType::GrpcReceiveTrailingMetadata => self.grpc.trailing_metadata.as_ref(),
            MapType::RequestTrailers if self.conformance().trailers_are_logged() => {
                let stream = self.stream()?;
                let logged = stream.map(map).filter(|slot| stream.logging && slot.present).map(|slot| &slot.map);
                logged.or_else(|| stream.readable(map))
            }
            map => self.stream()?.readable(map),
        }
    }

    /// A context's callback begins: hostcalls act on it, and what they cost is its own. Returns what was before.
    pub(crate) fn enter(&mut self, context: u32) -> Around {
        let around = Around { current: self.current, effective: self.effective };
        self.swap_cost(around.current);
        self.current = context;
        self.effective = 0;
        self.swap_cost(context);
        self.cost.callbacks = self.cost.callbacks.saturating_add(1);
        around
    }

    /// The callback has ended.
    pub(crate) fn leave(&mut self, around: Around) {
        self.swap_cost(self.current);
        self.current = around.current;
        self.effective = around.effective;
        self.swap_cost(around.current);
        self.hand_over_between_callbacks();
    }

    /// Exchanges the running cost with that of a context: hostcalls count into the former.
    fn swap_cost(&mut self, context: u32) {
        if context == 0 {
            return;
        }
        let Self { streams, connections, roots, cost, .. } = self;
        if let Some(stream) = streams.get_mut(&context) {
            std::mem::swap(cost, &mut stream.cost);
        } else if let Some(connection) = connections.get_mut(&context) {
            std::mem::swap(cost, &mut connection.cost);
        } else if let Some(root) = roots.iter_mut().find(|root| root.id == context) {
            std::mem::swap(cost, &mut root.cost);
        }
    }

    pub(crate) fn root(&self, id: u32) -> Option<&Root> {
        self.roots.iter().find(|root| root.id == id)
    }

    pub(crate) fn root_mut(&mut self, id: u32) -> Option<&mut Root> {
        self.roots.iter_mut().find(|root| root.id == id)
    }

    /// The root context of the context that hostcalls act on.
    pub(crate) fn root_id(&self) -> u32 {
        let root = self.stream().map(|stream| stream.root);
        root.or_else(|| Some(self.connection()?.root)).unwrap_or_else(|| self.context())
    }

    /// The root context of the context whose callback runs, whichever that has turned to.
    pub(crate) fn root_of_current(&self) -> u32 {
        let stream = self.streams.get(&self.current).map(|stream| stream.root);
        let connection = self.connections.get(&self.current).map(|connection| connection.root);
        stream.or(connection).unwrap_or(self.current)
    }

    /// The plugin of the context that hostcalls act on.
    pub(crate) fn context_plugin(&self) -> &Arc<PluginConfig> {
        self.root(self.root_id()).map_or(&self.plugin, |root| &root.plugin)
    }
}

fn capabilities(plugin: &PluginConfig) -> Vec<bool> {
    if plugin.allowed_capabilities.is_empty() {
        return Vec::new();
    }
    // Functions of WASI that share a number are told apart when they are called.
    NAMES.iter().map(|name| *name == Hostcall::OtherWasi.name() || plugin.allows(name)).collect()
}

impl Stream {
    pub(crate) fn map(&self, map: MapType) -> Option<&Map> {
        self.maps.get(map as usize)
    }

    pub(crate) fn map_mut(&mut self, map: MapType) -> Option<&mut Map> {
        self.maps.get_mut(map as usize)
    }

    /// How long the upstream took for all of it.
    pub(crate) fn backend_latency_ns(&self) -> Option<u64> {
        let [sent, received] = self.upstream_ns;
        received?.checked_sub(sent?)
    }

    /// Whether response headers have come.
    pub(crate) fn has_response(&self) -> bool {
        self.map(MapType::ResponseHeaders).is_some_and(|slot| slot.present)
    }

    /// A map for reading: in the log phase as the proxy's access log has it.
    pub(crate) fn readable(&self, map: MapType) -> Option<&HeaderMap> {
        let slot = self.map(map)?;
        let readable = if self.logging { slot.present && map != MapType::RequestTrailers } else { slot.current };
        readable.then_some(&slot.map)
    }

    /// A map for writing. In the callback of a body's last piece, asking for trailers makes them.
    pub(crate) fn writable(&mut self, map: MapType) -> Option<&mut HeaderMap> {
        let last_piece = self.end_of_stream
            && match map {
                MapType::RequestTrailers => self.bodies[0].current,
                MapType::ResponseTrailers => self.bodies[1].current,
                _ => false,
            };
        let slot = self.map_mut(map)?;
        if !slot.current && last_piece {
            slot.present = true;
            slot.current = true;
        }
        slot.current.then_some(&mut slot.map)
    }
}

/// Keeps the module within its memory.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Bytes that its memories may still grow by, all together.
    memory: usize,
    /// Elements that its tables may still grow by.
    elements: usize,
}

impl Limiter {
    fn new(memory: usize) -> Self {
        Self { memory, elements: 1 << 20 }
    }
}

/// Takes from what is left; says whether there was enough.
fn take(left: &mut usize, now: usize, desired: usize) -> bool {
    let rest = left.checked_sub(desired.saturating_sub(now));
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, now: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        Ok(most.is_none_or(|most| desired <= most) && take(&mut self.memory, now, desired))
    }

    fn table_growing(&mut self, now: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        Ok(most.is_none_or(|most| desired <= most) && take(&mut self.elements, now, desired))
    }
}

/// Context ids are spread evenly as they are.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
