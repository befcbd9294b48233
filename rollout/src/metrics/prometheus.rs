//! Prometheus over its HTTP API: <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::{Answer, Metrics, MetricsError, Sample};
use crate::plan::PrometheusPlan;

/// The most of an answer that is read.
const MAX_BYTES: u64 = 64 << 20;
/// The most of a refusal that is shown, in bytes.
const MAX_SHOWN: usize = 300;

/// A Prometheus, or what answers as one does: Thanos, Mimir, VictoriaMetrics.
#[derive(Debug)]
pub struct Prometheus {
    agent: Agent,
    url: String,
    token: Option<Token>,
    timeout: Duration,
}

/// Kept out of what `Debug` shows.
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a token)")
    }
}

/// A variable that the plan names is not there.
#[derive(Debug, thiserror::Error)]
#[error("prometheus.token_env: the variable `{0}` is not set; set it to a bearer token, or leave out the field")]
pub struct NoToken(String);

impl Prometheus {
    /// As the plan has it. Nobody is asked yet.
    ///
    /// # Errors
    /// When the token's variable is not set.
    pub fn new(plan: &PrometheusPlan) -> Result<Self, NoToken> {
        let token = match &plan.token_env {
            Some(name) => Some(Token(std::env::var(name).map_err(|_| NoToken(name.clone()))?)),
            None => None,
        };
        // The machine's own certificates: many a Prometheus is behind a company's authority.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(plan.timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("edge-observer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, url: plan.url.clone(), token, timeout: plan.timeout })
    }
}

impl Metrics for Prometheus {
    fn query(&self, expression: &str, at: Timestamp) -> Result<Answer, MetricsError> {
        let time = format!("{}.{:03}", at.as_second(), at.subsec_millisecond().abs());
        let timeout = format!("{}ms", self.timeout.as_millis());
        // By POST: an expression may be longer than an address.
        let mut request = self.agent.post(format!("{}/api/v1/query", self.url));
        if let Some(Token(token)) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request
            .send_form([("query", expression), ("time", &time), ("timeout", &timeout)])
            .map_err(|error| MetricsError::Away(error.to_string()))?;
        let mut body = Vec::new();
        let limited = response.body_mut().with_config().limit(MAX_BYTES).reader().read_to_end(&mut body);
        limited.map_err(|error| MetricsError::Away(error.to_string()))?;
        read(response.status().as_u16(), &body)
    }
}

#[derive(Deserialize)]
struct Reply {
    status: String,
    data: Option<Data>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    /// Since 3.0: what may be wrong with the expression, not with the answer.
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

fn read(status: u16, body: &[u8]) -> Result<Answer, MetricsError> {
    let Ok(reply) = serde_json::from_slice::<Reply>(body) else {
        let text: String = String::from_utf8_lossy(body).chars().take(MAX_SHOWN).collect();
        let what = format!("answered {status} with what is no answer of Prometheus: {}", text.escape_debug());
        // A gateway in front of it, or another service at its address.
        return Err(if status >= 500 { MetricsError::Away(what) } else { MetricsError::Refused(what) });
    };
    match reply.data {
        Some(data) if reply.status == "success" => answer(&data, [reply.warnings, reply.infos].concat()),
        // Timed out (503) or overloaded: it may answer the next time.
        _ if status >= 500 => Err(MetricsError::Away(reply.error)),
        _ => Err(MetricsError::Refused(reply.error)),
    }
}

fn answer(data: &Data, warnings: Vec<String>) -> Result<Answer, MetricsError> {
    let strange = |error: serde_json::Error| MetricsError::Refused(format!("a result of another form: {error}"));
    let series = match data.kind.as_str() {
        "vector" => Vec::<Series>::deserialize(&data.result).map_err(strange)?,
        "scalar" => {
            let value = Deserialize::deserialize(&data.result).map_err(strange)?;
            vec![Series { metric: BTreeMap::new(), value }]
        }
        other => {
            return Err(MetricsError::Refused(format!(
                "the result is a {other}; the expression has to be an instant vector or a scalar"
            )));
        }
    };
    let mut answer = Answer { warnings, ..Answer::default() };
    for Series { metric, value: (_, value) } in series {
        match value.parse::<f64>() {
            Ok(value) if value.is_finite() => answer.samples.push(Sample { labels: metric, value }),
            _ => answer.not_numbers += 1,
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_prometheus_says_is_read() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","instance":"a"},"value":[1700000000.123,"1"]},
            {"metric":{"instance":"b"},"value":[1700000000.123,"NaN"]},{"metric":{},"value":[1,"+Inf"]}]},"warnings":["w"],"infos":["i"]}"#;
        let answer = read(200, body).unwrap();
        assert_eq!(answer.samples.len(), 1);
        assert_eq!((answer.samples[0].labels["instance"].as_str(), answer.samples[0].value), ("a", 1.0));
        assert_eq!((answer.not_numbers, answer.warnings.as_slice()), (2, ["w".to_owned(), "i".to_owned()].as_slice()));
        let scalar = read(200, br#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}"#).unwrap();
        assert_eq!(scalar.samples[0].value, 0.5);
    }

    #[test]
    fn what_is_no_answer_is_an_error_that_says_so() {
        for (status, body, expected) in [
            (
                400,
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                MetricsError::Refused("parse error".into()),
            ),
            (
                503,
                r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
                MetricsError::Away("query timed out".into()),
            ),
            (
                404,
                "404 page",
                MetricsError::Refused("answered 404 with what is no answer of Prometheus: 404 page".into()),
            ),
            (502, "", MetricsError::Away("answered 502 with what is no answer of Prometheus: ".into())),
            (
                200,
                r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
                MetricsError::Refused(
                    "the result is a matrix; the expression has to be an instant vector or a scalar".into(),
                ),
            ),
        ] {
            assert_eq!(read(status, body.as_bytes()), Err(expected), "{body}");
        }
    }

    #[test]
    fn a_server_that_is_away_or_hangs_is_away() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut plan = PrometheusPlan {
            url: format!("http://{}", listener.local_addr().unwrap()),
            token_env: None,
            timeout: Duration::from_millis(200),
            scrape_interval: Duration::from_secs(1),
        };
        // It takes the connection and says nothing.
        let hanging = Prometheus::new(&plan).unwrap().query("up", Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(hanging, MetricsError::Away(_)), "{hanging}");
        drop(listener);
        let away = Prometheus::new(&plan).unwrap().query("up", Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(away, MetricsError::Away(_)), "{away}");
        plan.token_env = Some("EDGE_OBSERVER_NO_SUCH_VARIABLE".into());
        assert!(Prometheus::new(&plan).unwrap_err().to_string().contains("is not set"));
    }

    #[test]
    fn the_query_is_sent_as_a_form_with_its_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plan = PrometheusPlan {
            url: format!("http://{}/prefix", listener.local_addr().unwrap()),
            token_env: None,
            timeout: Duration::from_secs(5),
            scrape_interval: Duration::from_secs(1),
        };
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&seen).contains("timeout=") {
                let read = stream.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..read]);
            }
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
            String::from_utf8(seen).unwrap()
        });
        let at = Timestamp::from_millisecond(1_700_000_000_250).unwrap();
        assert_eq!(Prometheus::new(&plan).unwrap().query("up{a=\"b c\"}", at), Ok(Answer::default()));
        let seen = server.join().unwrap();
        assert!(seen.starts_with("POST /prefix/api/v1/query HTTP/1.1\r\n"), "{seen}");
        assert!(
            seen.ends_with("query=up%7Ba%3D%22b%20c%22%7D&time=1700000000.250&timeout=5000ms")
                || seen.ends_with("query=up%7Ba%3D%22b+c%22%7D&time=1700000000.250&timeout=5000ms"),
            "{seen}"
        );
    }
}
