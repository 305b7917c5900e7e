//! An epoll instance with waits in nanoseconds.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::clock;

/// Events taken by one wait at most.
const BATCH: usize = 512;

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The token it was added with.
    pub(crate) token: u64,
    /// It may be written.
    pub(crate) writable: bool,
}

/// Level-triggered epoll.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    /// A new instance.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is a fresh descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    fn control(&self, operation: i32, fd: RawFd, token: u64, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: token };
        // SAFETY: `event` is live for the call; the kernel checks both descriptors.
        let result =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Watches a descriptor for input.
    pub(crate) fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, libc::EPOLLIN)
    }

    /// Watches a descriptor for input and, if asked, for room to write.
    pub(crate) fn set_writable(&self, fd: RawFd, token: u64, writable: bool) -> io::Result<()> {
        let events = if writable { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
        self.control(libc::EPOLL_CTL_MOD, fd, token, events)
    }

    /// Watches a descriptor no more.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits up to `timeout_ns` (`None`: for ever) for what is ready, into a list that is cleared
    /// first.
    pub(crate) fn wait_into(
        &mut self,
        timeout_ns: Option<u64>,
        out: &mut Vec<Ready>,
    ) -> io::Result<()> {
        out.clear();
        let time = timeout_ns.map(clock::to_timespec);
        let pointer = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the event array has BATCH live entries, `time` outlives the call, and no
        // signal mask is given.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                BATCH,
                pointer,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        let writable = libc::EPOLLOUT.cast_unsigned();
        out.extend(
            self.events
                .iter()
                .take(usize::try_from(count).unwrap_or(0))
                .map(|event| Ready { token: event.u64, writable: event.events & writable != 0 }),
        );
        Ok(())
    }
}

impl AsRawFd for Poll {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
