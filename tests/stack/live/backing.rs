//! What stands behind the API: PostgreSQL, Redis and a Celery worker, each with its real exporter, on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use edge_observer::client;
use edge_observer::stack::Program;
use edge_observer::tools::{skip_test, target_dir};

const START: Duration = Duration::from_secs(60);

/// Connections that PostgreSQL takes; 3 of them are for superusers.
const CONNECTIONS: u32 = 20;

/// What Redis may hold.
const REDIS_BYTES: u64 = 16 << 20;

/// A port of loopback that nothing listens on.
pub(super) fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A program on the path.
fn find(name: &str, package: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip_test(&format_args!("{name} is not on this machine; `cargo xtask test` installs the package {package}"));
    }
    found
}

/// The executables.
#[derive(Debug)]
pub(super) struct Binaries {
    postgres: PathBuf,
    postgres_exporter: PathBuf,
    redis: PathBuf,
    redis_exporter: PathBuf,
    /// Celery and its exporter, as Python packages.
    celery: PathBuf,
}

impl Binaries {
    /// All of them, or a word of what is missing.
    pub(super) fn find() -> Option<Self> {
        // Debian has a version of PostgreSQL in a folder of its own.
        let postgres = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .map(|version| version.unwrap().path().join("bin"))
            .find(|folder| folder.join("postgres").is_file());
        let celery = target_dir().join("edge-observer/tools/celery");
        if postgres.is_none() || !celery.is_dir() {
            skip_test(&"PostgreSQL or Celery is not on this machine; `cargo xtask test` installs them");
            return None;
        }
        Some(Self {
            postgres: postgres?,
            postgres_exporter: find("prometheus-postgres-exporter", "prometheus-postgres-exporter")?,
            redis: find("redis-server", "redis-server")?,
            redis_exporter: find("prometheus-redis-exporter", "prometheus-redis-exporter")?,
            celery,
        })
    }
}

/// All that runs.
#[derive(Debug)]
pub(super) struct Backing {
    binaries: Binaries,
    folder: PathBuf,
    postgres_at: SocketAddr,
    redis_at: SocketAddr,
    broker_at: SocketAddr,
    postgres: Option<Program>,
    redis: Option<Program>,
    worker: Option<Program>,
    redis_exporter: Option<Program>,
    /// What is not stopped before the end.
    _others: Vec<Program>,
    /// Where each exporter is, by its job.
    pub(super) exporters: [(&'static str, SocketAddr); 3],
}

impl Backing {
    /// Starts all of it, with its files in `folder`.
    pub(super) async fn start(binaries: Binaries, folder: &Path) -> Self {
        // PostgreSQL does not run as root, and its own user has to get through.
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let [postgres_exporter, redis_exporter, celery_exporter] = [free(), free(), free()];
        let mut backing = Self {
            binaries,
            folder: folder.to_owned(),
            postgres_at: free(),
            redis_at: free(),
            broker_at: free(),
            postgres: None,
            redis: None,
            worker: None,
            redis_exporter: None,
            _others: Vec::new(),
            exporters: [("postgres", postgres_exporter), ("redis", redis_exporter), ("celery", celery_exporter)],
        };
        // The workers' broker is not the Redis that is stopped and filled.
        let broker = backing.redis_server(backing.broker_at, "broker").await;
        backing.start_redis().await;
        backing.start_redis_exporter().await;
        backing.start_postgres().await;
        backing.start_worker().await;
        let mut command = Command::new(&backing.binaries.postgres_exporter);
        command
            .arg(format!("--web.listen-address={postgres_exporter}"))
            .env("DATA_SOURCE_NAME", format!("postgresql://postgres@{}/postgres?sslmode=disable", backing.postgres_at));
        let postgres_exporter = backing.exporter("postgres-exporter", &command, postgres_exporter).await;
        let mut command = Command::new("python3");
        command
            .args(["-c", "from src.cli import cli; cli()"])
            .args(["--broker-url", &backing.broker()])
            .args(["--host", "127.0.0.1", "--port", &celery_exporter.port().to_string()])
            .args(["--worker-timeout", "5"])
            .env("PYTHONPATH", &backing.binaries.celery);
        let celery_exporter = backing.exporter("celery-exporter", &command, celery_exporter).await;
        backing._others = vec![broker, postgres_exporter, celery_exporter];
        backing
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn broker(&self) -> String {
        format!("redis://{}/0", self.broker_at)
    }

    async fn exporter(&self, name: &str, command: &Command, address: SocketAddr) -> Program {
        let mut program = Program::start(name, command, &self.log(name)).unwrap();
        let ready = async || client::get(address, "/metrics").await.is_ok_and(|answer| answer.status == 200);
        program.until(START, ready).await.unwrap();
        program
    }

    async fn redis_server(&self, address: SocketAddr, name: &str) -> Program {
        let mut command = Command::new(&self.binaries.redis);
        command
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--maxmemory", &REDIS_BYTES.to_string(), "--maxmemory-policy", "noeviction"])
            .current_dir(&self.folder);
        let mut program = Program::start(name, &command, &self.log(name)).unwrap();
        program.until(START, async || self.redis(address, &["ping"]).stdout.starts_with(b"PONG")).await.unwrap();
        program
    }

    fn redis(&self, address: SocketAddr, arguments: &[&str]) -> Output {
        Command::new("redis-cli").args(["-p", &address.port().to_string()]).args(arguments).output().unwrap()
    }

    /// Starts Redis, empty.
    pub(super) async fn start_redis(&mut self) {
        self.redis = Some(self.redis_server(self.redis_at, "redis").await);
    }

    /// Stops Redis.
    pub(super) async fn stop_redis(&mut self) {
        self.redis.take().unwrap().stop().await.unwrap();
    }

    /// Starts its exporter.
    pub(super) async fn start_redis_exporter(&mut self) {
        let address = self.exporters[1].1;
        let mut command = Command::new(&self.binaries.redis_exporter);
        command.arg(format!("-web.listen-address={address}")).env("REDIS_ADDR", format!("redis://{}", self.redis_at));
        self.redis_exporter = Some(self.exporter("redis-exporter", &command, address).await);
    }

    /// Stops its exporter.
    pub(super) async fn stop_redis_exporter(&mut self) {
        self.redis_exporter.take().unwrap().stop().await.unwrap();
    }

    /// Uses nine tenths of what Redis may hold.
    pub(super) fn fill_redis(&self) {
        let kilobytes = (REDIS_BYTES * 9 / 10 - (2 << 20)) >> 10;
        let script = format!("for i=1,{kilobytes} do redis.call('SET', 'fill' .. i, string.rep('x', 900)) end");
        let output = self.redis(self.redis_at, &["eval", &script, "0"]);
        assert!(output.stderr.is_empty(), "{output:?}");
    }

    /// And gives it back.
    pub(super) fn empty_redis(&self) {
        self.redis(self.redis_at, &["flushall"]);
    }

    /// Starts PostgreSQL; the first time with a new database.
    pub(super) async fn start_postgres(&mut self) {
        let data = self.folder.join("postgres");
        let root = Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
        let as_user = if root { "runuser -u postgres --" } else { "" };
        // It detaches itself, so the shell that started it waits to end it.
        let script = format!(
            r#"set -e
            if [ ! -d "$DATA" ]; then
              {} "$DATA"
              {as_user} "$BIN/initdb" -A trust -U postgres -D "$DATA" >/dev/null
            fi
            {as_user} "$BIN/pg_ctl" start -w -D "$DATA" -l "$DATA/log" -o "-h 127.0.0.1 -p $PORT -k $DATA -c max_connections={CONNECTIONS} -c fsync=off -c client_connection_check_interval=500"
            trap '{as_user} "$BIN/pg_ctl" stop -m immediate -D "$DATA"; exit 0' TERM INT
            while :; do sleep 1 & wait $!; done"#,
            if root { "install -d -o postgres -m 700" } else { "mkdir -m 700" },
        );
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .env("DATA", data)
            .env("BIN", &self.binaries.postgres)
            .env("PORT", self.postgres_at.port().to_string())
            .current_dir("/");
        let mut program = Program::start("postgres", &command, &self.log("postgres")).unwrap();
        let ready = async || {
            let (host, port) = (self.postgres_at.ip().to_string(), self.postgres_at.port().to_string());
            let mut asks = Command::new(self.binaries.postgres.join("pg_isready"));
            asks.args(["-h", &host, "-p", &port]).output().unwrap().status.success()
        };
        program.until(START, ready).await.unwrap();
        self.postgres = Some(program);
    }

    /// Stops PostgreSQL.
    pub(super) async fn stop_postgres(&mut self) {
        self.postgres.take().unwrap().stop().await.unwrap();
    }

    /// Holds 15 of the 17 connections that are not for superusers, until what it returns is stopped.
    pub(super) fn hold_connections(&self) -> Program {
        let script = r#"for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
              "$BIN/psql" -q -h 127.0.0.1 -p "$PORT" -U postgres -c 'select pg_sleep(600)' >/dev/null 2>&1 & held="$held $!"
            done
            trap 'kill $held; exit 0' TERM
            while :; do sleep 1 & wait $!; done"#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env("BIN", &self.binaries.postgres)
            .env("PORT", self.postgres_at.port().to_string());
        Program::start("connections", &command, &self.log("connections")).unwrap()
    }

    fn python(&self) -> Command {
        let mut command = Command::new("python3");
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/stack/celery");
        let path = std::env::join_paths([self.binaries.celery.as_path(), Path::new(own)]).unwrap();
        command
            .env("PYTHONPATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BROKER", self.broker())
            .current_dir(&self.folder);
        command
    }

    /// Starts the Celery worker.
    pub(super) async fn start_worker(&mut self) {
        let mut command = self.python();
        command.args([
            "-m",
            "celery",
            "-A",
            "sample",
            "worker",
            "-l",
            "INFO",
            "-P",
            "solo",
            "-E",
            "-n",
            "worker@control-plane",
        ]);
        let mut program = Program::start("worker", &command, &self.log("worker")).unwrap();
        let log = self.log("worker");
        program.until(START, async || std::fs::read_to_string(&log).unwrap().contains(" ready.")).await.unwrap();
        self.worker = Some(program);
    }

    /// Stops the worker.
    pub(super) async fn stop_worker(&mut self) {
        self.worker.take().unwrap().stop().await.unwrap();
    }

    /// Gives the worker something to do.
    pub(super) fn send_tasks(&self) {
        let output = self.python().args(["-c", "import sample\nfor i in range(20): sample.deploy.delay(i)"]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
