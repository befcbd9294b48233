//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// What is in a file; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("reading {}: {error}", path.display())),
    }
}

/// Puts a new file in place of the one that is there, by a rename: who reads sees the old bytes or the new ones, also after a loss of power.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().ok_or_else(|| format!("{} is in no folder", path.display()))?;
    let there = fs::symlink_metadata(path).ok();
    if there.as_ref().is_some_and(|meta| meta.file_type().is_symlink()) {
        return Err(format!(
            "{} is a symbolic link, and a rename would replace the link; give the file that is to be replaced",
            path.display()
        ));
    }
    let permissions = there.map(|meta| meta.permissions());
    // Beside the watched folder and not in it, so that Envoy sees nothing but the rename. A folder that is a mount of its own can only be renamed
    // within; Envoy 1.40 looks at no other name than the one it was told.
    let beside = folder.parent().unwrap_or(folder);
    let outcome = write_and_rename(&beside.join(new_name(path)), path, bytes, permissions.clone());
    match outcome {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::CrossesDevices | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            write_and_rename(&folder.join(new_name(path)), path, bytes, permissions)
        }
        other => other,
    }
    .map_err(|error| format!("writing {}: {error}", path.display()))?;
    sync_folder(folder)
}

/// Takes a file away; it is no error when it is not there.
pub(super) fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("removing {}: {error}", path.display())),
    }
}

/// Puts a module under a name that says what is in it. One that is there already is never written over: a proxy may be reading it, and the bytes of
/// before name it.
pub(super) fn add_module(path: &Path, bytes: &[u8]) -> Result<(), String> {
    match read(path)? {
        Some(there) if there == bytes => return Ok(()),
        Some(_) => {
            return Err(format!(
                "{} has other bytes than its name says; look who changed it, and remove it when no proxy runs it",
                path.display()
            ));
        }
        None => {}
    }
    let folder = path.parent().ok_or_else(|| format!("{} is in no folder", path.display()))?;
    fs::create_dir_all(folder).map_err(|error| format!("making {}: {error}", folder.display()))?;
    write_and_rename(&folder.join(new_name(path)), path, bytes, None)
        .map_err(|error| format!("writing {}: {error}", path.display()))?;
    sync_folder(folder)
}

/// A name of its own for each file, and the same every time: what a killed process left is written over.
fn new_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    name.into()
}

fn write_and_rename(
    new: &Path,
    path: &Path,
    bytes: &[u8],
    permissions: Option<fs::Permissions>,
) -> std::io::Result<()> {
    let written = (|| {
        let mut file = File::create(new)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(new);
    }
    written
}

/// A rename is on disk when its folder is.
fn sync_folder(folder: &Path) -> Result<(), String> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| format!("{}: {error}", folder.display()))
}
