//! What becomes of queued events when a proxy stops, a configuration is replaced or a worker's VM dies.

use std::sync::Arc;

use host_harness::{FailurePolicy, Fault};
use serde_json::{Value, json};

use super::fakes::{Behaviour, Kind};
use super::ledger::{all_are_somewhere, posts, undelivered};
use super::{Host, RATE, Scene, configuration, settled, wait};
use crate::support::mortal::{kill_a_vm, mortal_module};
use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::traffic::raw;

/// Calls are given up late, so that events are under way when the end comes.
fn patient() -> Value {
    json!({ "limits": { "timeout_ms": 60_000 } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_to_envoy_writes_what_is_queued_to_the_log() {
    let scene = Scene::new(Kind::Json).await;
    let Some(mut proxy) = Host::Envoy.start(&scene.options(&patient())).await else { return };
    let (log, target) = (proxy.log(), proxy.listen());
    let mut all = posts(target, "delivered", 100, RATE).await;
    settled(&proxy, 100).await;
    scene.receiver.behave(Behaviour::Hang);
    all.add(posts(target, "queued", 300, RATE).await);
    let Proxy::Envoy(envoy) = &mut proxy else { unreachable!() };
    envoy.terminate().await.unwrap();
    let logged = undelivered(&log.text());
    eprintln!("SIGTERM: {} delivered, {} logged", scene.receiver.accepted().len(), logged.len());
    assert!(logged.iter().all(|(reason, _)| reason == "abandoned"), "{:?}", logged.first());
    assert_eq!(logged.len(), 300);
    all_are_somewhere(&all, &scene.receiver, &log.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_embedded_host_writes_what_is_queued_to_the_log() {
    let scene = Scene::new(Kind::SplunkAck).await;
    let Some(proxy) = Host::Embedded.start(&scene.options(&patient())).await else { return };
    let (log, target) = (proxy.log(), proxy.listen());
    scene.receiver.behave(Behaviour::Hang);
    let all = posts(target, "queued", 200, RATE).await;
    proxy.stop().await;
    assert_eq!(undelivered(&log.text()).len(), 200);
    all_are_somewhere(&all, &scene.receiver, &log.text());
}

/// What the first configuration has not delivered is delivered by the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_swapped_in_envoy_goes_on_with_the_events_of_the_one_before() {
    let scene = Scene::new(Kind::Json).await;
    let Some(mut proxy) = Host::Envoy.start(&scene.options(&patient())).await else { return };
    let (log, target) = (proxy.log(), proxy.listen());
    scene.receiver.behave(Behaviour::Hang);
    let mut all = posts(target, "before-the-swap", 100, RATE).await;
    let during = tokio::spawn(async move { posts(target, "during-the-swap", 200, RATE).await });
    let next = configuration(Kind::Json, &json!({ "limits": { "batch_events": 7 } })).to_string();
    let Proxy::Envoy(envoy) = &mut proxy else { unreachable!() };
    envoy.update_config(&next).await.unwrap();
    scene.receiver.behave(Behaviour::Well);
    all.add(during.await.unwrap());
    let account = settled(&proxy, all.ids.len()).await;
    eprintln!("swap: {account:?}");
    assert_eq!(account.logged, 0, "{account:?}");
    proxy.stop().await;
    all_are_somewhere(&all, &scene.receiver, &log.text());
}

/// Its events are taken over by another, from the shared data; nothing is lost, and the counts know it.
async fn a_vm_that_dies(proxy: Proxy, scene: &Scene, kill: impl AsyncFnOnce()) {
    let (log, target) = (proxy.log(), proxy.listen());
    scene.receiver.behave(Behaviour::Hang);
    let all = posts(target, "queued", 200, RATE).await;
    let (_, before) = wait(&proxy, |account| account.queued == 200).await;
    assert_eq!((before.made, before.queued), (200, 200), "{before:?}");
    kill().await;
    scene.receiver.behave(Behaviour::Well);
    let account = settled(&proxy, 200).await;
    eprintln!("a VM died: {account:?}");
    assert_eq!(account.logged, 0, "{account:?}");
    all_are_somewhere(&all, &scene.receiver, &log.text());
    proxy.stop().await;
}

/// Requests pass it by from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_goes_on_with_the_events_of_a_vm_that_died_in_envoy() {
    let (scene, folder) = (Scene::new(Kind::Json).await, tempfile::tempdir().unwrap());
    let options = ProxyOptions { module: Some(mortal_module(folder.path())), ..scene.options(&json!({})) };
    let Some(proxy) = Host::Envoy.start(&options).await else { return };
    let target = proxy.listen();
    a_vm_that_dies(proxy, &scene, async || kill_a_vm(target).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_goes_on_with_the_events_of_a_vm_that_died_in_the_embedded_host() {
    let policies = [FailurePolicy::FailOpen, FailurePolicy::FailReload { backoff: FailurePolicy::RELOAD_BACKOFF }];
    for failure_policy in policies {
        let scene = Scene::new(Kind::Splunk).await;
        let options = ProxyOptions { failure_policy, ..scene.options(&json!({})) };
        let proxy = Proxy::harness(&options).await;
        let Proxy::Harness { server, .. } = &proxy else { unreachable!() };
        let (target, shared) = (proxy.listen(), Arc::clone(server.shared()));
        let kill = async || {
            shared.add_fault(Fault::hostcall("proxy_get_header_map_pairs").nth(1).traps());
            let (status, answer) = raw(target, b"GET /kill HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            assert_eq!(status, Some(503), "{answer}");
        };
        a_vm_that_dies(proxy, &scene, kill).await;
    }
}
