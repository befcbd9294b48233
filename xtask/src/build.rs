//! `cargo xtask build`: from the `plugin` crate to the module that ships.
//!
//! Cargo compiles, with every path that would end up in the module replaced; walrus drops the exports that do no
//! work, then everything that nothing refers to any more, and the sections that only describe the build; binaryen
//! optimises what is left. The same sources, toolchain and binaryen give the same bytes in any folder.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::workspace::{
    cargo, is_installed, module_path, output, root, run, shown, step, target_dir, write_atomically,
};

/// The target that the module is built for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// Binaryen's optimiser.
const WASM_OPT: &str = "wasm-opt";

/// What the module may weigh, in bytes, as `wasm-opt` leaves it: a little above what it does weigh, so that growth is seen. Raise it when a feature is
/// worth the weight, and say so in the commit.
const SIZE_BUDGET: usize = 495_000;

/// What the proxy may find in the module. Everything else is dropped: a callback that does nothing still costs a
/// call, for bodies one per chunk.
const EXPORTS: &[&str] = &[
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_response_headers",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_delete",
];

/// Features that rustc's default for the target uses and binaryen must be told of.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Options of `cargo xtask build`.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// Also build twice from nothing, once in another folder, and fail unless all bytes are the same.
    #[arg(long)]
    pub(crate) check_reproducible: bool,
}

/// Builds the module, writes it to its place, and says what it is and what it asks of a proxy.
pub(crate) fn build(options: &Options) -> Result<()> {
    let module = build_quietly()?;
    report_interface(&module)?;
    if options.check_reproducible {
        check_reproducible(&module)?;
    }
    Ok(())
}

/// Builds the module, writes it to its place, and says what it is.
pub(crate) fn build_quietly() -> Result<Vec<u8>> {
    install_target(TARGET)?;
    let module = make(root(), &target_dir())?;
    let path = module_path();
    write_atomically(&path, &module)?;
    let size = module.len();
    let share = size * 100 / SIZE_BUDGET;
    let digest: String = Sha256::digest(&module).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("module    {}", shown(&path));
    println!("size      {size} bytes, {share} % of the budget of {SIZE_BUDGET}");
    println!("SHA-256   {digest}");
    Ok(module)
}

/// Installs the standard library for `target` if the toolchain does not have it.
pub(crate) fn install_target(target: &str) -> Result<()> {
    let mut rustc = Command::new("rustc");
    let library = output(rustc.current_dir(root()).args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(library.trim()).is_dir() {
        return Ok(());
    }
    step(&format!("installing the Rust target {target}"));
    let mut rustup = Command::new("rustup");
    run(rustup.current_dir(root()).args(["target", "add", target]))
        .with_context(|| format!("the Rust toolchain has no {target}; install it and try again"))
}

/// The finished module, from the workspace in `source`.
pub(crate) fn make(source: &Path, target_dir: &Path) -> Result<Vec<u8>> {
    step(&format!("compiling the module for {TARGET}"));
    // The folders that hold the sources of dependencies have to be there before their names can be replaced. If this
    // fails, so will the build, with a better message.
    let _ = run(cargo().current_dir(source).args(["fetch", "--quiet", "--locked", "--target", TARGET]));
    let mut build = cargo();
    build.current_dir(source).args(["build", "--locked", "--package", "plugin", "--lib"]);
    build.args(["--target", TARGET, "--profile", "module", "--target-dir"]).arg(target_dir);
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rust_flags(source)?);
    run(&mut build)?;

    let compiled = target_dir.join(TARGET).join("module/plugin.wasm");
    let bytes = std::fs::read(&compiled).with_context(|| format!("cannot read {}", shown(&compiled)))?;
    let pruned = prune(&bytes)?;
    let optimised = optimise(pruned, target_dir)?;
    ensure!(
        optimised.len() <= SIZE_BUDGET || !is_installed(WASM_OPT),
        "the module has {} bytes and its budget is {SIZE_BUDGET}; find what grew, or raise `SIZE_BUDGET` in xtask/src/build.rs",
        optimised.len()
    );
    Ok(optimised)
}

/// Flags that put neutral names in the place of this machine's folders.
pub(crate) fn rust_flags(source: &Path) -> Result<OsString> {
    let mut flags = OsString::new();
    let mut replace = |from: &Path, to: &str| {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    };
    // The last that matches wins, so the general come first.
    replace(source, "/edge-observer");
    let sources = cargo_home()?.join("registry/src");
    if let Ok(folders) = std::fs::read_dir(&sources) {
        let folders: BTreeSet<_> = folders.flatten().map(|folder| folder.path()).collect();
        for folder in folders {
            replace(&folder, "/crates");
        }
    }
    // The standard library names its files so where its sources are not installed.
    let sysroot = output(Command::new("rustc").current_dir(source).args(["--print", "sysroot"]))?;
    let version = output(Command::new("rustc").current_dir(source).args(["--version", "--verbose"]))?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap_or("unknown");
    replace(&Path::new(sysroot.trim()).join("lib/rustlib/src/rust"), &format!("/rustc/{commit}"));
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("neither CARGO_HOME nor a home folder is known")?;
    Ok(home.join(".cargo"))
}

/// Drops exports, and with them code, that the proxy would only waste time on.
fn prune(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut config = walrus::ModuleConfig::new();
    config.generate_name_section(false).generate_producers_section(false);
    let mut module = config.parse(bytes).context("the compiled module is not valid")?;

    let exports: Vec<_> = module.exports.iter().map(|export| (export.id(), export.name.clone())).collect();
    for name in EXPORTS {
        ensure!(exports.iter().any(|(_, export)| export == name), "the compiled module does not export `{name}`");
    }
    for (id, name) in exports {
        if !EXPORTS.contains(&name.as_str()) {
            module.exports.delete(id);
        }
    }
    let custom: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in custom {
        module.customs.delete(id);
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

/// Runs binaryen's `wasm-opt`, if there is one.
pub(crate) fn optimise(module: Vec<u8>, target_dir: &Path) -> Result<Vec<u8>> {
    if !is_installed(WASM_OPT) {
        eprintln!(
            "    wasm-opt is not installed: the module is not optimised further (it is in the package `binaryen`)"
        );
        return Ok(module);
    }
    let version = output(Command::new(WASM_OPT).arg("--version"))?;
    step(&format!("optimising with {}", version.trim()));
    let folder = target_dir.join("edge-observer");
    std::fs::create_dir_all(&folder)?;
    // Several builds may run at once.
    let mine = |name: &str| folder.join(format!("{name}.{}.wasm", std::process::id()));
    let (from, to) = (mine("pruned"), mine("optimised"));
    write_atomically(&from, &module)?;
    run(Command::new(WASM_OPT).arg("-O3").args(FEATURES).arg(&from).arg("--output").arg(&to))?;
    let optimised = std::fs::read(&to).with_context(|| format!("cannot read {}", shown(&to)))?;
    // Parsing validates.
    walrus::Module::from_buffer(&optimised).context("wasm-opt made a module that is not valid")?;
    std::fs::remove_file(&from)?;
    std::fs::remove_file(&to)?;
    Ok(optimised)
}

/// Builds from nothing, twice, the second time from a copy of the sources in another folder.
fn check_reproducible(module: &[u8]) -> Result<()> {
    let scratch = target_dir().join("edge-observer/reproducible");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    let copy = scratch.join("a copy/of the workspace");
    copy_sources(root(), &copy)?;
    for (source, name) in [(root(), "here"), (copy.as_path(), "there")] {
        step(&format!("building again from nothing, in {}", shown(source)));
        let again = make(source, &scratch.join(name))?;
        if again != module {
            let path = scratch.join(format!("{name}.wasm"));
            write_atomically(&path, &again)?;
            bail!("not reproducible: a build in {} has other bytes; they are in {}", shown(source), shown(&path));
        }
    }
    std::fs::remove_dir_all(&scratch)?;
    println!("reproducible: two builds from nothing, in two folders, have the same bytes");
    Ok(())
}

/// Copies what a build reads.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source == target_dir() || [".git", "target"].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_sources(&source, &copy)?;
        } else {
            std::fs::copy(&source, &copy)?;
        }
    }
    Ok(())
}

/// Prints what the module asks of a proxy and what it offers.
fn report_interface(module: &[u8]) -> Result<()> {
    let parsed = walrus::Module::from_buffer(module)?;
    let mut imports: Vec<_> =
        parsed.imports.iter().map(|import| (import.module.as_str(), import.name.as_str())).collect();
    imports.sort_unstable();
    let width = imports.iter().map(|(module, _)| module.len()).max().unwrap_or(0);
    for (index, (module, name)) in imports.into_iter().enumerate() {
        println!("{:<9} {module:<width$}  {name}", if index == 0 { "imports" } else { "" });
    }
    let mut exports: Vec<_> = parsed.exports.iter().map(|export| export.name.as_str()).collect();
    exports.sort_unstable();
    for (index, name) in exports.into_iter().enumerate() {
        println!("{:<9} {name}", if index == 0 { "exports" } else { "" });
    }
    Ok(())
}
