//! `rings`: who gets the build, in which order, and beside whom each is judged.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use super::policy;
use super::read::{path, url};
use super::{Bake, HandsPlan, Instance, Ring};

/// The longest name of a ring: the filter's own limit of the label.
const MAX_NAME: usize = 64;

pub(super) fn rings(root: &Fields<'_>, hands: &HandsPlan, bake: Bake, base: &Path) -> Vec<Ring> {
    let list = root.list("rings");
    if list.is_empty() {
        root.wrong("rings", "is missing or empty; list at least one ring");
    }
    let mut rings: Vec<Ring> =
        list.iter().enumerate().map(|(index, value)| ring(root, index, value, hands, bake, base)).collect();
    let mut names = BTreeSet::new();
    let mut places = BTreeSet::new();
    for (index, ring) in rings.iter().enumerate() {
        if !names.insert(ring.name.clone()) {
            root.wrong(&format!("rings[{index}].name"), format!("`{}` is the name of another ring too", ring.name));
        }
        for (place, instance) in ring.instances.iter().enumerate() {
            let at = format!("rings[{index}].instances[{place}]");
            if !places.insert(("name", instance.name.clone())) {
                root.wrong(
                    &format!("{at}.name"),
                    format!("`{}` is in two places; a proxy belongs to one ring", instance.name),
                );
            }
            if !places.insert(("ecds", instance.ecds.display().to_string())) {
                root.wrong(&format!("{at}.ecds"), "is another proxy's file too; each needs its own");
            }
        }
    }
    controls(root, &mut rings);
    rings
}

/// Where none was named: the last ring, as long as the build comes to it later.
fn controls(root: &Fields<'_>, rings: &mut [Ring]) {
    let names: Vec<String> = rings.iter().map(|ring| ring.name.clone()).collect();
    for (index, ring) in rings.iter_mut().enumerate() {
        match &ring.control {
            None => ring.control = names.last().filter(|_| index + 1 < names.len()).cloned(),
            Some(control) => match names.iter().position(|name| name == control) {
                None => root.wrong(
                    &format!("rings[{index}].control"),
                    format!("found `{control}`; use the name of a later ring"),
                ),
                Some(place) if place <= index => root.wrong(
                    &format!("rings[{index}].control"),
                    format!("ring `{control}` has the build by then; name a later ring"),
                ),
                Some(_) => {}
            },
        }
    }
}

fn ring(root: &Fields<'_>, index: usize, value: &Value, hands: &HandsPlan, bake: Bake, base: &Path) -> Ring {
    let fields = Fields::of(root.path(&format!("rings[{index}]")), Some(value), root.mistakes());
    let name = fields.needed("name", "name the ring, `0` to `4` as a rule");
    if name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        fields.wrong("name", format!("found `{name}`; use at most {MAX_NAME} letters, digits, `.`, `_` and `-`"));
    }
    let list = fields.list("instances");
    let instances: Vec<Instance> =
        list.iter().enumerate().map(|(place, value)| instance(&fields, place, value, base)).collect();
    let match_labels = fields.map("match_labels");
    let own_select = fields.read("select", "label matchers such as `instance=~\"a|b\"`", |value| {
        value.as_str().filter(|text| !text.is_empty() && !text.contains(['{', '}'])).map(str::to_owned)
    });
    let expected = fields.read("expected", "a number of proxies, at least 1", |value| {
        value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
    });
    match hands {
        HandsPlan::FileEcds { .. } => {
            if instances.is_empty() && !fields.has("instances") {
                fields.wrong("instances", "is missing; list the ring's proxies");
            } else if instances.is_empty() {
                fields.wrong("instances", "is empty; list the ring's proxies");
            }
            if !match_labels.is_empty() {
                fields.wrong("match_labels", "is for `hands.istio`; leave it out");
            }
        }
        HandsPlan::Istio(_) => {
            if match_labels.is_empty() {
                fields.wrong("match_labels", "is missing; give the labels that the ring's pods have and no others");
            }
            if own_select.is_none() {
                fields.wrong("select", "is missing; give the label matchers of the ring's proxies in Prometheus, such as `edge_ring=\"0\"`");
            }
            if expected.is_none() {
                fields.wrong("expected", "is missing; say how many proxies the ring has");
            }
            if !instances.is_empty() {
                fields.wrong("instances", "is for `hands.file_ecds`; leave it out");
            }
        }
    }
    let select = own_select.unwrap_or_else(|| {
        let names: Vec<String> = instances.iter().map(|instance| escaped(&instance.name)).collect();
        format!("instance=~\"{}\"", names.join("|"))
    });
    let ring = Ring {
        name,
        select,
        expected: expected.unwrap_or_else(|| u32::try_from(instances.len()).unwrap_or(u32::MAX)),
        instances,
        match_labels,
        control: fields.text("control"),
        approval: fields.flag("approval"),
        bake: policy::bake(fields.section("bake"), bake),
    };
    fields.finish();
    ring
}

/// A text within a regular expression within a quoted string of PromQL.
fn escaped(text: &str) -> String {
    let special = |letter: char| r"\.+*?()|[]{}^$".contains(letter);
    text.chars()
        .flat_map(|letter| match letter {
            '"' => vec!['\\', '"'],
            letter if special(letter) => vec!['\\', '\\', letter],
            letter => vec![letter],
        })
        .collect()
}

fn instance(ring: &Fields<'_>, index: usize, value: &Value, base: &Path) -> Instance {
    let fields = Fields::of(ring.path(&format!("instances[{index}]")), Some(value), ring.mistakes());
    let name = fields.needed("name", "give the proxy's value of the label `instance`");
    let ecds = fields.needed("ecds", "name the watched file");
    let modules = fields.needed("modules", "name the folder for modules");
    let instance = Instance {
        name,
        ecds: path(base, &ecds),
        modules: path(base, &modules),
        modules_in_proxy: fields.text("modules_in_proxy").map(Into::into),
        admin: url(&fields, "admin", "give the admin interface, `http://HOST:PORT`"),
    };
    fields.finish();
    instance
}
