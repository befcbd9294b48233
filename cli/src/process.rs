//! What the system says of a process: its memory and the processor time that it took.

use std::time::Duration;

/// The ticks of a second in `/proc/PID/stat`: fixed at 100 for everything outside the kernel.
const TICKS: u64 = 100;

/// Resident memory in bytes; `None` once the process has ended, or where there is no `/proc`.
pub fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // A process that has ended and not been waited for has a status, and no memory.
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor time in user and kernel mode, all threads together.
pub fn cpu(pid: u32) -> Option<Duration> {
    cpu_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// What the threads that it has now have run, by the scheduler's count of nanoseconds; `None` where there is no `/proc`.
pub fn scheduled(pid: u32) -> Option<Duration> {
    let mut all = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // One that ends meanwhile counts for nothing.
        let Ok(statistics) = std::fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        all += Duration::from_nanos(statistics.split_ascii_whitespace().next()?.parse().ok()?);
    }
    Some(all)
}

fn cpu_of(stat: &str) -> Option<Duration> {
    // The second field is the program's name in brackets, in which anything may stand.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(user.checked_add(kernel)? * 1_000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_move_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 90 0 0 0 250 50 0 0 20 0 4 0 100 1 2 3";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("7 (a) S 1 2"), None);
        assert_eq!(cpu_of(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
        assert!(cpu(std::process::id()).is_some());
        assert!(scheduled(std::process::id()).unwrap() > Duration::ZERO);
        assert_eq!(scheduled(u32::MAX), None);
        assert_eq!(resident(u32::MAX), None);
    }
}
