//! What others than the agent do to a media path.

use super::command::Steer;
use super::context::Context;
use super::path::{Agent, MediaPath};

impl MediaPath {
    /// Does what the API asks for.
    pub(super) fn steer(&mut self, ctx: &mut Context, steer: Steer) {
        match steer {
            Steer::Dtmf { digits, duration_ms, gap_ms } => {
                if let Some(leg) = self.peer.leg() {
                    // Whether the peer takes digits was asked before; a queue that is full drops
                    // them, as it does for an agent.
                    let _ = leg.send_digits(&digits, Some(duration_ms), Some(gap_ms));
                }
            }
            Steer::Mute(muted) => self.muted = muted,
            Steer::Clear => {
                self.clear(ctx);
                self.actions(ctx);
            }
        }
    }

    /// A transfer moved on.
    pub(super) fn transfer(
        &mut self,
        ctx: &mut Context,
        state: &'static str,
        cause: Option<&'static str>,
    ) {
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.transfer(state, cause.map(str::to_owned));
        }
        self.actions(ctx);
    }
}
