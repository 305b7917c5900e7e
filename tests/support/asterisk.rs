//! Asterisk, from Debian packages in a root of its own (`tests/interop/asterisk/install`), one
//! instance for each test, on loopback.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ports::Ports;
use super::{skip, until};

/// Where `./test` installs it.
const FOLDER: &str = "/var/cache/talkpath/asterisk";
/// Names the folder, if it is another; `none` if it could not be installed.
const FOLDER_VARIABLE: &str = "TALKPATH_TEST_ASTERISK";
/// How long it may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long an answer of its API may take.
const HTTP: Duration = Duration::from_secs(10);
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(10);
/// Files that a module wants to be there.
const BARE: [&str; 7] = ["stasis", "features", "codecs", "cel", "ccss", "udptl", "manager"];

/// What an instance is to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Stasis application that extensions 7NN enter; one called so with `-out` belongs to 799.
    pub app: String,
    /// Where extensions 80N connect.
    pub audiosocket: SocketAddr,
    /// Where the WebSocket client `media_out` connects.
    pub media_uri: String,
    /// Where `PJSIP/NUMBER@testua` calls.
    pub sip_peer: SocketAddr,
    /// Codecs of its SIP endpoint.
    pub codecs: &'static str,
    /// More of `ari.conf`.
    pub ari_more: String,
    /// More of `websocket_client.conf`.
    pub clients_more: String,
    /// More of `extensions.conf`.
    pub extensions_more: String,
}

impl Default for Settings {
    fn default() -> Self {
        let nowhere = ([127, 0, 0, 1], 9).into();
        Self {
            app: "talkpath-test".to_owned(),
            audiosocket: nowhere,
            media_uri: "ws://127.0.0.1:9/media".to_owned(),
            sip_peer: nowhere,
            codecs: "ulaw,alaw,g722",
            ari_more: String::new(),
            clients_more: String::new(),
            extensions_more: String::new(),
        }
    }
}

/// A running Asterisk.
#[derive(Debug)]
pub struct Asterisk {
    child: Option<Child>,
    root: PathBuf,
    /// Its folder as it sees it.
    inside: String,
    ports: Ports,
    ari: SocketAddr,
    /// Where SIP listens, over UDP and TCP.
    pub sip: SocketAddr,
    /// User of ARI; one with `-ro` behind it may only read.
    pub user: &'static str,
    /// Its password.
    pub password: &'static str,
}

/// The root with Asterisk in it; without one the test is skipped.
#[track_caller]
pub fn installed() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| FOLDER.into(), PathBuf::from);
    if folder.as_os_str() == "none" {
        // There is no mirror of Debian, which is no fault of this machine's.
        eprintln!("skipped: Asterisk could not be installed");
        return None;
    }
    let root = folder.join("root");
    // SAFETY: geteuid(2) touches no memory and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !root.join("usr/sbin/asterisk").is_file() {
        skip("there is no Asterisk; `tests/interop/asterisk/install` installs it");
        return None;
    }
    if !is_root {
        skip("Asterisk is started by chroot, which takes root");
        return None;
    }
    Some(root)
}

impl Asterisk {
    /// Starts an instance, and waits until it answers; none if it is not installed.
    #[track_caller]
    pub fn start(settings: &Settings) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = installed()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let inside = format!("/inst/test-{}-{number}", std::process::id());
        let ports = Ports::claim();
        let (ari, sip) = (ports.pair(), ports.pair());
        let mut asterisk = Self {
            child: None,
            root,
            inside,
            ari: ([127, 0, 0, 1], ari).into(),
            sip: ([127, 0, 0, 1], sip).into(),
            ports,
            user: "talkpath",
            password: "test-secret",
        };
        asterisk.configure(settings);
        asterisk.run();
        Some(asterisk)
    }

    /// Its folder as we see it.
    pub fn folder(&self) -> PathBuf {
        self.root.join(self.inside.trim_start_matches('/'))
    }

    /// Its configuration, which may be changed while it runs.
    pub fn etc(&self) -> PathBuf {
        self.folder().join("etc")
    }

    fn configure(&self, settings: &Settings) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/asterisk");
        let modules = modules_folder(&self.root);
        let (first, last) = self.ports.rtp_range();
        let fields = [
            ("INST", self.inside.clone()),
            ("MODULES", format!("/{}", modules.display())),
            ("ARI_PORT", self.ari.port().to_string()),
            ("USER", self.user.to_owned()),
            ("PASSWORD", self.password.to_owned()),
            ("SIP_PORT", self.sip.port().to_string()),
            ("SIP_PEER", settings.sip_peer.to_string()),
            ("RTP_FIRST", first.to_string()),
            ("RTP_LAST", last.to_string()),
            ("APP", settings.app.clone()),
            ("AUDIOSOCKET", settings.audiosocket.to_string()),
            ("MEDIA_URI", settings.media_uri.clone()),
            ("CODECS", settings.codecs.to_owned()),
            ("ARI_MORE", settings.ari_more.clone()),
            ("CLIENTS_MORE", settings.clients_more.clone()),
        ];
        for part in ["cache", "lib/keys", "spool/recording", "spool/tmp", "run", "log", "etc"] {
            fs::create_dir_all(self.folder().join(part)).unwrap();
        }
        for entry in fs::read_dir(&from).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.ends_with(".conf") {
                continue;
            }
            let mut text = fs::read_to_string(entry.path()).unwrap();
            for (field, value) in &fields {
                text = text.replace(&format!("@{field}@"), value);
            }
            if name == "extensions.conf" {
                text.push_str(&settings.extensions_more);
            }
            fs::write(self.etc().join(name), text).unwrap();
        }
        for name in BARE {
            fs::write(self.etc().join(format!("{name}.conf")), "[general]\n").unwrap();
        }
        fs::write(self.etc().join("acl.conf"), "").unwrap();
        let wanted = fs::read_to_string(from.join("modules")).unwrap();
        let there = |name: &&str| self.root.join(&modules).join(format!("{name}.so")).is_file();
        let loads = wanted.split_whitespace().filter(there);
        let loads: String = loads.map(|name| format!("load = {name}.so\n")).collect();
        fs::write(self.etc().join("modules.conf"), format!("[modules]\nautoload = no\n{loads}"))
            .unwrap();
        let owner = owner(&self.root);
        own(&self.folder(), owner);
    }

    /// Starts the process and waits until it answers.
    #[track_caller]
    fn run(&mut self) {
        let log = File::create(self.folder().join("stdout.log")).unwrap();
        let child = self
            .command()
            .arg("-f")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        until(START, "Asterisk answers", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "Asterisk ended: {ended:?}\n{}", self.log());
            let ready = |(status, _): (u16, Value)| status == 200;
            self.try_ari("GET", "/asterisk/info").is_some_and(ready).then_some(())
        });
        self.cli("core waitfullybooted");
    }

    /// The program, of this instance.
    fn command(&self) -> Command {
        let mut command = Command::new("chroot");
        command.arg("--userspec=asterisk:asterisk").arg(&self.root).args([
            "/usr/sbin/asterisk",
            "-C",
            &format!("{}/etc/asterisk.conf", self.inside),
        ]);
        command
    }

    /// A program for shells that stands for `asterisk` of this instance; its folder goes in front
    /// of the path.
    pub fn shim(&self) -> PathBuf {
        let folder = self.folder().join("bin");
        fs::create_dir_all(&folder).unwrap();
        let (root, inside) = (self.root.display(), &self.inside);
        let text = format!(
            "#!/bin/sh\nexec chroot --userspec=asterisk:asterisk {root} /usr/sbin/asterisk \
             -C {inside}/etc/asterisk.conf \"$@\"\n"
        );
        let file = folder.join("asterisk");
        fs::write(&file, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&file, mode).unwrap();
        folder
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What a command of its console says.
    pub fn cli(&self, command: &str) -> String {
        let output = self.command().args(["-rx", command]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Its version, such as `22.10.1`.
    pub fn version(&self) -> String {
        let said = self.cli("core show version");
        let version = said.split_whitespace().nth(1).unwrap_or_default();
        version.split(['+', '-', '~']).next().unwrap_or_default().to_owned()
    }

    /// Whether a module runs.
    pub fn has_module(&self, name: &str) -> bool {
        self.cli(&format!("module show like {name}")).contains("Running")
    }

    /// Its ARI, such as `http://127.0.0.1:8088`.
    pub fn ari_url(&self) -> String {
        format!("http://{}", self.ari)
    }

    /// First and last port of its RTP.
    pub fn rtp_ports(&self) -> (u16, u16) {
        self.ports.rtp_range()
    }

    /// A request to its ARI: status and body.
    #[track_caller]
    pub fn ari(&self, method: &str, path: &str) -> (u16, Value) {
        self.try_ari(method, path).expect("ARI does not answer")
    }

    fn try_ari(&self, method: &str, path: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(self.ari).ok()?;
        stream.set_read_timeout(Some(HTTP)).ok()?;
        let credentials = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let request = format!(
            "{method} /ari{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n",
            self.ari
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Lets `endpoint`, such as `Local/600@test`, be connected with an extension of the dialplan;
    /// it speaks `format`. The id of its channel.
    #[track_caller]
    pub fn connect(&self, endpoint: &str, extension: &str, format: &str) -> String {
        let endpoint = endpoint.replace('/', "%2F");
        let path = format!(
            "/channels?endpoint={endpoint}&extension={extension}&context=test&priority=1\
             &formats={format}&callerId=%2B15550001234"
        );
        let (status, body) = self.ari("POST", &path);
        assert_eq!(status, 200, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Channels that live.
    pub fn channels(&self) -> usize {
        self.ari("GET", "/channels").1.as_array().map_or(0, Vec::len)
    }

    /// Bridges that live.
    pub fn bridges(&self) -> usize {
        self.ari("GET", "/bridges").1.as_array().map_or(0, Vec::len)
    }

    /// Waits until no channel and no bridge lives.
    #[track_caller]
    pub fn wait_idle(&self) {
        until(Duration::from_secs(15), "no channel lives", || {
            (self.channels() == 0 && self.bridges() == 0).then_some(())
        });
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read(self.folder().join(name)).unwrap_or_default();
        let log = [read("stdout.log"), read("log/full")].concat();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it as an operator does, with all its calls.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().try_into().unwrap();
        // SAFETY: kill(2) touches no memory. A child that was not waited for keeps its id, so this
        // reaches nobody else.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let end = std::time::Instant::now() + STOP;
        while child.try_wait().unwrap().is_none() {
            if std::time::Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again after it has ended.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.run();
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(80));
            eprintln!("Asterisk says:\n{}", last.copied().collect::<Vec<_>>().join("\n"));
        }
        self.stop();
        let _ = fs::remove_dir_all(self.folder());
    }
}

/// Where the modules are in the root.
fn modules_folder(root: &Path) -> PathBuf {
    let lib = fs::read_dir(root.join("usr/lib")).unwrap().flatten();
    let names = lib.map(|entry| Path::new("usr/lib").join(entry.file_name()));
    let found = names.chain(["usr/lib".into()]).map(|name| name.join("asterisk/modules"));
    found.into_iter().find(|name| root.join(name).is_dir()).expect("an Asterisk has modules")
}

/// User and group that it runs as.
fn owner(root: &Path) -> (u32, u32) {
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    let line = users.lines().find(|line| line.starts_with("asterisk:")).unwrap();
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    (ids.next().unwrap(), ids.next().unwrap())
}

fn own(path: &Path, (user, group): (u32, u32)) {
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| own(&entry.path(), (user, group)));
    }
}
