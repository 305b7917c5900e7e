//! Who calls and who is called, in a UUID.
//!
//! AudioSocket has room for nothing but a UUID. One that nobody made up before may say two numbers:
//! the first half of its digits the calling, the second the called one, each of up to 16 decimal
//! digits, with `f` in front of shorter ones. A dialplan makes it of its variables.

/// Digits that a number in a UUID may have.
pub const UUID_NUMBER_DIGITS_MAX: usize = 16;

/// Two numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Who calls; none if it is withheld.
    pub from: Option<String>,
    /// Who is called.
    pub to: String,
}

impl Numbers {
    /// The numbers that `uuid` says; `None` if it says none.
    pub fn of(uuid: [u8; 16]) -> Option<Self> {
        let (from, to) = uuid.split_at(UUID_NUMBER_DIGITS_MAX / 2);
        let (from, to) = (number(from)?, number(to)?);
        (!to.is_empty()).then(|| Self { from: Some(from).filter(|from| !from.is_empty()), to })
    }

    /// The UUID that says these numbers; `None` if one has another character than digits, or too
    /// many.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        let from = self.from.as_deref().unwrap_or_default();
        let text = format!("{}{}", padded(from)?, padded(&self.to)?);
        Some(u128::from_str_radix(&text, 16).ok()?.to_be_bytes())
    }
}

/// The digits of one half.
fn number(half: &[u8]) -> Option<String> {
    let digits = half.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let digits = digits.skip_while(|digit| *digit == 0x0f);
    let digit = |digit: u8| char::from_digit(u32::from(digit), 10);
    digits.map(digit).collect()
}

fn padded(number: &str) -> Option<String> {
    let fits = number.len() <= UUID_NUMBER_DIGITS_MAX && number.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| format!("{number:f>UUID_NUMBER_DIGITS_MAX$}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uuid(text: &str) -> [u8; 16] {
        u128::from_str_radix(&text.replace('-', ""), 16).unwrap().to_be_bytes()
    }

    /// What a dialplan makes, and what it does not.
    #[test]
    fn numbers_in_uuids() {
        let numbers = |from: Option<&str>, to: &str| {
            Some(Numbers { from: from.map(str::to_owned), to: to.to_owned() })
        };
        for (text, expected) in [
            ("ffffffff-ffff-ff49-ffff-fffffffff600", numbers(Some("49"), "600")),
            ("ffffffff-ffff-ffff-ffff-fffffffff600", numbers(None, "600")),
            (
                "00493012-3456-7890-0049-301234567891",
                numbers(Some("0049301234567890"), "0049301234567891"),
            ),
            ("fffffff0-0049-3012-ffff-ffffffff0800", numbers(Some("000493012"), "0800")),
            ("ffffffff-ffff-ff49-ffff-ffffffffffff", None),
            ("40325ec2-5efd-4bd3-805f-53576e581d13", None),
            ("ffffffff-ffff-ff49-ffff-ffffffffa600", None),
            ("ffffffff-ffff-ff4f-ffff-fffffffff600", None),
        ] {
            assert_eq!(Numbers::of(uuid(text)), expected, "{text}");
            if let Some(expected) = expected {
                assert_eq!(expected.uuid(), Some(uuid(text)));
            }
        }
        for wrong in ["", "+49", "12345678901234567", "anonymous"] {
            let uuid = Numbers { from: None, to: wrong.to_owned() }.uuid();
            assert_eq!(uuid.and_then(Numbers::of), None, "{wrong}");
        }
    }

    proptest! {
        /// Numbers come back as they were.
        #[test]
        fn there_and_back(from in "[0-9]{0,16}", to in "[0-9]{1,16}") {
            let numbers = Numbers { from: Some(from).filter(|from| !from.is_empty()), to };
            prop_assert_eq!(numbers.uuid().and_then(Numbers::of), Some(numbers));
        }

        /// Any UUID says digits or nothing.
        #[test]
        fn any_uuid(uuid: [u8; 16]) {
            if let Some(numbers) = Numbers::of(uuid) {
                prop_assert!(numbers.to.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(numbers.uuid(), Some(uuid));
            }
        }
    }
}
