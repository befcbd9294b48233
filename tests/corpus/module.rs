//! The corpus through the built module in the embedded host.

use std::collections::BTreeMap;
use std::time::Duration;

use host_harness::test::{Host, Reply, Request};
use host_harness::{Cost, HeaderMap, Module, StreamEnd};
use serde_json::Value;

use super::case::{Driver, Headers, Observed, Step, Text};
use crate::support::proxy::module;

/// A host with one worker.
pub(crate) struct ModuleDriver {
    host: Host,
    namespace: String,
    /// What the last stream cost.
    cost: Cost,
}

impl ModuleDriver {
    /// For a configuration.
    pub(crate) fn new(config: &str) -> Self {
        Self::with(&module(), config)
    }

    /// The same with this module.
    pub(crate) fn with(module: &Module, config: &str) -> Self {
        let value: Value = serde_json::from_str(config).unwrap();
        let namespace = value["namespace"].as_str().unwrap_or("eucora").to_owned();
        let host = Host::builder().module(module).configuration(config).workers(1).seed(7).start().unwrap();
        Self { host, namespace, cost: Cost::default() }
    }

    /// What the last stream cost.
    pub(crate) fn cost(&self) -> &Cost {
        &self.cost
    }

    /// Bytes of the worker's memory.
    pub(crate) fn memory(&mut self) -> usize {
        self.host.worker(0).memory_size()
    }

    fn state(&self, set: &[(String, Vec<u8>)]) -> BTreeMap<String, Vec<u8>> {
        let prefix = format!("wasm.{}.", self.namespace);
        set.iter().filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value.clone()))).collect()
    }
}

fn map(lines: &[(Text, Text)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in Text::headers(lines) {
        map.add(name, value);
    }
    map
}

fn lines(map: &HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

impl Driver for ModuleDriver {
    fn request(&mut self, step: &Step) -> Observed {
        let headers = map(&step.request.headers);
        let duration = Duration::from_micros(step.duration_us);
        if step.log_only {
            let finished = self.host.log_only(
                0,
                StreamEnd {
                    code: step.response.as_ref().map(|answer| answer.status),
                    duration_ns: Some(step.duration_us * 1000),
                    request_headers: Some(headers),
                    response_headers: step
                        .response
                        .as_ref()
                        .map(|answer| HeaderMap::from([(":status", answer.status.to_string())])),
                    ..StreamEnd::default()
                },
            );
            self.cost = finished.cost;
            return Observed { state: self.state(&finished.filter_state), ..Observed::default() };
        }
        let mut request = Request::get("/").headers(headers).takes(duration);
        if let Some(source) = &step.source {
            request = request.source(source.parse().unwrap());
        }
        if step.abort {
            request = request.aborted();
        } else if let Some(answer) = &step.response {
            let mut reply = Reply::status(answer.status);
            for (name, value) in Text::headers(&answer.headers) {
                reply = reply.header(name, value);
            }
            if !answer.trailers.is_empty() {
                reply = reply.trailers(map(&answer.trailers));
            }
            request = request.reply(reply);
        }
        let exchange = self.host.exchange(request);
        assert!(!exchange.stuck && exchange.local_reply.is_none(), "the filter touched the stream: {exchange:?}");
        self.cost = exchange.cost;
        Observed {
            upstream: exchange.upstream.map(|message| lines(&message.headers)).unwrap_or_default(),
            response: exchange.response.map(|message| lines(&message.headers)).unwrap_or_default(),
            state: self.state(&exchange.filter_state),
        }
    }

    fn counters(&mut self) -> BTreeMap<String, u64> {
        self.host.advance(Duration::from_secs(3));
        self.host.stats().into_iter().collect()
    }
}
