//! A call's stream on a link, in the place of a socket of its own.

use std::fmt::Write;
use std::time::Duration;

use media::time::MonoTime;

use super::mail::LinkId;
use super::port::{Ports, Unlinked};
use crate::agent::wire::CloseCode;

/// In what time a stream may give its link as much audio as may wait, which is several times what
/// a caller's clock makes: a caller that sends faster takes nothing from others.
const ALLOWED_IN: Duration = Duration::from_millis(200);

/// A call's stream on a link.
#[derive(Debug)]
pub(in crate::workers) struct StreamEnd {
    pub(in crate::workers) link: LinkId,
    pub(in crate::workers) stream: u32,
    /// Nothing more is said or heard.
    pub(in crate::workers) closed: bool,
    /// The agent knows that the stream is over.
    told_over: bool,
    backlog_bytes: usize,
    /// The link has been told another number.
    backlog_changed: bool,
    /// Until when what was given so far is allowed for.
    allowed: MonoTime,
    pub(in crate::workers) skipped: u64,
}

impl StreamEnd {
    /// Opens a stream for the call of this token; while the link's socket takes nothing,
    /// `backlog_bytes` of its audio may wait.
    pub(in crate::workers) fn open(
        ports: &mut Ports,
        (link, stream): (LinkId, u32),
        call: u64,
        backlog_bytes: usize,
    ) -> Result<Self, Unlinked> {
        ports.open((link, stream), call, backlog_bytes)?;
        Ok(Self {
            link,
            stream,
            closed: false,
            told_over: false,
            backlog_bytes,
            backlog_changed: false,
            allowed: MonoTime::ZERO,
            skipped: 0,
        })
    }

    const fn place(&self) -> (LinkId, u32) {
        (self.link, self.stream)
    }

    /// So many bytes may wait from now on.
    pub(in crate::workers) const fn set_backlog(&mut self, backlog_bytes: usize) {
        self.backlog_bytes = backlog_bytes;
        self.backlog_changed = true;
    }

    /// Gives the link one frame; false if it is skipped.
    #[inline]
    pub(in crate::workers) fn frame(
        &mut self,
        now: MonoTime,
        ports: &mut Ports,
        frame: &[u8],
    ) -> bool {
        if std::mem::take(&mut self.backlog_changed) {
            ports.backlog(self.place(), self.backlog_bytes);
        }
        let given = self.allow(now, frame.len()) && ports.frame(self.place(), frame).is_ok();
        self.skipped += u64::from(!given);
        given
    }

    /// Whether so many bytes more are allowed at this time.
    #[inline]
    fn allow(&mut self, now: MonoTime, bytes: usize) -> bool {
        let from = self.allowed.max(now);
        if from.since(now) > ALLOWED_IN {
            return false;
        }
        let window = ALLOWED_IN.as_nanos() as u64;
        self.allowed =
            from + Duration::from_nanos(bytes as u64 * window / self.backlog_bytes.max(1) as u64);
        true
    }

    /// Gives the link a text message; `last` if the stream is over with it. A link that does not
    /// take it is not there any more.
    pub(in crate::workers) fn text(&mut self, ports: &mut Ports, text: &[u8], last: bool) {
        if !self.closed {
            self.told_over |= last;
            self.closed = ports.text(self.place(), text).is_err();
        }
    }

    /// The agent has closed the stream.
    pub(in crate::workers) const fn closed_by_agent(&mut self) {
        (self.closed, self.told_over) = (true, true);
    }

    /// Closes the stream with `code`, unless the agent knows already that it is over.
    pub(in crate::workers) fn close(
        &mut self,
        ports: &mut Ports,
        message: &mut Vec<u8>,
        (code, reason): (u16, &str),
    ) {
        if !std::mem::replace(&mut self.told_over, true) && !self.closed {
            let mut text = String::with_capacity(96);
            let stream = self.stream;
            // Neither fails: a reason is words, and memory takes what is written.
            let _ = write!(
                text,
                "{{\"event\":\"close\",\"stream\":{stream},\"code\":{code},\"reason\":\"{reason}\"}}"
            );
            message.clear();
            message.extend_from_slice(text.as_bytes());
            self.closed = ports.text(self.place(), message).is_err();
        }
    }

    /// Ends the stream: its call has nothing more to do with it.
    pub(in crate::workers) fn release(&mut self, ports: &mut Ports, message: &mut Vec<u8>) {
        let code = CloseCode::Replaced;
        self.close(ports, message, (code.code(), code.reason()));
        self.closed = true;
        ports.end(self.place());
    }
}

#[cfg(test)]
mod tests {
    use super::super::mail::Mailbox;
    use super::*;
    use crate::workers::poller::Poller;

    /// A stream may say what its caller's clock makes, for ever, and a burst; a caller that sends
    /// ten times as fast is heard a part of the time, and not sooner for having been refused.
    #[test]
    fn a_stream_has_its_part() {
        let mail = std::sync::Arc::new(Mailbox::new(Poller::new().unwrap().waker()));
        let mut ports = Ports::new(mail);
        let link = LinkId { slot: 0, generation: 1 };
        assert!(StreamEnd::open(&mut ports, (link, 7), 0, 6_336).is_err(), "there is no link");
        let mut end = StreamEnd {
            link,
            stream: 7,
            closed: false,
            told_over: false,
            backlog_bytes: 6_336,
            backlog_changed: false,
            allowed: MonoTime::ZERO,
            skipped: 0,
        };
        let mut now = MonoTime::from_nanos(1);
        for _ in 0..1_000 {
            assert!(end.allow(now, 172));
            now += Duration::from_millis(20);
        }
        let burst = (0..1_000).filter(|_| end.allow(now, 172)).count();
        assert!((30..60).contains(&burst), "{burst}");
        let mut heard = 0;
        for _ in 0..5_000 {
            heard += u32::from(end.allow(now, 172));
            now += Duration::from_millis(2);
        }
        // Ten seconds: as much as waits, fifty times.
        assert!((1_700..2_000).contains(&heard), "{heard}");
    }
}
