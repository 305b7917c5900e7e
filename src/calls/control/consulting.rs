//! Whoever was called to take over a call is told what it is about, aside of the call: the caller
//! hears nothing of it.

use std::sync::Arc;

use media::codec::AudioFormat;

use super::Control;
use crate::calls::live::LiveCall;
use crate::calls::sounds::{Sounds, Wanted};
use crate::calls::transfer::{Input, TransferError, Whisper};
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
            Whisper::Tone => Ok(()),
            Whisper::Url(_) => Err(TransferError::Whisper),
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
        let Some(far) = call.far.as_mut() else { return };
        far.aside = true;
        self.settle_far(key);
        let Some(call) = self.calls.get(&key) else { return };
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
        let sound = Some(Builtin::speaker(source, !again));
        self.command(worker, Command::AgentHold { call: key, sound });
    }

    /// A key was pressed at a leg aside. True if it is one.
    pub(super) fn digit_aside(&mut self, key: CallKey, digit: char) -> bool {
        let far = self.calls.get(&key).and_then(|call| call.far.as_ref());
        let aside = far.is_some_and(|far| far.aside);
        if aside {
            self.transfer_input(key, Input::Digit(digit));
        }
        aside
    }
}

/// The format in which sounds for the leg wait.
fn leg_format(call: &LiveCall) -> Option<AudioFormat> {
    let leg = call.far.as_ref()?.leg.as_ref()?;
    leg.format.map(|format| format.audio.waiting())
}

/// The file that is to be said, if one is.
fn wanted(call: &LiveCall) -> Option<Wanted> {
    let Whisper::Sound(name) = &call.transfer.as_ref()?.whisper else { return None };
    let agent = call.current_agent();
    let file = agent.sounds.as_ref()?.join(format!("{name}.wav"));
    Some(Wanted::file(&file, leg_format(call)?))
}
