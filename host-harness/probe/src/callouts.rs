//! `proxy_http_call`, and what is there when the answer comes.

use std::fmt;

use crate::host::{self, Arg, Place};
use crate::report::{Number, Shown, encode};
use crate::turn::{Action, CONTINUE, Case, PAUSE, Phase, Turn};
use crate::{buffers, general, headers, local_reply, stream_control};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("callout", plain),
    ("callout-inspect", inspected),
    ("callout-bad-arguments", bad_arguments),
    ("callout-odd-arguments", odd_arguments),
    ("callout-body", with_body),
    ("callout-no-timeout", without_timeout),
    ("callout-local-reply", then_local_reply),
    ("callout-local-reply-at-root", then_local_reply_at_root),
    ("callout-close", then_close),
    ("callout-continue-at-root", then_continue_at_root),
    ("callout-continue", then_continue),
    ("callout-pause-response", pausing_the_response),
    ("callout-pause-body", pausing_the_body),
    ("callout-from", from_chosen_phase),
    ("callout-two", two),
    ("callout-chain", chain),
    ("callout-not-awaited", not_awaited),
    ("callout-gone", gone),
    ("callout-and-tick", and_tick),
    ("callout-outside", outside),
];

const CALL_BODY: u32 = 4;
const HEADERS: u32 = 6;
const TRAILERS: u32 = 7;

/// What a case sends; it shows only what is not usual.
#[derive(Clone, Copy)]
struct Sent<'a> {
    cluster: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    trailers: &'a [(&'a str, &'a str)],
    timeout: i32,
}

impl fmt::Display for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, headers, body, trailers, timeout } = self;
        write!(f, "\"{cluster}\", {}, \"{body}\", {}, {timeout}", Shown(headers), Shown(trailers))
    }
}

/// The headers of a request to a path.
fn to(path: &str) -> [(&str, &str); 3] {
    [(":method", "GET"), (":path", path), (":authority", "callout.test")]
}

/// Makes a callout; says whether the host did.
fn send(turn: &mut Turn<'_>, sent: &Sent<'_>) -> bool {
    let (headers, trailers) = (encode(sent.headers), encode(sent.trailers));
    let trailers = if sent.trailers.is_empty() { Arg::from("") } else { Arg::from(&trailers) };
    let callout = host::Callout {
        cluster: Arg::from(sent.cluster),
        headers: Arg::from(&headers),
        body: Arg::from(sent.body),
        trailers,
        timeout: sent.timeout,
    };
    send_raw(turn, &callout, Place::Here, format_args!("{sent}"))
}

/// Makes a callout with whatever arguments.
fn send_raw(turn: &mut Turn<'_>, callout: &host::Callout<'_>, to: Place, shown: fmt::Arguments<'_>) -> bool {
    let (status, token) = host::http_call(callout, to);
    match token {
        Some(token) if status == host::Status::OK => {
            let number = turn.expect_answer(token);
            turn.say(format_args!("http_call({shown})"), format_args!("{status} call {number}"));
        }
        token => turn.say(format_args!("http_call({shown})"), Number((status, token))),
    }
    status == host::Status::OK
}

/// Makes a callout to the cluster and path that the case chose, as `CLUSTER/PATH`, and has the stream wait if it could.
fn send_chosen(turn: &mut Turn<'_>) -> Action {
    let choice = turn.choice();
    let (cluster, path) = choice.split_once('/').unwrap_or((&choice, ""));
    let timeout = if cluster == "silent" { 100 } else { 2000 };
    let path = format!("/{path}");
    wait_if(send(turn, &Sent { cluster, headers: &to(&path), body: "", trailers: &[], timeout }))
}

/// What to return after a callout.
fn wait_if(made: bool) -> Action {
    if made { PAUSE } else { CONTINUE }
}

/// Makes a callout to a path of the cluster that answers.
fn ask(turn: &mut Turn<'_>, path: &str) -> bool {
    send(turn, &Sent { cluster: "answers", headers: &to(path), body: "", trailers: &[], timeout: 2000 })
}

/// What an answer says of itself.
fn inspect(turn: &Turn<'_>) {
    general::get_status(turn);
    headers::pairs(turn, HEADERS);
    headers::pairs(turn, TRAILERS);
    buffers::status(turn, CALL_BODY);
    buffers::get(turn, CALL_BODY, 0, 200);
}

/// Every way to look at an answer.
fn inspect_all(turn: &Turn<'_>) {
    inspect(turn);
    for map in [HEADERS, TRAILERS] {
        headers::size(turn, map);
        for name in [":status", "x-answer", "X-ANSWER", "x-twice", "x-empty", "x-trailer", "nope", ""] {
            headers::value(turn, map, name);
        }
    }
    let ranges = [(0, u32::MAX), (0, 5), (3, 4), (3, 0), (3, u32::MAX), (1_000_000, 1), (u32::MAX, u32::MAX)];
    for (start, max) in ranges {
        buffers::get(turn, CALL_BODY, start, max);
    }
    buffers::get_to(turn, CALL_BODY, 0, 5, Place::Nowhere);
    buffers::status_to(turn, CALL_BODY, Place::Nowhere);
    for (start, replaced) in [(0, 0), (0, 3), (0, u32::MAX), (2, 1), (1_000_000, 0)] {
        buffers::set(turn, CALL_BODY, start, replaced, "new");
    }
    for map in [HEADERS, TRAILERS] {
        headers::write(turn, map);
    }
    inspect(turn);
}

/// What all header maps and the body hold.
fn look_around(turn: &Turn<'_>) {
    for map in 0..8 {
        headers::pairs(turn, map);
    }
    headers::value(turn, 0, ":path");
    headers::value(turn, HEADERS, ":status");
    buffers::get(turn, CALL_BODY, 0, 200);
    buffers::status(turn, CALL_BODY);
}

/// Goes on with the request that waits for the answer.
fn resume(turn: &Turn<'_>) {
    turn.enter_stream();
    stream_control::resume(turn, 0);
}

/// One callout for which the request waits; then a brief look at the answer.
fn plain(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => return send_chosen(turn),
        Phase::CallResponse => {
            inspect(turn);
            resume(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// One callout for which the request waits; then everything about the answer, at the root and at the stream.
fn inspected(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            let action = send_chosen(turn);
            look_around(turn);
            return action;
        }
        Phase::CallResponse => {
            inspect_all(turn);
            look_around(turn);
            turn.enter_stream();
            look_around(turn);
            headers::write(turn, 0);
            turn.enter_root();
            look_around(turn);
            resume(turn);
            look_around(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// Callouts that the host should refuse.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase != Phase::RequestHeaders {
        return CONTINUE;
    }
    let all = to("/");
    let good = Sent { cluster: "answers", headers: &all, body: "", trailers: &[], timeout: 1000 };
    send(turn, &Sent { cluster: "unknown", ..good });
    send(turn, &Sent { cluster: "", ..good });
    for missing in [":method", ":path", ":authority"] {
        let headers: Vec<_> = all.into_iter().filter(|(name, _)| *name != missing).collect();
        send(turn, &Sent { headers: &headers, ..good });
    }
    send(turn, &Sent { headers: &[], ..good });
    send(turn, &Sent { headers: &[("x-only", "this")], ..good });
    send(turn, &Sent { timeout: -1, ..good });
    send(turn, &Sent { timeout: i32::MIN, ..good });
    send(turn, &Sent { cluster: "unknown", timeout: -1, ..good });
    send(turn, &Sent { cluster: "unknown", headers: &[], ..good });

    let headers = encode(&all);
    let raw = host::Callout {
        cluster: Arg::from("answers"),
        headers: Arg::from(&headers),
        body: Arg::from(""),
        trailers: Arg::from(""),
        timeout: 1000,
    };
    let (bad, bad_empty) = (Arg::Nowhere(16), Arg::Nowhere(0));
    let here = Place::Here;
    send_raw(turn, &host::Callout { cluster: bad, ..raw }, here, format_args!("cluster={bad}"));
    send_raw(turn, &host::Callout { cluster: bad_empty, ..raw }, here, format_args!("cluster={bad_empty}"));
    send_raw(turn, &host::Callout { headers: bad, ..raw }, here, format_args!("headers={bad}"));
    send_raw(turn, &host::Callout { headers: bad_empty, ..raw }, here, format_args!("headers={bad_empty}"));
    send_raw(turn, &host::Callout { body: bad, ..raw }, here, format_args!("body={bad}"));
    send_raw(turn, &host::Callout { body: bad_empty, ..raw }, here, format_args!("body={bad_empty}"));
    send_raw(turn, &host::Callout { trailers: bad, ..raw }, here, format_args!("trailers={bad}"));
    send_raw(turn, &host::Callout { trailers: bad_empty, ..raw }, here, format_args!("trailers={bad_empty}"));
    for malformed in ["", "x", "\u{1}\0\0\0", "\u{1}\0\0\0\u{9}\0\0\0\0\0\0\0ab"] {
        let headers = Arg::from(malformed);
        send_raw(turn, &host::Callout { headers, ..raw }, here, format_args!("headers={headers} raw"));
    }
    let cluster = Arg::from("unknown");
    send_raw(turn, &host::Callout { cluster, headers: bad, ..raw }, here, format_args!("\"unknown\", headers={bad}"));
    send_raw(turn, &host::Callout { cluster, ..raw }, Place::Nowhere, format_args!("\"unknown\"{}", Place::Nowhere));
    CONTINUE
}

/// A callout that is odd, and that a host may make: the case chose which, or which header is empty.
fn odd_arguments(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            let all = to("/odd");
            let headers = encode(&all);
            let raw = host::Callout {
                cluster: Arg::from("answers"),
                headers: Arg::from(&headers),
                body: Arg::from(""),
                trailers: Arg::from(""),
                timeout: 1000,
            };
            let made = match turn.choice().as_str() {
                "malformed-trailers" => {
                    let trailers = Arg::from("x");
                    let shown = format_args!("trailers={trailers} raw");
                    send_raw(turn, &host::Callout { trailers, ..raw }, Place::Here, shown)
                }
                "token-nowhere" => {
                    let shown = format_args!("\"answers\", good{}", Place::Nowhere);
                    send_raw(turn, &raw, Place::Nowhere, shown)
                }
                "duplicates" => {
                    let [method, path, authority] = all;
                    let headers = [method, path, authority, (":path", "/second"), ("X-Upper", "A"), ("x-upper", "b")];
                    send(turn, &Sent { cluster: "answers", headers: &headers, body: "", trailers: &[], timeout: 1000 })
                }
                "host-for-authority" => {
                    let headers = [(":method", "GET"), (":path", "/odd"), ("host", "callout.test")];
                    send(turn, &Sent { cluster: "answers", headers: &headers, body: "", trailers: &[], timeout: 1000 })
                }
                "content-length" => {
                    let [method, path, authority] = all;
                    let headers = [method, path, authority, ("content-length", "99")];
                    send(
                        turn,
                        &Sent { cluster: "answers", headers: &headers, body: "1234", trailers: &[], timeout: 1000 },
                    )
                }
                empty => {
                    let headers = all.map(|(name, value)| (name, if name == empty { "" } else { value }));
                    send(turn, &Sent { cluster: "answers", headers: &headers, body: "", trailers: &[], timeout: 1000 })
                }
            };
            return wait_if(made);
        }
        Phase::CallResponse => {
            inspect(turn);
            resume(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// A callout with a body, and one with trailers as well.
fn with_body(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            let headers = [
                (":method", "POST"),
                (":path", "/body"),
                (":authority", "callout.test"),
                ("x-mine", "1"),
                ("x-mine", "2"),
            ];
            let trailers: &[(&str, &str)] = if turn.choice() == "trailers" { &[("x-end", "z")] } else { &[] };
            let sent = Sent { cluster: "answers", headers: &headers, body: "hello", trailers, timeout: 1000 };
            send(turn, &sent);
            return PAUSE;
        }
        Phase::CallResponse => {
            inspect(turn);
            resume(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// A callout that may take as long as it likes.
fn without_timeout(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            send(turn, &Sent { cluster: "answers", headers: &to("/slow"), body: "", trailers: &[], timeout: 0 });
            return PAUSE;
        }
        Phase::CallResponse => {
            inspect(turn);
            resume(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// The answer makes the filter answer in the upstream's stead.
fn then_local_reply(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            turn.enter_stream();
            local_reply::send(turn, 403, "denied", "not you", &[("x-local", "yes")]);
            stream_control::resume(turn, 0);
        }
        _ => {}
    }
    CONTINUE
}

/// The same without turning to the stream, which should have no effect.
fn then_local_reply_at_root(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            local_reply::send(turn, 403, "denied", "not you", &[]);
            resume(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// The answer makes the filter reset the request.
fn then_close(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            turn.enter_stream();
            stream_control::close(turn, 0);
        }
        _ => {}
    }
    CONTINUE
}

/// Continues twice, or the response that there is not yet: the case chose which numbers, `NUMBER,NUMBER`.
fn then_continue(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            turn.enter_stream();
            for number in turn.choice().split(',') {
                stream_control::resume(turn, number.parse().unwrap_or_default());
            }
        }
        _ => {}
    }
    CONTINUE
}

/// Continues at the root, which should not move the stream.
fn then_continue_at_root(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            stream_control::resume(turn, 0);
            if turn.call() == 1 {
                ask(turn, "/again");
            } else {
                resume(turn);
            }
        }
        _ => {}
    }
    CONTINUE
}

/// The response waits for the answer.
fn pausing_the_response(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::ResponseHeaders if turn.visit() == 1 => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            inspect(turn);
            turn.enter_stream();
            for map in 0..4 {
                headers::pairs(turn, map);
            }
            headers::add(turn, 2, "x-late", "added");
            match turn.choice().as_str() {
                "reply" => local_reply::send(turn, 403, "late", "too late?", &[]),
                "close" => stream_control::close(turn, 1),
                _ => stream_control::resume(turn, 1),
            }
        }
        _ => {}
    }
    CONTINUE
}

/// The request's body waits for the answer.
fn pausing_the_body(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestBody if turn.visit() == 1 => {
            ask(turn, "/slow");
            return PAUSE;
        }
        Phase::RequestBody => return PAUSE,
        Phase::CallResponse => {
            turn.enter_stream();
            for map in 0..4 {
                headers::pairs(turn, map);
            }
            buffers::get(turn, 0, 0, 100);
            stream_control::resume(turn, 0);
        }
        _ => {}
    }
    CONTINUE
}

/// A callout in the chosen phase, for which nobody waits.
fn from_chosen_phase(turn: &mut Turn<'_>) -> Action {
    if turn.begins() && turn.choice() == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.is_chosen() && turn.visit() == 1 {
        ask(turn, "/slow");
    }
    if turn.phase == Phase::CallResponse {
        inspect(turn);
        turn.enter_stream();
        headers::value(turn, 0, ":path");
        headers::value(turn, HEADERS, ":status");
        buffers::get(turn, CALL_BODY, 0, 20);
    }
    CONTINUE
}

/// Two callouts at once; the second is answered first.
fn two(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/slow");
            send(turn, &Sent { cluster: "fails503", headers: &to("/quick"), body: "", trailers: &[], timeout: 2000 });
            return PAUSE;
        }
        Phase::CallResponse => {
            inspect(turn);
            if turn.call() == 1 {
                resume(turn);
            }
        }
        _ => {}
    }
    CONTINUE
}

/// A second callout in the answer to the first; then what the answer still says.
fn chain(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/first");
            return PAUSE;
        }
        Phase::CallResponse if turn.call() == 1 => {
            turn.enter_stream();
            send_chosen(turn);
            inspect(turn);
        }
        Phase::CallResponse => {
            inspect(turn);
            resume(turn);
        }
        _ => {}
    }
    CONTINUE
}

/// The stream is over before the answer comes.
fn not_awaited(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/slow");
        }
        Phase::CallResponse => {
            inspect(turn);
            look_around(turn);
            if turn.enter_stream() != host::Status::OK {
                look_around(turn);
            }
        }
        _ => {}
    }
    CONTINUE
}

/// The client leaves while its request waits for the answer.
fn gone(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/slow");
            return PAUSE;
        }
        Phase::CallResponse => {
            inspect(turn);
            turn.enter_stream();
            stream_control::resume(turn, 0);
            local_reply::send(turn, 403, "gone", "", &[]);
        }
        _ => {}
    }
    CONTINUE
}

/// A tick after the answer: is anything of it left?
fn and_tick(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            ask(turn, "/");
            return PAUSE;
        }
        Phase::CallResponse => {
            inspect(turn);
            turn.expect_tick();
        }
        Phase::Tick => {
            look_around(turn);
            turn.enter_stream();
            look_around(turn);
            stream_control::resume(turn, 0);
        }
        _ => {}
    }
    CONTINUE
}

/// What is there of an answer where there is none; run it after a case that had one.
fn outside(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders | Phase::ResponseHeaders | Phase::Log => {
            general::get_status(turn);
            for map in [HEADERS, TRAILERS] {
                headers::pairs(turn, map);
                headers::size(turn, map);
                headers::value(turn, map, ":status");
            }
            buffers::status(turn, CALL_BODY);
            buffers::get(turn, CALL_BODY, 0, 20);
            buffers::set(turn, CALL_BODY, 0, 0, "new");
        }
        _ => {}
    }
    CONTINUE
}
