//! Pinning, timer slack and descriptor limits.

use std::io::Error;
use std::mem::{size_of, zeroed};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use crate::error::{PerfError, Result};

/// Descriptors a run may need: an RTP socket and a WebSocket for each of some thousand calls.
const DESCRIPTORS: u64 = 65_536;

/// Slack of this thread's sleeps, in nanoseconds; the default of 50 µs would be most of a wake-up.
const TIMER_SLACK_NS: libc::c_ulong = 1_000;

/// Pins a thread (0: the calling one) to a CPU.
pub(crate) fn pin(thread: i32, cpu: usize) -> Result<()> {
    // SAFETY: an all-zero cpu_set_t is an empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(PerfError::Usage(format!("CPU {cpu} is out of range")));
    }
    // SAFETY: `set` is live, and the bound above keeps CPU_SET inside it.
    let result = unsafe {
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 {
        return Ok(());
    }
    Err(PerfError::io(format!("pinning to CPU {cpu}"))(Error::last_os_error()))
}

/// Pins every thread of a process to a CPU; threads it starts later inherit that.
pub(crate) fn pin_process(pid: u32, cpu: usize) -> Result<()> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .map_err(PerfError::io(format!("threads of process {pid}")))?;
    for task in tasks.flatten() {
        if let Some(thread) = task.file_name().to_str().and_then(|name| name.parse().ok()) {
            pin(thread, cpu)?;
        }
    }
    Ok(())
}

/// Gives every thread of a process (0: the calling one's own) a scheduling priority from -20
/// (first) to 19; what they start inherits it. Where the kernel schedules sessions against each
/// other (`sched_autogroup`), the process's session gets the same, without which the priority
/// would count inside that session only.
pub(crate) fn set_nice(pid: u32, nice: i32) -> Result<()> {
    let own = std::process::id();
    let pid = if pid == 0 { own } else { pid };
    let group = format!("/proc/{pid}/autogroup");
    if std::path::Path::new(&group).exists() {
        std::fs::write(&group, nice.to_string()).map_err(PerfError::io(group))?;
    }
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .map_err(PerfError::io(format!("threads of process {pid}")))?;
    for task in tasks.flatten() {
        let Some(id) = task.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // SAFETY: takes three integers and touches no memory.
        if unsafe { libc::setpriority(libc::PRIO_PROCESS, id, nice) } != 0 {
            let error = Error::last_os_error();
            return Err(PerfError::io(format!("nice {nice} for thread {id}"))(error));
        }
    }
    Ok(())
}

/// Asks a child to end (SIGTERM).
pub(crate) fn terminate(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // SAFETY: `child` has not been waited for, so its id is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

/// Pins a process that is about to be started.
pub(crate) fn pin_command(command: &mut Command, cpu: usize) {
    // SAFETY: between fork and exec `pin` makes one system call on a set on its stack; only its
    // error path allocates, and there the child is given up.
    unsafe {
        command.pre_exec(move || pin(0, cpu).map_err(|error| Error::other(error.to_string())));
    }
}

/// Gives a process that is about to be started a session of its own: the kernel schedules sessions
/// against each other.
pub(crate) fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec one system call is made, which touches no memory.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

/// Makes the calling thread's sleeps precise.
pub(crate) fn low_timer_slack() {
    // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK_NS) };
}

/// Raises the descriptor limit as far as this process may.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live for each call.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return;
        }
        let wanted = libc::rlimit { rlim_cur: DESCRIPTORS, rlim_max: DESCRIPTORS };
        if limit.rlim_max < DESCRIPTORS
            && libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) == 0
        {
            return;
        }
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
}
