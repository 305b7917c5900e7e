//! A start that is under way, and may still be called off.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::keys::NewKey;

/// A start, shared by who starts and by who may call that off: whoever of them is first has it.
///
/// Up to the moment in which the server begins to serve, a start waits for others (a database,
/// names, files), leaves nothing that a killed server would not leave, and may be called off. From
/// then on it waits for nobody, and ends as a running server does.
#[derive(Debug)]
pub struct Starting {
    show: fn(&NewKey),
    is_decided: AtomicBool,
}

impl Starting {
    /// One that shows the first key of all, if it makes it, by `show`: at once, for whatever
    /// becomes of the start, the key is kept and is not made again.
    pub const fn new(show: fn(&NewKey)) -> Self {
        Self { show, is_decided: AtomicBool::new(false) }
    }

    /// True if nobody is served, nor will be: the start is called off. Else the server begins to
    /// serve, or does so already.
    pub fn call_off(&self) -> bool {
        self.decide()
    }

    /// The server begins to serve.
    ///
    /// # Errors
    ///
    /// If the start was called off.
    pub(super) fn go_on(&self) -> io::Result<()> {
        let called_off = || io::Error::other("the start was called off");
        self.decide().then_some(()).ok_or_else(called_off)
    }

    /// What shows the first key.
    pub(super) const fn show(&self) -> fn(&NewKey) {
        self.show
    }

    /// True for the first who asks.
    fn decide(&self) -> bool {
        !self.is_decided.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was called off does not go on, and what goes on is not called off.
    #[test]
    fn the_first_decides() {
        let called_off = Starting::new(|_| {});
        assert!(called_off.call_off());
        assert!(called_off.go_on().is_err());
        let goes_on = Starting::new(|_| {});
        goes_on.go_on().unwrap();
        assert!(!goes_on.call_off());
    }
}
