//! Modules for the tests of this crate, written as lists of hostcalls.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::test::{Host, HostBuilder};

/// One argument of a hostcall, or two where the ABI takes pointer and length.
#[derive(Debug, Clone, Copy)]
pub(crate) enum A<'a> {
    /// A 32-bit number.
    N(i32),
    /// A 64-bit number.
    L(i64),
    /// Pointer and length of this text.
    S(&'a str),
    /// Pointer to 8 bytes where the host may write.
    O,
}

/// A module that makes hostcalls in its callbacks. Their statuses are read from the trace.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    imports: BTreeMap<(String, String), String>,
    data: Vec<u8>,
    outs: u32,
    callbacks: BTreeMap<String, (String, Option<String>)>,
    extra: String,
    abi: Option<&'static str>,
}

/// Texts begin here; below is room for results.
const DATA: usize = 4096;

impl Probe {
    /// Adds hostcalls to a callback; `env` is their module unless the name says another before a dot.
    pub(crate) fn on(mut self, callback: &str, calls: &[(&str, &[A<'_>])]) -> Self {
        let mut body = String::new();
        for (name, arguments) in calls {
            self.call(name, arguments, &mut body);
        }
        self.callbacks.entry(callback.to_owned()).or_default().0.push_str(&body);
        self
    }

    fn call(&mut self, name: &str, arguments: &[A<'_>], body: &mut String) {
        let (module, name) = name.split_once('.').unwrap_or(("env", name));
        let mut parameters = String::new();
        let mut values = String::new();
        for argument in arguments {
            match argument {
                A::N(number) => {
                    parameters.push_str(" i32");
                    _ = write!(values, " (i32.const {number})");
                }
                A::L(number) => {
                    parameters.push_str(" i64");
                    _ = write!(values, " (i64.const {number})");
                }
                A::S(text) => {
                    parameters.push_str(" i32 i32");
                    _ = write!(values, " (i32.const {}) (i32.const {})", DATA + self.data.len(), text.len());
                    self.data.extend(text.as_bytes());
                }
                A::O => {
                    parameters.push_str(" i32");
                    self.outs = (self.outs + 8) % 4096;
                    _ = write!(values, " (i32.const {})", self.outs);
                }
            }
        }
        self.imports.insert((module.to_owned(), name.to_owned()), parameters);
        _ = writeln!(body, "(drop (call ${module}.{name}{values}))");
    }

    /// Adds instructions to a callback.
    pub(crate) fn wat(mut self, callback: &str, instructions: &str) -> Self {
        self.callbacks.entry(callback.to_owned()).or_default().0.push_str(instructions);
        self
    }

    /// What a callback answers, as an expression; 0 for actions and 1 for yes or no when not said.
    pub(crate) fn answer(mut self, callback: &str, expression: &str) -> Self {
        self.callbacks.entry(callback.to_owned()).or_default().1 = Some(expression.to_owned());
        self
    }

    /// Adds fields to the module.
    pub(crate) fn fields(mut self, fields: &str) -> Self {
        self.extra.push_str(fields);
        self
    }

    /// Which ABI the module says it speaks.
    pub(crate) fn abi(mut self, marker: &'static str) -> Self {
        self.abi = Some(marker);
        self
    }

    /// The module's text.
    pub(crate) fn text(&self) -> String {
        let mut text = "(module\n".to_owned();
        for ((module, name), parameters) in &self.imports {
            _ = writeln!(
                text,
                "(import \"{module}\" \"{name}\" (func ${module}.{name} (param{parameters}) (result i32)))"
            );
        }
        let data = self.data.iter().fold(String::new(), |mut data, byte| {
            _ = write!(data, "\\{byte:02x}");
            data
        });
        _ = writeln!(text, "(memory (export \"memory\") 2)\n(data (i32.const {DATA}) \"{data}\")");
        _ = writeln!(text, "(func (export \"{}\"))", self.abi.unwrap_or("proxy_abi_version_0_2_1"));
        if !self.extra.contains("proxy_on_memory_allocate") {
            // Everything that the host gives lies at the same place: the trace reads it at once.
            text.push_str("(func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const 65536))\n");
        }
        for (name, (body, answer)) in &self.callbacks {
            let (parameters, result) = signature(name, self.abi);
            let parameters = " i32".repeat(parameters);
            let (result, answer) = match (result, answer) {
                (None, _) => ("", String::new()),
                (Some(_), Some(answer)) => (" (result i32)", answer.clone()),
                (Some(usual), None) => (" (result i32)", format!("(i32.const {usual})")),
            };
            _ = writeln!(text, "(func (export \"{name}\") (param{parameters}){result}\n{body}{answer})");
        }
        text.push_str(&self.extra);
        text.push(')');
        text
    }

    /// A host of it that is being set up.
    pub(crate) fn host(&self) -> HostBuilder {
        Host::builder().module_bytes(self.text())
    }
}

/// Number of parameters, and the usual answer.
fn signature(callback: &str, abi: Option<&str>) -> (usize, Option<u32>) {
    match callback {
        "proxy_on_request_headers" | "proxy_on_response_headers" if abi == Some("proxy_abi_version_0_1_0") => {
            (2, Some(0))
        }
        "_initialize" | "_start" => (0, None),
        "proxy_on_context_create"
        | "proxy_on_queue_ready"
        | "proxy_on_downstream_connection_close"
        | "proxy_on_upstream_connection_close" => (2, None),
        "proxy_on_new_connection" => (1, Some(0)),
        "proxy_on_http_call_response" => (5, None),
        "proxy_on_grpc_receive_initial_metadata"
        | "proxy_on_grpc_receive"
        | "proxy_on_grpc_receive_trailing_metadata"
        | "proxy_on_grpc_close" => (3, None),
        "proxy_on_vm_start" | "proxy_on_configure" => (2, Some(1)),
        "proxy_on_tick" | "proxy_on_log" | "proxy_on_delete" => (1, None),
        "proxy_on_done" => (1, Some(1)),
        "proxy_on_request_trailers" | "proxy_on_response_trailers" => (2, Some(0)),
        _ => (3, Some(0)),
    }
}

/// The hostcalls in the trace of worker 0: name, arguments and status.
pub(crate) fn hostcalls(host: &Host) -> Vec<String> {
    let trace = host.shared().trace().lines();
    let of_worker =
        trace.iter().filter_map(|line| line.strip_prefix("worker0 #")?.split_once("   ").map(|(_, call)| call));
    of_worker.filter(|call| call.contains(") = ")).map(str::to_owned).collect()
}

/// The callbacks in the trace of worker 0, with their arguments.
pub(crate) fn callbacks(host: &Host) -> Vec<String> {
    let trace = host.shared().trace().lines();
    let of_worker =
        trace.iter().filter_map(|line| line.strip_prefix("worker0 #")?.split_once(' ').map(|(_, call)| call));
    of_worker.filter(|line| line.starts_with("proxy_on") && line.ends_with(')')).map(str::to_owned).collect()
}

/// Checks that the calls of one callback got these answers, in order.
#[track_caller]
pub(crate) fn check(host: &Host, expected: &[&str]) {
    let calls = hostcalls(host);
    for (index, (call, expected)) in calls.iter().zip(expected).enumerate() {
        let (call, answer) = call.split_once(") = ").unwrap();
        assert_eq!(answer, *expected, "hostcall {index}: {call})");
    }
    assert_eq!(calls.len(), expected.len(), "{calls:#?}");
}
