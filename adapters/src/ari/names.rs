//! Names of what we make at Asterisk: they tell whose it is and what for.
//!
//! `<application>.<role>.<our id of the call>[.<number, or our id of the transfer>]`. A name is
//! never used twice: a channel whose name is in use brings some versions down.

use super::request::app;
use crate::config::RawConfig;
use crate::exchange::CarrierError;
use crate::hook::HookUrls;

/// What something of ours at Asterisk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The leg of whom we call.
    Peer,
    /// Audio to and from us.
    Media,
    /// Joins them.
    Bridge,
    /// The leg of who takes the call over once it answered, when it is asked for.
    Target,
    /// The same at once.
    BlindTarget,
}

impl Role {
    const ALL: [Self; 5] = [Self::Peer, Self::Media, Self::Bridge, Self::Target, Self::BlindTarget];

    const fn letter(self) -> &'static str {
        match self {
            Self::Peer => "o",
            Self::Media => "m",
            Self::Bridge => "b",
            Self::Target => "t",
            Self::BlindTarget => "x",
        }
    }
}

/// Names of one call.
#[derive(Clone, Debug)]
pub(super) struct Names {
    app: String,
    call: String,
}

impl Names {
    /// Of the call that the hooks are of.
    pub(super) fn of(config: &RawConfig, hooks: &HookUrls) -> Result<Self, CarrierError> {
        let call = hooks.call().ok_or(CarrierError::Config("a call without an id of ours"))?;
        Ok(Self { app: app(config)?.to_owned(), call: call.to_owned() })
    }

    /// Of something that there is one of.
    pub(super) fn name(&self, role: Role) -> String {
        format!("{}.{}.{}", self.app, role.letter(), self.call)
    }

    /// Of the media channel of that number.
    pub(super) fn media(&self, number: u32) -> String {
        format!("{}.{number}", self.name(Role::Media))
    }

    /// Of the leg that a transfer of that id calls.
    pub(super) fn target(&self, role: Role, transfer: &str) -> String {
        format!("{}.{transfer}", self.name(role))
    }

    /// The application.
    pub(super) fn app(&self) -> &str {
        &self.app
    }

    /// Our id of the call.
    pub(super) fn call(&self) -> &str {
        &self.call
    }
}

/// What a name of an application's stands for, and our id of its call. `None` for names of others,
/// and for the far half of a local channel, which nobody asked for.
pub(super) fn read<'n>(app: &str, name: &'n str) -> Option<(Role, &'n str)> {
    let rest = name.strip_prefix(app)?.strip_prefix('.')?;
    let (letter, rest) = rest.split_once('.')?;
    let role = Role::ALL.into_iter().find(|role| role.letter() == letter)?;
    let call = rest.split('.').next().unwrap_or_default();
    (!call.is_empty() && !rest.contains(';')).then_some((role, call))
}

/// Our id of the transfer that a channel of that name was called for.
pub(super) fn transfer_of<'n>(app: &str, name: &'n str) -> Option<&'n str> {
    let (role, _) = read(app, name)?;
    let is_target = matches!(role, Role::Target | Role::BlindTarget);
    // The application's name has no dots.
    name.split('.').nth(3).filter(|_| is_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are read as they were made; others' are not.
    #[test]
    fn names_are_read() {
        let names = Names { app: "talkpath_1".to_owned(), call: "01-ab".to_owned() };
        for role in Role::ALL {
            assert_eq!(read("talkpath_1", &names.name(role)), Some((role, "01-ab")));
        }
        assert_eq!(read("talkpath_1", &names.media(3)), Some((Role::Media, "01-ab")));
        let target = names.target(Role::BlindTarget, "t-1");
        assert_eq!(read("talkpath_1", &target), Some((Role::BlindTarget, "01-ab")));
        assert_eq!(transfer_of("talkpath_1", &target), Some("t-1"));
        assert_eq!(transfer_of("talkpath_1", &names.media(3)), None);
        for other in [
            "",
            "pbx1-1795328688.89",
            "talkpath_1.o.01-ab;2",
            "talkpath_12.o.01-ab",
            "talkpath_1.z.01-ab",
            "talkpath_1.o.",
            "talkpath_1",
        ] {
            assert_eq!(read("talkpath_1", other), None, "{other}");
        }
    }
}
