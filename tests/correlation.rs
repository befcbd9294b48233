//! The same ID reaches the upstream, the response and the access log; hostile IDs are replaced and counted by reason.

use std::collections::BTreeMap;

use edge_observer::envoy::profile_json;
use serde_json::{Value, json};

use crate::support::proxy::{Proxy, ProxyOptions};
use crate::support::traffic;
use crate::support::upstream::{BEHAVIOUR, SEEN, Upstream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_everywhere_in_the_embedded_host() {
    let upstream = Upstream::start().await;
    one_id_everywhere(Proxy::harness(&ProxyOptions::new(upstream.address)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_everywhere_in_envoy() {
    let upstream = Upstream::start().await;
    let Some(proxy) = Proxy::envoy(&ProxyOptions::new(upstream.address)).await else { return };
    one_id_everywhere(proxy).await;
}

/// The header lines of one request, and what should become of them: the kept ID, or the reason it is replaced.
/// `None`: the proxy itself refuses such a request, or mends it.
struct Case {
    lines: Vec<Vec<u8>>,
    outcome: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let case = |lines: &[&[u8]], outcome| Case { lines: lines.iter().map(|l| l.to_vec()).collect(), outcome };
    vec![
        case(&[b"kept-0123456789"], Some("kept")),
        case(&[b"a.b_c~d/e+f=g:h@i-j"], Some("kept")),
        case(&[], Some("generated")),
        case(&[b""], Some("refused_empty")),
        case(&[b"short"], Some("refused_too_short")),
        case(&[&[b'a'; 129]], Some("refused_too_long")),
        case(&[&[b'a'; 64 * 1024]], Some("refused_too_long")),
        case(&[b"eight-bit-\xff\xfe"], Some("refused_charset")),
        case(&[b"with space inside"], Some("refused_charset")),
        case(&[b"{\"json\":\"in the log\"}"], Some("refused_charset")),
        case(&[b"first-id", b"second-id"], Some("refused_duplicate")),
        case(&[b"joined-id,another-id"], Some("refused_comma")),
        case(&[b"nul-\0-inside"], None),
        case(&[b"cr-\r-inside"], None),
    ]
}

async fn one_id_everywhere(proxy: Proxy) {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut answered: Vec<(String, String)> = Vec::new();
    let mut sent = 0;
    for Case { lines, outcome } in cases() {
        let mut request =
            format!("GET /api/v1/health/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{BEHAVIOUR}: own-id\r\n")
                .into_bytes();
        for line in &lines {
            request.extend_from_slice(&[b"X-Correlation-ID: ".as_slice(), line, b"\r\n"].concat());
        }
        request.extend_from_slice(b"\r\n");
        let (status, head) = traffic::raw(proxy.listen(), &request).await;
        sent += 1;
        let shown: Vec<_> = lines.iter().map(|l| String::from_utf8_lossy(&l[..l.len().min(40)]).into_owned()).collect();
        let outcome = match outcome {
            Some(outcome) => outcome,
            None if status == Some(400) => {
                *expected.entry("not_seen".into()).or_default() += 1;
                continue;
            }
            // Envoy takes a lone CR out of a value; what is left is an ID like any other.
            None => "kept",
        };
        assert_eq!(status, Some(200), "{shown:?}: {head}");
        *expected.entry(outcome.into()).or_default() += 1;
        let on_response = values(&head, "x-correlation-id");
        let [id] = on_response.as_slice() else { panic!("{shown:?}: IDs on the response: {on_response:?}") };
        assert_eq!(values(&head, SEEN), [id.as_str()], "{shown:?}: what the upstream saw");
        if outcome == "kept" {
            let sent: Vec<u8> = lines[0].iter().copied().filter(|byte| *byte != b'\r').collect();
            assert_eq!(id.as_bytes(), sent);
        } else {
            assert!(is_uuid_v7(id), "{shown:?}: {id}");
        }
        answered.push((id.clone(), outcome.to_owned()));
    }

    let scrape = proxy.settled().await;
    let counted: BTreeMap<String, u64> = scrape
        .counts_by("eucora_edge_correlation_total", ["outcome", "reason"])
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|([outcome, reason], count)| match outcome.as_str() {
            "refused" => (format!("refused_{reason}"), count),
            "none" => (reason, count),
            _ => (outcome, count),
        })
        .collect();
    assert_eq!(counted, expected);

    let log = proxy.whole_access_log(sent).await;
    let logged: Vec<(String, String)> = log
        .iter()
        .filter(|line| line["outcome"] != "none")
        .map(|line| (line["correlation_id"].as_str().unwrap().to_owned(), line["outcome"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(sorted(logged), sorted(answered));
    proxy.stop().await;
}

/// Envoy makes the IDs, whatever clients send; the filter counts them and changes no header, not even one that it would by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_envoy_makes_are_counted_and_left_alone() {
    let upstream = Upstream::start().await;
    let mut configuration: Value = serde_json::from_str(&profile_json()).unwrap();
    configuration["correlation"] = json!({"header": "x-request-id", "generate": "proxy", "respond": false});
    let options = ProxyOptions { configuration: configuration.to_string(), ..ProxyOptions::new(upstream.address) };
    let Some(proxy) = Proxy::envoy(&options).await else { return };
    let mut sent = 0;
    for (header, seen) in [
        ("accept: */*", ""),
        ("x-request-id: not an ID", ""),
        ("x-request-id: 0195d1f2-7c3b-7a90-8e21-3f6a9b2c4d5e", ""),
        ("x-correlation-id: no", "no"),
    ] {
        let request = format!(
            "GET /api/v1/health/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{BEHAVIOUR}: own-id\r\n{header}\r\n\r\n"
        );
        let (status, head) = traffic::raw(proxy.listen(), request.as_bytes()).await;
        sent += 1;
        assert_eq!(status, Some(200), "{header}: {head}");
        assert_eq!(values(&head, SEEN), [seen], "{header}: what the upstream saw");
        assert_eq!(values(&head, "x-request-id"), [""; 0], "{header}: {head}");
    }
    let counted = proxy.settled().await.counts_by("eucora_edge_correlation_total", ["outcome", "reason"]);
    let counted: Vec<_> = counted.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(["kept".to_owned(), "trusted".to_owned()], sent)]);
    proxy.stop().await;
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

fn values(head: &str, name: &str) -> Vec<String> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// RFC 9562, section 5.7, in lower case.
pub(crate) fn is_uuid_v7(id: &str) -> bool {
    is_uuid(id, '7')
}

/// A UUID of a version, RFC variant, in lower case.
pub(crate) fn is_uuid(id: &str, version: char) -> bool {
    id.len() == 36
        && id.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            14 => c == version,
            19 => matches!(c, '8' | '9' | 'a' | 'b'),
            _ => matches!(c, '0'..='9' | 'a'..='f'),
        })
}
