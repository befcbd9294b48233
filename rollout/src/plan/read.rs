//! From the file's text to a [`Plan`], or every mistake.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::fields::{Fields, Mistakes, excerpt};
use super::{
    AnnouncePlan, Artifact, GrafanaPlan, HandsPlan, IstioApply, IstioKind, IstioPlan, Mistake, Plan, PrometheusPlan,
    SiemPlan, gates, policy, rings,
};

/// The longest name of a rollout.
const MAX_NAME: usize = 40;

/// Reads a rollout file; paths in it are relative to `base`.
///
/// # Errors
/// Every mistake in it: first those that make it no YAML, else those of its fields, in their order.
pub fn parse(text: &str, base: &Path) -> Result<Plan, Vec<Mistake>> {
    let value = yaml(text).map_err(|mistake| vec![mistake])?;
    let mistakes = Mistakes::default();
    let plan = plan(&value, base, &mistakes);
    let mistakes = mistakes.into_list();
    if mistakes.is_empty() { Ok(plan) } else { Err(mistakes) }
}

fn yaml(text: &str) -> Result<Value, Mistake> {
    // The YAML value first: it refuses a key that comes twice, where a JSON value would keep the last.
    let parsed: Result<serde_yaml_ng::Value, _> = serde_yaml_ng::from_str(text);
    let in_text = |error: serde_yaml_ng::Error| {
        let path = error.location().map(|at| format!("line {}, column {}", at.line(), at.column()));
        Mistake { path: path.unwrap_or_else(|| "rollout file".to_owned()), message: error.to_string() }
    };
    serde_json::to_value(parsed.map_err(in_text)?)
        .map_err(|error| Mistake { path: "rollout file".to_owned(), message: error.to_string() })
}

fn plan(value: &Value, base: &Path, mistakes: &Mistakes) -> Plan {
    let root = Fields::of("", Some(value), mistakes);
    if value.is_null() {
        mistakes.push("rollout file", "is empty; see docs/rollout.md for an example");
    }
    let name = root.needed("name", "give the rollouts of this filter a name");
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && (name.len() > MAX_NAME || !name.bytes().all(fits) || name.starts_with('-')) {
        root.wrong("name", format!("found `{name}`; use at most {MAX_NAME} lower-case letters, digits and `-`"));
    }
    let artifact = artifact(&root.section("artifact"), base);
    let hands = hands(root.section("hands"), base);
    let prometheus = prometheus(root.section("prometheus"));
    let (policy, bake) = policy::policy(root.section("policy"), prometheus.scrape_interval);
    let rings = rings::rings(&root, &hands, bake, base);
    if let Some(last) = &policy.max_ring
        && !rings.iter().any(|ring| ring.name == *last)
    {
        mistakes.push("policy.max_ring", format!("found `{last}`; use the name of a ring"));
    }
    if matches!(hands, HandsPlan::Istio(_)) && artifact.image.is_none() {
        mistakes.push(
            "artifact.image",
            "is missing; give the address of the image that proxies fetch, `oci://REGISTRY/REPOSITORY@sha256:…`",
        );
    }
    let gates = gates::gates(root.section("gates"));
    let announce = announce(root.section("announce"));
    root.finish();
    Plan { name, artifact, hands, prometheus, rings, gates, policy, announce }
}

pub(super) fn path(base: &Path, text: &str) -> PathBuf {
    if text.is_empty() { PathBuf::new() } else { base.join(text) }
}

fn artifact(fields: &Fields<'_>, base: &Path) -> Artifact {
    let module = fields.needed("module", "name the module's file, as `cargo xtask build` writes it");
    let configuration = fields.needed("configuration", "name the plugin configuration's file");
    let digest = |value: &Value| {
        let text = value.as_str()?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(hex)).then(|| text.to_owned())
    };
    let module_sha256 = fields.read("module_sha256", "64 lower-case hexadecimal digits", digest);
    let image = fields.read("image", "`oci://REGISTRY/REPOSITORY@sha256:…`, by digest: a tag may be moved", |value| {
        let text = value.as_str()?;
        let (name, digest) = text.strip_prefix("oci://")?.split_once("@sha256:")?;
        (name.contains('/') && digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| text.to_owned())
    });
    let environment = fields.texts("environment");
    for (index, name) in environment.iter().enumerate() {
        if !env_name(name) {
            fields.wrong(&format!("environment[{index}]"), format!("found `{name}`; use the name of a variable"));
        }
    }
    let artifact = Artifact {
        module: path(base, &module),
        module_sha256,
        configuration: path(base, &configuration),
        image,
        environment,
    };
    fields.report_unknown();
    artifact
}

fn env_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn hands(fields: Fields<'_>, base: &Path) -> HandsPlan {
    let (files, istio) = (fields.has("file_ecds"), fields.has("istio"));
    let ours = if istio && !files {
        HandsPlan::Istio(istio_plan(&fields.section("istio"), base))
    } else {
        let section = fields.section("file_ecds");
        let filter = section.text("filter").unwrap_or_else(|| "edge_observer".to_owned());
        section.finish();
        HandsPlan::FileEcds { filter }
    };
    match (files, istio) {
        (false, false) => fields
            .mistakes()
            .push("hands", "is missing; say how the rings are reached: `file_ecds: {}` or `istio: {…}`"),
        (true, true) => fields.mistakes().push("hands", "has both `file_ecds` and `istio`; keep one"),
        _ => {}
    }
    fields.finish();
    ours
}

fn istio_plan(fields: &Fields<'_>, base: &Path) -> IstioPlan {
    let label = |name: &'static str, what| {
        let text = fields.needed(name, what);
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !text.is_empty()
            && (text.len() > 40 || !text.bytes().all(fits) || text.starts_with('-') || text.ends_with('-'))
        {
            fields.wrong(name, format!("found `{text}`; use at most 40 lower-case letters, digits and `-`, as Kubernetes has names (RFC 1123)"));
        }
        text
    };
    let namespace = label("namespace", "name the namespace of the workloads");
    let name = if fields.has("name") { label("name", "") } else { "edge-observer".to_owned() };
    let kinds = [
        ("WasmPlugin", IstioKind::WasmPlugin),
        ("TrafficExtension", IstioKind::TrafficExtension),
        ("EnvoyFilter", IstioKind::EnvoyFilter),
    ];
    let kind = fields.choice("kind", &kinds).unwrap_or(IstioKind::WasmPlugin);
    let apply = fields.section("apply");
    let git = apply.has("git");
    let way = if git {
        let git = apply.section("git");
        let folder = git.needed("folder", "name the folder of the working tree");
        let push = git.flag("push");
        git.finish();
        IstioApply::GitOps { folder: path(base, &folder), push }
    } else {
        let command = apply.texts("kubectl");
        IstioApply::Kubectl(if command.is_empty() { vec!["kubectl".to_owned()] } else { command })
    };
    if git && apply.has("kubectl") {
        fields.wrong("apply", "has both `kubectl` and `git`; keep one");
    }
    apply.finish();
    fields.report_unknown();
    IstioPlan { namespace, name, kind, apply: way }
}

fn prometheus(fields: Fields<'_>) -> PrometheusPlan {
    let url = url(&fields, "url", "give the address of Prometheus, `http://HOST:9090`");
    let plan = PrometheusPlan {
        url,
        token_env: token(&fields),
        timeout: fields.duration("timeout").unwrap_or(Duration::from_secs(10)),
        scrape_interval: fields.duration("scrape_interval").unwrap_or(Duration::from_secs(15)),
    };
    fields.finish();
    plan
}

fn token(fields: &Fields<'_>) -> Option<String> {
    fields.read("token_env", "the name of an environment variable", |value| {
        value.as_str().filter(|name| env_name(name)).map(str::to_owned)
    })
}

/// An address with a scheme and without user, query or fragment.
pub(super) fn url(fields: &Fields<'_>, name: &'static str, what: &str) -> String {
    if !fields.has(name) {
        fields.wrong(name, format!("is missing; {what}"));
        return String::new();
    }
    let sound = |value: &Value| {
        let text = value.as_str()?;
        let uri: ureq::http::Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let host = !uri.host()?.is_empty() && !authority.as_str().contains('@');
        let port = uri.port_u16().is_some() || !authority.as_str().rsplit(']').next()?.contains(':');
        (matches!(uri.scheme_str(), Some("http" | "https")) && host && port && uri.query().is_none())
            .then(|| text.trim_end_matches('/').to_owned())
    };
    fields.read(name, "`http://HOST:PORT` or `https://…`, without user and query", sound).unwrap_or_default()
}

fn announce(fields: Fields<'_>) -> AnnouncePlan {
    let grafana = fields.has("grafana").then(|| {
        let grafana = fields.section("grafana");
        let plan = GrafanaPlan { url: url(&grafana, "url", "give Grafana's address"), token_env: token(&grafana) };
        grafana.finish();
        plan
    });
    let siem = fields.has("siem").then(|| {
        let siem = fields.section("siem");
        let url = url(&siem, "url", "give the receiver's address");
        let sink = siem.value("sink").cloned().unwrap_or_default();
        if !sink.is_object() {
            siem.wrong(
                "sink",
                format!("found {}; use a sink as the plugin configuration's `events.sinks` has it", excerpt(&sink)),
            );
        }
        siem.finish();
        SiemPlan { url, sink }
    });
    fields.finish();
    AnnouncePlan { grafana, siem }
}
