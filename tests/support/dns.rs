//! A name server with one table, on loopback, written from RFC 1035, 2782 and 3403.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A record's data.
#[derive(Clone, Debug)]
pub enum Record {
    /// An address.
    A(Ipv4Addr),
    /// Priority, weight, port, target.
    Srv(u16, u16, u16, &'static str),
    /// Order, preference, service, replacement; its flag is `s`.
    Naptr(u16, u16, &'static str, &'static str),
}

impl Record {
    const fn kind(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Srv(..) => 33,
            Self::Naptr(..) => 35,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Srv(priority, weight, port, target) => {
                let numbers = [priority, weight, port];
                let mut data: Vec<u8> =
                    numbers.into_iter().flat_map(|number| number.to_be_bytes()).collect();
                data.extend(name(target));
                data
            }
            Self::Naptr(order, preference, service, replacement) => {
                let mut data = [order.to_be_bytes(), preference.to_be_bytes()].concat();
                for text in ["s", service, ""] {
                    data.push(u8::try_from(text.len()).unwrap());
                    data.extend(text.as_bytes());
                }
                data.extend(name(replacement));
                data
            }
        }
    }
}

/// A name on the wire.
fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A running name server.
pub struct Dns {
    /// Where it listens.
    pub address: SocketAddr,
    /// Questions that it was asked.
    asked: Arc<AtomicU32>,
    table: Arc<Mutex<Vec<(&'static str, Record)>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Answers from `table`; other names do not exist.
    pub fn start(table: Vec<(&'static str, Record)>) -> Self {
        let table = Arc::new(Mutex::new(table));
        let known = Arc::clone(&table);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, end) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&asked), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(&answer(&buffer[..length], &known.lock().unwrap()), peer);
            }
        });
        Self { address, asked, table, end, thread: Some(thread) }
    }

    /// Adds a record.
    pub fn add(&self, name: &'static str, record: Record) {
        self.table.lock().unwrap().push((name, record));
    }

    /// Questions that it was asked.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(question: &[u8], table: &[(&'static str, Record)]) -> Vec<u8> {
    let mut at = 12;
    let mut labels = Vec::new();
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let asked = &question[12..at + 5];
    let wanted = labels.join(".");
    let named = || table.iter().filter(|(name, _)| *name == wanted);
    let found: Vec<_> = named().filter(|(_, record)| record.kind() == kind).collect();
    let rcode = if named().next().is_some() { 0 } else { 3 };
    let mut message = question[..2].to_vec();
    let nothing = u8::from(found.is_empty());
    let count = u8::try_from(found.len()).unwrap();
    message.extend([0x84, rcode, 0, 1, 0, count, 0, nothing, 0, 0]);
    message.extend(asked);
    if found.is_empty() {
        // Only with the start of the zone may it be kept that there is nothing (RFC 2308 5).
        message.extend([0, 0, 6, 0, 1, 0, 0, 0, 60, 0, 22, 0, 0]);
        message.extend([0_u32, 60, 60, 60, 60].iter().flat_map(|number| number.to_be_bytes()));
    }
    for (_, record) in found {
        let data = record.data();
        message.extend([0xc0, 12]);
        message.extend(record.kind().to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(data);
    }
    message
}
