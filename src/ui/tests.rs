use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use http::StatusCode;
use media::silence::Reason;
use media::stages::Stage;

use super::files::FILES;
use super::*;
use crate::calls::cause::Cause;
use crate::calls::log::State as CallState;
use crate::calls::transfer::State as TransferState;

/// Of all files together, packed, as a browser is sent them.
const PACKED_BYTES_MAX: usize = 150_000;

fn walk(folder: &Path, base: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, base, found);
        } else {
            found.insert(path.strip_prefix(base).unwrap().to_str().unwrap().to_owned());
        }
    }
}

fn with(name: &'static str, value: &str) -> HeaderMap {
    [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
}

/// Each file of the folder is in the binary, and no other.
#[test]
fn all_files_are_there() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let mut found = BTreeSet::new();
    walk(&base, &base, &mut found);
    let held: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(held, found);
}

/// Each file that a module imports or a page names is there, and so are those that it names from
/// where it lies: browsers would find out too late. No module names one by an absolute path, which
/// would lead out of its folder.
#[test]
fn what_is_named_is_there() {
    let is_there = |path: &str| FILES.iter().any(|file| file.path == path);
    for file in &FILES {
        let text = std::str::from_utf8(file.bytes).unwrap();
        for (before, behind) in [("from \"", '"'), ("new URL(\"", '"')] {
            for part in text.split(before).skip(1) {
                let name = part.split(behind).next().unwrap_or_default();
                let Some(path) = pages::resolve(file.path, name) else { continue };
                assert!(is_there(&path), "{}: {name}", file.path);
            }
        }
        for part in text.split("\"/ui/").skip(1) {
            let path = part.split('"').next().unwrap_or_default();
            assert!(is_there(path) && file.path == INDEX, "{}: /ui/{path}", file.path);
        }
    }
}

/// The index names the folder of these files everywhere, and every module that the first needs.
#[test]
fn the_index_names_what_is_needed() {
    let text = std::str::from_utf8(&PAGES.index).unwrap();
    let folder = format!("\"/ui/{}/", PAGES.version);
    assert_eq!(text.matches("\"/ui/").count(), text.matches(&folder).count(), "{text}");
    for module in ["lib/dom.js", "lib/icons.js", "parts/shell.js", "pages/sign_in.js"] {
        let link = format!("<link rel=\"modulepreload\" href={folder}{module}\">");
        assert_eq!(text.matches(&link).count(), 1, "{text}");
    }
    for later in ["pages/call.js", "lib/audio.js"] {
        assert!(!text.contains(later), "what is shown later is fetched later: {later}");
    }
}

/// Files come with their type and the policy. Under the name of their content they last; under
/// another, such as that of a version before, they do not. What is not there is not found.
#[test]
fn files_are_answered() {
    let none = HeaderMap::new();
    let index = index(&none);
    assert_eq!(index.status(), StatusCode::OK);
    assert_eq!(index.headers()["cache-control"], "no-store");
    let lasting = format!("{}/app.js", PAGES.version);
    let before = format!("{}/app.js", "x".repeat(PAGES.version.len()));
    for (path, lasts) in [(&*lasting, true), (&before, false), ("app.js", false)] {
        let script = answer(path, &none);
        let head = script.headers();
        assert_eq!(head["content-type"], "text/javascript; charset=utf-8", "{path}");
        assert_eq!(head["cache-control"].to_str().unwrap().contains("immutable"), lasts, "{path}");
        let policy = head["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}");
    }
    let within = format!("{}/index.html", PAGES.version);
    for path in ["", "../Cargo.toml", "app.jsx", "pages", "/app.js", "index.html", &within] {
        assert_eq!(answer(path, &none).status(), StatusCode::NOT_FOUND, "{path}");
    }
}

/// Whoever takes packed files gets them packed, and they are what they were; all together are
/// within what a page may weigh.
#[tokio::test]
async fn files_are_packed() {
    for (accepted, packed) in [
        ("gzip, deflate, br, zstd", true),
        ("br;q=1.0, GZIP;q=0.5", true),
        ("gzip;q=0, br", false),
        ("identity", false),
    ] {
        let headers = with("accept-encoding", accepted);
        assert_eq!(takes_packed(&headers), packed, "{accepted}");
        let response = answer("style.css", &headers);
        assert_eq!(response.headers().contains_key("content-encoding"), packed, "{accepted}");
        assert_eq!(response.headers()["vary"], "accept-encoding");
    }
    let mut weight = PAGES.packed_index().len();
    for file in FILES.iter().filter(|file| file.path != INDEX) {
        let response = answer(file.path, &with("accept-encoding", "gzip"));
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let mut whole = Vec::new();
        GzDecoder::new(&*body).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, file.bytes, "{}", file.path);
        weight += body.len();
    }
    assert!((30_000..PACKED_BYTES_MAX).contains(&weight), "{weight} bytes");
}

/// A file as text.
fn text(path: &str) -> &'static str {
    let file = FILES.iter().find(|file| file.path == path).unwrap();
    std::str::from_utf8(file.bytes).unwrap()
}

/// Whatever the API says of a call has words for people: states, causes, silences, steps of frames
/// and of transfers, and each event, which a stream is listened to for, too.
#[test]
fn every_word_of_the_api_is_explained() {
    let words = text("lib/words.js");
    let part = |name: &str| {
        let start = words.split(&format!("const {name} = ")).nth(1).unwrap();
        start.split("\n};").next().unwrap().lines().map(str::trim).collect::<Vec<_>>()
    };
    let explained = |name: &str, word: &str| {
        let keys = [format!("{word}:"), format!("\"{word}\":")];
        let is_there = part(name).iter().any(|line| keys.iter().any(|key| line.starts_with(key)));
        assert!(is_there, "{name} has no {word}");
    };
    Cause::WORDS.iter().for_each(|word| explained("CAUSES", word));
    CallState::ALL.iter().for_each(|state| explained("STATUS", state.as_str()));
    for reason in Reason::ALL {
        explained("SILENCE", reason.as_str());
        // The pages say what log and API say.
        for said in [reason.title(), reason.meaning(), reason.advice()] {
            let line = format!("\"{said}\",");
            assert!(part("SILENCE").contains(&line.as_str()), "not in the pages: {said}");
        }
    }
    Stage::ALL.iter().for_each(|stage| explained("STAGES", stage.as_str()));
    TransferState::ALL.iter().for_each(|state| explained("TRANSFERS", state.as_str()));
    let events =
        include_str!("../../docs/events.md").lines().filter(|line| line.starts_with("| `"));
    let named = events.flat_map(|line| line.split('|').nth(1).unwrap().split('`'));
    let named: Vec<&str> = named.filter_map(|word| word.strip_prefix("call.")).collect();
    assert!(named.len() > 20, "{named:?}");
    for word in named {
        explained("EVENTS", word);
        assert!(text("lib/events.js").contains(&format!("\"{word}\"")), "{word} is not heard");
    }
}
