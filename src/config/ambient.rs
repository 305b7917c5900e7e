//! `ambient` and what belongs to it, on routes and agents: the sound of a room under an agent.

use std::path::PathBuf;

use super::section::Section;

/// A sound that callers hear under an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Ambient {
    /// WAV file, which is played over and over.
    pub file: PathBuf,
    /// By how much it is made louder, in decibels.
    pub gain_db: f32,
    /// By how much it is made quieter while the agent speaks.
    pub duck_db: f32,
}

/// Default of `ambient_gain_db`: files are as loud as they are to be.
const GAIN_DB: i64 = 0;
/// Default of `ambient_duck_db`.
const DUCK_DB: i64 = 9;

/// Reads `ambient`, `ambient_gain_db` and `ambient_duck_db`.
pub(super) fn ambient(section: &Section<'_>) -> Option<Ambient> {
    let file = section.file("ambient");
    let gain_db = section.signed("ambient_gain_db", -60..=12);
    let duck_db = section.signed("ambient_duck_db", 0..=60);
    if !section.has("ambient") {
        for (key, right) in [("ambient_gain_db", gain_db), ("ambient_duck_db", duck_db)] {
            if right.is_some() {
                section.conflict(key, "there is no ambient sound here that it is about".to_owned());
            }
        }
    }
    Some(Ambient {
        file: file?,
        gain_db: gain_db.unwrap_or(GAIN_DB) as f32,
        duck_db: duck_db.unwrap_or(DUCK_DB) as f32,
    })
}
