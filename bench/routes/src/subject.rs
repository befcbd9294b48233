//! The native measure: does what it is told through a pipe (see `routes_bench::pipe`), until that ends.

use std::io::{self, BufReader, Read as _};
use std::time::Instant;

use routes_bench::allocations::{self, Counting};
use routes_bench::pipe::{Command, FAILED, read_bytes, read_number, write};
use routes_bench::{Bench, Subject};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = io::stdout().lock();
    let mut bench = Bench::default();
    let nanoseconds = |since: Instant| u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    loop {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            return Ok(());
        }
        let command =
            Command::ALL.into_iter().find(|command| [*command as u8] == byte).ok_or(io::ErrorKind::InvalidInput)?;
        let (first, second, third) = (read_number(&mut input)?, read_number(&mut input)?, read_number(&mut input)?);
        let bytes = if command.has_bytes() { read_bytes(&mut input, third)? } else { Vec::new() };
        let subject = u32::try_from(first).ok().and_then(Subject::from_number).ok_or(io::ErrorKind::InvalidInput)?;
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match command {
            Command::Load => {
                bench = Bench::default();
                allocations::restart_peak();
                let before = allocations::counts().live;
                let since = Instant::now();
                let loaded = Bench::new(&bytes);
                let took = nanoseconds(since);
                let counts = allocations::counts();
                let more = |bytes: i64| u64::try_from(bytes - before).unwrap_or(0);
                let mistakes = match loaded {
                    Ok(loaded) => {
                        bench = loaded;
                        String::new()
                    }
                    Err(mistakes) => mistakes,
                };
                let numbers = [took, more(counts.live), more(counts.peak), mistakes.len() as u64];
                write(&mut output, &numbers, mistakes.as_bytes())?;
            }
            Command::AddMatchit => write(&mut output, &[bench.add_matchit().len() as u64], &[])?,
            Command::AddRequests => {
                let list = bench.add_requests(&bytes).map_or(FAILED, |list| list as u64);
                write(&mut output, &[list], &[])?;
            }
            Command::Run => {
                let before = allocations::counts().allocations;
                let since = Instant::now();
                let sum = bench.run(subject, index(second), u32::try_from(third).unwrap_or(u32::MAX));
                let took = nanoseconds(since);
                let allocated = allocations::counts().allocations - before;
                write(&mut output, &[sum.unwrap_or(FAILED), took, allocated], &[])?;
            }
            Command::Ask => {
                let label = bench.ask(subject, index(second), index(third));
                let numbers =
                    [label.as_ref().map_or(FAILED, |_| 0), label.as_ref().map_or(0, |label| label.len() as u64)];
                write(&mut output, &numbers, &label.unwrap_or_default())?;
            }
        }
    }
}
