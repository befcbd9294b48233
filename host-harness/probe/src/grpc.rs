//! `proxy_grpc_call` and `proxy_grpc_stream`, and what comes back.

use crate::host::{self, Arg, GrpcCallout, Place, Status};
use crate::protobuf::field;
use crate::report::{Number, Shown, encode};
use crate::turn::{Action, CONTINUE, Case, PAUSE, Phase, Turn};
use crate::{buffers, general, headers, local_reply, stream_control};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("grpc", call),
    ("grpc-stream", stream),
    ("grpc-unknown", unknown),
    ("grpc-inspect", inspected),
    ("grpc-outside", outside),
    ("grpc-bad-arguments", bad_arguments),
    ("grpc-bad-tokens", bad_tokens),
    ("grpc-odd", odd_arguments),
    ("grpc-service", odd_service),
    ("grpc-tokens", tokens),
    ("grpc-timeout", with_timeout),
    ("grpc-chat", chat),
    ("grpc-act", act),
    ("grpc-from", from_chosen_phase),
    ("grpc-local-reply", then_local_reply),
    ("grpc-chain", chain),
    ("grpc-two", two),
    ("grpc-gone", gone),
];

const MESSAGE: u32 = 5;
const INITIAL: u32 = 4;
const TRAILING: u32 = 5;
const NAME: &str = "probe.Test";

/// The message that names a cluster.
fn service(cluster: &str) -> Vec<u8> {
    field(1, &field(1, cluster.as_bytes()))
}

/// Makes a callout with whatever arguments: a call where there is a message, else a stream.
fn open_raw(
    turn: &mut Turn<'_>,
    callout: &GrpcCallout<'_>,
    message: Option<(Arg<'_>, u32)>,
    to: Place,
    shown: std::fmt::Arguments<'_>,
) -> bool {
    let (name, (status, token)) = match message {
        Some((message, timeout)) => ("grpc_call", host::grpc_call(callout, message, timeout, to)),
        None => ("grpc_stream", host::grpc_stream(callout, to)),
    };
    match token {
        Some(token) if status == Status::OK => {
            let number = turn.expect_answer(token);
            turn.say(format_args!("{name}({shown})"), format_args!("{status} call {number}"));
        }
        token => turn.say(format_args!("{name}({shown})"), Number((status, token))),
    }
    status == Status::OK
}

/// Makes a callout to a method of a cluster: a call where there is a message, else a stream.
fn open(turn: &mut Turn<'_>, cluster: &str, method: &str, metadata: &[(&str, &str)], message: Option<&str>) -> bool {
    let (service, encoded) = (service(cluster), encode(metadata));
    let callout = GrpcCallout {
        service: Arg::from(&service),
        name: Arg::from(NAME),
        method: Arg::from(method),
        metadata: Arg::from(&encoded),
    };
    let timeout = if cluster == "grpc-silent" || method.ends_with("never") { 100 } else { 2000 };
    let message = message.map(|message| (Arg::from(message), timeout));
    let shown = format_args!("{cluster}, {method}, {}", Shown(metadata));
    open_raw(turn, &callout, message, Place::Here, shown)
}

/// Cluster and method that the case chose, as `CLUSTER/METHOD`.
fn chosen(turn: &Turn<'_>) -> (String, String) {
    let choice = turn.choice();
    let (cluster, method) = choice.split_once('/').unwrap_or((&choice, ""));
    (cluster.to_owned(), method.to_owned())
}

fn send(turn: &Turn<'_>, token: u32, message: &str, end: u32) {
    let status = host::grpc_send(token, Arg::from(message), end);
    turn.say(format_args!("grpc_send({message:?}, {end})"), status);
}

fn cancel(turn: &Turn<'_>, token: u32) {
    turn.say(format_args!("grpc_cancel()"), host::grpc_cancel(token));
}

fn close(turn: &Turn<'_>, token: u32) {
    turn.say(format_args!("grpc_close()"), host::grpc_close(token));
}

/// What a callback has to show.
fn inspect(turn: &Turn<'_>) {
    general::get_status(turn);
    headers::pairs(turn, INITIAL);
    headers::pairs(turn, TRAILING);
    buffers::status(turn, MESSAGE);
    buffers::get(turn, MESSAGE, 0, 600);
}

/// Whether the callback is one of a gRPC callout.
fn is_answer(turn: &Turn<'_>) -> bool {
    matches!(
        turn.phase,
        Phase::GrpcInitialMetadata | Phase::GrpcMessage | Phase::GrpcTrailingMetadata | Phase::GrpcClose
    )
}

/// Looks at an answer, and lets the stream go on after the last one.
fn hear(turn: &mut Turn<'_>) -> Action {
    if is_answer(turn) {
        inspect(turn);
        if is_last(turn) {
            resume(turn);
        }
    }
    CONTINUE
}

/// Whether the callback is the last one of its callout, going by the kind of it.
fn is_last(turn: &Turn<'_>) -> bool {
    turn.phase == Phase::GrpcClose || (turn.phase == Phase::GrpcMessage && turn.token() & 3 == 1)
}

fn resume(turn: &Turn<'_>) {
    turn.enter_stream();
    stream_control::resume(turn, 0);
}

fn wait_if(made: bool) -> Action {
    if made { PAUSE } else { CONTINUE }
}

/// One call for which the request waits.
fn call(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let (cluster, method) = chosen(turn);
        return wait_if(open(turn, &cluster, &method, &[("x-mine", "1")], Some("hello")));
    }
    hear(turn)
}

/// One stream of one message for which the request waits.
fn stream(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let (cluster, method) = chosen(turn);
        let made = open(turn, &cluster, &method, &[("x-mine", "1")], None);
        if let Some(token) = turn.token_of(1).filter(|_| made) {
            send(turn, token, "hello", 1);
        }
        return wait_if(made);
    }
    if is_answer(turn) {
        inspect(turn);
        if is_last(turn) {
            close(turn, turn.token());
            resume(turn);
        }
    }
    CONTINUE
}

/// What is told of a callout that nobody has made.
fn unknown(turn: &mut Turn<'_>) -> Action {
    inspect(turn);
    CONTINUE
}

/// Every way to look at what a callback has to show, at the root and at the stream.
fn inspected(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let method = turn.choice();
        let made = open(turn, "grpc", &method, &[], None);
        if let Some(token) = turn.token_of(1) {
            send(turn, token, "hello", 1);
        }
        inspect(turn);
        return wait_if(made);
    }
    if is_answer(turn) {
        inspect(turn);
        for map in [INITIAL, TRAILING] {
            headers::size(turn, map);
            for name in [":status", "x-initial", "X-INITIAL", "x-trailing", "grpc-status", "nope", ""] {
                headers::value(turn, map, name);
            }
            headers::write(turn, map);
        }
        for (start, max) in [(0, u32::MAX), (0, 5), (3, 4), (3, 0), (1_000_000, 1), (u32::MAX, u32::MAX)] {
            buffers::get(turn, MESSAGE, start, max);
        }
        buffers::get_to(turn, MESSAGE, 0, 5, Place::Nowhere);
        for (start, replaced) in [(0, 0), (0, u32::MAX), (2, 1), (1_000_000, 0)] {
            buffers::set(turn, MESSAGE, start, replaced, "new");
        }
        buffers::get(turn, 8, 0, 5);
        inspect(turn);
        turn.enter_stream();
        inspect(turn);
        headers::value(turn, 0, ":path");
        headers::value(turn, INITIAL, "x-initial");
        turn.enter_root();
        if is_last(turn) {
            close(turn, turn.token());
            resume(turn);
        }
    }
    CONTINUE
}

/// What is there of a callout where there is none; run it after a case that had one.
fn outside(turn: &mut Turn<'_>) -> Action {
    if matches!(turn.phase, Phase::RequestHeaders | Phase::ResponseHeaders | Phase::Log) {
        inspect(turn);
        for map in [INITIAL, TRAILING] {
            headers::size(turn, map);
            headers::value(turn, map, "x-initial");
            headers::write(turn, map);
        }
        buffers::set(turn, MESSAGE, 0, 0, "new");
    }
    CONTINUE
}

/// Callouts that the host should refuse.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    let service = service("grpc");
    let good = GrpcCallout {
        service: Arg::from(&service),
        name: Arg::from(NAME),
        method: Arg::from("echo"),
        metadata: Arg::from(""),
    };
    let here = Place::Here;
    for message in [Some((Arg::from("hello"), 1000)), None] {
        for text in ["unknown", "x", "grpcx", "\u{8}", "\n\u{ff}", "\n\u{3}\n\u{1}\u{80}", "\n\u{7f}grpc"] {
            let service = Arg::from(text);
            open_raw(turn, &GrpcCallout { service, ..good }, message, here, format_args!("service={service}"));
        }
        // Not UTF-8, where a protobuf string must be.
        let service = Arg::from(&b"\n\x03\n\x01\xff"[..]);
        open_raw(turn, &GrpcCallout { service, ..good }, message, here, format_args!("service={service}"));
        for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
            open_raw(turn, &GrpcCallout { service: bad, ..good }, message, here, format_args!("service={bad}"));
            open_raw(turn, &GrpcCallout { name: bad, ..good }, message, here, format_args!("name={bad}"));
            open_raw(turn, &GrpcCallout { method: bad, ..good }, message, here, format_args!("method={bad}"));
            open_raw(turn, &GrpcCallout { metadata: bad, ..good }, message, here, format_args!("metadata={bad}"));
        }
        let service = Arg::from("unknown");
        let unknown = GrpcCallout { service, ..good };
        open_raw(turn, &unknown, message, Place::Nowhere, format_args!("service={service}{}", Place::Nowhere));
    }
    for bad in [Arg::Nowhere(16), Arg::Nowhere(0)] {
        open_raw(turn, &good, Some((bad, 1000)), here, format_args!("message={bad}"));
    }
    CONTINUE
}

/// Tokens of no callout, in every phase.
fn bad_tokens(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        turn.expect_tick();
    }
    for token in [0, 1, 2, 3, 4, 5, 6, 7, u32::MAX, u32::MAX - 1, u32::MAX - 2, u32::MAX - 3] {
        turn.say(format_args!("grpc_send({token}, \"x\")"), host::grpc_send(token, Arg::from("x"), 0));
        turn.say(format_args!("grpc_cancel({token})"), host::grpc_cancel(token));
        turn.say(format_args!("grpc_close({token})"), host::grpc_close(token));
    }
    for (bad, token) in [(Arg::Nowhere(16), 2), (Arg::Nowhere(0), 2), (Arg::Nowhere(16), 1)] {
        turn.say(format_args!("grpc_send({token}, {bad})"), host::grpc_send(token, bad, 0));
    }
    CONTINUE
}

/// A callout that is odd, and that a host may make: the case chose which.
fn odd_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let service = service("grpc");
        let choice = turn.choice();
        let (kind, choice) = choice.split_once(',').unwrap_or(("call", &choice));
        let pairs: &[(&str, &str)] = match choice {
            "host" => &[("host", "evil.test")],
            "twice" => &[("x-twice", "1"), ("X-Twice", "2"), ("x-empty", "")],
            "binary" => &[("x-a-bin", "hello"), ("x-a-bin", "two"), ("x-b-bin", "\u{1}\u{2}"), ("x-b", "plain")],
            "length" => &[("content-length", "99")],
            "timeout" => &[("grpc-timeout", "5m")],
            _ => &[],
        };
        let encoded = encode(pairs);
        let metadata = if choice == "malformed" { Arg::from("x") } else { Arg::from(&encoded) };
        let (name, method) = match choice {
            "no-name" => ("", "echo"),
            "no-method" => (NAME, ""),
            "no-names" => ("", ""),
            "spaces" => ("a b", "c d"),
            "slashes" => ("/probe.Test/", "/echo?query"),
            _ => (NAME, "echo"),
        };
        let service = if choice == "plain" { Arg::from("grpc") } else { Arg::from(&service) };
        let callout = GrpcCallout { service, name: Arg::from(name), method: Arg::from(method), metadata };
        let to = if choice == "nowhere" { Place::Nowhere } else { Place::Here };
        let text = if choice == "empty" { "" } else { "hello" };
        let message = (kind == "call").then_some((Arg::from(text), 1000));
        let made = open_raw(turn, &callout, message, to, format_args!("{choice}, {}", Shown(pairs)));
        if let Some(token) = turn.token_of(1).filter(|_| made && kind == "stream") {
            send(turn, token, text, 1);
        }
        return wait_if(made);
    }
    hear(turn)
}

/// A message that names more than a cluster, or another one: the case chose which.
fn odd_service(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let choice = turn.choice();
        let (kind, choice) = choice.split_once(',').unwrap_or(("call", &choice));
        let name = field(1, b"grpc");
        let header =
            |key: &str, value: &str| field(5, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
        let service = match choice {
            "unknown-cluster" => service("unknown"),
            "no-cluster" => service(""),
            "authority" => field(1, &[name, field(2, b"authority.test")].concat()),
            "metadata" => {
                let rest = [header("x-service", "1"), header("X-Service", "2"), header("x-mine", "service")].concat();
                [service("grpc"), rest].concat()
            }
            "metadata-format" => [service("grpc"), header("x-service", "%PROTOCOL%")].concat(),
            "metadata-percent" => [service("grpc"), header("x-service", "100%%")].concat(),
            "metadata-broken" => [service("grpc"), header("x-service", "%UNKNOWN")].concat(),
            "metadata-pseudo" => [service("grpc"), header(":path", "/evil")].concat(),
            "metadata-host" => [service("grpc"), header("host", "evil.test")].concat(),
            "metadata-empty" => [service("grpc"), header("x-service", "")].concat(),
            "no-target" => header("x-service", "1"),
            "nothing" => Vec::new(),
            "metadata-odd-name" => [service("grpc"), header("a b", "1")].concat(),
            "service-timeout" => [service("grpc"), field(3, &[0x10, 1])].concat(),
            // At most 10 bytes of a message.
            "limit" => field(1, &[name, field(4, &[8, 10])].concat()),
            "limit-fits" => field(1, &[name, field(4, &[8, 0xe8, 7])].concat()),
            "skip-envoy-headers" => field(1, &[name, vec![0x28, 1]].concat()),
            "twice" => [service("unknown"), service("grpc")].concat(),
            "more-fields" => [service("grpc"), vec![0x78, 1], field(14, b"x")].concat(),
            "group" => [service("grpc"), vec![0x73, 0x08, 1, 0x74]].concat(),
            _ => service("grpc"),
        };
        let metadata = encode(&[("x-mine", "1")]);
        let callout = GrpcCallout {
            service: Arg::from(&service),
            name: Arg::from(NAME),
            method: Arg::from("echo"),
            metadata: Arg::from(&metadata),
        };
        let message = (kind == "call").then_some((Arg::from("hello"), 1000));
        let made = open_raw(turn, &callout, message, Place::Here, format_args!("{choice}"));
        if let Some(token) = turn.token_of(1).filter(|_| made && kind == "stream") {
            send(turn, token, "hello", 1);
        }
        return wait_if(made);
    }
    hear(turn)
}

/// How far apart the numbers of callouts are.
fn tokens(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    for message in [Some("1"), None, Some("2"), None] {
        open(turn, "grpc", "echo", &[], message);
    }
    // It is counted too.
    open(turn, "unknown", "echo", &[], Some("3"));
    open(turn, "grpc", "echo", &[], Some("4"));
    let token = |number| turn.token_of(number).unwrap_or_default();
    let (call, stream) = (token(1), token(2));
    let kinds = [call & 3, stream & 3];
    let steps = [token(3).wrapping_sub(call), token(4).wrapping_sub(stream), token(5).wrapping_sub(token(3))];
    turn.say(format_args!("tokens"), format_args!("kinds {kinds:?}, steps {steps:?}"));
    for number in 1..=5 {
        cancel(turn, token(number));
    }
    CONTINUE
}

/// Calls that may take so long as the case chose, in milliseconds.
fn with_timeout(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let choice = turn.choice();
        let (method, timeout) = choice.split_once(',').unwrap_or((&choice, "0"));
        let (service, timeout) = (service("grpc"), timeout.parse().unwrap_or_default());
        let callout = GrpcCallout {
            service: Arg::from(&service),
            name: Arg::from(NAME),
            method: Arg::from(method),
            metadata: Arg::from(""),
        };
        let message = Some((Arg::from("hello"), timeout));
        return wait_if(open_raw(turn, &callout, message, Place::Here, format_args!("{choice}")));
    }
    hear(turn)
}

/// Several messages each way, one for each that comes; then the end as the case chose.
fn chat(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let made = open(turn, "grpc", "chat", &[("x-mine", "1")], None);
        if let Some(token) = turn.token_of(1) {
            send(turn, token, "one", 0);
        }
        return wait_if(made);
    }
    if is_answer(turn) {
        inspect(turn);
    }
    match turn.phase {
        Phase::GrpcMessage => match turn.visit() {
            1 => send(turn, turn.token(), "two", 0),
            2 => {
                send(turn, turn.token(), "", 0);
                send(turn, turn.token(), "three", 0);
            }
            4 => match turn.choice().as_str() {
                "close" => close(turn, turn.token()),
                "cancel" => {
                    cancel(turn, turn.token());
                    resume(turn);
                }
                "end" => send(turn, turn.token(), "last", 1),
                "end-and-close" => {
                    send(turn, turn.token(), "last", 1);
                    close(turn, turn.token());
                }
                "send-after-close" => {
                    close(turn, turn.token());
                    send(turn, turn.token(), "too late", 0);
                    close(turn, turn.token());
                }
                _ => {
                    send(turn, turn.token(), "last", 1);
                    send(turn, turn.token(), "too late", 1);
                }
            },
            _ => {}
        },
        Phase::GrpcClose => resume(turn),
        _ => {}
    }
    CONTINUE
}

/// Sends, closes or cancels in a callback, or in a tick after the end: the case chose, as `METHOD,CALLBACK,WHAT`.
fn act(turn: &mut Turn<'_>) -> Action {
    let choice = turn.choice();
    let words: Vec<&str> = choice.split(',').collect();
    let [method, phase, what] = words.as_slice() else { return CONTINUE };
    if turn.phase == Phase::RequestHeaders {
        let (kind, method) = method.split_once('/').unwrap_or(("stream", method));
        let made = open(turn, "grpc", method, &[], (kind == "call").then_some("hello"));
        if let Some(token) = turn.token_of(1).filter(|_| made && kind == "stream") {
            send(turn, token, "hello", 1);
        }
    }
    if turn.phase == Phase::GrpcClose && *phase == Phase::Tick.name() {
        turn.expect_tick();
    }
    if is_answer(turn) {
        general::get_status(turn);
    }
    if let Some(token) = turn.token_of(1)
        && turn.phase.name() == *phase
        && turn.visit() == 1
    {
        for what in what.split('+') {
            match what {
                "send" => send(turn, token, "more", 0),
                "end" => send(turn, token, "more", 1),
                "close" => close(turn, token),
                _ => cancel(turn, token),
            }
        }
    }
    CONTINUE
}

/// A call and a stream in the chosen phase, for which nobody waits; to a cluster without an endpoint if the case says so.
fn from_chosen_phase(turn: &mut Turn<'_>) -> Action {
    let choice = turn.choice();
    let (phase, cluster) = choice.split_once(',').unwrap_or((&choice, "grpc"));
    if turn.phase == Phase::RequestHeaders && phase == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.phase.name() == phase && turn.visit() == 1 {
        if cluster != "grpc-nobody" {
            open(turn, cluster, "slow", &[], None);
            if let Some(token) = turn.token_of(1) {
                send(turn, token, "hello", 1);
            }
        }
        open(turn, cluster, "slower", &[], Some("hello"));
    }
    if is_answer(turn) {
        inspect(turn);
        if turn.phase == Phase::GrpcClose {
            close(turn, turn.token());
        }
        turn.enter_stream();
        headers::value(turn, 0, ":path");
    }
    CONTINUE
}

/// The answer makes the filter answer in the upstream's stead.
fn then_local_reply(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        return wait_if(open(turn, "grpc", &turn.choice(), &[], Some("hello")));
    }
    if is_last(turn) {
        turn.enter_stream();
        local_reply::send(turn, 403, "denied", "not you", &[("x-local", "yes")]);
    }
    CONTINUE
}

/// A second call in the answer to the first, to a cluster and method that the case chose.
fn chain(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        return wait_if(open(turn, "grpc", "echo", &[], Some("first")));
    }
    if is_answer(turn) {
        inspect(turn);
        if turn.call() == 1 {
            let (cluster, method) = chosen(turn);
            if open(turn, &cluster, &method, &[], Some("second")) {
                inspect(turn);
                return CONTINUE;
            }
        }
        resume(turn);
    }
    CONTINUE
}

/// Two calls at once; the second is answered first.
fn two(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        let first = open(turn, "grpc", "slow", &[], Some("first"));
        return wait_if(first && open(turn, "grpc", "fail", &[], Some("second")));
    }
    if is_answer(turn) {
        inspect(turn);
        if turn.call() == 1 {
            resume(turn);
        }
    }
    CONTINUE
}

/// The client leaves while its request waits for the answer.
fn gone(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        return wait_if(open(turn, "grpc", "slow", &[], Some("hello")));
    }
    if is_answer(turn) {
        inspect(turn);
        resume(turn);
    }
    CONTINUE
}
