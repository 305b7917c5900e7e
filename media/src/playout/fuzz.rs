//! The playout queue against a naive twin: a list of samples, marks and boundaries, walked anew for
//! each question. Property tests and the fuzz target share it.

use std::collections::VecDeque;
use std::time::Duration;

use super::{
    Cleared, MARKS_MAX, MarkReport, Playout, PlayoutConfig, PlayoutError, PlayoutEvent, Popped,
    UTTERANCES_MAX, UtterancePlayed,
};
use crate::blocks::BlockPool;
use crate::time::MonoTime;

/// One step of a test.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Push this many bytes.
    Push(u16),
    /// Take a frame.
    Pop,
    /// Put a mark.
    Mark,
    /// Begin the utterance of this number; the same number again continues it.
    Utterance(u8),
    /// Let all be played.
    Flush,
    /// Drop all.
    Clear,
    /// Let milliseconds pass.
    Wait(u8),
}

/// Runs the steps that `data` codes, in a configuration that it codes too.
pub fn playout_ops(data: &[u8]) {
    let [choice, steps @ ..] = data else { return };
    let ops: Vec<Op> = steps.chunks(2).map(decode).collect();
    run(config(*choice), &ops);
}

fn decode(step: &[u8]) -> Op {
    let (code, value) = (step.first().copied().unwrap_or(0), step.get(1).copied().unwrap_or(0));
    match code % 8 {
        0 | 1 => Op::Push(u16::from(value) * (1 + u16::from(code) / 8)),
        2 | 3 => Op::Pop,
        4 => Op::Mark,
        5 => Op::Utterance(value),
        6 if value < 64 => Op::Clear,
        6 => Op::Flush,
        _ => Op::Wait(value),
    }
}

/// A configuration by number: ratios that divide, that do not, and below one; odd frames.
pub fn config(choice: u8) -> PlayoutConfig {
    const RATES: [(u32, u32); 6] =
        [(8000, 8000), (8000, 24_000), (8000, 48_000), (48_000, 8000), (16_000, 24_000), (7, 3)];
    let (wire_rate_hz, agent_rate_hz) =
        RATES.get(usize::from(choice) % RATES.len()).copied().unwrap_or((8000, 8000));
    let sample_bytes = 1 + usize::from(choice / 8 % 3);
    let frame_samples = [160, 240, 1, 7].get(usize::from(choice / 32 % 4)).copied().unwrap_or(160);
    PlayoutConfig {
        frame_bytes: frame_samples * sample_bytes,
        packets: false,
        sample_bytes,
        silence: 0xff,
        wire_rate_hz,
        agent_rate_hz,
        max_queue_ms: if choice < 128 { 100 } else { 1000 },
        remainder_wait_ms: 40,
    }
}

/// Runs `ops` on a queue and on its twin.
///
/// # Panics
///
/// If the two ever differ, or if a sample is neither played nor dropped nor queued.
pub fn run(config: PlayoutConfig, ops: &[Op]) {
    let mut pool = BlockPool::new(1024);
    let mut real = Playout::new(config);
    let mut twin = Twin::new(config);
    let mut now = MonoTime::ZERO;
    let mut content = 0u8;
    let mut names = 0u32;
    let mut out = vec![0; config.frame_bytes + 3];
    for op in ops {
        match *op {
            Op::Push(bytes) => {
                let audio: Vec<u8> = (0..bytes)
                    .map(|_| {
                        content = content.wrapping_add(1);
                        content
                    })
                    .collect();
                let pushed = real.push(now, &mut pool, &audio);
                assert_eq!((pushed.accepted_bytes, pushed.full), twin.push(now, &audio));
            }
            Op::Pop => {
                let popped = real.pop(now, &mut pool, &mut out);
                let expected = twin.pop(now);
                assert_eq!(popped, expected.0);
                if let Some(frame) = expected.1 {
                    assert_eq!(out.get(..config.frame_bytes), Some(frame.as_slice()));
                }
            }
            Op::Mark => {
                names += 1;
                let name = names.to_string();
                assert_eq!(real.mark(name.clone()), twin.mark(name));
            }
            Op::Utterance(id) => {
                let id = id.to_string();
                assert_eq!(real.utterance(id.clone()), twin.utterance(id));
            }
            Op::Flush => {
                real.flush();
                twin.items.push_back(Item::Boundary);
            }
            Op::Clear => assert_eq!(real.clear(now, &mut pool), twin.clear()),
            Op::Wait(ms) => now += Duration::from_millis(u64::from(ms)),
        }
        compare(&mut real, &mut twin);
    }
    real.clear(now, &mut pool);
    assert_eq!(pool.used_blocks(), 0, "a drained queue holds no block");
}

fn compare(real: &mut Playout, twin: &mut Twin) {
    while let Some(PlayoutEvent::Mark(mark)) = real.poll_event() {
        assert_eq!(Some(mark), twin.events.pop_front());
    }
    assert!(twin.events.is_empty());
    let counters = real.counters();
    assert_eq!(
        counters.pushed_samples,
        counters.played_samples + counters.dropped_samples + counters.queued_samples
    );
    assert_eq!(counters.queued_samples, twin.queued() as u64);
    assert_eq!(counters.played_samples, twin.played_wire);
    assert_eq!(counters.dropped_samples, twin.dropped_wire);
    assert_eq!(counters.refused_samples, twin.refused_wire);
    assert_eq!(counters.fill_samples, twin.fill_wire);
    assert_eq!(real.played_samples(), twin.played_agent);
    assert_eq!(real.drained(), twin.queued() == 0);
}

enum Item {
    Sample { bytes: Vec<u8>, serial: u64 },
    Mark(String),
    Boundary,
}

struct Spoken {
    id: String,
    serial: u64,
    samples: u64,
    damaged: bool,
}

/// The queue as one would write it down to explain it.
struct Twin {
    config: PlayoutConfig,
    items: VecDeque<Item>,
    utterances: VecDeque<Spoken>,
    serial: u64,
    short_since: Option<MonoTime>,
    talking: bool,
    played_wire: u64,
    dropped_wire: u64,
    refused_wire: u64,
    fill_wire: u64,
    /// The agent's samples, and what is left over of the next one, in parts of the wire's rate.
    played_agent: u64,
    parts: u32,
    events: VecDeque<MarkReport>,
}

impl Twin {
    fn new(config: PlayoutConfig) -> Self {
        Self {
            config,
            items: VecDeque::new(),
            utterances: VecDeque::new(),
            serial: 0,
            short_since: None,
            talking: false,
            played_wire: 0,
            dropped_wire: 0,
            refused_wire: 0,
            fill_wire: 0,
            played_agent: 0,
            parts: 0,
            events: VecDeque::new(),
        }
    }

    fn queued(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Sample { .. })).count()
    }

    fn frame_samples(&self) -> usize {
        self.config.frame_bytes / self.config.sample_bytes
    }

    fn note(&mut self, now: MonoTime, anew: bool) {
        let queued = self.queued();
        if queued == 0 || queued >= self.frame_samples() {
            self.short_since = None;
        } else if anew || self.short_since.is_none() {
            self.short_since = Some(now);
        }
    }

    fn push(&mut self, now: MonoTime, audio: &[u8]) -> (usize, bool) {
        let config = self.config;
        let limit =
            (u64::from(config.max_queue_ms) * u64::from(config.wire_rate_hz) / 1000) as usize;
        let mut room = limit.saturating_sub(self.queued());
        let (mut accepted, mut full) = (0, false);
        for sample in audio.chunks_exact(config.sample_bytes) {
            if room == 0 {
                full = true;
                self.refused_wire += 1;
            } else {
                self.items.push_back(Item::Sample { bytes: sample.to_vec(), serial: self.serial });
                accepted += sample.len();
                room -= 1;
            }
        }
        if full && let Some(open) = self.utterances.back_mut() {
            open.damaged = true;
        }
        self.note(now, false);
        (accepted, full)
    }

    fn mark(&mut self, name: String) -> Result<(), PlayoutError> {
        let waiting = self.items.iter().filter(|item| matches!(item, Item::Mark(_))).count();
        if waiting + self.events.len() >= MARKS_MAX {
            return Err(PlayoutError::TooManyMarks);
        }
        self.items.push_back(Item::Mark(name));
        self.reach_marks();
        Ok(())
    }

    fn utterance(&mut self, id: String) -> Result<(), PlayoutError> {
        if self.utterances.back().is_some_and(|open| open.id == id) {
            return Ok(());
        }
        if self.utterances.len() >= UTTERANCES_MAX {
            let oldest = self.utterances.front().map_or(0, |oldest| oldest.serial);
            let waits =
                |item: &Item| matches!(item, Item::Sample { serial, .. } if *serial <= oldest);
            if self.items.iter().any(waits) {
                return Err(PlayoutError::TooManyUtterances);
            }
            self.utterances.pop_front();
        }
        self.serial += 1;
        self.items.push_back(Item::Boundary);
        self.utterances.push_back(Spoken { id, serial: self.serial, samples: 0, damaged: false });
        Ok(())
    }

    /// Takes everything from the front that is not audio.
    fn reach_marks(&mut self) {
        while !matches!(self.items.front(), None | Some(Item::Sample { .. })) {
            if let Some(Item::Mark(name)) = self.items.pop_front() {
                self.tell(name, false);
            }
        }
    }

    fn tell(&mut self, name: String, cleared: bool) {
        let samples = self.played_agent;
        let played_ms = samples * 1000 / u64::from(self.config.agent_rate_hz);
        self.events.push_back(MarkReport { name, cleared, samples, played_ms });
    }

    fn pop(&mut self, now: MonoTime) -> (Popped, Option<Vec<u8>>) {
        let frame_samples = self.frame_samples();
        let mut due = self.queued();
        if due >= frame_samples {
            due = frame_samples;
        } else {
            let end = self.items.iter().rposition(|item| !matches!(item, Item::Sample { .. }));
            let before = end.map_or(0, |end| {
                let items = self.items.iter().take(end);
                items.filter(|item| matches!(item, Item::Sample { .. })).count()
            });
            let waited = self.short_since.is_some_and(|since| {
                now.since(since) >= Duration::from_millis(u64::from(self.config.remainder_wait_ms))
            });
            if before > 0 {
                due = before;
            } else if !waited {
                due = 0;
            }
        }
        if due == 0 {
            self.talking = false;
            return (Popped::Empty, None);
        }
        let mut frame = Vec::new();
        for _ in 0..due {
            self.reach_marks();
            if let Some(Item::Sample { bytes, serial }) = self.items.pop_front() {
                frame.extend(bytes);
                self.play_one(serial);
            }
        }
        self.reach_marks();
        let fill_bytes = self.config.frame_bytes - frame.len();
        self.fill_wire += (fill_bytes / self.config.sample_bytes) as u64;
        frame.resize(self.config.frame_bytes, self.config.silence);
        self.note(now, true);
        let talkspurt_start = !std::mem::replace(&mut self.talking, true);
        (Popped::Frame { fill_bytes, talkspurt_start }, Some(frame))
    }

    fn play_one(&mut self, serial: u64) {
        self.played_wire += 1;
        self.parts += self.config.agent_rate_hz;
        let samples = u64::from(self.parts / self.config.wire_rate_hz);
        self.parts %= self.config.wire_rate_hz;
        self.played_agent += samples;
        if let Some(spoken) = self.utterances.iter_mut().find(|spoken| spoken.serial == serial) {
            spoken.samples += samples;
        }
    }

    fn clear(&mut self) -> Cleared {
        let mut dropped = 0;
        for item in std::mem::take(&mut self.items) {
            match item {
                Item::Sample { serial, .. } => {
                    dropped += 1;
                    for spoken in &mut self.utterances {
                        spoken.damaged |= spoken.serial == serial;
                    }
                }
                Item::Mark(name) => self.tell(name, true),
                Item::Boundary => {}
            }
        }
        self.dropped_wire += dropped;
        self.serial += 1;
        self.short_since = None;
        self.talking = false;
        let report = |spoken: Spoken| UtterancePlayed {
            complete: spoken.samples > 0 && !spoken.damaged,
            id: spoken.id,
            samples: spoken.samples,
        };
        Cleared {
            dropped_ms: dropped * 1000 / u64::from(self.config.wire_rate_hz),
            samples: self.played_agent,
            played_ms: self.played_agent * 1000 / u64::from(self.config.agent_rate_hz),
            utterances: self.utterances.drain(..).map(report).collect(),
        }
    }
}
