//! The cores of the server, compiled from their sources without the server around them.
//!
//! That they compile with the few crates of this manifest proves that they need no runtime, no
//! sockets and no clock.
#![allow(
    dead_code,
    unused_imports,
    unexpected_cfgs,
    missing_docs,
    reason = "half of a core's items serve its shell"
)]

#[path = "."]
pub mod sip {
    #[path = "../../src/sip/core/mod.rs"]
    pub mod core;
}

#[path = "../../src/bridge/mod.rs"]
pub mod bridge;

#[path = "."]
pub mod calls {
    #[path = "."]
    pub mod transfer {
        #[path = "../../src/calls/transfer/kind.rs"]
        pub mod kind;
        pub use kind::{CANCEL, Kind, LEAVE, NO_KIND};
    }
}

#[path = "."]
pub mod agent {
    #[path = "../../src/agent/fuzz.rs"]
    pub mod fuzz;
    #[path = "../../src/agent/session/mod.rs"]
    pub mod session;
    #[path = "../../src/agent/wire/mod.rs"]
    pub mod wire;
}
