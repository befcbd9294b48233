//! One VM: an instance of the module, its callbacks, and what happens around each of them.

pub(crate) mod filter_state;
pub(crate) mod grpc;
pub(crate) mod memory;
pub(crate) mod state;
mod written;

use std::sync::Arc;

use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use crate::module::DEADLINE_STEP;
use crate::trace::Event;
use crate::{AbiVersion, Module, PluginConfig, Role, Shared, StartError};
use grpc::Failed;
use state::HostState;

/// An instance of a module.
#[derive(Debug)]
pub(crate) struct Vm {
    store: Store<HostState>,
    pub(crate) exports: Exports,
    /// Why the VM has failed: no callback is made any more.
    failure: Option<String>,
    fuel: Option<u64>,
    deadline_steps: Option<u64>,
}

/// Root context, number of the callout, numbers of headers, bytes of body and trailers.
type CallResponse = (u32, u32, u32, u32, u32);

/// The callbacks that the module has.
pub(crate) struct Exports {
    pub(crate) context_create: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) vm_start: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) configure: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) tick: Option<TypedFunc<u32, ()>>,
    pub(crate) request_headers: Option<TypedFunc<(u32, u32, u32), u32>>,
    /// Of ABI 0.1.0, which has no end of stream with headers.
    pub(crate) request_headers_0_1_0: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) request_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) request_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) response_headers: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) response_headers_0_1_0: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) response_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) response_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) new_connection: Option<TypedFunc<u32, u32>>,
    pub(crate) downstream_data: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) upstream_data: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) downstream_connection_close: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) upstream_connection_close: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) http_call_response: Option<TypedFunc<CallResponse, ()>>,
    pub(crate) grpc_initial_metadata: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) grpc_receive: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) grpc_trailing_metadata: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) grpc_close: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(crate) queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) done: Option<TypedFunc<u32, u32>>,
    pub(crate) log: Option<TypedFunc<u32, ()>>,
    pub(crate) delete: Option<TypedFunc<u32, ()>>,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exports")
    }
}

impl Vm {
    /// Makes an instance and runs its start function.
    pub(crate) fn new(
        module: &Module,
        plugin: &Arc<PluginConfig>,
        shared: &Arc<Shared>,
        role: Role,
    ) -> Result<Self, StartError> {
        let limits = &shared.options.limits;
        let compiled = module.compiled(limits.engine())?;
        let mut store =
            Store::new(compiled.instance.module().engine(), HostState::new(shared, plugin, role, compiled.abi));
        store.limiter(|state| &mut state.limiter);
        let deadline_steps = limits.deadline.map(|deadline| {
            // One more, as the current step has partly passed.
            u64::try_from(deadline.as_nanos() / DEADLINE_STEP.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
        });
        let fuel = limits.fuel_per_callback;
        meter(&mut store, fuel, deadline_steps);
        let trap = |callback: &'static str, error: wasmtime::Error| StartError::Trap {
            callback,
            message: format!("{error:?}"),
        };
        store.data_mut().starting = true;
        let instance = compiled.instance.instantiate(&mut store).map_err(|error| trap("instantiation", error))?;
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory =
            Some(memory.ok_or_else(|| StartError::Link("the module exports no memory".to_owned()))?);
        // The C name first, as Envoy has it.
        let [first, second] = if shared.options.conformance.own_allocator_first() {
            ["proxy_on_memory_allocate", "malloc"]
        } else {
            ["malloc", "proxy_on_memory_allocate"]
        };
        let allocator = match function(&instance, &mut store, first)? {
            Some(allocator) => Some(allocator),
            None => function(&instance, &mut store, second)?,
        };
        store.data_mut().allocator = allocator;
        let exports = Exports::find(&instance, &mut store)?;
        if let Some(initialize) = function::<(), ()>(&instance, &mut store, "_initialize")? {
            initialize.call(&mut store, ()).map_err(|error| trap("_initialize", error))?;
            // Also the C runtime's own entry point, where a module of the reactor kind has one.
            if let Ok(Some(main)) = function::<(u32, u32), u32>(&instance, &mut store, "main") {
                main.call(&mut store, (0, 0)).map_err(|error| trap("main", error))?;
            }
        } else if let Some(start) = function::<(), ()>(&instance, &mut store, "_start")? {
            start.call(&mut store, ()).map_err(|error| trap("_start", error))?;
        }
        store.data_mut().starting = false;
        store.data_mut().actions.clear();
        Ok(Self { store, exports, failure: None, fuel, deadline_steps })
    }

    /// The host's state.
    pub(crate) fn state(&self) -> &HostState {
        self.store.data()
    }

    /// The host's state, to change.
    pub(crate) fn state_mut(&mut self) -> &mut HostState {
        self.store.data_mut()
    }

    /// Bytes of the module's memory.
    pub(crate) fn memory_size(&self) -> usize {
        self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Why the VM has failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Makes a callback, if the module has it and the VM has not failed. `None` is no answer, for either reason.
    pub(crate) fn call<P: WasmParams, R: WasmResults + Shown>(
        &mut self,
        callback: &'static str,
        context: u32,
        pick: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
        parameters: P,
        shown: &[u32],
    ) -> Option<R> {
        meter(&mut self.store, self.fuel, self.deadline_steps);
        let result = self.make(callback, context, pick, parameters, shown);
        self.tell_of_failed_grpc();
        result
    }

    /// Tells a root context of the end of its gRPC callout.
    pub(crate) fn call_grpc_close(&mut self, failed: Failed) {
        meter(&mut self.store, self.fuel, self.deadline_steps);
        self.make_grpc_close(failed);
        self.tell_of_failed_grpc();
    }

    /// Tells of gRPC callouts that failed at once, in what the callback has left of its fuel and time: a module that makes
    /// another one each time shall not go on for ever.
    fn tell_of_failed_grpc(&mut self) {
        while let Some(failed) = self.state_mut().grpc.failed.pop_front() {
            // Of what the callback was about, this is not there any more.
            let state = self.state_mut();
            state.grpc.message = None;
            state.calls.response = None;
            self.make_grpc_close(failed);
        }
    }

    /// Only a module that has the callback finds the status changed.
    fn make_grpc_close(&mut self, Failed { root, token, status, message }: Failed) {
        if self.exports.grpc_close.is_none() {
            return;
        }
        self.state_mut().calls.status = (status, message);
        let parameters = (root, token, status);
        self.make(
            "proxy_on_grpc_close",
            root,
            |exports| &exports.grpc_close,
            parameters,
            &<[u32; 3]>::from(parameters),
        );
        // The code stays.
        self.state_mut().calls.status.1.clear();
    }

    /// One callback, within the fuel and time that are left.
    fn make<P: WasmParams, R: WasmResults + Shown>(
        &mut self,
        callback: &'static str,
        context: u32,
        pick: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
        parameters: P,
        shown: &[u32],
    ) -> Option<R> {
        if self.failure.is_some() {
            return None;
        }
        let function = pick(&self.exports).as_ref()?;
        let before = self.fuel.map(|_| self.store.get_fuel().unwrap_or_default());
        let state = self.store.data_mut();
        let around = state.enter(context);
        state.trace_with(|out| {
            out.extend(shown.iter().flat_map(|number| number.to_le_bytes()));
            Event::Callback(callback)
        });
        let result = function.call(&mut self.store, parameters);
        let left = self.fuel.map(|_| self.store.get_fuel().unwrap_or_default());
        let state = self.store.data_mut();
        if let (Some(before), Some(left)) = (before, left) {
            state.cost.fuel += before.saturating_sub(left);
        }
        match result {
            Ok(result) => {
                let shown = result.shown().map(u32::to_le_bytes);
                state.trace(Event::Returned(callback), shown.as_ref().map_or(&[], |shown| shown));
                state.leave(around);
                Some(result)
            }
            Err(error) => {
                // With the module's backtrace.
                let message = format!("{callback} failed: {error:?}");
                state.trace(Event::Trapped, message.as_bytes());
                state.leave(around);
                state.log(crate::LogLevel::Critical, message.as_bytes());
                self.failure = Some(message);
                None
            }
        }
    }
}

impl Exports {
    fn find(instance: &Instance, store: &mut Store<HostState>) -> Result<Self, StartError> {
        let old = store.data().abi == AbiVersion::V0_1_0;
        Ok(Self {
            context_create: function(instance, store, "proxy_on_context_create")?,
            vm_start: function(instance, store, "proxy_on_vm_start")?,
            configure: function(instance, store, "proxy_on_configure")?,
            tick: function(instance, store, "proxy_on_tick")?,
            request_headers: if old { None } else { function(instance, store, "proxy_on_request_headers")? },
            request_headers_0_1_0: if old { function(instance, store, "proxy_on_request_headers")? } else { None },
            request_body: function(instance, store, "proxy_on_request_body")?,
            request_trailers: function(instance, store, "proxy_on_request_trailers")?,
            response_headers: if old { None } else { function(instance, store, "proxy_on_response_headers")? },
            response_headers_0_1_0: if old { function(instance, store, "proxy_on_response_headers")? } else { None },
            response_body: function(instance, store, "proxy_on_response_body")?,
            response_trailers: function(instance, store, "proxy_on_response_trailers")?,
            new_connection: function(instance, store, "proxy_on_new_connection")?,
            downstream_data: function(instance, store, "proxy_on_downstream_data")?,
            upstream_data: function(instance, store, "proxy_on_upstream_data")?,
            downstream_connection_close: function(instance, store, "proxy_on_downstream_connection_close")?,
            upstream_connection_close: function(instance, store, "proxy_on_upstream_connection_close")?,
            http_call_response: function(instance, store, "proxy_on_http_call_response")?,
            grpc_initial_metadata: function(instance, store, "proxy_on_grpc_receive_initial_metadata")?,
            grpc_receive: function(instance, store, "proxy_on_grpc_receive")?,
            grpc_trailing_metadata: function(instance, store, "proxy_on_grpc_receive_trailing_metadata")?,
            grpc_close: function(instance, store, "proxy_on_grpc_close")?,
            queue_ready: function(instance, store, "proxy_on_queue_ready")?,
            done: function(instance, store, "proxy_on_done")?,
            log: function(instance, store, "proxy_on_log")?,
            delete: function(instance, store, "proxy_on_delete")?,
        })
    }
}

/// An exported function, if there is one that the host may call; one with another signature is an error.
fn function<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<HostState>,
    name: &str,
) -> Result<Option<TypedFunc<P, R>>, StartError> {
    // Callbacks are capabilities; what a module needs to run is none.
    let callback = name.starts_with("proxy_on_") && name != "proxy_on_memory_allocate";
    if callback && !store.data().plugin.allows(name) {
        return Ok(None);
    }
    let Some(function) = instance.get_func(&mut *store, name) else {
        return Ok(None);
    };
    let typed = function.typed(&*store);
    typed.map(Some).map_err(|error| StartError::Link(format!("export {name} has a wrong signature: {error}")))
}

fn meter(store: &mut Store<HostState>, fuel: Option<u64>, deadline_steps: Option<u64>) {
    if let Some(fuel) = fuel {
        store.data_mut().work_left = fuel;
        // Only fails without metering, which the engine was made with.
        _ = store.set_fuel(fuel);
    }
    if let Some(steps) = deadline_steps {
        store.set_epoch_deadline(steps);
    }
}

/// A callback's answer, for the trace.
pub(crate) trait Shown {
    fn shown(&self) -> Option<u32>;
}

impl Shown for () {
    fn shown(&self) -> Option<u32> {
        None
    }
}

impl Shown for u32 {
    fn shown(&self) -> Option<u32> {
        Some(*self)
    }
}
