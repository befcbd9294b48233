//! All that one VM holds, and which callback is for whom.
//!
//! One VM may hold several root contexts: a replaced configuration that still drains and its successor, or plugins
//! that happen to share code and `vm_id`. Each successful configuration makes an [`Instance`], and a stream stays
//! with the instance that its root context had when the stream began. An instance goes when its root context has gone
//! or moved on, its last stream has ended and the proxy has taken its counts.

use std::cell::RefCell;

use crate::calls::Watch;
use crate::clock::Clock;
use crate::contexts::Contexts;
use crate::flush::SLICE_NS;
use crate::host::HostBuffer;
use crate::random::Random;
use crate::root::Instance;
use crate::stream::Stream;
use crate::worker::Lease;
use telemetry::log::LineWriter;
use telemetry::recent::Secret;

thread_local! {
    static VM: RefCell<Vm> = const { RefCell::new(Vm::new()) };
}

/// What is kept of the memory for merged header values.
const MERGED_RETAINED: usize = 4096;

/// Runs a callback on this VM's state. `None` when the host calls back in the middle of another callback, which no
/// hostcall of ours gives it a reason to do.
pub(crate) fn with<R>(callback: impl FnOnce(&mut Vm) -> R) -> Option<R> {
    VM.with(|vm| vm.try_borrow_mut().ok().map(|mut vm| callback(&mut vm)))
}

/// All that one VM holds.
#[derive(Debug)]
pub(crate) struct Vm {
    /// Root contexts: one, or two while a configuration is being replaced.
    pub(crate) roots: Vec<Root>,
    /// By number; `None` where a number is free.
    pub(crate) instances: Vec<Option<Instance>>,
    pub(crate) streams: Contexts<Stream>,
    pub(crate) leases: Vec<NamespaceLease>,
    pub(crate) tools: Tools,
    /// A retired instance may have new stats left over.
    left_over: bool,
    /// Looks for workers that have died.
    pub(crate) watch: Watch,
}

/// A root context.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) context: u32,
    /// The number of the instance that new streams go to.
    pub(crate) instance: Option<usize>,
}

/// This VM's number among the workers, in one namespace. The root contexts of a namespace share it, so that a worker
/// beats once a tick also while a configuration is being replaced.
#[derive(Debug)]
pub(crate) struct NamespaceLease {
    pub(crate) namespace: String,
    /// The root context whose ticks are the beats.
    pub(crate) root: u32,
    pub(crate) lease: Lease,
}

/// What callbacks work with.
#[derive(Debug)]
pub(crate) struct Tools {
    /// For header maps.
    pub(crate) headers: HostBuffer,
    /// For everything else.
    pub(crate) value: HostBuffer,
    pub(crate) clock: Clock,
    /// Keyed when the first configuration comes.
    pub(crate) random: Option<Random>,
    /// How many streams read their request's body.
    pub(crate) reading: u32,
    /// What the keys of remembered occurrences are hashed with, once it was agreed on.
    pub(crate) secret: Option<Secret>,
    lines: Option<LineWriter>,
    /// For the log line of an event.
    event_line: String,
    /// For a header's value that is put together.
    pub(crate) merged: Vec<u8>,
}

impl Tools {
    const fn new() -> Self {
        Self {
            headers: HostBuffer::new(),
            value: HostBuffer::new(),
            clock: Clock::new(),
            random: None,
            reading: 0,
            secret: None,
            lines: None,
            event_line: String::new(),
            merged: Vec::new(),
        }
    }

    /// For log lines; made when the first is written.
    pub(crate) fn lines(&mut self) -> &mut LineWriter {
        self.lines.get_or_insert_default()
    }

    /// What events are delivered with: memory for what hostcalls return and for a log line, and randomness.
    pub(crate) fn for_delivery(&mut self) -> (&mut HostBuffer, &mut String, &mut Option<Random>) {
        (&mut self.value, &mut self.event_line, &mut self.random)
    }

    /// The same for events that are only taken.
    pub(crate) fn for_events(&mut self) -> (&mut HostBuffer, &mut String) {
        (&mut self.value, &mut self.event_line)
    }

    /// Gives back memory that only an unusual request needed.
    pub(crate) fn trim(&mut self) {
        self.headers.trim();
        self.value.trim();
        if self.merged.capacity() > MERGED_RETAINED {
            self.merged = Vec::new();
        }
    }
}

impl Vm {
    const fn new() -> Self {
        Self {
            roots: Vec::new(),
            instances: Vec::new(),
            streams: Contexts::new(),
            leases: Vec::new(),
            tools: Tools::new(),
            left_over: false,
            watch: Watch::new(),
        }
    }

    /// A context begins: a root context, or a stream of one.
    pub(crate) fn on_context_create(&mut self, context: u32, parent: u32) {
        if parent == 0 {
            if context != 0 && self.root(context).is_none() {
                self.roots.push(Root { context, instance: None });
            }
            return;
        }
        // A stream whose root context has no configuration passes untouched and uncounted.
        let Some(number) = self.root(parent).and_then(|root| root.instance) else {
            return;
        };
        self.end_stream(context);
        let (Some(Some(instance)), Some(stream)) = (self.instances.get_mut(number), self.streams.add(context)) else {
            return;
        };
        instance.streams += 1;
        instance.begun = instance.begun.wrapping_add(1);
        stream.begin(number);
    }

    /// The headers of a request have come.
    pub(crate) fn on_request_headers(&mut self, context: u32) {
        if let Some((stream, instance, tools)) = self.stream(context) {
            stream.on_request_headers(instance, tools);
        }
    }

    /// A piece of a request's body has come.
    pub(crate) fn on_request_body(&mut self, context: u32, size: usize) {
        if self.tools.reading != 0
            && let Some((stream, instance, tools)) = self.stream(context)
        {
            stream.on_request_body(size, instance, tools);
        }
    }

    /// The headers of a response have come.
    pub(crate) fn on_response_headers(&mut self, context: u32) {
        if let Some((stream, instance, tools)) = self.stream(context) {
            stream.on_response_headers(instance, tools);
        }
    }

    /// A stream has ended, and all about it is known.
    pub(crate) fn on_log(&mut self, context: u32) {
        let Some((stream, instance, tools)) = self.stream(context) else {
            return;
        };
        stream.on_log(instance, tools);
        if instance.retired {
            let number = stream.instance();
            self.hand_on_events(number);
            self.hand_over_retired(number, SLICE_NS);
        } else {
            instance.catch_up(tools);
        }
        if self.left_over {
            self.catch_up_retired();
        }
    }

    /// A context is about to go: of a root context, the last counts are handed over.
    pub(crate) fn on_delete(&mut self, context: u32) {
        if self.end_stream(context) {
            return;
        }
        let Some(at) = self.roots.iter().position(|root| root.context == context) else {
            return;
        };
        let root = self.roots.swap_remove(at);
        if let Some(number) = root.instance {
            self.retire(number);
            self.release_lease(context);
            self.free_instance(number);
        }
    }

    /// Whether a tick will come: one of any root context serves for what retired instances owe.
    fn ticks(&self) -> bool {
        self.roots.iter().any(|root| root.instance.is_some())
    }

    pub(crate) fn root(&self, context: u32) -> Option<&Root> {
        self.roots.iter().find(|root| root.context == context)
    }

    fn stream(&mut self, context: u32) -> Option<(&mut Stream, &mut Instance, &mut Tools)> {
        let stream = self.streams.get_mut(context)?;
        let instance = self.instances.get_mut(stream.instance())?.as_mut()?;
        Some((stream, instance, &mut self.tools))
    }

    /// Forgets a stream; false when there is none of this ID.
    fn end_stream(&mut self, context: u32) -> bool {
        let Some(stream) = self.streams.remove(context) else {
            return false;
        };
        let number = stream.instance();
        let body = stream.take_body();
        if body.is_some() {
            self.tools.reading = self.tools.reading.saturating_sub(1);
        }
        if let Some(Some(instance)) = self.instances.get_mut(number) {
            instance.bodies.put(body);
            instance.streams = instance.streams.saturating_sub(1);
            if instance.retired {
                self.free_instance(number);
            }
        }
        true
    }

    /// Hands over what an instance has counted; from now on its streams do so themselves. New stats come in slices, as ever, while there will be
    /// a tick; what retired instances still owe when the last root context goes is handed over at once.
    pub(crate) fn retire(&mut self, number: usize) {
        if let Some(Some(instance)) = self.instances.get_mut(number) {
            instance.retired = true;
        }
        self.hand_on_events(number);
        if self.ticks() {
            self.hand_over_retired(number, SLICE_NS);
            return;
        }
        for number in 0..self.instances.len() {
            self.hand_over_retired(number, SLICE_NS);
        }
    }

    /// Hands over what a retired instance owes: a slice of this length while there will be a tick, else all.
    #[cold]
    fn hand_over_retired(&mut self, number: usize, slice_ns: u64) {
        let ticks = self.ticks();
        if let Some(Some(instance)) = self.instances.get_mut(number)
            && instance.retired
        {
            if ticks {
                instance.hand_over(slice_ns, &mut self.tools);
                self.left_over |= instance.owes();
            } else {
                instance.drain(&mut self.tools);
            }
        }
    }

    /// Goes on with the new stats of retired instances, if it is time.
    #[cold]
    fn catch_up_retired(&mut self) {
        for number in 0..self.instances.len() {
            if let Some(Some(instance)) = self.instances.get_mut(number)
                && instance.retired
            {
                instance.catch_up(&mut self.tools);
                self.free_instance(number);
            }
        }
    }

    /// Drops an instance that is retired, has no stream, owes the proxy nothing and belongs to no root context.
    pub(crate) fn free_instance(&mut self, number: usize) {
        let in_use = self.roots.iter().any(|root| root.instance == Some(number));
        if let Some(place) = self.instances.get_mut(number)
            && !in_use
            && place.as_ref().is_some_and(|instance| instance.retired && instance.streams == 0 && !instance.owes())
        {
            *place = None;
        }
    }

    /// Offers again what the proxy did not take from retired instances, which have no tick of their own, and what was left over.
    pub(crate) fn settle_retired(&mut self, slice_ns: u64) {
        self.left_over = false;
        for number in 0..self.instances.len() {
            if self.instances.get(number).and_then(Option::as_ref).is_some_and(Instance::owes) {
                self.hand_over_retired(number, slice_ns);
                self.free_instance(number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
