//! The vendors' own clients at the same receivers: what they send has the form of what the filter sends, and comes to the same end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use edge_observer::tools::{skip_test, target_dir};
use serde_json::{Value, json};

use super::fakes::{Behaviour, Kind, Receiver, Seen, Server};
use super::ledger::posts;
use super::{Host, RATE, Scene, settled};

/// The Python that has the clients, installed in an earlier run or now; none with a word of why.
fn python() -> Option<PathBuf> {
    let (folder, here) = (target_dir().join("edge-observer"), here());
    let place = folder.join("event-clients");
    let python = place.join("bin/python");
    let wanted = std::fs::read_to_string(here.join("requirements.txt")).unwrap();
    if std::fs::read_to_string(place.join("installed")).is_ok_and(|installed| installed == wanted) {
        return Some(python);
    }
    // What pip says names its index, which may carry credentials.
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program)
            .args(arguments)
            .current_dir(&here)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
        if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", arguments.join(" "))) }
    };
    let install = || {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let text = place.to_string_lossy();
        run(Path::new("python3"), &["-m", "venv", "--clear", &text])?;
        run(&python, &["-m", "pip", "install", "--quiet", "--no-input", "--requirement", "requirements.txt"])?;
        std::fs::write(place.join("installed"), &wanted).map_err(|error| error.to_string())
    };
    match install() {
        Ok(()) => Some(python),
        Err(reason) => {
            skip_test(&format_args!("the vendors' clients cannot be had: {reason}"));
            None
        }
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events/oracle")
}

/// Has a vendor's client send events to a receiver, and hears what it has to say.
async fn client(python: &Path, kind: Kind, server: &Server, events: &[Value]) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_vec(events).unwrap()).unwrap();
    let output = tokio::process::Command::new(python)
        .arg(here().join("clients.py"))
        .args([name(kind), &server.address.to_string(), kind.secret()])
        .arg(file.path())
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env("NO_PROXY", "*")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::LogsIngestion => "logs_ingestion",
        Kind::DataCollector => "data_collector",
        Kind::Splunk | Kind::SplunkAck | Kind::Json => "splunk",
    }
}

/// The form of a request: what a receiver may look at, without what differs from call to call.
fn form(seen: &Seen) -> BTreeMap<&'static str, String> {
    let mut form = BTreeMap::new();
    form.insert("request", format!("{} {}?{}", seen.method, seen.path, seen.query));
    let essence = seen.header("content-type").split(';').next().unwrap_or_default().to_owned();
    form.insert("content-type", essence);
    // Of the rest only the receiver can tell whether it is right, and it has.
    let scheme = seen.header("authorization").split([' ', ':']).next().unwrap_or_default().to_owned();
    form.insert("authorization", scheme);
    for header in ["log-type", "time-generated-field"] {
        form.insert(header, seen.header(header).to_owned());
    }
    for header in ["x-ms-client-request-id", "x-ms-date"] {
        let shape = seen.header(header).chars().map(|c| match c {
            '0'..='9' | 'a'..='f' => '0',
            'A'..='Z' | 'g'..='z' => 'a',
            c => c,
        });
        form.insert(
            header,
            if header == "x-ms-date" { seen.header(header).len().to_string() } else { shape.collect() },
        );
    }
    form
}

/// The names of a token request's fields.
fn fields(seen: &Seen) -> Vec<String> {
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    let mut fields: Vec<_> =
        body.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned()).collect();
    fields.sort();
    fields
}

fn of_kind(receiver: &Receiver, token: bool) -> Vec<(Seen, Option<u16>)> {
    let is_token = |seen: &Seen| seen.path.ends_with("/token");
    let is_discovery = |seen: &Seen| seen.path.contains("/.well-known/");
    receiver.seen().into_iter().filter(|(seen, _)| is_token(seen) == token && !is_discovery(seen)).collect()
}

/// The same events from the filter and from the vendor's client.
async fn side_by_side(kind: Kind) {
    let Some(python) = python() else { return };
    let scene = Scene::new(kind).await;
    let proxy = Host::Embedded.start(&scene.options(&json!({}))).await.unwrap();
    settled(&proxy, posts(proxy.listen(), "side-by-side", 40, RATE).await.ids.len()).await;
    let (ours, accepted) = (scene.receiver.clone(), scene.receiver.accepted());
    let events: Vec<Value> = accepted.values().cloned().collect();
    proxy.stop().await;

    let theirs = Receiver::new(kind);
    let server = Server::start(&theirs).await;
    let said = client(&python, kind, &server, &events).await;
    assert_eq!(said["delivered"], true, "{said}");
    assert_eq!(theirs.complaints(), Vec::<String>::new());
    assert_eq!(theirs.accepted(), accepted);

    let statuses = |receiver: &Receiver| {
        let mut statuses: Vec<_> = of_kind(receiver, false).into_iter().map(|(_, status)| status).collect();
        statuses.dedup();
        statuses
    };
    assert_eq!(statuses(&theirs), statuses(&ours));
    let form_of = |receiver: &Receiver| form(&of_kind(receiver, false)[0].0);
    let (mut our_form, mut their_form) = (form_of(&ours), form_of(&theirs));
    if kind == Kind::LogsIngestion {
        // Which ID it is is the client's own affair; that there is one the receiver has checked.
        let token = |receiver: &Receiver| of_kind(receiver, true)[0].0.clone();
        let asked = ["client_id", "client_secret", "grant_type", "scope"];
        assert_eq!(fields(&token(&ours)), asked);
        // Its library adds `client_info`.
        assert!(asked.iter().all(|name| fields(&token(&theirs)).contains(&(*name).to_owned())));
        assert_eq!(form(&token(&ours))["request"], form(&token(&theirs))["request"]);
        assert_eq!(form(&token(&ours))["content-type"], form(&token(&theirs))["content-type"]);
    }
    if kind == Kind::Splunk {
        // Splunk takes any type; the client leaves it to its HTTP library.
        our_form.remove("content-type");
        their_form.remove("content-type");
    }
    assert_eq!(our_form, their_form);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_ingestion_is_spoken_as_microsofts_client_speaks_it() {
    side_by_side(Kind::LogsIngestion).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_collector_is_spoken_as_its_client_speaks_it() {
    side_by_side(Kind::DataCollector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splunk_is_spoken_as_its_client_speaks_it() {
    side_by_side(Kind::Splunk).await;
}

/// What clients make of a receiver that is busy, or that finds a call too large, with what the filter is tested to do in `delivery`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_receiver_and_one_that_finds_calls_too_large_are_understood_alike() {
    let Some(python) = python() else { return };
    let event = |number: u32| json!({ "EventUid": format!("{number:032}"), "EventType": "DECISION" });
    let events: Vec<_> = (0..20).map(event).collect();
    let run = async |kind: Kind, behaviour: Behaviour, once: bool| {
        let receiver = Receiver::new(kind);
        let server = Server::start(&receiver).await;
        if once {
            receiver.misbehave_once(behaviour)
        } else {
            receiver.behave(behaviour)
        }
        let said = client(&python, kind, &server, &events).await;
        let statuses: Vec<_> = of_kind(&receiver, false).into_iter().map(|(_, status)| status.unwrap()).collect();
        (said, statuses, receiver.accepted().len())
    };
    // Microsoft's client tries again after a 429, as the filter does, and not after a 413: it has split before, by the same limit.
    let (said, statuses, accepted) = run(Kind::LogsIngestion, Behaviour::Busy, true).await;
    assert_eq!((&said["delivered"], &*statuses, accepted), (&json!(true), &[429, 204][..], 20), "{said}");
    let (said, statuses, _) = run(Kind::LogsIngestion, Behaviour::Small(100), false).await;
    assert_eq!((&said["status"], &*statuses), (&json!(413), &[413][..]), "{said}");
    // Splunk's keeps what it was too busy for.
    let (said, statuses, _) = run(Kind::Splunk, Behaviour::Busy, true).await;
    assert_eq!((&said["code"], &said["keeps"], &*statuses), (&json!(9), &json!(20), &[503][..]), "{said}");
    // The Data Collector's leaves it to its caller.
    let (said, statuses, _) = run(Kind::DataCollector, Behaviour::Busy, true).await;
    assert_eq!((&said["status"], &*statuses), (&json!(429), &[429][..]), "{said}");
}
