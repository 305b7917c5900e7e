//! Addresses of parties: telephone numbers, SIP URIs, extensions; each in one written form, so that
//! equal addresses compare equal.

mod regions;
mod sip;

use serde::Serialize;
use thiserror::Error;

pub use regions::{REGIONS, Region, region};

use crate::secret::Pii;

/// Most digits of a telephone number with its calling code (ITU-T E.164 6.1).
pub const E164_DIGITS_MAX: usize = 15;
/// Fewest digits of a telephone number with its calling code that is taken for one.
pub const E164_DIGITS_MIN: usize = 7;
/// Most bytes of an address.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressKind {
    /// A telephone number as E.164 writes it: `+4930123456`.
    Pstn,
    /// A `sip:` or `sips:` URI.
    SipUri,
    /// Anything else that can be dialled: a short number, a name.
    SipExtension,
}

/// The address of a party in its one written form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Address {
    kind: AddressKind,
    value: Pii,
}

/// Why a text is no address. None of these tells the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing is left of it.
    #[error("empty")]
    Empty,
    /// It is longer than [`ADDRESS_BYTES_MAX`].
    #[error("longer than {ADDRESS_BYTES_MAX} bytes")]
    TooLong,
    /// It holds a control character, or a blank inside a name or URI.
    #[error("holds a character that no address has")]
    Character,
    /// A `+` with too few or too many digits.
    #[error("not a telephone number: + and {E164_DIGITS_MIN} to {E164_DIGITS_MAX} digits")]
    Digits,
    /// The number does not fit its country's numbering plan.
    #[error("not a telephone number of that country")]
    National,
    /// Many digits without `+` and without a country to tell what they mean.
    #[error("without + and without a country it is not known whose number this is")]
    Ambiguous,
    /// There is no such country.
    #[error("not an ISO 3166-1 country code")]
    Country,
    /// A `sip:` URI without host, or with a bad port.
    #[error("not a SIP URI")]
    SipUri,
}

impl Address {
    /// Reads an address that a person or a carrier wrote.
    ///
    /// - `sip:` and `sips:` URIs: scheme, host and parameters in small letters, default port
    ///   dropped, user part as it is (RFC 3261 19.1.4 compares it with case); a `tel:` URI is its
    ///   number.
    /// - Digits, possibly with blanks, hyphens, dots, slashes and parentheses: with `+` a telephone
    ///   number; with a `country` (ISO 3166-1 alpha-2) a number as it is dialled there, trunk
    ///   prefix (`0`, `8`, …) or international prefix (`00`, `011`, …) and all.
    /// - Anything else is an extension, in small letters. Eight or more bare digits without a
    ///   country are refused, because nobody can tell which country they belong to.
    ///
    /// # Errors
    ///
    /// An [`AddressError`] that says what is wrong.
    pub fn parse(text: &str, country: Option<&str>) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(AddressError::Character);
        }
        if let Some((scheme, rest)) = text.split_once(':') {
            if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
                return sip::normalise(scheme, rest).map(|uri| Self::new(AddressKind::SipUri, uri));
            }
            if scheme.eq_ignore_ascii_case("tel") {
                let number = rest.split(';').next().unwrap_or_default();
                return Self::parse(number, country);
            }
        }
        match number(text) {
            Some(number) => Self::from_digits(&number, country),
            None if text.chars().any(char::is_whitespace) => Err(AddressError::Character),
            None => Ok(Self::new(AddressKind::SipExtension, text.to_lowercase())),
        }
    }

    /// Reads the digits that a carrier sends without a `+` although they begin with a calling code.
    ///
    /// What is not 7 to 15 digits is read as [`Address::parse`] does without a country.
    ///
    /// # Errors
    ///
    /// An [`AddressError`] that says what is wrong.
    pub fn international(text: &str) -> Result<Self, AddressError> {
        let digits = text.trim();
        let fits = (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len());
        if fits && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') {
            return Ok(Self::new(AddressKind::Pstn, format!("+{digits}")));
        }
        Self::parse(text, None)
    }

    /// Reads what was dialled at a PBX: what [`Address::international`] takes, and any other row of
    /// digits as an extension, since there it is for the dialplan to say whose number it is.
    ///
    /// # Errors
    ///
    /// An [`AddressError`] that says what is wrong.
    pub fn dialled(text: &str) -> Result<Self, AddressError> {
        let digits = text.trim();
        let only = digits.len() <= ADDRESS_BYTES_MAX && digits.bytes().all(|b| b.is_ascii_digit());
        match Self::international(text) {
            Err(_) if only && !digits.is_empty() => {
                Ok(Self::new(AddressKind::SipExtension, digits.to_owned()))
            }
            read => read,
        }
    }

    /// What the address is.
    pub const fn kind(&self) -> AddressKind {
        self.kind
    }

    /// The address in its one written form.
    pub fn expose(&self) -> &str {
        self.value.expose()
    }

    /// The telephone number without `+`, as some carriers want it. `None` if it is none.
    pub fn digits(&self) -> Option<&str> {
        self.expose().strip_prefix('+').filter(|_| self.kind == AddressKind::Pstn)
    }

    fn new(kind: AddressKind, value: String) -> Self {
        Self { kind, value: Pii::new(value) }
    }

    fn from_digits(number: &str, country: Option<&str>) -> Result<Self, AddressError> {
        let region = country
            .map(|code| region(&code.trim().to_ascii_uppercase()).ok_or(AddressError::Country))
            .transpose()?;
        let e164 = |digits: &str| {
            let fits = (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len());
            if !fits || digits.starts_with('0') {
                return Err(AddressError::Digits);
            }
            Ok(Self::new(AddressKind::Pstn, format!("+{digits}")))
        };
        if let Some(digits) = number.strip_prefix('+') {
            return e164(digits);
        }
        let Some(region) = region else {
            return match number.len() {
                0..8 => Ok(Self::new(AddressKind::SipExtension, number.to_owned())),
                _ => Err(AddressError::Ambiguous),
            };
        };
        match region.international_prefix {
            "" => {}
            prefix => {
                if let Some(digits) = number.strip_prefix(prefix) {
                    return e164(digits);
                }
            }
        }
        let national = number.strip_prefix(region.trunk_prefix).unwrap_or(number);
        let digits = usize::from(region.digits_min)..=usize::from(region.digits_max);
        if digits.contains(&national.len()) {
            return e164(&format!("{}{national}", region.calling_code))
                .map_err(|_| AddressError::National);
        }
        Err(AddressError::National)
    }
}

/// The digits of `text`, with a leading `+` if there is one, without what people put between them.
/// `None` if there is anything else, or no digit at all.
fn number(text: &str) -> Option<String> {
    let (plus, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut number = String::with_capacity(text.len());
    if plus {
        number.push('+');
    }
    for character in rest.chars() {
        match character {
            '0'..='9' => number.push(character),
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' => {}
            _ => return None,
        }
    }
    number.ends_with(|c: char| c.is_ascii_digit()).then_some(number)
}

#[cfg(test)]
mod tests;
