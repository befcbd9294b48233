//! A real Django app behind real Envoy: the correlation ID is in its own log records, with no change to it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use edge_observer::tools::{skip_test, target_dir};
use serde_json::Value;

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::traffic;

const DJANGO: &str = "Django==5.2.8";

/// A Python that has Django, from an earlier run or from PyPI; none with a word of why.
fn python() -> Option<PathBuf> {
    let folder = target_dir().join("edge-observer").join("django-5.2.8");
    let python = folder.join("bin").join("python");
    let has_django = |python: &Path| {
        let imported = Command::new(python).args(["-c", "import django"]).stderr(Stdio::null()).status();
        imported.is_ok_and(|status| status.success())
    };
    if has_django(&python) {
        return Some(python);
    }
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        // What pip says names its registry, which may carry credentials.
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("`{} {}` ended with {}", program.display(), arguments.join(" "), output.status)),
            Err(error) => Err(format!("`{}` cannot be started: {error}", program.display())),
        }
    };
    let made = run(Path::new("python3"), &["-m", "venv", "--clear", &folder.display().to_string()])
        .and_then(|()| run(&python, &["-m", "pip", "install", "--quiet", "--no-input", DJANGO]));
    match made {
        Ok(()) => Some(python),
        Err(reason) => {
            skip_test(&format_args!("{DJANGO} cannot be had: {reason}"));
            None
        }
    }
}

/// A running app; it ends when dropped.
struct App {
    child: Child,
    address: SocketAddr,
    records: mpsc::Receiver<Value>,
}

impl App {
    fn start(python: &Path) -> Self {
        let app = concat!(env!("CARGO_MANIFEST_DIR"), "/data/django/app.py");
        let mut child = Command::new(python).arg(app).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        let (sender, records) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let record = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(record).is_err() {
                    return;
                }
            }
        });
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), records }
    }

    /// The next log record.
    fn record(&self) -> Value {
        self.records.recv_timeout(Duration::from_secs(20)).expect("the app logs something")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The values of a header in a response head.
fn header<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_correlation_id_is_in_djangos_own_log_records() {
    let Some(python) = tokio::task::spawn_blocking(python).await.unwrap() else { return };
    let app = App::start(&python);
    let Some(proxy) = Proxy::envoy(&ProxyOptions::new(app.address)).await else { return };
    let cases = [
        ("x-correlation-id: kept-as-it-came-1\r\n", Some("kept-as-it-came-1")),
        ("", None),
        ("x-correlation-id: \"><script>\r\n", None),
        // What WSGI would take for the same header.
        ("x_correlation_id: forged-by-underscores\r\n", None),
        (
            "x-correlation-id: kept-as-it-came-2\r\nx_correlation_id: forged-by-underscores\r\n",
            Some("kept-as-it-came-2"),
        ),
    ];
    for (headers, kept) in cases {
        let request = format!(
            "POST /api/v1/deployments/d-1/approve/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
        );
        let (status, head) = traffic::raw(proxy.listen(), request.as_bytes()).await;
        assert_eq!(status, Some(200), "{head}");
        let [id] = header(&head, "x-correlation-id")[..] else { panic!("{head}") };
        assert!(kept.is_none_or(|kept| kept == id), "{headers}: {head}");
        assert!(!id.contains("script") && !id.contains("forged") && id != "-", "{head}");
        let record = app.record();
        assert_eq!((&record["logger"], &record["message"]), (&"apps.deployments".into(), &"approved d-1".into()));
        assert_eq!(record["correlation_id"], id, "{headers}");
    }
    // Django's own warning has it as well.
    let request = "GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-correlation-id: nowhere-1\r\n\r\n";
    assert_eq!(traffic::raw(proxy.listen(), request.as_bytes()).await.0, Some(404));
    let record = app.record();
    assert_eq!((&record["logger"], &record["level"]), (&"django.request".into(), &"WARNING".into()));
    assert_eq!(record["correlation_id"], "nowhere-1");
    proxy.stop().await;
}
