//! System calls that no crate wraps safely.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use socket2::SockRef;

/// Lets a connected datagram socket hear everybody again (connect(2), `AF_UNSPEC`), at the address
/// that it has.
pub(super) fn disconnect(socket: &UdpSocket) -> io::Result<()> {
    let local = socket.local_addr()?;
    // SAFETY: an all-zero `sockaddr` is a valid value of that plain C structure.
    let mut address: libc::sockaddr = unsafe { std::mem::zeroed() };
    address.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads
    // `length` bytes of an address that outlives the call.
    let done = unsafe { libc::connect(socket.as_raw_fd(), &raw const address, length) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // A port that the kernel chose goes with the connection. One that was asked for stays, and then
    // there is no second bind: a wildcard has come back by itself.
    if socket.local_addr()?.port() != local.port() {
        SockRef::from(socket).bind(&local.into())?;
    }
    Ok(())
}

/// How long ago the kernel received the datagram that was taken from `socket` last
/// (`SIOCGSTAMPNS`). From the first call on it stamps what comes to the socket.
pub(super) fn since_receipt(socket: &UdpSocket) -> Option<Duration> {
    /// `SIOCGSTAMPNS` of the kernel, as it has been wherever a `timespec` has 64-bit fields.
    const STAMP_NS: libc::c_ulong = 0x8907;
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel writes a
    // `timespec` into one that outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), STAMP_NS as _, &raw mut at) };
    if done != 0 {
        return None;
    }
    let (seconds, nanos) = (u64::try_from(at.tv_sec).ok()?, u32::try_from(at.tv_nsec).ok()?);
    super::clock::unix().checked_sub(Duration::new(seconds, nanos))
}

/// Lets the process's first thread come before this one by so much (`setpriority(2)`, which on
/// Linux is about one thread), whichever thread this one was started by and is like.
pub(super) fn yield_by(nice: i32) {
    // SAFETY: both calls take and give plain numbers. The number of a process is that of its first
    // thread; 0 is the thread that calls.
    unsafe {
        let first = libc::getpriority(libc::PRIO_PROCESS, std::process::id());
        // It may always be lowered, and nothing is lost if it is not.
        libc::setpriority(libc::PRIO_PROCESS, 0, first.saturating_add(nice));
    }
}

/// Asks the kernel for turns of `turn` on a core (`sched_setattr(2)`, Linux 6.12 and later):
/// whoever asks for short ones waits less until it has one, and gets no more of the core by it.
pub(super) fn take_short_turns(turn: Duration) {
    /// `struct sched_attr` of the kernel, as it was first.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let mut attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime_ns: u64::try_from(turn.as_nanos()).unwrap_or(0),
        deadline_ns: 0,
        period_ns: 0,
    };
    // SAFETY: the first two calls take and give plain numbers. The third reads a structure of the
    // size that it names, which outlives it; 0 is the thread that calls. A kernel that does not
    // know it, or does not grant it, leaves all as it was.
    unsafe {
        if libc::sched_getscheduler(0) != libc::SCHED_OTHER {
            // Whoever started us chose another order of things.
            return;
        }
        attributes.nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread's place is counted from the first thread of the process, not from the one that
    /// started it.
    #[test]
    fn places_do_not_add_up() {
        fn nice(of: u32) -> i32 {
            // SAFETY: the call takes and gives plain numbers.
            unsafe { libc::getpriority(libc::PRIO_PROCESS, of) }
        }
        let wanted = nice(std::process::id()) + 3;
        let found = std::thread::spawn(|| {
            yield_by(3);
            let inner = std::thread::spawn(|| {
                yield_by(3);
                nice(0)
            });
            (nice(0), inner.join().unwrap())
        });
        assert_eq!(found.join().unwrap(), (wanted, wanted));
    }

    /// A socket whose port was asked for keeps it, at a wildcard too.
    #[test]
    fn keeps_its_port() {
        for wildcard in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"] {
            let address = UdpSocket::bind(wildcard).unwrap().local_addr().unwrap();
            let socket = UdpSocket::bind(address).unwrap();
            let loopback = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let [one, two] = [(); 2].map(|()| UdpSocket::bind(loopback).unwrap());
            for _ in 0..3 {
                socket.connect(one.local_addr().unwrap()).unwrap();
                disconnect(&socket).unwrap();
                assert_eq!(socket.local_addr().unwrap(), address);
            }
            two.send_to(b"x", (two.local_addr().unwrap().ip(), address.port())).unwrap();
            let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(from, two.local_addr().unwrap());
        }
    }

    /// A socket that was connected hears others again, on the same port.
    #[test]
    fn hears_others_again() {
        let [socket, one, two] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let local = socket.local_addr().unwrap();
        socket.connect(one.local_addr().unwrap()).unwrap();
        disconnect(&socket).unwrap();
        assert_eq!(socket.local_addr().unwrap(), local);
        two.send_to(b"x", local).unwrap();
        let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from, two.local_addr().unwrap());
    }
}
