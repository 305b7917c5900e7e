//! Brings agents to calls: those of this process, those that are dialled, those that attach.

use adapters::agent::{DialectSpec, Framing, StreamInfo};
use media::codec::Codec;

use super::Control;
use super::quotas::way;
use crate::agent::dial::{DialError, DialTarget};
use crate::agent::session::feature;
use crate::agent::socket::AgentSocket;
use crate::agent::wire;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::digits::DigitsBy;
use crate::calls::live::{DEFAULT_FORMAT, LiveCall, Sound, Sounding};
use crate::calls::ports;
use crate::calls::request::Request;
use crate::calls::sounds::Wanted;
use crate::calls::web_phone;
use crate::config::{self, AgentKind, RtpAgent, WebSocketAgent};
use crate::directory::Agent;
use crate::outward::{Outward, OutwardError};
use crate::telemetry::DialOutcome;
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{AgentLine, AgentLink, CallKey, Command, RtpLink, SocketLink};

/// The dialect that an agent speaks.
pub(super) fn dialect(agent: &WebSocketAgent) -> Option<&'static DialectSpec> {
    if agent.dialect == wire::SPEC.name {
        return Some(if agent.mux { &wire::mux::SPEC } else { &wire::SPEC });
    }
    adapters::dialect::find(&agent.dialect)
}

impl Control {
    /// Connects the agent that is meant now.
    pub(super) fn connect(&mut self, key: CallKey, resumed: bool) {
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.attempt = attempt;
        call.resumed = resumed;
        call.awaits_sound = None;
        let agent = call.current_agent();
        if call.slot.as_ref().is_none_or(|(held, _)| *held != agent.id) {
            call.slot = None;
            let (way, span) = (way(call.direction), call.span.clone());
            match self.take_agent(&agent, way) {
                Ok(slot) => self.hold_slot(key, agent.id, slot),
                Err(refusal) => {
                    tracing::warn!(parent: &span, agent = %agent.name, %refusal, "the agent is full");
                    return self.tell_later(key, Input::AgentFull);
                }
            }
        }
        match &agent.kind {
            AgentKind::Builtin(builtin) => self.connect_builtin(key, builtin, false),
            AgentKind::Rtp(rtp) => self.connect_rtp(key, rtp, &self.outward_of_agent(&agent)),
            AgentKind::Sip(sip) => self.connect_sip(key, sip),
            AgentKind::WebSocket(socket) => self.dial(key, attempt, &agent, socket),
        }
    }

    /// Codes what the caller hears of ours anew if it was coded for another codec: a built-in
    /// agent's sound, the message, the noise.
    pub(super) fn recode(&mut self, key: CallKey) {
        self.ambient(key);
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { return };
        let Some(Sounding { what, format }) = call.sounding else { return };
        if format == call.sounds_in() {
            return;
        }
        match (what, &call.current_agent().kind) {
            (Sound::Agent, AgentKind::Builtin(builtin)) => self.connect_builtin(key, builtin, true),
            (Sound::Agent, _) => {}
            (Sound::Noise, _) => self.comfort(key),
            (Sound::Message, _) => self.play_message(key, true),
        }
    }

    pub(super) fn connect_builtin(
        &mut self,
        key: CallKey,
        builtin: &config::Builtin,
        goes_on: bool,
    ) {
        if let config::Builtin::Record { folder } = builtin {
            self.record_peer(key, folder.clone());
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let format = call.sounds_in();
        let follows = match builtin {
            config::Builtin::Tone { .. }
            | config::Builtin::Play { .. }
            | config::Builtin::Wait { .. }
            | config::Builtin::Voicemail(_) => true,
            // The tape of a recording is in no peer's codec.
            config::Builtin::Echo | config::Builtin::Silence | config::Builtin::Record { .. } => {
                false
            }
        };
        call.sounding = follows.then_some(Sounding { what: Sound::Agent, format });
        let built = match builtin {
            config::Builtin::Echo => Builtin::echo(),
            config::Builtin::Silence | config::Builtin::Record { .. } => {
                Builtin::speaker(Source::Silence, false)
            }
            config::Builtin::Tone { frequency_hz } => {
                Builtin::speaker(Source::Loop(self.sounds.tone(*frequency_hz, format)), false)
            }
            config::Builtin::Play { file, repeat } => {
                let wanted = Wanted::file(file, format);
                let found = self.sound_for(key, (Sound::Agent, goes_on), wanted);
                let Some(sound) = found else { return };
                let source = if *repeat { Source::Loop(sound) } else { Source::Once(sound) };
                Builtin::speaker(source, !repeat)
            }
            config::Builtin::Wait { queue } => {
                let queue = queue.as_ref().filter(|_| !goes_on);
                if queue.is_some_and(|queue| !self.comes_to_queue(key, queue)) {
                    return self.tell_later(key, Input::AgentRefused(Cause::Busy));
                }
                Builtin::speaker(Source::Loop(self.waiting_sound(key, format)), false)
            }
            config::Builtin::Voicemail(wanted) => {
                let Some(built) = self.take_message(key, wanted, goes_on) else { return };
                built
            }
        };
        let built = if goes_on { built.going_on() } else { built };
        self.attach(key, AgentLink::Builtin(built));
        self.joins_queue(key);
    }

    pub(super) fn connect_rtp(&mut self, key: CallKey, agent: &RtpAgent, outward: &Outward) {
        let Some(call) = self.calls.get(&key) else { return };
        if !outward.admits("", agent.address.ip()) {
            tracing::warn!(parent: &call.span, error = %OutwardError::Private, "agent not reached");
            return self.tell_later(key, Input::AgentFailed);
        }
        let peer = call.format.unwrap_or(DEFAULT_FORMAT);
        let wished = agent.format.unwrap_or(peer);
        let pt = match wished.audio.codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
            Codec::L16Le | Codec::L16Be | Codec::Opus => agent.payload_type,
        };
        let local = std::net::SocketAddr::new(self.config.rtp.address_for(agent.address.ip()), 0);
        match ports::bind(local) {
            Ok(socket) => {
                let link = RtpLink {
                    socket,
                    remote: agent.address,
                    audio: wished.audio,
                    pt,
                    ptime_ms: peer.ptime_ms,
                };
                self.attach(key, AgentLink::Rtp(link));
            }
            Err(error) => {
                tracing::error!(parent: &call.span, %error, "no port for the agent");
                self.tell_later(key, Input::AgentFailed);
            }
        }
    }

    /// Dials an agent elsewhere; the result comes back as a request. An agent without a URL is
    /// waited for: it attaches.
    fn dial(&mut self, key: CallKey, attempt: u64, who: &Agent, agent: &WebSocketAgent) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(spec) = dialect(agent) else {
            tracing::error!(parent: &call.span, dialect = agent.dialect, "no such dialect");
            return self.tell_later(key, Input::AgentFailed);
        };
        call.awaits = Some(spec);
        let id = call.id;
        if !self.dial_socket(key, attempt, id, spec, (who, agent)) {
            self.tell_later(key, Input::AgentFailed);
        }
    }

    /// Dials an agent's socket, unless it has no URL; false if that is of no use.
    pub(super) fn dial_socket(
        &mut self,
        key: CallKey,
        attempt: u64,
        id: uuid::Uuid,
        spec: &'static DialectSpec,
        (who, agent): (&Agent, &WebSocketAgent),
    ) -> bool {
        if agent.mux {
            return self.reach_link((key, attempt), spec, (who, agent));
        }
        let Some(url) = &agent.url else { return true };
        let Ok(url) = url.expose().parse() else { return false };
        let target = DialTarget {
            url,
            subprotocol: spec.subprotocol,
            agent: who.name.clone(),
            call_id: id.to_string(),
            secret: agent.secret.as_ref().map(|secret| secret.expose().as_bytes().into()),
            outward: self.outward_of_agent(who),
        };
        let (dialler, handle, timeout) =
            (self.dialler.clone(), self.handle.clone(), agent.connect_timeout);
        let metrics = std::sync::Arc::clone(&self.metrics);
        self.io.spawn(async move {
            let began = std::time::Instant::now();
            let result = match tokio::time::timeout(timeout, dialler.dial(&target)).await {
                Ok(result) => result,
                Err(_) => Err(DialError::Timeout),
            };
            metrics.agents.connect.record(began.elapsed());
            handle.send(Request::Dialled { call: key, attempt, result }).await;
        });
        true
    }

    /// An agent was dialled that has a socket for each call.
    pub(super) fn own_dialled(
        &mut self,
        key: CallKey,
        attempt: u64,
        result: Result<AgentSocket, DialError>,
    ) {
        self.dialled(key, attempt, result.map(AgentLine::Own));
    }

    /// An agent was dialled.
    pub(super) fn dialled(
        &mut self,
        key: CallKey,
        attempt: u64,
        result: Result<AgentLine, DialError>,
    ) {
        let Some(result) = self.next_dialled(key, Some(attempt), result) else { return };
        let Some(call) = self.calls.get(&key).filter(|call| call.attempt == attempt) else {
            return;
        };
        match result {
            Ok(line) => {
                let again = call.resumed;
                self.metrics.agents.dialled(if again {
                    DialOutcome::Resumed
                } else {
                    DialOutcome::Connected
                });
                self.attach_line(key, line);
            }
            Err(error) => {
                tracing::warn!(parent: &call.span, %error, "agent not reached");
                self.metrics.agents.dialled(error.outcome());
                self.tell(key, Input::AgentFailed);
            }
        }
    }

    /// Gives a call what its agent speaks on.
    pub(super) fn attach_line(&mut self, key: CallKey, line: AgentLine) {
        let max_queue_ms = self.config.media.max_queue_ms;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(spec) = call.awaits.take() else { return };
        let mut info = stream_info(call, spec);
        if let AgentLine::Shared(link) = &line {
            info.stream = self.links.number(*link, key, info.stream);
        }
        let dtmf_inband = call.trunk.as_ref().and_then(|trunk| trunk.dtmf_inband);
        let link = SocketLink { line, dialect: spec, info, max_queue_ms, dtmf_inband };
        self.attach(key, AgentLink::Socket(Box::new(link)));
    }

    fn attach(&mut self, key: CallKey, link: AgentLink) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.attempt = 0;
        if !matches!(link, AgentLink::Builtin(_)) {
            call.sounding = None;
        }
        let worker = call.worker;
        self.log_agent(key);
        self.command(worker, Command::Attach { call: key, link });
        self.ambient(key);
        self.tell_later(key, Input::AgentReady);
    }
}

/// What stands for SIP where carriers are named.
pub(super) const SIP: &str = "sip_trunk";

/// What the peer's audio comes by, as agents are told.
fn provider(call: &LiveCall) -> &'static str {
    match (&call.web, &call.pbx, &call.carrier) {
        (Some(_), ..) => web_phone::NAME,
        (None, Some(line), _) => line.door.name(),
        (None, None, Some(leg)) => leg.account.spec.name,
        (None, None, None) => SIP,
    }
}

/// All that an agent is told of its call.
fn stream_info(call: &LiveCall, spec: &'static DialectSpec) -> StreamInfo {
    let peer = call.format.unwrap_or(DEFAULT_FORMAT);
    let agent = call.current_agent();
    let wished = match &agent.kind {
        AgentKind::WebSocket(agent) => agent.format,
        AgentKind::Builtin(_) | AgentKind::Rtp(_) | AgentKind::Sip(_) => None,
    };
    let mut features = vec![
        feature::MUTE,
        feature::TRANSFER,
        feature::HOLD,
        feature::QUALITY,
        feature::SPEECH,
        feature::UNDERRUN,
        feature::SILENCE,
        feature::RECORD,
    ];
    if call.digits != Some(DigitsBy::Nothing) {
        features.push(feature::DTMF);
    }
    if call.agent_answers {
        features.push(feature::ANSWER);
    }
    if call.external.is_some() {
        features.push(feature::UPDATE);
    }
    let mut info = StreamInfo {
        call_id: call.id.to_string(),
        stream: (call.id.as_u128() as u32) | 1,
        direction: call.direction,
        from: call.from.clone(),
        to: call.to.clone(),
        provider: provider(call).to_owned(),
        trunk: call.line_name(),
        state: call.call.state(),
        to_agent: peer,
        from_agent: peer,
        framing: Framing::Rtp,
        variables: call.variables.clone(),
        headers: call.headers.clone(),
        resumed: call.resumed,
        features,
    };
    let (to_agent, from_agent) = (spec.open)(&info).formats(wished, peer);
    (info.to_agent, info.from_agent) = (to_agent, from_agent);
    info
}
