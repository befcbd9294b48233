//! Splunk's HTTP Event Collector, with its codes and, where the token has it, acknowledgement.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Behaviour, Kind, Said, Seen, State, misbehaviour};

/// The numbers given out on each channel, with how often each was asked for.
pub(super) type Acks = BTreeMap<String, BTreeMap<u64, u32>>;

pub(super) fn collect(state: &mut State, seen: &Seen, behaviour: Behaviour, acknowledges: bool) -> Said {
    let authorization = seen.header("authorization");
    let Some(token) = authorization.strip_prefix("Splunk ") else {
        let said = if authorization.is_empty() { code(401, 2) } else { code(401, 3) };
        return state.complain(said, "no Splunk token");
    };
    if token != Kind::Splunk.secret() {
        return state.complain(code(403, 4), "the token is wrong");
    }
    let channel = seen.header("x-splunk-request-channel").to_owned();
    if acknowledges && channel.len() != 36 {
        return state.complain(code(400, if channel.is_empty() { 10 } else { 11 }), format!("channel: {channel:?}"));
    }
    match seen.path.as_str() {
        "/services/collector/event" | "/services/collector" => {}
        "/services/collector/ack" if acknowledges => return acks(state, seen),
        "/services/collector/ack" => return code(400, 14),
        path => return state.complain(Said::new(404, ""), format!("POST {path}")),
    }
    match behaviour {
        Behaviour::Refuse => return code(403, 1),
        Behaviour::Busy => return code(503, 9),
        Behaviour::Fail => return code(500, 8),
        behaviour => {
            if let Some(said) = misbehaviour(behaviour, seen.body.len()) {
                return said;
            }
        }
    }
    let mut records = Vec::new();
    for (number, envelope) in serde_json::Deserializer::from_slice(&seen.body).into_iter::<Value>().enumerate() {
        let problem = match &envelope {
            Ok(Value::Object(fields)) => match fields.get("event") {
                None => Some(12),
                Some(Value::String(text)) if text.is_empty() => Some(13),
                Some(_) if fields.get("time").is_some_and(|time| !time.is_number()) => Some(6),
                Some(_) => None,
            },
            Ok(_) | Err(_) => Some(6),
        };
        if let Some(problem) = problem {
            let mut said = code(400, problem);
            said.body = said.body.replace('}', &format!(r#","invalid-event-number":{number}}}"#));
            return state.complain(said, format!("event {number}: code {problem}: {envelope:?}"));
        }
        records.extend(envelope.ok().map(|envelope| envelope["event"].clone()));
    }
    if records.is_empty() {
        return state.complain(code(400, 5), "no data");
    }
    state.take(records);
    if !acknowledges {
        return code(200, 0);
    }
    let given = state.acks.entry(channel).or_default();
    let number = given.keys().next_back().map_or(0, |last| last + 1);
    given.insert(number, 0);
    let mut said = code(200, 0);
    said.body = said.body.replace('}', &format!(r#","ackId":{number}}}"#));
    said
}

/// A number is acknowledged when it is asked for the second time, as if the indexer took a while.
fn acks(state: &mut State, seen: &Seen) -> Said {
    let channel = seen.query.strip_prefix("channel=").unwrap_or_default().to_owned();
    let asked: Option<Vec<u64>> = serde_json::from_slice::<Value>(&seen.body)
        .ok()
        .and_then(|body| body["acks"].as_array()?.iter().map(Value::as_u64).collect());
    let (Some(given), Some(asked)) = (state.acks.get_mut(&channel), asked) else {
        return state.complain(code(400, 6), format!("acknowledgements of {channel:?}"));
    };
    let acks: BTreeMap<String, bool> = asked
        .into_iter()
        .map(|number| {
            let times = given.get_mut(&number).map(|times| {
                *times += 1;
                *times
            });
            (number.to_string(), times.is_some_and(|times| times >= 2))
        })
        .collect();
    Said::new(200, serde_json::json!({ "acks": acks }).to_string())
}

fn code(status: u16, code: u32) -> Said {
    let text = match code {
        0 => "Success",
        1 => "Token disabled",
        2 => "Token is required",
        3 => "Invalid authorization",
        4 => "Invalid token",
        5 => "No data",
        6 => "Invalid data format",
        8 => "Internal server error",
        9 => "Server is busy",
        10 => "Data channel is missing",
        11 => "Invalid data channel",
        12 => "Event field is required",
        13 => "Event field cannot be blank",
        14 => "ACK is disabled",
        _ => "?",
    };
    Said::new(status, format!(r#"{{"text":"{text}","code":{code}}}"#))
}
