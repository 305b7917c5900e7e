//! The UDP floor on io_uring: receives that stay posted on connected sockets, into buffers that the
//! kernel chooses, and sends that leave with the next look.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::serve::stdin_ended;
use crate::error::Result;

/// Buffers for what arrives, a power of two, and the bytes of each.
const BUFFERS: u16 = 2048;
const BUFFER_BYTES: usize = 512;

/// Requests, and answers, that the rings have room for.
const REQUESTS: u32 = 2048;
const ANSWERS: u32 = 8192;

/// Where the kernel wants the ring of buffers to begin.
const PAGE_BYTES: usize = 4096;

/// The one group of buffers.
const GROUP: u16 = 0;

/// Marks of answers that are not a socket's.
const STDIN: u64 = u64::MAX;
const SENT: u64 = u64::MAX - 1;

/// Buffers, and the ring that lends them to the kernel; both last as long as the process.
struct Lent {
    entries: *mut BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

impl Lent {
    fn new() -> Result<Self> {
        let entries = fresh(usize::from(BUFFERS) * size_of::<BufRingEntry>())?;
        let memory = fresh(usize::from(BUFFERS) * BUFFER_BYTES)?;
        Ok(Self { entries: entries.cast(), memory, tail: 0 })
    }

    /// The kernel may fill this buffer.
    fn give(&mut self, id: u16) {
        let at = usize::from(self.tail & (BUFFERS - 1));
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `at` is below BUFFERS, and there are that many entries; the tail lies in the
        // first of them, and the kernel reads it as an atomic.
        unsafe {
            let entry = &mut *self.entries.add(at);
            entry.set_addr(self.buffer(id) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
            let tail = BufRingEntry::tail(self.entries).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    fn buffer(&self, id: u16) -> *const u8 {
        let at = usize::from(id % BUFFERS) * BUFFER_BYTES;
        // SAFETY: the remainder is below BUFFERS, and there are that many buffers.
        unsafe { self.memory.add(at) }
    }
}

/// Zeroed pages, never given back.
fn fresh(bytes: usize) -> Result<*mut u8> {
    let layout = Layout::from_size_align(bytes, PAGE_BYTES).map_err(io::Error::other)?;
    // SAFETY: no size here is zero.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    Ok(memory)
}

/// Serves until standard input ends.
pub(super) fn run(sockets: &[UdpSocket], announce: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(ANSWERS).setup_single_issuer().setup_defer_taskrun();
    let mut ring = builder.build(REQUESTS)?;
    let files: Vec<_> = sockets.iter().map(|socket| socket.as_raw_fd()).collect();
    ring.submitter().register_files(&files)?;
    let mut lent = Lent::new()?;
    // SAFETY: the entries are zeroed, aligned and never freed.
    unsafe {
        ring.submitter().register_buf_ring_with_flags(lent.entries as u64, BUFFERS, GROUP, 0)?;
    }
    (0..BUFFERS).for_each(|id| lent.give(id));
    for socket in 0..files.len() as u32 {
        push(&mut ring, &receive(socket))?;
    }
    push(&mut ring, &input())?;
    announce()?;
    let (mut answers, mut sent) = (Vec::new(), Vec::new());
    loop {
        ring.submit_and_wait(1)?;
        // Sends that do not wait are done once they were handed in.
        sent.drain(..).for_each(|id| lent.give(id));
        answers.clear();
        answers.extend(ring.completion().map(|one| (one.user_data(), one.result(), one.flags())));
        for (whose, result, flags) in &answers {
            if *whose == STDIN && stdin_ended() {
                return Ok(());
            }
            if *whose == STDIN {
                push(&mut ring, &input())?;
            }
            if *whose >= SENT {
                continue;
            }
            let socket = *whose as u32;
            if !cqueue::more(*flags) {
                push(&mut ring, &receive(socket))?;
            }
            let Some(id) = cqueue::buffer_select(*flags) else { continue };
            if let Ok(length) = u32::try_from(*result) {
                let send = opcode::Send::new(Fixed(socket), lent.buffer(id), length);
                let send = send.flags(libc::MSG_DONTWAIT).build();
                let send = send.flags(squeue::Flags::SKIP_SUCCESS).user_data(SENT);
                push(&mut ring, &send)?;
            }
            sent.push(id);
        }
    }
}

/// Waits for standard input.
fn input() -> squeue::Entry {
    let events = libc::POLLIN as u32;
    opcode::PollAdd::new(Fd(io::stdin().as_raw_fd()), events).build().user_data(STDIN)
}

/// Receives from a socket until something is wrong.
fn receive(socket: u32) -> squeue::Entry {
    opcode::RecvMulti::new(Fixed(socket), GROUP).build().user_data(u64::from(socket))
}

/// Puts a request into the ring, handing in what is there if it is full.
fn push(ring: &mut IoUring, request: &squeue::Entry) -> Result<()> {
    // SAFETY: what requests point to, sockets and buffers, outlives the ring.
    while unsafe { ring.submission().push(request) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}
