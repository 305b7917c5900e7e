//! tshark and dumpcap (Debian `tshark`): what others see of our packets.

use std::fs::{self, File};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::server::Server;
use super::{peer, skip, until};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// tshark and dumpcap, if they are installed.
#[track_caller]
pub fn installed() -> Option<()> {
    peer("tshark", "tshark")?;
    peer("dumpcap", "wireshark-common").map(drop)
}

/// A capture on loopback that runs.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    file: PathBuf,
    said: PathBuf,
    sip_port: u16,
    probe_port: u16,
}

impl Capture {
    /// Captures UDP from and to the ports `first` to `last`; `None`, and says so, if that is not
    /// permitted. Nobody reads from `last`: probes go there, so that it is known when the capture
    /// has begun, and that nothing of its end is missing.
    #[track_caller]
    pub fn start(server: &Server, first: u16, last: u16) -> Option<Self> {
        let (file, said) = (server.dir.join("capture.pcapng"), server.dir.join("dumpcap"));
        let child = Command::new("dumpcap")
            .args(["-i", "lo", "-B", "32", "-f", &format!("udp portrange {first}-{last}"), "-w"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let (sip_port, probe_port) = (server.sip.port(), last);
        let mut capture = Self { child, file, said, sip_port, probe_port };
        let runs = until(SOON, "dumpcap captures", || {
            if capture.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            capture.has_seen("begin of the capture").then_some(true)
        });
        if !runs {
            skip(&format!("capturing on loopback is not permitted: {}", capture.said()));
            return None;
        }
        Some(capture)
    }

    /// Sends a probe; true if one like it was captured.
    fn has_seen(&self, probe: &str) -> bool {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _ = socket.send_to(probe.as_bytes(), (Ipv4Addr::LOCALHOST, self.probe_port));
        let captured = fs::read(&self.file).unwrap_or_default();
        captured.windows(probe.len()).any(|bytes| bytes == probe.as_bytes())
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Ends the capture; fails if the kernel dropped any of it.
    #[track_caller]
    pub fn end(mut self) -> Captured {
        until(SOON, "dumpcap has seen the end", || {
            self.has_seen("end of the capture").then_some(())
        });
        let pid = self.child.id().try_into().unwrap();
        // SAFETY: kill(2) touches no memory. A child that was not waited for keeps its id, so this
        // reaches nobody else.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let child = &mut self.child;
        until(SOON, "dumpcap ends", || child.try_wait().unwrap());
        let said = self.said();
        let dropped = said.rsplit("'Loopback: lo': ").next().unwrap().split(['/', ' ']).nth(1);
        assert_eq!(dropped, Some("0"), "{said}");
        Captured { file: self.file.clone(), sip_port: self.sip_port }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A finished capture.
#[derive(Debug)]
pub struct Captured {
    file: PathBuf,
    sip_port: u16,
}

/// A line of `-z rtp,streams`.
#[derive(Clone, Debug)]
pub struct Stream {
    pub from_port: u16,
    pub to_port: u16,
    pub ssrc: u32,
    pub packets: u32,
    pub lost: i32,
    pub max_delta_ms: f64,
    pub mean_jitter_ms: f64,
    pub max_jitter_ms: f64,
    /// What tshark found wrong with sequence or time stamps.
    pub problem: bool,
}

impl Captured {
    /// Runs tshark over it.
    #[track_caller]
    fn tshark(&self, args: &[&str]) -> String {
        let output = Command::new("tshark")
            .arg("-r")
            .arg(&self.file)
            .args(["-d", &format!("udp.port=={},sip", self.sip_port)])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The file, to be looked at after a failure.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The fields of each packet that `filter` lets through; a field that is absent is empty.
    #[track_caller]
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let mut args = vec!["-T", "fields", "-Y", filter];
        fields.iter().for_each(|field| args.extend(["-e", field]));
        let text = self.tshark(&args);
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// All RTP streams as tshark judges them (`tshark -q -z rtp,streams`).
    #[track_caller]
    pub fn streams(&self) -> Vec<Stream> {
        let text = self.tshark(&["-q", "-z", "rtp,streams"]);
        text.lines().filter_map(stream).collect()
    }
}

/// Reads a line such as `0.08 2.06 127.0.0.1 31116 127.0.0.1 31326 0xE8DED3E4 g711A 67 0 (0.0%)
/// 21.0 30.0 39.0 0.0 0.4 1.3 X`.
fn stream(line: &str) -> Option<Stream> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let ssrc = u32::from_str_radix(fields.get(6)?.strip_prefix("0x")?, 16).ok()?;
    // The payload's name may have blanks in it; what follows is counted from its parenthesis.
    let lost = fields.iter().position(|field| field.starts_with('('))?;
    let figure = |after: usize| fields[lost + after].parse::<f64>().unwrap();
    Some(Stream {
        from_port: fields[3].parse().unwrap(),
        to_port: fields[5].parse().unwrap(),
        ssrc,
        packets: fields[lost - 2].parse().unwrap(),
        lost: fields[lost - 1].parse().unwrap(),
        max_delta_ms: figure(3),
        mean_jitter_ms: figure(5),
        max_jitter_ms: figure(6),
        problem: fields.len() > lost + 7,
    })
}
