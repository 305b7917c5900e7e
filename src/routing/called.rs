//! The forms in which a called address may be known.

use std::borrow::Cow;

use adapters::address::{Address, AddressKind};

use super::pattern::plain;

/// A called address, in every form in which it may be known.
#[derive(Clone, Debug)]
pub struct Called<'a> {
    /// The user part, or the number, as it was called; without `+`.
    user: Cow<'a, str>,
    /// The number with its calling code and without `+`, if the user part is one by the numbering
    /// plan of the line's country.
    number: Option<String>,
    /// The whole URI in its one written form, or the user part in small letters if it is not that
    /// already: as extensions are known.
    others: [Option<String>; 2],
}

impl<'a> Called<'a> {
    /// The called `user`, or number. `uri` is the whole Request-URI, where there is one; `country`
    /// (ISO 3166-1 alpha-2) tells what bare numbers mean.
    pub fn new(user: &'a str, uri: Option<&str>, country: Option<&str>) -> Self {
        let written = plain(user);
        let number = country.and_then(|country| {
            let address = Address::parse(user, Some(country)).ok()?;
            address.digits().filter(|digits| *digits != written).map(str::to_owned)
        });
        let uri = uri.and_then(|uri| {
            let address = Address::parse(uri, None).ok()?;
            (address.kind() == AddressKind::SipUri).then(|| address.expose().to_owned())
        });
        let small = written.chars().any(char::is_uppercase).then(|| written.to_lowercase());
        Self { user: Cow::Borrowed(written), number, others: [uri, small] }
    }

    /// The forms that patterns of routes are compared with.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.user).chain(self.number.as_deref())
    }

    /// The forms that numbers are known by.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        self.users().chain(self.others.iter().filter_map(Option::as_deref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(user: &str, uri: Option<&str>, country: Option<&str>) -> Vec<String> {
        Called::new(user, uri, country).forms().map(str::to_owned).collect()
    }

    /// A number is known as it is called, and by the plan of its country; users also in small
    /// letters, and by their whole URI.
    #[test]
    fn forms_of_addresses() {
        assert_eq!(forms("+4930123456", None, None), ["4930123456"]);
        assert_eq!(forms("+4930123456", None, Some("DE")), ["4930123456"]);
        assert_eq!(forms("030123456", None, Some("DE")), ["030123456", "4930123456"]);
        assert_eq!(forms("030123456", None, None), ["030123456"]);
        assert_eq!(forms("100", None, Some("DE"))[0], "100");
        let uri = Some("sip:Alice@EXAMPLE.com:5060");
        assert_eq!(forms("Alice", uri, None), ["Alice", "sip:Alice@example.com", "alice"]);
        assert_eq!(forms("", Some("tel:+49"), Some("XX")), [""]);
    }
}
