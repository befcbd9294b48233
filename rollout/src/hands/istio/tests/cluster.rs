//! `kubectl`, with a script that keeps objects in files in its place.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::plan::IstioApply;

/// Keeps objects in files, refuses what kubectl and an API server refuse, in their words, and adds what an API server adds. Each call is a line of `calls`.
const KUBECTL: &str = r#"#!/bin/sh
state=$1; shift
echo "$*" >> "$state/calls"
[ -e "$state/away" ] && { echo 'E1127 02:15:41.825514   13911 memcache.go:265] "Unhandled Error"' >&2; echo "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?" >&2; exit 1; }
verb=$1; shift
namespace=; missing_is_fine=; resource=; name=; strict=
while [ $# -gt 0 ]; do
  case $1 in
    -n) namespace=$2; shift ;;
    -o) [ "$2" = json ] || exit 64; shift ;;
    -f) [ "$2" = - ] || exit 64; shift ;;
    --ignore-not-found) missing_is_fine=1 ;;
    --validate=strict) strict=1 ;;
    --wait=false|--request-timeout=20s) ;;
    --all-namespaces) namespace='*' ;;
    -*) echo "error: unknown flag: $1" >&2; exit 1 ;;
    *) if [ -z "$resource" ]; then resource=$1; else name=$1; fi ;;
  esac
  shift
done
case $resource in
  ''|wasmplugins.extensions.istio.io) ;;
  envoyfilters.networking.istio.io|pods)
    # Lists alone.
    [ -e "$state/forbidden" ] && [ "$namespace" = '*' ] && { echo "Error from server (Forbidden): $resource is forbidden: User \"u\" cannot list resource at the cluster scope" >&2; exit 1; }
    if [ -e "$state/$resource.$namespace" ]; then cat "$state/$resource.$namespace"; else echo '{"items":[]}'; fi
    exit 0 ;;
  *) echo "error: the server doesn't have a resource type \"${resource%%.*}\"" >&2; exit 1 ;;
esac
not_found() { echo "Error from server (NotFound): $1wasmplugins.extensions.istio.io \"$name\" not found" >&2; exit 1; }
serve() { sed -e 's/"metadata":{/"metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","generation":3,"resourceVersion":"7","uid":"u",/' -e 's/\([0-9]\)\.0\([],}]\)/\1\2/g' -e 's/}$/,"status":{}}/' "$1"; }
case $verb in
  get)
    if [ -z "$name" ]; then
      printf '{"kind":"List","items":['
      comma=
      for file in "$state"/objects/$namespace/*; do [ -e "$file" ] || continue; printf '%s' "$comma"; serve "$file"; comma=,; done
      printf ']}\n'
    else
      file=$state/objects/$namespace/$name
      if [ -e "$file" ]; then serve "$file"; elif [ -z "$missing_is_fine" ]; then not_found; fi
    fi ;;
  create|replace)
    object=$(cat)
    name=$(printf '%s' "$object" | sed -n 's/.*"name":"\([^"]*\)","namespace":"[^"]*"}.*/\1/p')
    inner=$(printf '%s' "$object" | sed -n 's/.*"name":"[^"]*","namespace":"\([^"]*\)"}.*/\1/p')
    [ "$inner" = "$namespace" ] || { echo "error: the namespace from the provided object \"$inner\" does not match the namespace \"$namespace\". You must pass '--namespace=$inner' to perform this operation." >&2; exit 1; }
    case $object in *'"unheardOf"'*) [ -n "$strict" ] && { echo "Error from server (BadRequest): error when creating \"STDIN\": WasmPlugin in version \"v1alpha1\" cannot be handled as a WasmPlugin: strict decoding error: unknown field \"spec.unheardOf\"" >&2; exit 1; } ;; esac
    mkdir -p "$state/objects/$namespace"
    file=$state/objects/$namespace/$name
    # Somebody else is quicker, once.
    if [ -e "$state/race" ]; then rm "$state/race"; if [ "$verb" = create ]; then echo '{"kind":"WasmPlugin","metadata":{"name":"other"}}' > "$file"; else rm "$file"; fi; fi
    if [ "$verb" = create ] && [ -e "$file" ]; then echo "Error from server (AlreadyExists): error when creating \"STDIN\": wasmplugins.extensions.istio.io \"$name\" already exists" >&2; exit 1; fi
    if [ "$verb" = replace ] && [ ! -e "$file" ]; then not_found 'error when replacing "STDIN": '; fi
    printf '%s\n' "$object" > "$file.new" && mv "$file.new" "$file" ;;
  delete)
    file=$state/objects/$namespace/$name
    if [ -e "$file" ]; then rm "$file"; elif [ -z "$missing_is_fine" ]; then not_found; fi ;;
  *) echo "error: unknown command \"$verb\" for \"kubectl\"" >&2; exit 1 ;;
esac
"#;

struct Cluster {
    folder: TempDir,
    hands: IstioHands,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("kubectl");
        fs::write(&script, KUBECTL).unwrap();
        let mut plan = plan(IstioKind::WasmPlugin);
        // Through the shell: a script that was just written may still be open in a child of another test, and cannot be run then.
        let command = ["sh", script.to_str().unwrap(), folder.path().to_str().unwrap()];
        plan.apply = IstioApply::Kubectl(command.map(str::to_owned).to_vec());
        Self { hands: IstioHands::new(&plan, &[api_ring("0"), api_ring("1")]), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("objects/eucora/edge-observer-ring-0")
    }

    fn touch(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").unwrap();
    }

    fn calls(&self) -> String {
        let path: &Path = &self.folder.path().join("calls");
        let calls = fs::read_to_string(path).unwrap_or_default();
        fs::write(path, "").unwrap();
        calls.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn what_is_written_is_read_back_byte_for_byte() {
    let cluster = Cluster::new();
    let (hands, target) = (&cluster.hands, target(&cluster.hands, "0"));
    assert_eq!(hands.read(&target).unwrap(), None);
    let bytes = hands.render(&target, None, &build(&json!({"metrics": {"buckets_seconds": [0.5, 1.0, 2.0]}}))).unwrap();
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(hands.read(&target).unwrap().unwrap(), bytes);
    assert_eq!(hands.taken(&target, Some(&bytes), at()).unwrap(), Taken::Yes);
    assert_eq!(cluster.calls(), "get get create get get");
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(cluster.calls(), "get replace");
    assert_eq!(hands.read(&target).unwrap().unwrap(), bytes);
    hands.write(&target, None).unwrap();
    hands.write(&target, None).unwrap();
    assert_eq!(hands.read(&target).unwrap(), None);
    assert_eq!(hands.taken(&target, None, at()).unwrap(), Taken::Yes);
    assert!(matches!(hands.taken(&target, Some(&bytes), at()).unwrap(), Taken::Pending(_)));
}

#[test]
fn what_an_operator_had_there_is_put_back_with_its_annotations() {
    let cluster = Cluster::new();
    let (hands, target) = (&cluster.hands, target(&cluster.hands, "0"));
    fs::create_dir_all(cluster.file().parent().unwrap()).unwrap();
    let theirs = r#"{"apiVersion":"extensions.istio.io/v1alpha1","kind":"WasmPlugin","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}\n","on":"yes"},"name":"edge-observer-ring-0","namespace":"eucora"},"spec":{"pluginConfig":{"a":[1,2.5]},"url":"oci://r/x:1"}}"#;
    fs::write(cluster.file(), format!("{theirs}\n")).unwrap();
    let before = hands.read(&target).unwrap().unwrap();
    let bytes = hands.render(&target, Some(&before), &build(&json!({"namespace": "shop"}))).unwrap();
    assert_ne!(bytes, before);
    hands.write(&target, Some(&bytes)).unwrap();
    assert!(!fs::read_to_string(cluster.file()).unwrap().contains("last-applied"), "nothing of before is merged in");
    hands.write(&target, Some(&before)).unwrap();
    assert_eq!(hands.read(&target).unwrap().unwrap(), before);
    let now: Value = serde_json::from_slice(&fs::read(cluster.file()).unwrap()).unwrap();
    assert_eq!(now, serde_json::from_str::<Value>(theirs).unwrap());
}

#[test]
fn others_may_create_and_delete_in_between() {
    let cluster = Cluster::new();
    let (hands, target) = (&cluster.hands, target(&cluster.hands, "0"));
    let bytes = hands.render(&target, None, &build(&json!({}))).unwrap();
    cluster.touch("race");
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(cluster.calls(), "get create get replace");
    cluster.touch("race");
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(cluster.calls(), "get replace get create");
    assert_eq!(hands.read(&target).unwrap().unwrap(), bytes);
}

#[test]
fn what_the_cluster_says_is_told() {
    let cluster = Cluster::new();
    let (hands, target) = (&cluster.hands, target(&cluster.hands, "0"));
    let object = |spec: Value, namespace: &str| {
        json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "edge-observer-ring-0", "namespace": namespace}, "spec": spec}).to_string()
    };
    let error =
        hands.write(&target, Some(object(json!({"unheardOf": 1}), "eucora").as_bytes())).unwrap_err().to_string();
    assert!(
        error.starts_with("ring 0, edge-observer-ring-0: `sh ") || error.contains("strict decoding error"),
        "{error}"
    );
    assert!(error.ends_with("strict decoding error: unknown field \"spec.unheardOf\""), "{error}");
    let error = hands.write(&target, Some(object(json!({}), "other").as_bytes())).unwrap_err().to_string();
    assert!(error.contains("does not match the namespace \"eucora\""), "{error}");
    assert_eq!(hands.read(&target).unwrap(), None);
    cluster.touch("away");
    for error in [
        hands.read(&target).unwrap_err(),
        hands.write(&target, None).unwrap_err(),
        hands.taken(&target, None, at()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("The connection to the server"), "{error}");
    }
    let gone = Kubectl::new(&["/nowhere/kubectl".to_owned()]);
    let error = gone.get("x", "y", "z").unwrap_err();
    assert!(error.ends_with("install it, or name it in `hands.istio.apply.kubectl`"), "{error}");
}

#[test]
fn lists_are_of_all_namespaces_and_empty_for_a_kind_that_the_cluster_lacks() {
    let cluster = Cluster::new();
    let (hands, target) = (&cluster.hands, target(&cluster.hands, "0"));
    let bytes = hands.render(&target, None, &build(&json!({}))).unwrap();
    hands.write(&target, Some(&bytes)).unwrap();
    let Place::Cluster(kubectl) = &hands.place else { panic!("not a cluster") };
    let all = kubectl.list(IstioKind::WasmPlugin.resource(), None).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(yaml::text(own(all[0].clone())).into_bytes(), bytes);
    assert_eq!(kubectl.list(IstioKind::TrafficExtension.resource(), None).unwrap(), Vec::<Value>::new());
}

fn builds() -> std::collections::BTreeMap<String, Build> {
    ["0", "1"].map(|ring| (ring.to_owned(), build(&json!({"ring": ring})))).into()
}

#[test]
fn a_cluster_is_inspected_before_anything_is_changed() {
    let cluster = Cluster::new();
    let inspect = || cluster.hands.inspect(&builds(), crate::istio::disjoint::ROOT_NAMESPACE);
    let pod = |name: &str, ring: &str| json!({"metadata": {"name": name, "labels": {"app": "eucora-api", crate::istio::RING: ring}}});
    let pods = |pods: &[Value]| {
        fs::write(cluster.folder.path().join("pods.eucora"), json!({"items": pods}).to_string()).unwrap()
    };
    pods(&[pod("a", "0"), pod("b", "0"), pod("c", "1"), pod("d", "1")]);
    assert_eq!(inspect().unwrap(), Vec::<String>::new());

    // The single plugin is still there, and an EnvoyFilter of the root namespace, which is found also by who may not look everywhere.
    let other = |kind: &str, namespace: &str, spec: Value| json!({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "old", "namespace": namespace}, "spec": spec});
    fs::create_dir_all(cluster.folder.path().join("objects/eucora")).unwrap();
    let single = other(
        "WasmPlugin",
        "eucora",
        json!({"selector": {"matchLabels": {"app": "eucora-api"}}, "url": "oci://registry.example/edge-observer:1"}),
    );
    fs::write(cluster.folder.path().join("objects/eucora/old"), single.to_string()).unwrap();
    let root = other(
        "EnvoyFilter",
        "istio-system",
        json!({"configPatches": [{"patch": {"value": {"root_id": "edge_observer"}}}]}),
    );
    fs::write(
        cluster.folder.path().join("envoyfilters.networking.istio.io.istio-system"),
        json!({"items": [root]}).to_string(),
    )
    .unwrap();
    cluster.touch("forbidden");
    pods(&[pod("a", "0"), pod("b", "0"), pod("c", "1"), pod("d", "7")]);
    let found = inspect().unwrap();
    let begins = [
        "WasmPlugin eucora/edge-observer-ring-0 and WasmPlugin eucora/old both match",
        "WasmPlugin eucora/edge-observer-ring-0 and EnvoyFilter istio-system/old both match",
        "WasmPlugin eucora/edge-observer-ring-1 and WasmPlugin eucora/old both match",
        "WasmPlugin eucora/edge-observer-ring-1 and EnvoyFilter istio-system/old both match",
        "pod d is in no ring",
        "ring 1 has 1 pods",
    ];
    assert_eq!(found.len(), begins.len(), "{found:#?}");
    assert!(found.iter().zip(begins).all(|(found, begin)| found.starts_with(begin)), "{found:#?}");
    assert!(!cluster.calls().contains("create") && !cluster.file().exists());

    cluster.touch("away");
    let error = inspect().unwrap_err();
    assert!(error.contains("failed: The connection to the server"), "{error}");
}
