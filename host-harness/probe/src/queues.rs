//! Shared queues, and when the host says that one has something.

use crate::host::{self, Arg, Counted, Place, Status};
use crate::report::Number;
use crate::turn::{Action, CONTINUE, Case, PAUSE, Phase, Turn};
use crate::{buffers, general, headers, local_reply, stream_control};

/// The cases.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("queue-names", names),
    ("queue-order", order),
    ("queue-bad-arguments", bad_arguments),
    ("queue-configured", from_stream_to_configured),
    ("queue-ready", ready),
    ("queue-ready-emptied", ready_emptied),
    ("queue-ready-drain", ready_drain),
    ("queue-ready-moved", ready_moved),
    ("queue-ready-again", ready_again),
    ("queue-ready-looks", ready_looks),
    ("queue-resume", resume_from_ready),
    ("queue-reply", reply_from_ready),
    ("queue-from", from_chosen_phase),
];

/// An ID that no queue has.
const UNKNOWN: u32 = 0x00ff_ffff;
/// The VM's ID in the configuration that the probe is run with.
const OWN_VM: &str = "probe-vm";

/// An answer that names a queue, by a name instead of a number.
fn named(turn: &Turn<'_>, (status, queue): Counted<u32>) -> String {
    match (status, queue) {
        (Status::OK, Some(queue)) => match turn.name_of_queue(queue) {
            Some(name) => format!("{status} queue \"{name}\""),
            None => format!("{status} new queue"),
        },
        answer => Number(answer).to_string(),
    }
}

/// Registers a queue and remembers it for the case.
pub(crate) fn register(turn: &mut Turn<'_>, name: &str) {
    let answer = host::register_shared_queue(Arg::from(name), Place::Here);
    turn.say(format_args!("register_shared_queue(\"{name}\")"), named(turn, answer));
    if let (Status::OK, Some(queue)) = answer {
        turn.expect_queue(queue, name.to_owned());
    }
}

fn register_badly(turn: &Turn<'_>, name: Arg<'_>, to: Place) {
    turn.say(format_args!("register_shared_queue({name}{to})"), named(turn, host::register_shared_queue(name, to)));
}

fn resolve(turn: &Turn<'_>, vm: &str, name: &str) {
    resolve_to(turn, Arg::from(vm), Arg::from(name), Place::Here);
}

fn resolve_to(turn: &Turn<'_>, vm: Arg<'_>, name: Arg<'_>, to: Place) {
    let answer = host::resolve_shared_queue(vm, name, to);
    turn.say(format_args!("resolve_shared_queue({vm}, {name}{to})"), named(turn, answer));
}

/// A queue, readable.
fn shown(turn: &Turn<'_>, queue: u32) -> String {
    turn.name_of_queue(queue).map_or_else(|| format!("unknown {queue}"), |name| format!("queue \"{name}\""))
}

fn enqueue<'a>(turn: &Turn<'_>, queue: u32, item: impl Into<Arg<'a>>) {
    let item = item.into();
    let status = host::enqueue_shared_queue(queue, item);
    turn.say(format_args!("enqueue_shared_queue({}, {item})", shown(turn, queue)), status);
}

fn dequeue(turn: &Turn<'_>, queue: u32) {
    dequeue_to(turn, queue, Place::Here);
}

fn dequeue_to(turn: &Turn<'_>, queue: u32, to: Place) {
    let answer = host::dequeue_shared_queue(queue, to);
    turn.say(format_args!("dequeue_shared_queue({}{to})", shown(turn, queue)), answer);
}

/// The queue of that name; an unknown one if it was never registered.
fn find(turn: &Turn<'_>, name: &str) -> u32 {
    turn.queue_named(name).unwrap_or(UNKNOWN)
}

/// Registering and resolving.
fn names(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        resolve(turn, "", "names");
        register(turn, "names");
        register(turn, "names");
        register(turn, "names-2");
        register(turn, "");
        for vm in ["", OWN_VM, "unknown-vm"] {
            for name in ["names", "names-2", "unknown", ""] {
                resolve(turn, vm, name);
            }
        }
    }
    CONTINUE
}

/// Items come out as they went in.
fn order(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        register(turn, "order");
        let queue = find(turn, "order");
        dequeue(turn, queue);
        enqueue(turn, queue, "one");
        enqueue(turn, queue, "");
        enqueue(turn, queue, b"t\0wo\xff".as_slice());
        for _ in 0..4 {
            dequeue(turn, queue);
        }
    }
    CONTINUE
}

/// Queues that do not exist, and addresses outside the memory.
fn bad_arguments(turn: &mut Turn<'_>) -> Action {
    if turn.phase == Phase::RequestHeaders {
        for queue in [0, UNKNOWN, u32::MAX] {
            enqueue(turn, queue, "item");
            dequeue(turn, queue);
        }
        let (bad, bad_empty) = (Arg::Nowhere(16), Arg::Nowhere(0));
        register_badly(turn, bad, Place::Here);
        register_badly(turn, bad_empty, Place::Here);
        register_badly(turn, Arg::from("bad-arguments"), Place::Nowhere);
        resolve(turn, "", "bad-arguments");
        register(turn, "bad-arguments");
        resolve_to(turn, bad, Arg::from("bad-arguments"), Place::Here);
        resolve_to(turn, bad_empty, Arg::from("bad-arguments"), Place::Here);
        resolve_to(turn, Arg::from(""), bad, Place::Here);
        resolve_to(turn, Arg::from(""), bad_empty, Place::Here);
        resolve_to(turn, Arg::from(""), Arg::from("bad-arguments"), Place::Nowhere);
        resolve_to(turn, Arg::from(""), Arg::from("unknown"), Place::Nowhere);
        let queue = find(turn, "bad-arguments");
        enqueue(turn, queue, bad);
        enqueue(turn, queue, bad_empty);
        enqueue(turn, UNKNOWN, bad);
        dequeue(turn, queue);
        dequeue_to(turn, queue, Place::Nowhere);
        enqueue(turn, queue, "lost?");
        dequeue_to(turn, queue, Place::Nowhere);
        dequeue(turn, queue);
        dequeue_to(turn, UNKNOWN, Place::Nowhere);
    }
    CONTINUE
}

/// A queue that the root context registered at `configure`; a stream puts items into it.
fn from_stream_to_configured(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            let queue = find(turn, "queue-configured");
            enqueue(turn, queue, "one");
            enqueue(turn, queue, "two");
        }
        Phase::QueueReady => dequeue(turn, turn.queue()),
        _ => {}
    }
    CONTINUE
}

/// A queue that a stream registered, with an item from several phases of it.
fn ready(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "ready");
            let queue = find(turn, "ready");
            enqueue(turn, queue, "one");
            enqueue(turn, queue, "two");
            enqueue(turn, queue, "");
        }
        Phase::ResponseHeaders => enqueue(turn, find(turn, "ready"), "from response headers"),
        Phase::QueueReady => dequeue(turn, turn.queue()),
        _ => {}
    }
    CONTINUE
}

/// The items are taken out before the host could say that they are there.
fn ready_emptied(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "emptied");
            let queue = find(turn, "emptied");
            enqueue(turn, queue, "one");
            enqueue(turn, queue, "two");
            dequeue(turn, queue);
            dequeue(turn, queue);
        }
        Phase::QueueReady => dequeue(turn, turn.queue()),
        _ => {}
    }
    CONTINUE
}

/// The first callback takes all, or none does.
fn ready_drain(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "drain");
            let queue = find(turn, "drain");
            enqueue(turn, queue, "one");
            enqueue(turn, queue, "two");
        }
        Phase::QueueReady if turn.choice() != "never" => {
            for _ in 0..3 {
                dequeue(turn, turn.queue());
            }
        }
        Phase::Delete if turn.choice() == "never" => {
            let queue = find(turn, "drain");
            for _ in 0..3 {
                dequeue(turn, queue);
            }
        }
        _ => {}
    }
    CONTINUE
}

/// The queue is registered again between two items, and from the root's context.
fn ready_moved(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "moved");
            let queue = find(turn, "moved");
            enqueue(turn, queue, "one");
            turn.enter_root();
            register(turn, "moved");
            enqueue(turn, queue, "two");
        }
        Phase::QueueReady => dequeue(turn, turn.queue()),
        _ => {}
    }
    CONTINUE
}

/// The callback itself puts something into the queue, once.
fn ready_again(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "again");
            enqueue(turn, find(turn, "again"), "one");
        }
        Phase::QueueReady => {
            dequeue(turn, turn.queue());
            if turn.visit() == 1 {
                enqueue(turn, turn.queue(), "from the callback");
                dequeue(turn, UNKNOWN);
            }
        }
        _ => {}
    }
    CONTINUE
}

/// What the callback can see; the stream waits for it.
fn ready_looks(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "looks");
            enqueue(turn, find(turn, "looks"), "one");
            return PAUSE;
        }
        Phase::QueueReady => {
            dequeue(turn, turn.queue());
            for map in 0..8 {
                headers::pairs(turn, map);
            }
            for buffer in 0..9 {
                buffers::status(turn, buffer);
            }
            buffers::get(turn, 6, 0, 200);
            general::get_status(turn);
            turn.enter_stream();
            headers::value(turn, 0, ":path");
            stream_control::resume(turn, 0);
        }
        _ => {}
    }
    CONTINUE
}

/// The callback goes on with the stream that waits for it.
fn resume_from_ready(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "resume");
            enqueue(turn, find(turn, "resume"), "one");
            return PAUSE;
        }
        Phase::QueueReady => {
            dequeue(turn, turn.queue());
            turn.enter_stream();
            headers::add(turn, 0, "x-queued", "yes");
            stream_control::resume(turn, 0);
        }
        _ => {}
    }
    CONTINUE
}

/// The callback answers the stream that waits for it.
fn reply_from_ready(turn: &mut Turn<'_>) -> Action {
    match turn.phase {
        Phase::RequestHeaders => {
            register(turn, "reply");
            enqueue(turn, find(turn, "reply"), "one");
            return PAUSE;
        }
        Phase::QueueReady => {
            dequeue(turn, turn.queue());
            turn.enter_stream();
            local_reply::send(turn, 418, "queued", "from the queue", &[]);
        }
        _ => {}
    }
    CONTINUE
}

/// Two items from the chosen phase. Those of `configure` and `vm_start` are left in the queue: all of the host's VMs share
/// it and put theirs into it at the same time.
fn from_chosen_phase(turn: &mut Turn<'_>) -> Action {
    if turn.begins() && turn.choice() == Phase::Tick.name() {
        turn.expect_tick();
    }
    if turn.is_chosen() && turn.visit() == 1 {
        register(turn, "from");
        enqueue(turn, find(turn, "from"), "one");
        enqueue(turn, find(turn, "from"), "two");
    }
    if turn.phase == Phase::QueueReady {
        if ![Phase::Configure.name(), Phase::VmStart.name()].contains(&turn.choice().as_str()) {
            dequeue(turn, turn.queue());
        }
        turn.enter_stream();
    }
    CONTINUE
}
