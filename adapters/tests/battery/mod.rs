//! What every provider must keep to.

mod fields;
mod flows;
mod hooks;
mod ops;
mod schema;
mod spec;
mod streams;
