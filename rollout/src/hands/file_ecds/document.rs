//! The watched file: a discovery response with the filter as one of its resources.
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/service/discovery/v3/discovery.proto>

use std::path::Path;

use serde_yaml_ng::{Mapping, Value};
use telemetry::config::Config;

/// `envoy/ecds/edge-observer.yaml`.
const SHIPPED: &str = include_str!("../../../../envoy/ecds/edge-observer.yaml");
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";

/// How the file is written. Envoy goes by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// YAML, of which JSON is a part.
    Yaml,
    /// JSON.
    Json,
}

impl Form {
    /// By the end of a file's name.
    pub(super) fn of(path: &Path) -> Self {
        match path.extension() {
            Some(end) if end.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// What a file, or a proxy, says the filter is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Offer {
    /// `version_info`.
    pub(super) version: String,
    /// Where the module is from.
    pub(super) code: Option<serde_json::Value>,
    /// The plugin configuration.
    pub(super) configuration: Option<serde_json::Value>,
}

impl Offer {
    /// From a resource, as Envoy's API has it in JSON.
    pub(super) fn of(version: &str, resource: &serde_json::Value) -> Self {
        let field =
            |value: &serde_json::Value, name: &str| value.get(name).or_else(|| value.get(lower_camel(name))).cloned();
        let config = field(resource, "typed_config").and_then(|typed| field(&typed, "config"));
        let vm = config.as_ref().and_then(|config| field(config, "vm_config"));
        Self {
            version: version.to_owned(),
            code: vm.and_then(|vm| field(&vm, "code")),
            configuration: config.and_then(|config| field(&config, "configuration")),
        }
    }

    /// Whether both run the same module with the same configuration.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.code == other.code && self.configuration == other.configuration
    }

    /// The filter's own reading of the configuration, where a rollout made it: it names the build then.
    pub(super) fn build(&self) -> Option<Config> {
        let text = self.configuration.as_ref()?.get("value")?.as_str()?;
        let fields: serde_json::Value = serde_json::from_str(text).ok()?;
        fields.get("build")?;
        Config::from_value(fields).ok()
    }
}

/// A watched file that is being changed.
#[derive(Debug)]
pub(super) struct Document {
    root: Value,
    form: Form,
    /// The filter's place in the list of resources.
    place: usize,
}

impl Document {
    /// The shipped file, with this name for the filter.
    pub(super) fn shipped(form: Form, filter: &str) -> Result<Self, String> {
        let mut root: Value = serde_yaml_ng::from_str(SHIPPED).map_err(|error| error.to_string())?;
        let resource = root.get_mut("resources").and_then(|list| list.get_mut(0)).ok_or("has no resource")?;
        *field_mut(resource, "name")? = filter.into();
        Self::of(root, form, filter)
    }

    /// Reads a file and finds the filter of this name in it.
    pub(super) fn parse(bytes: &[u8], form: Form, filter: &str) -> Result<Self, String> {
        let root = match form {
            Form::Yaml => serde_yaml_ng::from_slice(bytes).map_err(|error| format!("is no YAML: {error}"))?,
            Form::Json => serde_json::from_slice(bytes).map_err(|error| format!("is no JSON: {error}"))?,
        };
        Self::of(root, form, filter)
    }

    fn of(root: Value, form: Form, filter: &str) -> Result<Self, String> {
        let resources = root.get("resources").and_then(Value::as_sequence).ok_or("has no list `resources`")?;
        let names: Vec<&str> = resources.iter().map(|one| text(one, "name").unwrap_or_default()).collect();
        let place = names.iter().position(|name| *name == filter).ok_or_else(|| {
            format!(
                "has no resource `{filter}`, only `{}`; set hands.file_ecds.filter to the filter's name",
                names.join("`, `")
            )
        })?;
        Ok(Self { root, form, place })
    }

    /// What the file offers.
    pub(super) fn offer(&self) -> Offer {
        let version = text(&self.root, "version_info").unwrap_or_default();
        let resource = self.root.get("resources").and_then(|list| list.get(self.place));
        Offer::of(version, &resource.and_then(|one| serde_json::to_value(one).ok()).unwrap_or_default())
    }

    /// Puts in the module's file, the configuration and the version, and leaves the rest as it is.
    pub(super) fn put(&mut self, module: &str, configuration: &str, version: &str) -> Result<(), String> {
        let place = self.place;
        let resource =
            self.root.get_mut("resources").and_then(|list| list.get_mut(place)).ok_or("has no such resource")?;
        let typed = field_mut(resource, "typed_config")?;
        let kind = text(typed, "@type").unwrap_or_default();
        if kind.rsplit('/').next() != Some(WASM) {
            return Err(format!("the resource is `{kind}` and no Wasm filter; put one there first"));
        }
        let config = field_mut(typed, "config")?;
        harmless(config)?;
        let vm = field_mut(config, "vm_config")?;
        let local = mapping([("filename", module.into())]);
        *field_mut(vm, "code")? = mapping([("local", local)]);
        *field_mut(config, "configuration")? = mapping([("@type", STRING.into()), ("value", configuration.into())]);
        *field_mut(&mut self.root, "version_info")? = version.into();
        Ok(())
    }

    /// The file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        match self.form {
            Form::Yaml => {
                serde_yaml_ng::to_string(&self.root).map(String::into_bytes).map_err(|error| error.to_string())
            }
            Form::Json => serde_json::to_vec_pretty(&self.root).map_err(|error| error.to_string()),
        }
    }
}

/// Requests must go on without the filter when it fails.
fn harmless(config: &Value) -> Result<(), String> {
    let policy = text(config, "failure_policy");
    let open = ["fail_open", "failOpen"].iter().any(|name| config.get(*name).and_then(Value::as_bool) == Some(true));
    match policy {
        Some("FAIL_OPEN" | "FAIL_RELOAD") => Ok(()),
        // The form of before 1.33.
        None if open => Ok(()),
        found => Err(format!(
            "`failure_policy` is {}, with which a filter that fails answers requests with 503; set it to FAIL_OPEN or FAIL_RELOAD",
            found.unwrap_or("missing, which is FAIL_CLOSED")
        )),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).or_else(|| value.get(lower_camel(name))).and_then(Value::as_str)
}

/// A field under either of the names that Envoy reads; it is made where it is not.
fn field_mut<'a>(value: &'a mut Value, name: &str) -> Result<&'a mut Value, String> {
    if value.is_null() {
        *value = Value::Mapping(Mapping::new());
    }
    let fields = value.as_mapping_mut().ok_or_else(|| format!("the place of `{name}` is no object of fields"))?;
    let camel = lower_camel(name);
    let name = if fields.contains_key(camel.as_str()) { camel } else { name.to_owned() };
    Ok(fields.entry(name.into()).or_insert(Value::Null))
}

/// `vm_config` as `vmConfig`.
fn lower_camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut out, word| {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
        out
    })
}

fn mapping<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Mapping(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}
