//! G.711 of the generator's own, one sample at a time (ITU-T G.191, 16-bit linear).

/// A companding law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Law {
    /// µ-law.
    #[default]
    Pcmu,
    /// A-law.
    Pcma,
}

impl Law {
    /// The linear sample of a code.
    pub(crate) fn decode(self, code: u8) -> i16 {
        match self {
            Self::Pcmu => {
                let code = !code;
                let exponent = code >> 4 & 7;
                let magnitude = ((i16::from(code & 15) << 3) + 0x84) << exponent;
                let value = magnitude - 0x84;
                if code & 0x80 != 0 { -value } else { value }
            }
            Self::Pcma => {
                let code = code ^ 0x55;
                let exponent = code >> 4 & 7;
                let mantissa = i16::from(code & 15) << 4;
                let value = match exponent {
                    0 => mantissa + 8,
                    _ => (mantissa + 0x108) << (exponent - 1),
                };
                if code & 0x80 != 0 { value } else { -value }
            }
        }
    }

    /// The code whose linear value lies nearest, by search: made once for a sound, not for a call.
    pub(crate) fn encode(self, sample: i16) -> u8 {
        let distance = |code: u8| (i32::from(self.decode(code)) - i32::from(sample)).abs();
        (0..=u8::MAX).min_by_key(|code| distance(*code)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corner values of both laws, and each code is the code of its own value (µ-law has two
    /// zeros).
    #[test]
    fn values_and_their_codes() {
        for (law, code, value) in [
            (Law::Pcmu, 0xFF, 0),
            (Law::Pcmu, 0x80, 32_124),
            (Law::Pcmu, 0x00, -32_124),
            (Law::Pcmu, 0xEF, 132),
            (Law::Pcma, 0xD5, 8),
            (Law::Pcma, 0x55, -8),
            (Law::Pcma, 0xAA, 32_256),
            (Law::Pcma, 0x2A, -32_256),
        ] {
            assert_eq!(law.decode(code), value, "{law:?} {code:02x}");
        }
        for law in [Law::Pcmu, Law::Pcma] {
            for code in 0..=u8::MAX {
                assert_eq!(law.decode(law.encode(law.decode(code))), law.decode(code));
            }
        }
    }
}
