//! What a client does with a connection, and what it tells of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::server::{self, Server};
use crate::conformance::http1::quoted;

/// What the client does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Script {
    /// Sends, waits for the echo, sends again and waits, ends its direction and reads to the end.
    #[default]
    Talk,
    /// Sends and ends its direction at once, then reads to the end.
    SendAndEnd,
    /// Sends, waits for the echo and closes.
    Close,
    /// Sends, waits for the echo and breaks the connection off.
    Reset,
    /// Waits for the server's greeting, then talks.
    ListenAndTalk,
    /// Reads to the end, and never sends.
    Listen,
}

/// After which nothing is waited for any more.
const PATIENCE: Duration = Duration::from_millis(800);

/// How long a connection is at least open that is talked on: some ticks of the probe.
const TICK_WITHIN: Duration = Duration::from_millis(400);

/// Linux's `MSG_MORE`: what is sent waits for what follows, here for the end, so that both arrive at once.
pub(super) const MORE: i32 = 0x8000;

/// Names the case of the next connection, on one of its own.
pub(crate) fn name_case(proxy: SocketAddr, server: &Server, case: &str) {
    server.play(server::Script::Echo);
    let mut socket = TcpStream::connect(proxy).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let text = format!("case {case}");
    socket.write_all(text.as_bytes()).unwrap();
    let mut echo = vec![0; text.len()];
    socket.read_exact(&mut echo).unwrap();
}

/// Plays a script and tells what came back.
pub(crate) fn play(proxy: SocketAddr, script: Script) -> String {
    let mut socket = TcpStream::connect(proxy).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    let end = talk(&mut socket, script, &mut got);
    format!("got {}, {end}", quoted(&got))
}

fn talk(socket: &mut TcpStream, script: Script, got: &mut Vec<u8>) -> &'static str {
    if script == Script::Listen {
        return read(socket, usize::MAX, got).unwrap_or("enough");
    }
    if script == Script::ListenAndTalk {
        read(socket, 7, got);
    }
    if script == Script::SendAndEnd {
        let _ = SockRef::from(&*socket).send_with_flags(b"hello", MORE);
        let _ = socket.shutdown(Shutdown::Write);
        return read(socket, usize::MAX, got).unwrap_or("enough");
    }
    // What the other side has closed cannot be written to, which the reading shows.
    let _ = socket.write_all(b"hello");
    if let Some(end @ ("ended" | "reset")) = read(socket, got.len() + 5, got) {
        return end;
    }
    match script {
        Script::Close => return "closed by itself",
        Script::Reset => {
            let _ = SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
            return "reset by itself";
        }
        Script::Talk | Script::ListenAndTalk | Script::SendAndEnd | Script::Listen => {}
    }
    let _ = socket.write_all(b" again");
    if let Some(end @ ("ended" | "reset")) = read(socket, got.len() + 6, got) {
        return end;
    }
    // A tick that a case waits for comes before the end.
    std::thread::sleep(TICK_WITHIN);
    let _ = socket.shutdown(Shutdown::Write);
    read(socket, usize::MAX, got).unwrap_or("enough")
}

/// Reads until there is so much altogether; otherwise why not.
fn read(socket: &mut TcpStream, until: usize, got: &mut Vec<u8>) -> Option<&'static str> {
    let mut buffer = [0; 4096];
    while got.len() < until {
        match socket.read(&mut buffer) {
            Ok(0) => return Some("ended"),
            Ok(read) => got.extend(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Some("nothing more in time");
            }
            Err(_) => return Some("reset"),
        }
    }
    None
}
