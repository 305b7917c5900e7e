//! What a call has at Asterisk, and how it stands.

use crate::exchange::CarrierError;

/// How something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ThingState {
    /// Nobody asked for it.
    #[default]
    Unmade,
    /// It was asked for, and may be there.
    Asked,
    /// It is there.
    There,
    /// It was asked to go.
    Going,
    /// It is not there any more.
    Gone,
}

/// A channel or a bridge.
#[derive(Clone, Debug, Default)]
pub(super) struct Thing {
    /// Its name.
    pub(super) name: String,
    state: ThingState,
}

impl Thing {
    /// That was asked for under this name.
    pub(super) const fn asked(name: String) -> Self {
        Self { name, state: ThingState::Asked }
    }

    /// That is there.
    pub(super) const fn there(name: String) -> Self {
        Self { name, state: ThingState::There }
    }

    pub(super) fn is_unmade(&self) -> bool {
        self.state == ThingState::Unmade
    }

    pub(super) fn is_there(&self) -> bool {
        self.state == ThingState::There
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == ThingState::Gone
    }

    /// True if nothing of it is left, or ever was.
    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self.state, ThingState::Unmade | ThingState::Gone)
    }

    /// It was made. That it is gone already may have been told before.
    pub(super) fn made(&mut self) {
        if self.state == ThingState::Asked {
            self.state = ThingState::There;
        }
    }

    /// It was not made, or perhaps: then it is deleted as if it were there.
    pub(super) fn not_made(&mut self, error: &CarrierError) {
        if self.state == ThingState::Asked {
            let perhaps = matches!(error, CarrierError::Unavailable);
            self.state = if perhaps { ThingState::There } else { ThingState::Gone };
        }
    }

    /// It is asked to go; true if it is to be, and was not before.
    pub(super) fn goes(&mut self) -> bool {
        let goes = self.is_there();
        if goes {
            self.state = ThingState::Going;
        }
        goes
    }

    pub(super) const fn gone(&mut self) {
        self.state = ThingState::Gone;
    }
}
