//! What the sample API answers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use rand::RngExt as _;
use serde_json::json;
use std::convert::Infallible;
use telemetry::method::Method as Known;
use telemetry::route::RouteSpec;

use super::latency::Latency;
use super::{State, websocket};

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A large body's size.
const LARGE: usize = 256 << 10;

/// Where the summary is.
pub(super) const SUMMARY: &str = "/api/v1/metrics/summary";

/// How long a long poll may last.
const LONGEST_WAIT: f64 = 600.0;

/// What is known about one template.
#[derive(Debug)]
pub(super) struct Route {
    template: String,
    /// `None` is any method.
    methods: Option<Vec<Known>>,
    latency: Latency,
    payload: Payload,
    /// Probes do not fail.
    fails: bool,
}

/// The kind of body a route sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    Object,
    List,
    Large,
    Pieces,
}

impl Route {
    /// The route behind one label of the table.
    pub(super) fn new(template: &str, specs: &[RouteSpec]) -> Self {
        let mut methods = Some(Vec::new());
        for spec in specs.iter().filter(|spec| spec.template == template) {
            match (&mut methods, &spec.methods) {
                (Some(all), Some(more)) => all.extend(more.iter().copied()),
                _ => methods = None,
            }
        }
        let has = |words: &[&str]| words.iter().any(|word| template.contains(word));
        let probe = has(&["health/", "metrics"]);
        let payload = if has(&["download", "static", "schema"]) {
            Payload::Large
        } else if has(&["events", "logs"]) {
            Payload::Pieces
        } else if template.trim_end_matches('/').ends_with('}') || probe {
            Payload::Object
        } else {
            Payload::List
        };
        Self {
            template: template.to_owned(),
            methods,
            latency: if probe { Latency::PROBE } else { Latency::of(template) },
            payload,
            fails: !probe,
        }
    }

    fn allows(&self, method: &Method) -> bool {
        let known = Known::from_bytes(method.as_str().as_bytes());
        self.methods.as_ref().is_none_or(|methods| {
            methods.contains(&known)
                || (known == Known::Head && methods.contains(&Known::Get))
                || known == Known::Options
        })
    }

    fn allow(&self) -> String {
        let methods: Vec<&str> = self.methods.iter().flatten().map(|method| method.as_str()).collect();
        methods.join(", ")
    }
}

/// Answers one request.
pub(super) async fn to(state: &State, mut request: Request<Incoming>) -> Response<Body> {
    if wants_websocket(&request) {
        return upgrade(&mut request);
    }
    let wait = wait(request.uri().query());
    let asked = status(request.uri().query());
    let (head, body) = request.into_parts();
    // An upload is read to its end before it is answered.
    let received = drain(body).await;
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    let method = Known::from_bytes(head.method.as_str().as_bytes());
    let Some(route) = state.route(method, head.uri.path().as_bytes()) else {
        return error(StatusCode::NOT_FOUND, "no such path");
    };
    let write = !matches!(method, Known::Get | Known::Head | Known::Options);
    let (latency, luck, number) = state.with_rng(|rng| {
        (route.latency.draw(rng, write, state.latency_scale), rng.random::<f64>(), rng.random::<u32>())
    });
    tokio::time::sleep(latency).await;
    if is_grpc(&head.headers) && head.method == Method::POST {
        return grpc(luck);
    }
    if !route.allows(&head.method) {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
        set(&mut response, header::ALLOW, &route.allow());
        return response;
    }
    if method == Known::Options {
        let mut response = empty(StatusCode::NO_CONTENT);
        set(&mut response, header::ALLOW, &route.allow());
        return response;
    }
    if let Some(asked) = asked {
        return if asked.as_u16() == 204 || asked.as_u16() == 304 {
            empty(asked)
        } else {
            error(asked, "as asked for")
        };
    }
    if route.fails
        && let Some(status) = failure(luck / state.error_scale.max(f64::MIN_POSITIVE), write)
    {
        return error(status, "this call failed");
    }
    if head.headers.contains_key(header::IF_NONE_MATCH) && !write {
        return empty(StatusCode::NOT_MODIFIED);
    }
    let mut response = match method {
        Known::Post if route.payload == Payload::List => {
            json_answer(StatusCode::CREATED, &object(route, number, received))
        }
        Known::Delete => empty(StatusCode::NO_CONTENT),
        _ => success(route, number, received),
    };
    business(route, &head, number, state.error_scale > 0.0, &mut response);
    response
}

/// What the summary says of the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summary {
    /// It moves on with the requests.
    #[default]
    Moving,
    /// It stands still.
    Still {
        /// Deployments of each ring that are pending; of each other status there is one.
        pending: u64,
        /// What waits for the change advisory board.
        cab_queue: u64,
    },
    /// Nothing: 503.
    Unavailable,
}

/// The summary after so many requests.
pub(super) fn summary(summary: Summary, received: u64) -> Response<Body> {
    let moved = received / 50;
    let number = |status: u64, ring: u64| match summary {
        Summary::Still { pending, .. } => {
            if status == 0 {
                pending
            } else {
                1
            }
        }
        Summary::Moving | Summary::Unavailable => (moved + 3 * status + 2 * ring) % (11 - 2 * status),
    };
    let queue = match summary {
        Summary::Still { cab_queue, .. } => cab_queue,
        Summary::Moving => moved % 25,
        Summary::Unavailable => return error(StatusCode::SERVICE_UNAVAILABLE, "no database"),
    };
    let rings = |status: u64| {
        serde_json::Value::Object((0..5).map(|ring| (ring.to_string(), json!(number(status, ring)))).collect())
    };
    let statuses = ["pending", "approved", "in_progress", "completed"];
    let active: serde_json::Map<_, _> =
        (0..).zip(statuses).map(|(place, status)| (status.to_owned(), rings(place))).collect();
    json_answer(StatusCode::OK, &json!({ "active_deployments": active, "cab_queue_depth": queue }))
}

/// What a decision's or an operation's answer has beyond the others'. What the headers say is the same for the same key, so that it is no matter
/// which of several tries is counted.
fn business(route: &Route, head: &http::request::Parts, number: u32, may_fail: bool, response: &mut Response<Body>) {
    const RISK_LEVELS: [&str; 4] = ["low", "medium", "high", "critical"];
    const FAILED: &str = "failed";
    const OUTCOMES: [Option<&str>; 8] =
        [None, None, None, None, Some("success"), Some("success"), Some("skipped"), Some(FAILED)];
    if head.method != Method::POST {
        return;
    }
    let draw = match head.headers.get("idempotency-key") {
        Some(key) => {
            key.as_bytes().iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)))
        }
        None => usize::try_from(number).unwrap_or_default(),
    };
    let template = route.template.trim_end_matches('/');
    if template.ends_with("/approve") || template.ends_with("/reject") {
        if let Some(level) = RISK_LEVELS.get(draw % RISK_LEVELS.len()) {
            set(response, HeaderName::from_static("x-risk-level"), level);
        }
    } else if template.contains("/connectors/{connector}/") {
        if number.is_multiple_of(5) {
            *response.status_mut() = StatusCode::ACCEPTED;
        } else if let Some(Some(outcome)) = OUTCOMES.get(draw % OUTCOMES.len())
            && (may_fail || *outcome != FAILED)
        {
            set(response, HeaderName::from_static("x-operation-status"), outcome);
        }
    }
}

/// The small shares of requests that fail, out of one uniform draw.
fn failure(luck: f64, write: bool) -> Option<StatusCode> {
    let shares = [
        (0.004, StatusCode::NOT_FOUND),
        (0.003, if write { StatusCode::CONFLICT } else { StatusCode::FORBIDDEN }),
        (0.003, if write { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED }),
        (0.001, StatusCode::TOO_MANY_REQUESTS),
        (0.003, StatusCode::INTERNAL_SERVER_ERROR),
        (0.001, StatusCode::BAD_GATEWAY),
        (0.001, StatusCode::SERVICE_UNAVAILABLE),
    ];
    let mut passed = 0.0;
    shares.into_iter().find_map(|(share, status)| {
        passed += share;
        (luck < passed).then_some(status)
    })
}

fn success(route: &Route, number: u32, received: usize) -> Response<Body> {
    match route.payload {
        Payload::Object => json_answer(StatusCode::OK, &object(route, number, received)),
        Payload::List => {
            let items: Vec<_> =
                (0..5 + number % 20).map(|index| object(route, number.wrapping_add(index), 0)).collect();
            json_answer(StatusCode::OK, &json!({ "count": items.len(), "results": items }))
        }
        Payload::Large => {
            let chunk = Bytes::from(vec![b'.'; 16 << 10]);
            let chunks = stream::iter((0..LARGE / chunk.len()).map(move |_| Ok(Frame::data(chunk.clone()))));
            let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
            set(&mut response, header::CONTENT_TYPE, "application/octet-stream");
            set(&mut response, header::CONTENT_LENGTH, &LARGE.to_string());
            response
        }
        Payload::Pieces => {
            let chunks = stream::unfold(0_u32, move |index| async move {
                if index == 5 {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                let line = format!("{{\"sequence\": {index}, \"event\": {number}}}\n");
                Some((Ok(Frame::data(Bytes::from(line))), index + 1))
            });
            let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
            set(&mut response, header::CONTENT_TYPE, "application/x-ndjson");
            response
        }
    }
}

fn object(route: &Route, number: u32, received: usize) -> serde_json::Value {
    const CONNECTORS: [&str; 5] = ["intune", "jamf", "sccm", "landscape", "ansible"];
    const STATUSES: [&str; 4] = ["pending", "approved", "running", "done"];
    let place = usize::try_from(number).unwrap_or(0);
    json!({
        "id": number,
        "kind": route.template.split('/').rfind(|segment| !segment.is_empty() && !segment.starts_with('{')).unwrap_or("object"),
        "ring": number % 5,
        "connector": CONNECTORS.get(place % CONNECTORS.len()),
        "status": STATUSES.get(place % STATUSES.len()),
        "received_bytes": received,
    })
}

/// A gRPC answer: one empty message, then the status in the trailers; now and then an error in the trailers alone.
fn grpc(luck: f64) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    let failed = luck < 0.1;
    trailers.insert("grpc-status", HeaderValue::from_static(if failed { "5" } else { "0" }));
    trailers.insert("grpc-message", HeaderValue::from_static(if failed { "not found" } else { "" }));
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(0);
    let message = (!failed).then(|| Ok(Frame::data(message.freeze())));
    let frames = stream::iter(message.into_iter().chain([Ok(Frame::trailers(trailers))]));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    set(&mut response, header::CONTENT_TYPE, "application/grpc");
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn wants_websocket(request: &Request<Incoming>) -> bool {
    request.method() == Method::GET
        && request
            .headers()
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn upgrade(request: &mut Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return error(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing");
    };
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // A peer that hangs up without a close is no news.
        if let Ok(io) = upgraded.await {
            drop(websocket::echo(TokioIo::new(io)).await);
        }
    });
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    set(&mut response, header::UPGRADE, "websocket");
    set(&mut response, header::CONNECTION, "upgrade");
    set(&mut response, header::SEC_WEBSOCKET_ACCEPT, &websocket::accept_key(key.as_bytes()));
    response
}

fn wait(query: Option<&str>) -> Option<Duration> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("wait="))?;
    let seconds: f64 = value.parse().ok()?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_WAIT)))
}

/// The status that is asked for, where a body can go with it.
fn status(query: Option<&str>) -> Option<StatusCode> {
    let asked = query?.split('&').find_map(|pair| pair.strip_prefix("status="))?;
    StatusCode::from_bytes(asked.as_bytes()).ok().filter(|status| (200..600).contains(&status.as_u16()))
}

async fn drain(mut body: Incoming) -> usize {
    let mut received = 0;
    let mut body = Pin::new(&mut body);
    while let Some(Ok(frame)) = std::future::poll_fn(|context: &mut Context<'_>| -> Poll<_> {
        hyper::body::Body::poll_frame(body.as_mut(), context)
    })
    .await
    {
        received += frame.data_ref().map_or(0, Bytes::len);
    }
    received
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))).boxed_unsync());
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

fn error(status: StatusCode, detail: &str) -> Response<Body> {
    json_answer(status, &json!({ "detail": detail }))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Sets a header whose value is known to be one.
fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn json_of(response: Response<Body>) -> serde_json::Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn the_summary_has_every_status_and_ring_and_moves() {
        let (first, later) =
            (json_of(summary(Summary::Moving, 0)).await, json_of(summary(Summary::Moving, 5_000)).await);
        for status in ["pending", "approved", "in_progress", "completed"] {
            for ring in ["0", "1", "2", "3", "4"] {
                assert!(first["active_deployments"][status][ring].is_u64(), "{first}");
            }
        }
        assert_ne!(first, later);
        assert!(later["cab_queue_depth"].is_u64());
    }

    #[test]
    fn answers_about_business_are_the_same_for_the_same_key() {
        let answer = |template: &str, key: &'static str, number: u32| {
            let route = Route::new(template, &[]);
            let request = Request::post("/").header("idempotency-key", key).body(()).unwrap();
            let mut response = empty(StatusCode::OK);
            business(&route, &request.into_parts().0, number, true, &mut response);
            let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), text("x-risk-level"), text("x-operation-status"))
        };
        let decision = answer("/api/v1/cab/{id}/approve/", "a", 1);
        assert!(decision.1.is_some());
        assert_eq!(decision, answer("/api/v1/cab/{id}/approve/", "a", 7));
        let operation = |number| answer("/api/v1/connectors/{connector}/deploy", "c", number);
        assert_eq!(operation(1), operation(2));
        assert_eq!(operation(5).0, 202);
        assert_eq!(answer("/api/v1/users/", "a", 5), (200, None, None));
    }

    fn spec(methods: &[Known], template: &str) -> RouteSpec {
        RouteSpec {
            methods: (!methods.is_empty()).then(|| methods.to_vec()),
            template: template.to_owned(),
            name: None,
        }
    }

    #[test]
    fn methods_of_one_template_come_together() {
        let specs = [spec(&[Known::Get], "/x/"), spec(&[Known::Post], "/x/"), spec(&[], "/y")];
        let x = Route::new("/x/", &specs);
        let cases = [("GET", true), ("HEAD", true), ("POST", true), ("OPTIONS", true), ("PUT", false), ("BREW", false)];
        for (method, allowed) in cases {
            assert_eq!(x.allows(&method.parse().unwrap()), allowed, "{method}");
        }
        assert_eq!(x.allow(), "GET, POST");
        assert!(Route::new("/y", &specs).allows(&"BREW".parse().unwrap()));
    }

    #[test]
    fn failures_are_rare_and_none_without_luck() {
        assert_eq!(failure(0.0, true), Some(StatusCode::NOT_FOUND));
        assert_eq!(failure(0.0155, true), Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(failure(0.017, true), None);
        assert_eq!(failure(f64::INFINITY, false), None);
    }

    #[tokio::test]
    async fn a_summary_can_stand_still_or_be_away() {
        let still = json_of(summary(Summary::Still { pending: 7, cab_queue: 30 }, 900)).await;
        assert_eq!((&still["active_deployments"]["pending"]["4"], &still["cab_queue_depth"]), (&json!(7), &json!(30)));
        assert_eq!(still["active_deployments"]["completed"]["0"], 1);
        assert_eq!(summary(Summary::Unavailable, 0).status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_status_comes_from_the_query() {
        for (query, expected) in [
            ("status=503", Some(503)),
            ("a=1&status=204", Some(204)),
            ("status=99", None),
            ("status=600", None),
            ("status=", None),
            ("", None),
        ] {
            assert_eq!(status(Some(query)).map(|status| status.as_u16()), expected, "{query}");
        }
    }

    #[test]
    fn waits_come_from_the_query_and_have_a_limit() {
        let cases = [
            (None, None),
            (Some("a=1"), None),
            (Some("wait=soon"), None),
            (Some("wait=-1"), None),
            (Some("wait=NaN"), None),
            (Some("a=1&wait=0.5"), Some(500)),
            (Some("wait=1e9"), Some(600_000)),
        ];
        for (query, expected) in cases {
            assert_eq!(wait(query), expected.map(Duration::from_millis), "{query:?}");
        }
    }
}
