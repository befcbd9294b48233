//! The rollout file of a fleet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::bail;
use rollout::hands::Build;
use serde_json::{Value, json};

use super::{Place, SCRAPE};
use crate::envoy::FILTER;

/// The text of the file for a module, whose configuration is beside it.
pub(super) fn text(
    places: &[Place],
    module: &Path,
    prometheus: SocketAddr,
    overrides: &Value,
) -> anyhow::Result<String> {
    let mut rings: Vec<(String, Vec<Value>)> = Vec::new();
    for place in places {
        let instance = json!({
            "name": place.name,
            "ecds": place.folder.join("ecds/edge-observer.yaml"),
            "modules": place.folder.join("modules"),
            "admin": format!("http://{}", place.admin),
        });
        match rings.last_mut().filter(|(name, _)| *name == place.ring) {
            Some((_, instances)) => instances.push(instance),
            None => rings.push((place.ring.clone(), vec![instance])),
        }
    }
    let rings: Vec<Value> =
        rings.into_iter().map(|(name, instances)| json!({ "name": name, "instances": instances })).collect();
    let mut plan = json!({
        "name": "fleet",
        "artifact": { "module": module, "configuration": "configuration.yaml" },
        "hands": { "file_ecds": { "filter": FILTER } },
        "prometheus": { "url": format!("http://{prometheus}"), "scrape_interval": format!("{}s", SCRAPE.as_secs()) },
        "rings": rings,
        "policy": {
            "interval": "2s",
            "converge": "20s",
            "settle": "5s",
            "bake": { "min": "20s", "max": "5m" },
        },
    });
    put_over(&mut plan, overrides);
    Ok(serde_yaml_ng::to_string(&plan)?)
}

/// The builds of each ring.
pub(super) fn builds(
    places: &[Place],
    module: &[u8],
    configuration: &Value,
) -> anyhow::Result<BTreeMap<String, Build>> {
    // What is put in place at the beginning is made as a rollout would make it; where its proxies are is of no matter to that.
    let text = text(places, Path::new("edge_observer.wasm"), SocketAddr::from(([127, 0, 0, 1], 9090)), &Value::Null)?;
    let plan = match rollout::plan::parse(&text, Path::new("/")) {
        Ok(plan) => plan,
        Err(mistakes) => bail!("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    Ok(rollout::build::builds(&plan, module, configuration)?)
}

/// Puts the fields of `over` in the place of those of `under`, object by object.
fn put_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (_, Value::Null) => {}
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                put_over(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_can_be_read_and_overrides_reach_it() {
        let place = |ring: &str, last: u8| Place {
            ring: ring.to_owned(),
            name: format!("127.0.0.{last}"),
            folder: format!("/fleet/{last}").into(),
            listen: ([127, 0, 0, last], 1).into(),
            admin: ([127, 0, 0, last], 2).into(),
            metrics: ([127, 0, 0, last], 3).into(),
        };
        let places = [place("0", 2), place("0", 3), place("1", 4)];
        let over = json!({ "policy": { "interval": "7s" }, "gates": { "errors": "off" } });
        let text = text(&places, Path::new("/m.wasm"), ([127, 0, 0, 1], 9).into(), &over).unwrap();
        let plan = rollout::plan::parse(&text, Path::new("/base")).unwrap();
        assert_eq!(plan.rings.iter().map(|ring| ring.expected).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(plan.rings[0].select, r#"instance=~"127\\.0\\.0\\.2|127\\.0\\.0\\.3""#);
        assert_eq!(plan.rings[0].control.as_deref(), Some("1"));
        assert_eq!((plan.policy.interval.as_secs(), plan.policy.converge.as_secs()), (7, 20));
        assert_eq!((plan.gates.errors, plan.artifact.configuration), (None, "/base/configuration.yaml".into()));
    }
}
