//! Readings of `/proc`: a process's CPU time and memory, CPU time that the host stole, packets
//! that the kernel dropped.

use std::collections::HashMap;
use std::fs;

use serde::Serialize;

/// Kernel ticks a second in `/proc/stat` (`USER_HZ`).
const TICKS_HZ: f64 = 100.0;

fn number<T: std::str::FromStr + Default>(field: Option<&str>) -> T {
    field.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// CPU time of a process by thread, and its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    /// Sum over the threads, in nanoseconds, stolen time not included (schedstat).
    pub(crate) cpu_ns: u64,
    /// Nanoseconds by thread: id, name, time.
    pub(crate) threads: Vec<(u32, String, u64)>,
    /// Resident memory in KiB.
    pub(crate) rss_kib: u64,
    /// Times that its threads gave a CPU up, to wait for something.
    pub(crate) yields: u64,
    /// Times that a CPU was taken from them.
    pub(crate) preemptions: u64,
}

/// Reads a process; zeros for one that is gone.
pub(crate) fn process(pid: u32) -> Process {
    let mut reading = Process::default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    reading.rss_kib = number(
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()),
    );
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return reading };
    for task in tasks.flatten() {
        let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let cpu_ns: u64 = number(stat.split_whitespace().next());
        reading.cpu_ns += cpu_ns;
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let (yields, preemptions) = parse_switches(&status);
        reading.yields += yields;
        reading.preemptions += preemptions;
        let id = number(task.file_name().to_str());
        reading.threads.push((id, name.trim().to_owned(), cpu_ns));
    }
    reading
}

/// A thread's context switches: those that it wanted, and the others (proc(5)).
fn parse_switches(status: &str) -> (u64, u64) {
    let find = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    (number(find("voluntary_ctxt_switches:")), number(find("nonvoluntary_ctxt_switches:")))
}

/// Busy and stolen ticks of every CPU since boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpus(Vec<(u64, u64)>);

/// Reads `/proc/stat`.
pub(crate) fn cpus() -> Cpus {
    parse_cpus(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn parse_cpus(text: &str) -> Cpus {
    let mut list = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        if !name.starts_with("cpu") || name == "cpu" {
            continue;
        }
        // user nice system idle iowait irq softirq steal (proc(5))
        let ticks: Vec<u64> = words.map(|word| number(Some(word))).collect();
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        list.push((at(0) + at(1) + at(2) + at(5) + at(6), at(7)));
    }
    Cpus(list)
}

/// What the machine's CPUs did during a window.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Host {
    /// Per cent of each CPU that was used, by anybody.
    pub(crate) busy_pct: Vec<f64>,
    /// Per cent of each CPU that the host took away.
    pub(crate) steal_pct: Vec<f64>,
}

impl Host {
    /// The difference of two readings `seconds` apart.
    pub(crate) fn between(before: &Cpus, after: &Cpus, seconds: f64) -> Self {
        let rate = |a: u64, b: u64| round(b.saturating_sub(a) as f64 * 100.0 / TICKS_HZ / seconds);
        let pairs = || before.0.iter().zip(&after.0);
        Self {
            busy_pct: pairs().map(|(a, b)| rate(a.0, b.0)).collect(),
            steal_pct: pairs().map(|(a, b)| rate(a.1, b.1)).collect(),
        }
    }

    /// The worst CPU's stolen per cent.
    pub(crate) fn worst_steal_pct(&self) -> f64 {
        self.steal_pct.iter().copied().fold(0.0, f64::max)
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Packets that the kernel threw away, since boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops {
    by_inode: HashMap<u64, u64>,
    receive_buffer: u64,
    send_buffer: u64,
    backlog: u64,
}

/// Reads the drop counters of sockets, of UDP and of the CPUs' input queues.
pub(crate) fn drops() -> Drops {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (receive_buffer, send_buffer) = parse_snmp(&read("/proc/net/snmp"));
    Drops {
        by_inode: parse_udp(&read("/proc/net/udp")),
        receive_buffer,
        send_buffer,
        backlog: parse_softnet(&read("/proc/net/softnet_stat")),
    }
}

fn parse_udp(text: &str) -> HashMap<u64, u64> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((words.get(9)?.parse().ok()?, words.get(12)?.parse().ok()?))
        })
        .collect()
}

fn parse_snmp(text: &str) -> (u64, u64) {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return (0, 0) };
    let get = |wanted: &str| {
        names
            .split_whitespace()
            .zip(values.split_whitespace())
            .find(|(name, _)| *name == wanted)
            .map_or(0, |(_, value)| number(Some(value)))
    };
    (get("RcvbufErrors"), get("SndbufErrors"))
}

fn parse_softnet(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok())
        .sum()
}

/// Packets that the kernel threw away during a run; a run is good only if all are zero.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct DropReport {
    /// Dropped at sockets that are still open (`/proc/net/udp`).
    pub(crate) sockets: u64,
    /// `RcvbufErrors` of `/proc/net/snmp`.
    pub(crate) receive_buffer: u64,
    /// `SndbufErrors` of `/proc/net/snmp`.
    pub(crate) send_buffer: u64,
    /// Dropped by the CPUs' input queues (`/proc/net/softnet_stat`).
    pub(crate) backlog: u64,
}

impl DropReport {
    /// The difference of two readings.
    pub(crate) fn between(before: &Drops, after: &Drops) -> Self {
        let sockets = after
            .by_inode
            .iter()
            .map(|(inode, count)| {
                count.saturating_sub(before.by_inode.get(inode).copied().unwrap_or(0))
            })
            .sum();
        Self {
            sockets,
            receive_buffer: after.receive_buffer.saturating_sub(before.receive_buffer),
            send_buffer: after.send_buffer.saturating_sub(before.send_buffer),
            backlog: after.backlog.saturating_sub(before.backlog),
        }
    }

    /// Everything together.
    pub(crate) fn total(&self) -> u64 {
        self.sockets + self.receive_buffer + self.send_buffer + self.backlog
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of `/proc/stat` are those of proc(5): steal is the eighth.
    #[test]
    fn reads_busy_and_stolen_ticks() {
        let before = parse_cpus("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 100 5 6 7 8 0 0\n");
        let after = parse_cpus("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 11 12 13 200 5 16 17 28 0 0\n");
        let host = Host::between(&before, &after, 1.0);
        assert_eq!(host.busy_pct, [50.0]);
        assert_eq!(host.steal_pct, [20.0]);
    }

    /// Switches are told apart, though one name ends like the other.
    #[test]
    fn counts_context_switches() {
        let status = "Name:\tmedia-0\nThreads:\t4\nvoluntary_ctxt_switches:\t150\n\
                      nonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(parse_switches(status), (150, 7));
        assert_eq!(parse_switches(""), (0, 0));
        let own = process(std::process::id());
        assert!(own.yields + own.preemptions > 0);
    }

    /// Counters are found by their names, and a socket opened in between starts at zero.
    #[test]
    fn counts_drops_between_two_readings() {
        let udp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                   uid  timeout inode ref pointer drops\n  \
                   7: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     \
                   0        0 4242 2 0000000000000000 17\n";
        let sockets = parse_udp(udp);
        assert_eq!(sockets.get(&4242), Some(&17));
        let snmp = "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n\
                    Udp: 5 4 3 2 21 9\nUdpLite: x\n";
        assert_eq!(parse_snmp(snmp), (21, 9));
        assert_eq!(parse_softnet("00000008 00000002 0\n0000127d 00000010 0\n"), 18);
        let after = Drops { by_inode: sockets, receive_buffer: 21, ..Drops::default() };
        let report = DropReport::between(&Drops::default(), &after);
        assert_eq!((report.sockets, report.receive_buffer, report.total()), (17, 21, 38));
    }
}
