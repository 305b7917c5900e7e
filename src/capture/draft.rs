//! What goes into a file of a capture, taken in one go: while the file is written, nobody waits who
//! has a message to be kept.

use std::collections::VecDeque;
use std::net::SocketAddr;

use media::time::MonoTime;

use super::head::Packet;
use super::pcap::Pcap;
use super::registry::{Message, Wall, ends};

/// A file that is yet to be written.
#[derive(Debug)]
pub struct Draft {
    pub(super) wall: Wall,
    /// Our RTP and RTCP.
    pub(super) ends: (SocketAddr, SocketAddr),
    pub(super) messages: Vec<Message>,
    pub(super) packets: VecDeque<Packet>,
}

impl Draft {
    /// The file: messages and packets in their order.
    pub fn pcap(self) -> Vec<u8> {
        let Self { wall, ends: (rtp, rtcp), messages, packets } = self;
        let mut pcap = Pcap::new();
        let mut packets = packets.iter().peekable();
        let mut media = |pcap: &mut Pcap, until: MonoTime| {
            while let Some(packet) = packets.next_if(|packet| packet.at <= until) {
                let local = if packet.kind.is_rtcp() { rtcp } else { rtp };
                let (from, to) = ends(packet.kind.is_incoming(), local, packet.peer);
                pcap.datagram(wall.unix_ns(packet.at), from, to, &packet.bytes, packet.length);
            }
        };
        for message in &messages {
            media(&mut pcap, message.at);
            let (from, to) = ends(message.incoming, message.local, message.peer);
            let length = message.bytes.len();
            pcap.datagram(wall.unix_ns(message.at), from, to, &message.bytes, length);
        }
        media(&mut pcap, MonoTime::MAX);
        pcap.into_bytes()
    }
}
