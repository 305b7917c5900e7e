//! Kamailio (Debian `kamailio`): a proxy and registrar, as providers run it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::server::folder;
use super::{peer, sipp, until};

/// How long it may take to start on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Kamailio, if it is installed: where its modules are.
#[track_caller]
pub fn installed() -> Option<PathBuf> {
    peer("kamailio", "kamailio")?;
    let lib = Path::new("/usr/lib");
    let folders = fs::read_dir(lib).unwrap().flatten().map(|entry| entry.path());
    let modules = folders.chain([lib.to_owned()]).map(|path| path.join("kamailio/modules"));
    modules.into_iter().find(|path| path.join("registrar.so").is_file())
}

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    child: Child,
    dir: PathBuf,
    /// The port of its signalling.
    pub port: u16,
}

/// The line that it has.
#[derive(Clone, Copy, Debug)]
pub struct Line<'l> {
    /// Its name.
    pub user: &'l str,
    /// Its password.
    pub password: &'l str,
    /// Algorithm of the challenges: empty for MD5.
    pub algorithm: &'l str,
}

impl Kamailio {
    /// Starts it on `port` of `transport` (`udp` or `tcp`); calls of the line go to the port
    /// `gateway`. Returns once it listens.
    #[track_caller]
    pub fn start(modules: &Path, transport: &str, port: u16, line: Line<'_>, gateway: u16) -> Self {
        let fields = [
            ("USER", line.user),
            ("PASSWORD", line.password),
            ("ALGORITHM", line.algorithm),
            ("GATEWAY", &format!("127.0.0.1:{gateway}")),
        ];
        Self::run_in(folder(), modules, "kamailio.cfg", (transport, port), &fields)
    }

    /// Starts it on `port` as a proxy between the telephones of a network and `server`. Returns
    /// once it listens.
    #[track_caller]
    pub fn edge(modules: &Path, port: u16, server: SocketAddr) -> Self {
        let server = server.to_string();
        let fields = [("SERVER", server.as_str())];
        Self::run_in(folder(), modules, "kamailio_edge.cfg", ("udp", port), &fields)
    }

    /// Starts it on `port` as a PBX that registers with `server` as this user, with this password,
    /// and whose telephone is at the port `gateway`. Returns once it listens.
    #[track_caller]
    pub fn pbx(
        modules: &Path,
        port: u16,
        server: SocketAddr,
        (user, password): (&str, &str),
        gateway: u16,
    ) -> Self {
        let version = "id(int,auto) table_name(string) table_version(int)\n0:uacreg:5\n";
        let columns = "id(int,auto) l_uuid(string) l_username(string) l_domain(string) \
                       r_username(string) r_domain(string) realm(string,null) \
                       auth_username(string) auth_password(string) auth_ha1(string,null) \
                       auth_proxy(string) expires(int) flags(int) reg_delay(int) \
                       contact_addr(string,null) socket(string,null)";
        let (host, at) = (server.ip(), server.port());
        let line = format!(
            "1:line:desk:pbx.test:{user}:{host}::{user}:{password}::sip\\:{host}\\:{at}:60:0:0::"
        );
        let lines = format!("{columns}\n{line}\n");
        let dir = folder();
        for (table, text) in [("version", version), ("uacreg", lines.as_str())] {
            fs::write(dir.join(table), text).unwrap();
        }
        let fields = [
            ("USER", user),
            ("PASSWORD", password),
            ("GATEWAY", &format!("127.0.0.1:{gateway}")),
            ("CONTACT", &format!("127.0.0.1:{port}")),
            ("DIR", dir.to_str().unwrap()),
            ("SERVER", &server.to_string()),
        ];
        Self::run_in(dir.clone(), modules, "kamailio_pbx.cfg", ("udp", port), &fields)
    }

    #[track_caller]
    fn run_in(
        dir: PathBuf,
        modules: &Path,
        source: &str,
        (transport, port): (&str, u16),
        fields: &[(&str, &str)],
    ) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(source);
        let mut text = fs::read_to_string(source)
            .unwrap()
            .replace("@LISTEN@", &format!("{transport}:127.0.0.1:{port}"))
            .replace("@MODULES@", modules.to_str().unwrap());
        for (name, value) in fields {
            text = text.replace(&format!("@{name}@"), value);
        }
        let config = dir.join("kamailio.cfg");
        fs::write(&config, text).unwrap();
        let child = Command::new("kamailio")
            .current_dir(&dir)
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-f"])
            .arg(&config)
            .arg("-w")
            .arg(&dir)
            .arg("-Y")
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let kamailio = Self { child, dir, port };
        until(SOON, "Kamailio listens", || sipp::listens_on(transport, port).then_some(()));
        kamailio
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits until it has logged this.
    #[track_caller]
    pub fn wait_for(&self, part: &str) {
        until(SOON, &format!("Kamailio says {part}"), || self.log().contains(part).then_some(()));
    }

    fn signal(&self) {
        let pid = self.child.id().try_into().unwrap();
        // SAFETY: kill(2) touches no memory. A child that was not waited for keeps its id, so this
        // reaches nobody else.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Kamailio says:\n{}", self.log());
        }
        self.signal();
        // Its children end with it, and only it can end them.
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}
