//! Webhooks of a carrier, in their numbers. Those that report how calls fare are lost, come twice
//! or in the wrong order where that is wanted.

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;

use super::{Clock, Output, Quirks};
use crate::exchange::HttpRequest;

/// Longest that a report is held back to come after the next one.
const HELD: Duration = Duration::from_millis(200);

/// The webhooks that were sent, and one that waits.
#[derive(Default)]
pub(crate) struct Reports {
    /// How many were sent.
    hooks: u32,
    held: Option<(MonoTime, HttpRequest)>,
}

impl Reports {
    /// Sends a webhook, whatever the quirks are; its number.
    pub(crate) fn send(&mut self, request: HttpRequest, outputs: &mut VecDeque<Output>) -> u32 {
        self.hooks += 1;
        outputs.push_back(Output::Hook { hook: self.hooks, request });
        self.hooks
    }

    /// Reports how a call fares.
    pub(crate) fn report(
        &mut self,
        clock: Clock,
        quirks: &Quirks,
        request: HttpRequest,
        outputs: &mut VecDeque<Output>,
    ) {
        if quirks.hooks_lost {
            return;
        }
        if quirks.hooks_swapped && self.held.is_none() {
            self.held = Some((clock.now + HELD, request));
            return;
        }
        if quirks.hooks_twice {
            self.send(request.clone(), outputs);
        }
        self.send(request, outputs);
        if let Some((_, request)) = self.held.take() {
            self.send(request, outputs);
        }
    }

    /// Time passed: what was held back for long enough is sent.
    pub(crate) fn timeout(&mut self, now: MonoTime, outputs: &mut VecDeque<Output>) {
        if let Some((_, request)) = self.held.take_if(|(until, _)| *until <= now) {
            self.send(request, outputs);
        }
    }

    /// When to come back.
    pub(crate) fn deadline(&self) -> Option<MonoTime> {
        self.held.as_ref().map(|(until, _)| *until)
    }
}
