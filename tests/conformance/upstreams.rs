//! The servers behind the clusters: the same bytes to whichever proxy asks.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::net::TcpSocket;

use super::grpc::{self, Manner};
use super::http1::{Message, Reader, Unlimited, chunked, quoted, shown};

/// What a server does with a request.
type Handler = fn(&mut TcpStream, &Message) -> std::io::Result<()>;

/// The cluster to which requests go.
pub(super) const BACKEND: &str = "backend";

/// What each cluster's server does.
const HANDLERS: [(&str, Handler); 6] = [
    (BACKEND, backend),
    ("answers", answers),
    ("fails503", fails503),
    ("silent", silent),
    ("closes", closes),
    ("big", big),
];

/// Running servers. Their threads wait for connections until the process ends.
#[derive(Debug)]
pub(super) struct Upstreams {
    /// Each cluster's address; `nobody` and `grpc-nobody` have none.
    pub(super) clusters: Vec<(&'static str, Option<SocketAddr>)>,
    /// Where requests go.
    pub(super) backend: SocketAddr,
    /// Bound and never listening, so that every connection is refused.
    _refused: TcpSocket,
}

impl Upstreams {
    /// Starts them on free loopback ports.
    pub(super) fn start() -> Self {
        let mut clusters = vec![("nobody", None)];
        for (name, handler) in HANDLERS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            clusters.push((name, Some(listener.local_addr().unwrap())));
            std::thread::spawn(move || serve(&listener, handler));
        }
        let refused = TcpSocket::new_v4().unwrap();
        refused.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        clusters.push(("refused", Some(refused.local_addr().unwrap())));
        // Spoken to over HTTP/2.
        clusters.extend([
            ("grpc", Some(grpc::start(Manner::Answers))),
            ("grpc-silent", Some(grpc::start(Manner::Silent))),
            ("grpc-closes", Some(grpc::start(Manner::Closes))),
            ("grpc-refused", Some(refused.local_addr().unwrap())),
            ("grpc-nobody", None),
        ]);
        let backend = clusters.iter().find(|(name, _)| *name == BACKEND).unwrap().1.unwrap();
        Self { clusters, backend, _refused: refused }
    }
}

fn serve(listener: &TcpListener, handler: Handler) {
    for socket in listener.incoming() {
        let Ok(mut socket) = socket else { return };
        std::thread::spawn(move || {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            match Reader::new(&socket).message(Unlimited::Head) {
                // Not a request line: the connection ends.
                Ok(message) if message.first.split(' ').count() != 3 => Ok(()),
                Ok(message) => handler(&mut socket, &message),
                Err(_) => Ok(()),
            }
        });
    }
}

/// What an upstream says of its request; sorted, as the order of headers is no matter here.
fn saw(message: &Message) -> String {
    let mut headers = message.headers.clone();
    headers.sort();
    let request = message.first.rsplit_once(' ').map_or("", |(request, _version)| request);
    format!("saw {request} [{}] {} [{}]", shown(&headers), quoted(&message.body), shown(&message.trailers))
}

/// Answers as the path says.
fn answer(socket: &mut TcpStream, message: &Message, status: &str, extra: &str) -> std::io::Result<()> {
    let path = message.second_word().split('?').next().unwrap_or_default();
    let body = saw(message);
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nconnection: close\r\n{extra}");
    match path.rsplit_once('/').map_or("", |(_, last)| last) {
        "empty" => socket.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes()),
        "none" => socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
        "trailers" => {
            let mut data = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
            data.extend(chunked(body.as_bytes(), &[("x-trailer", "last"), ("x-trailer", "very last")]));
            socket.write_all(&data)
        }
        "short" => socket.write_all(format!("{head}content-length: 5\r\n\r\nshort").as_bytes()),
        "broken" => socket.write_all(format!("{head}content-length: 500\r\n\r\nbroken off").as_bytes()),
        "chunks" => {
            let first = format!("{head}transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
            for part in [first.as_str(), "5\r\n-two-\r\n", "5\r\nthree\r\n0\r\n\r\n"] {
                socket.write_all(part.as_bytes())?;
                std::thread::sleep(Duration::from_millis(80));
            }
            Ok(())
        }
        last => {
            if last == "slow" {
                std::thread::sleep(Duration::from_millis(150));
            }
            socket.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
        }
    }
}

fn backend(socket: &mut TcpStream, message: &Message) -> std::io::Result<()> {
    answer(socket, message, "200 OK", "x-backend: yes\r\nx-remove-me: please\r\n")
}

fn answers(socket: &mut TcpStream, message: &Message) -> std::io::Result<()> {
    let extra = "x-answer: yes\r\nX-Twice: 1\r\nX-Twice: 2\r\nx-empty:\r\nx-remove-me: please\r\n";
    answer(socket, message, "200 OK", extra)
}

fn fails503(socket: &mut TcpStream, message: &Message) -> std::io::Result<()> {
    answer(socket, message, "503 Out Of Order", "x-answer: no\r\n")
}

fn silent(socket: &mut TcpStream, _message: &Message) -> std::io::Result<()> {
    socket.read(&mut [0]).map(|_| ())
}

fn closes(_socket: &mut TcpStream, _message: &Message) -> std::io::Result<()> {
    Ok(())
}

fn big(socket: &mut TcpStream, _message: &Message) -> std::io::Result<()> {
    let body = "0123456789".repeat(30_000);
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\nx-answer: big\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all((head + &body).as_bytes())
}
