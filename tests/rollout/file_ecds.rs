//! Hands for watched files on real Envoy: what it says of a file is what it does with it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use edge_observer::envoy::{AccessLog, EnvoyOptions, EnvoyProxy, profile_json};
use jiff::Timestamp;
use rollout::build::builds;
use rollout::hands::file_ecds::FileEcds;
use rollout::hands::{Build, Hands, HandsError, Taken, Target};
use rollout::plan::Plan;
use serde_json::Value;

use super::bad_builds::{Harm, module_with};
use crate::support::proxy::{envoy_binary, module_path};

/// A rollout over one proxy in this folder.
pub(super) fn plan_of(folder: &Path, admin: &str) -> Plan {
    let text = format!(
        "name: edge\nartifact: {{module: a, configuration: b}}\nhands: {{file_ecds: {{}}}}\nprometheus: {{url: http://p}}\n\
         rings: [{{name: \"0\", instances: [{{name: a, ecds: ecds/edge-observer.yaml, modules: modules, admin: \"{admin}\"}}]}}]\n"
    );
    rollout::plan::parse(&text, folder).unwrap()
}

fn build(plan: &Plan, module: &Path) -> Build {
    let profile: Value = serde_json::from_str(&profile_json()).unwrap();
    builds(plan, &fs::read(module).unwrap(), &profile).unwrap().remove("0").unwrap()
}

/// A tool that knows nothing yet, as after a crash.
fn anew(plan: &Plan) -> (FileEcds, Target) {
    let hands = FileEcds::new("edge_observer", &plan.rings);
    let target = hands.targets(&plan.rings[0]).remove(0);
    (hands, target)
}

fn taken(plan: &Plan, bytes: Option<&[u8]>) -> Result<Taken, HandsError> {
    let (hands, target) = anew(plan);
    hands.taken(&target, bytes, Timestamp::now())
}

/// The first answer that is not "not yet".
fn settled(plan: &Plan, bytes: &[u8]) -> Taken {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match taken(plan, Some(bytes)).unwrap() {
            Taken::Pending(why) => assert!(Instant::now() < deadline, "{why}"),
            other => return other,
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_envoy_says_of_a_file_is_what_it_does_with_it() {
    let Some(binary) = envoy_binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut options = EnvoyOptions::new(binary, module_path());
    options.folder = Some(folder.path().to_owned());
    options.access_log = AccessLog::Off;
    let mut envoy = EnvoyProxy::start(options).await.unwrap();
    let plan = plan_of(folder.path(), &format!("http://{}", envoy.admin()));
    let at = folder.path().to_owned();
    let work = tokio::task::spawn_blocking(move || {
        scenario(&plan, &at);
        plan
    });
    let plan = work.await.unwrap();

    envoy.stop(Duration::from_secs(1)).await.unwrap();
    let away = tokio::task::spawn_blocking(move || taken(&plan, None).unwrap_err().to_string()).await.unwrap();
    assert!(away.starts_with("ring 0, a: http://127.0.0.1:"), "{away}");
}

fn scenario(plan: &Plan, folder: &Path) {
    let (hands, target) = anew(plan);
    let before = hands.read(&target).unwrap().unwrap();
    assert_eq!(taken(plan, Some(&before)).unwrap(), Taken::Yes);

    // A build: asked before it is there, and after.
    let good = build(plan, module_path());
    let bytes = hands.render(&target, Some(&before), &good).unwrap();
    assert!(matches!(taken(plan, Some(&bytes)).unwrap(), Taken::Pending(_)));
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(settled(plan, &bytes), Taken::Yes);
    assert!(matches!(taken(plan, Some(&before)).unwrap(), Taken::Pending(_)));

    // The same again changes nothing.
    hands.write(&target, Some(&hands.render(&target, Some(&before), &good).unwrap())).unwrap();
    assert_eq!(taken(plan, Some(&bytes)).unwrap(), Taken::Yes);

    // The same under another version: Envoy takes it without loading anything.
    let text = String::from_utf8(bytes.clone()).unwrap();
    let renamed = text.replacen("version_info: ", "version_info: again-", 1).into_bytes();
    assert_ne!(renamed, bytes);
    hands.write(&target, Some(&renamed)).unwrap();
    assert_eq!(settled(plan, &renamed), Taken::Yes);

    // A module that Envoy refuses, asked twice and written twice.
    let bad = build(plan, &module_with(Harm::Stranger, folder));
    let refused = hands.render(&target, Some(&before), &bad).unwrap();
    for _ in 0..2 {
        anew(plan).0.write(&target, Some(&refused)).unwrap();
        let Taken::Refused(why) = settled(plan, &refused) else { panic!("a module with an unknown import was taken") };
        assert!(why.contains(&bad.digest) && why.contains("goes on with version \"again-"), "{why}");
    }

    // Read a second time, Envoy 1.40 says that it took it. It did not, and is not believed.
    fs::write(folder.join("again"), &refused).unwrap();
    fs::rename(folder.join("again"), folder.join("ecds/edge-observer.yaml")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match taken(plan, Some(&refused)).unwrap() {
            Taken::Pending(why) if why.contains("does not report build") => break,
            Taken::Yes => panic!("a refused file counts as taken"),
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }

    // Back to a build of before, and to the bytes of before.
    hands.write(&target, Some(&bytes)).unwrap();
    assert_eq!(settled(plan, &bytes), Taken::Yes);
    hands.write(&target, Some(&before)).unwrap();
    assert_eq!(settled(plan, &before), Taken::Yes);
    assert_eq!(hands.read(&target).unwrap().as_deref(), Some(before.as_slice()));

    // A file that goes away unloads nothing.
    hands.write(&target, None).unwrap();
    let gone = taken(plan, None).unwrap();
    assert!(matches!(&gone, Taken::Pending(why) if why.contains("goes on with version \"1\"")), "{gone:?}");
}
