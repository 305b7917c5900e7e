//! The vectors of RFC 3711 appendix B, RFC 6188 section 7 and RFC 7714 sections 16 and 17.

use super::cipher::{Cipher, Trailer, counter};
use super::derive::{CounterMode, Label, derive};
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The key stream from the start and across the end of a byte of the block counter.
fn stream(key: &str, expected: [&str; 6]) {
    let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
    let key = CounterMode::new(&hex(key)).unwrap();
    let mut bytes = vec![0; 0xff02 * 16];
    key.apply(counter(&salt, 0, 0), &mut bytes);
    for (block, expected) in [0, 1, 2, 0xfeff, 0xff00, 0xff01].into_iter().zip(expected) {
        assert_eq!(bytes[block * 16..][..16], hex(expected), "block {block:x}");
    }
}

/// RFC 3711 B.2.
#[test]
fn key_stream_of_aes_128() {
    stream(
        "2B7E151628AED2A6ABF7158809CF4F3C",
        [
            "E03EAD0935C95E80E166B16DD92B4EB4",
            "D23513162B02D0F72A43A2FE4A5F97AB",
            "41E95B3BB0A2E8DD477901E4FCA894C0",
            "EC8CDF7398607CB0F2D21675EA9EA1E4",
            "362B7C3C6773516318A077D7FC5073AE",
            "6A2CC3787889374FBEB4C81B17BA6C44",
        ],
    );
}

/// RFC 6188 7.1.
#[test]
fn key_stream_of_aes_256() {
    stream(
        "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
        [
            "92bdd28a93c3f52511c677d08b5515a4",
            "9da71b2378a854f67050756ded165bac",
            "63c4868b7096d88421b563b8c94c9a31",
            "cea518c90fd91ced9cbb18c078a54711",
            "3dbc4814f4da5f00a08772b63c6a046d",
            "6eb246913062a16891433e97dd01a57f",
        ],
    );
}

fn derives(suite: Suite, key_and_salt: &str, cipher: &str, salt: &str, auth: &str) {
    let master = MasterKey::new(suite, &hex(key_and_salt)).unwrap();
    for (label, expected) in
        [(Label::RtpCipher, cipher), (Label::RtpSalt, salt), (Label::RtpAuth, auth)]
    {
        let expected = hex(expected);
        let mut derived = vec![0xff; expected.len()];
        derive(&master, label, &mut derived).unwrap();
        assert_eq!(derived, expected, "{label:?}");
    }
}

/// RFC 3711 B.3.
#[test]
fn derives_keys_of_aes_128() {
    derives(
        Suite::AesCm128Sha1Tag80,
        "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6",
        "C61E7A93744F39EE10734AFE3FF7A087",
        "30CBBC08863D8C85D49DB34A9AE1",
        "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7
         2270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB
         60DBDFB2",
    );
}

/// RFC 6188 7.2.
#[test]
fn derives_keys_of_aes_256() {
    derives(
        Suite::AesCm256Sha1Tag80,
        "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6
         3b04803de51ee7c96423ab5b78d2",
        "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
        "fa31791685ca444a9e07c6c64e93",
        "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
    );
}

/// A cipher with the session keys of RFC 7714 16 and 17.
fn gcm(key_bytes: u8) -> Cipher {
    let key: Vec<u8> = (0..key_bytes).collect();
    let salt = *b"Quid pro quo\0\0";
    Cipher::from_session_keys(&key, &salt, &[], 16, true).unwrap()
}

/// RFC 7714 16.1.1 and 16.2.1, both ways.
#[test]
fn rtp_of_aes_gcm() {
    let mut plain = hex("8040f17b8041f8d35501a0b2");
    plain.extend(b"Gallia est omnis divisa in partes tres");
    for (key_bytes, expected) in [
        (
            16,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let (cipher, mut packet, mut tag) = (gcm(key_bytes), plain.clone(), [0; 16]);
        let trailer = Trailer::RollOver(0);
        cipher.seal(&mut packet, 12, 0x5501_a0b2, 0xf17b, trailer, &mut tag).unwrap();
        packet.extend(tag);
        assert_eq!(packet[12..], hex(expected));
        cipher.open(&mut packet, 12, 0x5501_a0b2, 0xf17b, trailer, &[]).unwrap();
        assert_eq!(packet[..plain.len()], plain);
    }
}

/// RFC 7714 17.1 and 17.2, both ways.
#[test]
fn rtcp_of_aes_gcm() {
    let plain = hex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61
         deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    for (key_bytes, expected) in [
        (
            16,
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb927
             5bc84aa45896cf4d2fc5abf87245d9eade",
        ),
        (
            32,
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6f
             ad1d1eb30c4446839f57ff6f6cb26ac3be",
        ),
    ] {
        let (cipher, mut packet, mut tag) = (gcm(key_bytes), plain.clone(), [0; 16]);
        let trailer = Trailer::RtcpIndex(0x8000_05d4);
        cipher.seal(&mut packet, 8, 0x4d61_7273, 0x5d4, trailer, &mut tag).unwrap();
        packet.extend(tag);
        assert_eq!(packet[8..], hex(expected));
        cipher.open(&mut packet, 8, 0x4d61_7273, 0x5d4, trailer, &[]).unwrap();
        assert_eq!(packet[..plain.len()], plain);
    }
}
