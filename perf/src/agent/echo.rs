//! An agent that sends every frame back at once, and looks at what it gets.

use std::sync::Arc;

use serde::Serialize;

use super::server::Handler;
use crate::load::stamps::Stamps;
use crate::pattern::{self, Content};
use crate::rtp::{self, Faults, Judge, PCMU};
use crate::sys::clock;
use crate::ws::frame;

/// What an echo agent saw.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// Binary messages.
    pub(crate) frames: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Text messages.
    pub(crate) texts: u64,
    /// Messages with `"event":"error"` among them.
    pub(crate) errors: u64,
    /// Frames whose audio was neither a caller's packet, bit-exact, nor silence. Only counted
    /// where the generator runs in the same process.
    pub(crate) altered: u64,
    /// Faults of the RTP headers.
    pub(crate) headers: Faults,
}

/// The agent.
pub(crate) struct Echo {
    judges: Vec<Judge>,
    stamps: Option<Arc<Stamps>>,
    raw: bool,
    /// Send text messages back as well.
    pub(crate) texts: bool,
    /// Print text messages.
    pub(crate) verbose: bool,
    seen: Seen,
}

impl Echo {
    /// An agent that notes stamps for a generator in this process, or asks for raw framing.
    pub(crate) fn new(stamps: Option<Arc<Stamps>>, raw: bool) -> Self {
        Self {
            judges: Vec::new(),
            stamps,
            raw,
            texts: false,
            verbose: false,
            seen: Seen::default(),
        }
    }

    /// What it saw, header faults of all connections together.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        for judge in &self.judges {
            seen.headers.add(&judge.faults);
        }
        seen
    }

    fn look(&mut self, id: usize, payload: &[u8], stamp_ns: u64) {
        if self.judges.len() <= id {
            self.judges.resize(id + 1, Judge::default());
        }
        let Some(judge) = self.judges.get_mut(id) else { return };
        let audio = if self.raw {
            payload
        } else if let Some(packet) = rtp::parse(payload) {
            judge.see(&packet);
            if packet.payload_type != PCMU {
                // What the server made of the caller's audio; the caller judges what comes back.
                return;
            }
            packet.payload
        } else {
            judge.faults.not_rtp += 1;
            return;
        };
        let Some(stamps) = &self.stamps else { return };
        match pattern::read(audio) {
            Content::Exact { call, index } => {
                stamps.note(call, index, stamp_ns, clock::real_ns());
            }
            Content::Fill => {}
            Content::Altered => self.seen.altered += 1,
        }
    }
}

impl Handler for Echo {
    fn text(&mut self, id: usize, text: &str, out: &mut Vec<u8>) {
        self.seen.texts += 1;
        if self.texts {
            return frame::write(out, frame::TEXT, text.as_bytes(), None);
        }
        if self.verbose {
            println!("{id}: {text}");
        }
        let Ok(message) = serde_json::from_str::<serde_json::Value>(text) else {
            self.seen.errors += 1;
            return;
        };
        match message.get("event").and_then(|event| event.as_str()) {
            Some("start") => {
                if let Some(judge) = self.judges.get_mut(id) {
                    // A slot that an earlier call had: its stream is over, its faults stay.
                    *judge = judge.fresh();
                }
                if self.raw {
                    let stream = message.get("stream").cloned().unwrap_or_default();
                    let configure = serde_json::json!({
                        "event": "configure", "stream": stream, "framing": "raw"
                    });
                    frame::write(out, frame::TEXT, configure.to_string().as_bytes(), None);
                }
            }
            Some("error") => self.seen.errors += 1,
            _ => {}
        }
    }

    fn binary(&mut self, id: usize, payload: &[u8], stamp_ns: u64, out: &mut Vec<u8>) {
        self.seen.frames += 1;
        self.seen.bytes += payload.len() as u64;
        self.look(id, payload, stamp_ns);
        frame::write(out, frame::BINARY, payload, None);
    }

    fn closed(&mut self, id: usize) {
        if let Some(judge) = self.judges.get_mut(id) {
            *judge = judge.fresh();
        }
    }
}
