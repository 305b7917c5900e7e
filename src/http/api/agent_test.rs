//! Trying an agent: it is connected as for a call, and let go.

use std::time::{Duration, Instant};

use adapters::dialect::{DIALECTS, find};
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::RETRY_AFTER_S;
use crate::agent::dial::{DialError, DialTarget, Dialler};
use crate::agent::wire;
use crate::config::{AgentKind, WebSocketAgent, agent_from_json};
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::outward::Outward;
use crate::store::AgentId;
use crate::store::agents::Agent;
use crate::store::object::Origin;

/// How long a test takes at most: whoever asks waits for the answer.
const TEST_TIMEOUT: Duration = Duration::from_secs(8);

pub(super) fn resource() -> Resource {
    let text = || json!({"type": "string"});
    let step = schema::object(
        &[
            ("name", text()),
            ("ok", schema::flag()),
            ("detail", text()),
            ("took_ms", schema::nullable(schema::count())),
        ],
        &[],
    );
    let outcome = schema::object(
        &[
            ("ok", schema::flag()),
            ("message", text()),
            ("steps", schema::described(schema::list(step), "as far as it came")),
        ],
        &[],
    );
    Resource {
        tag: "testing agents",
        about: "Whether an agent is reached.",
        endpoints: vec![
            post("/api/v1/agents/{id}/test", "test_agent", test)
                .summary("Connects to an agent as for a call, and lets it go: nothing is said.")
                .answers_json(200, "how far that came", outcome)
                .refuses(&[Kind::Conflict, Kind::Internal, Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

/// How far a test came.
#[derive(Debug, Serialize)]
struct Outcome {
    ok: bool,
    message: String,
    steps: Vec<Step>,
}

/// A step of a test.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    ok: bool,
    detail: String,
    took_ms: Option<u64>,
}

impl Outcome {
    /// Of an agent that is not dialled.
    fn told(message: &str) -> Self {
        Self { ok: true, message: message.to_owned(), steps: Vec::new() }
    }

    fn step(&mut self, name: &'static str, detail: impl Into<String>) {
        self.steps.push(Step { name, ok: true, detail: detail.into(), took_ms: None });
    }
}

/// `POST /api/v1/agents/{id}/test`
async fn test(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<AgentId>,
) -> Result<axum::Json<Outcome>, Problem> {
    let agent = state.store.agent(caller.organisation, id).await?;
    // What the operator has written leads wherever the server does.
    let outward = match agent.stamp.origin {
        Origin::File => Outward::Anywhere,
        Origin::Api => state.outward.of(caller.organisation.0),
    };
    let name = agent.fields.name.clone();
    let full = || Problem::unavailable("as many agents are tested as may at once", RETRY_AFTER_S);
    let _room = state.agent_tests.take(caller.organisation).ok_or_else(full)?;
    Ok(axum::Json(match kind_of(&agent)? {
        AgentKind::Builtin(_) => Outcome::told("It is part of this server, and always there."),
        AgentKind::Rtp(agent) => Outcome::told(&format!(
            "RTP knows no handshake: what is sent to {} is heard, or not. A test call tells.",
            agent.address
        )),
        AgentKind::Sip(_) => {
            Outcome::told("It is called when a call comes: a test call lets it ring.")
        }
        AgentKind::WebSocket(agent) => dial(&name, &agent, outward).await,
    }))
}

/// What is stored of an agent, as calls use it.
fn kind_of(agent: &Agent) -> Result<AgentKind, Problem> {
    let fields = &agent.fields;
    let mut whole = fields.settings.as_object().cloned().unwrap_or_default();
    whole.insert("name".to_owned(), json!(fields.name));
    whole.insert("kind".to_owned(), json!(fields.kind));
    if let Some(secret) = &fields.secret {
        whole.insert("secret".to_owned(), Value::from(secret.expose()));
    }
    let dialects: Vec<&str> = DIALECTS.iter().map(|spec| spec.name).collect();
    let read = agent_from_json(&whole, &dialects);
    let read = read.map_err(|_| Problem::conflict("it names files of the server: call it"));
    Ok(read?.kind)
}

/// Dials an agent, and lets it go.
async fn dial(name: &str, agent: &WebSocketAgent, outward: Outward) -> Outcome {
    let Some(url) = &agent.url else {
        return Outcome::told("It attaches by itself: there is nothing to dial.");
    };
    let mut outcome = Outcome { ok: false, message: String::new(), steps: Vec::new() };
    outcome.step("Address", format!("{}:{}", url.host, url.port));
    let native = if agent.mux { &wire::mux::SPEC } else { &wire::SPEC };
    let spec = if agent.dialect == native.name { Some(native) } else { find(&agent.dialect) };
    let (Ok(address), Some(spec)) = (url.expose().parse(), spec) else {
        outcome.message = "Its address or dialect is not known to this version.".to_owned();
        return outcome;
    };
    let target = DialTarget {
        url: address,
        subprotocol: spec.subprotocol,
        agent: name.to_owned(),
        call_id: Uuid::now_v7().to_string(),
        secret: agent.secret.as_ref().map(|secret| secret.expose().as_bytes().into()),
        outward,
    };
    // Reading the certificates that the system trusts takes its time.
    let dialler = tokio::task::spawn_blocking(Dialler::new).await.unwrap_or_default();
    let limit = agent.connect_timeout.min(TEST_TIMEOUT);
    let began = Instant::now();
    let dialled = tokio::time::timeout(limit, dialler.dial(&target)).await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).ok();
    match dialled.unwrap_or(Err(DialError::Timeout)) {
        Ok(socket) => {
            outcome.step("Connection", if url.tls { "TCP and TLS" } else { "TCP" });
            let spoken = spec.subprotocol.map_or("no subprotocol is asked for", |name| name);
            outcome.step("WebSocket", format!("101 Switching Protocols, {spoken}"));
            let token = match agent.secret {
                Some(_) => "a token signed with the secret was shown",
                None => "no secret: the agent cannot know that it is this server",
            };
            outcome.step("Token", token);
            if let Some(last) = outcome.steps.get_mut(2) {
                last.took_ms = took_ms;
            }
            drop(socket);
            outcome.ok = true;
            let took = took_ms.unwrap_or(0);
            outcome.message = format!("It took the connection within {took} ms.");
        }
        Err(error) => {
            let (name, hint) = failed(&error);
            if matches!(error, DialError::Handshake(_) | DialError::Http(_)) {
                outcome.step("Connection", if url.tls { "TCP and TLS" } else { "TCP" });
            }
            let detail = error.to_string();
            outcome.steps.push(Step { name, ok: false, detail, took_ms });
            outcome.message = hint.to_owned();
        }
    }
    outcome
}

/// The step at which dialling failed, and what to do about it.
const fn failed(error: &DialError) -> (&'static str, &'static str) {
    match error {
        DialError::Url(_) | DialError::Request(_) => ("Address", "Correct its URL."),
        DialError::Outward(_) | DialError::Connect(_) | DialError::Lost => (
            "Connection",
            "Nobody answers there, or it must not be reached: see that the agent runs, that the \
             address is right, and that no firewall is in between.",
        ),
        DialError::Tls(_) | DialError::TlsSetup(_) => {
            ("TLS", "Its certificate is not trusted, or it speaks no TLS at this port.")
        }
        DialError::Http(_) | DialError::Handshake(_) => (
            "WebSocket",
            "Something answers, but not as a WebSocket of this dialect: see its path, its \
             subprotocol, and whether it accepts the token.",
        ),
        DialError::Token(_) => ("Token", "Its secret cannot sign a token."),
        DialError::Timeout => {
            ("Connection", "It took too long: see that it runs, and its time to connect.")
        }
    }
}
