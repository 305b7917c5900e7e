//! Opus in descriptions: its format parameters (RFC 7587 6.1 and 7).

use media::codec::opus::{RATE_HZ, Settings};

/// What we say as receiver: losses are made up for with what packets repeat. Mono, which is what
/// holds if nothing is said, and no pauses, so that sound is without gaps.
pub(super) const OURS: &str = "useinbandfec=1";

/// The lowest `maxaveragebitrate` that is an Opus stream, in bits a second.
const BITRATE_MIN_BPS: u32 = 6_000;

/// What `parameters` of a peer want of an encoder. What cannot be read, or is out of range, holds
/// as if it were not there.
pub(super) fn settings(parameters: &str) -> Settings {
    let mut settings = Settings::default();
    for parameter in parameters.split(';') {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        let number = || value.parse::<u32>().ok();
        if is("maxplaybackrate") {
            let rate_hz = number().filter(|rate_hz| (8_000..=RATE_HZ).contains(rate_hz));
            settings.max_rate_hz = rate_hz.unwrap_or(settings.max_rate_hz);
        } else if is("maxaveragebitrate") {
            settings.max_bitrate_bps = number().filter(|bps| *bps >= BITRATE_MIN_BPS);
        } else if is("useinbandfec") {
            settings.redundancy = value == "1";
        } else if is("usedtx") {
            settings.pauses = value == "1";
        } else if is("cbr") {
            settings.constant = value == "1";
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7587 7.1, and what phones write.
    #[test]
    fn reads_parameters_of_opus() {
        let none = Settings::default();
        assert_eq!(settings(""), none);
        assert_eq!(
            settings(
                "maxplaybackrate=16000; sprop-maxcapturerate=16000; maxaveragebitrate=20000; \
                 stereo=1; useinbandfec=1; usedtx=0"
            ),
            Settings {
                max_rate_hz: 16_000,
                max_bitrate_bps: Some(20_000),
                redundancy: true,
                ..none
            }
        );
        assert_eq!(
            settings("minptime=10;useinbandfec=1;usedtx=1;CBR=1"),
            Settings { redundancy: true, pauses: true, constant: true, ..none }
        );
    }

    /// What makes no sense is as if it were not there.
    #[test]
    fn ignores_bad_parameters_of_opus() {
        for text in [
            "maxplaybackrate=0",
            "maxplaybackrate=96000",
            "maxplaybackrate=x;maxaveragebitrate=100",
            "maxaveragebitrate=-1;useinbandfec",
            "useinbandfec=yes;usedtx=;=;;",
        ] {
            assert_eq!(settings(text), Settings::default(), "{text}");
        }
    }
}
