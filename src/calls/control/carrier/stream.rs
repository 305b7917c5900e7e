//! The carrier's media socket, as far as the control is concerned.

use std::time::Duration;

use adapters::agent::{EndedBy, StreamFormat};
use adapters::event::{CarrierCallId, HangupCause};
use adapters::flow::{FlowCommand, FlowInput};
use adapters::spec::WireFormat;
use adapters::stream::{StreamCommand, StreamStart};
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use crate::calls::call::Input;
use crate::calls::carrier::{CarrierLeg, cause_of};
use crate::calls::cause::Cause;
use crate::calls::digits::DigitsBy;
use crate::calls::line::Line;
use crate::calls::media_token::MediaToken;
use crate::carrier::Account;
use crate::workers::command::CallKey;
use crate::workers::line::{LineEvent, LineLoss, LinePlan};
use crate::workers::poller::now;

/// How long a carrier may take to open its socket again, in milliseconds.
const REOPEN_MS: u64 = 3_000;

/// How digits get to the far end of a call: as messages of the stream, by a request, or as tones.
fn digits_by(account: &Account) -> DigitsBy {
    let start = StreamStart { config: account.config.clone(), call: None };
    let stream = account.spec.stream.map(|open| open(&start));
    let says = |mut stream: Box<dyn adapters::stream::Stream>| {
        stream.command(StreamCommand::Dtmf('1'), &mut Vec::new())
    };
    match (stream.and_then(says), account.spec.calls.dtmf) {
        (Some(_), _) => DigitsBy::Events,
        (None, Some(_)) => DigitsBy::Info,
        (None, None) => DigitsBy::Tones,
    }
}

/// What is known of the lines of a configuration.
fn line_plan(account: &Account) -> Option<LinePlan> {
    let digits = digits_by(account);
    let Some(events) = account.spec.events else { return LinePlan::of(account.spec, digits) };
    let choice = (events.media)(&account.config);
    let WireFormat { audio, ptime_ms } = choice.format;
    let format = StreamFormat { audio, ptime_ms };
    Some(LinePlan { format, buffer_ms: choice.buffer_ms, digits, dtmf_inband: false })
}

impl Control {
    /// The line of a carrier's call, and what the worker is told of it; the leg learns where the
    /// carrier is told to open its socket, until when it may. `None` if it brings its audio by no
    /// socket.
    pub(super) fn line_of(
        &self,
        leg: &mut CarrierLeg,
        call: Uuid,
        within: Duration,
    ) -> Option<(Box<Line>, LinePlan)> {
        let spec = leg.account.spec;
        let plan = line_plan(&leg.account)?;
        let token = Self::media_token(spec.name, within)?;
        leg.stream_url = token.url(&self.public_url, call);
        let (config, carrier_call) = (leg.account.config.clone(), leg.id.clone());
        Some((Box::new(Line { spec, config, carrier_call, token }), plan))
    }

    /// Lets a socket in that comes `within` this time.
    pub(super) fn media_token(provider: &'static str, within: Duration) -> Option<MediaToken> {
        let grace = Duration::from_millis(REOPEN_MS);
        let token = MediaToken::new(now(), provider, within, grace);
        token.inspect_err(|error| tracing::error!(%error, "no media token")).ok()
    }

    /// Something happened on the line of a call.
    pub(in crate::calls::control) fn carrier_line(&mut self, key: CallKey, event: LineEvent) {
        match event {
            LineEvent::Started { call, .. } => self.line_started(key, call.map(CarrierCallId)),
            LineEvent::Stopped(cause) => self.line_stopped(key, cause),
            LineEvent::Lost(loss) => self.line_lost(key, loss),
        }
        self.reschedule(key);
    }

    fn line_started(&mut self, key: CallKey, id: Option<CarrierCallId>) {
        if let Some(id) = id {
            self.learn(key, &id);
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(leg) = call.carrier.as_mut() else { return };
        leg.is_streaming = true;
        (leg.lost, leg.expects_stop) = (false, false);
        (leg.socket_by, leg.ask_at) = (MonoTime::MAX, MonoTime::MAX);
        // Where events tell of the answer, audio may be there before.
        if call.call.answered_at().is_none() && leg.account.spec.events.is_none() {
            // No carrier opens it before there is somebody to talk with; its word may be late.
            self.tell(key, Input::PeerAnswered);
        }
    }

    fn line_stopped(&mut self, key: CallKey, cause: Option<HangupCause>) {
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut()) else {
            return;
        };
        leg.is_streaming = false;
        if self.is_stale_stop(key) {
            return;
        }
        if self.is_taken(key) {
            return self.caller_left(key);
        }
        if self.strays(key) {
            return;
        }
        // A stream may be over without its call.
        self.end_at_carrier(key);
        self.tell(key, Input::PeerEnded(cause.map_or(Cause::Normal, cause_of)));
    }

    fn line_lost(&mut self, key: CallKey, loss: LineLoss) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let span = &call.span;
        let Some(leg) = call.carrier.as_mut() else { return };
        let was_streaming = std::mem::take(&mut leg.is_streaming);
        tracing::info!(parent: span, why = loss.as_str(), "the carrier's socket is gone");
        if self.is_stale_stop(key) {
            return;
        }
        if self.is_taken(key) {
            return self.caller_left(key);
        }
        if self.strays(key) {
            return;
        }
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut()) else {
            return;
        };
        match loss {
            // It was closed in order: the carrier has nothing to say any more.
            LineLoss::Closed(1000 | 1001) if was_streaming => self.line_stopped(key, None),
            LineLoss::Malformed | LineLoss::TooBig => {
                self.tell(key, Input::End(Cause::NetworkFailure, EndedBy::Carrier));
            }
            // Nobody opens it again.
            _ if leg.account.offers_by_socket() => {
                self.tell(key, Input::PeerEnded(Cause::NetworkFailure));
            }
            _ => {
                let by = now() + Duration::from_millis(REOPEN_MS);
                leg.socket_by = leg.socket_by.min(by);
                leg.lost |= was_streaming;
                let url = leg.stream_url.clone();
                self.flow_input(key, FlowInput::Command(FlowCommand::Restream(url)));
            }
        }
    }
}
