//! One exchange: the request through the module to the upstream, the response back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use super::gate::{Direction, Interrupt};
use super::pool::{Line, PoolError};
use super::proxy::{Client, Proxy};
use super::request::{self, Refused};
use super::request_body::RequestBody;
use super::response_body::{ResponseBody, Source};
use super::stream::{Guard, Stream, flags};
use super::tunnel;
use crate::{HeaderMap, HeadersOutcome, LocalReply};

/// The stream is to be broken off without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the stream was reset")]
pub(super) struct Reset;

type Answer = Result<Response<ResponseBody>, Reset>;

/// A request whose headers the module has seen.
struct Begun {
    outcome: HeadersOutcome,
    connect: bool,
    websocket: bool,
}

/// Answers one request.
///
/// The module gets the headers at once and not when the future is first polled: hyper drops that future unpolled when it
/// finds the request and the client's leaving in one read, and the stream would be one that the module knows nothing of.
pub(super) fn handle(
    proxy: Rc<Proxy>,
    client: Rc<Client>,
    mut request: Request<Incoming>,
) -> impl Future<Output = Answer> {
    let guard = Guard::begin(&proxy, &client, request.version());
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let begun = request::check(&parts, &client, proxy.options.max_request_headers).map(|accepted| {
        let stream = guard.stream();
        let end = body.is_end_stream() && !accepted.websocket;
        if end {
            stream.request_ended();
        }
        let outcome = proxy.vm.borrow_mut().request_headers(stream.id, accepted.headers, end);
        Begun { outcome, connect: accepted.connect, websocket: accepted.websocket }
    });
    async move {
        match begun {
            Ok(begun) => proceed(proxy, guard, begun, on_upgrade, body).await,
            Err(refused) => Ok(refuse(guard, *refused)),
        }
    }
}

/// From the module's answer to the request's headers on.
async fn proceed(proxy: Rc<Proxy>, guard: Guard, begun: Begun, on_upgrade: OnUpgrade, body: Incoming) -> Answer {
    let stream = Rc::clone(guard.stream());
    let Begun { outcome, connect, websocket } = begun;
    if let Err(interrupt) = settle(&stream, outcome, Direction::Request).await {
        return answer_interrupt(guard, interrupt).await;
    }
    if connect {
        let reply = local_reply(guard, StatusCode::NOT_FOUND, flags::NO_ROUTE, "route_not_found", "");
        return reply.await.map(closing);
    }
    let incoming = (!body.is_end_stream()).then_some(body);
    let grpc = is_grpc(proxy.vm.borrow().request_map(stream.id));
    let Some(upstream_request) = upstream_request(&stream, incoming, grpc, &proxy.options.upstream.to_string()) else {
        return local_reply(guard, StatusCode::BAD_GATEWAY, 0, "invalid_request_after_filters", "").await;
    };

    let sent = std::time::Instant::now();
    stream.goes_upstream();
    let ready = Cell::new(None);
    let connected = |line: &Line| {
        ready.set(u64::try_from(sent.elapsed().as_nanos()).ok());
        stream.connected(line);
    };
    let pool = &proxy.pool;
    let exchange = async {
        if grpc {
            pool.send_http2(upstream_request, connected).await
        } else {
            pool.send(upstream_request, connected).await
        }
    };
    let mut response = tokio::select! {
        biased;
        interrupt = stream.gate.interrupted() => return answer_interrupt(guard, interrupt).await,
        response = exchange => match response {
            Ok(response) => response,
            Err(error) => {
                // What went wrong with the body says more than what that did to the upstream's connection.
                let interrupt = tokio::select! {
                    biased;
                    interrupt = stream.gate.interrupted() => Some(interrupt),
                    () = std::future::ready(()) => None,
                };
                return match interrupt {
                    Some(interrupt) => answer_interrupt(guard, interrupt).await,
                    None => upstream_failed(guard, &error).await,
                };
            }
        },
        () = timed_out(&stream, proxy.options.route_timeout) => {
            let text = "upstream request timeout";
            return local_reply(guard, StatusCode::GATEWAY_TIMEOUT, flags::UPSTREAM_TIMEOUT, "response_timeout", text).await;
        }
    };
    stream.upstream_us.set(u64::try_from(sent.elapsed().as_micros()).ok());
    stream.answered(ready.get());

    let switched = websocket && response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let upstream_upgrade = switched.then(|| hyper::upgrade::on(&mut response));
    let (parts, incoming) = response.into_parts();
    let end = !switched && incoming.is_end_stream();
    let headers = request::response_headers(&parts, switched);
    let outcome = proxy.vm.borrow_mut().response_headers(stream.id, headers, end);
    if let Err(interrupt) = settle(&stream, outcome, Direction::Response).await {
        return answer_interrupt(guard, interrupt).await;
    }
    if let Some(upstream_upgrade) = upstream_upgrade {
        return Ok(switch(guard, on_upgrade, upstream_upgrade));
    }
    let deadline = stream.request_done.borrow().map(|done| (done + proxy.options.route_timeout).into());
    let source = if end { Source::Empty } else { Source::Upstream { incoming, late_end: !grpc } };
    let response = respond(guard, source, true, |body| body.with_deadline(deadline));
    Ok(if websocket { closing(response) } else { response })
}

/// Waits until headers may go on.
async fn settle(stream: &Rc<Stream>, outcome: HeadersOutcome, direction: Direction) -> Result<(), Interrupt> {
    stream.proxy.route_events();
    match outcome {
        HeadersOutcome::Continue => Ok(()),
        HeadersOutcome::Pause => stream.gate.wait(direction).await,
        HeadersOutcome::LocalReply(reply) => Err(Interrupt::Reply(reply)),
        HeadersOutcome::Close => Err(Interrupt::Close),
    }
}

/// Returns when the upstream has had its time, which runs from the end of the request.
async fn timed_out(stream: &Stream, limit: Duration) {
    let mut done = stream.request_done.subscribe();
    let ended = done.wait_for(Option::is_some).await.ok().and_then(|ended| *ended);
    match ended {
        Some(ended) => tokio::time::sleep_until((ended + limit).into()).await,
        None => std::future::pending().await,
    }
}

/// Answers a request that the module does not get to see; it hears of it in its log phase.
fn refuse(guard: Guard, refused: Refused) -> Response<ResponseBody> {
    let stream = guard.stream();
    stream.explain(refused.flags, refused.details);
    if let Some(headers) = refused.headers {
        stream.keep_unseen(headers);
    }
    if refused.flags & flags::DOWNSTREAM_PROTOCOL_ERROR != 0 {
        stream.proxy.counters.cx_protocol_error.inc();
    }
    stream.respond(refused.status.as_u16());
    let mut response = Response::new(ResponseBody::new(guard, Source::Empty, false, None));
    *response.status_mut() = refused.status;
    if refused.close { closing(response) } else { response }
}

async fn answer_interrupt(guard: Guard, interrupt: Interrupt) -> Answer {
    match interrupt {
        Interrupt::Reply(reply) => Ok(module_reply(guard, reply)),
        Interrupt::Close => {
            guard.stream().explain(flags::LOCAL_RESET, "wasm_close_stream");
            Err(Reset)
        }
        Interrupt::Malformed => {
            let flags = flags::DOWNSTREAM_PROTOCOL_ERROR;
            guard.stream().proxy.counters.cx_protocol_error.inc();
            let reply = local_reply(guard, StatusCode::BAD_REQUEST, flags, "http1.codec_error", "");
            Box::pin(reply).await.map(closing)
        }
    }
}

async fn upstream_failed(guard: Guard, error: &PoolError) -> Answer {
    let prefix = "upstream connect error or disconnect/reset before headers. reset reason:";
    let (status, flags, reason, text) = match error {
        PoolError::Connect(error) => {
            guard.stream().not_connected(format!("delayed connect error: {}", os_text(error)));
            let reason =
                format!("remote_connection_failure|delayed_connect_error:_{}", os_text(error).replace(' ', "_"));
            (StatusCode::SERVICE_UNAVAILABLE, flags::CONNECTION_FAILURE, reason, "remote connection failure")
        }
        PoolError::ConnectTimeout => {
            let reason = String::from("connection_timeout");
            (StatusCode::SERVICE_UNAVAILABLE, flags::CONNECTION_FAILURE, reason, "connection timeout")
        }
        PoolError::Request(error) if error.is_parse() => {
            let reason = String::from("protocol_error");
            (StatusCode::BAD_GATEWAY, flags::UPSTREAM_PROTOCOL_ERROR, reason, "protocol error")
        }
        PoolError::Request(_) => {
            let reason = String::from("connection_termination");
            (StatusCode::SERVICE_UNAVAILABLE, flags::CONNECTION_TERMINATION, reason, "connection termination")
        }
    };
    let details = format!("upstream_reset_before_response_started{{{reason}}}");
    local_reply(guard, status, flags, &details, &format!("{prefix} {text}")).await
}

/// The system's words without the number that Rust adds.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().map(String::from).unwrap_or(text)
}

/// A response of the proxy's own, which the module sees as it sees the upstream's.
async fn local_reply(guard: Guard, status: StatusCode, flags: u64, details: &str, text: &str) -> Answer {
    let stream = Rc::clone(guard.stream());
    stream.explain(flags, details);
    let mut headers = HeaderMap::new();
    headers.add(":status", status.as_str());
    headers.add("content-length", text.len().to_string());
    if !text.is_empty() {
        headers.add("content-type", "text/plain");
    }
    let outcome = {
        let mut vm = stream.proxy.vm.borrow_mut();
        vm.set_response_details(stream.id, details);
        vm.response_headers(stream.id, headers, text.is_empty())
    };
    match settle(&stream, outcome, Direction::Response).await {
        Ok(()) => {}
        Err(Interrupt::Reply(reply)) => return Ok(module_reply(guard, reply)),
        Err(Interrupt::Close | Interrupt::Malformed) => return Err(Reset),
    }
    let source = if text.is_empty() { Source::Empty } else { Source::Bytes(Bytes::copy_from_slice(text.as_bytes())) };
    Ok(respond(guard, source, true, |body| body))
}

/// A response that the module gives instead of the upstream's.
fn module_reply(guard: Guard, reply: LocalReply) -> Response<ResponseBody> {
    let status = reply.status();
    let stream = guard.stream();
    stream.explain(0, reply.details);
    stream.respond(status);
    let headers = http_headers(&reply.headers);
    let source = if reply.body.is_empty() { Source::Empty } else { Source::Bytes(reply.body.into()) };
    let length = content_length(&headers);
    assemble(status, headers, ResponseBody::new(guard, source, false, length))
}

/// The response as the module left it.
fn respond(
    guard: Guard,
    source: Source,
    through_module: bool,
    finish: impl FnOnce(ResponseBody) -> ResponseBody,
) -> Response<ResponseBody> {
    let stream = guard.stream();
    let (status, headers) = {
        let vm = stream.proxy.vm.borrow();
        let map = vm.response_map(stream.id);
        (status_of(map), http_headers(map))
    };
    stream.respond(status);
    let length = content_length(&headers);
    assemble(status, headers, finish(ResponseBody::new(guard, source, through_module, length)))
}

/// Hands both connections to a tunnel and tells the client to go over.
fn switch(guard: Guard, client: OnUpgrade, upstream: OnUpgrade) -> Response<ResponseBody> {
    let stream = Rc::clone(guard.stream());
    let (status, headers) = {
        let vm = stream.proxy.vm.borrow();
        let map = vm.response_map(stream.id);
        (status_of(map), http_headers(map))
    };
    stream.respond(status);
    let proxy = &stream.proxy;
    proxy.tasks.spawn_local(tunnel::run(guard, client, upstream));
    assemble(status, headers, ResponseBody::switched())
}

fn assemble(status: u16, headers: http::HeaderMap, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

/// The connection ends with this response.
fn closing(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn status_of(map: &HeaderMap) -> u16 {
    map.get(":status")
        .and_then(|status| std::str::from_utf8(status).ok())
        .and_then(|status| status.parse().ok())
        .unwrap_or(500)
}

fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The lines that HTTP can carry; a module may have made others, which are left out.
pub(super) fn http_headers(map: &HeaderMap) -> http::HeaderMap {
    let mut headers = http::HeaderMap::with_capacity(map.len());
    for (name, value) in map.iter().filter(|(name, _)| !name.starts_with(b":")) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn is_grpc(map: &HeaderMap) -> bool {
    map.get("content-type").is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Whether a request of this method that has no body says so, as Envoy has it.
fn may_have_body(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::TRACE, Method::CONNECT].contains(method)
}

/// The request as the module left it; none if it is no longer one.
fn upstream_request(
    stream: &Rc<Stream>,
    incoming: Option<Incoming>,
    http2: bool,
    upstream: &str,
) -> Option<Request<RequestBody>> {
    let (method, uri, headers) = {
        let vm = stream.proxy.vm.borrow();
        let map = vm.request_map(stream.id);
        let method = Method::from_bytes(map.get(":method")?).ok()?;
        let path = http::uri::PathAndQuery::try_from(map.get(":path")?).ok()?;
        let authority = map.get(":authority").unwrap_or_default();
        let mut headers = http_headers(map);
        let uri = if http2 {
            // HTTP/2 needs an authority that is one; what the client wrote may be anything.
            let authority = http::uri::Authority::try_from(authority).or_else(|_| upstream.parse()).ok()?;
            Uri::builder().scheme("http").authority(authority).path_and_query(path).build().ok()?
        } else {
            headers.insert(HOST, HeaderValue::from_bytes(authority).ok()?);
            if incoming.is_none() && may_have_body(&method) && !headers.contains_key(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            Uri::from(path)
        };
        (method, uri, headers)
    };
    let chunked = !http2 && content_length(&headers).is_none();
    let mut request = Request::new(RequestBody::new(stream, incoming, chunked));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    Some(request)
}
