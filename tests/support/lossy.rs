//! A bad network between a telephone and the server: SIP passes, with the ports of its descriptions
//! replaced by ours, and RTP is lost, delayed, overtaken and doubled on its way, as a seed says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What happens to packets, each for itself.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub seed: u64,
    /// Probability of loss.
    pub loss: f64,
    /// Probability that a packet comes twice.
    pub twice: f64,
    /// Most that every packet is delayed by.
    pub jitter: Duration,
    /// Probability that it is delayed by `detour` as well.
    pub late: f64,
    pub detour: Duration,
}

/// What became of the packets of one direction.
#[derive(Debug, Default)]
pub struct Fate {
    pub came: AtomicU64,
    pub lost: AtomicU64,
    pub doubled: AtomicU64,
    pub overtaken: AtomicU64,
}

impl Fate {
    pub fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// Such a network.
pub struct Lossy {
    /// Where the telephone finds the server.
    pub sip: SocketAddr,
    /// From the telephone to the server, and back.
    pub fates: [Arc<Fate>; 2],
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Where the media of both sides are: of the telephone, of the server.
type Sides = Arc<Mutex<[Option<SocketAddr>; 2]>>;

impl Lossy {
    /// A network in front of `server`, between it and one telephone.
    pub fn start(server: SocketAddr, weather: Weather) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            socket
        };
        let (sip, to_phone, to_server) = (bind(), bind(), bind());
        let (address, sides) = (sip.local_addr().unwrap(), Sides::default());
        let ports = [&to_server, &to_phone].map(|socket| socket.local_addr().unwrap().port());
        let fates = [Arc::<Fate>::default(), Arc::default()];
        let end = Arc::new(AtomicBool::new(false));
        let mut threads = vec![{
            let (sides, end) = (Arc::clone(&sides), Arc::clone(&end));
            std::thread::spawn(move || signalling(&sip, server, ports, &sides, &end))
        }];
        let ways = [(&to_phone, &to_server, 1), (&to_server, &to_phone, 0)];
        for ((from, by, side), fate) in ways.into_iter().zip(&fates) {
            let way = Way {
                from: from.try_clone().unwrap(),
                by: by.try_clone().unwrap(),
                side,
                sides: Arc::clone(&sides),
                fate: Arc::clone(fate),
            };
            let (end, weather) =
                (Arc::clone(&end), Weather { seed: weather.seed + side as u64, ..weather });
            threads.push(std::thread::spawn(move || way.carry(weather, &end)));
        }
        Self { sip: address, fates, end, threads }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Passes SIP on between `server` and whoever else sends; notes where each wants its media, and
/// names the port of ours that leads there.
fn signalling(
    socket: &UdpSocket,
    server: SocketAddr,
    ports: [u16; 2],
    sides: &Sides,
    end: &AtomicBool,
) {
    let (mut phone, mut buffer) = (None, [0; 8192]);
    while !end.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let mut text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let of_server = from == server;
        if !of_server {
            phone = Some(from);
        }
        if let Some(at) = text.find("m=audio ").map(|at| at + "m=audio ".len()) {
            let length = text[at..].find(' ').unwrap();
            let port: u16 = text[at..at + length].parse().unwrap();
            sides.lock().unwrap()[usize::from(of_server)] = Some(([127, 0, 0, 1], port).into());
            let own = ports[usize::from(of_server)].to_string();
            assert_eq!(own.len(), length, "the length of the body must not change");
            text.replace_range(at..at + length, &own);
        }
        if let Some(to) = if of_server { phone } else { Some(server) } {
            socket.send_to(text.as_bytes(), to).unwrap();
        }
    }
}

/// One direction of media.
struct Way {
    from: UdpSocket,
    by: UdpSocket,
    /// Whose they are to be, of the sides.
    side: usize,
    sides: Sides,
    fate: Arc<Fate>,
}

impl Way {
    fn carry(self, weather: Weather, end: &AtomicBool) {
        let mut random = fastrand::Rng::with_seed(weather.seed);
        let mut under_way: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>> = BinaryHeap::new();
        let (mut number, mut newest, mut buffer) = (0, 0, [0; 2048]);
        while !end.load(Ordering::Relaxed) {
            while under_way.peek().is_some_and(|Reverse((due, ..))| *due <= Instant::now()) {
                let Some(Reverse((_, number, packet))) = under_way.pop() else { break };
                let to = self.sides.lock().unwrap()[self.side];
                if let Some(to) = to {
                    let _ = self.by.send_to(&packet, to);
                }
                self.fate.overtaken.fetch_add(u64::from(number < newest), Ordering::Relaxed);
                newest = newest.max(number);
            }
            let Ok(length) = self.from.recv(&mut buffer) else { continue };
            number += 1;
            self.fate.came.fetch_add(1, Ordering::Relaxed);
            if random.f64() < weather.loss {
                self.fate.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let mut due = Instant::now() + weather.jitter.mul_f64(random.f64());
            if random.f64() < weather.late {
                due += weather.detour;
            }
            let packet = buffer[..length].to_vec();
            if random.f64() < weather.twice {
                self.fate.doubled.fetch_add(1, Ordering::Relaxed);
                let again = due + Duration::from_millis(1);
                under_way.push(Reverse((again, number, packet.clone())));
            }
            under_way.push(Reverse((due, number, packet)));
        }
    }
}
