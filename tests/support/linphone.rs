//! linphone (Debian `linphone-cli`): a softphone on a console that says a sine and keeps what it
//! hears.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::server::Server;
use super::{peer, sipp, until, wav};

/// The tone that it says, in hertz.
pub const HZ: f64 = 852.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// linphone, if it is installed.
#[track_caller]
pub fn installed() -> Option<()> {
    peer("linphonec", "linphone-cli").map(drop)
}

/// How it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its one codec.
    pub codec: &'a str,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'a str,
    /// Its media are encrypted (SDES), or nobody is talked with.
    pub srtp: bool,
    /// Its name and password at the server, with which it registers.
    pub account: Option<(&'a str, &'a str)>,
    /// Where the server takes `transport`, if not at its first address.
    pub registrar: Option<u16>,
    /// The authority that it trusts.
    pub authority: Option<&'a Path>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            codec: "PCMA",
            transport: "udp",
            srtp: false,
            account: None,
            registrar: None,
            authority: None,
        }
    }
}

/// A running linphone. It answers every call.
#[derive(Debug)]
pub struct Linphone {
    child: Child,
    commands: Option<ChildStdin>,
    dir: PathBuf,
    /// The port of its signalling.
    pub port: u16,
}

impl Linphone {
    /// Starts it; returns once it can be called. Whether it is registered is to be seen at the
    /// server.
    #[track_caller]
    pub fn start(server: &Server, setup: &Setup<'_>) -> Self {
        let (port, rtp) = (server.ports.pair(), server.ports.run(6));
        let dir = server.dir.join(format!("linphone-{port}"));
        fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
        wav::write(&dir.join("say.wav"), &wav::sine(HZ, 60.0));
        fs::write(dir.join("rc"), configuration(server, setup, port, rtp)).unwrap();
        let mut child = Command::new("linphonec")
            .args(["-a", "-d", "6", "-l"])
            .arg(dir.join("log"))
            .arg("-c")
            .arg(dir.join("rc"))
            .env("HOME", &dir)
            .env("TMPDIR", &dir)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(File::create(dir.join("stdout")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take();
        let mut phone = Self { child, commands, dir, port };
        phone.command("soundcard use files");
        phone.command(&format!("play {}/say.wav", phone.dir.display()));
        phone.command(&format!("record {}/heard.wav", phone.dir.display()));
        if setup.transport == "udp" {
            until(SOON, "linphone listens", || sipp::listens(port).then_some(()));
        }
        phone
    }

    /// Has it carry out a command of its console.
    #[track_caller]
    pub fn command(&mut self, command: &str) {
        writeln!(self.commands.as_ref().unwrap(), "{command}").unwrap();
    }

    /// What it has said on its console.
    pub fn said(&self) -> String {
        let bytes = fs::read(self.dir.join("stdout")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its messages and what it thinks.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it says this.
    #[track_caller]
    pub fn wait_for(&self, part: &str) {
        until(SOON, &format!("linphone says {part}"), || self.said().contains(part).then_some(()));
    }

    /// Ends it, and with it its calls; what it has heard.
    #[track_caller]
    pub fn end(mut self) -> Vec<i16> {
        self.command("quit");
        // Without its standard input it would end as well, but not hang up.
        let child = &mut self.child;
        until(SOON, "linphone ends", || child.try_wait().unwrap());
        wav::read(&self.dir.join("heard.wav"))
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("linphone says:\n{}", self.said());
        }
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Its configuration file.
fn configuration(server: &Server, setup: &Setup<'_>, port: u16, rtp: u16) -> String {
    let Setup { codec, transport, srtp, account, registrar, authority } = *setup;
    let listens = |name: &str| if name == transport { i32::from(port) } else { -1 };
    let (udp, tcp, tls) = (listens("udp"), listens("tcp"), listens("tls"));
    let (encryption, must) = if srtp { ("srtp", 1) } else { ("none", 0) };
    // mbed TLS, which it has, looks for names in certificates, and for no addresses.
    let mut text = format!(
        "[sip]\nverify_server_cn=0\nsip_port={udp}\nsip_tcp_port={tcp}\nsip_tls_port={tls}\nguess_hostname=0\n\
         contact=sip:linphone@127.0.0.1\nuse_ipv6=0\nipv6_migration_done=1\n\
         media_encryption={encryption}\nmedia_encryption_mandatory={must}\n\
         register_only_when_network_is_up=0\n\
         [rtp]\naudio_rtp_port={rtp}\nvideo_rtp_port={}\ntext_rtp_port={}\n\
         [audio_codec_0]\nmime={codec}\nrate=8000\nchannels=1\nenabled=1\n",
        rtp + 2,
        rtp + 4
    );
    // Whatever it is not told about is on.
    for (number, other) in (1..).zip(["PCMU", "PCMA", "G722", "GSM", "speex", "G729"]) {
        if other != codec {
            let _ = write!(
                text,
                "[audio_codec_{number}]\nmime={other}\nrate=8000\nchannels=1\nenabled=0\n"
            );
        }
    }
    if let Some((user, password)) = account {
        let at = registrar.map_or(server.sip, |port| ([127, 0, 0, 1], port).into());
        let _ = write!(
            text,
            "[auth_info_0]\nusername={user}\npasswd={password}\n\
             [proxy_0]\nreg_proxy=<sip:{at};transport={transport}>\n\
             reg_identity=sip:{user}@{at}\nreg_expires=60\nreg_sendregister=1\npublish=0\n"
        );
    }
    if let Some(authority) = authority {
        text = text.replacen("[sip]\n", &format!("[sip]\nroot_ca={}\n", authority.display()), 1);
    }
    text
}
