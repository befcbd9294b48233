//! Envoy as a process: start, watch, change, stop.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{AccessLog, Delivery, EcdsStats, EnvoyError, EnvoyOptions, Upstream, admin, log, render};

/// Runs Envoy, and kills it as soon as standard input ends: that is when the proxy is dropped, and also when this process dies
/// without dropping anything. Nothing but a shell can promise the latter without `unsafe`. A private run folder goes with it.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
envoy=$!
echo "$envoy" >"$EDGE_OBSERVER_PID_FILE"
(read -r _ <&3; : >"$EDGE_OBSERVER_PID_FILE.killed"; kill -KILL "$envoy") </dev/null >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait "$envoy"
status=$?
kill "$guard" 2>/dev/null
if [ -n "$EDGE_OBSERVER_PRIVATE_FOLDER" ] && [ -e "$EDGE_OBSERVER_PID_FILE.killed" ]; then
  rm -rf -- "$EDGE_OBSERVER_PRIVATE_FOLDER"
fi
exit "$status"
"#;

const POLL: Duration = Duration::from_millis(20);
/// How long Envoy may take to see a renamed file and to load the filter anew.
const UPDATE_LIMIT: Duration = Duration::from_secs(20);
/// How long the upstream may take to take a connection when its addresses are tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long Envoy may take to end after it was asked to.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

/// A running Envoy. Dropping it kills the process and removes a private run folder.
#[derive(Debug)]
pub struct EnvoyProxy {
    options: EnvoyOptions,
    child: Child,
    folder: PathBuf,
    /// Kept for its `Drop`, which must come after the process is gone.
    _private: Option<TempDir>,
    listen: SocketAddr,
    admin: SocketAddr,
    metrics: Option<SocketAddr>,
    version: u64,
    ended: Option<ExitStatus>,
}

impl EnvoyProxy {
    /// Renders the shipped files for these options, starts Envoy and waits until it serves with the filter in place.
    pub async fn start(mut options: EnvoyOptions) -> Result<Self, EnvoyError> {
        options.prefer_ipv6 |= answers_on_ipv6_alone(&options.upstream).await;
        if options.metrics.is_some() && options.admin.port() == 0 {
            // The listener's cluster has to name the port before Envoy could pick one.
            options.admin = free_port(options.admin).map_err(EnvoyError::io("looking for a free port"))?;
        }
        let (folder, private) = run_folder(&options)?;
        write_files(&options, &folder)?;
        let child = spawn(&options, &folder)?;
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        // From here on an early return drops the proxy, which ends the process.
        let mut proxy = Self {
            options,
            child,
            folder,
            _private: private,
            listen: unknown,
            admin: unknown,
            metrics: None,
            version: 1,
            ended: None,
        };
        proxy.until_ready().await?;
        if proxy.options.delivery == Delivery::Watched {
            let outcome = proxy.until_ecds_settles(&EcdsStats::default(), 0, proxy.options.start_timeout).await;
            match outcome {
                Err(EnvoyError::Refused { .. }) if proxy.options.keep_refused => {}
                other => other?,
            }
        }
        Ok(proxy)
    }

    /// Where clients connect.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The listener for Prometheus, where there is one.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The access log, when it is a file. Envoy writes to it some 100 ms after a request, and all that is left when it ends.
    pub fn access_log(&self) -> Option<PathBuf> {
        match &self.options.access_log {
            AccessLog::RunFolder => Some(self.folder.join("access.log")),
            AccessLog::File(path) => Some(path.clone()),
            AccessLog::Stdout | AccessLog::Off => None,
        }
    }

    /// Envoy's own log.
    pub fn log(&self) -> PathBuf {
        log_path(&self.folder)
    }

    /// The watched file.
    pub fn ecds(&self) -> PathBuf {
        self.folder.join("ecds").join("edge-observer.yaml")
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.folder.join("envoy.pid")).ok()?.trim().parse().ok()
    }

    /// What Envoy and the filter have complained about so far, oldest first, each once.
    pub fn complaints(&self) -> Vec<String> {
        log::complaints(&read_log(&self.folder, 0))
    }

    /// Asks the admin interface, for example `/stats/prometheus`.
    pub async fn admin_get(&self, path: &str) -> Result<String, EnvoyError> {
        admin::request(self.admin, http::Method::GET, path).await
    }

    /// One of Envoy's counters or gauges by its full stat name, for example `http.ingress.downstream_rq_total`.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>, EnvoyError> {
        admin::stat(self.admin, name).await
    }

    /// What Envoy has made of the watched file so far.
    pub async fn ecds_stats(&self) -> Result<EcdsStats, EnvoyError> {
        admin::ecds_stats(self.admin).await
    }

    /// Puts a new configuration in place of the running one and waits for Envoy's verdict. When it is refused, the running one
    /// stays, and the error holds what the filter said.
    pub async fn update_config(&mut self, configuration: &str) -> Result<(), EnvoyError> {
        let changed = EnvoyOptions { configuration: configuration.to_owned(), ..self.options.clone() };
        self.update(changed).await
    }

    /// The same for the module.
    pub async fn update_module(&mut self, module: &Path) -> Result<(), EnvoyError> {
        let changed = EnvoyOptions { module: module.to_owned(), ..self.options.clone() };
        self.update(changed).await
    }

    async fn update(&mut self, changed: EnvoyOptions) -> Result<(), EnvoyError> {
        let before = self.ecds_stats().await?;
        let log_read = fs::metadata(self.log()).map_or(0, |meta| meta.len());
        self.version += 1;
        let text = render::ecds(&changed, self.version)?;
        // Written elsewhere and renamed: Envoy must never see half a file, and watches for just this rename.
        let new = self.folder.join("edge-observer.yaml.new");
        fs::write(&new, text).map_err(EnvoyError::io(format!("writing {}", new.display())))?;
        fs::rename(&new, self.ecds()).map_err(EnvoyError::io("renaming the watched file into place"))?;
        self.until_ecds_settles(&before, log_read, UPDATE_LIMIT).await?;
        self.options = changed;
        Ok(())
    }

    /// Lets requests in flight end, for at most `drain`, and ends Envoy. Its logs are complete after this.
    pub async fn stop(&mut self, drain: Duration) -> Result<(), EnvoyError> {
        if self.ended.is_some() {
            return Ok(());
        }
        admin::request(self.admin, http::Method::POST, "/drain_listeners?graceful&skip_exit").await?;
        let deadline = Instant::now() + drain;
        while Instant::now() < deadline {
            match self.stat("http.ingress.downstream_rq_active").await? {
                Some(0) | None => break,
                Some(_) => tokio::time::sleep(POLL).await,
            }
        }
        admin::request(self.admin, http::Method::POST, "/quitquitquit").await?;
        self.until_ended().await
    }

    /// Ends Envoy with SIGTERM, as a supervisor does, in the middle of whatever there is. Its logs are complete after this.
    pub async fn terminate(&mut self) -> Result<(), EnvoyError> {
        let pid = self.pid().map(|pid| pid.to_string()).unwrap_or_default();
        // Only a program can send a signal without `unsafe`.
        let kill = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await;
        kill.map_err(EnvoyError::io("starting `kill`"))?;
        self.until_ended().await
    }

    async fn until_ended(&mut self) -> Result<(), EnvoyError> {
        let deadline = Instant::now() + QUIT_LIMIT;
        while self.poll_end()?.is_none() {
            if Instant::now() > deadline {
                return Err(self.late("ending", QUIT_LIMIT));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn until_ready(&mut self) -> Result<(), EnvoyError> {
        let deadline = Instant::now() + self.options.start_timeout;
        let address_file = self.folder.join("admin-address");
        loop {
            if let Some(status) = self.poll_end()? {
                return Err(EnvoyError::Ended { status, messages: self.complaints() });
            }
            if let Ok(address) = fs::read_to_string(&address_file).unwrap_or_default().trim().parse() {
                self.admin = address;
                // 503 until every cluster and listener is initialised.
                let ready = self.admin_get("/ready").await.is_ok_and(|body| body.trim() == "LIVE");
                if ready && let Some(listen) = admin::listener(address, "ingress").await? {
                    self.listen = listen;
                    self.metrics = admin::listener(address, "metrics").await?;
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(self.late("starting", self.options.start_timeout));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until Envoy has taken or refused what is in the watched file.
    async fn until_ecds_settles(
        &mut self,
        before: &EcdsStats,
        log_read: u64,
        limit: Duration,
    ) -> Result<(), EnvoyError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.poll_end()? {
                return Err(EnvoyError::Ended { status, messages: log::complaints(&read_log(&self.folder, log_read)) });
            }
            let now = self.ecds_stats().await?;
            if now.refused_since(before) {
                return Err(EnvoyError::Refused { messages: log::complaints(&read_log(&self.folder, log_read)) });
            }
            if now.update_success > before.update_success {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.late("taking up the filter's file", limit));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn poll_end(&mut self) -> Result<Option<ExitStatus>, EnvoyError> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().map_err(EnvoyError::io("waiting for Envoy"))?;
        }
        Ok(self.ended)
    }

    fn late(&self, what: &'static str, limit: Duration) -> EnvoyError {
        EnvoyError::Late { what, limit, log: self.log() }
    }
}

impl Drop for EnvoyProxy {
    fn drop(&mut self) {
        // The end of standard input is what the guard waits for.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Has Envoy check the rendered files.
pub(super) async fn validate(options: &EnvoyOptions) -> Result<(), EnvoyError> {
    let (folder, _private) = run_folder(options)?;
    write_files(options, &folder)?;
    validate_file(&options.binary, &folder.join("bootstrap.yaml")).await
}

/// Has Envoy check a bootstrap file as it is.
pub(super) async fn validate_file(binary: &Path, bootstrap: &Path) -> Result<(), EnvoyError> {
    let output = tokio::process::Command::new(binary)
        .args(["--mode", "validate", "-c"])
        .arg(bootstrap)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(EnvoyError::io(format!("starting {}", binary.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    Err(EnvoyError::Ended { status: output.status, messages: log::complaints(&String::from_utf8_lossy(&said)) })
}

/// Whether a name's IPv6 address takes a connection and its IPv4 address does not. False when nothing answers yet.
async fn answers_on_ipv6_alone(upstream: &Upstream) -> bool {
    let Ok(addresses) = tokio::net::lookup_host((upstream.host.as_str(), upstream.port)).await else { return false };
    let (mut v4, mut v6) = (false, false);
    for address in addresses {
        let connects = tokio::time::timeout(CONNECT_LIMIT, tokio::net::TcpStream::connect(address)).await;
        if matches!(connects, Ok(Ok(_))) {
            if address.is_ipv4() { v4 = true } else { v6 = true }
        }
    }
    v6 && !v4
}

/// A port of this address that nothing listens on.
fn free_port(address: SocketAddr) -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind(address)?.local_addr()
}

fn run_folder(options: &EnvoyOptions) -> Result<(PathBuf, Option<TempDir>), EnvoyError> {
    let (folder, private) = match &options.folder {
        Some(folder) => (folder.clone(), None),
        None => {
            let private = tempfile::Builder::new()
                .prefix("edge-observer-envoy-")
                .tempdir()
                .map_err(EnvoyError::io("creating a run folder"))?;
            (private.path().to_owned(), Some(private))
        }
    };
    let folder = std::path::absolute(&folder).map_err(EnvoyError::io("finding the run folder"))?;
    fs::create_dir_all(folder.join("ecds")).map_err(EnvoyError::io(format!("creating {}", folder.display())))?;
    // Left by an earlier run in the same folder, it would be taken for this run's address.
    let _ = fs::remove_file(folder.join("admin-address"));
    Ok((folder, private))
}

fn write_files(options: &EnvoyOptions, folder: &Path) -> Result<(), EnvoyError> {
    let rendered = render::render(options, folder, 1)?;
    for (name, text) in [("bootstrap.yaml", &rendered.bootstrap), ("ecds/edge-observer.yaml", &rendered.ecds)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(EnvoyError::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}

fn spawn(options: &EnvoyOptions, folder: &Path) -> Result<Child, EnvoyError> {
    let log = fs::File::create(log_path(folder)).map_err(EnvoyError::io("creating Envoy's log"))?;
    let stdout = match options.access_log {
        AccessLog::Stdout => Stdio::inherit(),
        AccessLog::RunFolder | AccessLog::File(_) | AccessLog::Off => Stdio::null(),
    };
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", GUARD, "edge-observer"])
        .arg(&options.binary)
        .arg("--config-path")
        .arg(folder.join("bootstrap.yaml"))
        .arg("--admin-address-path")
        .arg(folder.join("admin-address"))
        .args(["--concurrency", &options.workers.to_string()])
        .args(["--disable-hot-restart", "--drain-time-s", "1", "--file-flush-interval-msec", "100"])
        .args(&options.arguments)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .env("EDGE_OBSERVER_PID_FILE", folder.join("envoy.pid"))
        .env("EDGE_OBSERVER_PRIVATE_FOLDER", if options.folder.is_none() { folder.as_os_str() } else { OsStr::new("") })
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(log);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Ctrl-C in a terminal goes to the whole group; the totals are read before Envoy ends.
        command.process_group(0);
    }
    command.spawn().map_err(EnvoyError::io(format!("starting {}", options.binary.display())))
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("envoy.log")
}

fn read_log(folder: &Path, from: u64) -> String {
    let bytes = fs::read(log_path(folder)).unwrap_or_default();
    let start = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
}
