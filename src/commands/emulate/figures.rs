//! What is told of a call.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::person::Person;
use crate::commands::chirp;

/// Figures of one call.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    call: String,
    answered: bool,
    /// From its beginning to the answer.
    set_up_ms: Option<f64>,
    /// From its beginning to the media socket.
    streaming_ms: Option<f64>,
    /// From the media socket to the first sound.
    first_audio_ms: Option<f64>,
    duration_ms: f64,
    /// Median from a sound to its return.
    round_trip_ms: Option<f64>,
    chirps_found: usize,
    heard_ms: u64,
    keys: String,
    ended: Option<String>,
    complaints: Vec<String>,
}

/// The figures of a call whose person said `said` samples of the test signal, if it did.
pub(super) fn of(call: &str, person: &Person, said: Option<usize>) -> Figures {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let since = |at: Option<media::time::MonoTime>| at.map(|at| ms(at.since(person.began)));
    let mut delays = match said {
        Some(said) => chirp::delays(person.heard(), said, 0),
        None => Vec::new(),
    };
    delays.sort_unstable();
    let median = delays.get(delays.len() / 2);
    let first = person.first_sound.zip(person.streaming);
    Figures {
        call: call.to_owned(),
        answered: person.answered.is_some(),
        set_up_ms: since(person.answered),
        streaming_ms: since(person.streaming),
        first_audio_ms: first.map(|(sound, streaming)| ms(sound.since(streaming))),
        duration_ms: ms(person.talked()),
        round_trip_ms: median.map(|it| *it as f64 * 1000.0 / f64::from(chirp::RATE_HZ)),
        chirps_found: delays.len(),
        heard_ms: person.heard().len() as u64 * 1000 / u64::from(chirp::RATE_HZ),
        keys: person.keys.clone(),
        ended: person.ended.as_ref().map(|(_, why)| why.clone()),
        complaints: person.complaints.clone(),
    }
}

impl Figures {
    /// True if the call was answered, something was heard, and the carrier had no complaint.
    pub(super) fn is_good(&self) -> bool {
        self.answered && self.heard_ms > 0 && self.complaints.is_empty()
    }

    /// For programs.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<16}{value}");
        };
        let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        line("call", self.call.clone());
        line("set-up", ms(self.set_up_ms));
        line("media socket", ms(self.streaming_ms));
        line("first audio", format!("{} after the media socket", ms(self.first_audio_ms)));
        line("duration", format!("{:.1} s", self.duration_ms / 1000.0));
        line("heard", format!("{:.1} s", self.heard_ms as f64 / 1000.0));
        match self.round_trip_ms {
            Some(_) => {
                let found = self.chirps_found;
                let trip = ms(self.round_trip_ms);
                line("round trip", format!("{trip} through the echo ({found} chirps)"));
            }
            None => line("round trip", "- (nothing came back that was said)".to_owned()),
        }
        if !self.keys.is_empty() {
            line("keys heard", self.keys.clone());
        }
        line("ended", self.ended.clone().unwrap_or_else(|| "-".to_owned()));
        for complaint in &self.complaints {
            line("complaint", complaint.clone());
        }
        text
    }
}
