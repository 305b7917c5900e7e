//! The table of providers. Adding one is a folder and a name in the list below; routes, form,
//! masks, validation, API schema, labels of metrics, documentation and the conformance tests follow
//! from its [`ProviderSpec`].

use crate::hook::{HookRequest, Inbound};
use crate::spec::ProviderSpec;

/// Declares a module for each name, each in a folder of its own beside this file, and gathers the
/// `SPEC` of each. Names that are not sorted, occur twice, or differ from that in the spec do not
/// compile.
macro_rules! providers {
    ($($name:ident),+ $(,)?) => {
        // The path makes the folders siblings of this file instead of children.
        #[path = "."]
        mod entries {
            $(pub(super) mod $name;)+
        }

        /// Every provider, sorted by name.
        pub static PROVIDERS: &[&ProviderSpec] = &[$(&entries::$name::SPEC),+];

        const _: () = {
            assert!(are_sorted_and_unique(&[$(stringify!($name)),+]), "sort the providers");
            $(assert!(
                are_equal(entries::$name::SPEC.name, stringify!($name)),
                "a provider is called as its folder is"
            );)+
        };
    };
}

providers! { ari, cloudonix, exotel, genesys, plivo, sip_trunk, telnyx, twilio, vobiz, vonage }

/// The provider with that name.
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    PROVIDERS.iter().copied().find(|spec| spec.name == name)
}

/// The provider whose request this seems to be, and what it does with offered calls: for the shared
/// entry. Proves nothing.
pub fn recognise(request: &HookRequest<'_>) -> Option<(&'static ProviderSpec, Inbound)> {
    let offering = PROVIDERS.iter().filter_map(|spec| Some((*spec, spec.inbound?)));
    let recognising = offering.filter(|(_, inbound)| (inbound.recognise)(request));
    // Of two that recognise it the first in the table counts.
    recognising.min_by_key(|(_, inbound)| inbound.rank)
}

const fn are_sorted_and_unique(names: &[&str]) -> bool {
    let mut index = 1;
    while index < names.len() {
        if !is_less(names[index - 1], names[index]) {
            return false;
        }
        index += 1;
    }
    true
}

const fn is_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() {
        if a[index] != b[index] {
            return a[index] < b[index];
        }
        index += 1;
    }
    a.len() < b.len()
}

const fn are_equal(a: &str, b: &str) -> bool {
    !is_less(a, b) && !is_less(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the compiler asserts of the table refuses lists that are out of order or name something
    /// twice, and nothing else.
    #[test]
    fn order_is_asserted() {
        for good in [&["a", "b", "ba"][..], &["a"], &[], &["sip_trunk", "telnet"]] {
            assert!(are_sorted_and_unique(good), "{good:?}");
        }
        for bad in [&["b", "a"][..], &["a", "a"], &["ab", "a"], &["a", "c", "b"]] {
            assert!(!are_sorted_and_unique(bad), "{bad:?}");
        }
        assert!(are_equal("a", "a") && !are_equal("a", "ab") && !are_equal("b", "a"));
    }

    /// Each provider is found by its name, and nothing by another.
    #[test]
    fn providers_are_found() {
        for spec in PROVIDERS {
            assert!(std::ptr::eq(find(spec.name).unwrap(), *spec));
        }
        assert!(find("").is_none() && find("sip_trunks").is_none());
    }
}
