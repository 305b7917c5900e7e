//! What SIP tells, and what is sent by it.

use media::leg::LegConfig;

use super::Control;
use super::begin::flows_of;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::digits::DigitsBy;
use crate::calls::reason::PeerReason;
use crate::calls::transfer;
use crate::outward::Outward;
use crate::sip::core::endpoint::{DialogId, End, Event, Flow, Transmit};
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer::{self, Negotiated};
use crate::sip::core::sdp::Sdp;
use crate::sip::endpoint::streams::StreamEvent;
use crate::workers::command::{CallKey, Command, LegFormat};
use crate::workers::poller::now;

/// Length of a digit of which a SIP INFO says no length, in milliseconds.
const INFO_DIGIT_MS: u32 = 160;

impl Control {
    /// Sends what the SIP core has written.
    pub(super) fn transmit(&mut self, transmit: Transmit) {
        super::counting::leaves(&self.metrics.sip, &transmit.bytes);
        self.capture_message(false, &transmit.flow, &transmit.bytes);
        match self.sockets.send(transmit) {
            Ok(()) => {}
            Err(flow) if flow.connection == 0 => self.endpoint.handle_unreachable(now(), flow),
            Err(flow) => self.connection_lost(flow.connection, Some(flow)),
        }
    }

    /// Something happened on a connection.
    pub(super) fn stream_event(&mut self, event: StreamEvent) {
        let streams = self.sockets.streams();
        match event {
            StreamEvent::Accepted(accepted) => {
                streams.accepted(accepted);
                self.count_connections();
            }
            StreamEvent::Message { connection, message } => {
                let Some(flow) = streams.flow(connection) else { return };
                super::counting::came(&self.metrics.sip, message.bytes());
                self.capture_message(true, &flow, message.bytes());
                self.endpoint.handle_connected(connection);
                self.endpoint.handle_message(now(), flow, message);
            }
            StreamEvent::Closed { connection } => {
                let flow = streams.closed(connection);
                self.connection_lost(connection, flow);
            }
        }
    }

    /// A connection is gone; `flow` is the path that it was, unless that has been told.
    fn connection_lost(&mut self, connection: u64, flow: Option<Flow>) {
        let at = now();
        self.endpoint.handle_closed(at, connection);
        self.registrar.handle_closed(connection);
        self.count_bindings();
        if let Some(flow) = flow {
            self.registrar_lost(at, flow.peer);
            self.endpoint.handle_unreachable(at, Flow { connection: 0, ..flow });
        }
        self.count_connections();
    }

    fn count_connections(&mut self) {
        let open = i64::try_from(self.sockets.streams().count()).unwrap_or(i64::MAX);
        self.metrics.sip.connections.set(open);
    }

    /// Something happened to a call.
    pub(super) fn sip_event(&mut self, event: Event) {
        let Some(event) = self.takeover_event(event) else { return };
        let Some(event) = self.far_event(event) else { return };
        match event {
            Event::Incoming { dialog, request, flow, user, offer } => {
                let (user, offer) = (user.as_deref(), offer.as_ref());
                match self.endpoint.replaces(dialog) {
                    Some(old) => self.replacing(dialog, old, &request, flow, user, offer),
                    None if self.picks_up(dialog, &request, flow, user, offer) => {}
                    None => self.incoming(dialog, &request, flow, user, offer),
                }
            }
            Event::Responded { request, response, cseq, auth } => {
                self.responded(request, response.as_ref(), cseq, auth);
            }
            Event::Registering { asked, user, request, flow } => {
                self.registering(asked, &user, flow, &request);
            }
            Event::Cancelled { dialog, reason } => {
                self.note_reason(dialog, reason.as_deref().map(PeerReason::parse));
                self.peer_ended(dialog, Cause::Cancelled);
            }
            Event::Acked { dialog, answer } => self.acked(dialog, answer.as_ref()),
            Event::Reinvite { dialog, offer } => self.reinvited(dialog, offer.as_ref()),
            Event::Ringing { dialog, status, sdp, .. } => {
                self.provisional(dialog, status);
                self.ringing(dialog, sdp.as_ref());
            }
            Event::ReinviteAnswered { dialog, sdp } => {
                if !self.hold_answered(dialog, sdp.as_ref()) {
                    self.change_answered(dialog, sdp.as_ref());
                }
            }
            Event::Answered { dialog, sdp, .. } => self.answered(dialog, sdp.as_ref()),
            Event::Failed { dialog, status, response, .. } => {
                self.branch_failed(dialog, status, response.as_ref());
            }
            Event::Probed { probe, status } => self.probed(probe, status),
            Event::Info { dialog, request } => self.info(dialog, &request),
            Event::InfoAnswered { dialog, status } => self.info_answered(dialog, status),
            Event::Ended { dialog, cause } => {
                if let End::Bye { reason: Some(reason) } = &cause {
                    self.note_reason(dialog, Some(PeerReason::parse(reason)));
                }
                let cause = match cause {
                    End::Bye { .. } | End::Local => Cause::Normal,
                    End::SessionExpired => Cause::SessionExpired,
                    End::AckTimeout
                    | End::PrackTimeout
                    | End::TransactionTimeout
                    | End::Transport => Cause::NetworkFailure,
                };
                self.peer_ended(dialog, cause);
            }
            Event::ReferAnswered { dialog, status, subscribed } => {
                self.transfer_news(dialog, transfer::Input::Taken { status, subscribed });
            }
            Event::ReferProgress { dialog, status, last } => {
                self.transfer_news(dialog, transfer::Input::Progress { status, last });
            }
            Event::Refer { dialog, request } => self.referred(dialog, &request),
            Event::ReinviteFailed { dialog, status, .. } => self.change_refused(dialog, status),
            Event::ByDatagram { dialog } => self.by_datagram(dialog),
            Event::Pracked { .. } | Event::ReinviteCancelled { .. } => {}
        }
    }

    /// Keeps what the peer says about the end.
    pub(super) fn note_reason(&mut self, dialog: DialogId, reason: Option<PeerReason>) {
        let call = self.by_dialog.get(&dialog).and_then(|key| self.calls.get_mut(key));
        if let (Some(call), Some(reason)) = (call, reason) {
            call.peer_reason = reason;
        }
    }

    pub(super) fn peer_ended(&mut self, dialog: DialogId, cause: Cause) {
        let Some(key) = self.by_dialog.remove(&dialog) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dialog = None;
        let transferred = call.transfer.as_ref().is_some_and(|it| it.transfer.explains_bye());
        let cause = match cause {
            Cause::Normal if transferred => Cause::Transferred,
            cause => cause,
        };
        if !self.survives_peer(key) {
            self.tell(key, Input::PeerEnded(cause));
        }
    }

    fn acked(&mut self, dialog: DialogId, answer: Option<&Sdp>) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let delayed = self.calls.get(&key).is_some_and(|call| call.delayed_offer);
        if delayed && !self.accept(key, answer) {
            return;
        }
        self.tell(key, Input::PeerConfirmed);
    }

    fn answered(&mut self, dialog: DialogId, answer: Option<&Sdp>) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else {
            // Given up while the answer was on its way here: nobody would ever hang up.
            return log_refused(self.endpoint.bye(now(), dialog, &[]).err());
        };
        self.placed(key, dialog);
        // Early media may have settled all.
        let settled = answer.is_none() && self.calls.get(&key).is_some_and(|c| c.format.is_some());
        if settled || self.accept(key, answer) {
            self.tell(key, Input::PeerAnswered);
        }
    }

    /// Takes the peer's answer to our offer; a call whose answer cannot be used ends.
    fn accept(&mut self, key: CallKey, answer: Option<&Sdp>) -> bool {
        use adapters::agent::EndedBy;
        let Some(call) = self.calls.get(&key) else { return false };
        let accepted = answer.map(|answer| offer_answer::accept_answer(&call.media, answer));
        match accepted {
            Some(Ok(negotiated)) => {
                self.settle(key, &negotiated);
                true
            }
            _ => {
                self.tell(key, Input::End(Cause::NetworkFailure, EndedBy::Server));
                false
            }
        }
    }

    /// Lets media follow what was negotiated.
    pub(super) fn settle(&mut self, key: CallKey, negotiated: &Negotiated) {
        let Some(call) = self.calls.get(&key) else { return };
        let mut format = leg_format(negotiated, call.signalling, &self.outward_of_peer(call));
        let events = format.media.dtmf_pt.is_some();
        let (trunk, dialog) = call.digits_way();
        format.digits = self.digits_by(trunk, dialog, events);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.format = Some(adapters::agent::StreamFormat {
            audio: format.media.audio,
            ptime_ms: format.media.ptime_ms,
        });
        call.digits = Some(format.digits);
        call.flows = flows_of(&format);
        call.srtp.clone_from(&format.srtp);
        // What is encrypted stays so when we offer next.
        call.media.srtp.offers = format.srtp.is_some();
        let (worker, on_hold) = (call.worker, call.hold.is_on());
        self.command(worker, Command::Format { call: key, format });
        if on_hold {
            self.hold_sound(key);
        }
        self.recode(key);
        self.mirror_hold(key);
    }

    /// A digit by SIP INFO.
    fn info(&mut self, dialog: DialogId, request: &Message) {
        let call = self.by_dialog.get(&dialog).and_then(|key| self.calls.get(key));
        if let (Some(call), Some((digit, duration_ms))) = (call, info_digit(request)) {
            self.command(call.worker, Command::Digit { call: call.key, digit, duration_ms });
        }
    }

    /// Sends a worker a command.
    pub(super) fn command(&self, worker: usize, command: Command) {
        if let Some(worker) = self.workers.get(worker) {
            worker.send(command);
        }
    }
}

/// The digit of a SIP INFO, as `application/dtmf-relay` or `application/dtmf`, and its length in
/// milliseconds.
pub(super) fn info_digit(request: &Message) -> Option<(char, u32)> {
    let body = std::str::from_utf8(request.body()).ok()?;
    let field = |name: &str| {
        body.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let signal = field("Signal").unwrap_or(body.trim());
    let mut characters = signal.chars();
    let (Some(digit), None) = (characters.next(), characters.next()) else { return None };
    let duration = field("Duration").and_then(|text| text.parse().ok());
    let digit = Some(digit).filter(|digit| matches!(digit, '0'..='9' | 'A'..='D' | '*' | '#'))?;
    Some((digit, duration.unwrap_or(INFO_DIGIT_MS)))
}

/// What was negotiated, as media take it.
pub(crate) fn leg_format(
    negotiated: &Negotiated,
    signalling: std::net::IpAddr,
    outward: &Outward,
) -> LegFormat {
    LegFormat {
        remote: outward.media(negotiated.remote, signalling),
        remote_rtcp: outward.media(negotiated.remote_rtcp, signalling),
        signalling,
        media: LegConfig {
            audio: negotiated.codec,
            pt: negotiated.pt,
            receive_pt: negotiated.receive_pt,
            dtmf_pt: negotiated.dtmf_pt,
            receive_dtmf_pt: negotiated.receive_dtmf_pt,
            cn_pt: negotiated.cn_pt,
            ptime_ms: negotiated.ptime_ms,
            opus: negotiated.opus,
        },
        rtcp_mux: negotiated.rtcp_mux,
        xr: negotiated.xr,
        srtp: negotiated.srtp.clone(),
        digits: DigitsBy::media(negotiated.dtmf_pt.is_some()),
        send: negotiated.direction.sends(),
        receive: negotiated.direction.receives(),
    }
}

/// A command that the SIP core refused: the call has just ended, or there is a defect.
pub(super) fn log_refused(error: Option<crate::sip::core::endpoint::CommandError>) {
    if let Some(error) = error {
        tracing::debug!(%error, "SIP command refused");
    }
}
