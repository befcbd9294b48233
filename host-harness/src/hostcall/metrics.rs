//! Metrics. A counter that is recorded is added to in Envoy, and set by the specification.

use wasmtime::Linker;

use super::{Answer, Hostcall, provide};
use crate::Conformance;
use crate::abi::{MetricType, Status};
use crate::stats::{MODULE_PREFIX, Metric};
use crate::vm::memory::GuestMemory;
use crate::vm::state::HostState;

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    provide!(linker, "env", DefineMetric, define, (kind: u32, name: u32, size: u32, id: u32));
    provide!(linker, "env", IncrementMetric, increment, (id: u32, offset: i64));
    provide!(linker, "env", RecordMetric, record, (id: u32, value: u64));
    provide!(linker, "env", GetMetric, get, (id: u32, value: u32));
    Ok(())
}

/// Defining a name again gives a new id for the same stat; the same name as another kind is another stat.
fn define(memory: &mut GuestMemory<'_>, kind: u32, name: u32, size: u32, id: u32) -> Answer {
    let name = format!("{MODULE_PREFIX}{}", String::from_utf8_lossy(memory.read(name, size)?));
    let kind = MetricType::from_code(kind).ok_or(Status::BadArgument)?;
    let state = &mut *memory.state;
    let metric = state.shared.stats().of_module(&name, kind).ok_or(Status::InternalFailure)?;
    let number = state.metrics.define(kind, metric).ok_or(Status::InternalFailure)?;
    memory.write_u32(id, number)
}

/// What an unknown id answers: in Envoy the two kinds that could be there are not found, anything else is a bad argument.
fn unknown(conformance: Conformance, id: u32) -> Status {
    if id & 3 < 2 || conformance.metrics_are_not_found() { Status::NotFound } else { Status::BadArgument }
}

fn increment(memory: &mut GuestMemory<'_>, id: u32, offset: i64) -> Answer {
    let conformance = memory.state.conformance();
    match memory.state.metrics.get(id) {
        Some(Metric::Counter(counter)) => match u64::try_from(offset) {
            Ok(0) if conformance.zero_is_added() => {}
            Ok(delta @ 1..) => counter.add(delta),
            _ => return Err(Status::BadArgument.into()),
        },
        Some(Metric::Gauge(gauge)) => gauge.add(offset),
        Some(Metric::Histogram(_)) => return Err(Status::BadArgument.into()),
        None => return Err(unknown(conformance, id).into()),
    }
    Ok(())
}

fn record(memory: &mut GuestMemory<'_>, id: u32, value: u64) -> Answer {
    let sets = memory.state.conformance().counters_are_set();
    match memory.state.metrics.get(id) {
        Some(Metric::Counter(counter)) if sets => counter.set(value),
        Some(Metric::Counter(counter)) => counter.add(value),
        Some(Metric::Gauge(gauge)) => gauge.set(value),
        Some(Metric::Histogram(histogram)) => histogram.record(value),
        None => return Err(Status::NotFound.into()),
    }
    Ok(())
}

fn get(memory: &mut GuestMemory<'_>, id: u32, value: u32) -> Answer {
    let number = match memory.state.metrics.get(id) {
        Some(Metric::Counter(counter)) => counter.value(),
        Some(Metric::Gauge(gauge)) => gauge.value(),
        Some(Metric::Histogram(_)) => return Err(Status::BadArgument.into()),
        None => return Err(unknown(memory.state.conformance(), id).into()),
    };
    memory.write_u64(value, number)
}
