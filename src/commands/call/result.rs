//! What is told of a call.

use std::fmt::Write;

use serde::Serialize;

use super::drive::Outcome;
use crate::commands::chirp;

/// Milliseconds that a sound waits at the sender until its packet is full, and again at the
/// receiver of one that keeps no buffer: the part of mouth-to-ear that no network can save.
const PACKETISATION_MS: f64 = 20.0;

/// Figures of one call.
#[derive(Debug, Serialize)]
pub(super) struct Result {
    answered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    ringing_ms: Option<f64>,
    set_up_ms: Option<f64>,
    first_audio_ms: Option<f64>,
    duration_ms: u64,
    /// Median from a sound's packet to its return.
    round_trip_ms: Option<f64>,
    /// The same with the time a sound takes to fill its packet.
    mouth_to_ear_ms: Option<f64>,
    chirps_found: usize,
    packets_sent: u32,
    packets_received: u64,
    lost: u64,
    loss_percent: f32,
    late: u64,
    duplicates: u64,
    jitter_ms: f64,
    mos: Option<f32>,
}

/// The figures of `outcome`.
pub(super) fn of(outcome: &Outcome) -> Result {
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    let mut delays = outcome.delays.clone();
    delays.sort_unstable();
    let median = delays.get(delays.len() / 2);
    let round_trip_ms = median.map(|samples| *samples as f64 * 1000.0 / f64::from(chirp::RATE_HZ));
    let (status, reason) = outcome.refused.clone().unzip();
    let heard = outcome.leg.packets_received > 0;
    Result {
        answered: outcome.answered,
        status,
        reason,
        ringing_ms: outcome.ringing.map(ms),
        set_up_ms: outcome.set_up.map(ms),
        first_audio_ms: outcome.first_audio.map(ms),
        duration_ms: u64::try_from(outcome.lasted.as_millis()).unwrap_or(u64::MAX),
        round_trip_ms,
        mouth_to_ear_ms: round_trip_ms.map(|ms| ms + PACKETISATION_MS),
        chirps_found: outcome.delays.len(),
        packets_sent: outcome.leg.packets_sent,
        packets_received: outcome.leg.packets_received,
        lost: outcome.leg.lost,
        loss_percent: outcome.leg.loss * 100.0,
        late: outcome.leg.late,
        duplicates: outcome.leg.duplicates,
        jitter_ms: ms(outcome.leg.jitter),
        mos: heard.then_some(outcome.leg.mos),
    }
}

impl Result {
    /// For programs.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.answered {
            let status = self.status.map(|status| status.to_string()).unwrap_or_default();
            let reason = self.reason.as_deref().unwrap_or("gave up");
            return format!("not answered: {status} {reason}\n");
        }
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<16}{value}");
        };
        let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        line("set-up", ms(self.set_up_ms));
        line("first audio", format!("{} after the answer", ms(self.first_audio_ms)));
        line("duration", format!("{:.1} s", self.duration_ms as f64 / 1000.0));
        match self.round_trip_ms {
            Some(_) => line(
                "mouth to ear",
                format!(
                    "{} through the echo ({} on the way, {} chirps)",
                    ms(self.mouth_to_ear_ms),
                    ms(self.round_trip_ms),
                    self.chirps_found
                ),
            ),
            None => line("mouth to ear", "- (nothing came back that was said)".to_owned()),
        }
        line("packets", format!("{} sent, {} received", self.packets_sent, self.packets_received));
        line("loss", format!("{} ({:.2} %), {} late", self.lost, self.loss_percent, self.late));
        line("jitter", ms(Some(self.jitter_ms)));
        line("MOS", self.mos.map_or("-".to_owned(), |mos| format!("{mos:.2}")));
        text
    }
}
