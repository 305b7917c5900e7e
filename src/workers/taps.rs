//! Who else hears a call: listeners on what comes from the peer and on what is said to it.
//!
//! A path without listeners pays one branch a frame. A listener runs on the path of a frame, so it
//! neither allocates nor waits; what needs either goes through a ring to another thread.

use media::codec::AudioFormat;
use media::rtp::Frame;
use media::time::MonoTime;
use uuid::Uuid;

use super::ear::Ear;
use super::mailbox::Mailbox;
use crate::recording::Head;

/// A frame as it leaves for the peer.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// When it was due, which is when the peer would hear it on a perfect network. Deadlines do not
    /// drift; the moment of sending does.
    pub due: MonoTime,
    /// Its RTP timestamp.
    pub ts: u32,
    /// Coded audio, in the peer's format.
    pub payload: &'a [u8],
}

/// A listener on a call.
pub(super) trait Tap: std::fmt::Debug + Send {
    /// The peer's audio is coded like this from now on, in both directions.
    fn follow(&mut self, peer: AudioFormat);

    /// A frame came from the peer; frames come in order, gaps are visible in their numbers.
    fn heard(&mut self, now: MonoTime, frame: Frame<'_>);
}

/// The listeners of one call.
#[derive(Debug, Default)]
pub(super) struct Taps {
    others: Vec<Box<dyn Tap>>,
    recording: Option<Box<Head>>,
    /// People who listen in.
    listeners: Vec<(Uuid, Box<Head>)>,
    /// The one by which the agent is told of digits and speech.
    pub(super) ear: Option<Box<Ear>>,
    /// Takes a message of the peer.
    pub(super) mailbox: Option<Box<Mailbox>>,
}

impl Taps {
    /// Adds a listener, which stays to the end of the call.
    pub(super) fn add(&mut self, mut tap: Box<dyn Tap>, peer: AudioFormat) {
        tap.follow(peer);
        self.others.push(tap);
    }

    /// Records the call; the recording is told when it begins.
    pub(super) fn record(&mut self, mut head: Box<Head>, peer: AudioFormat) {
        head.follow(peer);
        self.recording = Some(head);
    }

    /// Takes a message from now on, or none any more.
    pub(super) fn take_message(&mut self, mailbox: Option<Box<Mailbox>>, peer: AudioFormat) {
        self.mailbox = mailbox;
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.follow(peer);
        }
    }

    /// The recording, if there is one.
    pub(super) fn recording(&mut self) -> Option<&mut Head> {
        self.recording.as_deref_mut()
    }

    /// Lets somebody listen in, until [`Taps::unlisten`] or to the end of the call.
    pub(super) fn listen(&mut self, id: Uuid, mut head: Box<Head>, peer: AudioFormat) {
        head.follow(peer);
        self.listeners.push((id, head));
    }

    /// Somebody listens no longer.
    pub(super) fn unlisten(&mut self, id: Uuid) {
        self.listeners.retain(|(listener, _)| *listener != id);
    }

    /// Takes the recording away, to be ended.
    pub(super) fn take_recording(&mut self) -> Option<Box<Head>> {
        self.recording.take()
    }

    /// See [`Tap::follow`].
    pub(super) fn follow(&mut self, peer: AudioFormat) {
        for tap in &mut self.others {
            tap.follow(peer);
        }
        if let Some(head) = &mut self.recording {
            head.follow(peer);
        }
        for (_, head) in &mut self.listeners {
            head.follow(peer);
        }
        if let Some(ear) = &mut self.ear {
            ear.follow(peer);
        }
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.follow(peer);
        }
    }

    /// See [`Tap::heard`].
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        for tap in &mut self.others {
            tap.heard(now, frame);
        }
        if let Some(head) = &mut self.recording {
            head.heard(now, frame);
        }
        for (_, head) in &mut self.listeners {
            head.heard(now, frame);
        }
        if let Some(ear) = &mut self.ear {
            ear.heard(now, frame);
        }
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.heard(now, frame);
        }
    }

    /// A frame leaves for the peer.
    #[inline]
    pub(super) fn said(&mut self, said: Said<'_>) {
        if let Some(head) = &mut self.recording {
            head.said(said);
        }
        for (_, head) in &mut self.listeners {
            head.said(said);
        }
    }
}
