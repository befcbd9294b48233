//! One variant's Envoy, and whether it does its work.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use edge_observer::client::{Connection, Protocol, RequestBody};
use edge_observer::envoy::{AccessLog, EnvoyOptions, EnvoyProxy, OwnAnswers};
use edge_observer::scrape;
use edge_observer::tools::{Fetch, Tools};
use http::{Request, StatusCode, header};

use crate::variants::{CORRELATION_HEADER, Correlates, REQUEST_ID_HEADER, Variant};
use crate::workload::{self, ANSWER, Files, Sent, Workload};

/// How long Envoy may take to start, under Callgrind too.
const START: Duration = Duration::from_secs(120);
/// How long a filter may take to hand over its counts.
const HAND_OVER: Duration = Duration::from_secs(30);

/// Envoy's binary; it is fetched where there is none.
pub(crate) async fn envoy_binary() -> Result<PathBuf> {
    Ok(tokio::task::spawn_blocking(|| Tools::new(Fetch::Allowed).envoy()).await??.path)
}

/// A variant that runs.
pub(crate) struct Running<'a> {
    pub(crate) variant: &'a Variant,
    pub(crate) envoy: EnvoyProxy,
    pub(crate) pid: u32,
    sent: u64,
}

impl<'a> Running<'a> {
    /// Starts it, with this program as Envoy.
    pub(crate) async fn start(
        variant: &'a Variant,
        program: PathBuf,
        upstream: SocketAddr,
        workers: u32,
    ) -> Result<Self> {
        let (module, configuration) = variant.wasm.clone().unwrap_or_default();
        let mut options = EnvoyOptions::new(program, module);
        options.configuration = configuration;
        options.delivery = variant.delivery.clone();
        options.upstream = upstream.into();
        options.workers = workers;
        options.start_timeout = START;
        options.access_log = AccessLog::Off;
        options.own_answers = Some(OwnAnswers { header: ANSWER, statuses: vec![StatusCode::OK] });
        options.request_id_in_response = variant.correlates == Correlates::Envoy;
        let envoy = EnvoyProxy::start(options).await?;
        let pid = envoy.pid().context("Envoy has no process ID")?;
        Ok(Self { variant, envoy, pid, sent: 0 })
    }

    /// One run of the load generator.
    pub(crate) async fn send(&mut self, workload: Workload, requests: u32, files: &Files) -> Result<Sent> {
        let sent = workload::send(self.envoy.listen(), workload, requests, files).await?;
        self.sent += u64::from(requests);
        Ok(sent)
    }

    /// That it does its work: a correlation ID that came is given back, and one is made where none came.
    pub(crate) async fn probe(&mut self, path: &str) -> Result<()> {
        let name = match self.variant.correlates {
            Correlates::Nobody | Correlates::Filter => CORRELATION_HEADER,
            Correlates::Envoy => REQUEST_ID_HEADER,
        };
        for given in [Some("0195d1f2-7c3b-7a90-8e21-3f6a9b2c4d5e"), None] {
            let mut connection = Connection::open(self.envoy.listen(), Protocol::Http1).await?;
            let mut request = Request::get(path).header(header::HOST, "edge").header(ANSWER, "200");
            if let Some(id) = given {
                request = request.header(name, id);
            }
            let answer = connection.send(request.body(RequestBody::default())?).await?;
            self.sent += 1;
            ensure!(answer.status() == StatusCode::OK, "answers with {}", answer.status());
            let id = answer.headers().get(name).map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
            match (self.variant.correlates, id, given) {
                (Correlates::Nobody, None, _) => {}
                (Correlates::Filter, Some(id), None) if id.len() >= 32 => {}
                // The floor makes an ID without a look at what came, and Envoy believes none from outside.
                (Correlates::Filter, Some(id), Some(given)) if id == given || self.variant.makes_every_id() => {}
                (Correlates::Envoy, Some(_), _) => {}
                (_, id, _) => bail!("{name} is {id:?} on the response where {given:?} came"),
            }
        }
        Ok(())
    }

    /// That neither the proxy nor the filter has missed or made up a request.
    pub(crate) async fn check_counts(&self) -> Result<()> {
        let total = self.envoy.stat("http.ingress.downstream_rq_total").await?;
        ensure!(total == Some(self.sent), "{} requests were sent, and Envoy has counted {total:?}", self.sent);
        if let Some(metric) = &self.variant.counts {
            let count = |scrape: &scrape::Scrape| scrape.count(metric, &[]);
            let waited = scrape::wait_until(self.envoy.admin(), HAND_OVER, |scrape| count(scrape) == self.sent).await?;
            ensure!(
                waited.in_time,
                "{} requests were sent, and {metric} has counted {}",
                self.sent,
                count(&waited.scrape)
            );
        }
        let complaints = self.envoy.complaints();
        ensure!(complaints.is_empty(), "Envoy complains: {}", complaints.join("; "));
        Ok(())
    }
}
