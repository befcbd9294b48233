use super::*;
use crate::testing::A::{N, O, S};
use crate::testing::Probe;

const LINE: &str =
    r#"192.0.2.7 - - [17/May/2015:10:05:03 +0200] "GET /a?b HTTP/1.1" 200 20000 "http://x.example/" "curl""#;

fn all(recording: &str) -> Vec<Result<Recorded, Skip>> {
    read(recording.as_bytes()).unwrap().map(Result::unwrap).collect()
}

/// What each exchange of a recording comes to with a module that does nothing.
fn exchanges(recording: &str) -> Vec<crate::test::Exchange> {
    let mut host = Probe::default().host().start().unwrap();
    let requests = all(recording).into_iter().filter_map(|recorded| match recorded.ok()?.arrival {
        Arrival::Request(request) => Some(*request),
        Arrival::Refused => None,
    });
    requests.map(|request| host.exchange(request)).collect()
}

#[test]
fn a_line_becomes_a_request_and_its_answer() {
    let recorded = all(LINE);
    assert_eq!(recorded[0].as_ref().unwrap().start_ns, Some(1_431_849_903_000_000_000));
    let exchange = &exchanges(LINE)[0];
    let upstream = exchange.upstream.as_ref().unwrap();
    let got: Vec<_> =
        [":method", ":path", ":authority", "referer", "user-agent"].map(|name| upstream.header(name)).into();
    assert_eq!(got, [Some("GET"), Some("/a?b"), Some("example.com"), Some("http://x.example/"), Some("curl")]);
    assert_eq!(exchange.status(), Some(200));
    assert_eq!(exchange.response_header("content-length"), Some("20000"));
    assert_eq!(exchange.response.as_ref().unwrap().body, vec![0; 20_000]);
}

#[test]
fn what_lines_can_say() {
    let line = |request: &str, rest: &str| format!("h - - [17/May/2015:10:05:03 +0000] \"{request}\" {rest}\n");
    let exchange = |request: &str, rest: &str| exchanges(&line(request, rest)).remove(0);
    let absolute = exchange("GET http://api.example:81/x HTTP/1.1", "200 0");
    assert_eq!(
        (absolute.upstream_header(":authority"), absolute.upstream_header(":path")),
        (Some("api.example:81"), Some("/x"))
    );
    assert_eq!(exchange("OPTIONS * HTTP/1.1", "200 0").upstream_header(":path"), Some("*"));
    let head = exchange("HEAD / HTTP/1.1", "200 5");
    assert_eq!(head.response_header("content-length"), None);
    assert_eq!(head.response.unwrap().body.len(), 0);
    assert_eq!(exchange("GET / HTTP/1.1", "499 0").status(), None, "the client left");
    assert!(matches!(all(&line("GET /a b HTTP/1.1", "400 0"))[0].as_ref().unwrap().arrival, Arrival::Refused));
    assert_eq!(all(&line("-", "408 0"))[0].as_ref().unwrap_err(), "no request (`-`)");
    let long = format!("{}\n{LINE}", "x".repeat(3 << 20));
    let [skip, good] = all(&long).try_into().unwrap();
    assert_eq!((skip.unwrap_err().as_str(), good.is_ok()), ("longer than 1 MiB", true));
}

const HAR: &str = r#"
{"log": {"version": "1.2", "creator": {"name": "x"}, "entries": [
  {"startedDateTime": "2026-01-02T00:00:01.500Z", "time": 250.5,
   "request": {"method": "POST", "url": "https://api.example/v1/things?x=1", "httpVersion": "h2",
     "headers": [{"name": ":authority", "value": "other"}, {"name": "Host", "value": "other"}, {"name": "X-A", "value": "1"},
                 {"name": "x-a", "value": "2"}, {"name": "Connection", "value": "close"}],
     "postData": {"mimeType": "text/plain", "text": "hello"}, "bodySize": 5},
   "response": {"status": 201, "headers": [{"name": "Content-Encoding", "value": "gzip"}, {"name": "Content-Length", "value": "31"}],
     "content": {"size": 4, "text": "d29ybA==", "encoding": "base64"}}},
  {"startedDateTime": "2026-01-02T00:00:00Z", "time": 1,
   "request": {"method": "GET", "url": "http://api.example/early", "httpVersion": "HTTP/1.1", "headers": []},
   "response": {"status": 0, "headers": [], "content": {"size": 0}}},
  {"request": {"method": "GET", "url": "ftp://a/b"}, "response": {"status": 200}},
  {"request": {"method": "GET", "url": "http://a/b c"}, "response": {"status": 200}},
  {"request": {"method": "GET", "url": "http://a/b"}, "response": {"status": 20000}}
]}}"#;

#[test]
fn a_har_file_becomes_its_exchanges_in_order_of_time() {
    let recorded = all(HAR);
    let skipped: Vec<&str> =
        recorded.iter().filter_map(|recorded| recorded.as_ref().err().map(String::as_str)).collect();
    let expected = ["the URL is not one of HTTP", "the URL cannot be read", "the response has no HTTP status"];
    assert_eq!(skipped, expected);
    let times: Vec<_> = recorded.iter().filter_map(|recorded| recorded.as_ref().ok()?.start_ns).collect();
    assert_eq!(times, [1_767_312_000_000_000_000, 1_767_312_001_500_000_000]);

    let [early, posted] = exchanges(HAR).try_into().unwrap();
    assert_eq!((early.upstream_header(":path"), early.status()), (Some("/early"), None));
    let upstream = posted.upstream.as_ref().unwrap();
    let got: Vec<_> =
        [":method", ":path", ":authority", ":scheme", "host", "connection"].map(|name| upstream.header(name)).into();
    assert_eq!(got, [Some("POST"), Some("/v1/things?x=1"), Some("api.example"), Some("https"), None, None]);
    assert_eq!(upstream.headers.get_all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(upstream.body, b"hello");
    let response = posted.response.as_ref().unwrap();
    assert_eq!((response.status(), response.body.as_slice()), (Some(201), &b"worl"[..]));
    assert_eq!((response.header("content-encoding"), response.header("content-length")), (None, Some("4")));
}

#[test]
fn what_begins_like_a_har_file_and_is_none() {
    let error = read(&b"  {\"a\": 1}"[..]).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("it is no HAR file: missing field `log`"), "{error}");
    assert_eq!(read(&b""[..]).unwrap().count(), 0);
    assert_eq!(read(&b" \n \n"[..]).unwrap().count(), 0);
}

#[test]
fn a_replay_counts_what_comes_of_it() {
    let deny: &[crate::testing::A<'_>] = &[N(403), S("denied"), S(""), S(""), N(-1)];
    let module = Probe::default()
        .on("proxy_on_configure", &[("proxy_set_tick_period_milliseconds", &[N(1000)])])
        .on("proxy_on_configure", &[("proxy_define_metric", &[N(0), S("ticks"), O])])
        .on("proxy_on_tick", &[("proxy_increment_metric", &[N(4), crate::testing::A::L(1)])])
        .on("proxy_on_request_headers", &[("proxy_log", &[N(3), S("hm")])])
        .on("proxy_on_response_headers", &[("proxy_send_local_response", deny)])
        .on("proxy_on_log", &[]);
    let later = LINE.replace("10:05:03", "10:05:13").replace("/a?b", "/two words");
    let recording = format!("{LINE}\n{LINE}\n{later}\nnonsense\n");
    let mut recorded = all(&recording).into_iter().peekable();
    let start = recorded.peek().unwrap().as_ref().unwrap().start_ns.unwrap();
    let host = module.host().clock_at(start).workers(2).trace(false).start().unwrap();
    let mut replay = Replay::new(host, 2);
    for next in recorded {
        match next {
            Ok(recorded) => replay.play(recorded),
            Err(skip) => replay.skip(skip),
        }
    }
    let (host, report) = replay.finish();
    assert_eq!(report.streams, 3);
    assert_eq!(report.statuses, BTreeMap::from([(400, 1), (403, 2)]));
    assert_eq!(report.local_replies, BTreeMap::from([("denied".to_owned(), 2)]));
    assert_eq!((report.forwarded, report.unanswered, report.stuck), (2, 0, 0));
    assert_eq!(report.skipped, Skips::from([("not an access log line".to_owned(), 1)]));
    assert_eq!((report.failure, report.ended), (None, true));
    assert_eq!(report.log.lines, BTreeMap::from([("warning", 2)]));
    assert_eq!(report.log.complaints, ["hm", "hm"]);
    assert_eq!(report.metrics, BTreeMap::from([("ticks".to_owned(), MetricReport::Counter(3 * 11))]));
    assert_eq!(report.cost.hostcalls, BTreeMap::from([("proxy_log", 2), ("proxy_send_local_response", 2)]));
    assert_eq!(host.now_ns(), start + 11_000_000_000);
}
