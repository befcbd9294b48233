//! The scenario of `cargo xtask bench scanner` in short: two hundred routes, a scanner's paths between their calls, and every promise that does not
//! depend on how fast this machine is.

use edge_observer::proxy::ProxyKind;
use edge_observer::scanner::{self, AnsweredBy, Claim, ScannerOptions, UnmatchedKind};

use crate::support::proxy::{envoy_binary, module_path};

/// What a busy machine may break without any fault of the filter's, or a short run cannot say.
const OF_THE_MACHINE: [Claim; 3] = [Claim::Load, Claim::Stalls, Claim::Memory];

async fn holds(proxy: ProxyKind, answered_by: AnsweredBy, unmatched: UnmatchedKind) {
    let report = scanner::run(ScannerOptions {
        proxy,
        answered_by,
        unmatched,
        seconds: 8,
        rate: 1_000,
        routes: 200,
        module: Some(module_path().to_owned()),
        quiet: true,
        ..ScannerOptions::default()
    })
    .await
    .unwrap();
    assert!(report.sent > 0 && report.junk > 0, "{} sent, {} of them junk", report.sent, report.junk);
    for promise in report.promises.iter().filter(|promise| !OF_THE_MACHINE.contains(&promise.claim)) {
        assert_ne!(promise.held, Some(false), "{promise:?}\n{}", report.to_text());
    }
    let exact = report.promise(Claim::Endpoints).unwrap();
    assert_eq!(exact.held, Some(true), "{exact:?}");
    match unmatched {
        UnmatchedKind::Unknown => assert_eq!(report.learned, Vec::<String>::new()),
        UnmatchedKind::Placeholders => assert!(report.learned.len() <= 40, "{:?}", report.learned),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_breaks_no_promise_in_the_embedded_host() {
    holds(ProxyKind::Harness, AnsweredBy::Upstream, UnmatchedKind::Unknown).await;
    holds(ProxyKind::Harness, AnsweredBy::Upstream, UnmatchedKind::Placeholders).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_breaks_no_promise_in_envoy() {
    if envoy_binary().is_none() {
        return;
    }
    holds(ProxyKind::Envoy, AnsweredBy::Proxy, UnmatchedKind::Unknown).await;
    holds(ProxyKind::Envoy, AnsweredBy::Upstream, UnmatchedKind::Placeholders).await;
}
