//! What the kernel says about this process, under the names that Prometheus prescribes.

use std::fs;

/// Figures of this process; absent where the system does not tell them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_s: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// Reads `/proc/self`.
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        Self {
            cpu_s: cpu_seconds(),
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            // The folder itself was open while it was listed.
            open_fds: open.map(|count| count.saturating_sub(1)),
            max_fds: field(&limits, "Max open files"),
        }
    }
}

/// First number after `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time of all threads (`proc(5)`: fields 14 and 15 of stat, in ticks).
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    ticks(&stat).map(|ticks| ticks as f64 / TICKS_PER_SECOND)
}

/// `USER_HZ`, fixed to 100 in Linux's interface.
const TICKS_PER_SECOND: f64 = 100.0;

fn ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name and may hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of the program does not shift the fields.
    #[test]
    fn stat_is_read_past_the_name() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 4 0 100 1 2";
        assert_eq!(ticks(stat), Some(730));
        assert_eq!(ticks(""), None);
        assert_eq!(ticks("1 (x) S 1"), None);
    }

    /// Fields are found by the start of their line.
    #[test]
    fn fields_are_found() {
        let text =
            "VmPeak:\t 9 kB\nVmRSS:\t   1234 kB\nMax open files            1024   4096 files";
        assert_eq!(field(text, "VmRSS:"), Some(1234));
        assert_eq!(field(text, "Max open files"), Some(1024));
        assert_eq!(field(text, "Nothing:"), None);
    }
}
