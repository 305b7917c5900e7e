//! The web pages in Debian's Chromium: from the first start to a call, every provider's form, calls
//! as they happen, and the pages of calls that went wrong. Scripts are in `tests/interop/ui`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::Agents;
use support::peers;
use support::phone::Phone;
use support::server::Server;
use support::sipp::{self, Run};
use support::talk;
use support::until;
use talkpath::config::Config;
use talkpath::store::{Store, StoreSettings};

const SPEECH: &[u8] = include_bytes!("../media/tests/vectors/speech_english.ulaw");
/// Samples of a packet.
const SAMPLES: usize = 160;
/// How long a script may take to say its next word: browsers are slow on a busy machine.
const WORD: Duration = Duration::from_secs(180);
/// One packet in this many is lost on the bad network.
const LOST_ONE_IN: usize = 33;

/// A script that drives a browser.
struct Browser {
    script: &'static str,
    child: Child,
    said: Receiver<String>,
    tell: ChildStdin,
}

impl Browser {
    /// Starts `script` on the pages of `server`; `more` is what it is given besides. None, with the
    /// reason, where there is no browser.
    fn start(server: &Server, script: &'static str, more: Value) -> Option<Self> {
        let python = peers::python()?;
        peers::program("chromium", "chromium")?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/ui");
        let mut given = more;
        given["base"] = json!(format!("http://{}", server.http));
        given["key"] = json!(server.key);
        given["shots"] = json!(shots());
        let mut child = Command::new(python)
            .arg(folder.join(script).with_extension("py"))
            .arg(given.to_string())
            .current_dir(&server.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, said) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let tell = child.stdin.take().unwrap();
        Some(Self { script, child, said, tell })
    }

    /// Waits until the script says `word`.
    #[track_caller]
    fn until(&mut self, word: &str) {
        let said = self.said.recv_timeout(WORD);
        assert_eq!(said.as_deref(), Ok(format!(">> {word}").as_str()), "{}.py", self.script);
    }

    /// Tells the script to go on.
    #[track_caller]
    fn answer(&mut self, text: &str) {
        writeln!(self.tell, "{text}").unwrap();
    }

    /// Waits for the end of a script that succeeds; its last word.
    #[track_caller]
    fn succeed(mut self) -> String {
        let mut last = String::new();
        while let Ok(line) = self.said.recv_timeout(WORD) {
            last = line;
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}.py failed; pictures in {}", self.script, shots().display());
        last
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A script that ended has closed its browser.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where pictures of the pages go.
fn shots() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui")
}

/// What is asked for often, as pages do, is not refused.
const HTTP: &str = "[http]\nkey_requests_per_second = 1000\naddress_requests_per_second = 1000\n";

/// From the sign-in, in four steps, to a call that the browser itself makes; the wrong key, a field
/// that is missing and one that is wrong, a request without its token; then every page at the size
/// of a desk and of a hand, judged for who cannot see or use a mouse, and the sign-out.
#[test]
fn from_nothing_to_a_call() {
    let server = Server::start(HTTP);
    let Some(browser) = Browser::start(&server, "first_run", json!({})) else { return };
    browser.succeed();
    server.stop();
}

/// Everything by keyboard: signing in, a dialog, a filter; a key that only reads is offered nothing
/// else; the menu, a dialog and the test phone on a small screen.
#[test]
fn people_of_all_kinds() {
    let server = Server::start(HTTP);
    let Some(browser) = Browser::start(&server, "people", json!({})) else { return };
    browser.succeed();
    server.stop();
}

/// Each page while there is nothing, while it waits, and when the server refuses; the figures of a
/// server that has gone are told to be old; nothing ends where an agent is missing.
#[test]
fn what_pages_say_of_nothing() {
    let server = Server::start(HTTP);
    let Some(browser) = Browser::start(&server, "states", json!({})) else { return };
    browser.succeed();
    server.stop();
}

/// What pages make of answers that come late, seldom, or after hours: a recording that began in
/// mid-call; a server that was started anew; one answer that is asked for while another is on its
/// way; lists of more pages than one; a call that ends; a browser without a microphone.
#[test]
fn what_pages_make_of_answers() {
    let server = Server::start(HTTP);
    let Some(browser) = Browser::start(&server, "answers", json!({})) else { return };
    browser.succeed();
    server.stop();
}

/// An account at a carrier is tried and set up, its numbers are taken over and pointed here, calls
/// are placed from them; a number and the connection go, with what that means told before.
#[cfg(feature = "emulate")]
#[test]
fn an_account_at_a_carrier() {
    use support::emulated::{Emulated, NUMBER};
    let server = Server::start(HTTP);
    let carrier = Emulated::unbound(&server, "plivo", "echo", &[]);
    let given = json!({ "id": carrier.id, "number": NUMBER });
    let Some(browser) = Browser::start(&server, "account", given) else { return };
    browser.succeed();
    server.stop();
}

/// What each provider is told in this test.
fn configurations() -> Value {
    let mut all = json!({
        "sip_trunk": {
            "inbound": {"enabled": true, "networks": ["198.51.100.0/24", "203.0.113.7"]},
            "country": "DE",
            "outbound": {
                "enabled": true, "targets": [{"host": "198.51.100.9", "port": 5070}],
                "headers": {"X-Line": "seven"},
            },
            "auth": {"enabled": true, "user": "line", "password": "a password with blanks"},
            "codecs": ["PCMA"],
        },
    });
    for spec in adapters::table::PROVIDERS {
        #[cfg(feature = "emulate")]
        if let Some(emulator) = spec.emulator {
            all[spec.name] = (emulator.config)("http://127.0.0.1:9");
        }
        if all.get(spec.name).is_none() {
            eprintln!("{}: nothing is known to fill its form with", spec.name);
        }
    }
    all
}

/// The form of each provider is filled, saved, opened with its secrets masked, and saved again:
/// what is kept is what was typed.
#[test]
fn every_form() {
    let server = Server::start(HTTP);
    let configs = configurations();
    let given = json!({ "configs": configs });
    let Some(browser) = Browser::start(&server, "forms", given) else { return };
    let last = browser.succeed();
    let done: Value = serde_json::from_str(last.trim_start_matches("== ")).unwrap();
    let all = configs.as_object().unwrap();
    assert_eq!(done.as_object().unwrap().len(), all.len(), "{done}");
    let secrets: u64 = done.as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(secrets >= all.len() as u64, "{done}");
    for (name, config) in stored(server) {
        let spec = adapters::table::find(&name).unwrap();
        let typed = spec.read(&all[&name], None).unwrap();
        assert_eq!(config, typed, "{name}");
    }
}

/// What the store of a server holds, once that has ended: configurations by their providers.
fn stored(mut server: Server) -> Vec<(String, adapters::config::RawConfig)> {
    let dir = server.dir.clone();
    server.leave_files();
    server.stop();
    let file = dir.join("talkpath.toml");
    let data = dir.join("data");
    let config = Config::load(Some(&file), Some(&data), &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let held = runtime.block_on(async {
        let store = Store::open(&StoreSettings::new(&config)).await.unwrap();
        let all = store.configurations(store.default_organisation()).await.unwrap();
        store.close().await;
        all.into_iter().map(|one| (one.fields.provider, one.fields.config)).collect()
    });
    std::fs::remove_dir_all(dir).unwrap();
    held
}

/// A telephone that speaks until it is told to stop, and loses a packet now and then.
fn speaks(mut phone: Phone, lost_one_in: usize, stop: &AtomicBool) -> Phone {
    let mut frame = 0;
    while !stop.load(Ordering::Relaxed) {
        let at = frame * SAMPLES % (SPEECH.len() - SAMPLES);
        frame += 1;
        match lost_one_in > 0 && frame % lost_one_in == 0 {
            true => phone.skip(SAMPLES),
            false => phone.send(&SPEECH[at..at + SAMPLES], frame == 1),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    phone
}

/// The call that lives.
fn living(server: &Server) -> String {
    let calls = until(WORD, "one call lives", || Some(server.calls()).filter(|c| c.len() == 1));
    calls[0]["id"].as_str().unwrap().to_owned()
}

/// A call of SIPp appears on the live page with its level and quality, is heard and hung up there;
/// the page of a call with three packets in a hundred lost says so, with its recording and ladder;
/// a silent agent is told of while the call lives and afterwards; what an agent said and was cut
/// off is told with how much of it was heard.
#[test]
fn calls_as_they_happen() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "{HTTP}[media]\nquality_every_s = 1\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[agents]]\nname = \"mute\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         [[routes]]\nto = \"+1*\"\nagent = \"echo\"\nrecord = true\ncapture = true\n\
         [[routes]]\nto = \"+2*\"\nagent = \"mute\"\n\
         [[agents]]\nname = \"talks\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         format = {{ codec = \"PCMU\" }}\n\
         [[routes]]\nto = \"+3*\"\nagent = \"talks\"\n\
         [[routes]]\nto = \"*\"\nagent = \"echo\"\n",
        agents.url(),
        agents.url(),
    ));
    let Some(mut browser) = Browser::start(&server, "live", json!({})) else { return };
    browser.until("empty");
    let play = sipp::play(Path::new(sipp::SPEECH_PCMA));
    let fields = [("FORMATS", sipp::PCMA.0), ("MAPS", sipp::PCMA.1), ("PLAY", play.as_str())];
    let (scenario, seconds, media_port) = ("hung_up_on.xml", 90, Some(server.ports.run(4)));
    let run = Run { scenario, seconds, fields: &fields, media_port, ..Run::default() };
    let caller = run.call(&server);
    browser.answer("");
    browser.until("over");
    caller.succeed();
    browser.answer("");

    let stop = Arc::new(AtomicBool::new(false));
    let phone = Phone::up(&server, "+1555");
    let talk = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || speaks(phone, LOST_ONE_IN, &stop)
    });
    let lossy = living(&server);
    std::thread::sleep(Duration::from_secs(8));
    stop.store(true, Ordering::Relaxed);
    talk.join().unwrap().hang_up();
    server.wait_idle();
    browser.until("lossy");
    browser.answer(&lossy);

    browser.until("silent");
    stop.store(false, Ordering::Relaxed);
    let mut phone = Phone::call(&server, "+2555");
    let mut agent = agents.accept();
    phone.wait_answer();
    let talk = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || speaks(phone, 0, &stop)
    });
    // It listens, and says nothing.
    let listen = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            while !stop.load(Ordering::Relaxed) {
                agent.look();
            }
            agent
        }
    });
    browser.answer(&living(&server));
    browser.until("hang up");
    stop.store(true, Ordering::Relaxed);
    // The caller hangs up, not its agent, which would be dialled again.
    let listened = listen.join().unwrap();
    talk.join().unwrap().hang_up();
    server.wait_idle();
    drop(listened);
    browser.answer("");

    browser.until("cut");
    let cut = cut_off(&server, &agents);
    browser.answer(&cut);
    browser.succeed();
    server.stop();
}

/// A call whose agent is cut off in the middle of what it says; its id.
fn cut_off(server: &Server, agents: &Agents) -> String {
    let mut phone = Phone::call(server, "+3555");
    let mut agent = agents.accept();
    phone.wait_answer();
    let id = living(server);
    agent.say(&json!({"event": "utterance", "id": "story"}));
    talk::say(&mut agent, 30);
    phone.speak(&SPEECH[..8_000]);
    agent.order("clear");
    agent.event("cleared");
    phone.hang_up();
    server.wait_idle();
    id
}

/// A message comes to the page of messages by itself, is heard once it was played to its end, is
/// listed as new again, and deleted.
#[test]
fn messages_of_callers() {
    let server = Server::start(&format!(
        "{HTTP}[[agents]]\nname = \"box\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\n\
         silence_s = 60\n"
    ));
    let Some(mut browser) = Browser::start(&server, "voicemail", json!({})) else { return };
    browser.until("empty");
    let mut phone = Phone::up(&server, "+1555");
    phone.wait_audio("the end of the beep", |audio| (audio.len() > 8_000).then_some(()));
    phone.speak(&SPEECH[..16_000]);
    phone.hang_up();
    browser.answer("");
    browser.succeed();
    server.stop();
}

/// A thousand calls on the live page are drawn within the time of a frame; the first page can be
/// used within 200 ms, and what a browser has it does not ask for again; all pages together weigh
/// less than 150 kB as they are sent.
#[test]
fn a_thousand_calls() {
    let server = Server::start(HTTP);
    let Some(browser) = Browser::start(&server, "many", json!({})) else { return };
    println!("{}", browser.succeed());
    server.stop();
}
