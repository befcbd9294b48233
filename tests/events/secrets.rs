//! No secret shows, wherever one looks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use edge_observer::envoy::{EnvoyOptions, EnvoyProxy};
use serde_json::json;

use super::fakes::{Behaviour, Kind};
use super::ledger::posts;
use super::{Host, RATE, SECRET, Scene, configuration, settled};
use crate::support::proxy::{Proxy, envoy_binary, module_path};

/// What must not show: the secret as it is, as a form has it and in base64, and tokens got with it.
fn forbidden(kind: Kind) -> Vec<String> {
    let secret = kind.secret();
    let form = secret.replace('~', "%7E").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    vec![
        secret.to_owned(),
        form.replace("%7E", "~"),
        form,
        BASE64_STANDARD.encode(secret),
        String::from_utf8_lossy(&BASE64_STANDARD.decode(secret).unwrap_or(b"s3cr3t".to_vec())).into_owned(),
        "eyJ0eXAiOiJKV1QifQ".to_owned(),
    ]
}

#[track_caller]
fn shows_nothing(kind: Kind, place: &str, text: &str) {
    for word in forbidden(kind) {
        assert!(!text.contains(&word), "{kind:?}: `{word}` in {place}");
    }
}

/// Under refusals and errors too, where one would like to say what was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_shows_no_secret_in_logs_dumps_stats_or_files() {
    for kind in Kind::ALL {
        let scene = Scene::new(kind).await;
        let Some(proxy) = Host::Envoy.start(&scene.options(&json!({}))).await else { return };
        let (log, mut made) = (proxy.log(), 0);
        for behaviour in [Behaviour::Refuse, Behaviour::Fail, Behaviour::Well] {
            scene.receiver.behave(behaviour);
            made += posts(proxy.listen(), &format!("{behaviour:?}-secrets"), 30, RATE).await.ids.len();
        }
        settled(&proxy, made).await;
        let Proxy::Envoy(envoy) = &proxy else { unreachable!() };
        for page in
            ["/config_dump?include_eds", "/stats", "/stats/prometheus", "/clusters", "/server_info", "/listeners"]
        {
            let text = envoy.admin_get(page).await.unwrap();
            assert!(!text.is_empty());
            shows_nothing(kind, page, &text);
        }
        // That one looked in the right place: the variable's name is there.
        assert!(envoy.admin_get("/config_dump").await.unwrap().contains(SECRET));
        for file in ["bootstrap.yaml", "ecds/edge-observer.yaml", "access.log"] {
            shows_nothing(kind, file, &std::fs::read_to_string(envoy.folder().join(file)).unwrap());
        }
        proxy.stop().await;
        shows_nothing(kind, "the log", &log.text());
    }
}

/// A secret that is missing or of no use is refused in words that do not tell it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_the_variable_and_not_its_value() {
    let Some(binary) = envoy_binary() else { return };
    for (kind, value, expected) in [
        (Kind::Json, None, "events.sinks[0].secret_env: the VM has no variable `EVENTS_TEST_SECRET`"),
        (Kind::DataCollector, Some("s3cr3t is not base64!"), "events.sinks[0].secret: is not base64"),
        (Kind::Splunk, Some("s3cr3t\nx-forged: 1"), "events.sinks[0].secret: has white space around it or characters"),
        (Kind::LogsIngestion, Some(""), "events.sinks[0].secret: is empty"),
    ] {
        let mut options = EnvoyOptions::new(&binary, module_path());
        options.configuration = configuration(kind, &json!({})).to_string();
        options.environment = value.map(|value| (SECRET.to_owned(), value.to_owned())).into_iter().collect();
        let error = EnvoyProxy::start(options).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{kind:?}: {error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
