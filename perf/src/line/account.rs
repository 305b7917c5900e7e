//! An account of a carrier, as the server is told of it over its API: a configuration with one
//! number, whose calls an agent takes.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{self, Answer};
use super::key::Key;
use crate::error::{PerfError, Result};

const CONFIGURATIONS: &str = "/api/v1/organizations/telephony-configs";

/// One of the living calls, if there is any.
const LIVING: &str = "/api/v1/calls?living=true&limit=1";

/// Agents on a page of the list.
const AGENTS_MAX: u32 = 200;

/// Times that a configuration is tried to be removed, and how long after another.
const REMOVALS: u32 = 20;
const REMOVAL_GAP: Duration = Duration::from_millis(250);

/// The configuration at the server; removed when this is dropped.
pub(crate) struct Account {
    server: SocketAddrV4,
    key: Key,
    id: String,
    number: String,
}

impl Account {
    /// Makes a configuration of these fields with this number, for the agent of that name.
    pub(crate) fn make(
        server: SocketAddrV4,
        key: &Key,
        fields: &Value,
        (number, agent): (&str, &str),
    ) -> Result<Self> {
        let mut account =
            Self { server, key: key.clone(), id: String::new(), number: String::new() };
        let agents = account.done("GET", &format!("/api/v1/agents?limit={AGENTS_MAX}"), None)?;
        let mut all = agents["items"].as_array().into_iter().flatten();
        let found = all.find(|one| one["name"] == agent).map(|one| one["id"].clone());
        let agent =
            found.ok_or_else(|| PerfError::Usage(format!("the server has no agent {agent}")))?;
        let name = format!("bench {}", std::process::id());
        let wanted = json!({"name": name, "config": fields});
        let made = account.done("POST", CONFIGURATIONS, Some(&wanted))?;
        made["id"].as_str().unwrap_or_default().clone_into(&mut account.id);
        let path = format!("{CONFIGURATIONS}/{}/phone-numbers", account.id);
        let wanted = json!({"address": number, "inbound_agent_id": agent});
        let made = account.done("POST", &path, Some(&wanted))?;
        made["id"].as_str().unwrap_or_default().clone_into(&mut account.number);
        Ok(account)
    }

    /// Lets the server set the account up at the carrier, and point its number at itself.
    pub(crate) fn bind(&self) -> Result<()> {
        let number = format!("phone-numbers/{}/bind", self.number);
        for what in ["provision", number.as_str()] {
            let path = format!("{CONFIGURATIONS}/{}/{what}", self.id);
            let answer = self.ask("POST", &path, None)?;
            // Some carriers have nothing to set up, or let people alone point numbers anywhere.
            if !matches!(answer.status, 200..=299 | 501) {
                return Err(refused("POST", &path, &answer));
            }
        }
        Ok(())
    }

    /// Where the server takes the carrier's calls, for an account that people tell that.
    pub(crate) fn inbound_url(&self) -> Result<Option<String>> {
        let whole = self.done("GET", &format!("{CONFIGURATIONS}/{}", self.id), None)?;
        Ok(whole["inbound_url"].as_str().map(str::to_owned))
    }

    /// True if the server has no call any more.
    pub(crate) fn is_idle(&self) -> Result<bool> {
        let living = self.done("GET", LIVING, None)?;
        Ok(living["items"].as_array().is_none_or(Vec::is_empty))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let key = self.key.expose();
        let headers = format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n");
        let body = body.map(ToString::to_string).unwrap_or_default();
        http::request(self.server, method, path, &headers, &body)
    }

    fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        if !(200..300).contains(&answer.status) {
            return Err(refused(method, path, &answer));
        }
        Ok(serde_json::from_str(&answer.body).unwrap_or_default())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let path = format!("{CONFIGURATIONS}/{}", self.id);
        let mut left = REMOVALS;
        loop {
            left -= 1;
            match self.ask("DELETE", &path, None) {
                Ok(Answer { status: 200..=299 | 404, .. }) => return,
                // Its calls are still ending.
                Ok(_) if left > 0 => std::thread::sleep(REMOVAL_GAP),
                Ok(answer) => return eprintln!("{}", refused("DELETE", &path, &answer)),
                Err(error) => return eprintln!("{error}"),
            }
        }
    }
}

/// What the server did not do.
fn refused(method: &str, path: &str, answer: &Answer) -> PerfError {
    let said: String = answer.body.chars().take(300).collect();
    PerfError::Peer(format!("{method} {path} was answered {}: {said}", answer.status))
}
