//! What a carrier was sent and has not played: audio, and marks between it that are told once they
//! are reached.

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;

use super::{Output, Quirks, Told};

/// What waits to be played.
enum Item {
    Audio(VecDeque<u8>),
    Mark(String),
}

/// A carrier's own queue of one call.
#[derive(Default)]
pub(crate) struct Playback {
    items: VecDeque<Item>,
    /// Marks that were reached, and when that is told.
    reached: VecDeque<(MonoTime, String)>,
}

impl Playback {
    /// Bytes of audio that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let bytes = |item: &Item| match item {
            Item::Audio(audio) => audio.len(),
            Item::Mark(_) => 0,
        };
        self.items.iter().map(bytes).sum()
    }

    /// Queues audio.
    pub(crate) fn push(&mut self, audio: Vec<u8>) {
        self.items.push_back(Item::Audio(audio.into()));
    }

    /// Queues a mark behind what waits.
    pub(crate) fn mark(&mut self, name: String) {
        self.items.push_back(Item::Mark(name));
    }

    /// Drops what waits; the names of the marks in it.
    pub(crate) fn clear(&mut self) -> Vec<String> {
        let name = |item: Item| match item {
            Item::Mark(name) => Some(name),
            Item::Audio(_) => None,
        };
        self.items.drain(..).filter_map(name).collect()
    }

    /// A mark was reached: it is told as late as the quirks have it, or never.
    pub(crate) fn reach(&mut self, at: MonoTime, name: String, quirks: &Quirks) {
        if !quirks.marks_lost {
            self.tell(at + Duration::from_millis(quirks.mark_delay_ms.into()), name);
        }
    }

    /// A mark is told at `at`, whatever the quirks are.
    pub(crate) fn tell(&mut self, at: MonoTime, name: String) {
        self.reached.push_back((at, name));
    }

    /// Lets the person hear the next `bytes`, and reaches the marks before, in and right behind
    /// them.
    pub(crate) fn play(
        &mut self,
        at: MonoTime,
        bytes: usize,
        call: &str,
        quirks: &Quirks,
        outputs: &mut VecDeque<Output>,
    ) {
        let mut heard = Vec::with_capacity(bytes);
        loop {
            match self.items.front_mut() {
                Some(Item::Audio(audio)) if heard.len() < bytes => {
                    let count = audio.len().min(bytes - heard.len());
                    heard.extend(audio.drain(..count));
                    if audio.is_empty() {
                        self.items.pop_front();
                    }
                }
                Some(Item::Mark(name)) => {
                    let name = std::mem::take(name);
                    self.items.pop_front();
                    self.reach(at, name, quirks);
                }
                _ => break,
            }
        }
        if !heard.is_empty() {
            let call = call.to_owned();
            outputs.push_back(Output::Told(Told::Heard { call, audio: heard }));
        }
    }

    /// The next mark that is to be told by now.
    pub(crate) fn told(&mut self, now: MonoTime) -> Option<String> {
        self.reached.front().filter(|(at, _)| *at <= now)?;
        self.reached.pop_front().map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(outputs: &mut VecDeque<Output>) -> Vec<Vec<u8>> {
        let audio = |output: Output| match output {
            Output::Told(Told::Heard { audio, .. }) => audio,
            other => panic!("{other:?}"),
        };
        outputs.drain(..).map(audio).collect()
    }

    /// Audio is heard in steps, whatever pieces it came in; a mark is reached in the step that ends
    /// at it, and told as late as it is wanted.
    #[test]
    fn marks_are_reached_with_what_is_before_them() {
        let quirks = Quirks { mark_delay_ms: 5, ..Quirks::default() };
        let (mut playback, mut outputs) = (Playback::default(), VecDeque::new());
        playback.push(vec![1; 3]);
        playback.push(vec![2; 5]);
        playback.mark("a".into());
        playback.push(vec![3; 1]);
        assert_eq!(playback.waiting_bytes(), 9);
        let mut step = |at: Duration, playback: &mut Playback| {
            playback.play(MonoTime::ZERO + at, 4, "c", &quirks, &mut outputs);
            heard(&mut outputs)
        };
        let ms = Duration::from_millis;
        assert_eq!(step(ms(20), &mut playback), [[1, 1, 1, 2]]);
        assert_eq!(playback.told(MonoTime::ZERO + ms(99)), None);
        assert_eq!(step(ms(40), &mut playback), [[2, 2, 2, 2]]);
        assert_eq!(playback.told(MonoTime::ZERO + ms(44)), None);
        assert_eq!(playback.told(MonoTime::ZERO + ms(45)).as_deref(), Some("a"));
        assert_eq!(step(ms(60), &mut playback), [[3]]);
        assert!(step(ms(80), &mut playback).is_empty());
    }

    /// What is cleared is not heard; lost marks are never told.
    #[test]
    fn what_is_cleared_is_gone() {
        let quirks = Quirks { marks_lost: true, ..Quirks::default() };
        let (mut playback, mut outputs) = (Playback::default(), VecDeque::new());
        playback.mark("a".into());
        playback.push(vec![1; 3]);
        playback.mark("b".into());
        assert_eq!(playback.clear(), ["a", "b"]);
        playback.mark("c".into());
        playback.play(MonoTime::ZERO, 4, "c", &quirks, &mut outputs);
        assert!(outputs.is_empty() && playback.told(MonoTime::ZERO).is_none());
        playback.tell(MonoTime::ZERO, "a".into());
        assert_eq!(playback.told(MonoTime::ZERO).as_deref(), Some("a"));
    }
}
