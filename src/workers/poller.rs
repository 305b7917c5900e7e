//! What a worker sleeps on: sockets, one timer, one wake-up, in one epoll set.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Events taken from the kernel in one call. A full batch is followed by another at once.
pub const EVENTS_PER_WAIT: usize = 256;

/// Token of the timer; sockets never use it.
const TIMER: u64 = u64::MAX;
/// Token of the wake-up; sockets never use it.
const WAKE: u64 = u64::MAX - 1;

/// `CLOCK_MONOTONIC`, the clock of every deadline in the process.
pub fn now() -> MonoTime {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .unwrap_or_else(|_| TimeSpec::from(Duration::ZERO));
    MonoTime::from_nanos(
        u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(now.tv_nsec()).unwrap_or(0),
    )
}

/// Has the kernel wake this thread when it asks for it, and not up to 50 µs later, which saves
/// wake-ups of those that do not care.
///
/// # Errors
///
/// As `prctl(2)`.
pub fn wake_exactly() -> io::Result<()> {
    Ok(nix::sys::prctl::set_timerslack(1)?)
}

fn timespec(at: MonoTime) -> TimeSpec {
    TimeSpec::from(Duration::from_nanos(at.as_nanos()))
}

/// Wakes a worker from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Makes the worker's wait return. Never blocks; a wake-up already pending is enough.
    pub fn wake(&self) {
        // The only error is a full counter, which means that the worker is awake already.
        let _ = self.0.write(1);
    }
}

/// A socket that has something to do.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// There is something to read, an error or an end.
    pub readable: bool,
    /// It takes bytes again.
    pub writable: bool,
}

/// The epoll set of one worker.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    wake: Arc<EventFd>,
    armed: MonoTime,
    events: Box<[EpollEvent]>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        // Edge-triggered: neither is read, re-arming the timer clears it.
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&timer, EpollEvent::new(edge, TIMER))?;
        epoll.add(&wake, EpollEvent::new(edge, WAKE))?;
        Ok(Self {
            epoll,
            timer,
            wake: Arc::new(wake),
            armed: MonoTime::MAX,
            events: vec![EpollEvent::empty(); EVENTS_PER_WAIT].into(),
        })
    }

    /// A handle that wakes this poller from other threads.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Watches `fd` for input, level-triggered: one receive a wake-up needs no second that fails.
    ///
    /// # Errors
    ///
    /// As `epoll_ctl(2)`.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Watches `fd` for `input`, `output`, both or neither.
    ///
    /// # Errors
    ///
    /// As `epoll_ctl(2)`.
    pub fn watch(
        &self,
        fd: impl AsFd,
        token: u64,
        (input, output): (bool, bool),
    ) -> io::Result<()> {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, input);
        flags.set(EpollFlags::EPOLLOUT, output);
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags, token))?)
    }

    /// Watches `fd` no more.
    pub fn remove(&self, fd: impl AsFd) {
        // A descriptor that is already gone from the set is what was asked for.
        let _ = self.epoll.delete(fd);
    }

    /// Sleeps until a socket is ready, [`Waker::wake`] is called or `deadline` has come, and
    /// returns how many sockets are ready; [`Poller::ready`] tells which.
    ///
    /// # Errors
    ///
    /// As `epoll_wait(2)`, interruptions excepted.
    pub fn wait(&mut self, now: MonoTime, deadline: MonoTime) -> io::Result<usize> {
        let due = deadline <= now;
        // A timer armed for earlier only makes one empty round; arming anew costs a system call.
        if !due && (deadline < self.armed || self.armed <= now) {
            self.arm(deadline)?;
        }
        let timeout = if due { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => Ok(count),
            Err(nix::errno::Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The `index`-th ready socket of the last wait; `None` for the timer and the wake-up.
    pub fn ready(&mut self, index: usize) -> Option<Ready> {
        let event = self.events.get(index)?;
        let token = event.data();
        if token == WAKE || token == TIMER {
            return None;
        }
        let flags = event.events();
        Some(Ready {
            token,
            readable: flags
                .intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
            writable: flags.contains(EpollFlags::EPOLLOUT),
        })
    }

    fn arm(&mut self, deadline: MonoTime) -> io::Result<()> {
        self.armed = deadline;
        if deadline == MonoTime::MAX {
            return Ok(self.timer.unset()?);
        }
        let at = Expiration::OneShot(timespec(deadline));
        Ok(self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// A deadline ends the wait, not before its time.
    #[test]
    fn a_deadline_ends_the_wait() {
        let mut poller = Poller::new().unwrap();
        let deadline = now() + Duration::from_millis(5);
        while now() < deadline {
            let at = now();
            poller.wait(at, deadline).unwrap();
        }
        assert!(now().since(deadline) < Duration::from_secs(5));
    }

    /// A datagram and a wake-up from another thread both end a wait without deadline.
    #[test]
    fn sockets_and_wakers_end_the_wait() {
        let mut poller = Poller::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        poller.add(&socket, 7).unwrap();
        let to = socket.local_addr().unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", to).unwrap();
        let count = poller.wait(now(), MonoTime::MAX).unwrap();
        let ready: Vec<_> = (0..count).filter_map(|i| poller.ready(i)).collect();
        assert!(ready.iter().any(|r| r.token == 7 && r.readable && !r.writable));
        poller.remove(&socket);

        let waker = poller.waker();
        std::thread::spawn(move || waker.wake());
        let count = poller.wait(now(), MonoTime::MAX).unwrap();
        assert_eq!((0..count).filter_map(|i| poller.ready(i)).count(), 0);
    }
}
