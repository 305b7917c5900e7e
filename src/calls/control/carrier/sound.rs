//! How the audio of a carrier's call comes: by a socket that it opens, or by RTP.

use std::net::SocketAddr;
use std::time::Duration;

use adapters::agent::{EndedBy, StreamFormat};
use adapters::spec::MediaTransport;
use media::codec::{AudioFormat, opus};
use media::leg::LegConfig;
use uuid::Uuid;

use super::Control;
use crate::calls::call::Input;
use crate::calls::carrier::CarrierLeg;
use crate::calls::cause::Cause;
use crate::calls::control::begin::CarrierMedia;
use crate::calls::digits::DigitsBy;
use crate::carrier::Account;
use crate::workers::command::{CallKey, Command, LegFormat};

/// A payload type that digits would have: a carrier that tells them otherwise sends none, and they
/// are not to be sought in the audio.
const DIGITS_PT: u8 = 101;

/// Whether the audio of calls by this configuration comes by RTP that no SIP negotiates.
pub(super) fn by_rtp(account: &Account) -> bool {
    let choice = account.spec.events.map(|events| (events.media)(&account.config));
    choice.is_some_and(|choice| choice.transport == MediaTransport::Rtp)
}

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
        if !by_rtp(&leg.account) {
            return self
                .line_of(leg, call, within)
                .map(|(line, plan)| CarrierMedia::Line(line, plan));
        }
        let events = leg.account.spec.events?;
        let format = (events.media)(&leg.account.config).format;
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
