//! Sounds that the API lets the peers of calls hear.

use std::sync::Arc;

use media::wav::Clip;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use super::transferring::is_talking;
use crate::calls::coding;
use crate::calls::log::What;
use crate::calls::request::{Request, RequestError};
use crate::workers::audio;
use crate::workers::command::{CallKey, Command, Steer};
use crate::workers::play::{PLAYS_BYTES_MAX, PlayNotice, PlaySound};

/// The word for a sound that waits to be heard.
const QUEUED: &str = "queued";

/// A sound that was coded for a call.
#[derive(Debug)]
pub struct Coded {
    call: Uuid,
    sound: PlaySound,
    length_ms: u64,
    reply: oneshot::Sender<Result<Uuid, RequestError>>,
}

impl Control {
    /// Codes a sound for the peer of a call, on another thread; it comes back as a request.
    pub(super) fn play_clip(
        &mut self,
        call: Uuid,
        clip: Arc<Clip>,
        reply: oneshot::Sender<Result<Uuid, RequestError>>,
    ) {
        // Whoever asked may have gone, here and below.
        let format = match self.playable(call) {
            Ok(key) => self.calls.get(&key).map(|call| call.sounds_in()),
            Err(error) => return drop(reply.send(Err(error))),
        };
        let Some(format) = format else { return };
        let bytes = clip.length_ms().saturating_mul(format.bytes(1_000) as u64) / 1_000;
        if bytes > PLAYS_BYTES_MAX as u64 {
            let problem = "the sound is too long for the rate of this call".to_owned();
            return drop(reply.send(Err(RequestError::Invalid(problem))));
        }
        let (handle, io) = (self.handle.clone(), self.io.clone());
        self.io.spawn(async move {
            let coded = coding::in_turn(&io, move || {
                let sound: Arc<[u8]> = audio::encode(&clip.samples, clip.rate_hz, format).into();
                (PlaySound { id: Uuid::now_v7(), sound, format }, clip.length_ms())
            });
            if let Some((sound, length_ms)) = coded.await {
                let coded = Box::new(Coded { call, sound, length_ms, reply });
                handle.send(Request::Coded(coded)).await;
            }
        });
    }

    /// The call of this id, if a sound can be played on it.
    fn playable(&self, call: Uuid) -> Result<CallKey, RequestError> {
        let key = self.by_id.get(&call).copied().ok_or(RequestError::NoSuchCall)?;
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        match is_talking(call) {
            true => Ok(key),
            false => Err(RequestError::State("the call is not answered")),
        }
    }

    /// A sound was coded: it waits for its turn.
    pub(super) fn play_coded(&mut self, coded: Coded) {
        let Coded { call, sound, length_ms, reply } = coded;
        let id = sound.id;
        let queued = self.playable(call).map(|key| {
            self.log_play(key, id, QUEUED, length_ms);
            if let Some(call) = self.calls.get(&key) {
                let steer = Steer::Play(sound);
                self.command(call.worker, Command::Steer { call: key, steer });
            }
            id
        });
        drop(reply.send(queued));
    }

    /// A sound has moved on.
    pub(super) fn play_moved(&mut self, key: CallKey, notice: PlayNotice) {
        let PlayNotice { id, state, played_ms } = notice;
        self.log_play(key, id, state.as_str(), played_ms);
    }

    fn log_play(&mut self, key: CallKey, id: Uuid, state: &str, ms: u64) {
        self.log_fact(key, What::Play { id, state: state.to_owned(), ms });
    }
}
