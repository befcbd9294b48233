//! What a module is, before it runs: its ABI, what it imports and exports, and why a proxy would refuse it.

use std::sync::Arc;

use serde::Serialize;
use wasmtime::ExternType;

use crate::abi::CALLBACKS;
use crate::module::missing_imports;
use crate::vm::Vm;
use crate::{AbiVersion, Module, PluginConfig, Role, Shared, SharedOptions};

/// What can be said of a module without traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Length in bytes.
    pub size: usize,
    /// SHA-256 of the bytes, in hex.
    pub sha256: String,
    /// The ABI that it speaks, if it says so.
    pub abi: Option<String>,
    /// What is called before anything else: `_initialize`, or `_start`.
    pub start: Option<&'static str>,
    /// What the host calls for memory. A host looks for the C name first.
    pub allocator: Option<&'static str>,
    /// Its linear memory, if it exports one.
    pub memory: Option<Memory>,
    /// Functions that it imports, `module.name` with its type, in order.
    pub imports: Vec<Function>,
    /// Callbacks that a host makes, with their types, in order.
    pub callbacks: Vec<Function>,
    /// Functions that it exports and no host calls.
    pub unused_exports: Vec<String>,
    /// Why Envoy would not load it; empty when it would.
    pub refusals: Vec<String>,
}

/// A linear memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Bytes that it has at the start.
    pub initial: u64,
    /// Bytes that it says it will never pass.
    pub maximum: Option<u64>,
}

/// An imported or exported function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Its name, of an import with the module's before a dot.
    pub name: String,
    /// Parameters and results, like `(i32, i64) -> i32`.
    pub signature: String,
}

/// What a host calls besides.
const ENTRY_POINTS: [&str; 5] = ["_initialize", "_start", "main", "malloc", "proxy_on_memory_allocate"];

impl Module {
    /// Looks at the module, and starts it once in a VM of its own without a configuration.
    ///
    /// # Errors
    ///
    /// When the code cannot be compiled.
    pub fn inspect(&self) -> Result<Inspection, crate::ModuleError> {
        let (module, abi) = self.parts()?;
        let exported = |name: &&'static str| module.get_export(name).is_some();
        let mut refusals = Vec::new();
        match &abi {
            Ok(abi) => {
                let missing = missing_imports(&module, *abi);
                if !missing.is_empty() {
                    refusals.push(format!("it imports what no proxy provides: {}", missing.join(", ")));
                }
            }
            Err(error) => refusals.push(error.to_string()),
        }
        let memory = match module.get_export("memory") {
            Some(ExternType::Memory(memory)) => {
                let page = memory.page_size();
                let bytes = |pages: u64| pages.saturating_mul(page);
                Some(Memory { initial: bytes(memory.minimum()), maximum: memory.maximum().map(bytes) })
            }
            _ => {
                refusals.push("it exports no memory of the name `memory`".to_owned());
                None
            }
        };
        let imports = module.imports().filter_map(|import| {
            let ExternType::Func(function) = import.ty() else { return None };
            Some(Function { name: format!("{}.{}", import.module(), import.name()), signature: signature(&function) })
        });
        let mut callbacks = Vec::new();
        let mut unused_exports = Vec::new();
        for export in module.exports() {
            let ExternType::Func(function) = export.ty() else { continue };
            let name = export.name();
            if let Some(callback) = CALLBACKS.iter().find(|callback| callback.name == name) {
                // Before 0.2.0 headers came without the end of the stream.
                let short = name.ends_with("_headers") && matches!(abi, Ok(AbiVersion::V0_1_0));
                let wanted = wanted(if short { 2 } else { callback.parameters }, callback.has_result);
                let found = signature(&function);
                if found != wanted {
                    refusals.push(format!("its export `{name}` is {found}; the ABI has {wanted}"));
                }
                callbacks.push(Function { name: name.to_owned(), signature: found });
            } else if !ENTRY_POINTS.contains(&name) && !name.starts_with("proxy_abi_version_") {
                unused_exports.push(name.to_owned());
            }
        }
        let order = |name: &str| CALLBACKS.iter().position(|callback| callback.name == name);
        callbacks.sort_by_key(|callback| order(&callback.name));
        let inspection = Inspection {
            size: self.size(),
            sha256: self.sha256().to_owned(),
            abi: abi.as_ref().ok().map(ToString::to_string),
            start: ["_initialize", "_start"].into_iter().find(exported),
            allocator: ["malloc", "proxy_on_memory_allocate"].into_iter().find(exported),
            memory,
            imports: imports.collect(),
            callbacks,
            unused_exports,
            refusals,
        };
        Ok(if inspection.refusals.is_empty() { self.started(inspection) } else { inspection })
    }

    /// With what went wrong when it was started.
    fn started(&self, mut inspection: Inspection) -> Inspection {
        let mut options = SharedOptions::default();
        options.limits.deadline = Some(std::time::Duration::from_secs(2));
        let shared = Shared::new(options);
        if let Err(error) = Vm::new(self, &Arc::new(PluginConfig::default()), &shared, Role::Canary) {
            inspection.refusals.push(format!("it does not start: {error}"));
        }
        inspection
    }
}

fn wanted(parameters: usize, result: bool) -> String {
    format!("({}){}", vec!["i32"; parameters].join(", "), if result { " -> i32" } else { "" })
}

fn signature(function: &wasmtime::FuncType) -> String {
    let list = |types: &mut dyn Iterator<Item = wasmtime::ValType>| {
        types.map(|each| each.to_string()).collect::<Vec<_>>().join(", ")
    };
    let results = list(&mut function.results());
    format!("({}){}", list(&mut function.params()), if results.is_empty() { results } else { format!(" -> {results}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::A::{N, S};
    use crate::testing::Probe;

    fn inspect(text: impl Into<Vec<u8>>) -> Inspection {
        Module::from_bytes(text).unwrap().inspect().unwrap()
    }

    #[test]
    fn a_module_that_loads() {
        let found = inspect(
            Probe::default()
                .on("_initialize", &[("proxy_log", &[N(2), S("hello")])])
                .on("proxy_on_log", &[])
                .on("proxy_on_request_headers", &[("wasi_snapshot_preview1.random_get", &[N(0), N(1)])])
                .fields("(func (export \"surplus\"))")
                .text(),
        );
        let names = |functions: &[Function]| {
            functions.iter().map(|each| format!("{}{}", each.name, each.signature)).collect::<Vec<_>>()
        };
        assert_eq!((found.abi.as_deref(), found.start), (Some("0.2.1"), Some("_initialize")));
        assert_eq!(found.allocator, Some("proxy_on_memory_allocate"));
        assert_eq!(found.memory, Some(Memory { initial: 2 << 16, maximum: None }));
        assert_eq!(
            names(&found.imports),
            ["env.proxy_log(i32, i32, i32) -> i32", "wasi_snapshot_preview1.random_get(i32, i32) -> i32"]
        );
        assert_eq!(names(&found.callbacks), ["proxy_on_request_headers(i32, i32, i32) -> i32", "proxy_on_log(i32)"]);
        assert_eq!((found.unused_exports, found.refusals), (vec!["surplus".to_owned()], Vec::new()));
    }

    #[test]
    fn every_reason_against_loading_it_is_told() {
        let found = inspect("(module (import \"env\" \"fly\" (func)) (func (export \"proxy_on_log\") (param i64)))");
        assert_eq!((found.abi, found.memory), (None, None));
        let [abi, memory, callback] = found.refusals.as_slice() else { panic!("{:?}", found.refusals) };
        assert!(abi.starts_with("missing or unknown proxy-wasm ABI version"), "{abi}");
        assert_eq!(memory, "it exports no memory of the name `memory`");
        assert_eq!(callback, "its export `proxy_on_log` is (i64); the ABI has (i32)");

        let headers = |abi| Probe::default().abi(abi).on("proxy_on_request_headers", &[]).text();
        assert!(inspect(headers("proxy_abi_version_0_1_0")).refusals.is_empty());
        let found = inspect(headers("proxy_abi_version_0_1_0").replace("0_1_0", "0_2_0"));
        assert_eq!(
            found.refusals,
            ["its export `proxy_on_request_headers` is (i32, i32) -> i32; the ABI has (i32, i32, i32) -> i32"]
        );

        let found = inspect(Probe::default().on("proxy_on_tick", &[("proxy_fly", &[N(1)])]).text());
        assert_eq!(found.refusals, ["it imports what no proxy provides: env.proxy_fly"]);
    }

    #[test]
    fn a_module_that_does_not_start() {
        let early = Probe::default().on("_initialize", &[("proxy_set_tick_period_milliseconds", &[N(1)])]);
        let found = inspect(early.text());
        assert!(found.refusals[0].contains("not allowed while the module starts"), "{:?}", found.refusals);
        let endless = Probe::default().wat("_initialize", "(loop (br 0))");
        assert!(inspect(endless.text()).refusals[0].starts_with("it does not start: "));
    }
}
