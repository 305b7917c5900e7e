//! Clocks in nanoseconds. Schedules run on the monotonic clock; stamps that are compared with
//! the kernel's receive stamps (`SO_TIMESTAMPNS`) are read from the real-time clock.

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec and the clock ids below exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    from_timespec(time)
}

/// A timespec of a time after the epoch, in nanoseconds.
pub(crate) fn from_timespec(time: libc::timespec) -> u64 {
    time.tv_sec.unsigned_abs() * SECOND_NS + time.tv_nsec.unsigned_abs()
}

/// A duration or time in nanoseconds as a timespec.
pub(crate) fn to_timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / SECOND_NS).cast_signed(),
        tv_nsec: (ns % SECOND_NS).cast_signed(),
    }
}

/// Monotonic time.
pub(crate) fn mono_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Wall-clock time: the clock of the kernel's receive stamps.
pub(crate) fn real_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// CPU time that this process has used, stolen time not included.
pub(crate) fn process_cpu_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Sleeps until a monotonic time.
pub(crate) fn sleep_until(mono: u64) {
    let time = to_timespec(mono);
    // SAFETY: `time` outlives the call; no remainder is asked for with an absolute time.
    while unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const time,
            std::ptr::null_mut(),
        )
    } == libc::EINTR
    {}
}
