//! The API's own field names.

use super::Shape;
use crate::event::{Event, Number, Text};
use crate::json::Object;

pub(super) fn write(event: &Event, shape: Shape, out: &mut String) {
    let mut object = Object::new(out);
    object
        .text("EventType", event.kind.as_str())
        .maybe("CorrelationId", event.correlation_id.as_ref().map(Text::as_str))
        .maybe("DeploymentId", event.deployment_id.as_ref().map(Text::as_str))
        .maybe("Decision", event.decision.as_ref().map(Text::as_str))
        .maybe("ApprovedBy", event.approved_by.as_ref().map(Text::as_str));
    if let Some(score) = &event.risk_score {
        object.raw("RiskScore", Number::as_str(score));
    }
    times(event, shape, &mut object);
    object
        .uuid("EventUid", event.uid)
        .maybe("SourceIp", event.source.as_ref().map(Text::as_str))
        .maybe("Method", event.method.as_ref().map(Text::as_str))
        .maybe("Endpoint", event.endpoint.as_ref().map(Text::as_str));
    if let Some(status) = event.status {
        object.number("Status", status.into());
    }
    object.maybe("Ring", event.ring.as_ref().map(Text::as_str)).number("Count", event.count.into());
    extra(event, &mut object);
    object.finish();
}

/// In an object of their own: a name from the configuration must not be taken for one of ours.
pub(super) fn extra(event: &Event, object: &mut Object<'_>) {
    if event.extra.iter().next().is_none() {
        return;
    }
    let mut extra = object.object("Extra");
    for (name, value) in event.extra.iter() {
        extra.text(name, value);
    }
    extra.finish();
}

pub(super) fn times(event: &Event, shape: Shape, object: &mut Object<'_>) {
    object.time("Timestamp", event.time_ns);
    if shape.time_generated {
        object.time("TimeGenerated", event.time_ns);
    }
}
