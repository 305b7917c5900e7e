//! How the audio of a carrier's call comes: by a socket that it opens, or by RTP.

use std::net::SocketAddr;
use std::time::Duration;

use adapters::agent::{EndedBy, StreamFormat};
use adapters::exchange::HttpRequest;
use adapters::flow::MediaChoice;
use adapters::media_socket;
use adapters::spec::MediaTransport;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use media::codec::{AudioFormat, opus};
use media::leg::LegConfig;
use tokio::time::timeout;
use uuid::Uuid;

use super::Control;
use crate::agent::dial::{DialError, DialTarget};
use crate::calls::call::Input;
use crate::calls::carrier::CarrierLeg;
use crate::calls::cause::Cause;
use crate::calls::control::begin::CarrierMedia;
use crate::calls::digits::DigitsBy;
use crate::calls::media_token::TokenError;
use crate::calls::request::Request;
use crate::workers::command::{CallKey, Command, LegFormat};
use crate::workers::poller::now;

/// A payload type that digits would have: a carrier that tells them otherwise sends none, and they
/// are not to be sought in the audio.
const DIGITS_PT: u8 = 101;

/// How long it may take to open a media socket at a carrier.
const CONNECT: Duration = Duration::from_secs(5);

/// The payload type that a format always has (RFC 3551 6).
const fn static_pt(audio: AudioFormat) -> Option<u8> {
    match audio {
        AudioFormat::PCMU => Some(0),
        AudioFormat::PCMA => Some(8),
        AudioFormat::G722 => Some(9),
        _ => None,
    }
}

impl Control {
    /// How the audio of a call comes; the leg learns where the carrier is told to send it, and
    /// until when it may. `None` if it cannot.
    pub(super) fn media_of(
        &mut self,
        leg: &mut CarrierLeg,
        call: Uuid,
        within: Duration,
    ) -> Option<CarrierMedia> {
        let choice = leg.account.spec.events.map(|events| (events.media)(&leg.account.config));
        let format = match choice {
            Some(MediaChoice { transport: MediaTransport::Rtp, format, .. }) => format,
            choice => {
                let (line, plan) = self.line_of(leg, call, within)?;
                if choice.is_some_and(|choice| choice.transport == MediaTransport::Tcp) {
                    self.await_connection(leg, call)?;
                }
                return Some(CarrierMedia::Line(line, plan));
            }
        };
        static_pt(format.audio)?;
        let address = self.config.rtp.addresses.first().copied()?;
        let sockets = self.ports.bind(address);
        let sockets = sockets
            .inspect_err(|error| tracing::error!(%error, "no ports for a carrier's call"))
            .ok()?;
        let port = sockets.rtp.local_addr().ok()?.port();
        leg.stream_url = SocketAddr::new(self.config.rtp.advertised_for(address), port).to_string();
        let stream = StreamFormat { audio: format.audio, ptime_ms: format.ptime_ms };
        Some(CarrierMedia::Rtp(sockets, stream))
    }

    /// The audio of a call comes by a bare connection that says this id: it is all that lets it
    /// in. `None` if nothing listens for such.
    fn await_connection(&mut self, leg: &mut CarrierLeg, call: Uuid) -> Option<()> {
        let at = self.config.audiosocket.listen.first().copied().or_else(|| {
            tracing::error!("a carrier's audio is to come to [audiosocket], which does not listen");
            None
        })?;
        let address = self.config.rtp.address_for(at.ip());
        let named = if at.ip().is_unspecified() { address } else { at.ip() };
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        let host = SocketAddr::new(self.config.rtp.advertised_for(named), at.port());
        leg.stream_url = format!("{host}/{id}");
        leg.connection = Some(id);
        self.hearing.by_connection.insert(id, call);
        Some(())
    }

    /// A bare connection says this id: the call whose audio it brings, or why it must not, for
    /// whoever has heard of an id shall not take the place of who was let in by it. `None` if it is
    /// no id of ours.
    pub(in crate::calls::control) fn connection_comes(
        &mut self,
        id: Uuid,
    ) -> Option<Result<Uuid, TokenError>> {
        let id = *self.hearing.by_connection.get(&id)?;
        let call = self.by_id.get(&id).and_then(|key| self.calls.get_mut(key));
        let line = call.filter(|call| call.ended.is_none()).and_then(|call| call.carried.as_mut());
        let taken = line.ok_or(TokenError::Wrong).and_then(|line| line.token.take(now()));
        Some(taken.map(|()| id))
    }

    /// Opens the media socket of a call at its carrier.
    pub(super) fn connect_line(&self, key: CallKey, request: &HttpRequest) {
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { return };
        let (Some(leg), Ok(url)) = (call.carrier.as_ref(), request.url.parse()) else { return };
        let offered = request.headers.get(SEC_WEBSOCKET_PROTOCOL);
        let target = DialTarget {
            url,
            subprotocol: offered.map(|_| media_socket::SUBPROTOCOL),
            agent: String::new(),
            call_id: call.id.to_string(),
            secret: None,
            outward: self.policy.of(leg.account.organisation),
        };
        let (dialler, handle, call) = (self.dialler.clone(), self.handle.clone(), call.id);
        self.io.spawn(async move {
            let dialled = timeout(CONNECT, dialler.dial(&target)).await;
            let socket = dialled.unwrap_or(Err(DialError::Timeout));
            let socket = socket
                .inspect_err(
                    |error| tracing::warn!(%call, %error, "no media socket at its carrier"),
                )
                .ok();
            handle.send(Request::LineOpen { call, socket }).await;
        });
    }

    /// The carrier has said where the audio of a call goes.
    pub(super) fn send_media_to(&mut self, key: CallKey, to: SocketAddr) {
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { return };
        let (Some(leg), Some(stream)) = (call.carrier.as_ref(), call.format) else { return };
        let reaches = self.policy.of(leg.account.organisation);
        if !reaches.admits("", to.ip()) {
            tracing::warn!(parent: &call.span, "audio does not go where the carrier wants it");
            return self.tell(key, Input::End(Cause::NetworkFailure, EndedBy::Carrier));
        }
        let Some(pt) = static_pt(stream.audio).filter(|_| call.carried.is_none()) else { return };
        let format = LegFormat {
            remote: to,
            remote_rtcp: SocketAddr::new(to.ip(), to.port().wrapping_add(1)),
            signalling: to.ip(),
            media: LegConfig {
                audio: stream.audio,
                pt,
                receive_pt: pt,
                dtmf_pt: None,
                receive_dtmf_pt: Some(DIGITS_PT),
                cn_pt: None,
                ptime_ms: stream.ptime_ms,
                opus: opus::Settings::default(),
            },
            digits: DigitsBy::Info,
            send: true,
            receive: true,
            rtcp_mux: false,
            xr: false,
            srtp: None,
        };
        self.command(call.worker, Command::Format { call: key, format });
    }
}
