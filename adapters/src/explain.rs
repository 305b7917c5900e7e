//! Why a request of a carrier is believed or not, told step by step: for a person whose webhooks
//! are refused.
//!
//! A provider writes its verification once, over a [`Trace`] that costs nothing while it is off;
//! [`Hook::verify`](crate::hook::Hook::verify) runs it with the trace off and
//! [`Hook::explain`](crate::hook::Hook::explain) with it on, so that the two cannot disagree.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::hook::VerifyError;

/// Characters of a signature that are shown: enough to compare, too few to be used.
const SHOWN_CHARS: usize = 6;

/// What became of a verification, and how. Serialised: `valid`, `reason`, `step` (the one that
/// failed), `steps`, `signed_string`, `expected`, `got`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What verification says.
    pub verdict: Result<(), VerifyError>,
    /// The steps in order, up to the one that failed.
    pub steps: Vec<&'static str>,
    /// What should have been signed, as far as it came to that. Holds no secret of the
    /// configuration, but everything that the request does.
    pub signed_string: Option<String>,
    /// The signature that this request should have, cut short.
    pub expected: Option<String>,
    /// The signature that came, cut short.
    pub got: Option<String>,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("valid", &self.verdict.is_ok())?;
        if let Err(reason) = &self.verdict {
            map.serialize_entry("reason", &reason.to_string())?;
            map.serialize_entry("step", &self.steps.last())?;
        }
        map.serialize_entry("steps", &self.steps)?;
        map.serialize_entry("signed_string", &self.signed_string)?;
        map.serialize_entry("expected", &self.expected)?;
        map.serialize_entry("got", &self.got)?;
        map.end()
    }
}

/// Notes what a verification does, or nothing while it is off.
#[derive(Debug, Default)]
pub struct Trace(Option<Notes>);

#[derive(Debug, Default)]
struct Notes {
    steps: Vec<&'static str>,
    signed_string: Option<String>,
    expected: Option<String>,
    got: Option<String>,
}

impl Trace {
    /// One that notes nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// A step begins; it is the one that failed if no other follows.
    pub fn step(&mut self, name: &'static str) {
        if let Some(notes) = &mut self.0 {
            notes.steps.push(name);
        }
    }

    /// What should have been signed. Of several forms that are tried the last one noted stays.
    pub fn signed(&mut self, text: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.0 {
            notes.signed_string = Some(text());
        }
    }

    /// The signature that it should have.
    pub fn expected(&mut self, signature: &str) {
        if let Some(notes) = &mut self.0 {
            notes.expected = Some(cut(signature));
        }
    }

    /// The signature that came.
    pub fn got(&mut self, signature: &str) {
        if let Some(notes) = &mut self.0 {
            notes.got = Some(cut(signature));
        }
    }
}

/// Runs a verification and tells how it went.
pub fn explain(verify: impl FnOnce(&mut Trace) -> Result<(), VerifyError>) -> Explanation {
    let mut trace = Trace(Some(Notes::default()));
    let verdict = verify(&mut trace);
    let Notes { steps, signed_string, expected, got } = trace.0.unwrap_or_default();
    Explanation { verdict, steps, signed_string, expected, got }
}

fn cut(signature: &str) -> String {
    let length = signature.chars().count();
    let shown: String = signature.chars().take(SHOWN_CHARS.min(length / 2)).collect();
    format!("{shown}… ({length} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification(trace: &mut Trace) -> Result<(), VerifyError> {
        trace.step("the header is there");
        trace.got("c2lnbmF0dXJl");
        trace.step("the signature fits");
        trace.signed(|| "https://t.example/".to_owned());
        trace.expected("b3RoZXI9PQ==");
        Err(VerifyError::Signature)
    }

    /// The last step is the one that failed, signatures are cut short, and a trace that is off
    /// notes nothing.
    #[test]
    fn a_refusal_is_told() {
        let told = serde_json::to_value(explain(verification)).unwrap();
        assert_eq!((&told["valid"], &told["step"]), (&false.into(), &"the signature fits".into()));
        assert_eq!(told["signed_string"], "https://t.example/");
        assert_eq!(told["got"], "c2lnbm… (12 characters)");
        assert!(!told.to_string().contains("b3RoZXI9PQ"));
        let mut off = Trace::off();
        assert_eq!(verification(&mut off), Err(VerifyError::Signature));
        assert!(off.0.is_none());
        let good = explain(|_| Ok(()));
        assert!(good.verdict.is_ok() && good.steps.is_empty());
    }
}
