//! Objects as files of a Git working tree, from which something else applies them: Argo CD, Flux.
//!
//! Each change is a commit of that one file, whatever else is changed or staged in the tree. Every step looks first at what is there, so that a process that
//! was killed between writing, committing and pushing goes on where it was.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::hands::Taken;

/// How often a push is tried when others push too.
const PUSHES: u32 = 3;

/// A folder of a working tree.
#[derive(Debug)]
pub(super) struct Tree {
    folder: PathBuf,
    push: bool,
}

impl Tree {
    pub(super) fn new(folder: &Path, push: bool) -> Self {
        Self { folder: folder.to_owned(), push }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.folder.join(file);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Without its folder nothing is known of the file.
                self.git(&["rev-parse", "--git-dir"])?;
                Ok(None)
            }
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Writes or removes the file, commits that, and pushes it where that was asked for.
    pub(super) fn write(&self, file: &str, bytes: Option<&[u8]>, message: &str) -> Result<(), String> {
        self.git(&["rev-parse", "--git-dir"])?;
        let path = self.folder.join(file);
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        match bytes {
            Some(bytes) => {
                let mut new = tempfile::NamedTempFile::new_in(&self.folder).map_err(wrong)?;
                new.write_all(bytes).map_err(wrong)?;
                readable(new.as_file()).map_err(wrong)?;
                new.as_file().sync_all().map_err(wrong)?;
                new.persist(&path).map_err(|error| wrong(error.error))?;
            }
            None => {
                if let Err(error) = std::fs::remove_file(&path)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(wrong(error));
                }
                // Also one that was added and never committed.
                self.git(&["rm", "--cached", "--quiet", "--ignore-unmatch", "--", file])?;
            }
        }
        if self.is_changed(file)? {
            if bytes.is_some() {
                // Not `--force`: a file that the tree ignores would be committed once and then be lost to whoever clones it.
                self.git(&["add", "--", file])?;
            }
            self.git(&["commit", "--quiet", "--only", "-m", message, "--", file])?;
        }
        if self.push { self.push() } else { Ok(()) }
    }

    /// Whether the file is as it is committed, and pushed where that was asked for.
    pub(super) fn settled(&self, file: &str) -> Result<Taken, String> {
        if self.is_changed(file)? {
            return Ok(Taken::Pending("the file is written and not committed".to_owned()));
        }
        if self.push && self.git(&["rev-list", "--count", "@{upstream}..HEAD"])?.trim() != "0" {
            return Ok(Taken::Pending("the commit is not pushed".to_owned()));
        }
        Ok(Taken::Yes)
    }

    fn is_changed(&self, file: &str) -> Result<bool, String> {
        Ok(!self.git(&["status", "--porcelain", "--untracked-files=all", "--ignored", "--", file])?.trim().is_empty())
    }

    /// Pushes; what others pushed meanwhile goes before ours.
    fn push(&self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..PUSHES {
            match self.git(&["push", "--quiet"]) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
            if !last.contains("rejected") {
                break;
            }
            if let Err(error) = self.git(&["pull", "--quiet", "--rebase", "--autostash"]) {
                // Leave the tree as it was found; no rebase may be under way at all.
                let _ = self.git(&["rebase", "--abort"]);
                return Err(format!("{last}; and what others pushed cannot be put before it: {error}"));
            }
        }
        Err(last)
    }

    fn git(&self, arguments: &[&str]) -> Result<String, String> {
        // A question on the terminal would never be answered, and a remote that says nothing for 20 s is away.
        let output = Command::new("git")
            .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20"])
            .arg("-C")
            .arg(&self.folder)
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .output()
            .map_err(|error| format!("`git` cannot be run: {error}; install it"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        Err(format!("`git {}` in {} failed: {}", arguments.join(" "), self.folder.display(), said.trim()))
    }
}

/// A temporary file is its owner's alone; one of a repository is not.
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
