//! The Open Cybersecurity Schema Framework (<https://schema.ocsf.io/1.5.0>).
//!
//! | class of the event | OCSF class | activity |
//! |---|---|---|
//! | decision | API Activity, 6003 | 3, update: the decision changes a deployment |
//! | privileged operation | API Activity, 6003 | 1, 2, 3, 4 by the method (create, read, update, delete), else 99 |
//! | authentication | Authentication, 3002 | 1, logon |
//! | authorization, probe | HTTP Activity, 4002 | by the method, else 99 |
//!
//! What a class requires and the event does not have is the text `unknown`. What OCSF has no place for is in `unmapped`. Classes allow no other
//! member, and `http_method` no other value than eight: other methods are in `unmapped`, too.

use std::net::IpAddr;

use super::Observer;
use crate::event::{Class, Event, Number, Severity, Text};
use crate::json::Object;

/// The version of the schema.
pub const VERSION: &str = "1.5.0";

const UNKNOWN: &str = "unknown";

pub(super) fn write(event: &Event, observer: &Observer, out: &mut String) {
    let method = event.method.as_ref().map(Text::as_str);
    let (category, class, activity) = match event.class {
        Class::Decision => (6, 6003, 3),
        Class::PrivilegedOperation => (6, 6003, api_activity(method)),
        Class::Authentication => (3, 3002, 1),
        Class::Authorization | Class::Probe => (4, 4002, http_activity(method)),
    };
    let mut object = Object::new(out);
    object
        .number("class_uid", class)
        .number("category_uid", category)
        .number("activity_id", activity)
        .number("type_uid", class * 100 + activity)
        .number("severity_id", severity(event.severity))
        .number("time", event.time_ns / 1_000_000)
        .number("count", event.count.into())
        .text("message", event.kind.as_str());
    metadata(event, observer, object.object("metadata"));
    if let Some(status) = event.status {
        object.number("status_id", if status < 400 { 1 } else { 2 }).text("status_code", &status.to_string());
        let mut response = object.object("http_response");
        response.number("code", status.into());
        response.finish();
    }
    let mut request = object.object("http_request");
    request.maybe("http_method", method.filter(|method| http_activity(Some(method)) != OTHER));
    if let Some(endpoint) = &event.endpoint {
        let mut url = request.object("url");
        url.text("path", endpoint.as_str());
        url.finish();
    }
    request.finish();
    let source = event.source.as_ref().map_or(UNKNOWN, Text::as_str);
    let mut endpoint = object.object("src_endpoint");
    endpoint.text(if source.parse::<IpAddr>().is_ok() { "ip" } else { "name" }, source);
    endpoint.finish();
    let mut endpoint = object.object("dst_endpoint");
    endpoint.text("name", &observer.device);
    endpoint.finish();
    match event.class {
        Class::Decision | Class::PrivilegedOperation => {
            let mut actor = object.object("actor");
            user(event, actor.object("user"));
            actor.finish();
            let mut api = object.object("api");
            api.text("operation", event.kind.as_str());
            api.finish();
        }
        Class::Authentication => user(event, object.object("user")),
        Class::Authorization | Class::Probe => {}
    }
    unmapped(event, object.object("unmapped"));
    object.finish();
}

fn metadata(event: &Event, observer: &Observer, mut metadata: Object<'_>) {
    metadata
        .text("version", VERSION)
        .uuid("uid", event.uid)
        .maybe("correlation_uid", event.correlation_id.as_ref().map(Text::as_str))
        .text("event_code", event.kind.as_str());
    let mut product = metadata.object("product");
    product.text("name", &observer.product).text("vendor_name", &observer.vendor).text("version", &observer.version);
    product.finish();
    metadata.finish();
}

fn user(event: &Event, mut user: Object<'_>) {
    user.text("name", event.approved_by.as_ref().map_or(UNKNOWN, Text::as_str));
    user.finish();
}

fn unmapped(event: &Event, mut unmapped: Object<'_>) {
    unmapped
        .maybe("DeploymentId", event.deployment_id.as_ref().map(Text::as_str))
        .maybe("Decision", event.decision.as_ref().map(Text::as_str))
        .maybe("Method", event.method.as_ref().map(Text::as_str))
        .maybe("Ring", event.ring.as_ref().map(Text::as_str));
    if let Some(score) = &event.risk_score {
        unmapped.raw("RiskScore", Number::as_str(score));
    }
    super::native::extra(event, &mut unmapped);
    unmapped.finish();
}

const OTHER: u64 = 99;

fn api_activity(method: Option<&str>) -> u64 {
    match method {
        Some("POST") => 1,
        Some("GET" | "HEAD") => 2,
        Some("PUT" | "PATCH") => 3,
        Some("DELETE") => 4,
        _ => OTHER,
    }
}

fn http_activity(method: Option<&str>) -> u64 {
    match method {
        Some("CONNECT") => 1,
        Some("DELETE") => 2,
        Some("GET") => 3,
        Some("HEAD") => 4,
        Some("OPTIONS") => 5,
        Some("POST") => 6,
        Some("PUT") => 7,
        Some("TRACE") => 8,
        _ => OTHER,
    }
}

fn severity(severity: Severity) -> u64 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

#[cfg(test)]
mod tests;
