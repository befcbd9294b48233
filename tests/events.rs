//! Security events from the filter to receivers: each that is made arrives or is in the proxy's log, whatever the receivers do and whoever dies.

mod deaths;
mod delivery;
mod ends;
pub(crate) mod fakes;
mod ledger;
mod oracle;
mod secrets;

use std::time::Duration;

use edge_observer::scrape::{self, Scrape};
use serde_json::{Value, json};

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::upstream::Upstream;
use fakes::{Kind, Receiver, Server};
use ledger::Account;

/// Events a second.
const RATE: u32 = 200;
/// The sink's name.
const SINK: &str = "siem";
/// The variable with its secret.
const SECRET: &str = "EVENTS_TEST_SECRET";

/// One rule, which makes an event of every `POST` to an endpoint, and one sink.
fn configuration(kind: Kind, changes: &Value) -> Value {
    let mut sink = json!({
        "name": SINK,
        "cluster": "siem",
        "authority": "siem.example",
        "secret_env": SECRET,
        "limits": {
            "batch_events": 50,
            "max_wait_ms": 100,
            "timeout_ms": 300,
            "backoff_ms": 50,
            "backoff_cap_ms": 200,
        },
    });
    merge(&mut sink, &kind.sink());
    merge(&mut sink, changes);
    json!({
        "metrics": { "flush_interval_ms": 100 },
        "routes": { "table": [{ "methods": ["POST"], "template": "/decisions/{id}", "name": "decision" }] },
        "rules": [{
            "name": "decided",
            "when": { "endpoints": ["decision"], "methods": ["POST"] },
            "event": { "type": "DECISION", "class": "decision" },
        }],
        "events": { "device": "edge-test", "sinks": [sink] },
    })
}

fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (name, value) in from {
                merge(to.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from.clone(),
    }
}

/// A proxy, the API behind it and the receiver of its events.
struct Scene {
    upstream: Upstream,
    receiver: Receiver,
    server: Server,
    kind: Kind,
}

impl Scene {
    async fn new(kind: Kind) -> Self {
        let receiver = Receiver::new(kind);
        Self { upstream: Upstream::start().await, server: Server::start(&receiver).await, receiver, kind }
    }

    fn options(&self, changes: &Value) -> ProxyOptions {
        ProxyOptions {
            configuration: configuration(self.kind, changes).to_string(),
            clusters: ["siem", "token"].map(|name| (name.to_owned(), self.server.address)).into(),
            environment: vec![(SECRET.to_owned(), self.kind.secret().to_owned())],
            ..ProxyOptions::new(self.upstream.address)
        }
    }
}

/// Which proxy.
#[derive(Debug, Clone, Copy)]
enum Host {
    Embedded,
    Envoy,
}

impl Host {
    async fn start(self, options: &ProxyOptions) -> Option<Proxy> {
        match self {
            Self::Embedded => Some(Proxy::harness(options).await),
            Self::Envoy => Proxy::envoy(options).await,
        }
    }
}

/// Waits until every event is counted as made and has come to its end.
async fn settled(proxy: &Proxy, made: usize) -> Account {
    let (waited, account) = wait(proxy, |account| account.made == made as u64 && account.is_balanced()).await;
    assert!(waited, "{made} requests, and after 20 s {account:?}");
    account
}

async fn wait(proxy: &Proxy, until: impl Fn(&Account) -> bool) -> (bool, Account) {
    let read = |scrape: &Scrape| until(&Account::of(scrape));
    let waited = scrape::wait_until(proxy.admin(), Duration::from_secs(20), read).await.unwrap();
    (waited.in_time, Account::of(&waited.scrape))
}
