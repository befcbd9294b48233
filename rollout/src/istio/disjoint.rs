//! Proof that no pod gets the filter twice, and that each gets exactly one ring's.
//!
//! Selectors are equality-only labels. So two of them choose a common pod, now or one day, unless they name one key with two values; whether such a pod is
//! there today is not asked. Beside the rings' own objects, all others that carry the filter count: plugins of the whole namespace or of Istio's root
//! namespace, the single plugin of `envoy/istio/base/wasmplugin.yaml`, another kind of the same name. The label `istio.io/rev` is not taken for a difference: two
//! tags may name one revision.

mod carriers;
mod pods;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use carriers::{Carrier, Reach, Workload, carriers};
pub use pods::{Pod, PodMistake, pods, ring_of_each};

/// The namespace whose objects reach every namespace, unless the mesh names another (`meshConfig.rootNamespace`).
pub const ROOT_NAMESPACE: &str = "istio-system";

/// The label that Istio gives the pods of a gateway that it makes from the Gateway API.
const GATEWAY: &str = "gateway.networking.k8s.io/gateway-name";

/// Two objects that give one pod the filter twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// `KIND NAMESPACE/NAME`.
    pub one: String,
    /// The other.
    pub other: String,
    /// Which pods.
    pub pods: String,
    /// What to do.
    pub cure: String,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one, other, pods, cure } = self;
        write!(
            f,
            "{one} and {other} both match {pods}: the filter would run twice there and count each request twice; {cure}"
        )
    }
}

/// Each pair of objects that give one pod the filter twice: among `new`, which will be there, and between them and those `existing` ones that stay.
/// An existing object of the same kind, namespace and name as a new one is replaced, so it does not count.
#[must_use]
pub fn overlaps(new: &[Value], existing: &[Value], root_namespace: &str) -> Vec<Overlap> {
    let ours = carriers(new);
    let stay: Vec<Carrier> =
        carriers(existing).into_iter().filter(|other| !ours.iter().any(|our| our.object() == other.object())).collect();
    let mut found = Vec::new();
    for (index, one) in ours.iter().enumerate() {
        let among = ours.iter().skip(index + 1).map(|other| (other, true));
        for (other, is_ours) in among.chain(stay.iter().map(|other| (other, false))) {
            if one.object() == other.object() {
                found.push(Overlap {
                    one: one.object(),
                    other: other.object(),
                    pods: "one name".to_owned(),
                    cure: "give the rings names that differ in more than upper case and punctuation".to_owned(),
                });
            } else if meet(one, other, root_namespace)
                && let Some(pods) = common(&one.reach, &other.reach)
            {
                found.push(Overlap { one: one.object(), other: other.object(), pods, cure: cure(one, other, is_ours) });
            }
        }
    }
    found
}

/// Whether objects of these namespaces can reach one pod.
fn meet(one: &Carrier, other: &Carrier, root: &str) -> bool {
    one.namespace == other.namespace || one.namespace == root || other.namespace == root
}

/// The pods that both reach, in words.
fn common(one: &Reach, other: &Reach) -> Option<String> {
    match (one, other) {
        (Reach::All, Reach::All) => Some("every pod".to_owned()),
        (Reach::Labels(labels), Reach::All) | (Reach::All, Reach::Labels(labels)) => Some(with(labels)),
        (Reach::Labels(one), Reach::Labels(other)) => together(one, other).map(|labels| with(&labels)),
        (Reach::Targets(one), Reach::Targets(other)) => {
            one.iter().find(|target| other.contains(target)).map(|target| format!("{target}"))
        }
        (Reach::Targets(targets), rest) | (rest, Reach::Targets(targets)) => {
            targets.iter().find(|target| reaches(rest, target)).map(|target| format!("{target}"))
        }
    }
}

/// Whether a selector chooses the pods of a target. Waypoints, which stand for services and classes of gateways, do not look at selectors.
fn reaches(reach: &Reach, target: &Workload) -> bool {
    let gateway = BTreeMap::from([(GATEWAY.to_owned(), target.name.clone())]);
    target.kind == "Gateway"
        && match reach {
            Reach::All => true,
            Reach::Labels(labels) => together(labels, &gateway).is_some(),
            Reach::Targets(_) => false,
        }
}

/// The labels of a pod that both selectors choose; `None` where one key has two values.
fn together(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let mut all = one.clone();
    for (key, value) in other {
        if all.insert(key.clone(), value.clone()).is_some_and(|before| before != *value) {
            return None;
        }
    }
    Some(all)
}

fn with(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("pods with {}", labels.join(","))
}

fn cure(one: &Carrier, other: &Carrier, both_ours: bool) -> String {
    if both_ours {
        return format!("give each ring's `match_labels` one key with a value of its own, such as `{}`", super::RING);
    }
    match (&other.reach, &other.ring) {
        (_, Some(ring)) => format!(
            "it carries ring {ring} of an earlier rollout; delete it (`kubectl -n {} delete {} {}`), or name the rollout's objects as it is named",
            other.namespace,
            other.kind.to_ascii_lowercase(),
            other.name
        ),
        (Reach::All, None) => format!(
            "{} has no selector; replace it with an object for each ring first, as envoy/istio/README.md says",
            other.object()
        ),
        _ => format!(
            "delete {}, or give its selector and that of {} one key with two values",
            other.object(),
            one.object()
        ),
    }
}
