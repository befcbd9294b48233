//! What a host does with a module that means harm: everything, once.

use std::time::Duration;

use host_harness::test::{Answer, GrpcReply, Host, Reply, Request, Upstream};
use host_harness::{FailurePolicy, StreamEnd};

use super::bytes::Bytes;
use super::module;

/// How far a module came.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    /// Why it did not start, or failed.
    pub(crate) failure: Option<String>,
    pub(crate) hostcalls: u64,
    pub(crate) callbacks: u64,
}

/// Memory that a VM may have.
const MEMORY: usize = 4 << 20;

/// Makes a module of the bytes and takes it through a proxy's day. Whatever it does, that ends, and without a panic.
pub(crate) fn run(input: &[u8]) -> Came {
    let mut bytes = Bytes::new(input);
    // Some are no modules at all, or only nearly.
    let module = match bytes.byte() % 32 {
        31 => [b"\0asm\x01\0\0\0", bytes.rest()].concat(),
        _ => return of_module(module::text(&mut bytes).into_bytes(), bytes.byte()),
    };
    of_module(module, 0)
}

fn of_module(module: Vec<u8>, choices: u8) -> Came {
    let policy = match choices & 3 {
        0 => FailurePolicy::FailReload { backoff: Duration::from_millis(1) },
        1 => FailurePolicy::FailOpen,
        _ => FailurePolicy::FailClosed,
    };
    let started = Host::builder()
        .module_bytes(module)
        .configuration("{\"a\": 1}")
        .vm_configuration("vm")
        .env("A", "b")
        .workers(1 + u32::from(choices >> 2 & 1))
        .fuel_per_callback(Some(FUEL))
        .memory_limit(MEMORY)
        .body_limit(64 << 10)
        .failure_policy(policy)
        .trace(choices >> 3 & 1 == 1)
        .cluster("good", Upstream::always(Reply::status(200).header("x-a", "b").chunk("fine").trailers([("t", "u")])))
        .cluster("slow", Upstream::always(Reply::status(503)).after(Duration::from_secs(2)))
        .cluster("silent", Upstream::always(Answer::Silence))
        .cluster("dead", Upstream::without_endpoint())
        .cluster("a", Upstream::grpc(|_| GrpcReply::new().metadata("m", "n").message("one").status(0, "")))
        .start();
    let mut host = match started {
        Ok(host) => host,
        Err(failure) => return Came { failure: Some(failure.to_string()), ..Came::default() },
    };
    let mut came = Came::default();
    let whole = || {
        let reply = Reply::status(200).header("x-a", "b").chunk("one").chunk("two").trailers([("t", "u")]);
        Request::post("/path?query", "body").header("x-a", "b").chunk("more").trailers([("t", "u")]).reply(reply)
    };
    let grpc = Request::post("/service/method", "\0\0\0\0\0").header("content-type", "application/grpc");
    let mut exchanges = vec![host.exchange(whole()), host.exchange(Request::get("/").aborted())];
    exchanges.extend(host.exchanges([whole(), grpc, whole().takes(Duration::from_millis(5)).end_alone()]));
    host.log_only(0, StreamEnd::default());
    for _ in 0..3 {
        host.tick();
    }
    let mut connection = host.connect();
    connection.send("hello").reply("answer").send([0; 5000]).advance(Duration::from_secs(3));
    connection.send_end().reply_end();
    let closed = connection.close();
    // Most of a body that is held is the host's bound.
    assert!(closed.server_got.len() + closed.client_got.len() < 64 << 20, "data grew");
    host.advance(Duration::from_millis(1500));
    // A new configuration, which it may refuse.
    let _ = host.reconfigure("{}");
    exchanges.push(host.exchange(whole()));
    let _ = host.recreate(0);
    host.shutdown();
    for exchange in &exchanges {
        came.hostcalls += u64::from(exchange.cost.total_hostcalls());
        came.callbacks += u64::from(exchange.cost.callbacks);
    }
    assert!(host.worker(0).memory_size() <= MEMORY, "a VM's memory grew");
    came.failure = host.worker(0).failed().map(str::to_owned);
    came
}

/// Fuel for a callback: enough for a few hundred hostcalls.
const FUEL: u64 = 100_000;
