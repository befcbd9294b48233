//! That each pod carries exactly one ring.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::plan::Ring;

/// A pod, as far as selectors see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What is wrong with a pod or with a ring's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodMistake {
    /// A pod of no ring: it never gets a build.
    None {
        /// The pod.
        pod: String,
    },
    /// A pod of several rings: it gets the filter several times.
    Several {
        /// The pod.
        pod: String,
        /// The rings.
        rings: Vec<String>,
    },
    /// A ring with another number of pods than the rollout file says.
    Count {
        /// The ring.
        ring: String,
        /// What the file says.
        expected: u32,
        /// How many there are.
        found: usize,
    },
}

impl fmt::Display for PodMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { pod } => {
                write!(
                    f,
                    "pod {pod} is in no ring and would never get the build; give its Deployment's template the label of one"
                )
            }
            Self::Several { pod, rings } => write!(
                f,
                "pod {pod} is in the rings {} and would get the filter {} times; leave it the label of one",
                rings.join(" and "),
                rings.len()
            ),
            Self::Count { ring, expected, found } => write!(
                f,
                "ring {ring} has {found} pods, and `expected: {expected}`; a ring that is not whole cannot be judged: correct the number, or look why pods are missing"
            ),
        }
    }
}

/// The pods of a list, as `kubectl get pods -o json` prints it, that still run.
#[must_use]
pub fn pods(list: &Value) -> Vec<Pod> {
    let pod = |object: &Value| {
        let phase = object.pointer("/status/phase").and_then(Value::as_str);
        let ends = object.pointer("/metadata/deletionTimestamp").is_some();
        if ends || matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        Some(Pod {
            name: object.pointer("/metadata/name")?.as_str()?.to_owned(),
            labels: labels.into_iter().flatten().filter_map(text).collect(),
        })
    };
    list.get("items").and_then(Value::as_array).into_iter().flatten().filter_map(pod).collect()
}

/// What is wrong with the pods of a namespace. A pod that lacks a label that all rings share is another workload's, and does not count.
#[must_use]
pub fn ring_of_each(rings: &[Ring], pods: &[Pod]) -> Vec<PodMistake> {
    let matches = |labels: &BTreeMap<String, String>, pod: &Pod| {
        labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    let shared: BTreeMap<String, String> = rings
        .first()
        .into_iter()
        .flat_map(|first| &first.match_labels)
        .filter(|(key, value)| rings.iter().all(|ring| ring.match_labels.get(*key) == Some(value)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut found = Vec::new();
    let mut counts = vec![0; rings.len()];
    for pod in pods {
        let mut of_pod = Vec::new();
        for (ring, count) in rings.iter().zip(&mut counts).filter(|(ring, _)| matches(&ring.match_labels, pod)) {
            of_pod.push(ring.name.clone());
            *count += 1;
        }
        match of_pod.len() {
            1 => {}
            0 if shared.is_empty() || !matches(&shared, pod) => {}
            0 => found.push(PodMistake::None { pod: pod.name.clone() }),
            _ => found.push(PodMistake::Several { pod: pod.name.clone(), rings: of_pod }),
        }
    }
    for (ring, count) in rings.iter().zip(counts) {
        if u32::try_from(count) != Ok(ring.expected) {
            found.push(PodMistake::Count { ring: ring.name.clone(), expected: ring.expected, found: count });
        }
    }
    found
}
