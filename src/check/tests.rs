//! The doctor finds what is wrong and says what to do.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;

use super::*;
use crate::config::Sources;

/// A pretended machine and a data folder, gone with the test.
struct Place {
    path: PathBuf,
    /// First of a hundred media ports; HTTP and SIP are behind them.
    ports: u16,
    /// Has the last port, by which all before it are this test's.
    _claim: UdpSocket,
}

/// Ports of a test; they are below those of other tests and the ephemeral ones.
const BLOCK: u16 = 104;
const BLOCKS: u16 = 70;

/// The first port of a block that nobody has, and what keeps others off.
fn claim() -> (u16, UdpSocket) {
    let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap();
    let free = |port: &u16| {
        UdpSocket::bind(("127.0.0.1", *port)).and(TcpListener::bind(("127.0.0.1", *port))).is_ok()
    };
    let claim = |index: u16| {
        let first = 12_000 + (start + index) % BLOCKS * BLOCK;
        let claim = UdpSocket::bind(("127.0.0.1", first + BLOCK - 1)).ok()?;
        (first..first + BLOCK - 1).all(|port| free(&port)).then_some((first, claim))
    };
    (0..BLOCKS).find_map(claim).unwrap()
}

impl Place {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("talkpath-check-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("self")).unwrap();
        std::fs::create_dir_all(path.join("sys/net/core")).unwrap();
        let (ports, claim) = claim();
        let place = Self { path, ports, _claim: claim };
        place.write("self/limits", "Max open files   100000   100000   files\n");
        place.write("sys/net/core/rmem_max", "8388608\n");
        place.write("sys/net/core/wmem_max", "8388608\n");
        place
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path.join(file), text).unwrap();
    }

    fn check(&self, config: Result<&Config, &ConfigErrors>) -> Report {
        run(config, &Machine { proc: &self.path, sys: &self.path })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A configuration on ports that are free, but for what `text` adds.
fn config(place: &Place, text: &str) -> Config {
    let environment: Vec<(String, String)> = [
        ("TALKPATH_HTTP_LISTEN", format!("127.0.0.1:{}", place.ports + 100)),
        ("TALKPATH_SIP_LISTEN", format!("127.0.0.1:{}", place.ports + 101)),
        ("TALKPATH_RTP_PORTS", format!("{}-{}", place.ports, place.ports + 99)),
    ]
    .into_iter()
    .filter(|(name, _)| {
        let (section, key) = name.trim_start_matches("TALKPATH_").split_once('_').unwrap();
        let header = format!("[{}]\n{} =", section.to_lowercase(), key.to_lowercase());
        !text.contains(&header)
    })
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let folder = place.path.join("data");
    Config::parse(&Sources {
        file: Some((Path::new("t.toml"), text)),
        environment: &environment,
        data_dir: Some(&folder),
        dialects: &[],
        readable: &|_| Ok(()),
    })
    .unwrap()
}

fn found<'r>(report: &'r Report, check: &str, part: &str) -> &'r Finding {
    let mut findings = report.findings.iter();
    findings
        .find(|finding| finding.check == check && finding.found.contains(part))
        .unwrap_or_else(|| panic!("{check} {part}\n{}", report.to_text()))
}

/// A sound machine with a sound configuration fails nothing.
#[test]
fn a_sound_set_up_passes() {
    let place = Place::new("sound");
    let report = place.check(Ok(&config(&place, "")));
    assert!(!report.failed(), "{}", report.to_text());
    assert_eq!(found(&report, "agents", "echo: built in").status, Status::Ok);
    assert_eq!(found(&report, "rtp.ports", "50 of 50 pairs").status, Status::Ok);
    assert!(report.to_text().contains("0 failures"));
}

/// Errors of the configuration are shown, and the machine is examined all the same.
#[test]
fn a_broken_configuration_fails() {
    let place = Place::new("broken");
    let errors = Config::parse(&Sources {
        file: Some((Path::new("t.toml"), "[sip]\nlisten = 1\n[rtp]\nport = 2")),
        environment: &[],
        data_dir: None,
        dialects: &[],
        readable: &|_| Ok(()),
    })
    .unwrap_err();
    let report = place.check(Err(&errors));
    assert!(report.failed());
    assert_eq!(found(&report, "configuration", "t.toml:2: sip.listen").status, Status::Fail);
    assert_eq!(found(&report, "configuration", "t.toml:4: rtp.port").status, Status::Fail);
    assert_eq!(found(&report, "socket buffers", "rmem_max").status, Status::Ok);
}

/// Files of TLS are read and targets of trunks looked up as the server would.
#[test]
fn peers_are_looked_at() {
    let place = Place::new("peers");
    let text = "[sip]\ntls_listen = \"127.0.0.1:0\"\ntls_certificate = \"no.pem\"\ntls_key = \"no.key\"\n\
                [[trunks]]\nname = \"good\"\ntargets = [\"sip:192.0.2.1;transport=tcp\"]\n\
                [[trunks]]\nname = \"bad\"\ntargets = [\"sip:192.0.2.1;transport=ws\"]\n\
                tls_ca = \"no.pem\"\n";
    let report = place.check(Ok(&config(&place, text)));
    assert_eq!(found(&report, "sip.tls", "no.pem").status, Status::Fail);
    assert_eq!(
        found(&report, "trunks", "good: sip:192.0.2.1;transport=tcp is TCP").status,
        Status::Ok
    );
    assert_eq!(found(&report, "trunks", "bad: sip:192.0.2.1;transport=ws").status, Status::Fail);
    assert_eq!(found(&report, "trunks", "no.pem").status, Status::Fail);
}

/// Ports that others have are named, with what to do.
#[test]
fn busy_ports_are_found() {
    let place = Place::new("busy");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("[http]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    let report = place.check(Ok(&config(&place, &text)));
    let finding = found(&report, "http.listen", "TCP");
    assert_eq!(finding.status, Status::Fail);
    assert!(finding.remedy.as_ref().unwrap().contains("another program"));

    let (first, last) = (place.ports, place.ports + 3);
    let rtp = UdpSocket::bind(("127.0.0.1", first + 1)).unwrap();
    let ports = format!("[rtp]\nports = \"{first}-{last}\"\n[limits]\nmax_calls = ");
    let report = place.check(Ok(&config(&place, &format!("{ports}1"))));
    assert_eq!(found(&report, "rtp.ports", "1 of 2 pairs").status, Status::Warn);
    let report = place.check(Ok(&config(&place, &format!("{ports}2"))));
    assert_eq!(found(&report, "rtp.ports", "1 of 2 pairs").status, Status::Fail);
    drop(rtp);

    let report = place.check(Ok(&config(&place, "[rtp]\naddress = \"192.0.2.1\"")));
    assert_eq!(found(&report, "rtp.ports", "192.0.2.1").status, Status::Fail);
}

/// Agents are dialled: one that listens, one that does not, one with a name that leads nowhere.
#[test]
fn agents_are_tried() {
    let place = Place::new("agents");
    let agent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[[agents]]\nname = \"here\"\nkind = \"websocket\"\nurl = \"ws://{}\"\n\
         [[agents]]\nname = \"gone\"\nkind = \"websocket\"\nurl = \"ws://{gone}\"\n\
         [[agents]]\nname = \"lost\"\nkind = \"websocket\"\nurl = \"wss://agent.invalid\"\n\
         [[agents]]\nname = \"guest\"\nkind = \"websocket\"\nattach = true\n\
         [[agents]]\nname = \"raw\"\nkind = \"rtp\"\nurl = \"rtp://127.0.0.1:4000\"\n",
        agent.local_addr().unwrap()
    );
    let report = place.check(Ok(&config(&place, &text)));
    assert_eq!(found(&report, "agents", "here: ws://").status, Status::Ok);
    assert_eq!(found(&report, "agents", "gone: nobody listens").status, Status::Warn);
    assert_eq!(found(&report, "agents", "lost: wss://agent.invalid").status, Status::Fail);
    assert_eq!(found(&report, "agents", "guest: attaches").status, Status::Ok);
    assert_eq!(found(&report, "agents", "raw: RTP to").status, Status::Ok);
    assert!(report.failed());
}

/// A machine with small limits is told what to raise.
#[test]
fn small_limits_are_found() {
    let place = Place::new("limits");
    place.write("self/limits", "Max open files   400   4096   files\n");
    place.write("sys/net/core/rmem_max", "212992\n");
    let report = place.check(Ok(&config(&place, "[media]\nworkers = 256")));
    let finding = found(&report, "open files", "400 allowed (at most 4096), 406 needed for 50");
    assert_eq!(finding.status, Status::Warn);
    assert!(finding.remedy.as_ref().unwrap().contains("ulimit -n 406"));
    assert_eq!(found(&report, "socket buffers", "212992").status, Status::Warn);
    assert_eq!(found(&report, "media.workers", "256 workers share").status, Status::Warn);
    place.write("self/limits", "Max open files   100   4096   files\n");
    let report = place.check(Ok(&config(&place, "")));
    assert_eq!(found(&report, "open files", "100 allowed").status, Status::Fail);
}

/// A damaged database fails, one that others sealed too; an open folder is warned of.
#[test]
fn the_data_folder_is_examined() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("data");
    let config = config(&place, "");
    std::fs::create_dir_all(&config.data_dir).unwrap();
    std::fs::set_permissions(&config.data_dir, PermissionsExt::from_mode(0o777)).unwrap();
    let report = place.check(Ok(&config));
    assert_eq!(found(&report, "data_dir", "can be written by others").status, Status::Warn);
    assert_eq!(found(&report, "database", "does not exist yet").status, Status::Ok);
    assert!(!config.data_dir.join("talkpath.db").exists(), "the doctor makes nothing");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = crate::store::StoreSettings::new(&config);
        crate::store::Store::open(&settings).await.unwrap().close().await;
    });
    let report = place.check(Ok(&config));
    assert_eq!(found(&report, "database", "0 API keys").status, Status::Ok);
    let other = crate::seal::generate("other").unwrap();
    std::fs::write(config.data_dir.join("seal.keys"), other.expose()).unwrap();
    let report = place.check(Ok(&config));
    assert_eq!(found(&report, "database", "sealed by the key \"k1\"").status, Status::Fail);
    std::fs::write(config.data_dir.join("talkpath.db"), "not a database, by far").unwrap();
    let report = place.check(Ok(&config));
    assert_eq!(found(&report, "database", "not a database").status, Status::Fail);
}

/// Carriers that send webhooks need an address that they reach; who has none of them needs none.
#[test]
fn carriers_need_an_address() {
    let place = Place::new("public");
    let told = |text: &str, hooked| {
        let mut report = Report::default();
        public_url(&mut report, &config(&place, text), hooked);
        report.findings.remove(0)
    };
    let set = |url: &str| format!("public_url = \"{url}\"");
    assert_eq!(told("", 0).status, Status::Ok);
    assert_eq!(told("", 2).status, Status::Warn);
    assert!(told("", 2).found.contains("2 connections at carriers"));
    assert_eq!(told(&set("http://localhost:8080"), 1).status, Status::Warn);
    assert_eq!(told(&set("http://a.example"), 0).status, Status::Warn);
    assert_eq!(told(&set("https://a.example"), 1).status, Status::Ok);
}

/// The JSON form says the same as the table.
#[test]
fn json_tells_the_same() {
    let place = Place::new("json");
    let report = place.check(Ok(&config(&place, "public_url = \"http://a.example\"")));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["ok"], !report.failed());
    assert_eq!(json["findings"].as_array().unwrap().len(), report.findings.len());
    let url = json["findings"].as_array().unwrap().iter().find(|f| f["check"] == "public_url");
    assert_eq!(url.unwrap()["status"], "warn");
    assert!(url.unwrap()["remedy"].as_str().unwrap().contains("https"));
}
