//! The TCP proxy over real sockets: bytes arrive whole and in order, nothing grows without bound, and each connection ends once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use host_harness::serve::{Protocol, RunningServer, ServeOptions, start};
use host_harness::stats_config::StatsConfig;
use host_harness::{FailurePolicy, Module, PluginConfig, exposition};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running proxy and what it needs.
struct Site {
    server: RunningServer,
    log: tempfile::NamedTempFile,
    _upstream: Upstream,
}

/// Ends the server when dropped.
struct Upstream(JoinHandle<()>);

impl Drop for Upstream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the server does with each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    /// Sends back what comes, and ends when the client does.
    Echo,
    /// Reads nothing until a second has passed, then counts to the end and answers with the count.
    Slow,
    /// Sends for ever.
    Flood,
    /// Reads for ever.
    Silent,
}

async fn serve(mut socket: TcpStream, behaviour: Behaviour) {
    let mut buffer = vec![0; 64 << 10];
    match behaviour {
        Behaviour::Echo => {
            let (mut read, mut write) = socket.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        }
        Behaviour::Slow => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (mut count, mut sum) = (0_u64, 0_u64);
            while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                sum = buffer[..read]
                    .iter()
                    .zip(count..)
                    .fold(sum, |sum, (byte, at)| sum.wrapping_add(u64::from(*byte).wrapping_mul(at)));
                count += read as u64;
            }
            let _ = socket.write_all(format!("{count} {sum}").as_bytes()).await;
        }
        Behaviour::Flood => while socket.write_all(&buffer).await.is_ok() {},
        Behaviour::Silent => while let Ok(1..) = socket.read(&mut buffer).await {},
    }
}

/// A proxy before a server. The module gets a configuration of this length, which says what it does.
async fn site(behaviour: Behaviour, mode: usize, change: impl FnOnce(&mut ServeOptions)) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket, behaviour));
        }
    });
    let module = Module::from_bytes(include_bytes!("serve/connections.wat").as_slice()).unwrap();
    let plugin = PluginConfig { configuration: vec![b'x'; mode], ..PluginConfig::default() };
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut options = ServeOptions::new(module, plugin, address.into());
    options.protocol = Protocol::Tcp;
    options.access_log = Some(log.path().to_owned());
    change(&mut options);
    Site { server: start(options).await.unwrap(), log, _upstream: Upstream(upstream) }
}

impl Site {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.listen).await.unwrap()
    }

    fn counter(&self, name: &str) -> u64 {
        self.server.shared().stats().counter(name).value()
    }

    fn active(&self) -> u64 {
        self.server.shared().stats().gauge("listener.ingress.downstream_cx_active").value()
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until so many connections have ended, and checks that proxy, module and access log agree on them.
    async fn ended(&self, connections: u64) {
        until(|| self.counter("listener.ingress.downstream_cx_destroy") >= connections).await;
        assert_eq!(self.counter("tcp.ingress.downstream_cx_total"), connections);
        assert_eq!(self.counter("listener.ingress.downstream_cx_destroy"), connections);
        assert_eq!(self.counter("wasmcustom.begun"), connections);
        assert_eq!(self.counter("wasmcustom.logged"), connections);
        assert_eq!(self.active(), 0);
        let lines = self.lines();
        assert_eq!(lines.len() as u64, connections);
        assert!(lines.iter().all(|line| line["seen"] == "yes" && line["protocol"] == "TCP"), "{lines:?}");
    }
}

/// Polls until `true`, for at most twenty seconds.
async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What comes until the other side ends, or breaks the connection off.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// Writes as much as is taken, until nothing was for a while; says how much that is.
async fn flood(socket: &mut TcpStream) -> usize {
    let piece = vec![b'x'; 64 << 10];
    let mut written = 0;
    while let Ok(Ok(more)) = tokio::time::timeout(Duration::from_millis(500), socket.write(&piece)).await {
        written += more;
        assert!(written < 64 << 20, "there is no end");
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    let site = site(Behaviour::Echo, 0, |_| {}).await;
    let mut socket = site.connect().await;
    let mut echo = [0; 5];
    for _ in 0..3 {
        socket.write_all(b"hello").await.unwrap();
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"hello");
    }
    socket.write_all(b"last").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(rest(&mut socket).await, b"last");
    site.ended(1).await;
    for direction in ["rx", "tx"] {
        assert_eq!(site.counter(&format!("tcp.ingress.downstream_cx_{direction}_bytes_total")), 19);
    }
    let line = &site.lines()[0];
    assert_eq!((line["bytes_received"].as_u64(), line["bytes_sent"].as_u64()), (Some(19), Some(19)));
    assert_eq!(line["flags"], "-");
    assert_eq!(site.counter("cluster.upstream.upstream_cx_total"), 1);
    let page = exposition::prometheus(site.server.shared().stats(), &StatsConfig::default());
    for line in [
        r#"envoy_tcp_downstream_cx_rx_bytes_total{envoy_tcp_prefix="ingress"} 19"#,
        r#"envoy_listener_downstream_cx_total{envoy_listener_address="ingress"} 1"#,
        r#"envoy_cluster_upstream_cx_total{envoy_cluster_name="upstream"} 1"#,
    ] {
        assert!(page.lines().any(|known| known == line), "{line} is not in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_slows_the_client_down_and_loses_nothing() {
    const SIZE: usize = 24 << 20;
    let site = site(Behaviour::Slow, 0, |_| {}).await;
    let mut socket = site.connect().await;
    let (mut read, mut write) = socket.split();
    let bytes: Vec<u8> = (0..=250).cycle().take(SIZE).collect();
    let sum =
        bytes.iter().zip(0_u64..).fold(0_u64, |sum, (byte, at)| sum.wrapping_add(u64::from(*byte).wrapping_mul(at)));
    let sending = async {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut answer = String::new();
    let (_, read) = tokio::join!(sending, read.read_to_string(&mut answer));
    read.unwrap();
    assert_eq!(answer, format!("{SIZE} {sum}"));
    site.ended(1).await;
    assert!(site.counter("tcp.ingress.downstream_flow_control_paused_reading_total") > 0);
    let resumed = site.counter("tcp.ingress.downstream_flow_control_resumed_reading_total");
    assert_eq!(resumed, site.counter("tcp.ingress.downstream_flow_control_paused_reading_total"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_into_held_data_stops() {
    let site = site(Behaviour::Echo, 2, |_| {}).await;
    let mut socket = site.connect().await;
    flood(&mut socket).await;
    assert!(site.counter("tcp.ingress.downstream_cx_rx_bytes_total") <= 3 << 20);
    drop(socket);
    // Nobody reads what the client leaves behind: only the server can end this, or time.
    assert_eq!(site.active(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_the_server_stops_too() {
    for mode in [0, 4] {
        let site = site(Behaviour::Flood, mode, |_| {}).await;
        let mut socket = site.connect().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let sent = site.counter("tcp.ingress.downstream_cx_tx_bytes_total");
        assert!(sent < 16 << 20, "{sent} bytes to a client that reads nothing");
        if mode == 0 {
            let mut buffer = vec![0; 1 << 20];
            socket.read_exact(&mut buffer).await.unwrap();
            SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
            drop(socket);
            site.ended(1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_lets_held_data_go() {
    let site = site(Behaviour::Echo, 1, |_| {}).await;
    let mut socket = site.connect().await;
    socket.write_all(b"hello").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(rest(&mut socket).await, b"hello");
    site.ended(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed() {
    let site = site(Behaviour::Silent, 0, |options| options.idle_timeout = Duration::from_millis(200)).await;
    let mut socket = site.connect().await;
    socket.write_all(b"hello").await.unwrap();
    assert_eq!(rest(&mut socket).await, b"");
    site.ended(1).await;
    assert_eq!(site.counter("tcp.ingress.idle_timeout"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_the_client_is_closed() {
    let refused = tokio::net::TcpSocket::new_v4().unwrap();
    refused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody: SocketAddr = refused.local_addr().unwrap();
    let site = site(Behaviour::Echo, 0, |options| options.upstream = nobody.into()).await;
    let mut socket = site.connect().await;
    assert_eq!(rest(&mut socket).await, b"");
    site.ended(1).await;
    assert_eq!(site.counter("cluster.upstream.upstream_cx_connect_fail"), 1);
    assert_eq!(site.lines()[0]["flags"], "UF,URX");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_mean_harm_leave_nothing_behind() {
    let site = site(Behaviour::Echo, 0, |options| options.workers = 3).await;
    for number in 0..150_u64 {
        let mut socket = site.connect().await;
        match number % 5 {
            // Leaves at once, leaves with data unread, breaks off, breaks off with data on its way, ends and leaves.
            0 => {}
            1 => socket.write_all(&[0xff; 10_000]).await.unwrap(),
            2 => SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap(),
            3 => {
                socket.write_all(&[0; 100_000]).await.unwrap();
                SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
            }
            _ => {
                socket.write_all(b"x").await.unwrap();
                socket.shutdown().await.unwrap();
            }
        }
    }
    site.ended(150).await;
    until(|| site.server.shared().stats().gauge("cluster.upstream.upstream_cx_active").value() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_closes_connections_or_lets_them_by() {
    let closed = site(Behaviour::Echo, 3, |options| options.workers = 1).await;
    for _ in 0..3 {
        let mut socket = closed.connect().await;
        let _ = socket.write_all(b"hello").await;
        assert_eq!(rest(&mut socket).await, b"");
    }
    let fail_open = |options: &mut ServeOptions| {
        options.workers = 1;
        options.plugin.failure_policy = FailurePolicy::FailOpen;
    };
    let open = site(Behaviour::Echo, 3, fail_open).await;
    for wanted in [&b""[..], b"hello", b"hello"] {
        let mut socket = open.connect().await;
        let _ = socket.write_all(b"hello").await;
        let _ = socket.shutdown().await;
        assert_eq!(rest(&mut socket).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_connections_and_then_ends_them() {
    let site = site(Behaviour::Echo, 0, |options| options.drain_timeout = Duration::from_millis(600)).await;
    let (mut finishes, mut stays) = (site.connect().await, site.connect().await);
    for socket in [&mut finishes, &mut stays] {
        socket.write_all(b"hello").await.unwrap();
        let mut echo = [0; 5];
        socket.read_exact(&mut echo).await.unwrap();
    }
    let Site { server, log, _upstream } = site;
    let (shared, address) = (server.shared().clone(), server.listen);
    let began = Instant::now();
    let stopping = tokio::spawn(server.shutdown());
    tokio::time::sleep(Duration::from_millis(100)).await;
    finishes.write_all(b" again").await.unwrap();
    finishes.shutdown().await.unwrap();
    assert_eq!(rest(&mut finishes).await, b" again");
    assert_eq!(rest(&mut stays).await, b"");
    stopping.await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert!(TcpStream::connect(address).await.is_err(), "it accepts nothing more");
    assert_eq!(shared.stats().counter("wasmcustom.logged").value(), 2);
    assert_eq!(shared.stats().gauge("listener.ingress.downstream_cx_active").value(), 0);
    assert_eq!(std::fs::read_to_string(log.path()).unwrap().lines().count(), 2);
}
