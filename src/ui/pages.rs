//! The pages as they are served: under a name that changes with them, packed, ahead of being asked.
//!
//! All files lie below one folder that is named after their content. Modules name each other by
//! relative paths, so that they follow; what a browser has under such a name never changes, and is
//! not asked for again. Only the index is, and it names the folder.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::files::FILES;

/// Where the pages' files are.
pub(super) const FOLDER: &str = "/ui";
/// The page that names all others.
pub(super) const INDEX: &str = "index.html";
/// What the pages begin with.
const ENTRY: &str = "app.js";
/// Bytes of the hash that names a folder.
const NAME_BYTES: usize = 9;

/// A file of the pages.
#[derive(Debug)]
pub(super) struct File {
    /// Path within the folder.
    pub(super) path: &'static str,
    pub(super) bytes: &'static [u8],
    packed: OnceLock<Bytes>,
}

impl File {
    pub(super) const fn new(path: &'static str, bytes: &'static [u8]) -> Self {
        Self { path, bytes, packed: OnceLock::new() }
    }

    /// The same in gzip (RFC 1952), once somebody has asked for it.
    pub(super) fn packed(&self) -> Bytes {
        self.packed.get_or_init(|| pack(self.bytes)).clone()
    }
}

/// What is asked for: the index, or a file.
#[derive(Debug)]
pub(super) struct Pages {
    /// Names the folder of these files.
    pub(super) version: String,
    /// The index, with the names of the files of this folder.
    pub(super) index: Bytes,
    packed_index: Bytes,
}

/// The pages of this binary.
pub(super) static PAGES: LazyLock<Pages> = LazyLock::new(Pages::new);

impl Pages {
    fn new() -> Self {
        let mut hash = Sha256::new();
        for file in &FILES {
            hash.update(file.path);
            hash.update([0]);
            hash.update(file.bytes);
            hash.update([0]);
        }
        let digest = hash.finalize();
        let version = URL_SAFE_NO_PAD.encode(digest.get(..NAME_BYTES).unwrap_or_default());
        let text = FILES.iter().find(|file| file.path == INDEX).map_or("", |file| text(file));
        let index = index(text, &version);
        Self { version, packed_index: pack(index.as_bytes()), index: index.into() }
    }

    /// The index in gzip.
    pub(super) fn packed_index(&self) -> Bytes {
        self.packed_index.clone()
    }

    /// The file at a path below [`FOLDER`], and whether the path names the folder of these pages,
    /// so that nothing else will ever be found there. Pages of another version that are still open
    /// somewhere find what there is.
    pub(super) fn find(&self, path: &str) -> Option<(&'static File, bool)> {
        let (folder, rest) = path.split_once('/').unwrap_or(("", path));
        let named = |wanted: &str| FILES.iter().find(|file| file.path == wanted);
        if folder.len() == self.version.len() {
            return named(rest).map(|file| (file, folder == self.version));
        }
        named(path).map(|file| (file, false))
    }
}

/// The index with the folder of these files in the place of [`FOLDER`], and with the names of all
/// modules that the first one needs: browsers fetch them at once, not one behind the other.
fn index(text: &str, version: &str) -> String {
    let mut links = String::new();
    for path in needed(ENTRY) {
        links.push_str(&format!("<link rel=\"modulepreload\" href=\"{FOLDER}/{path}\">\n"));
    }
    let whole = text.replacen("<script", &format!("{links}<script"), 1);
    whole.replace(&format!("\"{FOLDER}/"), &format!("\"{FOLDER}/{version}/"))
}

/// The modules that a module imports, and those that they import.
fn needed(entry: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![entry.to_owned()];
    while let Some(path) = open.pop() {
        let Some(file) = FILES.iter().find(|file| file.path == path) else { continue };
        let imports = text(file).split("from \"").skip(1);
        let names = imports.filter_map(|part| part.split('"').next());
        for import in names.filter_map(|name| resolve(&path, name)) {
            if found.insert(import.clone()) {
                open.push(import);
            }
        }
    }
    found
}

/// The path of what the module at `path` names `name`.
pub(super) fn resolve(path: &str, name: &str) -> Option<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match (name.strip_prefix("../"), name.strip_prefix("./")) {
        (Some(rest), _) => Some(rest.to_owned()),
        (None, Some(rest)) if folder.is_empty() => Some(rest.to_owned()),
        (None, Some(rest)) => Some(format!("{folder}/{rest}")),
        (None, None) => None,
    }
}

fn text(file: &File) -> &'static str {
    std::str::from_utf8(file.bytes).unwrap_or_default()
}

fn pack(bytes: &[u8]) -> Bytes {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // A vector takes all that it is given.
    let written = packer.write_all(bytes).and_then(|()| packer.finish());
    written.map(Bytes::from).unwrap_or_default()
}
