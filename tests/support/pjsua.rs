//! PJSIP (the Python package `pjsua2-python`): a telephone that says a sine, keeps what it hears,
//! and transfers.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::server::Server;
use super::{peers, skip, until, wav};

/// The tone that it says, in hertz.
pub const HZ: f64 = 1209.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The Python that has PJSIP, if there is one.
#[track_caller]
pub fn installed() -> Option<PathBuf> {
    let python = peers::python()?;
    let mut asked = Command::new(&python);
    let asked = asked.args(["-c", "import pjsua2"]).stderr(Stdio::null()).status();
    if asked.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip("no Python with pjsua2-python; ./test makes target/peers");
    None
}

/// How it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its one codec.
    pub codec: &'a str,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'a str,
    /// `off`, `optional` or `required`.
    pub srtp: &'a str,
    /// Its name and password at the server, with which it registers.
    pub account: Option<(&'a str, &'a str)>,
    /// Where the server takes `transport`, if not at its first address.
    pub registrar: Option<u16>,
    /// The authority that it trusts.
    pub authority: Option<&'a Path>,
    /// The proxy on this port is between it and everybody.
    pub proxy: Option<u16>,
    /// It has an address of its own on loopback, and the port that needs no mention.
    pub alone: bool,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            codec: "PCMU",
            transport: "udp",
            srtp: "off",
            account: None,
            registrar: None,
            authority: None,
            proxy: None,
            alone: false,
        }
    }
}

/// A running telephone. It answers every call. Calls are numbered from 0, those that come in and
/// those that it makes alike.
#[derive(Debug)]
pub struct Pjsua {
    child: Child,
    commands: Option<ChildStdin>,
    dir: PathBuf,
    /// The port of its signalling.
    pub port: u16,
    /// Where it is called.
    pub uri: String,
}

impl Pjsua {
    /// Starts it; returns once it can be called.
    #[track_caller]
    pub fn start(python: &Path, server: &Server, setup: &Setup<'_>) -> Self {
        let (port, rtp) = (server.ports.pair(), server.ports.run(10));
        let dir = server.dir.join(format!("pjsua-{port}"));
        fs::create_dir(&dir).unwrap();
        wav::write(&dir.join("say.wav"), &wav::sine(HZ, 60.0));
        let Setup { codec, transport, srtp, account, registrar, authority, proxy, alone } = *setup;
        let at = registrar.map_or(server.sip, |port| ([127, 0, 0, 1], port).into());
        let user = account.map_or("pjsua", |(user, _)| user);
        let [high, low] = port.to_be_bytes();
        let address = Ipv4Addr::from(if alone { [127, 1, high, low] } else { [127, 0, 0, 1] });
        let listens = SocketAddr::from((address, if alone { 5060 } else { port }));
        let home = if account.is_some() { at } else { listens };
        let mut settings = json!({
            "folder": dir, "address": address, "port": listens.port(), "rtp": rtp, "transport": transport, "codec": codec,
            "srtp": srtp, "user": user, "identity": format!("sip:{user}@{home}"),
        });
        if let Some((_, password)) = account {
            settings["registrar"] = json!(format!("sip:{at};transport={transport}"));
            settings["password"] = json!(password);
        }
        if let Some(proxy) = proxy {
            settings["proxy"] = json!(format!("sip:127.0.0.1:{proxy};lr"));
        }
        if let Some(authority) = authority {
            settings["authority"] = json!(authority);
        }
        fs::write(dir.join("settings"), settings.to_string()).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/pjsua.py");
        let mut child = Command::new(python)
            .arg(program)
            .arg(dir.join("settings"))
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(File::create(dir.join("stdout")).unwrap())
            .stderr(File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let commands = child.stdin.take();
        let uri = match alone {
            true => format!("sip:{user}@{address}"),
            false => format!("sip:{user}@{listens}"),
        };
        let port = listens.port();
        let phone = Self { child, commands, dir, port, uri };
        phone.wait_for("ready");
        phone
    }

    /// Has it carry out a command of `tests/interop/pjsua.py`.
    #[track_caller]
    pub fn command(&self, command: &str) {
        writeln!(self.commands.as_ref().unwrap(), "{command}").unwrap();
    }

    /// What has happened, a line each.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stdout")).unwrap_or_default()
    }

    /// Its messages and what it thinks.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it says this line.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str) {
        self.wait_for_times(wanted, 1);
    }

    /// Waits until it has said this line so many times.
    #[track_caller]
    pub fn wait_for_times(&self, wanted: &str, times: usize) {
        until(SOON, &format!("PJSIP says {wanted}"), || {
            let said = self.said();
            assert!(!said.contains("error "), "{said}");
            (said.lines().filter(|line| *line == wanted).count() >= times).then_some(())
        });
    }

    /// Waits until it has heard so many seconds in the call of this number.
    #[track_caller]
    pub fn wait_heard(&self, call: usize, seconds: u64) {
        let file = self.dir.join(format!("heard-{call}.wav"));
        until(SOON, "PJSIP hears", || {
            let file = fs::metadata(&file).ok()?;
            (file.len() > seconds * 2 * u64::from(wav::RATE_HZ)).then_some(())
        });
    }

    /// Ends it, and with it its calls; what it has heard in the call of this number.
    #[track_caller]
    pub fn end(mut self, call: usize) -> Vec<i16> {
        self.command("quit");
        let child = &mut self.child;
        let status = until(SOON, "PJSIP ends", || child.try_wait().unwrap());
        assert!(status.success(), "{status}");
        wav::read(&self.dir.join(format!("heard-{call}.wav")))
    }
}

impl Drop for Pjsua {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
            eprintln!("PJSIP says:\n{}\n{errors}", self.said());
        }
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
