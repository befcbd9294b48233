//! How a case is sent, and what is told of the answer.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::cases::{Case, Kind};
use super::http1::{Failure, Reader, Unlimited, chunked, quoted, shown};

/// After which the answer is not waited for any more.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A request whose case the probe does not know, so that nothing is done but told which callbacks come.
pub(super) fn nothing_asked() -> Case {
    Case { name: "no-such-case".into(), path: "/short", kind: Kind::Get }
}

/// Sends a request on a connection of its own and tells what came back.
pub(super) fn send(proxy: SocketAddr, case: &Case) -> String {
    let mut socket = TcpStream::connect(proxy).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&request(case)).unwrap();
    if case.leaves_early() {
        std::thread::sleep(Duration::from_millis(50));
        return String::from("left");
    }
    let mut reader = Reader::new(&socket);
    match reader.message(Unlimited::Close) {
        Ok(message) => {
            let body = quoted(&message.body);
            let trailers = match message.trailers.as_slice() {
                [] => String::new(),
                trailers => format!(" trailers [{}]", shown(trailers)),
            };
            format!("{} [{}] {body}{trailers}", message.second_word(), shown(&message.headers))
        }
        Err(Failure::Timeout) => format!("no answer in time, {} bytes so far", reader.held().len()),
        Err(Failure::Malformed) => String::from("a malformed answer"),
        Err(Failure::Closed) => format!("closed early, {} left over", quoted(reader.held())),
    }
}

fn request(case: &Case) -> Vec<u8> {
    let method = if case.kind == Kind::Get { "GET" } else { "POST" };
    let mut head = format!("{method} {} HTTP/1.1\r\nhost: probe.test\r\nx-case: {}\r\n", case.path, case.name);
    head += "connection: close\r\nx-twice: first\r\nx-twice: second\r\nx-empty: \r\nX-Mixed: Mixed\r\n";
    head += "x-remove-me: please\r\n";
    let body = match case.kind {
        Kind::Get => Vec::new(),
        Kind::Post => {
            head += "content-length: 5\r\n";
            b"hello".to_vec()
        }
        Kind::Full => {
            head += "transfer-encoding: chunked\r\nte: trailers\r\n";
            chunked(b"hello", &[("x-trailer", "sent")])
        }
    };
    [head.as_bytes(), b"\r\n", &body].concat()
}
