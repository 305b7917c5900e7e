//! The loop of a media thread: sockets, deadlines, commands, and nothing else.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use slab::Slab;

use super::Purpose;
use super::command::{CallKey, Command, EventKind};
use super::context::Context;
use super::deadlines::Deadlines;
use super::line::{LineLeg, PeerLink};
use super::mux::Link;
use super::path::MediaPath;
use super::peer::PeerLeg;
use super::peer_end::PeerEnd;
use super::poller::{self, Ready};
use super::token::{Part, Token};

/// Calls for which a worker has room from the start.
const CALLS_WARM: usize = 1_024;
/// Commands carried out before the sockets have their say again.
const COMMANDS_PER_ROUND: usize = 64;

/// Calls whose time has come that are looked after before the sockets have their say again: what
/// arrives meanwhile waits no longer than these take, however many are due together.
const DUE_PER_ROUND: usize = 4;

/// A media thread.
pub(super) struct Worker {
    pub(super) ctx: Context,
    commands: Receiver<Command>,
    pub(super) calls: Slab<MediaPath>,
    keys: HashMap<CallKey, usize>,
    pub(super) deadlines: Deadlines,
    /// Those that it has.
    pub(super) links: Vec<Link>,
    /// A record on its way from a link to a call.
    pub(super) record: Vec<u8>,
    generation: u32,
    load: Arc<AtomicUsize>,
    stopping: bool,
}

impl Worker {
    pub(super) fn new(ctx: Context, commands: Receiver<Command>, load: Arc<AtomicUsize>) -> Self {
        Self {
            ctx,
            commands,
            calls: Slab::with_capacity(CALLS_WARM),
            keys: HashMap::with_capacity(CALLS_WARM),
            deadlines: Deadlines::with_capacity(CALLS_WARM * 2),
            links: Vec::new(),
            record: Vec::new(),
            generation: 0,
            load,
            stopping: false,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        poller::wake_exactly()?;
        Purpose::Media.take_place();
        while !self.stopping {
            let looked = self.ctx.now;
            self.ctx.now = poller::now();
            let all = self.due();
            self.ctx.together.note(self.ctx.now);
            let links_due = self.links_round();
            self.settle();
            let mut deadline = self.deadlines.next().min(self.ctx.lingering.deadline());
            deadline = deadline.min(self.ctx.parting.deadline());
            deadline = deadline.min(self.ctx.unhurried_due()).min(links_due);
            if self.ctx.has_events() {
                self.ctx.flush_events();
                // The control plane is behind; it is looked after soon, not in a busy loop.
                deadline = deadline.min(self.ctx.now + Duration::from_millis(1));
            }
            if !all {
                deadline = self.ctx.now;
            }
            self.ctx.metrics.busy_ns.add(nanos(poller::now().since(looked)));
            let ready = self.ctx.poller.wait(self.ctx.now, deadline)?;
            self.ctx.metrics.wakeups.inc();
            self.ctx.now = poller::now();
            // First, since a peer that was told something may have answered with media already.
            self.commands();
            // What telephones say goes on at once; what agents say waits for its time anyway.
            for from_peers in [true, false] {
                for index in 0..ready {
                    match self.ctx.poller.ready(index) {
                        Some(ready) if from_peers == is_from_peer(ready) => self.ready(ready),
                        Some(_) | None => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Calls whose deadlines have come, [`DUE_PER_ROUND`] of them; whether these were all.
    fn due(&mut self) -> bool {
        let mut left = DUE_PER_ROUND;
        while let Some((at, index)) = self.deadlines.pop_due(self.ctx.together.until(self.ctx.now))
        {
            let number = index;
            let index = index as usize;
            let Some(path) = self.calls.get_mut(index) else { continue };
            if !path.entries.is_first(at) {
                continue;
            }
            if at > self.ctx.now && !path.ticks_at(at) {
                // Not a packet that may leave early: it waits for its time.
                self.deadlines.push(at, number);
                break;
            }
            path.entries.take_first();
            if path.ticks_at(at) {
                self.ctx.together.count();
            }
            path.handle_timeout(&mut self.ctx);
            schedule(&mut self.deadlines, path, index);
            left -= 1;
            if left == 0 {
                return false;
            }
        }
        true
    }

    /// What is told without hurry, and sockets that have lingered long enough.
    fn settle(&mut self) {
        self.ctx.tell_unhurried();
        if self.ctx.lingering.deadline() <= self.ctx.now {
            self.ctx.lingering.expire(self.ctx.now, &self.ctx.poller);
        }
        self.ctx.expire_parting();
    }

    /// A socket that has something to do.
    #[inline]
    fn ready(&mut self, ready: Ready) {
        let (token, index, part) = Token::split(ready.token);
        if part == Part::Linger {
            let Context { lingering, poller, input, .. } = &mut self.ctx;
            return lingering.on_ready(poller, ready.token, input);
        }
        if part == Part::Link {
            return self.link_ready(ready);
        }
        if part == Part::Parting {
            return self.ctx.on_parting(ready);
        }
        let Some(path) = self.calls.get_mut(index).filter(|path| path.token == token) else {
            return;
        };
        match part {
            Part::Rtp => {
                path.on_rtp(&mut self.ctx);
                // From the wake-up to the last byte written: what this server adds.
                self.ctx.metrics.added.record(poller::now().since(self.ctx.now));
            }
            Part::Agent => path.on_agent(&mut self.ctx, ready),
            Part::Rtcp => path.on_rtcp(&mut self.ctx),
            Part::AgentRtcp => path.on_leg_rtcp(&mut self.ctx),
            Part::Line => {
                path.on_line(&mut self.ctx, ready);
                self.ctx.metrics.added.record(poller::now().since(self.ctx.now));
            }
            Part::Aside => path.on_aside_rtp(&mut self.ctx),
            Part::AsideRtcp => path.on_aside_rtcp(&mut self.ctx),
            Part::Guest => path.on_guest_rtp(&mut self.ctx),
            Part::GuestRtcp => path.on_guest_rtcp(&mut self.ctx),
            Part::Linger | Part::Link | Part::Parting => {}
        }
        schedule(&mut self.deadlines, path, index);
    }

    fn commands(&mut self) {
        for _ in 0..COMMANDS_PER_ROUND {
            match self.commands.try_recv() {
                Ok(command) => self.command(command),
                Err(_) => return,
            }
        }
        // The wake-up was one for all of them.
        self.ctx.poller.waker().wake();
    }

    fn command(&mut self, command: Command) {
        let command = match command {
            Command::Link(order) => return self.link_order(order),
            command => command,
        };
        let Some(call) = call_of(&command) else {
            self.stopping = true;
            return;
        };
        if let Command::Open { peer, .. } = command {
            return self.open(call, peer);
        }
        let Some(&index) = self.keys.get(&call) else { return };
        let Some(path) = self.calls.get_mut(index) else { return };
        let ctx = &mut self.ctx;
        match command {
            Command::Line { link, .. } => path.line(ctx, *link),
            Command::Format { format, .. } => path.settle(ctx, format),
            Command::AgentFormat { format, .. } => path.settle_leg(ctx, format),
            Command::AgentHold { sound, .. } => path.hold_leg(ctx, sound),
            Command::AgentDigit { digit, duration_ms: ms, .. } => path.leg_digit(ctx, digit, ms),
            Command::Attach { link, .. } => path.attach(ctx, link),
            Command::Release { .. } => path.hand_over(ctx),
            Command::Aside { link, .. } => path.attach_aside(ctx, *link),
            Command::AsideFormat { format, .. } => path.settle_aside(ctx, format),
            Command::AsideSay { sound, .. } => path.say_aside(ctx, sound),
            Command::JoinAside { .. } => path.join_aside(ctx),
            Command::DropAside { .. } => path.drop_aside(ctx),
            Command::Guest { from, .. } => path.join_guest(ctx, from),
            Command::GuestFormat { format, .. } => path.settle_guest(ctx, format),
            Command::DropGuest { .. } => path.drop_guest(ctx),
            Command::Withdraw { .. } => path.withdraw(ctx),
            Command::Comfort { noise, .. } => path.comfort(ctx, noise),
            Command::State { state, .. } => path.state(ctx, state),
            Command::Early { speaks, .. } => path.early(ctx, speaks),
            Command::Digit { digit, duration_ms, .. } => path.digit(ctx, digit, duration_ms),
            Command::Replace { sockets, format, .. } => path.replace(ctx, sockets, format),
            Command::Hold { sound, .. } => path.hold(ctx, sound),
            Command::Ambient { bed, .. } => path.ambient(ctx, bed),
            Command::Transfer { state, cause, .. } => path.transfer(ctx, state, cause),
            Command::Expiring { left_ms, .. } => path.expiring(ctx, left_ms),
            Command::Steer { steer, .. } => path.steer(ctx, steer),
            Command::Record { change, state, .. } => path.record(ctx, change, state),
            Command::Listen { listener, head, .. } => path.listen(listener, head),
            Command::Gauge { gauges, .. } => path.gauge(gauges),
            Command::Capture { head, .. } => path.peer.capture(head),
            Command::DigitsBy { by, .. } => path.peer.digits_by(by),
            Command::Refused { why, .. } => path.refused(ctx, why),
            Command::Close { cause, by, .. } => return self.close(call, index, cause, by),
            Command::Open { .. } | Command::Link(_) | Command::Stop => return,
        }
        schedule(&mut self.deadlines, path, index);
    }

    fn open(&mut self, call: CallKey, peer: PeerLink) {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.calls.vacant_entry();
        let index = entry.key();
        let token = Token::call(index, self.generation);
        let ctx = &mut self.ctx;
        let (peer, watched) = match peer {
            PeerLink::Rtp { sockets, format } => {
                let start = ctx.stream_start();
                let peer = PeerLeg::new(ctx.now, sockets, format, start);
                let watched = ctx
                    .poller
                    .add(peer.rtp(), Token::part(token, Part::Rtp))
                    .and_then(|()| ctx.poller.add(peer.rtcp(), Token::part(token, Part::Rtcp)));
                (PeerEnd::Rtp(peer), watched)
            }
            PeerLink::Line(plan) => (PeerEnd::Line(Box::new(LineLeg::new(plan))), Ok(())),
        };
        if let Err(error) = watched {
            tracing::error!(%error, "a call's sockets cannot be watched");
            self.ctx.tell(call, EventKind::MediaTimeout);
        }
        let path = entry.insert(MediaPath::new(self.ctx.now, call, token, peer));
        path.sample_at = self.ctx.care.next_sample(self.ctx.now);
        self.keys.insert(call, index);
        self.ctx.metrics.calls.add(1);
        schedule(&mut self.deadlines, path, index);
    }

    fn close(
        &mut self,
        call: CallKey,
        index: usize,
        cause: crate::calls::cause::Cause,
        by: adapters::agent::EndedBy,
    ) {
        self.keys.remove(&call);
        let mut path = self.calls.remove(index);
        let report = path.close(&mut self.ctx, cause, by);
        self.ctx.metrics.lost.add(report.leg.lost);
        self.ctx.metrics.calls.add(-1);
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.ctx.tell(call, EventKind::Closed(Box::new(report)));
    }
}

/// Whether it is a telephone, or its carrier, that has sent something.
#[inline]
const fn is_from_peer(ready: Ready) -> bool {
    matches!(Token::split(ready.token).2, Part::Rtp | Part::Line | Part::Aside | Part::Guest)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The call that a command is about; none if it is about the worker.
const fn call_of(command: &Command) -> Option<CallKey> {
    match command {
        Command::Link(_) | Command::Stop => None,
        Command::Open { call, .. }
        | Command::Line { call, .. }
        | Command::Format { call, .. }
        | Command::AgentFormat { call, .. }
        | Command::AgentHold { call, .. }
        | Command::AgentDigit { call, .. }
        | Command::Attach { call, .. }
        | Command::Release { call, .. }
        | Command::Aside { call, .. }
        | Command::AsideFormat { call, .. }
        | Command::AsideSay { call, .. }
        | Command::JoinAside { call, .. }
        | Command::DropAside { call, .. }
        | Command::Guest { call, .. }
        | Command::GuestFormat { call, .. }
        | Command::DropGuest { call, .. }
        | Command::Withdraw { call, .. }
        | Command::Comfort { call, .. }
        | Command::State { call, .. }
        | Command::Early { call, .. }
        | Command::Digit { call, .. }
        | Command::Replace { call, .. }
        | Command::Hold { call, .. }
        | Command::Ambient { call, .. }
        | Command::Transfer { call, .. }
        | Command::Expiring { call, .. }
        | Command::Steer { call, .. }
        | Command::Record { call, .. }
        | Command::Listen { call, .. }
        | Command::Gauge { call, .. }
        | Command::Capture { call, .. }
        | Command::DigitsBy { call, .. }
        | Command::Refused { call, .. }
        | Command::Close { call, .. } => Some(*call),
    }
}

/// Puts the call's next deadline into the heap, unless an earlier entry is there.
#[inline]
pub(super) fn schedule(deadlines: &mut Deadlines, path: &mut MediaPath, index: usize) {
    let deadline = path.deadline();
    if path.entries.want(deadline) {
        deadlines.push(deadline, u32::try_from(index).unwrap_or(u32::MAX));
    }
}
