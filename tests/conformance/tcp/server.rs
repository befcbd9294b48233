//! The server behind the TCP proxy: what it does is said before each connection.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpSocket;

use super::cases::Group;
use super::client::MORE;
use crate::conformance::http1::quoted;

/// What the server does with a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Script {
    /// Sends back what comes, and ends when the client does.
    #[default]
    Echo,
    /// Speaks first, then echoes.
    Greet,
    /// Answers the first that comes, and ends its direction; reads on.
    AnswerAndEnd,
    /// Answers the first that comes, and closes.
    AnswerAndClose,
    /// Breaks the connection off after the first that comes.
    Reset,
    /// Reads to the end, then answers and closes.
    AnswerAtEnd,
}

/// What is told of one connection.
#[derive(Debug, Default)]
struct Told {
    got: Vec<u8>,
    end: Option<&'static str>,
}

/// A running server. Its thread waits for connections until the process ends.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it is.
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Bound and never listening, so that every connection is refused.
    _refused: Option<TcpSocket>,
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    told: Vec<Arc<Mutex<Told>>>,
}

impl Server {
    /// Starts it on a free loopback port.
    pub(crate) fn start(group: &Group) -> Self {
        let state = Arc::<Mutex<State>>::default();
        if group.refused {
            let refused = TcpSocket::new_v4().unwrap();
            refused.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            return Self { address: refused.local_addr().unwrap(), state, _refused: Some(refused) };
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        {
            let state = state.clone();
            std::thread::spawn(move || {
                for socket in listener.incoming() {
                    let Ok(socket) = socket else { return };
                    let told = Arc::<Mutex<Told>>::default();
                    let mut state = state.lock().unwrap();
                    state.told.push(told.clone());
                    let script = state.script;
                    drop(state);
                    std::thread::spawn(move || serve(socket, script, &told));
                }
            });
        }
        Self { address, state, _refused: None }
    }

    /// What it does with the connections from now on.
    pub(crate) fn play(&self, script: Script) {
        *self.state.lock().unwrap() = State { script, told: Vec::new() };
    }

    /// What it got since then. A connection that is still open is waited for a while.
    pub(crate) fn told(&self) -> String {
        let told = self.state.lock().unwrap().told.clone();
        let deadline = Instant::now() + Duration::from_millis(300);
        let mut text = String::new();
        for told in &told {
            while told.lock().unwrap().end.is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let told = told.lock().unwrap();
            let _ = write!(
                text,
                "{}got {}, {}",
                if text.is_empty() { "" } else { "; " },
                quoted(&told.got),
                told.end.unwrap_or("open")
            );
        }
        if text.is_empty() { String::from("no connection") } else { text }
    }
}

fn serve(mut socket: TcpStream, script: Script, told: &Mutex<Told>) {
    let _ = socket.set_nodelay(true);
    if script == Script::Greet {
        let _ = socket.write_all(b"welcome");
    }
    let mut buffer = [0; 4096];
    let end = loop {
        let read = match socket.read(&mut buffer) {
            Ok(0) => {
                pause();
                break "ended";
            }
            Ok(read) => read,
            Err(_) => break "reset",
        };
        told.lock().unwrap().got.extend(&buffer[..read]);
        match script {
            Script::Echo | Script::Greet => {
                let _ = socket.write_all(&buffer[..read]);
            }
            Script::AnswerAndEnd => {
                let _ = socket.write_all(b"bye");
                pause();
                let _ = socket.shutdown(Shutdown::Write);
            }
            Script::AnswerAndClose => {
                let _ = socket.write_all(b"bye");
                pause();
                break "closed by itself";
            }
            Script::Reset => {
                let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                break "reset by itself";
            }
            Script::AnswerAtEnd => {}
        }
    };
    if script == Script::AnswerAtEnd && end == "ended" {
        // With the end in one segment, else it is a matter of chance whether the proxy reads both at once.
        let _ = SockRef::from(&socket).send_with_flags(b"answer", MORE);
    }
    drop(socket);
    told.lock().unwrap().end = Some(end);
}

/// Lets the proxy read what was sent before by itself.
fn pause() {
    std::thread::sleep(Duration::from_millis(80));
}
