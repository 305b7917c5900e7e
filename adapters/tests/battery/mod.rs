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
