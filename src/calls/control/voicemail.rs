//! Messages that callers leave with a built-in agent.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Control;
use super::effects::millis;
use crate::calls::call::Input;
use crate::calls::live::{DEFAULT_FORMAT, Leaving, Sound};
use crate::calls::log::What;
use crate::calls::sounds::Wanted;
use crate::config::Voicemail;
use crate::recording::{self, Channels, Job};
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::CallKey;
use crate::workers::mailbox::{Mailbox, Taken};

/// How long a server that stops waits for the last of the messages that are being left.
const LAST_MESSAGES: Duration = Duration::from_millis(500);

impl Control {
    /// What takes a message on a call. None while its greeting is loaded; the call goes on then.
    /// With `goes_on` the greeting is heard already, in another format, and so is the caller.
    pub(super) fn take_message(
        &mut self,
        key: CallKey,
        wanted: &Voicemail,
        goes_on: bool,
    ) -> Option<Builtin> {
        let format = self.calls.get(&key)?.sounds_in();
        let sound = match &wanted.greeting {
            Some(file) => {
                let greeting = Wanted::greeting(file, format);
                self.sound_for(key, (Sound::Agent, goes_on), greeting)?
            }
            None => self.sounds.beep(format),
        };
        let speaker = Builtin::speaker(Source::Once(sound), false);
        let call = self.calls.get_mut(&key)?;
        if goes_on && !call.messages.is_empty() {
            return Some(speaker);
        }
        let peer = call.format.unwrap_or(DEFAULT_FORMAT).audio;
        let (id, rate_hz, channels) = (Uuid::now_v7(), recording::rate_hz(peer), Channels::Peer);
        let (head, frames) = recording::head(rate_hz, peer);
        let agent = call.current_agent().name.clone();
        call.messages.push(Leaving { id, agent, failed: false });
        let path = self.config.voicemail_folder().join(recording::file_name(id));
        let recorded = None;
        self.recorder.record(Job { call: key, id, path, channels, rate_hz, frames, recorded });
        let mailbox = Mailbox::new(id, Box::new(head), wanted.longest, wanted.silence);
        Some(speaker.with_mailbox(mailbox))
    }

    /// The caller leaves no more of a message: what there is of it is written down.
    pub(super) fn message_taken(&mut self, key: CallKey, taken: Taken) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(at) = call.messages.iter().position(|message| message.id == taken.id) else {
            return;
        };
        let Leaving { id, agent, failed } = call.messages.remove(at);
        let Some(length) = taken.length.filter(|_| !failed) else {
            return self.metrics.recordings.messages_empty.inc();
        };
        let duration_ms = millis(length);
        tracing::info!(parent: &call.span, message = %id, duration_ms, "a message was left");
        self.metrics.recordings.messages.inc();
        self.log_fact(key, What::Voicemail { id, agent, duration_ms });
    }

    /// All calls have been ended: waits a moment for what callers have said of their messages, so
    /// that a server that stops loses none.
    pub(super) async fn last_messages(&mut self) {
        let until = Instant::now() + LAST_MESSAGES;
        while self.calls.values().any(|call| !call.messages.is_empty()) {
            match timeout_at(until, self.worker_events.recv()).await {
                Ok(Some(event)) => self.worker_events(event),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// The recording `id` cannot be written. If it is a message, its caller is not let speak in
    /// vain: the call ends. Whether it is one.
    pub(super) fn message_failed(&mut self, key: CallKey, id: Uuid, why: &std::io::Error) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let Some(message) = call.messages.iter_mut().find(|message| message.id == id) else {
            return false;
        };
        message.failed = true;
        tracing::error!(parent: &call.span, error = %why, "a message cannot be written");
        self.tell(key, Input::AgentHangup);
        true
    }
}
