//! Whoever was called to take over a call is told what it is about, aside of the call: the caller
//! hears nothing of it.

use std::sync::Arc;

use media::codec::AudioFormat;
use media::wav::Clip;
use uuid::Uuid;

use super::Control;
use crate::calls::coding;
use crate::calls::far::{Dial, Seat};
use crate::calls::fetching::Fetching;
use crate::calls::live::LiveCall;
use crate::calls::request::{Message, Request};
use crate::calls::sounds::{Sounds, Wanted};
use crate::calls::transfer::{Input, MESSAGE_MAX_MS, TransferError, Whisper};
use crate::fetch;
use crate::workers::audio;
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{CallKey, Command};

/// Pause before a message is said again, in milliseconds.
const PAUSE_MS: u32 = 1_500;

impl Control {
    /// Whether a message can be said at all.
    pub(super) fn check_whisper(
        &self,
        key: CallKey,
        whisper: &Whisper,
    ) -> Result<(), TransferError> {
        match whisper {
            Whisper::Tone | Whisper::Url(_) => Ok(()),
            Whisper::Sound(name) => {
                let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
                let has = call.current_agent().sounds.is_some();
                // The name is known to be no path; whether there is such a file, is seen later.
                if has && !name.is_empty() { Ok(()) } else { Err(TransferError::Whisper) }
            }
        }
    }

    /// Lets media flow to whoever answered, and begins to say the message.
    pub(super) fn whisper(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(far) = call.coming.as_mut() else { return };
        far.aside = true;
        self.settle_far(key, Seat::Coming);
        let Some(call) = self.calls.get(&key) else { return };
        if let Some((id, clip, format)) = clip(call) {
            return self.code_message(key, id, clip, format);
        }
        let Some(wanted) = wanted(call) else { return self.say_aside(key, None) };
        match self.sound(&wanted) {
            Some(sound) => self.say_aside(key, Some(sound)),
            None => {
                if let Some(underway) = self.calls.get_mut(&key).and_then(|c| c.transfer.as_mut()) {
                    underway.awaits = Some(wanted);
                }
            }
        }
    }

    /// Calls somebody for a transfer, once the message that is said there has come: nobody is
    /// disturbed for a message that there is not.
    pub(super) fn dial_with_message(&mut self, key: CallKey, dial: Dial) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let organisation = call.agent.organisation;
        let Some(underway) = call.transfer.as_mut() else { return };
        let (Whisper::Url(url), None) = (&underway.with.whisper, &underway.with.message) else {
            return self.dial_for_transfer(key, dial);
        };
        let (url, id) = (url.clone(), underway.id);
        underway.with.then = Some(dial);
        let (outward, handle) = (self.policy.of(organisation), self.handle.clone());
        let fetching = self.io.spawn(async move {
            let fetched = fetch::sound((organisation, &outward), &url, MESSAGE_MAX_MS).await;
            let message = Message::Fetched(fetched);
            handle.send(Request::Message { call: key, transfer: id, message }).await;
        });
        underway.with.fetching = Some(Fetching::new(fetching.abort_handle()));
    }

    /// Codes a message for the leg aside, on another thread; it comes back as a request.
    fn code_message(&self, key: CallKey, id: Uuid, clip: Arc<Clip>, format: AudioFormat) {
        let (handle, io) = (self.handle.clone(), self.io.clone());
        self.io.spawn(async move {
            let coded = coding::in_turn(&io, move || {
                let sound: Arc<[u8]> = audio::encode(&clip.samples, clip.rate_hz, format).into();
                sound
            });
            if let Some(sound) = coded.await {
                let message = Message::Coded(sound);
                handle.send(Request::Message { call: key, transfer: id, message }).await;
            }
        });
    }

    /// The message of a transfer has come, or is ready to be said, unless the transfer is over.
    pub(super) fn message_came(&mut self, key: CallKey, id: Uuid, message: Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(underway) = call.transfer.as_mut().filter(|it| it.id == id) else { return };
        underway.with.fetching = None;
        match message {
            Message::Fetched(Ok(clip)) => {
                underway.with.message = Some(Arc::new(clip));
                if let Some(dial) = underway.with.then.take() {
                    self.dial_for_transfer(key, dial);
                }
            }
            Message::Fetched(Err(error)) => {
                tracing::warn!(parent: &call.span, %error, "no message for a transfer");
                let refused = Input::Refused(TransferError::Whisper.as_str());
                self.transfer_input(key, refused);
            }
            Message::Coded(sound) => self.say_aside(key, Some(sound)),
        }
    }

    /// A file was loaded, or cannot be: whoever is to be told it hears it, or a tone.
    pub(super) fn whisper_loaded(
        &mut self,
        key: CallKey,
        wanted: &Wanted,
        sound: Option<&Arc<[u8]>>,
    ) {
        let underway = self.calls.get_mut(&key).and_then(|call| call.transfer.as_mut());
        let Some(underway) = underway else { return };
        if underway.awaits.take_if(|awaited| awaited == wanted).is_some() {
            self.say_aside(key, sound.map(Arc::clone));
        }
    }

    /// Says `sound` to the leg aside, or a tone: over and over where it has to be accepted.
    fn say_aside(&mut self, key: CallKey, sound: Option<Arc<[u8]>>) {
        let Some(call) = self.calls.get(&key) else { return };
        let (worker, Some(format)) = (call.worker, leg_format(call)) else { return };
        let Some(underway) = call.transfer.as_ref() else { return };
        let again = underway.transfer.needs_key();
        let sound = sound.unwrap_or_else(|| Sounds::notice(format));
        let source = if again {
            let mut looped = sound.to_vec();
            let silence = format.codec.silence();
            looped.resize(looped.len() + format.bytes(PAUSE_MS), silence);
            Source::Loop(looped.into())
        } else {
            Source::Once(sound)
        };
        let sound = Builtin::speaker(source, !again);
        self.command(worker, Command::AsideSay { call: key, sound });
    }

    /// A key was pressed at a leg aside.
    pub(super) fn digit_aside(&mut self, key: CallKey, digit: char) {
        if self.far_of(key, Seat::Coming).is_some_and(|far| far.aside) {
            self.transfer_input(key, Input::Digit(digit));
        }
    }
}

/// The fetched message of a call's transfer, the transfer, and how the leg hears it.
fn clip(call: &LiveCall) -> Option<(Uuid, Arc<Clip>, AudioFormat)> {
    let underway = call.transfer.as_ref()?;
    let clip = Arc::clone(underway.with.message.as_ref()?);
    Some((underway.id, clip, leg_format(call)?))
}

/// The format in which sounds for the leg wait.
fn leg_format(call: &LiveCall) -> Option<AudioFormat> {
    let leg = call.coming.as_ref()?.leg.as_ref()?;
    leg.format.map(|format| format.audio.waiting())
}

/// The file that is to be said, if one is.
fn wanted(call: &LiveCall) -> Option<Wanted> {
    let Whisper::Sound(name) = &call.transfer.as_ref()?.with.whisper else { return None };
    let agent = call.current_agent();
    let file = agent.sounds.as_ref()?.join(format!("{name}.wav"));
    Some(Wanted::file(&file, leg_format(call)?))
}
