//! What a proxy says of the watched file, on its admin interface.
//!
//! Seen on Envoy 1.40: `/config_dump` has what was offered last, also when it was refused; the stat `version_text` has the version that was accepted
//! last. Where both name the file's version it runs, but for one case: a refused file that is read a second time counts as accepted, because nothing
//! has changed in it. So when a proxy has refused anything since it started, the filter's own build info has the last word. Neither says why a file was
//! refused; that is in the proxy's log alone.

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;

use super::document::Offer;
use crate::hands::Taken;

/// How long an answer may take: a page of 50,000 series takes a quarter of a second.
const LIMIT: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Asks proxies.
#[derive(Debug)]
pub(super) struct Admin {
    agent: Agent,
}

/// What a proxy says of the filter's file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    /// What it was offered last, where it was offered anything that it could read.
    pub(super) offered: Option<Offer>,
    /// The version that it accepted last; empty when there was none.
    pub(super) accepted: String,
    /// Files that it could not read, refused, or that the filter failed on.
    pub(super) refusals: u64,
}

impl Admin {
    pub(super) fn new() -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .max_redirects(0)
            .http_status_as_error(false)
            // An admin interface is never behind one, and is not to be told to one.
            .proxy(None)
            .user_agent(concat!("edge-observer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent }
    }

    fn get(&self, admin: &str, path: &str) -> Result<String, String> {
        let url = format!("{}{path}", admin.trim_end_matches('/'));
        let mut response = self.agent.get(&url).call().map_err(|error| format!("{url}: {error}"))?;
        let mut body = Vec::new();
        let limited = response.body_mut().with_config().limit(MAX_BYTES).reader().read_to_end(&mut body);
        limited.map_err(|error| format!("{url}: {error}"))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        match response.status().as_u16() {
            200 => Ok(body),
            status => {
                Err(format!("{url} answered {status}: {}", body.chars().take(200).collect::<String>().escape_debug()))
            }
        }
    }

    /// What the proxy says of the filter of this name.
    pub(super) fn ask(&self, admin: &str, filter: &str) -> Result<Said, String> {
        let stats = self.get(admin, "/stats?filter=^extension_config_discovery[.]")?;
        let dump = self.get(admin, "/config_dump?resource=ecds_filters")?;
        let dump = serde_json::from_str(&dump).map_err(|error| format!("{admin}/config_dump is no JSON: {error}"))?;
        Ok(Said::read(&stats, &dump, filter))
    }

    /// The label `config` of what the filter reports as running there.
    pub(super) fn builds(&self, admin: &str, namespace: &str) -> Result<Vec<String>, String> {
        let stats = self.get(admin, &format!("/stats?filter=^wasmcustom[.]{namespace}_edge_build_info[.]"))?;
        Ok(running_builds(&stats))
    }
}

impl Said {
    fn read(stats: &str, dump: &serde_json::Value, filter: &str) -> Self {
        let prefix = format!("extension_config_discovery.http_filter.{filter}.");
        let stat = |name: &str| {
            stats.lines().find_map(|line| line.strip_prefix(prefix.as_str())?.strip_prefix(name)?.strip_prefix(": "))
        };
        let count = |name| stat(name).and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or_default();
        let offered = dump.get("configs").and_then(serde_json::Value::as_array).and_then(|all| {
            all.iter().find_map(|one| {
                let resource = one.get("ecds_filter")?;
                let version = one.get("version_info").and_then(serde_json::Value::as_str).unwrap_or_default();
                (resource.get("name")?.as_str()? == filter).then(|| Offer::of(version, resource))
            })
        });
        Self {
            offered,
            accepted: stat("version_text").map(|text| text.trim().trim_matches('"').to_owned()).unwrap_or_default(),
            refusals: ["update_rejected", "update_failure", "config_fail"].map(count).iter().sum(),
        }
    }

    /// The namespace in which the filter has to be asked too, before it is believed that this runs. Only of builds that a rollout made: the digest of
    /// another version's configuration may be another one.
    pub(super) fn needs_build_info(&self, wanted: &Offer) -> Option<String> {
        let build = wanted.build()?;
        (self.refusals > 0).then(|| build.namespace().to_owned())
    }

    /// Whether this runs; `builds` is what the filter reports, where that was asked.
    pub(super) fn of(&self, wanted: &Offer, builds: Option<&[String]>) -> Taken {
        let Some(offered) = &self.offered else {
            return Taken::Pending(format!("the proxy has read no file yet{}", self.trouble()));
        };
        if !offered.same(wanted) {
            return Taken::Pending(format!(
                "the proxy has not read the file yet: the last that it was offered is version {:?}{}",
                offered.version,
                self.trouble()
            ));
        }
        if self.accepted != wanted.version {
            if offered.version != wanted.version {
                return Taken::Pending("the proxy runs the same and has not read the new version yet".to_owned());
            }
            let goes_on = match self.accepted.as_str() {
                "" => "without the filter".to_owned(),
                before => format!("with version {before:?}"),
            };
            return Taken::Refused(format!(
                "the proxy was offered version {:?}, refused it and goes on {goes_on}; its log says why",
                wanted.version
            ));
        }
        match (builds, wanted.build()) {
            (Some(builds), Some(wanted_build)) if !builds.iter().any(|build| build == wanted_build.digest()) => {
                Taken::Pending(format!(
                    "the proxy says that it took version {:?}, and the filter in it does not report build {} but {}",
                    wanted.version,
                    wanted_build.digest(),
                    if builds.is_empty() { "none".to_owned() } else { builds.join(", ") }
                ))
            }
            _ => Taken::Yes,
        }
    }

    /// What is to be said of a file that was taken away.
    pub(super) fn of_none(&self) -> Taken {
        match &self.offered {
            None => Taken::Yes,
            Some(offered) => Taken::Pending(format!(
                "the file is gone, and the proxy goes on with version {:?} until it is restarted: it unloads no filter",
                if self.accepted.is_empty() { &offered.version } else { &self.accepted }
            )),
        }
    }

    fn trouble(&self) -> String {
        match self.refusals {
            0 => String::new(),
            count => format!("; it has refused or failed to read {count} since it started, and its log says why"),
        }
    }
}

fn running_builds(stats: &str) -> Vec<String> {
    let running = stats.lines().filter_map(|line| line.strip_suffix(": 1"));
    let digest = |name: &str| Some(name.split_once("config=.=")?.1.split_once(";.;")?.0.to_owned());
    running.filter_map(digest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STATS: &str = "extension_config_discovery.http_filter.edge.version_text: \"v1\"\n\
        extension_config_discovery.http_filter.edge.config_fail: 1\n\
        extension_config_discovery.http_filter.edge.update_rejected: 1\n\
        extension_config_discovery.http_filter.edge_two.update_rejected: 7\n";

    fn offer(version: &str, build: &str) -> Offer {
        let mut value = json!({ "namespace": "shop" });
        if !build.is_empty() {
            value["build"] = build.into();
        }
        let value = value.to_string();
        let resource = json!({ "name": "edge", "typed_config": { "config": {
            "vm_config": { "code": { "local": { "filename": "/m.wasm" } } },
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": value },
        } } });
        Offer::of(version, &resource)
    }

    #[test]
    fn answers_are_read_for_the_filter_of_that_name_alone() {
        let dump = json!({ "configs": [
            { "version_info": "v9", "ecds_filter": { "name": "edge_two" } },
            { "version_info": "v2", "ecds_filter": { "name": "edge" } },
        ] });
        let said = Said::read(STATS, &dump, "edge");
        assert_eq!((said.accepted.as_str(), said.refusals), ("v1", 2));
        assert_eq!(said.offered.unwrap().version, "v2");
        assert_eq!(Said::read("", &json!({}), "edge"), Said::default());
        let builds = "a.version=.=1;.;config=.=old;.;: 0\na.version=.=1;.;config=.=new;.;ring=.=0;.;: 1\n";
        assert_eq!(running_builds(builds), ["new"]);
    }

    #[test]
    fn a_file_runs_when_it_was_offered_and_accepted() {
        let wanted = offer("v2", "a");
        let said =
            |offered: Option<Offer>, accepted: &str, refusals| Said { offered, accepted: accepted.into(), refusals };
        let check = |said: Said, expected: &str| {
            let found = match said.of(&wanted, None) {
                Taken::Yes => "yes",
                Taken::Pending(_) => "pending",
                Taken::Refused(_) => "refused",
            };
            assert_eq!(found, expected, "{said:?}");
        };
        check(said(None, "", 0), "pending");
        check(said(Some(offer("v1", "b")), "v1", 0), "pending");
        // The same version of something else.
        check(said(Some(offer("v2", "b")), "v2", 0), "pending");
        check(said(Some(offer("v2", "a")), "v2", 0), "yes");
        check(said(Some(offer("v2", "a")), "v1", 2), "refused");
        check(said(Some(offer("v2", "a")), "", 2), "refused");
        // The same under another version is not loaded again, and the dump keeps the version of before.
        check(said(Some(offer("v1", "a")), "v2", 0), "yes");
        check(said(Some(offer("v1", "a")), "v1", 0), "pending");
    }

    #[test]
    fn a_proxy_that_has_refused_anything_is_not_believed_alone() {
        let wanted = offer("v2", "a");
        let digest = wanted.build().unwrap().digest().to_owned();
        let said = Said { offered: Some(wanted.clone()), accepted: "v2".into(), refusals: 1 };
        assert_eq!(said.needs_build_info(&wanted).as_deref(), Some("shop"));
        assert_eq!(Said { refusals: 0, ..said.clone() }.needs_build_info(&wanted), None);
        assert_eq!(said.needs_build_info(&offer("v2", "")), None);
        assert_eq!(said.of(&wanted, Some(std::slice::from_ref(&digest))), Taken::Yes);
        let Taken::Pending(why) = said.of(&wanted, Some(&["other".to_owned()])) else { unreachable!() };
        assert!(why.contains(&digest) && why.ends_with("but other"), "{why}");
    }

    #[test]
    fn what_is_taken_away_runs_until_a_restart() {
        assert_eq!(Said::default().of_none(), Taken::Yes);
        let said = Said { offered: Some(offer("v2", "a")), accepted: "v1".into(), refusals: 1 };
        assert!(matches!(said.of_none(), Taken::Pending(why) if why.contains("\"v1\" until it is restarted")));
    }
}
