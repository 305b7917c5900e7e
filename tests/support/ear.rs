//! Takes the RTP that a server sends, and writes captures of RTP that a peer is to play.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::wav;

/// Bytes of an IPv4 header without options.
const IP_BYTES: usize = 20;

/// An RTP packet, taken apart by RFC 3550 5.1.
#[derive(Clone, Debug)]
pub struct Rtp {
    pub at: Instant,
    pub marker: bool,
    pub pt: u8,
    pub seq: u16,
    pub ts: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

impl Rtp {
    /// Takes a packet apart that must have no padding, extension or contributors: ours have none.
    pub fn parse(at: Instant, packet: &[u8]) -> Self {
        assert!(packet.len() > 12 && packet[0] == 0x80, "{packet:?}");
        let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        Self {
            at,
            marker: packet[1] & 0x80 != 0,
            pt: packet[1] & 0x7f,
            seq: u16::from_be_bytes([packet[2], packet[3]]),
            ts: word(4),
            ssrc: word(8),
            payload: packet[12..].to_vec(),
        }
    }
}

/// Takes the packets that come to a UDP port.
#[derive(Debug)]
pub struct Ear {
    heard: Arc<Mutex<Vec<Rtp>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    /// Listens on `port` of loopback from now on.
    #[track_caller]
    pub fn listen(port: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        Self::on(socket.into(), 0)
    }

    /// Hears from now on what comes to `port` of loopback, which is somebody else's. This takes the
    /// right to open raw sockets.
    #[track_caller]
    pub fn overhear(port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap();
        let instruction = SockFilter::new;
        // A raw socket gives whole IP packets; those to this port are kept, in full.
        let filter = [
            instruction(0x28, 0, 0, IP_BYTES as u32 + 2),
            instruction(0x15, 0, 1, port.into()),
            instruction(0x06, 0, 0, u32::MAX),
            instruction(0x06, 0, 0, 0),
        ];
        socket.attach_filter(&filter).unwrap();
        Self::on(socket, IP_BYTES + 8)
    }

    /// Takes what `socket` receives; RTP stands behind so many bytes of other headers.
    fn on(socket: Socket, header_bytes: usize) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        // The thread may be held up on a busy machine.
        socket.set_recv_buffer_size(4 << 20).unwrap();
        let (heard, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (to, end): (Arc<Mutex<Vec<Rtp>>>, _) = (Arc::clone(&heard), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !end.load(Ordering::Relaxed) {
                if let Ok(length) = (&socket).read(&mut buffer) {
                    let packet = Rtp::parse(Instant::now(), &buffer[header_bytes..length]);
                    to.lock().unwrap().push(packet);
                }
            }
        });
        Self { heard, ended, thread: Some(thread) }
    }

    /// What was heard up to now.
    pub fn packets(&self) -> Vec<Rtp> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The samples of packets of G.711, one after the other.
pub fn samples(packets: &[Rtp]) -> Vec<i16> {
    let decode = |packet: &Rtp| {
        let decode = if packet.pt == 8 { wav::alaw } else { wav::ulaw };
        packet.payload.iter().map(move |byte| decode(*byte)).collect::<Vec<_>>()
    };
    packets.iter().flat_map(decode).collect()
}

/// Fails unless the packets are one stream without a gap: one source, sequence numbers one by one,
/// time stamps that advance by what each packet holds. Packets of `pts` alone are allowed.
#[track_caller]
pub fn assert_continuous(packets: &[Rtp], pts: &[u8]) {
    let mut allowed = Stalls::default();
    for pair in packets.windows(2) {
        let [before, after] = pair else { unreachable!() };
        let step = u32::try_from(before.payload.len()).unwrap();
        assert_eq!(after.ssrc, before.ssrc);
        assert_eq!(after.seq, before.seq.wrapping_add(1), "gap after {}", before.seq);
        let ahead = after.ts.wrapping_sub(before.ts.wrapping_add(step));
        let gap_s = (after.at - before.at).as_secs_f64();
        assert!(allowed.step(gap_s, ahead), "time stamp after {}: {ahead} ahead", before.seq);
    }
    assert!(packets.iter().all(|packet| pts.contains(&packet.pt)));
}

/// Time stamps may jump ahead for one reason alone: the machine did not let the server run for so
/// long that it left packets out instead of sending them in a burst. Then that time has passed.
#[derive(Debug, Default)]
pub struct Stalls {
    stalled_s: f64,
}

/// Shortest stall that the server does not make up for by packets, in seconds.
const STALL_S: f64 = 0.08;

impl Stalls {
    /// Takes the time between two packets, and by how many samples the second is ahead of its due
    /// time stamp; false if that is wrong.
    pub fn step(&mut self, gap_s: f64, ahead_samples: u32) -> bool {
        if gap_s > STALL_S {
            self.stalled_s += gap_s;
        }
        self.stalled_s -= f64::from(ahead_samples) / f64::from(wav::RATE_HZ);
        ahead_samples == 0 || self.stalled_s >= 0.0
    }
}

/// Bytes before a packet in a capture: its record, Ethernet, IPv4, UDP.
const RECORD_BYTES: usize = 16;
const UP_TO_RTP_BYTES: usize = 14 + 20 + 8;

/// The payloads of all packets in a capture of RTP over Ethernet, in the order captured, of payload
/// type `pt`.
pub fn captured_payloads(file: &Path, pt: u8) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "no little-endian capture");
    let mut rest = &bytes[24..];
    let mut payloads = Vec::new();
    while rest.len() >= RECORD_BYTES {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let packet = &rest[RECORD_BYTES..RECORD_BYTES + length];
        let rtp = &packet[UP_TO_RTP_BYTES..];
        if rtp[1] & 0x7f == pt {
            payloads.push(rtp[12..].to_vec());
        }
        rest = &rest[RECORD_BYTES + length..];
    }
    payloads
}

/// Writes a capture of RTP in 20 ms packets of `payload`, which is G.711 of type `pt`.
pub fn write_capture(file: &Path, pt: u8, payload: &[u8]) {
    let mut bytes = Vec::new();
    // libpcap 2.4, seconds and microseconds, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (index, payload) in payload.chunks_exact(160).enumerate() {
        let index = u32::try_from(index).unwrap();
        let udp_bytes = u16::try_from(8 + 12 + payload.len()).unwrap();
        let mut packet = vec![0; 12];
        packet.extend([0x08, 0x00, 0x45, 0x00]);
        packet.extend((20 + udp_bytes).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        for field in [4_000_u16, 4_000, udp_bytes, 0] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend([0x80, if index == 0 { 0x80 | pt } else { pt }]);
        packet.extend(u16::try_from(100 + index).unwrap().to_be_bytes());
        packet.extend((index * 160).to_be_bytes());
        // One source for each codec: what is sent anew from the first packet on is another stream.
        packet.extend((0x7a1b_0000 | u32::from(pt)).to_be_bytes());
        packet.extend(payload);
        let length = u32::try_from(packet.len()).unwrap();
        for word in [index / 50, index % 50 * 20_000, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(packet);
    }
    fs::write(file, bytes).unwrap();
}
