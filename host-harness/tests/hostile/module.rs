//! Modules that mean harm: hostcalls with any arguments in any callback, from an allocator too, in loops, with memory that grows and traps.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use host_harness::abi::{CALLBACKS, Callback};

use super::bytes::Bytes;

/// What a parameter of a hostcall is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A number.
    Num,
    /// A number of 64 bits.
    Long,
    /// Pointer and length of a text.
    Text,
    /// Pointer and length of pairs.
    Pairs,
    /// Pointer to where the host writes.
    Out,
}

use Kind::{Long, Num, Out, Pairs, Text};

/// Hostcalls with their parameters. All but `proc_exit` have one result.
const HOSTCALLS: &[(&str, &str, &[Kind])] = &[
    (ENV, "proxy_log", &[Num, Text]),
    (ENV, "proxy_get_log_level", &[Out]),
    (ENV, "proxy_get_current_time_nanoseconds", &[Out]),
    (ENV, "proxy_set_tick_period_milliseconds", &[Num]),
    (ENV, "proxy_set_effective_context", &[Num]),
    (ENV, "proxy_done", &[]),
    (ENV, "proxy_continue_stream", &[Num]),
    (ENV, "proxy_close_stream", &[Num]),
    (ENV, "proxy_send_local_response", &[Num, Text, Text, Pairs, Num]),
    (ENV, "proxy_get_status", &[Out, Out, Out]),
    (ENV, "proxy_call_foreign_function", &[Text, Text, Out, Out]),
    (ENV, "proxy_get_buffer_bytes", &[Num, Num, Num, Out, Out]),
    (ENV, "proxy_get_buffer_status", &[Num, Out, Out]),
    (ENV, "proxy_set_buffer_bytes", &[Num, Num, Num, Text]),
    (ENV, "proxy_get_header_map_size", &[Num, Out]),
    (ENV, "proxy_get_header_map_pairs", &[Num, Out, Out]),
    (ENV, "proxy_set_header_map_pairs", &[Num, Pairs]),
    (ENV, "proxy_get_header_map_value", &[Num, Text, Out, Out]),
    (ENV, "proxy_add_header_map_value", &[Num, Text, Text]),
    (ENV, "proxy_replace_header_map_value", &[Num, Text, Text]),
    (ENV, "proxy_remove_header_map_value", &[Num, Text]),
    (ENV, "proxy_get_property", &[Text, Out, Out]),
    (ENV, "proxy_set_property", &[Text, Text]),
    (ENV, "proxy_define_metric", &[Num, Text, Out]),
    (ENV, "proxy_increment_metric", &[Num, Long]),
    (ENV, "proxy_record_metric", &[Num, Long]),
    (ENV, "proxy_get_metric", &[Num, Out]),
    (ENV, "proxy_get_shared_data", &[Text, Out, Out, Out]),
    (ENV, "proxy_set_shared_data", &[Text, Text, Num]),
    (ENV, "proxy_register_shared_queue", &[Text, Out]),
    (ENV, "proxy_resolve_shared_queue", &[Text, Text, Out]),
    (ENV, "proxy_enqueue_shared_queue", &[Num, Text]),
    (ENV, "proxy_dequeue_shared_queue", &[Num, Out, Out]),
    (ENV, "proxy_http_call", &[Text, Pairs, Text, Pairs, Num, Out]),
    (ENV, "proxy_grpc_call", &[Text, Text, Text, Pairs, Text, Num, Out]),
    (ENV, "proxy_grpc_stream", &[Text, Text, Text, Pairs, Out]),
    (ENV, "proxy_grpc_send", &[Num, Text, Num]),
    (ENV, "proxy_grpc_cancel", &[Num]),
    (ENV, "proxy_grpc_close", &[Num]),
    (WASI, "fd_write", &[Num, Num, Num, Out]),
    (WASI, "environ_sizes_get", &[Out, Out]),
    (WASI, "environ_get", &[Out, Out]),
    (WASI, "args_sizes_get", &[Out, Out]),
    (WASI, "clock_time_get", &[Num, Long, Out]),
    (WASI, "random_get", &[Out, Num]),
    (WASI, "poll_oneoff", &[Out, Out, Num, Out]),
    (WASI, "fd_fdstat_get", &[Num, Out]),
    (WASI, "fd_seek", &[Num, Long, Num, Out]),
    (WASI, "proc_exit", &[Num]),
];
const ENV: &str = "env";
const WASI: &str = "wasi_snapshot_preview1";

/// What a host calls besides callbacks.
const ENTRY_POINTS: [Callback; 3] = [
    Callback { name: "proxy_on_memory_allocate", parameters: 1, has_result: true },
    Callback { name: "malloc", parameters: 1, has_result: true },
    Callback { name: "_initialize", parameters: 0, has_result: false },
];

/// Where texts lie, and texts that mean something to hosts.
const TEXTS: u32 = 4096;
const WORDS: &[&str] = &[
    ":path",
    ":method",
    ":authority",
    ":status",
    "x-a",
    "host",
    "content-length",
    "X-B",
    "",
    "a",
    "good",
    "slow",
    "dead",
    "silent",
    "compress",
    "uncompress",
    "clear_route_cache",
    "expr_create",
    "expr_evaluate",
    "expr_delete",
    "\u{0}\u{0}\u{0}\u{0}",
    "request.headers.map(a, a + a)",
    "[1, 1].map(a, [a, a]) == [1]",
    "request\0headers",
    "request\0headers\0x-a",
    "response\0code",
    "source\0address",
    "plugin_name",
    "wasm.a",
    "connection\0id",
    "\u{0}",
    "q",
    "m",
];
/// Where pairs lie: a request's, for callouts.
const PAIRS: u32 = 8192;
/// Where slices of `fd_write` lie, and results.
const RESULTS: u32 = 16_384;
/// Where the allocator gives room.
const ROOM: u32 = 65_536;

/// The module that these bytes stand for.
pub(crate) fn text(bytes: &mut Bytes<'_>) -> String {
    let mut imports: BTreeSet<usize> = BTreeSet::new();
    let mut functions = String::new();
    for Callback { name, parameters, has_result } in CALLBACKS.into_iter().chain(ENTRY_POINTS) {
        let is_allocator = name == "proxy_on_memory_allocate";
        // Most modules have most of them; few do anything while they start.
        let is_there = match name {
            "malloc" | "_initialize" => bytes.one_in(8),
            _ => is_allocator || !bytes.one_in(4),
        };
        if is_there {
            let is_quiet = match name {
                "proxy_on_memory_allocate" => !bytes.one_in(6),
                "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_context_create" => !bytes.one_in(4),
                _ => false,
            };
            let body = if is_quiet { String::new() } else { body(bytes, &mut imports) };
            let answer = if is_allocator || name == "malloc" { room(bytes) } else { answer(name, bytes) };
            let (result, answer) = if has_result { ("(result i32)", answer.as_str()) } else { ("", "") };
            _ = writeln!(
                functions,
                "(func (export \"{name}\") (param{}) {result} (local $i i32)\n{body}{answer})",
                " i32".repeat(parameters)
            );
        }
    }
    let mut text = "(module\n".to_owned();
    for place in imports {
        let (module, name, kinds) = HOSTCALLS[place];
        let parameters = kinds.iter().fold(String::new(), |mut text, kind| {
            text.push_str(match kind {
                Num | Out => " i32",
                Long => " i64",
                Text | Pairs => " i32 i32",
            });
            text
        });
        let result = if name == "proc_exit" { "" } else { "(result i32)" };
        _ = writeln!(text, "(import \"{module}\" \"{name}\" (func ${name} (param{parameters}) {result}))");
    }
    let pages = 2 + bytes.below(3);
    let most = if bytes.one_in(3) { String::new() } else { (pages + bytes.below(40)).to_string() };
    _ = writeln!(text, "(memory (export \"memory\") {pages} {most})");
    _ = writeln!(text, "(global $last (mut i32) (i32.const {ROOM}))\n(func (export \"proxy_abi_version_0_2_1\"))");
    let mut at = TEXTS;
    for word in WORDS {
        _ = writeln!(text, "(data (i32.const {at}) \"{}\")", escaped(word.as_bytes()));
        at += 32;
    }
    _ = writeln!(text, "(data (i32.const {PAIRS}) \"{}\")", escaped(&pairs()));
    let slices: Vec<u8> =
        [TEXTS, 5, 0, 65_536, TEXTS, u32::MAX].iter().flat_map(|number| number.to_le_bytes()).collect();
    _ = writeln!(text, "(data (i32.const {RESULTS}) \"{}\")", escaped(&slices));
    text.push_str(&functions);
    text.push(')');
    text
}

/// What a callback does.
fn body(bytes: &mut Bytes<'_>, imports: &mut BTreeSet<usize>) -> String {
    let mut body = String::new();
    for _ in 0..bytes.below(6) {
        match bytes.below(12) {
            0 => {
                let times = bytes.of(&[3, 200, 5_000, i32::MAX]);
                let inside = call(bytes, imports);
                _ = writeln!(
                    body,
                    "(local.set $i (i32.const {times}))\n(loop {inside}(br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
                );
            }
            1 => _ = writeln!(body, "(drop (memory.grow (i32.const {})))", bytes.of(&[1, 16, 10_000, -1])),
            2 if bytes.one_in(6) => body.push_str("(unreachable)\n"),
            _ => body.push_str(&call(bytes, imports)),
        }
    }
    body
}

/// A hostcall with arguments that mean something, or anything.
fn call(bytes: &mut Bytes<'_>, imports: &mut BTreeSet<usize>) -> String {
    let place = bytes.below(HOSTCALLS.len());
    imports.insert(place);
    let (_, name, kinds) = HOSTCALLS[place];
    let mut arguments = String::new();
    for kind in kinds {
        match kind {
            Num => _ = write!(arguments, " {}", number(bytes)),
            Long => {
                let number = i64::from(bytes.number().cast_signed()) << bytes.below(33);
                _ = write!(arguments, " (i64.const {number})");
            }
            Out if bytes.one_in(12) => _ = write!(arguments, " (i32.const {})", bytes.number().cast_signed()),
            Out => _ = write!(arguments, " (i32.const {})", RESULTS + 64 + 4 * bytes.byte() as u32),
            Text | Pairs if bytes.one_in(12) => {
                let (pointer, size) = (bytes.number().cast_signed(), bytes.number().cast_signed());
                _ = write!(arguments, " (i32.const {pointer}) (i32.const {size})");
            }
            // The counter makes texts differ.
            Text if bytes.one_in(8) => {
                _ = write!(arguments, " (i32.and (local.get $i) (i32.const 65535)) (i32.const {})", bytes.byte())
            }
            // Up to most of the memory.
            Text if bytes.one_in(12) => {
                _ = write!(arguments, " (i32.const 0) (i32.const {})", bytes.of(&[60_000, 131_072]))
            }
            Text => {
                let word = bytes.below(WORDS.len());
                _ = write!(arguments, " (i32.const {}) (i32.const {})", TEXTS as usize + 32 * word, WORDS[word].len());
            }
            Pairs => {
                let size = if bytes.one_in(5) { usize::from(bytes.byte()) } else { pairs().len() };
                _ = write!(arguments, " (i32.const {PAIRS}) (i32.const {size})");
            }
        }
    }
    let call = format!("(call ${name}{arguments})");
    if name == "proc_exit" { format!("{call}\n") } else { format!("(drop {call})\n") }
}

fn number(bytes: &mut Bytes<'_>) -> String {
    match bytes.below(8) {
        0 => format!("(i32.const {})", bytes.number().cast_signed()),
        1 => "(local.get $i)".to_owned(),
        2 => format!("(i32.load (i32.const {}))", RESULTS + 64 + 4 * u32::from(bytes.byte())),
        _ => format!("(i32.const {})", bytes.of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 200, 404, 1000, RESULTS.cast_signed()])),
    }
}

fn answer(name: &str, bytes: &mut Bytes<'_>) -> String {
    let usual = if matches!(name, "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_done") { 1 } else { 0 };
    let number = if bytes.one_in(if usual == 1 { 16 } else { 3 }) { bytes.of(&[0, 1, 2, 3, 4, 5, -1]) } else { usual };
    format!("(i32.const {number})")
}

/// What an allocator answers: mostly what there is room for.
fn room(bytes: &mut Bytes<'_>) -> String {
    if bytes.one_in(5) {
        return format!("(i32.const {})", bytes.of(&[0, -1, 131_071, 4]));
    }
    format!(
        "(global.set $last (i32.add (i32.const {ROOM}) (i32.and (i32.add (global.get $last) (local.get 0)) (i32.const 32767))))(global.get $last)"
    )
}

/// Pairs of a request.
fn pairs() -> Vec<u8> {
    let lines = [(":method", "POST"), (":path", "/"), (":authority", "good"), ("x-a", "b")];
    let mut pairs = 4_u32.to_le_bytes().to_vec();
    for (name, value) in lines {
        for text in [name, value] {
            pairs.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        }
    }
    for (name, value) in lines {
        for text in [name, value] {
            pairs.extend(text.as_bytes());
            pairs.push(0);
        }
    }
    pairs
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "\\{byte:02x}");
        text
    })
}
