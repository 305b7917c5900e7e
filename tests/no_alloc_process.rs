//! While calls flow, nothing is allocated: by the media threads never, and by the rest of the
//! process nothing for ten seconds on end.
//!
//! The server runs in this process under an allocator that counts; samples of the calls' quality
//! are off, as they are written down by other threads. Phones and agents run in another process:
//! this program again, told by an environment variable to play them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use media::srtp::{OVERHEAD_BYTES_MAX, Suite};
use talkpath::app::App;
use talkpath::config::{Config, Sources};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

use support::api_carrier::Api;
use support::callee::Callee;
use support::caller::Caller;
use support::lines::{Line, Offers};
use support::phone::{Phone, packet};
use support::ports::Ports;
use support::srtp::{Srtp, key, line};
use support::until;

/// Calls at once, plain ones and others with SRTP.
const CALLS: u8 = 100;
const SECURE_CALLS: u8 = 50;
/// Calls in which three talk.
const THREES: u8 = 30;
/// How long they flow before it counts: the first reports, of quality too, and the longest queue
/// are behind then.
const WARM_UP: Duration = Duration::from_secs(16);
/// For how long on end the whole process may allocate nothing. Keep-alive pings, RTCP reports and
/// those of quality fall into it.
const QUIET: Duration = Duration::from_secs(10);
/// How long that is waited for: twice a minute the database is looked at.
const WATCHED_MAX: Duration = Duration::from_secs(40);
/// Most allocations of such looks.
const HOUSEKEEPING_MAX: u64 = 400;
/// What the names of media threads begin with.
const MEDIA: &[u8] = b"media-";
/// Makes this program play phones and an agent, which has that name: `plain`, `mux`, `srtp`,
/// `line` or `three`.
const PLAY: &str = "TALKPATH_TEST_PLAY_PHONES";
/// Allocations whose origin is told.
const TOLD_MAX: usize = 6;

/// Counts allocations of media threads while it is told to.
struct Counting;

static WATCHING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ELSEWHERE: AtomicU64 = AtomicU64::new(0);
static ORIGINS: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    /// This thread is telling where it allocated, for which it allocates.
    static TELLING: Cell<bool> = const { Cell::new(false) };
    /// Whether this is a media thread, once that was looked up.
    static IS_MEDIA: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether this is a media thread; asks the system, as the library's name of it may allocate.
fn is_media() -> bool {
    IS_MEDIA.get().unwrap_or_else(|| {
        let mut name = [0_u8; 16];
        // SAFETY: PR_GET_NAME writes at most 16 bytes, its terminator included.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        let is_media = name.starts_with(MEDIA);
        IS_MEDIA.set(Some(is_media));
        is_media
    })
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note() {
    if !WATCHING.load(SeqCst) || TELLING.get() {
        return;
    }
    if !is_media() {
        ELSEWHERE.fetch_add(1, SeqCst);
        return;
    }
    if ALLOCATIONS.fetch_add(1, SeqCst) >= TOLD_MAX as u64 {
        return;
    }
    TELLING.set(true);
    let thread = std::thread::current().name().unwrap_or("?").to_owned();
    let trace = Backtrace::force_capture().to_string();
    let ours = trace.lines().filter(|line| line.contains("talkpath") || line.contains("tokio"));
    let ours = ours.take(24).collect::<Vec<_>>().join("\n");
    ORIGINS.lock().unwrap().push(format!("thread {thread}:\n{ours}"));
    TELLING.set(false);
}

// SAFETY: every call is handed on to the system's allocator as it came; counting touches no
// memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `at` came from the system.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the contract of `realloc`, and `at` came from the system.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Allocations of media threads while `run` runs.
fn counted(run: impl FnOnce()) -> u64 {
    ALLOCATIONS.store(0, SeqCst);
    ELSEWHERE.store(0, SeqCst);
    WATCHING.store(true, SeqCst);
    run();
    WATCHING.store(false, SeqCst);
    ALLOCATIONS.load(SeqCst)
}

/// Waits until the whole process has allocated nothing for [`QUIET`]; how long that took.
fn until_quiet() -> Duration {
    let begin = Instant::now();
    let (mut seen, mut since) = (0, begin);
    while since.elapsed() < QUIET && begin.elapsed() < WATCHED_MAX {
        std::thread::sleep(Duration::from_millis(50));
        let all = ALLOCATIONS.load(SeqCst) + ELSEWHERE.load(SeqCst);
        if all != seen {
            (seen, since) = (all, Instant::now());
        }
    }
    begin.elapsed()
}

/// The other process.
struct Players {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Players {
    fn start(kind: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "play_phones_and_agents", "--nocapture"])
            .env(PLAY, kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, lines }
    }

    /// What they say after `word`.
    #[track_caller]
    fn hear(&mut self, word: &str) -> String {
        loop {
            let line = self.lines.next().expect("the players have ended").unwrap();
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.stdin, "{what}").unwrap();
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server of the test, in this process, with an agent for each of `agents`: its name and where
/// it is.
fn server(agents: &[(&str, String)], ports: &Ports, folder: &Path) -> App {
    let agents = agents.iter().map(|(name, at)| {
        let mux = *name == "mux";
        format!(
            "[[agents]]\nname = \"{name}\"\nkind = \"websocket\"\nurl = \"ws://{at}/\"\n\
             mux = {mux}\n"
        )
    });
    let text = format!(
        "[limits]\ncalls_per_second = 1000\nmax_lateness_ms = 0\n[media]\nquality_every_s = 0\n{}",
        agents.collect::<String>()
    );
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = [
        variable("TALKPATH_HTTP_LISTEN", "127.0.0.1:0"),
        variable("TALKPATH_SIP_LISTEN", &format!("127.0.0.1:{}", ports.pair())),
        variable("TALKPATH_RTP_PORTS", &ports.rtp()),
    ];
    let sources = Sources {
        file: Some((Path::new("test.toml"), &text)),
        environment: &environment,
        data_dir: Some(folder),
        dialects: &[],
        readable: &|_| Ok(()),
    };
    let config = Config::parse(&sources).unwrap();
    static LOG: Once = Once::new();
    LOG.call_once(|| talkpath::telemetry::log::init(&config.log).unwrap());
    App::start(config).unwrap()
}

/// Calls of two telephones: a hundred plain ones and others that are encrypted. Their audio goes to
/// agents on WebSockets and comes back: once they flow, nothing is allocated for ten seconds, in
/// which pings, reports and everything else that recurs happens. The other processes
/// see to it that the audio really flows, each call's its own.
#[test]
fn calls_by_sip_allocate_nothing() {
    watch(&["plain", "srtp"]);
}

/// The same of a hundred calls that share one socket.
#[test]
fn calls_on_a_link_allocate_nothing() {
    watch(&["mux"]);
}

/// The same of a hundred calls on a carrier's media sockets, and of calls in which three talk: two
/// telephones and an agent.
#[test]
fn calls_on_lines_and_of_three_allocate_nothing() {
    watch(&["line", "three"]);
}

#[track_caller]
fn watch(kinds: &[&str]) {
    // What is counted is the process's.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut players: Vec<_> = kinds.iter().map(|kind| Players::start(kind)).collect();
    let agents = kinds.iter().zip(&mut players);
    let agents: Vec<_> = agents.map(|(kind, it)| (*kind, it.hear("agents:"))).collect();
    let folder = support::server::folder();
    let ports = Ports::claim_blocks(2);
    let app = server(&agents, &ports, &folder);
    for (kind, players) in kinds.iter().zip(&mut players) {
        players.tell(&match *kind {
            "line" => format!("{} {}", app.http, app.first_key.as_ref().unwrap().key.expose()),
            _ => app.reach.sip[0].1.to_string(),
        });
        players.hear("calls:");
    }
    let one = counted(|| {
        let media = std::thread::Builder::new().name("media-test".into());
        media.spawn(|| drop(std::hint::black_box(Box::new(1_u64)))).unwrap().join().unwrap();
    });
    assert!(one >= 1, "the counter does not count");
    ORIGINS.lock().unwrap().clear();
    std::thread::sleep(WARM_UP);
    let mut watched = Duration::ZERO;
    let allocations = counted(|| watched = until_quiet());
    players.iter_mut().for_each(|players| players.tell("report"));
    let reports: Vec<_> = players.iter_mut().map(|players| players.hear("report:")).collect();
    let origins = ORIGINS.lock().unwrap().join("\n\n");
    assert_eq!(
        allocations, 0,
        "allocations of {kinds:?} calls in {watched:?}, the first:\n{origins}"
    );
    let elsewhere = ELSEWHERE.load(SeqCst);
    assert!(watched < WATCHED_MAX, "{kinds:?}: {elsewhere}, never none for {QUIET:?}");
    assert!(
        elsewhere <= HOUSEKEEPING_MAX,
        "{elsewhere} allocations outside the media threads for {kinds:?} in {watched:?}"
    );
    println!(
        "{kinds:?} calls: media threads {allocations} allocations in {watched:?}, the process none \
         in the last {QUIET:?}, {elsewhere} before; {reports:?}"
    );
    drop(players);
    app.stop();
    let _ = std::fs::remove_dir_all(folder);
}

/// The other process: phones that talk and agents that say back what they hear. Without the
/// environment variable there is nothing to do.
#[test]
fn play_phones_and_agents() {
    let Some(kind) = std::env::var_os(PLAY) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nagents:{}", listener.local_addr().unwrap());
    let server = told();
    let is_three = kind == "three";
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || if is_three { converse(stream) } else { echo(stream) });
        }
    });
    if kind == "line" {
        let (http, key) = server.split_once(' ').unwrap();
        play_lines(http.parse().unwrap(), key);
    }
    let sip: SocketAddr = server.parse().unwrap();
    if kind == "srtp" {
        play_encrypted(sip);
    }
    if is_three {
        play_threes(sip);
    }
    let mut phones = Vec::new();
    for _ in 0..CALLS {
        let mut phone = Phone::call_at(sip, kind.to_str().unwrap(), "");
        phone.wait_answer();
        phones.push(phone);
    }
    println!("\ncalls:{}", phones.len());
    let ended = told_to_end();
    let begin = Instant::now();
    let mut packets = 0;
    while !ended.load(SeqCst) {
        let due = begin + Duration::from_millis(20) * packets;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for (number, phone) in (0..).zip(&mut phones) {
            phone.send(&[code(number); 160], false);
        }
        packets += 1;
    }
    // What is under way arrives; each phone heard its own audio, and of others nothing.
    let sent = usize::try_from(packets).unwrap() * 160;
    let mut least = usize::MAX;
    for (number, phone) in (0..).zip(&phones) {
        let (own, foreign) = until(Duration::from_secs(10), "a phone's own audio", || {
            let audio = phone.audio();
            let of =
                |wanted: &dyn Fn(u8) -> bool| audio.iter().filter(|heard| wanted(**heard)).count();
            let own = of(&|heard| heard == code(number));
            (own * 10 >= sent * 9).then(|| (own, of(&|heard| heard < code(CALLS)) - own))
        });
        assert_eq!(foreign, 0, "phone {number} hears another call");
        least = least.min(own);
    }
    println!("\nreport:{packets} packets a call each way, at least {least} of {sent} samples back");
    std::process::exit(0);
}

/// Becomes true when the server's process wants to hear how it went.
fn told_to_end() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    std::thread::spawn(move || {
        told();
        end.store(true, SeqCst);
    });
    ended
}

/// Callers of a carrier, each of which hears its own audio.
fn play_lines(http: SocketAddr, key: &str) -> ! {
    let api = Api::start();
    let carrier = Offers::set_up(http, key, "line", &api);
    let mut lines: Vec<_> = (0..CALLS).map(|n| carrier.call(code(n), code(CALLS))).collect();
    println!("\ncalls:{}", lines.len());
    let ended = told_to_end();
    let begin = Instant::now();
    let mut packets = 0_u32;
    while !ended.load(SeqCst) {
        let due = begin + Duration::from_millis(20) * packets;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        lines.iter_mut().for_each(Line::speak);
        packets += 1;
    }
    let sent = u64::from(packets) * 160;
    let heard = lines.iter().map(|line| {
        let own = until(Duration::from_secs(10), "a caller's own audio", || {
            let own = line.own.load(SeqCst);
            (own * 10 >= sent * 9).then_some(own)
        });
        assert_eq!(line.foreign.load(SeqCst), 0, "a caller hears another call");
        own
    });
    let least = heard.min().unwrap();
    println!("\nreport:{packets} frames a call each way, at least {least} of {sent} samples back");
    std::process::exit(0);
}

/// Callers with SRTP, each of which hears its own audio and nothing that is not authentic.
fn play_encrypted(sip: SocketAddr) -> ! {
    let suite = Suite::AesCm128Sha1Tag80;
    let mut callers = Vec::new();
    for number in 0..SECURE_CALLS {
        let ours = key(suite, number);
        let mut caller = Caller::new_at(sip, "srtp");
        let lines = format!("{}a=rtcp-mux\r\n", line(1, &ours));
        assert_eq!(caller.invite("RTP/SAVP", &lines), 200);
        let Srtp { out, mut inn } = Srtp::new(&ours, &caller);
        let (socket, to) = (caller.rtp.try_clone().unwrap(), caller.media());
        let own = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&own);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            loop {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                let heard = &mut buffer[..length];
                // Reports come to the same port.
                if matches!(heard[1], 192..=223) {
                    continue;
                }
                let length = inn.unprotect(heard).expect("authentic");
                let samples = heard[12..length].iter().filter(|heard| **heard == code(number));
                count.fetch_add(samples.count() as u64, SeqCst);
            }
        });
        callers.push((out, caller, to, own));
    }
    println!("\ncalls:{}", callers.len());
    let ended = told_to_end();
    let begin = Instant::now();
    let mut packets = 0_u32;
    while !ended.load(SeqCst) {
        let due = begin + Duration::from_millis(20) * packets;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for (number, (out, caller, to, _)) in (0..).zip(&mut callers) {
            let mut packet = packet(0, packets as u16, packets * 160, &[code(number); 160]);
            let plain = packet.len();
            packet.resize(plain + OVERHEAD_BYTES_MAX, 0);
            let length = out.protect(&mut packet, plain).unwrap();
            caller.rtp.send_to(&packet[..length], *to).unwrap();
        }
        packets += 1;
    }
    let sent = u64::from(packets) * 160;
    let heard = callers.iter().map(|(_, _, _, own)| {
        until(Duration::from_secs(10), "a caller's own audio", || {
            let own = own.load(SeqCst);
            (own * 10 >= sent * 9).then_some(own)
        })
    });
    let least = heard.min().unwrap();
    println!("\nreport:{packets} packets a call each way, at least {least} of {sent} samples back");
    std::process::exit(0);
}

/// Callers, each of whom hears an agent and somebody whom the agent has asked in.
fn play_threes(sip: SocketAddr) -> ! {
    let mut threes = Vec::new();
    for number in 0..THREES {
        let mut callee = Callee::ulaw();
        *JOINS.lock().unwrap() = Some(callee.uri());
        let mut phone = Phone::call_at(sip, "three", "");
        phone.wait_answer();
        callee.wait_call();
        callee.answer();
        threes.push((number, phone, callee));
    }
    println!("\ncalls:{}", threes.len());
    let ended = told_to_end();
    let begin = Instant::now();
    let mut packets = 0_u32;
    let mut heard = vec![0; threes.len()];
    while !ended.load(SeqCst) {
        let due = begin + Duration::from_millis(20) * packets;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for (number, phone, callee) in &mut threes {
            phone.send(&[code(*number); 160], false);
            callee.say(&[code(*number) | 0x80; 160]);
            while let Some(packet) = callee.try_hear() {
                let loud = packet.payload.iter().any(|code| *code & 0x7f != 0x7f);
                heard[usize::from(*number)] += u32::from(loud);
            }
        }
        packets += 1;
    }
    let mut least = u32::MAX;
    for (number, phone, _) in &threes {
        let loud = |payload: &[u8]| payload.iter().any(|code| *code & 0x7f != 0x7f);
        let caller = phone.packets().iter().filter(|it| loud(&it.payload)).count();
        let caller = u32::try_from(caller).unwrap();
        for heard in [caller, heard[usize::from(*number)]] {
            assert!(heard * 10 >= packets * 8, "{number} hears {heard} of {packets} packets");
            least = least.min(heard);
        }
    }
    println!("\nreport:{packets} packets from each of three, at least {least} heard");
    std::process::exit(0);
}

/// Whom the next agent asks in.
static JOINS: Mutex<Option<String>> = Mutex::new(None);

/// An agent that asks somebody in, and says something whenever it hears something.
fn converse(stream: TcpStream) {
    let mut socket = accept_agent(stream);
    let mut sound = Vec::new();
    while let Ok(message) = socket.read() {
        let said = match message {
            Message::Text(text) => {
                let text = text.as_str();
                let is_up = text.contains("\"event\":\"answered\"")
                    || text.contains("\"state\":\"answered\"") && text.contains("\"start\"");
                let uri = is_up.then(|| JOINS.lock().unwrap().take()).flatten();
                let Some(uri) = uri else { continue };
                let options = "{\"stay\":\"talk\"}";
                Message::text(format!(
                    "{{\"event\":\"transfer\",\"kind\":\"bridge\",\"destination\":\"{uri}\",\
                     \"options\":{options}}}"
                ))
            }
            Message::Binary(frame) => {
                sound.clear();
                sound.extend_from_slice(&frame[..12]);
                sound.resize(12 + 160, 0x20);
                Message::Binary(sound.clone().into())
            }
            _ => continue,
        };
        if socket.send(said).is_err() {
            return;
        }
    }
}

/// The next line that the server's process tells.
fn told() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// The µ-law code that phone `number` says: none of them is silence.
const fn code(number: u8) -> u8 {
    number + 1
}

/// Shakes hands with the server.
fn accept_agent(stream: TcpStream) -> WebSocket<TcpStream> {
    stream.set_nodelay(true).unwrap();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let shake = |asked: &Request, mut answer: Response| {
        let protocol = asked.headers()["sec-websocket-protocol"].clone();
        answer.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(answer)
    };
    accept_hdr(stream, shake).unwrap()
}

/// Sends back what comes.
fn echo(stream: TcpStream) {
    let mut socket = accept_agent(stream);
    while let Ok(message) = socket.read() {
        if let Message::Binary(frame) = message
            && socket.send(Message::Binary(frame)).is_err()
        {
            return;
        }
    }
}
