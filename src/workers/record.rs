//! The recording of a call, and those who listen in, on its worker.

use uuid::Uuid;

use super::command::RecordChange;
use super::context::Context;
use super::path::{Agent, MediaPath};
use crate::recording::{Head, State};

impl MediaPath {
    /// The call's recording changes to `state`; the agent is told.
    pub(super) fn record(&mut self, ctx: &mut Context, change: RecordChange, state: State) {
        match change {
            RecordChange::Start(mut head) => {
                if self.answered_at.is_some() {
                    head.begin(ctx.now);
                }
                let peer = self.peer.stream().audio;
                self.taps.record(head, peer);
            }
            RecordChange::Pause(paused) => {
                if let Some(head) = self.taps.recording() {
                    head.pause(paused);
                }
            }
            RecordChange::Stop => self.stop_recording(ctx),
        }
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.recording(state.as_str());
        }
        self.actions(ctx);
    }

    /// Somebody listens in from now on, whether the call is answered or not; or no longer.
    pub(super) fn listen(&mut self, listener: Uuid, head: Option<Box<Head>>) {
        let peer = self.peer.stream().audio;
        match head {
            Some(head) => self.taps.listen(listener, head, peer),
            None => self.taps.unlisten(listener),
        }
    }

    /// What the agent wanted was refused.
    pub(super) fn refused(&mut self, ctx: &mut Context, why: &'static str) {
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.failed(why.to_owned());
        }
        self.actions(ctx);
    }

    /// Ends the recording, if there is one.
    pub(super) fn stop_recording(&mut self, ctx: &Context) {
        if let Some(head) = self.taps.take_recording() {
            self.recording_lost += head.end(ctx.now);
        }
    }
}
