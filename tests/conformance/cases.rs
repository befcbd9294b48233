//! What is asked of the probe. A group is one start of a proxy and the cases that it then sees, one request each.

/// One start of a proxy.
#[derive(Debug)]
pub(super) struct Group {
    /// What it is about.
    pub(super) name: &'static str,
    /// The plugin's configuration.
    pub(super) plugin: &'static str,
    /// The VM's configuration.
    pub(super) vm: &'static str,
    /// What is sent, in this order: some see what an earlier one left behind.
    pub(super) cases: Vec<Case>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Case {
    /// What the probe does with it.
    pub(super) name: String,
    /// Its path, which says how the upstream answers.
    pub(super) path: &'static str,
    /// Its kind.
    pub(super) kind: Kind,
}

/// How much of a request there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A head.
    Get,
    /// A head and a body.
    Post,
    /// A body and trailers, and an answer that has both: all phases of a stream.
    Full,
}

impl Case {
    /// Whether the client leaves before there is an answer.
    pub(super) fn leaves_early(&self) -> bool {
        matches!(self.name.as_str(), "callout-gone" | "grpc-gone")
    }
}

/// Left out, since Envoy 1.40 ends: with a segmentation fault, or because a gRPC service names no target.
pub(super) const CRASHES: [&str; 16] = [
    "callout-continue@1",
    "local-reply@log",
    "local-reply@done",
    "local-reply@delete",
    "continue@request_headers,1",
    "continue@request_body,1",
    "continue@request_trailers,1",
    "continue@response_trailers,1",
    "close@response_trailers,0",
    "close@response_trailers,1",
    "close@log,0",
    "close@done,0",
    "grpc-service@call,no-target",
    "grpc-service@call,nothing",
    "grpc-service@stream,no-target",
    "grpc-service@stream,nothing",
];

const REQUEST_PHASES: [&str; 3] = ["request_headers", "request_body", "request_trailers"];
const RESPONSE_PHASES: [&str; 3] = ["response_headers", "response_body", "response_trailers"];
const LATER: [&str; 4] = ["log", "done", "delete", "tick"];

/// All groups but those of configuration, which have no cases.
pub(super) fn groups() -> Vec<Group> {
    let mut groups = vec![
        stream_group("callouts", callouts()),
        stream_group("callouts and streams", callouts_and_streams()),
        stream_group("grpc calls", grpc_calls()),
        stream_group("grpc streams", grpc_streams()),
        stream_group("grpc arguments", grpc_arguments()),
        stream_group("grpc and streams", grpc_and_streams()),
        stream_group("queues", queues()),
        stream_group("header maps and buffers", maps_and_buffers()),
        stream_group("properties, metrics, shared data", facts()),
        stream_group("local replies", local_replies()),
        stream_group("continue and close", continue_and_close()),
        stream_group("actions and the rest", actions_and_rest()),
        Group {
            plugin: "configure:declare configure:expressions",
            ..stream_group("foreign functions", foreign_functions())
        },
    ];
    groups.extend(CONFIGURED.map(|(name, plugin, vm)| Group { name, plugin, vm, cases: Vec::new() }));
    groups
}

/// What the probe does before there is any stream, and what of it comes later.
const CONFIGURED: [(&str, &str, &str); 15] = [
    ("callouts from configure", "configure:callout-from@configure", ""),
    ("callouts from the first tick", "tick:callout-from@tick", ""),
    ("queues from configure", "configure:queue-from@configure", ""),
    ("headers at configure and tick", "configure:headers-read tick:headers-read", ""),
    ("header writes at configure", "configure:headers-write", ""),
    ("buffers at configure", "configure:buffers-read configure:buffers-write", ""),
    ("properties at configure", "configure:properties-read configure:properties-set", ""),
    ("metrics at configure", "configure:metrics-from@configure", ""),
    ("local reply at configure", "configure:local-reply@configure", ""),
    ("streams at configure", "configure:continue@configure,0 configure:close@configure,0", ""),
    (
        "general at configure",
        "configure:contexts configure:done configure:status configure:foreign configure:foreign-names",
        "",
    ),
    ("headers and buffers at vm_start", "", "vm_start:headers-read vm_start:buffers-read"),
    (
        "the rest at vm_start",
        "",
        "vm_start:properties-set vm_start:contexts vm_start:done vm_start:status vm_start:continue@vm_start,0 \
         vm_start:close@vm_start,0 vm_start:local-reply@vm_start vm_start:metrics-from@vm_start",
    ),
    ("queues at vm_start", "", "vm_start:queue-from@vm_start"),
    ("callouts at vm_start", "", "vm_start:callout-from@vm_start"),
];

fn stream_group(name: &'static str, mut cases: Vec<Case>) -> Group {
    cases.retain(|case| !CRASHES.contains(&case.name.as_str()));
    Group { name, plugin: "queue:queue-configured", vm: "", cases }
}

fn callouts() -> Vec<Case> {
    let mut cases = gets(&[
        "callout@answers",
        "callout@answers/trailers",
        "callout@answers/empty",
        "callout@answers/none",
        "callout@answers/chunks",
        "callout@answers/broken",
        "callout@fails503",
        "callout@silent",
        "callout@refused",
        "callout@nobody",
        "callout@closes",
        "callout@big",
        "callout@unknown",
    ]);
    cases.push(post("callout@answers"));
    cases.extend(gets(&[
        "callout-inspect@answers/trailers",
        "callout-outside",
        "callout-inspect@silent",
        "callout-outside",
        "callout-bad-arguments",
        "callout-odd-arguments@malformed-trailers",
        "callout-odd-arguments@token-nowhere",
        "callout-odd-arguments@duplicates",
        "callout-odd-arguments@host-for-authority",
        "callout-odd-arguments@content-length",
        "callout-odd-arguments@:method",
        "callout-odd-arguments@:path",
        "callout-odd-arguments@:authority",
        "callout-body",
        "callout-body@trailers",
        "callout-no-timeout",
    ]));
    cases
}

fn callouts_and_streams() -> Vec<Case> {
    let mut cases = gets(&[
        "callout-local-reply",
        "callout-local-reply-at-root",
        "callout-close",
        "callout-continue-at-root",
        "callout-continue@0,0",
        "callout-continue@1",
        "callout-continue@2",
        "callout-pause-response",
        "callout-pause-response@reply",
        "callout-pause-response@close",
    ]);
    cases.push(post("callout-pause-body"));
    cases.extend(in_phases("callout-from", &[&REQUEST_PHASES, &RESPONSE_PHASES, &LATER]));
    cases.extend(gets(&[
        "callout-two",
        "callout-chain@answers/second",
        "callout-chain@nobody",
        "callout-not-awaited",
        "callout-gone",
        "callout-and-tick",
    ]));
    cases
}

/// How a gRPC server may answer.
const ANSWERS: [&str; 41] = [
    "echo",
    "fail",
    "fail-late",
    "trailers-only",
    "trailers-only-ok",
    "headers-only",
    "nothing",
    "no-status",
    "no-trailers",
    "no-trailers-late",
    "not-found",
    "not-found-grpc",
    "not-found-only",
    "unavailable",
    "teapot",
    "grpc-status-early",
    "html",
    "status-99",
    "status-16",
    "status-17",
    "status-text",
    "status-empty",
    "status-negative",
    "status-twice",
    "compressed",
    "compressed-empty",
    "flags",
    "flags-late",
    "partial",
    "partial-end",
    "split",
    "both",
    "three",
    "empty",
    "big",
    "early",
    "greets",
    "reset",
    "headers-reset",
    "message-reset",
    "slow",
];
/// Clusters whose servers do not.
const UNABLE: [&str; 4] = ["grpc-refused", "grpc-silent", "grpc-closes", "grpc-nobody"];

fn grpc_calls() -> Vec<Case> {
    let mut cases: Vec<Case> = ANSWERS.map(|method| get(format!("grpc@grpc/{method}"))).into();
    cases.extend(["never", "headers-never", "stalls"].map(|method| get(format!("grpc-timeout@{method},100"))));
    cases.extend(UNABLE.map(|cluster| get(format!("grpc@{cluster}/echo"))));
    cases.extend(gets(&["grpc@unknown/echo", "grpc-outside", "grpc@grpc/echo", "grpc-two", "callout@closes"]));
    cases.extend(
        ["echo/0", "echo/4294967295", "echo/99999999", "echo/100000000", "slow,10"]
            .map(|timeout| get(format!("grpc-timeout@{}", timeout.replace('/', ",")))),
    );
    cases.extend(gets(&["grpc-chain@grpc/fail", "grpc-chain@grpc-nobody/echo", "grpc-chain@unknown/echo"]));
    cases
}

fn grpc_streams() -> Vec<Case> {
    let mut cases: Vec<Case> = ANSWERS.map(|method| get(format!("grpc-stream@grpc/{method}"))).into();
    cases.extend(UNABLE.map(|cluster| get(format!("grpc-stream@{cluster}/echo"))));
    cases.extend(gets(&["grpc-stream@unknown/echo", "grpc-inspect@echo", "grpc-outside", "grpc-inspect@fail"]));
    let ends = ["close", "cancel", "end", "end-and-close", "send-after-close", "send-after-end"];
    cases.extend(ends.map(|end| get(format!("grpc-chat@{end}"))));
    cases
}

fn grpc_arguments() -> Vec<Case> {
    let mut cases = gets(&["grpc-bad-arguments", "grpc-bad-tokens", "grpc-tokens"]);
    let odd = [
        "host",
        "twice",
        "binary",
        "timeout",
        "malformed",
        "no-name",
        "no-method",
        "no-names",
        "spaces",
        "slashes",
        "plain",
        "empty",
    ];
    let services = [
        "unknown-cluster",
        "no-cluster",
        "authority",
        "metadata",
        "metadata-format",
        "metadata-percent",
        "metadata-broken",
        "metadata-pseudo",
        "metadata-host",
        "metadata-empty",
        "metadata-odd-name",
        "no-target",
        "nothing",
        "service-timeout",
        "limit",
        "limit-fits",
        "skip-envoy-headers",
        "twice",
        "more-fields",
        "group",
    ];
    for kind in ["call", "stream"] {
        cases.extend(odd.map(|odd| get(format!("grpc-odd@{kind},{odd}"))));
        cases.extend(services.map(|service| get(format!("grpc-service@{kind},{service}"))));
    }
    cases.extend(gets(&["grpc-odd@call,length", "grpc-odd@stream,length"]));
    // The probe does not know what it would have to wait for.
    cases.push(beside("grpc-odd@call,nowhere"));
    cases
}

fn grpc_and_streams() -> Vec<Case> {
    let mut cases = gets(&["grpc-local-reply@echo", "grpc-local-reply@fail", "grpc-gone"]);
    cases.extend(in_phases("grpc-from", &[&REQUEST_PHASES, &RESPONSE_PHASES, &LATER]));
    for phase in ["request_headers", "response_body", "log", "done", "delete", "tick"] {
        cases.push(full(format!("grpc-from@{phase},grpc-nobody")));
    }
    let callbacks = ["grpc_receive_initial_metadata", "grpc_receive", "grpc_receive_trailing_metadata", "grpc_close"];
    for what in ["send", "close", "cancel", "cancel+send", "close+cancel"] {
        for phase in ["request_headers"].iter().chain(&callbacks) {
            cases.push(beside(format!("grpc-act@quick,{phase},{what}")));
        }
        for phase in ["request_headers", "grpc_receive"] {
            cases.push(beside(format!("grpc-act@call/echo,{phase},{what}")));
        }
    }
    cases.push(beside("grpc-act@both,grpc_receive,cancel"));
    // Long after the end.
    cases.extend(["send", "close", "cancel"].map(|what| beside(format!("grpc-act@early,tick,{what}"))));
    cases
}

fn queues() -> Vec<Case> {
    let mut cases = gets(&[
        "queue-names",
        "queue-order",
        "queue-bad-arguments",
        "queue-configured",
        "queue-ready",
        "queue-ready-emptied",
        "queue-ready-drain",
        "queue-ready-drain@never",
        "queue-ready-moved",
        "queue-ready-again",
        "queue-ready-looks",
        "queue-resume",
        "queue-reply",
    ]);
    cases.extend(in_phases("queue-from", &[&REQUEST_PHASES, &RESPONSE_PHASES, &LATER]));
    cases
}

fn maps_and_buffers() -> Vec<Case> {
    let mut cases = vec![
        full("headers-read"),
        full("headers-write"),
        full("headers-set-pairs"),
        get("headers-values"),
        get("headers-odd-writes"),
        get("headers-bad-arguments"),
        get("headers-pseudo"),
        full("headers-malformed-pairs"),
        post("headers-trailers-from-body"),
        full("buffers-read"),
        post("buffers-write"),
        post("buffers-ranges"),
    ];
    let pieces =
        ["0,0,ab", "0,2,ab", "0,max,ab", "2,0,ab", "2,2,ab", "5,0,ab", "99,0,ab", "max,max,ab", "0,max,", "0,2,"];
    cases.extend(pieces.map(|piece| post(format!("buffers-set@{piece}"))));
    cases.push(Case { path: "/chunks", ..post("buffers-held") });
    cases.push(post("buffers-bad-arguments"));
    cases
}

fn facts() -> Vec<Case> {
    let mut cases = vec![full("properties-read")];
    cases.extend(gets(&[
        "properties-set",
        "properties-set-odd",
        "properties-bad-arguments",
        "metrics",
        "metrics-bad-arguments",
    ]));
    cases.extend(in_phases("metrics-from", &[&["log", "tick"]]));
    cases.extend(gets(&["shared-data", "shared-data-cas", "shared-data-bad-arguments"]));
    cases
}

fn local_replies() -> Vec<Case> {
    let mut cases = in_phases("local-reply", &[&REQUEST_PHASES, &RESPONSE_PHASES, &LATER]);
    cases.extend(gets(&[
        "local-reply-twice",
        "local-reply-twice@third",
        "local-reply-pausing",
        "local-reply-odd@grpc",
        "local-reply-odd@zero",
        "local-reply-odd@99",
        "local-reply-odd@1000",
        "local-reply-odd@204",
        "local-reply-odd@headers",
        "local-reply-bad-arguments",
    ]));
    cases
}

fn continue_and_close() -> Vec<Case> {
    // With a body, Envoy sometimes loses it here: a request without one is the same every time.
    let mut cases = vec![get("continue@request_headers,0")];
    for phase in REQUEST_PHASES[1..].iter().chain(&RESPONSE_PHASES).chain(&LATER) {
        cases.push(full(format!("continue@{phase},0")));
    }
    for phase in REQUEST_PHASES.iter().chain(&RESPONSE_PHASES).chain(&LATER) {
        cases.push(full(format!("continue@{phase},1")));
    }
    cases.extend([2, 3, 4, u32::MAX].map(|kind| full(format!("continue@request_headers,{kind}"))));
    for phase in REQUEST_PHASES.iter().chain(&RESPONSE_PHASES) {
        cases.extend([0, 1].map(|kind| full(format!("close@{phase},{kind}"))));
    }
    cases.extend([2, 3, 4].map(|kind| get(format!("close@request_headers,{kind}"))));
    cases.extend(["log", "done", "tick"].map(|phase| get(format!("close@{phase},0"))));
    cases
}

fn actions_and_rest() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend([1, 2, 3, 4, 5, 7].map(|action| post(format!("action@request_headers,{action}"))));
    cases.extend([1, 2, 3, 4].map(|action| post(format!("action@request_body,{action}"))));
    cases.extend([1, 2, 3, 4, 5].map(|action| get(format!("action@response_headers,{action}"))));
    cases.extend([get("contexts"), full("done")]);
    cases.extend(gets(&["status", "logging", "foreign", "ticks", "clock"]));
    cases
}

fn foreign_functions() -> Vec<Case> {
    let mut cases = gets(&[
        "declared",
        "declared-spans",
        "declare-odd",
        "filter-state",
        "filter-state-odd",
        "foreign-names",
        "expressions",
        "expressions-literals",
        "expressions-operators",
        "expressions-functions",
        "expressions-macros",
        "expressions-refused",
        "expressions-missing",
        "expressions-tokens",
        "signatures",
        "signatures-hashes",
        "signatures-keys",
        "signatures-odd",
    ]);
    cases.push(full("expressions-attributes"));
    cases
}

/// A case in each of these phases.
fn in_phases(name: &str, phases: &[&[&str]]) -> Vec<Case> {
    phases.concat().iter().map(|phase| full(format!("{name}@{phase}"))).collect()
}

fn gets(names: &[&str]) -> Vec<Case> {
    names.iter().map(|name| get(*name)).collect()
}

fn get(name: impl Into<String>) -> Case {
    Case { name: name.into(), path: "/short", kind: Kind::Get }
}

/// A request whose answer takes longer than what the probe does beside it.
fn beside(name: impl Into<String>) -> Case {
    Case { path: "/slow", ..get(name) }
}

fn post(name: impl Into<String>) -> Case {
    Case { name: name.into(), path: "/short", kind: Kind::Post }
}

fn full(name: impl Into<String>) -> Case {
    Case { name: name.into(), path: "/trailers", kind: Kind::Full }
}
