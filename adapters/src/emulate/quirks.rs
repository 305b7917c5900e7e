//! What goes wrong at a carrier, or differs from one day to the next.

/// A fault of the carrier's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with the body the carrier has for it.
    Status(u16),
    /// A success whose body is no such thing.
    Malformed,
    /// No answer, although the request is carried out.
    Silent,
    /// No answer, and nothing is done.
    Lost,
}

/// What goes wrong, or differs. [`Default`]: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Frames that are held back and sent together; 0 or 1 for none.
    pub burst_frames: u32,
    /// Bytes of a frame, where they differ from the carrier's usual.
    pub frame_bytes: Option<u32>,
    /// The audio is A-law whatever was agreed.
    pub alaw: bool,
    /// Marks come back so much late, in milliseconds.
    pub mark_delay_ms: u32,
    /// Marks never come back.
    pub marks_lost: bool,
    /// Each webhook comes twice.
    pub hooks_twice: bool,
    /// Webhooks about the state of a call come in the wrong order, by pairs.
    pub hooks_swapped: bool,
    /// Webhooks about the state of a call never come.
    pub hooks_lost: bool,
    /// The media socket is cut off so long after it began, in milliseconds.
    pub cut_after_ms: Option<u32>,
    /// A called person answers so long after the first ring, in milliseconds; `None` leaves it to
    /// the commands.
    pub answer_after_ms: Option<u32>,
    /// What answers a called number, in the carrier's word, if machines are to be detected.
    pub machine: Option<String>,
    /// Faults of the API, each used once, at the next request whose operation has that word:
    /// `originate`, `hangup`, `transfer`, `status`, `numbers`, `bind`, `provision`, `record`,
    /// `test`, `trunk`.
    pub faults: Vec<(String, Fault)>,
}

impl Quirks {
    /// The next fault of an operation, which is used up.
    pub fn fault(&mut self, operation: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|(word, _)| word == operation)?;
        Some(self.faults.remove(at).1)
    }

    /// Sets a quirk by its word, as a command line gives it: `burst=5`, `frame=80`, `alaw`,
    /// `mark-delay=500`, `marks-lost`, `hooks-twice`, `hooks-swapped`, `hooks-lost`, `cut=2000`,
    /// `answer=300`, `machine=machine_start`, `fail=originate:503` (or `malformed`, `silent`,
    /// `lost`).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn set(&mut self, quirk: &str) -> Result<(), String> {
        let (word, value) = quirk.split_once('=').unwrap_or((quirk, ""));
        let number = || value.parse::<u32>().map_err(|_| format!("{word} wants a number"));
        match word {
            "burst" => self.burst_frames = number()?,
            "frame" => self.frame_bytes = Some(number()?),
            "alaw" => self.alaw = true,
            "mark-delay" => self.mark_delay_ms = number()?,
            "marks-lost" => self.marks_lost = true,
            "hooks-twice" => self.hooks_twice = true,
            "hooks-swapped" => self.hooks_swapped = true,
            "hooks-lost" => self.hooks_lost = true,
            "cut" => self.cut_after_ms = Some(number()?),
            "answer" => self.answer_after_ms = Some(number()?),
            "machine" => self.machine = Some(value.to_owned()),
            "fail" => {
                let (operation, fault) = value.split_once(':').ok_or("fail=operation:fault")?;
                let fault = match fault {
                    "malformed" => Fault::Malformed,
                    "silent" => Fault::Silent,
                    "lost" => Fault::Lost,
                    status => match status.parse() {
                        Ok(status @ 400..=599) => Fault::Status(status),
                        _ => return Err("a fault is 400 to 599, malformed, silent, lost".into()),
                    },
                };
                self.faults.push((operation.to_owned(), fault));
            }
            _ => return Err(format!("no such quirk: {word}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word sets its quirk, nonsense is refused, and a fault is used once.
    #[test]
    fn words_set_quirks() {
        let mut quirks = Quirks::default();
        for word in [
            "burst=5",
            "frame=80",
            "alaw",
            "mark-delay=500",
            "marks-lost",
            "hooks-twice",
            "hooks-swapped",
            "hooks-lost",
            "cut=2000",
            "answer=300",
            "machine=fax",
            "fail=originate:503",
            "fail=hangup:silent",
        ] {
            let before = quirks.clone();
            quirks.set(word).unwrap();
            assert_ne!(quirks, before, "{word}");
        }
        for word in ["burst", "burst=x", "fail=a", "fail=a:200", "fail=a:b", "nonsense"] {
            assert!(quirks.set(word).is_err(), "{word}");
        }
        assert_eq!(quirks.fault("originate"), Some(Fault::Status(503)));
        assert_eq!(quirks.fault("originate"), None);
        assert_eq!(quirks.fault("hangup"), Some(Fault::Silent));
    }
}
