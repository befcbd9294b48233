//! WASI preview 1, as proxies provide it: enough for the runtimes of Rust, Go and AssemblyScript to start, and no more.

use rand_chacha::rand_core::Rng as _;
use wasmtime::{FuncType, Linker, Val, ValType};

use super::{Answer, Fail, Guest, Hostcall, NAMES, enter, provide, restricted};
use crate::LogLevel;
use crate::vm::memory::GuestMemory;
use crate::vm::state::HostState;

/// Bad file descriptor.
const BADF: u32 = 8;
/// Bad address.
const FAULT: u32 = 21;
/// Invalid argument.
const INVAL: u32 = 28;
/// No such file.
const NOENT: u32 = 44;
/// Not implemented.
const NOSYS: u32 = 52;
/// Not supported.
const NOTSUP: u32 = 58;
/// Not among the capabilities.
pub(super) const NOTCAPABLE: u32 = 76;

/// Both names under which modules import it.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

pub(super) fn link_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    for module in MODULES {
        provide!(linker, module, FdWrite, fd_write, (fd: u32, slices: u32, count: u32, written: u32));
        provide!(linker, module, EnvironSizesGet, environ_sizes_get, (count: u32, size: u32));
        provide!(linker, module, EnvironGet, environ_get, (pointers: u32, buffer: u32));
        provide!(linker, module, ArgsSizesGet, args_sizes_get, (count: u32, size: u32));
        provide!(linker, module, ArgsGet, args_get, (_pointers: u32, _buffer: u32));
        provide!(linker, module, ClockTimeGet, clock_time_get, (clock: u32, _precision: u64, time: u32));
        provide!(linker, module, RandomGet, random_get, (buffer: u32, size: u32));
        provide!(linker, module, SchedYield, sched_yield, ());
        provide!(linker, module, PollOneoff, poll_oneoff, (_subscriptions: u32, _events: u32, _count: u32, occurred: u32));
        provide!(linker, module, FdFdstatGet, fd_fdstat_get, (fd: u32, stat: u32));
        linker.func_wrap(module, "proc_exit", |guest: Guest<'_>, code: u32| -> wasmtime::Result<()> {
            enter(guest, Hostcall::ProcExit, &[code.into()], |memory| proc_exit(memory, code)).map(drop)
        })?;
        for (name, parameters, errno) in FIXED {
            fixed(linker, module, name, parameters, *errno)?;
        }
    }
    Ok(())
}

/// Functions that do nothing: name, parameters (`i` 32 bits, `I` 64 bits), what they answer.
const FIXED: &[(&str, &str, u32)] = &[
    ("clock_res_get", "ii", NOTSUP),
    ("fd_advise", "iIIi", NOTSUP),
    ("fd_allocate", "iII", NOTSUP),
    ("fd_close", "i", 0),
    ("fd_datasync", "i", NOTSUP),
    ("fd_fdstat_set_flags", "ii", NOSYS),
    ("fd_fdstat_set_rights", "iII", NOTSUP),
    ("fd_filestat_get", "ii", NOTSUP),
    ("fd_filestat_set_size", "iI", NOTSUP),
    ("fd_filestat_set_times", "iIIi", NOTSUP),
    ("fd_pread", "iiiIi", NOTSUP),
    ("fd_prestat_dir_name", "iii", NOSYS),
    // Bad file descriptor ends the runtime's search for opened directories.
    ("fd_prestat_get", "ii", BADF),
    ("fd_pwrite", "iiiIi", NOTSUP),
    ("fd_read", "iiii", NOSYS),
    ("fd_readdir", "iiiIi", NOTSUP),
    ("fd_renumber", "ii", NOTSUP),
    ("fd_seek", "iIii", 0),
    ("fd_sync", "i", NOTSUP),
    ("fd_tell", "ii", NOTSUP),
    ("path_create_directory", "iii", NOTSUP),
    ("path_filestat_get", "iiiii", NOTSUP),
    ("path_filestat_set_times", "iiiiIIi", NOTSUP),
    ("path_link", "iiiiiii", NOTSUP),
    ("path_open", "iiiiiIIii", NOENT),
    ("path_readlink", "iiiiii", NOTSUP),
    ("path_remove_directory", "iii", NOTSUP),
    ("path_rename", "iiiiii", NOTSUP),
    ("path_symlink", "iiiii", NOTSUP),
    ("path_unlink_file", "iii", NOTSUP),
    ("proc_raise", "i", NOTSUP),
    ("sock_accept", "iii", NOTSUP),
    ("sock_recv", "iiiiii", NOTSUP),
    ("sock_send", "iiiii", NOTSUP),
    ("sock_shutdown", "ii", NOTSUP),
];

/// Whether the host has this function.
pub(super) fn provides(module: &str, name: &str) -> bool {
    MODULES.contains(&module)
        && !name.starts_with("proxy_")
        && name != Hostcall::OtherWasi.name()
        && (NAMES.contains(&name) || FIXED.iter().any(|(fixed, ..)| *fixed == name))
}

fn fixed(
    linker: &mut Linker<HostState>,
    module: &str,
    name: &'static str,
    parameters: &str,
    errno: u32,
) -> wasmtime::Result<()> {
    let parameters = parameters.chars().map(|kind| if kind == 'I' { ValType::I64 } else { ValType::I32 });
    let signature = FuncType::new(linker.engine(), parameters, [ValType::I32]);
    linker.func_new(module, name, signature, move |guest, _, results| {
        let code = enter(guest, Hostcall::OtherWasi, &[], |memory| {
            let state = &mut *memory.state;
            if state.plugin.allows(name) { answer(errno) } else { restricted(state, name) }
        })?;
        if let Some(result) = results.first_mut() {
            *result = Val::I32(code.cast_signed());
        }
        Ok(())
    })?;
    Ok(())
}

fn answer(errno: u32) -> Answer {
    if errno == 0 { Ok(()) } else { Err(Fail::Code(errno)) }
}

/// Every failure of a memory access is this error number here.
fn fault(_: Fail) -> Fail {
    Fail::Code(FAULT)
}

/// Standard output and error go to the log, without the line's end.
fn fd_write(memory: &mut GuestMemory<'_>, fd: u32, slices: u32, count: u32, written: u32) -> Answer {
    const MAX_LINE: usize = 1 << 20;
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return answer(BADF),
    };
    let mut text = Vec::new();
    let mut total = 0_u32;
    for index in 0..count {
        memory.state.afford(1);
        let at = index.checked_mul(8).and_then(|offset| slices.checked_add(offset)).ok_or(Fail::Code(FAULT))?;
        let slice = memory.read(at, 8).map_err(fault)?;
        let number = |from: usize| {
            slice.get(from..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_le_bytes(*bytes))
        };
        let (Some(pointer), Some(size)) = (number(0), number(4)) else {
            return answer(FAULT);
        };
        if size > 0 {
            let bytes = memory.read(pointer, size).map_err(fault)?;
            // One call may name the same memory over and over.
            let room = MAX_LINE.saturating_sub(text.len());
            text.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            total = total.wrapping_add(size);
        }
    }
    if total > 0 {
        memory.state.log(level, text.strip_suffix(b"\n").unwrap_or(&text));
    }
    memory.write_u32(written, total).map_err(fault)
}

fn environ_sizes_get(memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Answer {
    let env = &memory.state.plugin.env;
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let (number, bytes) = (u32::try_from(env.len()), u32::try_from(bytes));
    let (Ok(number), Ok(bytes)) = (number, bytes) else {
        return answer(INVAL);
    };
    memory.write_u32(count, number).map_err(fault)?;
    memory.write_u32(size, bytes).map_err(fault)
}

fn environ_get(memory: &mut GuestMemory<'_>, pointers: u32, buffer: u32) -> Answer {
    let plugin = std::sync::Arc::clone(&memory.state.plugin);
    let (mut pointers, mut buffer) = (pointers, buffer);
    for (name, value) in &plugin.env {
        let text = format!("{name}={value}\0");
        memory.write_u32(pointers, buffer).map_err(fault)?;
        memory.write(buffer, text.as_bytes()).map_err(fault)?;
        pointers = pointers.wrapping_add(4);
        buffer = buffer.wrapping_add(u32::try_from(text.len()).unwrap_or_default());
    }
    Ok(())
}

fn args_sizes_get(memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Answer {
    memory.write_u32(count, 0).map_err(fault)?;
    memory.write_u32(size, 0).map_err(fault)
}

fn args_get(_: &mut GuestMemory<'_>, _pointers: u32, _buffer: u32) -> Answer {
    Ok(())
}

/// The real-time clock and the monotonic one are the host's clock.
fn clock_time_get(memory: &mut GuestMemory<'_>, clock: u32, _precision: u64, time: u32) -> Answer {
    if clock > 1 {
        return answer(NOTSUP);
    }
    let now = memory.state.shared.clock().now_ns();
    memory.write_u64(time, now).map_err(fault)
}

fn random_get(memory: &mut GuestMemory<'_>, buffer: u32, size: u32) -> Answer {
    if size > 65_536 {
        return answer(INVAL);
    }
    let (area, state) = memory.area(buffer, size).map_err(fault)?;
    state.random.fill_bytes(area);
    Ok(())
}

fn sched_yield(_: &mut GuestMemory<'_>) -> Answer {
    Ok(())
}

fn poll_oneoff(memory: &mut GuestMemory<'_>, _subscriptions: u32, _events: u32, _count: u32, occurred: u32) -> Answer {
    memory.write_u32(occurred, 0).map_err(fault)
}

/// Standard output and error may be written to.
fn fd_fdstat_get(memory: &mut GuestMemory<'_>, fd: u32, stat: u32) -> Answer {
    if fd != 1 && fd != 2 {
        return answer(BADF);
    }
    let mut bytes = [0; 24];
    bytes[8] = 64;
    memory.write(stat, &bytes).map_err(fault)
}

/// Logs and returns, as Envoy does: a module that does not expect to live on traps by itself.
fn proc_exit(memory: &mut GuestMemory<'_>, code: u32) -> Answer {
    memory.state.log(LogLevel::Error, format!("wasi proc_exit({code})").as_bytes());
    Ok(())
}
