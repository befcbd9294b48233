//! Microsoft Sentinel's Advanced Security Information Model
//! (<https://learn.microsoft.com/azure/sentinel/normalization-about-schemas>).
//!
//! | class of the event | schema | version | table |
//! |---|---|---|---|
//! | decision, privileged operation | `AuditEvent` | 0.1 | `ASimAuditEventLogs` |
//! | authentication | `Authentication` | 0.1.3 | `ASimAuthenticationEventLogs` |
//! | authorization, probe | `WebSession` | 0.2.6 | `ASimWebSessionLogs` |
//!
//! A table takes one schema: rules that make events of several classes need a sink for each table, or a table of their own. What a schema has no
//! column for is in `AdditionalFields`. `EventSeverity` ends at `High`; the event's own is in `EventOriginalSeverity`.

use super::{Observer, Shape, native};
use crate::event::{Class, Event, Number, Severity, Text};
use crate::json::Object;

const UNKNOWN: &str = "unknown";

pub(super) fn write(event: &Event, observer: &Observer, shape: Shape, out: &mut String) {
    let (schema, version, kind) = match event.class {
        Class::Decision => ("AuditEvent", "0.1", "Set"),
        Class::PrivilegedOperation => ("AuditEvent", "0.1", "Execute"),
        Class::Authentication => ("Authentication", "0.1.3", "Logon"),
        Class::Authorization | Class::Probe => ("WebSession", "0.2.6", "HTTPsession"),
    };
    let (severity, original) = match event.severity {
        Severity::Informational => ("Informational", "Informational"),
        Severity::Low => ("Low", "Low"),
        Severity::Medium => ("Medium", "Medium"),
        Severity::High => ("High", "High"),
        Severity::Critical => ("High", "Critical"),
    };
    let result = match event.status {
        Some(..400) => "Success",
        Some(400..) => "Failure",
        None => "NA",
    };
    let mut object = Object::new(out);
    if shape.time_generated {
        object.time("TimeGenerated", event.time_ns);
    }
    object
        .text("EventSchema", schema)
        .text("EventSchemaVersion", version)
        .text("EventType", kind)
        .text("EventOriginalType", event.kind.as_str())
        .text("EventResult", result)
        .text("EventSeverity", severity)
        .text("EventOriginalSeverity", original)
        .number("EventCount", event.count.into())
        .time("EventStartTime", event.time_ns)
        .time("EventEndTime", event.time_ns)
        .uuid("EventUid", event.uid)
        .uuid("EventOriginalUid", event.uid)
        .text("EventVendor", &observer.vendor)
        .text("EventProduct", &observer.product)
        .text("EventProductVersion", &observer.version)
        .text("Dvc", &observer.device)
        .maybe("SrcIpAddr", event.source.as_ref().map(Text::as_str));
    match event.class {
        Class::Decision | Class::PrivilegedOperation => audit(event, &mut object),
        Class::Authentication => authentication(event, observer, &mut object),
        Class::Authorization | Class::Probe => web_session(event, &mut object),
    }
    additional(event, object.object("AdditionalFields"));
    object.finish();
}

fn audit(event: &Event, object: &mut Object<'_>) {
    let about = event.deployment_id.as_ref().map(Text::as_str).or(event.endpoint.as_ref().map(Text::as_str));
    object
        .text("Operation", event.kind.as_str())
        .text("Object", about.unwrap_or(UNKNOWN))
        .text("ObjectType", "Other")
        .maybe("EventOriginalResultDetails", status(event).as_deref());
    if let Some(decision) = &event.decision {
        object.text("NewValue", decision.as_str()).text("ValueType", "Other");
    }
    user(event, "ActorUsername", "ActorUsernameType", object);
}

fn authentication(event: &Event, observer: &Observer, object: &mut Object<'_>) {
    // Why it failed is not to be seen from outside.
    object
        .text("EventResultDetails", "Other")
        .maybe("EventOriginalResultDetails", status(event).as_deref())
        .text("EventSubType", "Remote")
        .text("TargetAppName", &observer.product);
    user(event, "TargetUsername", "TargetUsernameType", object);
}

fn web_session(event: &Event, object: &mut Object<'_>) {
    object
        .maybe("EventResultDetails", status(event).as_deref())
        .text("Url", event.endpoint.as_ref().map_or(UNKNOWN, Text::as_str))
        .maybe("HttpRequestMethod", event.method.as_ref().map(Text::as_str));
    user(event, "SrcUsername", "SrcUsernameType", object);
}

fn user(event: &Event, name: &str, kind: &str, object: &mut Object<'_>) {
    if let Some(user) = &event.approved_by {
        let is_address = user.as_str().contains('@');
        object.text(name, user.as_str()).text(kind, if is_address { "UPN" } else { "Simple" });
    }
}

fn additional(event: &Event, mut fields: Object<'_>) {
    fields
        .maybe("CorrelationId", event.correlation_id.as_ref().map(Text::as_str))
        .maybe("DeploymentId", event.deployment_id.as_ref().map(Text::as_str))
        .maybe("Decision", event.decision.as_ref().map(Text::as_str))
        .maybe("Method", event.method.as_ref().map(Text::as_str))
        .maybe("Endpoint", event.endpoint.as_ref().map(Text::as_str))
        .maybe("Ring", event.ring.as_ref().map(Text::as_str));
    if let Some(score) = &event.risk_score {
        fields.raw("RiskScore", Number::as_str(score));
    }
    native::extra(event, &mut fields);
    fields.finish();
}

fn status(event: &Event) -> Option<String> {
    event.status.map(|status| status.to_string())
}
