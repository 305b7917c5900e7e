//! The server under test: the real program, with a configuration, ports and data of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ports::Ports;
use super::until_told;

/// How long the server may take to listen: the machine that tests run on may be busy.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end once its calls are over.
const STOP: Duration = Duration::from_secs(15);
/// How long an answer of its API may take.
const HTTP: Duration = Duration::from_secs(10);

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The fields of its head, a line each.
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A field of its head, if it is there.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where SIP listens.
    pub sip: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where HTTP over TLS listens, if it does.
    pub https: Option<SocketAddr>,
    /// The API key that it printed.
    pub key: String,
    /// A folder of this test alone; removed if the test passes.
    pub dir: PathBuf,
    /// Ports of this test alone.
    pub ports: Ports,
}

impl Server {
    /// Starts a server with `config`, in which `{dir}` stands for a folder of this test alone.
    /// Addresses, ports and data directory are set from outside.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Self::start_in(folder(), config)
    }

    /// Starts a server whose files go to `dir`, where some may lie already.
    #[track_caller]
    pub fn start_in(dir: PathBuf, config: &str) -> Self {
        Self::start_on(Ports::claim(), dir, config)
    }

    /// Starts a server whose ports are `ports`: more of them take more calls at once.
    #[track_caller]
    pub fn start_on(ports: Ports, dir: PathBuf, config: &str) -> Self {
        Self::start_with(ports, dir, config, &[])
    }

    /// Starts a server with these variables in its environment.
    #[track_caller]
    pub fn start_with(
        ports: Ports,
        dir: PathBuf,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let file = dir.join("talkpath.toml");
        fs::write(&file, config.replace("{dir}", dir.to_str().unwrap())).unwrap();
        // Tests share their machine: only those about lateness may be refused for it.
        let lateness = if config.contains("max_lateness_ms") { "" } else { "0" };
        let lateness = ("TALKPATH_LIMITS_MAX_LATENESS_MS", lateness);
        let environment = [&[lateness][..], environment].concat();
        let (mut server, said) = Self::spawn(ports, dir, &file, &environment);
        server.wait_ready(&said);
        server
    }

    /// Starts a server whose configuration is `file`, and does not wait for it; what it says.
    pub fn spawn(
        ports: Ports,
        dir: PathBuf,
        file: &Path,
        environment: &[(&str, &str)],
    ) -> (Self, mpsc::Receiver<String>) {
        let sip = ports.pair();
        let mut command = Command::new(env!("CARGO_BIN_EXE_talkpath"));
        let mut child = command
            .args(["serve", "--config"])
            .arg(file)
            .env("TALKPATH_DATA_DIR", dir.join("data"))
            .env("TALKPATH_HTTP_LISTEN", "127.0.0.1:0")
            .env("TALKPATH_SIP_LISTEN", format!("127.0.0.1:{sip}"))
            .env("TALKPATH_RTP_PORTS", ports.rtp())
            .envs(environment.iter().copied())
            .env_remove("TALKPATH_REQUIRE_PEERS")
            .env_remove("TALKPATH_TEST_PYTHON")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("server.log")).unwrap())
            .spawn()
            .unwrap();
        let said = listen(&mut child);
        let server = Self {
            child,
            sip: ([127, 0, 0, 1], sip).into(),
            http: ([127, 0, 0, 1], 0).into(),
            https: None,
            key: String::new(),
            dir,
            ports,
        };
        (server, said)
    }

    /// Reads what the server says until it listens.
    fn wait_ready(&mut self, said: &mpsc::Receiver<String>) {
        let end = Instant::now() + START;
        loop {
            let Ok(line) = said.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("the server does not listen; its log:\n{}", self.log());
            };
            if let Some((_, key)) = line.split_once("API key, shown only now: ") {
                key.trim().clone_into(&mut self.key);
            }
            if let Some((_, https)) = line.split_once("serves HTTPS on https://") {
                self.https = Some(https.trim().parse().unwrap());
            }
            if let Some((_, addresses)) = line.split_once("talkpath listens: SIP on ") {
                let (sip, http) = addresses.split_once(", HTTP on http://").unwrap();
                (self.sip, self.http) = (sip.parse().unwrap(), http.trim().parse().unwrap());
                return;
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("server.log")).unwrap_or_default()
    }

    /// A SIP URI of `user` at this server.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.sip)
    }

    /// One request to its API, with its key: status and body.
    #[track_caller]
    pub fn http(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        self.http_with(&[], method, path, body)
    }

    /// The same with headers of its own.
    #[track_caller]
    pub fn http_with(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, String) {
        let answer = self.request(headers, method, path, body);
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// The same without a body, for answers that are no text.
    #[track_caller]
    pub fn http_bytes(&self, method: &str, path: &str) -> (u16, Vec<u8>) {
        let answer = self.request(&[], method, path, None);
        (answer.status, answer.body)
    }

    /// The same with headers of its own, and with the head of the answer.
    #[track_caller]
    pub fn http_answer(&self, headers: &[(&str, &str)], method: &str, path: &str) -> Answer {
        self.request(headers, method, path, None)
    }

    #[track_caller]
    fn request(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(HTTP)).unwrap();
        let (host, key, length) = (self.http, &self.key, body.len());
        let more: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
             Connection: close\r\nContent-Type: application/json\r\n{more}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    /// The calls that live.
    #[track_caller]
    pub fn calls(&self) -> Vec<Value> {
        let (status, body) = self.http("GET", "/api/v1/calls?living=true&limit=200", None);
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until the recording in `file`, named by its call, is complete.
    #[track_caller]
    pub fn wait_recorded(&self, file: &Path) {
        let id = file.file_stem().unwrap().to_str().unwrap();
        let path = format!("/api/v1/calls/{id}/recording");
        until_told(Duration::from_secs(10), "the recording is complete", || {
            (self.http_bytes("GET", &path).0 == 200).then_some(())
        });
    }

    /// Places a call to `to` for `agent`; its description.
    #[track_caller]
    pub fn place(&self, to: &str, agent: &str) -> Value {
        let wanted = serde_json::json!({ "to": to, "agent": agent });
        let (status, body) = self.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 201, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Hangs up the call `id`.
    #[track_caller]
    pub fn hang_up(&self, id: &str) {
        let (status, body) = self.http("POST", &format!("/api/v1/calls/{id}/hangup"), None);
        assert_eq!(status, 204, "{body}");
    }

    /// The sum of all samples of a metric whose line has `part` in it, such as `talkpath_calls`.
    #[track_caller]
    pub fn metric(&self, part: &str) -> f64 {
        let (status, body) = self.http("GET", "/metrics", None);
        assert_eq!(status, 200, "{body}");
        let lines = body.lines().filter(|line| !line.starts_with('#') && line.contains(part));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until no call lives.
    #[track_caller]
    pub fn wait_idle(&self) {
        until_told(Duration::from_secs(10), "no call lives", || {
            self.calls().is_empty().then_some(())
        });
    }

    /// Ends the server as an operator does, and checks that it went well: nothing panicked, and it
    /// came to its end by itself.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal();
        let status = self.wait(STOP).expect("the server does not end on SIGTERM");
        let log = self.log();
        assert!(status.success(), "{status}; log:\n{log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// The end of a test: no call is left, and the server ends well.
    #[track_caller]
    pub fn finish(self) {
        self.wait_idle();
        self.stop();
    }

    /// Ends it at once, as a power failure does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets its files be: they are those of the next.
    pub fn leave_files(&mut self) {
        self.dir = folder();
    }

    /// Asks it to read its certificates again.
    pub fn hangup(&self) {
        self.send(libc::SIGHUP);
    }

    /// Holds it up for a while, as a host does that has no time for it. What is given back does so,
    /// from any thread, while the server lives.
    pub fn staller(&self) -> impl Fn(Duration) + Send + use<> {
        let pid = self.child.id();
        move |time| {
            signal(pid, libc::SIGSTOP);
            std::thread::sleep(time);
            signal(pid, libc::SIGCONT);
        }
    }

    fn signal(&self) {
        self.send(libc::SIGTERM);
    }

    /// Sends it this signal.
    pub fn send(&self, signal: i32) {
        self::signal(self.child.id(), signal);
    }

    /// How it ended, if it does within this time.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + within;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() > end => return None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: kill(2) touches no memory. A child that was not waited for keeps its id, so this
    // reaches nobody else.
    unsafe { libc::kill(pid.try_into().unwrap(), signal) };
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // The first signal lets calls go on, the second ends them.
            self.signal();
            if self.wait(Duration::from_millis(200)).is_none() {
                self.signal();
            }
            if self.wait(Duration::from_secs(3)).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if std::thread::panicking() {
            eprintln!("files are kept in {}; log:\n{}", self.dir.display(), self.log());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A new folder for the files of a test.
pub fn folder() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Takes all that the child says, to the end, so that it never waits for a full pipe.
fn listen(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// One request that must be answered with `status`; the answer, or nothing if there is no body.
#[track_caller]
pub fn expect(
    server: &Server,
    status: u16,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Value {
    let (found, text) = server.http(method, path, body);
    assert_eq!(found, status, "{method} {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// The id of an object that the server has answered with.
#[track_caller]
pub fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}
