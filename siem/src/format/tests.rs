//! What all formats of JSON have in common, against a parser; and each by example.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Class, Event, Number, Severity, Text};
use crate::testing::{events, is_one_line, observer};

fn written(format: Format, event: &Event, shape: Shape) -> String {
    let mut out = String::new();
    format.write(event, &observer(), shape, &mut out);
    out
}

fn parsed(format: Format, event: &Event, shape: Shape) -> Value {
    serde_json::from_str(&written(format, event, shape)).unwrap()
}

const AZURE: Shape = Shape { time_generated: true, objects: true };

fn approval() -> Event {
    let uid = [0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x77, 0x07, 0x87, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07, 0x07];
    let mut event = Event::new(uid, "CAB_APPROVAL", Class::Decision, 1_700_000_000_123_456_000);
    event.correlation_id = Some(Text::new("DEPLOY-1"));
    event.deployment_id = Some(Text::new("42"));
    event.decision = Some(Text::new("APPROVED"));
    event.approved_by = Some(Text::new("bob@example.com"));
    event.risk_score = Number::parse("45.5");
    event.source = Some(Text::new("10.0.0.1"));
    event.method = Some(Text::new("POST"));
    event.endpoint = Some(Text::new("/api/v1/cab/{id}/approve"));
    event.status = Some(200);
    event.ring = Some(Text::new("1"));
    event
}

#[test]
fn native_has_the_names_of_the_api() {
    assert_eq!(
        written(Format::Native, &approval(), AZURE),
        concat!(
            r#"{"EventType":"CAB_APPROVAL","CorrelationId":"DEPLOY-1","DeploymentId":"42","Decision":"APPROVED","#,
            r#""ApprovedBy":"bob@example.com","RiskScore":45.5,"Timestamp":"2023-11-14T22:13:20.123456Z","#,
            r#""TimeGenerated":"2023-11-14T22:13:20.123456Z","EventUid":"018bcfe5-6800-7707-8707-070707070707","#,
            r#""SourceIp":"10.0.0.1","Method":"POST","Endpoint":"/api/v1/cab/{id}/approve","Status":200,"Ring":"1","#,
            r#""Count":1}"#
        )
    );
}

#[test]
fn what_is_absent_is_left_out() {
    let mut event = Event::new([0; 16], "PROBE", Class::Probe, 0);
    event.extra.add(Text::new("EventType"), Text::new("CAB_APPROVAL"));
    assert_eq!(
        written(Format::Native, &event, Shape::default()),
        r#"{"EventType":"PROBE","Timestamp":"1970-01-01T00:00:00.000000Z","EventUid":"00000000-0000-0000-0000-000000000000","Count":1,"Extra":{"EventType":"CAB_APPROVAL"}}"#
    );
}

#[test]
fn cef_is_wrapped_where_objects_are_needed() {
    let object = parsed(Format::Cef, &approval(), AZURE);
    assert_eq!(object["Message"], written(Format::Cef, &approval(), Shape::default()));
    assert_eq!(object["EventUid"], "018bcfe5-6800-7707-8707-070707070707");
    assert_eq!(object["TimeGenerated"], object["Timestamp"]);
}

#[test]
fn asim_has_the_columns_of_the_class() {
    let audit = parsed(Format::Asim, &approval(), AZURE);
    assert_eq!(
        audit,
        json!({
            "TimeGenerated": "2023-11-14T22:13:20.123456Z", "EventSchema": "AuditEvent", "EventSchemaVersion": "0.1",
            "EventType": "Set", "EventOriginalType": "CAB_APPROVAL", "EventResult": "Success",
            "EventSeverity": "Informational", "EventOriginalSeverity": "Informational", "EventCount": 1,
            "EventStartTime": "2023-11-14T22:13:20.123456Z", "EventEndTime": "2023-11-14T22:13:20.123456Z",
            "EventUid": "018bcfe5-6800-7707-8707-070707070707", "EventOriginalUid": "018bcfe5-6800-7707-8707-070707070707",
            "EventVendor": "EUCORA", "EventProduct": "edge-observer", "EventProductVersion": "0.1.0", "Dvc": "edge-1",
            "SrcIpAddr": "10.0.0.1", "Operation": "CAB_APPROVAL", "Object": "42", "ObjectType": "Other",
            "EventOriginalResultDetails": "200", "NewValue": "APPROVED", "ValueType": "Other",
            "ActorUsername": "bob@example.com", "ActorUsernameType": "UPN",
            "AdditionalFields": {
                "CorrelationId": "DEPLOY-1", "DeploymentId": "42", "Decision": "APPROVED", "Method": "POST",
                "Endpoint": "/api/v1/cab/{id}/approve", "Ring": "1", "RiskScore": 45.5
            }
        })
    );
    let login = Event { status: Some(401), ..Event::new([0; 16], "LOGIN_BURST", Class::Authentication, 0) };
    let login = parsed(Format::Asim, &login, Shape::default());
    assert_eq!(login["EventSchema"], "Authentication");
    assert_eq!((&login["EventType"], &login["EventResult"]), (&json!("Logon"), &json!("Failure")));
    let probe = Event { severity: Severity::Critical, ..Event::new([0; 16], "TRAVERSAL", Class::Probe, 0) };
    let probe = parsed(Format::Asim, &probe, Shape::default());
    assert_eq!((&probe["EventSchema"], &probe["Url"]), (&json!("WebSession"), &json!("unknown")));
    assert_eq!((&probe["EventSeverity"], &probe["EventResult"]), (&json!("High"), &json!("NA")));
}

#[test]
fn the_longest_record_is_bounded() {
    let uid = [0xff; 16];
    // Six bytes for one in JSON, once more escaped in CEF.
    let worst = |length: usize| "\u{1}".repeat(length);
    let mut event = Event { count: u32::MAX, ..Event::new(uid, &worst(64), Class::Decision, u64::MAX) };
    event.correlation_id = Some(Text::new(worst(128)));
    event.deployment_id = Some(Text::new(worst(128)));
    event.decision = Some(Text::new(worst(64)));
    event.approved_by = Some(Text::new(worst(256)));
    event.risk_score = Number::parse(&"1".repeat(40));
    event.source = Some(Text::new(worst(64)));
    event.method = Some(Text::new(worst(32)));
    event.endpoint = Some(Text::new(worst(256)));
    event.status = Some(u16::MAX);
    event.ring = Some(Text::new(worst(32)));
    for number in 0..crate::event::MAX_EXTRA {
        event.extra.add(Text::new(format!("{number}{}", worst(63))), Text::new(worst(256)));
    }
    for class in crate::testing::CLASSES {
        for format in [Format::Native, Format::Ocsf, Format::Asim, Format::Cef] {
            let length = written(format, &Event { class, ..event.clone() }, AZURE).len();
            assert!(length <= MAX_RECORD, "{} {length}", format.as_str());
        }
    }
}

/// Every mandatory column of each schema, with a value of its list where it has one.
fn is_asim(record: &Value) {
    for column in ["EventCount", "EventStartTime", "EventEndTime", "EventProduct", "EventVendor", "Dvc"] {
        assert!(!record[column].is_null(), "{column}");
    }
    assert!(["Success", "Partial", "Failure", "NA"].contains(&record["EventResult"].as_str().unwrap()));
    assert!(["Informational", "Low", "Medium", "High"].contains(&record["EventSeverity"].as_str().unwrap()));
    let kind = record["EventType"].as_str().unwrap();
    match (record["EventSchema"].as_str().unwrap(), record["EventSchemaVersion"].as_str().unwrap()) {
        ("AuditEvent", "0.1") => {
            assert!(["Set", "Execute"].contains(&kind));
            assert!(record["Operation"].is_string() && record["Object"].is_string());
            assert_eq!(record["ObjectType"], "Other");
        }
        ("Authentication", "0.1.3") => assert_eq!(kind, "Logon"),
        ("WebSession", "0.2.6") => {
            assert_eq!(kind, "HTTPsession");
            assert!(record["Url"].is_string());
        }
        other => panic!("{other:?}"),
    }
}

fn text<const MAX: usize>(text: &Option<Text<MAX>>) -> Value {
    text.as_ref().map_or(Value::Null, |text| text.as_str().into())
}

proptest! {
    #[test]
    fn a_record_is_one_line_of_json_that_says_what_the_event_says(event in events()) {
        for shape in [Shape::default(), AZURE] {
            for format in [Format::Native, Format::Ocsf, Format::Asim] {
                let line = written(format, &event, shape);
                prop_assert!(is_one_line(&line));
                let names = line.matches("\"EventType\":").count();
                prop_assert!(format == Format::Ocsf || names >= 1);
            }
            let native = parsed(Format::Native, &event, shape);
            let mut line = String::new();
            write_log_line(&event, Some(Reason::Expired), "siem", "edge_observer", 0, &mut line);
            prop_assert!(is_one_line(&line));
            if shape == Shape::default() {
                prop_assert_eq!(&serde_json::from_str::<Value>(&line).unwrap()["event"], &native);
            }
            prop_assert_eq!(&native["EventType"], event.kind.as_str());
            prop_assert_eq!(&native["CorrelationId"], &text(&event.correlation_id));
            prop_assert_eq!(&native["DeploymentId"], &text(&event.deployment_id));
            prop_assert_eq!(&native["Decision"], &text(&event.decision));
            prop_assert_eq!(&native["ApprovedBy"], &text(&event.approved_by));
            prop_assert_eq!(&native["SourceIp"], &text(&event.source));
            prop_assert_eq!(&native["Endpoint"], &text(&event.endpoint));
            prop_assert_eq!(native["RiskScore"].is_number(), event.risk_score.is_some());
            prop_assert_eq!(native["TimeGenerated"].is_string(), shape.time_generated);
            for (name, value) in event.extra.iter() {
                prop_assert_eq!(&native["Extra"][name], value);
            }
            is_asim(&parsed(Format::Asim, &event, shape));
        }
    }
}
