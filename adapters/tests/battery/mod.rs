//! What every provider must keep to.

#[cfg(feature = "emulate")]
mod emulators;
mod fields;
mod flows;
mod hooks;
mod ops;
mod schema;
mod spec;
mod streams;

/// A text whose addresses of that scheme have lost name and password.
fn without_credentials(text: &str, scheme: &str) -> String {
    let mut parts = text.split(scheme);
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(['/', '"', ' ']).unwrap_or(part.len());
        let at = part[..end].find('@').map_or(0, |at| at + 1);
        bare.push_str(scheme);
        bare.push_str(&part[at..]);
    }
    bare
}
