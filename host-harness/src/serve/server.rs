//! Starting, running and stopping the proxy's threads.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access_log::AccessLog;
use super::admin::{self, Health, Pages};
use super::callouts::{Answers, Callouts};
use super::counters::Counters;
use super::options::{Protocol, ServeOptions};
use super::pool::Pool;
use super::proxy::{Client, Proxy};
use super::tcp::{TcpCounters, TcpProxy};
use super::traffic::Traffic;
use super::trailers::Outgoing;
use crate::{Cluster, ConnectionState, Role, Shared, SharedOptions, StartError, Worker};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// The longest that a thread sleeps: it shows that it is alive, and sees tick periods that were set meanwhile.
const BEAT: Duration = Duration::from_millis(500);
/// How long root contexts that answered false to `proxy_on_done` may go on.
const ROOTS_END_WITHIN: Duration = Duration::from_secs(2);

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The access log could not be opened.
    #[error("cannot open the access log {}: {error}", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A thread or its event loop could not be made.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The module did not start.
    #[error(transparent)]
    Module(#[from] StartError),
}

/// A proxy that is serving. Dropping it stops it at once; `shutdown` lets requests in flight finish.
#[derive(Debug)]
pub struct RunningServer {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the admin pages are.
    pub admin: SocketAddr,
    shared: Arc<Shared>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

/// How threads are told to end.
#[derive(Debug, Clone, Default)]
struct Stop {
    /// Accept nothing more, let requests finish, end the workers.
    drain: CancellationToken,
    /// End now.
    kill: CancellationToken,
    /// The workers have ended: the main thread may, too.
    workers_ended: CancellationToken,
}

impl RunningServer {
    /// The state that all threads share: stats, shared data, the module's log.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stops accepting, lets requests in flight finish within the drain time, ends every root context so that the
    /// module hands over what it still holds, and returns when all threads have ended.
    pub async fn shutdown(mut self) {
        self.stop.drain.cancel();
        let mut threads = std::mem::take(&mut self.threads);
        let main = threads.pop();
        join(threads).await;
        self.stop.workers_ended.cancel();
        join(main.into_iter().collect()).await;
    }
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let joining = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
    let _ = joining.await;
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop.drain.cancel();
        self.stop.kill.cancel();
        self.stop.workers_ended.cancel();
    }
}

type Handover = mpsc::UnboundedSender<(std::net::TcpStream, SocketAddr)>;
type Accepted = mpsc::UnboundedReceiver<(std::net::TcpStream, SocketAddr)>;
type Ready = oneshot::Sender<Result<(), ServeError>>;

/// What every thread gets.
#[derive(Clone)]
struct Common {
    options: Arc<ServeOptions>,
    shared: Arc<Shared>,
    health: Arc<Health>,
    stop: Stop,
}

/// Starts a proxy and returns when every thread serves.
///
/// # Errors
/// When an address is taken, the access log cannot be opened, or the module refuses its configuration.
pub async fn start(options: ServeOptions) -> Result<RunningServer, ServeError> {
    let ingress = listen(options.listen)?;
    let pages = listen(options.admin)?;
    let address = |listener: &std::net::TcpListener, address| {
        listener.local_addr().map_err(|error| ServeError::Listen { address, error })
    };
    let (listen_address, admin_address) = (address(&ingress, options.listen)?, address(&pages, options.admin)?);
    let log = match &options.access_log {
        Some(path) => Some(AccessLog::open(path).map_err(|error| ServeError::AccessLog { path: path.clone(), error })?),
        None => None,
    };
    let workers = u32::try_from(options.workers.clamp(1, 1024)).unwrap_or(1);
    let clusters = options.clusters.iter();
    let clusters = clusters.map(|(name, endpoint)| Cluster { name: name.clone(), has_endpoint: endpoint.is_some() });
    let shared = Shared::new(SharedOptions {
        seed: options.seed,
        conformance: options.conformance,
        log: options.log.clone(),
        clusters: clusters.collect(),
        xds: options.xds.clone(),
        ..SharedOptions::default()
    });
    let common =
        Common { options: Arc::new(options), shared, health: Arc::new(Health::new(workers)), stop: Stop::default() };

    let mut handovers = Vec::new();
    let mut running = RunningServer {
        listen: listen_address,
        admin: admin_address,
        shared: Arc::clone(&common.shared),
        stop: common.stop.clone(),
        threads: Vec::new(),
    };
    // As in Envoy, the main thread's VM comes first: a configuration that is refused is refused once.
    let (main_ready, main_started) = oneshot::channel();
    let (begin, begun) = oneshot::channel();
    let main = {
        let common = common.clone();
        spawn("main", main_ready, move |ready| common.run_main(ready, begun, ingress, pages))?
    };
    running.threads.push(main);
    main_started.await.unwrap_or(Err(ended()))?;
    for number in 0..workers {
        let (ready, started) = oneshot::channel();
        let (handover, accepted) = mpsc::unbounded_channel();
        handovers.push(handover);
        let (common, log) = (common.clone(), log.clone());
        let run = move |ready| common.run_worker(number, ready, accepted, log);
        let worker = spawn(&format!("worker-{number}"), ready, run)?;
        // The main thread stays last: it ends after the workers.
        running.threads.insert(0, worker);
        started.await.unwrap_or(Err(ended()))?;
    }
    let _ = begin.send(handovers);
    Ok(running)
}

fn ended() -> ServeError {
    ServeError::Thread(std::io::Error::other("it ended at once"))
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServeError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(std::net::TcpListener::from(socket))
    };
    bind().map_err(|error| ServeError::Listen { address, error })
}

fn spawn(name: &str, ready: Ready, run: impl FnOnce(Ready) + Send + 'static) -> Result<JoinHandle<()>, ServeError> {
    std::thread::Builder::new().name(format!("harness-{name}")).spawn(move || run(ready)).map_err(ServeError::Thread)
}

/// A single-threaded event loop that runs `task`, and drops what is left when that ends.
fn run_loop<F: Future<Output = ()>>(ready: Ready, task: impl FnOnce(Ready) -> F) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => LocalSet::new().block_on(&runtime, task(ready)),
        Err(error) => drop(ready.send(Err(ServeError::Thread(error)))),
    }
}

impl Common {
    /// The main thread: a VM that only ticks, the listener, the admin pages.
    fn run_main(
        self,
        ready: Ready,
        begun: oneshot::Receiver<Vec<Handover>>,
        ingress: std::net::TcpListener,
        pages: std::net::TcpListener,
    ) {
        run_loop(ready, |ready| async move {
            let started = || -> Result<_, ServeError> {
                let options = &self.options;
                let adopt = |listener, address| {
                    TcpListener::from_std(listener).map_err(|error| ServeError::Listen { address, error })
                };
                let (ingress, pages) = (adopt(ingress, options.listen)?, adopt(pages, options.admin)?);
                let vm = Worker::start(&options.module, &options.plugin, &self.shared, Role::Main)?;
                Ok((vm, ingress, pages))
            };
            let (vm, ingress, listener) = match started() {
                Ok(started) => started,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(()));
            let pages = Pages {
                shared: Arc::clone(&self.shared),
                config: self.options.stats_config.clone(),
                health: Arc::clone(&self.health),
            };
            let vm = RefCell::new(vm);
            let (callouts, mut answers) = self.callouts();
            let after = || callouts.carry_out(&mut vm.borrow_mut());
            let admin = tokio::task::spawn_local(admin::serve(listener, pages, self.stop.workers_ended.clone()));
            if let Ok(handovers) = begun.await {
                tokio::select! {
                    () = accept(ingress, &handovers) => {}
                    () = self.run_roots(Role::Main, &vm, &mut answers, after) => {}
                    () = self.stop.drain.cancelled() => {}
                }
                self.health.drain();
                drop(handovers);
                tokio::select! {
                    () = self.run_roots(Role::Main, &vm, &mut answers, after) => {}
                    () = self.stop.workers_ended.cancelled() => {}
                }
            }
            end_roots(&vm, &mut answers, after).await;
            let _ = admin.await;
        });
    }

    /// A worker thread: a VM, the connections handed to it, and what belongs to them.
    fn run_worker(self, number: u32, ready: Ready, mut accepted: Accepted, log: Option<AccessLog>) {
        run_loop(ready, |ready| async move {
            let role = Role::Worker(number);
            let vm = match Worker::start(&self.options.module, &self.options.plugin, &self.shared, role) {
                Ok(vm) => vm,
                Err(error) => return drop(ready.send(Err(error.into()))),
            };
            let (callouts, mut answers) = self.callouts();
            let traffic = self.traffic(vm, callouts, log);
            let _ = ready.send(Ok(()));
            let serve = async {
                // Connections have numbers of their own on each worker: the worker is in the upper half.
                let mut id = u64::from(number) << 32;
                while let Some((socket, peer)) = accepted.recv().await {
                    id += 1;
                    let Ok(socket) = TcpStream::from_std(socket) else { continue };
                    let _ = socket.set_nodelay(true);
                    let client = Client {
                        id,
                        peer,
                        local: socket.local_addr().ok(),
                        open: Cell::new(0),
                        state: ConnectionState::default(),
                        trailers: Outgoing::default(),
                    };
                    traffic.serve(socket, client);
                }
                // The main thread accepts no more.
                traffic.tasks().close();
                let drained = tokio::time::timeout(self.options.drain_timeout, traffic.tasks().wait());
                if drained.await.is_err() {
                    traffic.kill().cancel();
                    traffic.tasks().wait().await;
                }
            };
            tokio::select! {
                () = serve => {}
                () = self.run_roots(role, traffic.vm(), &mut answers, || traffic.route_events()) => {}
            }
            traffic.close();
            end_roots(traffic.vm(), &mut answers, || traffic.route_events()).await;
        });
    }

    /// What a worker does with connections.
    fn traffic(&self, vm: Worker, callouts: Callouts, log: Option<AccessLog>) -> Traffic {
        let options = &self.options;
        let kill = self.stop.kill.child_token();
        match options.protocol {
            Protocol::Http => Traffic::Http(Rc::new(Proxy {
                vm: RefCell::new(vm),
                counters: Counters::new(self.shared.stats(), &options.stat_prefix),
                log,
                pool: Pool::new(options.upstream.clone(), options.connect_timeout),
                callouts,
                options: Arc::clone(options),
                streams: RefCell::default(),
                tasks: TaskTracker::new(),
                drain: self.stop.drain.clone(),
                kill,
            })),
            Protocol::Tcp => Traffic::Tcp(Rc::new(TcpProxy {
                vm: RefCell::new(vm),
                counters: TcpCounters::new(self.shared.stats(), &options.stat_prefix),
                log,
                callouts,
                options: Arc::clone(options),
                connections: RefCell::default(),
                tasks: TaskTracker::new(),
                kill,
            })),
        }
    }

    /// For one thread.
    fn callouts(&self) -> (Callouts, Answers) {
        Callouts::new(&self.options.clusters, self.options.connect_timeout)
    }

    /// Tells a VM's root contexts, for ever, of what concerns them: ticks, answers to callouts, items in queues.
    async fn run_roots(&self, role: Role, vm: &RefCell<Worker>, answers: &mut Answers, after: impl Fn()) {
        let ready = self.shared.queues.signal(role);
        loop {
            // Also what was asked for before: when the module started, in streams' callbacks.
            after();
            let (due, failed) = {
                let vm = vm.borrow();
                (vm.next_tick_ns(), vm.failed().is_some())
            };
            self.health.beat(role, failed);
            let now = self.shared.clock().now_ns();
            let wait = due.map_or(BEAT, |due| Duration::from_nanos(due.saturating_sub(now)).min(BEAT));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ready.notified() => {
                    vm.borrow_mut().run_ready_queues();
                }
                Some(answer) = answers.recv() => answer.tell(&mut vm.borrow_mut()),
            }
            vm.borrow_mut().run_due_ticks();
        }
    }
}

/// Hands connections to the workers in turn, so that each has as many as the next.
async fn accept(listener: TcpListener, handovers: &[Handover]) {
    let mut next = handovers.iter().cycle();
    loop {
        let Ok((socket, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely; some will come back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if let (Some(worker), Ok(socket)) = (next.next(), socket.into_std()) {
            let _ = worker.send((socket, peer));
        }
    }
}

/// Ends the root contexts. Those that ask for time go on for a while, with ticks, answers and queues.
async fn end_roots(vm: &RefCell<Worker>, answers: &mut Answers, after: impl Fn()) {
    let deadline = tokio::time::Instant::now() + ROOTS_END_WITHIN;
    loop {
        let ended = vm.borrow_mut().shutdown();
        after();
        if ended || tokio::time::Instant::now() >= deadline {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
            Some(answer) = answers.recv() => answer.tell(&mut vm.borrow_mut()),
        }
        let mut vm = vm.borrow_mut();
        vm.run_ready_queues();
        vm.run_due_ticks();
    }
}
