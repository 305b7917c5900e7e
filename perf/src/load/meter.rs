//! What a run cost: readings of CPU, memory, steal and drops around a window.

use serde::Serialize;

use crate::sys::clock::{self, SECOND_NS};
use crate::sys::proc::{self, Cpus, DropReport, Drops, Host, Process};

/// Stolen CPU beyond which a run is repeated, in per cent of a CPU.
pub(crate) const STEAL_LIMIT_PCT: f64 = 3.0;

/// Other processes' CPU beyond which a run is repeated, in per cent of a core.
pub(crate) const OTHERS_LIMIT_PCT: f64 = 15.0;

/// Readings at one moment.
#[derive(Clone, Debug)]
struct Reading {
    at_ns: u64,
    process: Process,
    own_cpu_ns: u64,
    neighbour_ns: u64,
    cpus: Cpus,
}

impl Reading {
    fn take(pid: Option<u32>, neighbour: Option<u32>) -> Self {
        Self {
            at_ns: clock::mono_ns(),
            process: pid.map(proc::process).unwrap_or_default(),
            own_cpu_ns: clock::process_cpu_ns(),
            neighbour_ns: neighbour.map(proc::process).unwrap_or_default().cpu_ns,
            cpus: proc::cpus(),
        }
    }
}

/// Watches a process over a run.
pub(crate) struct Meter {
    pid: Option<u32>,
    neighbour: Option<u32>,
    idle_rss_kib: u64,
    drops: Drops,
    open: Option<Reading>,
    close: Option<Reading>,
}

/// CPU of one thread of the server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ThreadCpu {
    /// Its name.
    pub(crate) name: String,
    /// Per cent of a core.
    pub(crate) cpu_pct: f64,
}

/// What a run cost.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cost {
    /// Length of the window in seconds.
    pub(crate) seconds: f64,
    /// The server's CPU in per cent of a core.
    pub(crate) server_cpu_pct: f64,
    /// The same scaled to 1000 calls.
    pub(crate) server_cpu_pct_per_1000: f64,
    /// Server CPU per packet in and out, in microseconds.
    pub(crate) server_us_per_packet: f64,
    /// The server's busiest threads.
    pub(crate) server_threads: Vec<ThreadCpu>,
    /// Times a second that the server's threads gave a CPU up, to wait.
    pub(crate) yields_hz: f64,
    /// Times a second that a CPU was taken from them.
    pub(crate) preemptions_hz: f64,
    /// Per cent of a core that the wanted neighbour took.
    pub(crate) neighbour_pct: f64,
    /// Server's resident memory before the first call, in KiB.
    pub(crate) rss_idle_kib: u64,
    /// The same at the end of the window.
    pub(crate) rss_kib: u64,
    /// Growth by call, in KiB.
    pub(crate) kib_per_call: f64,
    /// This process's CPU in per cent of a core, an agent in it included.
    pub(crate) generator_cpu_pct: f64,
    /// The machine meanwhile.
    pub(crate) host: Host,
    /// Per cent of a core that other processes used meanwhile, as far as ticks show it.
    pub(crate) others_pct: f64,
    /// Steal of the worst CPU and other processes' use were within their limits.
    pub(crate) quiet: bool,
    /// Packets that the kernel dropped.
    pub(crate) drops: DropReport,
}

impl Meter {
    /// Takes the readings before the first call.
    pub(crate) fn new(pid: Option<u32>) -> Self {
        let idle_rss_kib = pid.map(proc::process).unwrap_or_default().rss_kib;
        let drops = proc::drops();
        Self { pid, neighbour: None, idle_rss_kib, drops, open: None, close: None }
    }

    /// The process that is watched.
    pub(crate) const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// A process that burns a CPU meanwhile because it is wanted: it is no noise.
    pub(crate) fn beside(&mut self, neighbour: u32) {
        self.neighbour = Some(neighbour);
    }

    /// The window opens.
    pub(crate) fn open(&mut self) {
        self.open = Some(Reading::take(self.pid, self.neighbour));
    }

    /// The window closes.
    pub(crate) fn close(&mut self) {
        self.close = Some(Reading::take(self.pid, self.neighbour));
    }

    /// The cost, for `calls` calls that sent `packets` packets in the window. To be called while
    /// the sockets of the run are still open, or their drops are not counted.
    pub(crate) fn cost(&self, calls: usize, packets: u64) -> Cost {
        let (Some(open), Some(close)) = (&self.open, &self.close) else { return Cost::default() };
        let seconds = close.at_ns.saturating_sub(open.at_ns) as f64 / SECOND_NS as f64;
        let cpu_ns = close.process.cpu_ns.saturating_sub(open.process.cpu_ns) as f64;
        let pct = |ns: f64| ns * 100.0 / SECOND_NS as f64 / seconds;
        let calls = calls.max(1) as f64;
        let mut server_threads: Vec<ThreadCpu> = close
            .process
            .threads
            .iter()
            .map(|(id, name, after)| {
                let before = open.process.threads.iter().find(|(other, ..)| other == id);
                let used = after.saturating_sub(before.map_or(0, |(.., ns)| *ns));
                ThreadCpu { name: name.clone(), cpu_pct: pct(used as f64) }
            })
            .filter(|thread| thread.cpu_pct >= 0.05)
            .collect();
        server_threads.sort_by(|a, b| b.cpu_pct.total_cmp(&a.cpu_pct));
        server_threads.truncate(6);
        let host = Host::between(&open.cpus, &close.cpus, seconds);
        let rss_kib = close.process.rss_kib;
        let own_pct = pct(close.own_cpu_ns.saturating_sub(open.own_cpu_ns) as f64);
        let busy_pct: f64 = host.busy_pct.iter().sum();
        let neighbour_pct = pct(close.neighbour_ns.saturating_sub(open.neighbour_ns) as f64);
        let others_pct = (busy_pct - own_pct - neighbour_pct - pct(cpu_ns)).max(0.0);
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        let steal_pct = host.worst_steal_pct();
        Cost {
            seconds,
            server_cpu_pct: pct(cpu_ns),
            server_cpu_pct_per_1000: pct(cpu_ns) * 1000.0 / calls,
            server_us_per_packet: cpu_ns / 1000.0 / packets.max(1) as f64,
            server_threads,
            yields_hz: rate(open.process.yields, close.process.yields),
            preemptions_hz: rate(open.process.preemptions, close.process.preemptions),
            neighbour_pct,
            rss_idle_kib: self.idle_rss_kib,
            rss_kib,
            kib_per_call: rss_kib.saturating_sub(self.idle_rss_kib) as f64 / calls,
            generator_cpu_pct: own_pct,
            others_pct,
            quiet: steal_pct <= STEAL_LIMIT_PCT && others_pct <= OTHERS_LIMIT_PCT,
            host,
            drops: DropReport::between(&self.drops, &proc::drops()),
        }
    }
}
