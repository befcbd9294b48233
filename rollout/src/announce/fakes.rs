//! Receivers on loopback that check what they get as the real ones do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) line: String,
    /// In lower case, with their values.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A server; it ends with the test's process.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Fake {
    /// Answers with a status and a body; with status 0 not at all, and holds the connection.
    pub(super) fn new(answer: impl Fn(usize, &Got) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&got);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let count = own.lock().unwrap().len();
                let (status, body) = answer(count, &request);
                own.lock().unwrap().push(request);
                if status == 0 {
                    held.push(stream);
                    continue;
                }
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close"
                );
                // The client may have left.
                let _ = write!(stream, "{head}\r\n\r\n{body}");
            }
        });
        Self { url, got }
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Got> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<(String, String)> = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got { line: lines.first()?.clone(), headers, body: String::from_utf8(body).unwrap() })
}

/// What `POST /api/annotations` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, dead_code, reason = "Grafana's names; what is there is checked by reading it")]
struct Post {
    dashboardUID: Option<String>,
    panelId: Option<i64>,
    time: i64,
    timeEnd: Option<i64>,
    tags: Vec<String>,
    text: String,
}

/// What `PATCH /api/annotations/:id` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, dead_code, reason = "Grafana's names; what is there is checked by reading it")]
struct Patch {
    text: Option<String>,
    tags: Option<Vec<String>>,
    time: Option<i64>,
    timeEnd: Option<i64>,
}

/// Grafana with one token. Annotations get the IDs 1, 2, …
pub(super) fn grafana(token: &'static str) -> Fake {
    Fake::new(move |count, got| {
        if got.header("authorization") != Some(&format!("Bearer {token}")) {
            return (401, r#"{"message":"Invalid API key"}"#.to_owned());
        }
        if got.header("content-type") != Some("application/json") {
            return (400, r#"{"message":"bad request data"}"#.to_owned());
        }
        let bad = |error: serde_json::Error| (400, format!("{{\"message\":{:?}}}", error.to_string()));
        if got.line == "POST /api/annotations HTTP/1.1" {
            match serde_json::from_str::<Post>(&got.body) {
                Err(error) => bad(error),
                Ok(post) if post.text.is_empty() => (400, r#"{"message":"text field should not be empty"}"#.to_owned()),
                Ok(post) if post.time <= 0 || post.timeEnd.is_some_and(|end| end < post.time) => {
                    (400, r#"{"message":"invalid time range"}"#.to_owned())
                }
                Ok(_) => (200, format!(r#"{{"message":"Annotation added","id":{}}}"#, count + 1)),
            }
        } else if let Some(id) =
            got.line.strip_prefix("PATCH /api/annotations/").and_then(|rest| rest.split(' ').next())
        {
            match serde_json::from_str::<Patch>(&got.body) {
                Err(error) => bad(error),
                Ok(_) if id.parse::<usize>().is_ok_and(|id| id <= count) => {
                    (200, r#"{"message":"Annotation patched"}"#.to_owned())
                }
                Ok(_) => (404, r#"{"message":"Could not find annotation to update"}"#.to_owned()),
            }
        } else {
            (404, r#"{"message":"Not found"}"#.to_owned())
        }
    })
}
