//! Git, with a working tree and a bare remote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::plan::IstioApply;

struct Repository {
    folder: TempDir,
    hands: IstioHands,
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn clone(folder: &Path, name: &str) -> PathBuf {
    git(folder, &["clone", "--quiet", "remote.git", name]);
    let tree = folder.join(name);
    git(&tree, &["config", "user.name", "Operator"]);
    git(&tree, &["config", "user.email", "operator@example.com"]);
    git(&tree, &["config", "commit.gpgsign", "false"]);
    tree
}

impl Repository {
    fn new(push: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"]);
        let tree = clone(folder.path(), "tree");
        git(&tree, &["checkout", "--quiet", "-B", "main"]);
        fs::create_dir_all(tree.join("deploy")).unwrap();
        fs::write(tree.join("deploy/kustomization.yaml"), "resources: []\n").unwrap();
        git(&tree, &["add", "."]);
        git(&tree, &["commit", "--quiet", "-m", "begin"]);
        git(&tree, &["push", "--quiet", "-u", "origin", "main"]);
        let mut plan = plan(IstioKind::WasmPlugin);
        plan.apply = IstioApply::GitOps { folder: tree.join("deploy"), push };
        Self { hands: IstioHands::new(&plan, &[api_ring("0"), api_ring("1")]), folder }
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn file(&self) -> PathBuf {
        self.tree().join("deploy/edge-observer-ring-0.yaml")
    }

    /// The subjects of what is committed, newest first.
    fn subjects(&self) -> Vec<String> {
        git(&self.tree(), &["log", "--format=%s"]).lines().map(str::to_owned).collect()
    }

    fn remote(&self) -> String {
        git(&self.folder.path().join("remote.git"), &["rev-parse", "main"])
    }

    fn head(&self) -> String {
        git(&self.tree(), &["rev-parse", "HEAD"])
    }
}

#[test]
fn each_change_is_a_commit_of_one_file_that_is_pushed() {
    let repository = Repository::new(true);
    let (hands, target) = (&repository.hands, target(&repository.hands, "0"));
    assert_eq!(hands.read(&target).unwrap(), None);
    // An operator's own unfinished work stays as it is.
    fs::write(repository.tree().join("deploy/kustomization.yaml"), "resources: [a]\n").unwrap();
    fs::write(repository.tree().join("staged"), "x").unwrap();
    git(&repository.tree(), &["add", "staged"]);

    let bytes = hands.render(&target, None, &build(&json!({"namespace": "shop"}))).unwrap();
    for _ in 0..2 {
        hands.write(&target, Some(&bytes)).unwrap();
        assert_eq!(hands.read(&target).unwrap().unwrap(), bytes);
        assert_eq!(hands.taken(&target, Some(&bytes), at()).unwrap(), Taken::Yes);
        assert_eq!(repository.subjects(), ["edge-observer: ring 0 has build 0123456789ab", "begin"]);
        assert_eq!(repository.remote(), repository.head());
    }
    assert_eq!(git(&repository.tree(), &["show", "--name-only", "--format="]), "deploy/edge-observer-ring-0.yaml");
    let body = git(&repository.tree(), &["log", "-1", "--format=%b"]);
    let digest = crate::istio::tests::DIGEST;
    assert!(
        body.contains(&format!("Module: sha256:{}\nImage: {digest}\nRing: 0", build(&json!({})).module_sha256)),
        "{body}"
    );

    for _ in 0..2 {
        hands.write(&target, None).unwrap();
        assert_eq!(hands.read(&target).unwrap(), None);
        assert_eq!(hands.taken(&target, None, at()).unwrap(), Taken::Yes);
        assert_eq!(repository.subjects().len(), 3);
        assert_eq!(repository.subjects()[0], "edge-observer: ring 0 has no filter of its own");
        assert_eq!(repository.remote(), repository.head());
    }
    assert_eq!(git(&repository.tree(), &["status", "--porcelain"]), "M deploy/kustomization.yaml\nA  staged");
}

#[test]
fn a_file_of_before_is_put_back_as_it_was() {
    let repository = Repository::new(false);
    let (hands, target) = (&repository.hands, target(&repository.hands, "0"));
    let before = b"# An operator's own.\nkind: WasmPlugin\r\n".as_slice();
    fs::write(repository.file(), before).unwrap();
    git(&repository.tree(), &["add", "."]);
    git(&repository.tree(), &["commit", "--quiet", "-m", "own"]);
    assert_eq!(hands.read(&target).unwrap().unwrap(), before);
    let bytes = hands.render(&target, Some(before), &build(&json!({}))).unwrap();
    hands.write(&target, Some(&bytes)).unwrap();
    hands.write(&target, Some(before)).unwrap();
    assert_eq!(hands.read(&target).unwrap().unwrap(), before);
    assert_eq!(repository.subjects()[0], "edge-observer: ring 0 has what it had before");
    assert_eq!(git(&repository.tree(), &["diff", "HEAD~2", "--stat"]), "");
    assert_ne!(repository.remote(), repository.head(), "nothing is pushed that was not asked for");
}

#[test]
fn a_process_that_was_killed_anywhere_goes_on_where_it_was() {
    let bytes = |repository: &Repository| {
        let target = target(&repository.hands, "0");
        repository.hands.render(&target, None, &build(&json!({}))).unwrap()
    };
    let steps: [fn(&Repository); 4] = [
        |_| {},
        |repository| {
            git(&repository.tree(), &["add", "deploy/edge-observer-ring-0.yaml"]);
        },
        |repository| {
            git(&repository.tree(), &["add", "deploy/edge-observer-ring-0.yaml"]);
            git(&repository.tree(), &["commit", "--quiet", "-m", "edge-observer: ring 0 has build 0123456789ab"]);
        },
        |repository| {
            git(&repository.tree(), &["add", "deploy/edge-observer-ring-0.yaml"]);
            git(&repository.tree(), &["commit", "--quiet", "-m", "edge-observer: ring 0 has build 0123456789ab"]);
            git(&repository.tree(), &["push", "--quiet"]);
        },
    ];
    for (number, step) in steps.into_iter().enumerate() {
        for goes_on in [true, false] {
            let repository = Repository::new(true);
            let (hands, target) = (&repository.hands, target(&repository.hands, "0"));
            let bytes = bytes(&repository);
            fs::write(repository.file(), &bytes).unwrap();
            step(&repository);
            let settled = hands.taken(&target, Some(&bytes), at()).unwrap();
            assert_eq!(settled == Taken::Yes, number == 3, "{number}: {settled:?}");
            let wanted = goes_on.then_some(bytes.as_slice());
            hands.write(&target, wanted).unwrap();
            assert_eq!(hands.taken(&target, wanted, at()).unwrap(), Taken::Yes, "{number}");
            assert_eq!(hands.read(&target).unwrap().as_deref(), wanted);
            assert_eq!(git(&repository.tree(), &["status", "--porcelain"]), "");
            assert_eq!(repository.remote(), repository.head());
            let commits = if goes_on {
                1
            } else if number < 2 {
                0
            } else {
                2
            };
            assert_eq!(repository.subjects().len(), commits + 1, "{number} {goes_on}");
        }
    }
}

#[test]
fn what_others_pushed_meanwhile_goes_before() {
    let repository = Repository::new(true);
    let (hands, target) = (&repository.hands, target(&repository.hands, "0"));
    let other = clone(repository.folder.path(), "other");
    fs::write(other.join("image-tag"), "2").unwrap();
    git(&other, &["add", "."]);
    git(&other, &["commit", "--quiet", "-m", "a robot's commit"]);
    git(&other, &["push", "--quiet"]);
    // Unfinished work in the tree is no hindrance.
    fs::write(repository.tree().join("deploy/kustomization.yaml"), "resources: [b]\n").unwrap();
    let bytes = hands.render(&target, None, &build(&json!({}))).unwrap();
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(repository.subjects(), ["edge-observer: ring 0 has build 0123456789ab", "a robot's commit", "begin"]);
    assert_eq!(repository.remote(), repository.head());
    assert_eq!(fs::read_to_string(repository.tree().join("deploy/kustomization.yaml")).unwrap(), "resources: [b]\n");
}

#[test]
fn a_conflict_is_told_and_leaves_the_tree_whole() {
    let repository = Repository::new(true);
    let (hands, target) = (&repository.hands, target(&repository.hands, "0"));
    let other = clone(repository.folder.path(), "other");
    fs::write(other.join("deploy/edge-observer-ring-0.yaml"), "theirs\n").unwrap();
    git(&other, &["add", "."]);
    git(&other, &["commit", "--quiet", "-m", "theirs"]);
    git(&other, &["push", "--quiet"]);
    let bytes = hands.render(&target, None, &build(&json!({}))).unwrap();
    let error = hands.write(&target, Some(&bytes)).unwrap_err().to_string();
    assert!(error.contains("what others pushed cannot be put before it"), "{error}");
    assert_eq!(hands.read(&target).unwrap().unwrap(), bytes);
    assert_eq!(
        hands.taken(&target, Some(&bytes), at()).unwrap(),
        Taken::Pending("the commit is not pushed".to_owned())
    );
    assert_eq!(git(&repository.tree(), &["status", "--porcelain"]), "");
}

#[test]
fn what_git_says_is_told() {
    let repository = Repository::new(false);
    let (hands, target) = (&repository.hands, target(&repository.hands, "0"));
    let bytes = hands.render(&target, None, &build(&json!({}))).unwrap();
    fs::write(repository.tree().join(".gitignore"), "edge-observer-*\n").unwrap();
    let error = hands.write(&target, Some(&bytes)).unwrap_err().to_string();
    assert!(error.contains("ignored"), "{error}");
    fs::remove_dir_all(repository.tree().join(".git")).unwrap();
    fs::remove_file(repository.file()).unwrap();
    let error = hands.read(&target).unwrap_err().to_string();
    assert!(error.contains("not a git repository"), "{error}");
}

#[test]
fn a_tree_is_inspected_before_anything_is_changed() {
    let repository = Repository::new(false);
    let builds = ["0", "1"].map(|ring| (ring.to_owned(), build(&json!({"ring": ring})))).into();
    let inspect = || repository.hands.inspect(&builds, crate::istio::disjoint::ROOT_NAMESPACE);
    assert_eq!(inspect().unwrap(), Vec::<String>::new());
    let folder = repository.tree().join("deploy/apps");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("chart.yaml"), "{{ if }}\n").unwrap();
    let single = include_str!("../../../../../envoy/istio/base/wasmplugin.yaml");
    fs::write(folder.join("all.yml"), format!("kind: Service\n---\n{single}")).unwrap();
    let found = inspect().unwrap();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("WasmPlugin eucora/edge-observer both match"), "{found:#?}");
    let missing = IstioApply::GitOps { folder: repository.folder.path().join("nowhere"), push: false };
    let hands = IstioHands::new(&IstioPlan { apply: missing, ..plan(IstioKind::WasmPlugin) }, &[api_ring("0")]);
    assert!(hands.inspect(&builds, "istio-system").unwrap_err().contains("nowhere"));
}
