//! SIPp (Debian `sip-tester`): callers and called that follow a scenario to the letter.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::server::Server;
use super::{peer, skip};

/// How long a scenario may take if it does not say.
const SCENARIO_S: u32 = 25;
/// Calls of which all messages are kept; with more, writing them would hold SIPp up.
const TRACED: u32 = 10;
/// How long SIPp may take to end after that.
const END: Duration = Duration::from_secs(5);
/// Audio that comes with SIPp, A-law, 8 s.
pub const SPEECH_PCMA: &str = "/usr/share/sip-tester/g711a.pcap";

/// Attributes of an offer of µ-law alone, and its formats.
pub const PCMU: (&str, &str) = ("0", "a=rtpmap:0 PCMU/8000");
/// The same of A-law.
pub const PCMA: (&str, &str) = ("8", "a=rtpmap:8 PCMA/8000");
/// The same of G.729, which the server does not have.
pub const G729: (&str, &str) = ("18", "a=rtpmap:18 G729/8000");

/// SIPp, if it is installed.
#[track_caller]
pub fn installed() -> Option<()> {
    peer("sipp", "sip-tester").map(drop)
}

/// SIPp with its sounds, and the right to send them: it writes raw packets.
#[track_caller]
pub fn installed_with_audio() -> Option<()> {
    installed()?;
    if !Path::new(SPEECH_PCMA).is_file() {
        skip("SIPp's sounds are not installed (Debian package sip-tester)");
        return None;
    }
    let raw = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::RAW,
        Some(socket2::Protocol::UDP),
    );
    if raw.is_err() {
        skip("SIPp may not send audio: raw sockets need CAP_NET_RAW");
        return None;
    }
    Some(())
}

/// The action that plays a capture.
pub fn play(pcap: &Path) -> String {
    let pcap = pcap.display();
    format!("<nop><action><exec play_pcap_audio=\"{pcap}\"/></action></nop>")
}

/// What SIPp is to do.
#[derive(Debug)]
pub struct Run<'a> {
    /// Name of a file in `tests/sipp`, or, with a leading `-`, a scenario that is built in.
    pub scenario: &'a str,
    /// What stands for `@NAME@` in the scenario.
    pub fields: &'a [(&'a str, &'a str)],
    /// The called user.
    pub user: &'a str,
    /// Further arguments.
    pub args: &'a [&'a str],
    /// Number of calls, if not one; zero without end.
    pub calls: u32,
    /// How long it may take, in seconds.
    pub seconds: u32,
    /// The port that its offers and answers name; that of its own media socket if absent.
    pub ear: Option<u16>,
    /// The port of its signalling; any if absent.
    pub port: Option<u16>,
    /// The first of the four ports of that socket, from [`Ports::run`](super::ports::Ports::run);
    /// any if absent.
    pub media_port: Option<u16>,
}

impl Default for Run<'_> {
    fn default() -> Self {
        Self {
            scenario: "call.xml",
            fields: &[],
            user: "echo",
            args: &[],
            calls: 1,
            seconds: SCENARIO_S,
            ear: None,
            port: None,
            media_port: None,
        }
    }
}

/// A running SIPp.
#[derive(Debug)]
pub struct Sipp {
    child: Child,
    /// The port of its signalling.
    pub port: u16,
    stem: PathBuf,
    end: Instant,
}

impl Run<'_> {
    /// Starts it as a caller.
    #[track_caller]
    pub fn call(&self, server: &Server) -> Sipp {
        self.start(server, &[&server.sip.to_string()])
    }

    /// Starts it as a caller of the proxy on `port`.
    #[track_caller]
    pub fn call_by(&self, server: &Server, port: u16) -> Sipp {
        self.start(server, &[&format!("127.0.0.1:{port}")])
    }

    /// Starts it as somebody who is called, and waits until it can be.
    #[track_caller]
    pub fn wait_for_call(&self, server: &Server) -> Sipp {
        let sipp = self.start(server, &[]);
        super::until(Duration::from_secs(10), "SIPp listens", || {
            ["udp", "tcp"].iter().any(|transport| listens_on(transport, sipp.port)).then_some(())
        });
        sipp
    }

    fn start(&self, server: &Server, remote: &[&str]) -> Sipp {
        let port = self.port.unwrap_or_else(|| server.ports.pair());
        let stem = server.dir.join(format!("sipp-{}", server.ports.pair()));
        let scenario = self.scenario_args(&stem);
        // It takes a port for audio and one for video, and RTCP's beside them.
        let media_port = self.media_port.unwrap_or_else(|| server.ports.run(4));
        let file = |kind: &str| File::create(stem.with_extension(kind)).unwrap();
        let path = |kind: &str| stem.with_extension(kind).to_str().unwrap().to_owned();
        let messages = path("messages");
        let calls = ["-m", &self.calls.to_string()];
        let trace = ["-trace_msg", "-message_file", &messages];
        let child = Command::new("sipp")
            .current_dir(&server.dir)
            .args(remote)
            .args(scenario)
            .args(["-s", self.user, "-i", "127.0.0.1", "-mi", "127.0.0.1", "-bind_local"])
            .args(["-p", &port.to_string(), "-mp", &media_port.to_string()])
            .args(["-cp", &server.ports.pair().to_string(), "-ci", "127.0.0.1", "-nostdin"])
            .args(if self.calls == 0 { &[][..] } else { &calls[..] })
            .args(["-timeout", &self.seconds.to_string(), "-timeout_error"])
            .args(if self.calls > TRACED { &[][..] } else { &trace[..] })
            .args(["-trace_err", "-error_file", &path("errors")])
            .args(self.args)
            .stdin(Stdio::null())
            .stdout(file("screen"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Sipp {
            child,
            port,
            stem,
            end: Instant::now() + Duration::from_secs(self.seconds.into()) + END,
        }
    }

    /// The arguments that choose the scenario, which is written next to the other files.
    fn scenario_args(&self, stem: &Path) -> Vec<String> {
        if let Some(name) = self.scenario.strip_prefix('-') {
            return vec!["-sn".to_owned(), name.to_owned()];
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp");
        let mut text = fs::read_to_string(folder.join(self.scenario)).unwrap();
        for (name, value) in self.fields {
            text = text.replace(&format!("@{name}@"), value);
        }
        let port = self.ear.map_or("[auto_media_port]".to_owned(), |port| port.to_string());
        text = text.replace("@PORT@", &port);
        // Comments explain the fields by their names.
        let left = text.split("-->").last().unwrap().split('@').nth(1);
        assert!(left.is_none_or(|left| left.contains(char::is_lowercase)), "{left:?} is not set");
        let file = stem.with_extension("xml");
        fs::write(&file, text).unwrap();
        vec!["-sf".to_owned(), file.to_str().unwrap().to_owned()]
    }
}

impl Sipp {
    /// Waits for the end of the scenario, and fails if anything in it went otherwise.
    #[track_caller]
    pub fn succeed(mut self) {
        let (code, messages) = self.finish();
        let errors = self.read("errors") + &self.read("stderr");
        assert!(code == Some(0), "SIPp ends with {code:?}\n{errors}\nmessages:\n{messages}");
    }

    /// All messages that it has sent and received.
    pub fn messages(&self) -> String {
        self.read("messages")
    }

    /// Waits until `line` is among its messages.
    #[track_caller]
    pub fn until_message(&self, line: &str) {
        let found = || self.messages().contains(line).then_some(());
        super::until(END * 2, line, found);
    }

    fn finish(&mut self) -> (Option<i32>, String) {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() > self.end => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (status, self.messages())
    }

    fn read(&self, kind: &str) -> String {
        let bytes = fs::read(self.stem.with_extension(kind)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SIPp's errors:\n{}", self.read("errors"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True if somebody listens on this UDP port.
pub fn listens(port: u16) -> bool {
    listens_on("udp", port)
}

/// True if somebody listens on this TCP port.
pub fn listens_tcp(port: u16) -> bool {
    listens_on("tcp", port)
}

/// True if somebody listens on this port of UDP or TCP.
pub fn listens_on(transport: &str, port: u16) -> bool {
    let table = fs::read_to_string(format!("/proc/net/{transport}")).unwrap_or_default();
    let local = format!(":{port:04X} ");
    table.lines().skip(1).any(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|address| format!("{address} ").ends_with(&local))
    })
}
