//! Node.js and what is installed for it, under the target directory; Chromium.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

use crate::workspace::{is_installed, output, root, run, shown, step, target_dir, write_atomically};

/// The page's source, from the root of the repository.
const SOURCE: &str = "grafana/render";

/// The oldest Node.js that has what is used.
const NODE: u32 = 20;

/// The folder with the page's source and its packages.
#[derive(Debug)]
pub(super) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Installs the packages where they are missing or others are wanted, and puts the source beside them.
    pub(super) fn ready() -> Result<Self> {
        check_node()?;
        let folder = target_dir().join("edge-observer/tools/grafana-render");
        let source = root().join(SOURCE);
        let lock = source.join("package-lock.json");
        let wanted = std::fs::read(&lock).with_context(|| format!("cannot read {}", shown(&lock)))?;
        // Written last, so that it is there only when everything is.
        let installed = folder.join("installed.json");
        if std::fs::read(&installed).ok().as_deref() != Some(&wanted) {
            install(&source, &folder)?;
            write_atomically(&installed, &wanted)?;
        }
        let copy = folder.join("src");
        match std::fs::remove_dir_all(&copy) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", shown(&copy)));
            }
            _ => {}
        }
        copy_folder(&source.join("src"), &copy)?;
        copy_file(&source.join("tsconfig.json"), &folder.join("tsconfig.json"))?;
        Ok(Self { folder })
    }

    /// Where generated sources go that are checked with the others; empty.
    pub(super) fn checked(&self) -> Result<PathBuf> {
        let folder = self.folder.join("checked");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", shown(&folder)))?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", shown(&folder)))?;
        Ok(folder)
    }

    /// Runs the compiler over all sources, for its complaints alone.
    pub(super) fn check_types(&self) -> Result<()> {
        run(self.program("tsc").args(["--noEmit", "--project", "."]))
    }

    /// Bundles the page and what drives it. The page's path, without its ending.
    pub(super) fn bundle(&self) -> Result<PathBuf> {
        let page = self.folder.join("build/page");
        let mut outfile = std::ffi::OsString::from("--outfile=");
        outfile.push(page.with_extension("js"));
        run(self
            .program("esbuild")
            .args(["src/page.tsx", "--bundle", "--minify", "--format=iife", "--jsx=automatic", "--log-level=warning"])
            .args(["--loader:.ttf=dataurl", "--loader:.woff2=dataurl", "--define:process.env.NODE_ENV=\"production\""])
            .arg(outfile))?;
        run(self.program("esbuild").args([
            "src/draw.ts",
            "--bundle",
            "--platform=node",
            "--format=esm",
            "--packages=external",
            "--log-level=warning",
            "--outfile=build/draw.mjs",
        ]))?;
        Ok(page)
    }

    /// Draws; what was printed.
    pub(super) fn draw(&self, job: &Json) -> Result<String> {
        let path = self.folder.join("build/job.json");
        write_atomically(&path, job.to_string().as_bytes())?;
        output(Command::new("node").current_dir(&self.folder).arg("build/draw.mjs").arg(&path))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("node_modules/.bin").join(name));
        command.current_dir(&self.folder);
        command
    }
}

fn check_node() -> Result<()> {
    let cure = "install Node.js 20 or later, with npm (Debian: `apt-get install nodejs npm`)";
    let Ok(printed) = Command::new("node").arg("--version").stdin(Stdio::null()).output() else {
        bail!("`node` is not installed; {cure}");
    };
    let printed = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    let major = printed.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE) {
        bail!("`node` is version {printed}; {cure}");
    }
    if !is_installed("npm") {
        bail!("`npm` is not installed; {cure}");
    }
    Ok(())
}

/// Chromium, by `CHROMIUM` or one of its usual names.
pub(super) fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()))
        .context("Chromium is not installed, so nothing can be drawn; install it (Debian: `apt-get install chromium`), or set CHROMIUM to its path")
}

fn install(source: &Path, folder: &Path) -> Result<()> {
    step("installing Grafana's components, TypeScript and esbuild (about 500 MB, a minute)");
    let began = Instant::now();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", shown(folder)))?;
    for file in ["package.json", "package-lock.json"] {
        copy_file(&source.join(file), &folder.join(file))?;
    }
    // No script of a package runs: none is needed.
    run(Command::new("npm").current_dir(folder).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]))
    .context("the packages could not be installed; is a registry within reach?")?;
    println!("installed {} in {:.0?}", shown(folder), began.elapsed());
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", shown(to)))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", shown(from)))? {
        let entry = entry?;
        copy_file(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", shown(from), shown(to)))?;
    Ok(())
}
