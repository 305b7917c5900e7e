//! Is this machine set up for many calls at once?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Machine;
use super::report::Report;
use crate::config::Config;

/// Descriptors of a call: RTP and RTCP sockets, the agent's socket.
const DESCRIPTORS_PER_CALL: u64 = 3;
/// Descriptors beside calls: listeners, connections of the API and of SIP peers, files.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Receive buffer that absorbs a burst of some thousand INVITEs.
const RECEIVE_BUFFER_BYTES: u64 = 4 * 1024 * 1024;
/// Naps taken to measure how late the system wakes a thread up.
const NAPS: u32 = 50;
/// Length of a nap.
const NAP: Duration = Duration::from_millis(2);
/// Overshoot of a nap that callers would hear, as it adds to every frame.
const OVERSHOOT_MAX: Duration = Duration::from_millis(5);
/// 2026-01-01: a clock before this has not been set.
const CLOCK_MIN_UNIX_S: u64 = 1_767_225_600;

/// Are there descriptors for all calls that the limits allow?
pub(super) fn file_descriptors(report: &mut Report, config: &Config, machine: &Machine<'_>) {
    let calls = u64::from(config.limits.max_calls);
    let needed = calls * DESCRIPTORS_PER_CALL + DESCRIPTORS_BESIDE;
    let limits = fs::read_to_string(machine.proc.join("self/limits")).unwrap_or_default();
    let Some((soft, hard)) = open_files(&limits) else {
        let found = "the limit of open files cannot be read".to_owned();
        report.warn("open files", found, "compare `ulimit -n` with the number of calls times 3");
        return;
    };
    let found = format!("{soft} allowed (at most {hard}), {needed} needed for {calls} calls");
    let remedy = format!(
        "raise it: `ulimit -n {needed}`, LimitNOFILE={needed} in the service's unit, or \
         --ulimit nofile={needed} of the container; or lower limits.max_calls"
    );
    if soft >= needed {
        report.ok("open files", found);
    } else if soft > DESCRIPTORS_BESIDE {
        report.warn("open files", found, &remedy);
    } else {
        report.fail("open files", found, &remedy);
    }
}

/// Soft and hard limit in `/proc/self/limits`.
fn open_files(limits: &str) -> Option<(u64, u64)> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some((numbers.next()??, numbers.next()??))
}

/// Does the kernel grant the buffers that we ask for?
pub(super) fn socket_buffers(report: &mut Report, machine: &Machine<'_>) {
    let core = machine.proc.join("sys/net/core");
    for (name, wanted) in [("rmem_max", RECEIVE_BUFFER_BYTES), ("wmem_max", 212_992)] {
        match number(&core.join(name)) {
            Some(bytes) if bytes >= wanted => {
                report.ok("socket buffers", format!("net.core.{name} is {bytes} bytes"));
            }
            Some(bytes) => report.warn(
                "socket buffers",
                format!("net.core.{name} is {bytes} bytes: bursts may be lost"),
                &format!("sysctl -w net.core.{name}={wanted}"),
            ),
            // Containers without privileges do not show it.
            None => report.ok("socket buffers", format!("net.core.{name} is not shown here")),
        }
    }
}

/// Is the clock set, is it quick to read, and are threads woken up in time?
pub(super) fn clock(report: &mut Report, machine: &Machine<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now.as_secs() < CLOCK_MIN_UNIX_S {
        report.fail(
            "clock",
            "the date lies before this program was made".to_owned(),
            "set the clock: tokens and certificates depend on it",
        );
    }
    let source = "devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(machine.sys.join(source)).unwrap_or_default();
    match source.trim() {
        slow @ ("hpet" | "acpi_pm" | "jiffies" | "refined-jiffies") => report.warn(
            "clock",
            format!("the clock source is {slow}: each reading takes microseconds"),
            "boot with clocksource=tsc if the processor's is reliable",
        ),
        "" => {}
        source => report.ok("clock", format!("the clock source is {source}")),
    }
    let overshoot = overshoot();
    let found = format!("a sleeping thread wakes up {} µs late at worst", overshoot.as_micros());
    if overshoot <= OVERSHOOT_MAX {
        report.ok("timers", found);
    } else {
        report.warn(
            "timers",
            found,
            "the machine is busy or its host steals time: give the server cores of its own",
        );
    }
}

/// How late the latest of some naps ended.
fn overshoot() -> Duration {
    let nap = || {
        let began = Instant::now();
        std::thread::sleep(NAP);
        began.elapsed().saturating_sub(NAP)
    };
    (0..NAPS).map(|_| nap()).max().unwrap_or_default()
}

/// Are there cores for the workers?
pub(super) fn workers(report: &mut Report, config: &Config) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match config.media.workers {
        Some(workers) if workers > cores => report.warn(
            "media.workers",
            format!("{workers} workers share {cores} cores"),
            "remove the key: there is one worker per core by default",
        ),
        workers => {
            let workers = workers.unwrap_or(cores);
            report.ok("media.workers", format!("{workers} workers on {cores} cores"));
        }
    }
}

/// What is wrong with the mode of a folder of secrets.
pub(super) fn writable_by_others(folder: &Path) -> Option<String> {
    let mode = fs::metadata(folder).ok()?.permissions().mode() & 0o777;
    (mode & 0o022 != 0)
        .then(|| format!("{} can be written by others (mode {mode:03o})", folder.display()))
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of `/proc/self/limits` in its forms.
    #[test]
    fn limits_are_read() {
        let head = "Limit                     Soft Limit           Hard Limit           Units\n";
        let line = "Max open files            1024                 524288               files";
        assert_eq!(open_files(&format!("{head}{line}")), Some((1024, 524_288)));
        let line = "Max open files            unlimited            unlimited            files";
        assert_eq!(open_files(line), Some((u64::MAX, u64::MAX)));
        assert_eq!(open_files(head), None);
        assert_eq!(open_files("Max open files"), None);
    }
}
