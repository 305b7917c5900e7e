//! What is sealed opens at its place, by its key, unchanged, and in no other way.

use proptest::prelude::*;

use super::*;

fn keys(ids: &[&str]) -> SealKeys {
    let lines: Vec<String> =
        ids.iter().map(|id| generate(id).unwrap().expose().to_owned()).collect();
    SealKeys::parse(&lines.join("\n")).unwrap()
}

fn place<'a>(table: &'a str, row: &'a [u8], field: &'a str) -> Place<'a> {
    Place { table, row, field }
}

proptest! {
    /// Any value opens at its place, and at no other, whatever the names are: not even where the
    /// same letters are divided otherwise between table, row and field.
    #[test]
    fn opens_at_its_place_alone(
        plain in proptest::collection::vec(any::<u8>(), 0..200),
        table in "[a-z]{1,8}", row in proptest::collection::vec(any::<u8>(), 0..20),
        field in "[a-z]{1,8}", other in "[a-z]{1,8}",
    ) {
        let keys = keys(&["a"]);
        let here = place(&table, &row, &field);
        let sealed = keys.seal(&here, &plain).unwrap();
        prop_assert_eq!(keys.open(&here, &sealed).unwrap(), plain);
        let mut row_and_more = row.clone();
        row_and_more.extend_from_slice(field.as_bytes());
        let joined = format!("{table}{field}");
        for elsewhere in [
            place(&other, &row, &field),
            place(&table, &row_and_more, &field),
            place(&table, &row, &other),
            place(&joined, &row, ""),
            place(&table, &row_and_more, ""),
            place(&field, &row, &table),
        ] {
            if elsewhere != here {
                prop_assert!(matches!(keys.open(&elsewhere, &sealed), Err(SealError::Damaged)));
            }
        }
    }

    /// No changed byte and no missing end goes unnoticed.
    #[test]
    fn changes_are_noticed(plain in proptest::collection::vec(any::<u8>(), 0..40), flip in 1_u8..) {
        let keys = keys(&["a", "b"]);
        let here = place("t", b"r", "f");
        let sealed = keys.seal(&here, &plain).unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= flip;
            prop_assert!(keys.open(&here, &changed).is_err());
            prop_assert!(keys.open(&here, &sealed[..index]).is_err());
        }
    }
}

/// The first key seals, all open, and a key of the same name with other bytes does not.
#[test]
fn keys_are_told_apart() {
    let (old, new) = (generate("old").unwrap(), generate("new").unwrap());
    let here = place("t", b"r", "f");
    let before = SealKeys::parse(old.expose()).unwrap();
    let sealed = before.seal(&here, b"x").unwrap();
    assert_eq!(key_id(&sealed), Some("old"));
    let both = SealKeys::parse(&format!("{},{}", new.expose(), old.expose())).unwrap();
    assert_eq!(both.newest(), "new");
    assert_eq!(both.open(&here, &sealed).unwrap(), b"x");
    let again = both.seal(&here, b"x").unwrap();
    assert_eq!(key_id(&again), Some("new"));
    assert!(matches!(before.open(&here, &again), Err(SealError::UnknownKey { id }) if id == "new"));
    assert!(matches!(keys(&["old"]).open(&here, &sealed), Err(SealError::Damaged)));
    // The id is bound too: what one key sealed cannot be passed off as another's.
    let mut renamed = sealed;
    renamed[2..5].copy_from_slice(b"new");
    assert!(matches!(both.open(&here, &renamed), Err(SealError::Damaged)));
}

/// Two seals of one value have nothing in common.
#[test]
fn seals_differ() {
    let keys = keys(&["a"]);
    let here = place("t", b"r", "f");
    assert_ne!(keys.seal(&here, b"x").unwrap(), keys.seal(&here, b"x").unwrap());
}

/// What are no keys is refused with the number of the culprit, and never repeated.
#[test]
fn bad_keys_are_refused() {
    let good = generate("a").unwrap();
    let good = good.expose();
    let cases = [
        "",
        "# only a comment",
        "nocolon",
        ":AAAA",
        "a:not base64!",
        "a:c2hvcnQ=",
        "b/c:AAAA",
        &format!("{good} {good}"),
        &format!("{good}AAAA"),
    ];
    for bad in cases {
        let error = SealKeys::parse(bad).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(good) && !shown.contains("c2hvcnQ"), "{shown}");
    }
    let commented = format!("# made today\n{good} # in use\n\n");
    assert_eq!(SealKeys::parse(&commented).unwrap().newest(), "a");
    assert!(!format!("{:?}", SealKeys::parse(good).unwrap()).contains(&good[2..]));
}

/// The file is made once, for the owner alone, and read by everybody after.
#[test]
fn the_file_is_made_once() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("talkpath-seal-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let path = folder.join("data/seal.keys");
    assert!(SealKeys::read(&path).is_err());
    let first = SealKeys::read_or_make(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let here = place("t", b"r", "f");
    let sealed = first.seal(&here, b"x").unwrap();
    let second = SealKeys::read_or_make(&path).unwrap();
    assert_eq!(second.open(&here, &sealed).unwrap(), b"x");
    assert_eq!(fs::read_dir(folder.join("data")).unwrap().count(), 1, "nothing is left behind");
    fs::remove_dir_all(folder).unwrap();
}
