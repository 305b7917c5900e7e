//! Ids of what the configuration file names.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a name in the file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named {
    /// One of `[[agents]]`.
    Agent,
    /// One of `[[trunks]]`.
    Trunk,
    /// One of `[[routes]]`.
    Route,
    /// One of `[[rates]]`.
    Rate,
}

/// The id of what the file calls `name`: the same at every start, so that what refers to it stays
/// right (RFC 9562 5.8, version 8).
pub fn file_id(named: Named, name: &str) -> Uuid {
    let kind: &[u8] = match named {
        Named::Agent => b"agent",
        Named::Trunk => b"trunk",
        Named::Route => b"route",
        Named::Rate => b"rate",
    };
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, hash)| *byte = hash);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids depend on kind and name alone and say their version.
    #[test]
    fn ids_are_stable() {
        let id = file_id(Named::Agent, "echo");
        assert_eq!(id, file_id(Named::Agent, "echo"));
        assert_ne!(id, file_id(Named::Trunk, "echo"));
        assert_ne!(id, file_id(Named::Agent, "tone"));
        assert_eq!(id.get_version_num(), 8);
    }
}
