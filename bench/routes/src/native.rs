//! The native measure as a child of this process, with the answers of [`Bench`](crate::Bench).

use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::pipe::{Command, FAILED, read_bytes, read_number, write};
use crate::{Request, Subject, encode};

/// The running measure, with a table. It ends with this value.
#[derive(Debug)]
pub struct NativeBench {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What compiling a configuration took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// How long.
    pub nanoseconds: u64,
    /// Bytes in use after it, beyond those before.
    pub live: u64,
    /// Bytes in use at most meanwhile.
    pub peak: u64,
}

/// What rounds took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rounds {
    /// The sum of the endpoints' numbers.
    pub sum: u64,
    /// How long.
    pub nanoseconds: u64,
    /// How often memory was given out meanwhile.
    pub allocations: u64,
}

impl NativeBench {
    /// Starts the program `routes-subject`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path) -> Result<Self> {
        let mut command = std::process::Command::new(program);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("cannot start {}", program.display()))?;
        let input = child.stdin.take().context("no pipe to the native measure")?;
        let output = child.stdout.take().context("no pipe from the native measure")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Compiles a configuration of the plugin, in JSON.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(&mut self, config: &[u8]) -> Result<Load> {
        self.tell(Command::Load, [0, 0, config.len() as u64], config)?;
        let load = Load { nanoseconds: self.number()?, live: self.number()?, peak: self.number()? };
        let mistakes = self.bytes()?;
        if !mistakes.is_empty() {
            bail!("{}", String::from_utf8_lossy(&mistakes));
        }
        Ok(load)
    }

    /// Gives `matchit` the same routes; gives back how many it has no form for.
    ///
    /// # Errors
    /// When the measure has ended.
    pub fn add_matchit(&mut self) -> Result<u64> {
        self.tell(Command::AddMatchit, [0; 3], &[])?;
        self.number()
    }

    /// Adds a list of requests; gives back its number.
    ///
    /// # Errors
    /// When the measure has ended.
    pub fn add_requests(&mut self, requests: &[Request]) -> Result<u32> {
        let bytes = encode(requests);
        self.tell(Command::AddRequests, [0, 0, bytes.len() as u64], &bytes)?;
        u32::try_from(self.number()?).context("the native measure cannot read the requests")
    }

    /// Asks for each request of a list, so many times over.
    ///
    /// # Errors
    /// When the measure has ended or has no such list.
    pub fn run(&mut self, subject: Subject, list: u32, rounds: u32) -> Result<Rounds> {
        self.tell(Command::Run, [subject as u64, list.into(), rounds.into()], &[])?;
        let rounds = Rounds { sum: self.number()?, nanoseconds: self.number()?, allocations: self.number()? };
        ensure!(rounds.sum != FAILED, "there is no list {list}");
        Ok(rounds)
    }

    /// The label that a request of a list has.
    ///
    /// # Errors
    /// When the measure has ended or has no such request.
    pub fn ask(&mut self, subject: Subject, list: u32, request: u32) -> Result<Vec<u8>> {
        self.tell(Command::Ask, [subject as u64, list.into(), request.into()], &[])?;
        ensure!(self.number()? != FAILED, "there is no request {request} in list {list}");
        self.bytes()
    }

    fn tell(&mut self, command: Command, numbers: [u64; 3], bytes: &[u8]) -> Result<()> {
        self.input.write_all(&[command as u8]).context("the native measure has ended")?;
        write(&mut self.input, &numbers, bytes).context("the native measure has ended")
    }

    fn number(&mut self) -> Result<u64> {
        read_number(&mut self.output).context("the native measure has ended")
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        let length = self.number()?;
        read_bytes(&mut self.output, length).context("the native measure has ended")
    }
}

impl Drop for NativeBench {
    fn drop(&mut self) {
        // It holds nothing that could be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
