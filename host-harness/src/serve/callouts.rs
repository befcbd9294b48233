//! Callouts over the network: each thread sends its own, and its VM hears of the answers between other callbacks.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::exchange::http_headers;
use super::grpc::Grpc;
use super::options::Endpoint;
use crate::{Callout, CalloutId, CalloutOutcome, GrpcEvent, GrpcId, HeaderMap, Worker};

/// The most of a response's body that is kept, as in Envoy.
const MAX_BODY: usize = 32 << 20;

/// What came of callouts, for the thread's VM.
pub(super) type Answers = mpsc::Receiver<Answer>;

/// So many wait for the VM; further ones wait where they come from.
const ANSWERS: usize = 64;

/// What came of a callout.
#[derive(Debug)]
pub(super) enum Answer {
    /// A response, or what stands for it.
    Http(CalloutId, CalloutOutcome),
    /// A piece of a gRPC response.
    Grpc(GrpcId, GrpcEvent),
}

impl Answer {
    /// Tells the VM.
    pub(super) fn tell(self, vm: &mut Worker) {
        match self {
            Self::Http(id, outcome) => vm.answer_callout(id, outcome),
            Self::Grpc(id, event) => vm.grpc_event(id, event),
        }
    }
}

type Body = BoxBody<Bytes, Infallible>;

/// Sends one thread's callouts.
#[derive(Debug)]
pub(super) struct Callouts {
    clusters: Vec<(String, Option<Endpoint>)>,
    client: Client<HttpConnector, Body>,
    answers: mpsc::Sender<Answer>,
    grpc: Grpc,
}

impl Callouts {
    /// With where the answers come out.
    pub(super) fn new(clusters: &[(String, Option<Endpoint>)], connect_timeout: Duration) -> (Self, Answers) {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        let (answers, answered) = mpsc::channel(ANSWERS);
        let grpc = Grpc::new(clusters, connect_timeout, answers.clone());
        let client = Client::builder(TokioExecutor::new()).build(connector);
        (Self { clusters: clusters.to_vec(), client, answers, grpc }, answered)
    }

    /// Does what the module asked for since the last call; does not wait.
    pub(super) fn carry_out(&self, vm: &mut Worker) {
        self.send(vm.take_callouts());
        self.grpc.carry_out(vm.take_grpc_commands());
        if vm.failed().is_some() {
            self.grpc.cancel_all();
        }
    }

    fn send(&self, callouts: Vec<Callout>) {
        for callout in callouts {
            let (id, timeout) = (callout.id, callout.timeout);
            let cluster = self.clusters.iter().find(|(name, _)| *name == callout.cluster);
            let endpoint = cluster.and_then(|(_, endpoint)| endpoint.as_ref());
            let request = endpoint.and_then(|endpoint| request(callout, endpoint));
            let (client, answers) = (self.client.clone(), self.answers.clone());
            tokio::task::spawn_local(async move {
                let outcome = match request {
                    Some(request) => carry_out(&client, request, timeout).await,
                    None => CalloutOutcome::Reset,
                };
                // When nobody listens any more, the VM is gone.
                drop(answers.send(Answer::Http(id, outcome)).await);
            });
        }
    }
}

/// The request as it goes out; none if it is not one that HTTP can carry.
fn request(callout: Callout, endpoint: &Endpoint) -> Option<Request<Body>> {
    let Callout { headers: map, body, trailers, .. } = callout;
    let path = PathAndQuery::try_from(map.get(":path")?).ok()?;
    let uri = Uri::builder().scheme("http").authority(endpoint.to_string()).path_and_query(path).build().ok()?;
    let mut headers = http_headers(&map);
    headers.insert(HOST, HeaderValue::from_bytes(map.get(":authority")?).ok()?);
    let body = Full::new(Bytes::from(body));
    let body = if trailers.is_empty() {
        body.boxed()
    } else {
        let trailers = http_headers(&trailers);
        body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed()
    };
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(map.get(":method")?).ok()?;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some(request)
}

/// One callout, from the request to the last byte of its response. The time-out makes a 504 until there are headers, and breaks the
/// response off after that.
async fn carry_out(
    client: &Client<HttpConnector, Body>,
    request: Request<Body>,
    timeout: Option<Duration>,
) -> CalloutOutcome {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let response = match within(deadline, client.request(request)).await {
        Some(Ok(response)) => response,
        Some(Err(error)) if error.is_connect() => return CalloutOutcome::connection_failure(),
        Some(Err(_)) => return CalloutOutcome::connection_termination(),
        None => return CalloutOutcome::timeout(),
    };
    let (parts, body) = response.into_parts();
    let mut headers = HeaderMap::from([(":status", parts.status.as_str())]);
    headers.extend(parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    match within(deadline, Limited::new(body, MAX_BODY).collect()).await {
        Some(Ok(body)) => {
            let trailers = body.trailers().into_iter().flatten();
            let trailers = trailers.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            CalloutOutcome::Response { headers, body: body.to_bytes().into(), trailers }
        }
        Some(Err(_)) | None => CalloutOutcome::Reset,
    }
}

/// The outcome of a future, unless its time is over before.
pub(super) async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
