//! A VICIdial in miniature, as far as its two APIs go: calls of remote agents, leads. Written from
//! what its documents say, not from the adapter.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The user that may use the APIs.
pub const USER: &str = "6666";
/// Its password.
pub const PASSWORD: &str = "open-sesame-6666";
/// A field that leads have besides the usual ones; it is looked for in the query alone.
pub const CUSTOM: &str = "favourite_colour";
/// How long a request that is not answered is kept.
const SILENCE: Duration = Duration::from_secs(30);

/// What becomes of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// They are carried out.
    #[default]
    Well,
    /// They are refused, and what they said is repeated.
    Refuses,
    /// They are carried out, and not answered.
    Silent,
    /// They are answered by nobody.
    Hangs,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its first line.
    pub line: String,
    /// What it says, in its order: of the query, then of the form.
    pub said: Vec<(String, String)>,
}

impl Asked {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.said.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What it is for.
    fn is_for(&self, what: &str) -> bool {
        self.get("stage") == Some(what) || self.get("function") == Some(what)
    }
}

/// Where the customer of a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customer {
    /// With the remote agent.
    Here,
    /// Hung up on, with this status.
    Gone(Option<String>),
    /// In an in-group, with this status.
    In(String, Option<String>),
}

#[derive(Default)]
struct State {
    mood: Mood,
    /// By user and code.
    calls: BTreeMap<(String, String), Customer>,
    leads: BTreeMap<String, BTreeMap<String, String>>,
    asked: Vec<Asked>,
}

/// The miniature.
#[derive(Clone)]
pub struct Vicidial {
    pub at: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Vicidial {
    /// One with a call of the agent `8001` called `V1129` about lead 4242.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialler = Self { at: listener.local_addr().unwrap(), state: Arc::default() };
        {
            let mut state = dialler.lock();
            state.calls.insert(("8001".into(), "V1129".into()), Customer::Here);
            state.leads.insert("4242".into(), BTreeMap::new());
        }
        let served = dialler.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let dialler = served.clone();
                std::thread::spawn(move || dialler.serve(stream));
            }
        });
        dialler
    }

    /// The headers of its call, as lines of SIP.
    pub fn headers() -> String {
        let said = [
            ("callerid", "V1129"),
            ("user", "8001"),
            ("lead_id", "4242"),
            ("campaign_id", "AICAMP"),
            ("ingroup_id", "AI_IN"),
            ("first_name", "Ada"),
        ];
        said.iter().map(|(name, value)| format!("X-VICIDIAL-{name}: {value}\r\n")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What becomes of requests from now on.
    pub fn feels(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// The requests for this: a stage, or a function.
    pub fn asked(&self, what: &str) -> Vec<Asked> {
        self.lock().asked.iter().filter(|asked| asked.is_for(what)).cloned().collect()
    }

    /// Where its customer is.
    pub fn customer(&self) -> Customer {
        self.lock().calls.values().next().unwrap().clone()
    }

    /// A field of its lead.
    pub fn lead(&self, field: &str) -> Option<String> {
        self.lock().leads["4242"].get(field).cloned()
    }

    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((line, query, body)) = read(&mut reader) {
            let mut said = pairs(&query);
            said.extend(pairs(&body));
            let asked = Asked { line: line.clone(), said };
            let mut state = self.lock();
            state.asked.push(asked.clone());
            let mood = state.mood;
            let text = match mood {
                Mood::Refuses => {
                    let all: Vec<_> = asked.said.iter().map(|(_, value)| value.clone()).collect();
                    format!("ERROR: it will not - {}\n", all.join("|"))
                }
                Mood::Hangs => String::new(),
                Mood::Well | Mood::Silent => state.answer(&asked, &query),
            };
            drop(state);
            if matches!(mood, Mood::Silent | Mood::Hangs) {
                std::thread::sleep(SILENCE);
                return;
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

impl State {
    fn answer(&mut self, asked: &Asked, query: &str) -> String {
        let get = |name| asked.get(name).unwrap_or_default();
        let (user, password) = (get("user"), get("pass"));
        if (user, password) != (USER, PASSWORD) {
            return format!("ERROR: Invalid Username/Password: |{user}|{password}|0|0|BAD|\n");
        }
        if get("source").len() < 2 {
            return format!("ERROR: Invalid Source - {}\n", get("source"));
        }
        let is_agent = asked.line.contains("/agc/api.php ") || asked.line.contains("/agc/api.php?");
        match (is_agent, get("function")) {
            (true, "ra_call_control") => self.control(asked),
            (false, "update_lead") => self.update(asked, query),
            (_, function) => format!("ERROR: NO FUNCTION SPECIFIED - {function}\n"),
        }
    }

    fn control(&mut self, asked: &Asked) -> String {
        let get = |name| asked.get(name).unwrap_or_default().to_owned();
        let (user, code, stage) = (get("agent_user"), get("value"), get("stage"));
        let told = format!("{user}|{code}|{stage}");
        let status = asked.get("status").map(str::to_owned);
        match self.calls.get_mut(&(user, code)) {
            Some(customer @ Customer::Here) => {
                *customer = match stage.as_str() {
                    "HANGUP" => Customer::Gone(status),
                    "INGROUPTRANSFER" => Customer::In(get("ingroup_choices"), status),
                    _ => return format!("ERROR: stage is not valid - {told}\n"),
                };
                format!("SUCCESS: ra_call_control done - {told}\n")
            }
            _ => format!("ERROR: no active call found - {told}\n"),
        }
    }

    fn update(&mut self, asked: &Asked, query: &str) -> String {
        let id = asked.get("lead_id").unwrap_or_default();
        let Some(lead) = self.leads.get_mut(id) else {
            return format!("ERROR: update_lead NO MATCHES FOUND IN THE SYSTEM - {id}\n");
        };
        for name in ["status", "comments", "first_name", "owner"] {
            if let Some(value) = asked.get(name) {
                lead.insert(name.to_owned(), value.to_owned());
            }
        }
        let mut text = format!("SUCCESS: update_lead LEAD HAS BEEN UPDATED - {USER}|{id}\n");
        if asked.get("custom_fields") == Some("Y") && query.contains(&format!("&{CUSTOM}=")) {
            let said = pairs(query).into_iter().find(|(name, _)| name == CUSTOM);
            lead.extend(said);
            text.push_str("NOTICE: update_lead CUSTOM FIELDS VALUES UPDATED - 1\n");
        }
        text
    }
}

/// The first line of a request, its query and its body.
fn read(reader: &mut impl BufRead) -> Option<(String, String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let target = line.split(' ').nth(1)?;
    let query = target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
    Some((line.trim_end().to_owned(), query, String::from_utf8(body).ok()?))
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (plain(name), plain(value))).collect()
}

fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next().unwrap_or(b'0')).to_digit(16).unwrap_or(0);
        match byte {
            b'%' => bytes.push((digit() << 4 | digit()) as u8),
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
