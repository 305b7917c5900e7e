//! Sounds of files that calls wait for, and those that they hear under their agents.

use std::sync::Arc;

use media::bed::Bed;
use media::codec::AudioFormat;

use super::Control;
use crate::calls::call::Input;
use crate::calls::live::{Awaited, LiveCall, Sound};
use crate::calls::request::Request;
use crate::calls::sounds::{Loaded, Wanted};
use crate::config::{AgentKind, Builtin};
use crate::workers::command::{CallKey, Command};

impl Control {
    /// A file, if it is at hand. Otherwise it is loaded on another thread, and comes back as a
    /// request.
    pub(super) fn sound(&mut self, wanted: &Wanted) -> Option<Arc<[u8]>> {
        let found = self.sounds.get(wanted);
        if found.is_none() && self.sounds.begin(wanted) {
            let (handle, wanted) = (self.handle.clone(), wanted.clone());
            let reading = self.io.spawn_blocking(move || {
                let sound = wanted.load();
                Loaded { wanted, sound }
            });
            self.io.spawn(async move {
                if let Ok(loaded) = reading.await {
                    handle.send(Request::Loaded(loaded)).await;
                }
            });
        }
        found
    }

    /// A file that a call is to hear in the place of `what`, if it is at hand; otherwise the call
    /// goes on with it when it comes.
    pub(super) fn sound_for(
        &mut self,
        key: CallKey,
        (what, goes_on): (Sound, bool),
        wanted: Wanted,
    ) -> Option<Arc<[u8]>> {
        let found = self.sound(&wanted);
        let call = self.calls.get_mut(&key)?;
        call.awaits_sound = found.is_none().then_some(Awaited { what, goes_on, wanted });
        found
    }

    /// A file was loaded: whoever waits for it goes on.
    pub(super) fn loaded(&mut self, loaded: Loaded) {
        let Loaded { wanted, sound } = loaded;
        self.sounds.loaded(&wanted, sound.as_ref().ok());
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
                continue;
            };
            let awaited = call.awaits_sound.take_if(|awaited| awaited.wanted == wanted);
            if let Some(Awaited { what, goes_on, .. }) = awaited {
                match &sound {
                    Ok(_) => self.go_on(key, what, goes_on),
                    Err(error) => {
                        tracing::error!(parent: &call.span, %error, "a sound cannot be played");
                        let input = match what {
                            Sound::Message => Input::MessagePlayed,
                            Sound::Agent | Sound::Noise => Input::AgentFailed,
                        };
                        self.tell_later(key, input);
                    }
                }
            }
            self.whisper_loaded(key, &wanted, sound.as_ref().ok());
            if sound.is_ok() {
                self.waiting_goes_on(key, &wanted);
            }
            match &sound {
                Ok(_) => self.ambient(key),
                Err(error) if call_wants(self.calls.get(&key).map(Box::as_ref), &wanted) => {
                    tracing::warn!(%error, "no ambient sound");
                }
                Err(_) => {}
            }
        }
    }

    /// What a call hears that waits for somebody: its music once that is at hand, noise until then.
    pub(super) fn waiting_sound(&mut self, key: CallKey, format: AudioFormat) -> Arc<[u8]> {
        let call = self.calls.get(&key);
        let Some(file) = call.and_then(|call| call.current_agent().hold_music.clone()) else {
            return self.sounds.noise(format);
        };
        let ahead = self.sounds.music_ahead(&file, format);
        let music = ahead.or_else(|| self.sound(&Wanted::file(&file, format)));
        music.unwrap_or_else(|| self.sounds.noise(format))
    }

    /// A sound is at hand: a call that waits and was to hear it does so.
    fn waiting_goes_on(&mut self, key: CallKey, wanted: &Wanted) {
        let Some(call) = self.calls.get(&key) else { return };
        let agent = call.current_agent();
        let AgentKind::Builtin(waits @ Builtin::Wait { .. }) = &agent.kind else { return };
        let music = agent.hold_music.as_ref();
        let music = music.map(|file| Wanted::file(file, call.sounds_in()));
        let hears = call.sounding.is_some_and(|it| matches!(it.what, Sound::Agent));
        if hears && music.as_ref() == Some(wanted) {
            self.connect_builtin(key, waits, true);
        }
    }

    /// What a call waited for is at hand.
    fn go_on(&mut self, key: CallKey, what: Sound, goes_on: bool) {
        let Some(call) = self.calls.get(&key) else { return };
        match (what, &call.current_agent().kind) {
            (Sound::Agent, AgentKind::Builtin(builtin)) => {
                self.connect_builtin(key, builtin, goes_on);
            }
            (Sound::Message, _) => self.play_message(key, goes_on),
            (Sound::Agent | Sound::Noise, _) => {}
        }
    }

    /// Lets a call hear what belongs under who talks now, once that is at hand; or nothing any
    /// more.
    pub(super) fn ambient(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { return };
        let worker = call.worker;
        let Some((ambient, wanted)) = call.current_ambient().cloned().zip(ambient_of(call)) else {
            if call.under.told.is_some() {
                self.tell_ambient(key, None);
                self.command(worker, Command::Ambient { call: key, bed: None });
            }
            return;
        };
        if call.under.told.as_ref() == Some(&wanted) {
            return;
        }
        let Some(sound) = self.sound(&wanted) else { return };
        let bed = Bed::new(sound, wanted.rate_hz(), ambient.gain_db, ambient.duck_db);
        self.tell_ambient(key, Some(wanted));
        self.command(worker, Command::Ambient { call: key, bed: Some(Box::new(bed)) });
    }

    fn tell_ambient(&mut self, key: CallKey, told: Option<Wanted>) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.under.told = told;
        }
    }
}

/// What belongs under who talks now, at the rate of what the peer hears.
fn ambient_of(call: &LiveCall) -> Option<Wanted> {
    let rate_hz = call.sounds_in().rate_hz;
    call.current_ambient().map(|ambient| Wanted::seamless(&ambient.file, rate_hz))
}

fn call_wants(call: Option<&LiveCall>, wanted: &Wanted) -> bool {
    call.and_then(ambient_of).as_ref() == Some(wanted)
}
