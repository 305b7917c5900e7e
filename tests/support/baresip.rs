//! baresip (Debian `baresip-core`): a softphone that says a sine and keeps what it hears.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::server::Server;
use super::{peer, sipp, skip, until, wav};

/// The tone that it says, in hertz.
pub const HZ: f64 = 697.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// Where its modules are.
const MODULES: &str = "/usr/lib/baresip/modules";

/// baresip, if it and the modules that are used here are installed.
#[track_caller]
pub fn installed() -> Option<()> {
    peer("baresip", "baresip-core")?;
    let modules = ["g711", "aufile", "aubridge", "sndfile", "account", "menu", "srtp", "ctrl_tcp"];
    for module in modules {
        if !PathBuf::from(MODULES).join(format!("{module}.so")).is_file() {
            skip(&format!("baresip has no module {module} (Debian package baresip-core)"));
            return None;
        }
    }
    Some(())
}

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    child: Child,
    dir: PathBuf,
    /// The port of its signalling.
    pub port: u16,
    /// Where it takes commands.
    control: u16,
}

/// How it is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// Its codecs, such as `PCMA`.
    pub codecs: &'a str,
    /// Whom it calls at once.
    pub dial: Option<&'a str>,
    /// Parameters of its account, each with a semicolon in front.
    pub account: &'a str,
    /// Modules besides those of every phone.
    pub modules: &'a [&'a str],
    /// Further lines of its configuration.
    pub more: &'a str,
    /// The rate of what it says and hears, and the tone that it says; otherwise 8,000 and [`HZ`].
    pub wide: Option<(u32, f64)>,
}

impl Baresip {
    /// Starts it, with `codecs` such as `PCMA`; it answers every call. With `dial` it calls at
    /// once. Returns once it can be called.
    #[track_caller]
    pub fn start(server: &Server, codecs: &str, dial: Option<&str>) -> Self {
        Self::start_with(server, &Setup { codecs, dial, ..Setup::default() })
    }

    /// Starts it as told; it answers every call. Returns once it can be called.
    #[track_caller]
    pub fn start_with(server: &Server, setup: &Setup<'_>) -> Self {
        let Setup { codecs, dial, account, modules, more, wide } = *setup;
        let account = |port| {
            format!(
                "<sip:alice@127.0.0.1:{port}>;regint=0;answermode=auto;\
                 audio_codecs={codecs}{account}"
            )
        };
        Self::start_as(server, account, dial, (modules, more), wide)
    }

    /// Starts it with an account that it registers at the server, over `transport`. Returns once it
    /// can be called; whether it is registered is to be seen at the server.
    #[track_caller]
    pub fn register(server: &Server, user: &str, password: &str, transport: &str) -> Self {
        let setup = Setup { codecs: "PCMA", ..Setup::default() };
        Self::register_with(server, server.sip, (user, password), transport, &setup)
    }

    /// The same at `at` as told.
    #[track_caller]
    pub fn register_with(
        server: &Server,
        at: SocketAddr,
        (user, password): (&str, &str),
        transport: &str,
        setup: &Setup<'_>,
    ) -> Self {
        let Setup { codecs, dial, account: more_of_it, modules, more, wide } = *setup;
        let account = |_| {
            format!(
                "<sip:{user}@{at};transport={transport}>;auth_pass={password};regint=60;\
                 answermode=auto;audio_codecs={codecs}{more_of_it}"
            )
        };
        Self::start_as(server, account, dial, (modules, more), wide)
    }

    #[track_caller]
    fn start_as(
        server: &Server,
        account: impl Fn(u16) -> String,
        dial: Option<&str>,
        (modules, more): (&[&str], &str),
        wide: Option<(u32, f64)>,
    ) -> Self {
        let (rate_hz, hz) = wide.unwrap_or((wav::RATE_HZ, HZ));
        let modules: String = modules.iter().map(|name| format!("module {name}.so\n")).collect();
        let control = server.ports.pair();
        let (port, rtp) = (server.ports.pair(), server.ports.run(8));
        let dir = server.dir.join(format!("baresip-{port}"));
        fs::create_dir(&dir).unwrap();
        wav::write_at(&dir.join("say.wav"), rate_hz, &wav::sine_at(hz, rate_hz, 30.0));
        let (folder, last) = (dir.display(), rtp + 7);
        // The bridge takes what it is given and plays it to nobody: there is no sound card.
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\n\
             rtp_ports {rtp}-{last}\naudio_source aufile,{folder}/say.wav\n\
             audio_player aubridge,nobody\naudio_alert aubridge,alert\naudio_buffer 20-160\n\
             ausrc_srate {rate_hz}\nauplay_srate {rate_hz}\nausrc_channels 1\nauplay_channels 1\n\
             snd_path {folder}\nmodule_path {MODULES}\nmodule g711.so\nmodule aufile.so\n\
             module aubridge.so\nmodule sndfile.so\n{modules}module_tmp account.so\n\
             module_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control}\n{more}\n"
        );
        fs::write(dir.join("config"), config).unwrap();
        fs::write(dir.join("accounts"), account(port) + "\n").unwrap();
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&dir);
        if let Some(uri) = dial {
            command.arg("-e").arg(format!("/dial {uri}"));
        }
        let child = command
            .env("TMPDIR", &dir)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("stdout")).unwrap())
            .stderr(File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let baresip = Self { child, dir, port, control };
        until(SOON, "baresip listens", || sipp::listens(port).then_some(()));
        baresip
    }

    /// Has it carry out a command of its menu, such as `hold`; what it answers.
    #[track_caller]
    pub fn command(&self, command: &str) -> String {
        self.command_with(command, "")
    }

    /// The same with a parameter.
    #[track_caller]
    pub fn command_with(&self, command: &str, parameter: &str) -> String {
        let mut control =
            until(SOON, "its control", || TcpStream::connect(("127.0.0.1", self.control)).ok());
        let text =
            format!("{{\"command\":\"{command}\",\"params\":\"{parameter}\",\"token\":\"t\"}}");
        // A netstring: its length, a colon, itself, a comma.
        write!(control, "{}:{text},", text.len()).unwrap();
        control.set_read_timeout(Some(SOON)).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&answer).contains("\"response\"") {
            let length = control.read(&mut buffer).unwrap();
            assert!(length > 0, "baresip closed its control");
            answer.extend(&buffer[..length]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What it said about itself.
    pub fn log(&self) -> String {
        ["stdout", "stderr"].map(|name| fs::read_to_string(self.dir.join(name)).unwrap()).concat()
    }

    /// Ends it, and with it its calls; what it has heard.
    #[track_caller]
    pub fn end(self) -> Vec<i16> {
        let (rate_hz, samples) = self.end_wide();
        assert_eq!(rate_hz, wav::RATE_HZ);
        samples
    }

    /// Its recordings of what it hears: one a call.
    fn recordings(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_str().unwrap().ends_with("-dec.wav")).collect()
    }

    /// Bytes of what it has heard, in all its calls.
    pub fn heard_bytes(&self) -> u64 {
        self.recordings().iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    }

    /// Whether it has heard so many seconds, in all its calls.
    pub fn has_heard(&self, seconds: u64) -> bool {
        self.heard_bytes() >= seconds * u64::from(wav::RATE_HZ) * 2
    }

    /// Ends it, and with it its calls; what it has heard in each.
    #[track_caller]
    pub fn end_all(mut self) -> Vec<Vec<i16>> {
        self.signal();
        let child = &mut self.child;
        until(SOON, "baresip ends", || child.try_wait().unwrap());
        self.recordings().iter().map(|path| wav::read(path)).collect()
    }

    /// The same at whatever rate it was.
    #[track_caller]
    pub fn end_wide(mut self) -> (u32, Vec<i16>) {
        self.signal();
        let child = &mut self.child;
        until(SOON, "baresip ends", || child.try_wait().unwrap());
        let heard = fs::read_dir(&self.dir).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            path.to_str().unwrap().ends_with("-dec.wav").then_some(path)
        });
        wav::read_at(&heard.expect("baresip has kept what it heard"))
    }

    fn signal(&self) {
        let pid = self.child.id().try_into().unwrap();
        // SAFETY: kill(2) touches no memory. A child that was not waited for keeps its id, so this
        // reaches nobody else.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("baresip says:\n{}", self.log());
        }
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
