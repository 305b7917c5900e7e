//! baresip (Debian `baresip-core`): a softphone that says a sine and keeps what it hears.

use std::fs::{self, File};
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
    for module in ["g711", "aufile", "aubridge", "sndfile", "account", "menu"] {
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
}

impl Baresip {
    /// Starts it, with `codecs` such as `PCMA`; it answers every call. With `dial` it calls at
    /// once. Returns once it can be called.
    #[track_caller]
    pub fn start(server: &Server, codecs: &str, dial: Option<&str>) -> Self {
        let account = |port| {
            format!("<sip:alice@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs={codecs}")
        };
        Self::start_as(server, account, dial)
    }

    /// Starts it with an account that it registers at the server, over `transport`. Returns once it
    /// can be called; whether it is registered is to be seen at the server.
    #[track_caller]
    pub fn register(server: &Server, user: &str, password: &str, transport: &str) -> Self {
        let at = server.sip;
        let account = |_| {
            format!(
                "<sip:{user}@{at};transport={transport}>;auth_pass={password};regint=60;\
                 answermode=auto;audio_codecs=PCMA"
            )
        };
        Self::start_as(server, account, None)
    }

    #[track_caller]
    fn start_as(server: &Server, account: impl Fn(u16) -> String, dial: Option<&str>) -> Self {
        let (port, rtp) = (server.ports.pair(), server.ports.run(8));
        let dir = server.dir.join(format!("baresip-{port}"));
        fs::create_dir(&dir).unwrap();
        wav::write(&dir.join("say.wav"), &wav::sine(HZ, 30.0));
        let (folder, last) = (dir.display(), rtp + 7);
        // The bridge takes what it is given and plays it to nobody: there is no sound card.
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\n\
             rtp_ports {rtp}-{last}\naudio_source aufile,{folder}/say.wav\n\
             audio_player aubridge,nobody\naudio_alert aubridge,alert\naudio_buffer 20-160\n\
             ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
             snd_path {folder}\nmodule_path {MODULES}\nmodule g711.so\nmodule aufile.so\n\
             module aubridge.so\nmodule sndfile.so\nmodule_tmp account.so\nmodule_app menu.so\n"
        );
        fs::write(dir.join("config"), config).unwrap();
        fs::write(dir.join("accounts"), account(port) + "\n").unwrap();
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&dir);
        if let Some(uri) = dial {
            command.arg("-e").arg(format!("/dial {uri}"));
        }
        let child = command
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("stdout")).unwrap())
            .stderr(File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let baresip = Self { child, dir, port };
        until(SOON, "baresip listens", || sipp::listens(port).then_some(()));
        baresip
    }

    /// What it said about itself.
    pub fn log(&self) -> String {
        ["stdout", "stderr"].map(|name| fs::read_to_string(self.dir.join(name)).unwrap()).concat()
    }

    /// Ends it, and with it its calls; what it has heard.
    #[track_caller]
    pub fn end(mut self) -> Vec<i16> {
        self.signal();
        let child = &mut self.child;
        until(SOON, "baresip ends", || child.try_wait().unwrap());
        let heard = fs::read_dir(&self.dir).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            path.to_str().unwrap().ends_with("-dec.wav").then_some(path)
        });
        wav::read(&heard.expect("baresip has kept what it heard"))
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
