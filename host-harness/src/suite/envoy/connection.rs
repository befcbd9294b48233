//! TCP connections through Envoy, with the server at the other end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::suite::check::{TalkSeen, fits};
use crate::suite::format::{Closer, Talk, Turn};

/// Between two turns, so that one has come through before the next.
const BETWEEN: Duration = Duration::from_millis(50);
/// How long it may take after the last turn until all is as expected.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long what is as expected is watched for something more.
const QUIET: Duration = Duration::from_millis(100);
/// The most that is kept of what a side gets.
const MOST_BYTES: usize = 64 << 20;

/// What a side is to do.
#[derive(Debug)]
enum Do {
    Send(Vec<u8>),
    End,
    Reset,
}

/// What a side has got.
#[derive(Debug, Default)]
struct Got {
    bytes: Vec<u8>,
    ended: bool,
}

/// One side of a connection; closed when dropped.
#[derive(Debug)]
struct Side {
    does: UnboundedSender<Do>,
    got: Arc<Mutex<Got>>,
    task: JoinHandle<()>,
}

impl Side {
    fn new<F: Future<Output = Option<TcpStream>> + Send + 'static>(socket: F) -> Self {
        let (does, to_do) = mpsc::unbounded_channel();
        let got = Arc::new(Mutex::new(Got::default()));
        let task = tokio::spawn(side(socket, to_do, Arc::clone(&got)));
        Self { does, got, task }
    }

    fn does(&self, what: Do) {
        // A side that has gone does nothing any more.
        let _ = self.does.send(what);
    }

    fn got(&self) -> (Vec<u8>, bool) {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        (got.bytes.clone(), got.ended)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes a connection, takes the turns, and sees what comes of it. With the client's address.
pub(super) async fn talk(
    listen: SocketAddr,
    server: Arc<TcpListener>,
    talk: &Talk,
) -> Result<(SocketAddr, TalkSeen), String> {
    let socket = TcpStream::connect(listen).await.map_err(|error| format!("no connection to Envoy: {error}"))?;
    let address = socket.local_addr().map_err(|error| error.to_string())?;
    let client = Side::new(async { Some(socket) });
    let server = Side::new(async move { Some(server.accept().await.ok()?.0) });
    for turn in &talk.turns {
        match turn {
            Turn::Client(bytes) => client.does(Do::Send(bytes.clone())),
            Turn::ClientEnds => client.does(Do::End),
            Turn::Server(bytes) => server.does(Do::Send(bytes.clone())),
            Turn::ServerEnds => server.does(Do::End),
            Turn::ServerResets => server.does(Do::Reset),
        }
        tokio::time::sleep(BETWEEN).await;
    }
    let ends = |turn| talk.turns.contains(&turn);
    // That the client gets the end of what the server sends does not close its connection, unless both have ended.
    let half = ends(Turn::ServerEnds) && !ends(Turn::ClientEnds);
    let look = || {
        let ((to_server, _), (to_client, ended)) = (server.got(), client.got());
        let closed_by = if ended && !half { Closer::Proxy } else { Closer::Client };
        (to_server, to_client, closed_by)
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let (to_server, to_client, closed_by) = look();
        if fits(&talk.expect, &to_server, &to_client, closed_by) || Instant::now() >= until {
            break;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    tokio::time::sleep(QUIET).await;
    let (to_server, to_client, closed_by) = look();
    let seen =
        TalkSeen { server: to_server, client: to_client, closed_by, held: None, filter_state: Vec::new(), cost: None };
    Ok((address, seen))
}

/// Does what it is told, and reads all the while.
async fn side(socket: impl Future<Output = Option<TcpStream>>, mut to_do: UnboundedReceiver<Do>, got: Arc<Mutex<Got>>) {
    let Some(mut socket) = socket.await else { return };
    // Only time is lost without it.
    let _ = socket.set_nodelay(true);
    let mut buffer = vec![0; 64 << 10];
    let mut reads = true;
    loop {
        tokio::select! {
            read = socket.read(&mut buffer), if reads => {
                let mut got = got.lock().unwrap_or_else(PoisonError::into_inner);
                let piece = read.ok().and_then(|count| buffer.get(..count)).filter(|piece| !piece.is_empty());
                match piece {
                    Some(piece) if got.bytes.len() + piece.len() <= MOST_BYTES => got.bytes.extend_from_slice(piece),
                    _ => {
                        got.ended = true;
                        reads = false;
                    }
                }
            }
            what = to_do.recv() => match what {
                // What cannot be sent is Envoy's doing, and is seen at the other side.
                Some(Do::Send(bytes)) => _ = socket.write_all(&bytes).await,
                Some(Do::End) => _ = socket.shutdown().await,
                Some(Do::Reset) => {
                    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                    return;
                }
                None => return,
            }
        }
    }
}
