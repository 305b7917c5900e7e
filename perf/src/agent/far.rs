//! The other party of a relayed call: sends every RTP packet back to where it came from, under a
//! source of its own.

use std::net::{SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{PerfError, Result};
use crate::rtp;
use crate::sys::sched;

/// How often the end is looked for while nothing comes.
const GLANCE: Duration = Duration::from_millis(50);

/// Receive buffer, in bytes: all calls share one socket.
const BUFFER_BYTES: usize = 8 << 20;

/// What our source differs by from that of the packet that came.
const SSRC_FLIP: u32 = 0xA5A5_5A5A;

/// The party, on a thread of its own; it ends when this is dropped.
pub(crate) struct Far {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    seen: Arc<AtomicU64>,
    address: SocketAddrV4,
}

impl Far {
    /// Listens at `address`, at any port if that has none.
    pub(crate) fn start(address: SocketAddrV4, cpu: Option<usize>) -> Result<Self> {
        let socket = UdpSocket::bind(address).map_err(PerfError::io(format!("{address}")))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_read_timeout(Some(GLANCE))?;
        let address = SocketAddrV4::new(*address.ip(), socket.local_addr()?.port());
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (flag, count) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("far".into()).spawn(move || {
            if let Some(cpu) = cpu {
                // Where it cannot be pinned the figures are of another machine, not wrong.
                let _ = sched::pin(0, cpu);
            }
            let mut buffer = [0; 2048];
            while !flag.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let Some(packet) = buffer.get_mut(..length) else { continue };
                if rtp::is_rtcp(packet) || rtp::parse(packet).is_none() {
                    continue;
                }
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(ssrc) = packet.get_mut(8..).and_then(|rest| rest.first_chunk_mut()) {
                    *ssrc = (u32::from_be_bytes(*ssrc) ^ SSRC_FLIP).to_be_bytes();
                }
                // A call that has ended answers with an ICMP error; that is no matter.
                let _ = socket.send_to(packet, from);
            }
        })?;
        Ok(Self { thread: Some(thread), stop, seen, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Packets that came.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
