//! A network filter and its whole test: who connects has to say a word first, of which the server hears nothing.
//!
//! ```text
//! cargo run -p host-harness --example tcp_filter
//! ```
//!
//! `host-harness serve --upstream tcp://HOST:PORT --module FILE` puts the same filter between real connections.

use host_harness::Peer;
use host_harness::test::{Host, StartFailure};

/// Lets a connection go on that begins with `open`, and closes any other.
const FILTER: &str = r#"(module
    (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 0) "open")

    (func (export "proxy_abi_version_0_2_1"))
    ;; What the host gives lies at 1024; its address and length at 60 and 64.
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
    ;; Whether a connection said the word, by its number: a byte for each of so many at a time.
    (func $place (param $id i32) (result i32)
        (i32.add (i32.const 65536) (i32.and (local.get $id) (i32.const 65535))))
    (func (export "proxy_on_new_connection") (param $id i32) (result i32)
        (i32.store8 (call $place (local.get $id)) (i32.const 0))
        (i32.const 0))

    (func (export "proxy_on_downstream_data") (param $id i32) (param $size i32) (param $end i32) (result i32)
        (if (i32.load8_u (call $place (local.get $id))) (then (return (i32.const 0))))
        ;; Not enough to tell: hold it, and see it again with what comes next.
        (if (i32.and (i32.lt_u (local.get $size) (i32.const 4)) (i32.eqz (local.get $end)))
            (then (return (i32.const 1))))
        ;; Buffer 2 has what the client sent.
        (drop (call $get (i32.const 2) (i32.const 0) (i32.const 4) (i32.const 60) (i32.const 64)))
        (if (i32.or (i32.lt_u (local.get $size) (i32.const 4))
                (i32.ne (i32.load (i32.const 1024)) (i32.load (i32.const 0))))
            (then (drop (call $close (i32.const 2))) (return (i32.const 1))))
        (i32.store8 (call $place (local.get $id)) (i32.const 1))
        ;; Nothing in place of the word.
        (drop (call $set (i32.const 2) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0)))
        (i32.const 0)))"#;

#[allow(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), StartFailure> {
    let mut host = Host::builder().module_bytes(FILTER).start()?;

    let mut connection = host.connect();
    connection.send("op");
    assert!(connection.is_paused(), "half a word");
    connection.send("enhello").reply("hi");
    assert_eq!(connection.server_got(), b"hello");
    assert_eq!(connection.client_got(), b"hi");
    connection.send(" again").send_end().reply_end();
    let closed = connection.close();
    assert_eq!(closed.server_got, b"hello again");
    assert_eq!(closed.cost.hostcall("proxy_set_buffer_bytes"), 1, "only once");

    for wrong in ["close", "op", "OPEN sesame"] {
        let mut connection = host.connect();
        connection.send(wrong).send_end();
        assert!(!connection.is_open());
        let closed = connection.close();
        assert_eq!((closed.by, closed.server_got.as_slice()), (Peer::Local, &b""[..]), "{wrong}");
    }

    println!("{}", host.trace());
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
