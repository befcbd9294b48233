//! A process that outlives the tool: when the tool is gone without having said that it is done, the guard takes the rollout back.
//!
//! The tool holds one end of a pipe, the guard the other. However the tool ends, by SIGKILL too, the kernel closes its end. The guard is in a process
//! group of its own, so that the terminal's Ctrl-C does not reach it.

use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::state::State;
use super::{Ended, Error, Tools, rollback};
use crate::journal::lock::LockError;
use crate::journal::read;
use crate::plan::Killed;

/// What the tool says when it ends as it should.
const DONE: &[u8] = b"done\n";

/// How often a guard tries what fails: the disk may be full, or the dying process may still hold the lock.
const RETRY: Duration = Duration::from_secs(2);

/// How the tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It said that it is done: there is nothing to do.
    Done,
    /// It is gone.
    Gone,
}

/// The tool's end: it must live as long as the tool is at the rollout.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    pipe: ChildStdin,
}

/// Starts a guard; `command` must come to [`watch`] with its standard input, and then to [`take_over`]. What it writes should go to a file: the terminal
/// may be gone.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(mut command: Command) -> io::Result<Guard> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let pipe = child.stdin.take().ok_or_else(|| io::Error::other("the guard has no standard input"))?;
    Ok(Guard { child, pipe })
}

impl Guard {
    /// Says that the tool is done, and waits for the guard to end. Without this the guard takes over.
    ///
    /// # Errors
    /// When the guard is not there any more.
    pub fn done(mut self) -> io::Result<()> {
        self.pipe.write_all(DONE)?;
        drop(self.pipe);
        self.child.wait().map(|_| ())
    }

    /// The guard's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Waits until the tool is done, or gone.
pub fn watch(mut input: impl Read) -> Word {
    let mut said: Vec<u8> = Vec::new();
    let mut buffer = [0; 16];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if said.len() <= DONE.len() => said.extend(buffer.iter().take(count)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if said == DONE { Word::Done } else { Word::Gone }
}

/// Takes a rollout back whose tool is gone, if its file says so. `tools` makes the tools for each try: it is tried until it comes to an end, or somebody
/// else is at it, or nothing is left to do. `None` when there was nothing to do.
///
/// # Errors
/// When trying again cannot help.
pub fn take_over(mut tools: impl FnMut() -> Tools, name: &str) -> Result<Option<Ended>, Error> {
    let mut held = 0;
    loop {
        let tools = tools();
        let state = State::of(read(&tools.folder(name).journal())?.latest());
        let Some(opened) = state.opened.as_ref().filter(|_| state.is_open()) else { return Ok(None) };
        let plan = tools.world.plan(&opened.plan, std::path::Path::new(&opened.base)).map_err(Error::Plan)?;
        if plan.policy.killed == Killed::Hold {
            return Ok(None);
        }
        let wait = Duration::from_secs(1);
        match rollback(tools, name, "the tool that was at it is gone", false) {
            Ok(ended) => return Ok(Some(ended)),
            // A process that took it up meanwhile keeps it; one that is just ending does not.
            Err(Error::Lock(LockError::Held(_))) if held >= 5 => return Ok(None),
            Err(Error::Lock(LockError::Held(_))) => {
                held += 1;
                std::thread::sleep(wait);
            }
            Err(Error::Nothing { .. }) => return Ok(None),
            Err(Error::Journal(crate::journal::Error::NotWritten { .. } | crate::journal::Error::Io { .. })) => {
                std::thread::sleep(RETRY)
            }
            Err(error) => return Err(error),
        }
    }
}
