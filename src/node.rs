//! Which node this is, among those that may share a database.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::{fs, io};

use crate::store::NodeId;

/// Name of the file in the data folder that holds the node's id.
const FILE: &str = "node-id";

/// The id of the node whose data lie in `folder`; made at the first start, and kept.
///
/// # Errors
///
/// When the file cannot be read or made, or holds no id; the message names it.
pub fn id(folder: &Path) -> io::Result<NodeId> {
    let path = folder.join(FILE);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::read_to_string(&path) {
        Ok(text) => {
            let unreadable = || io::Error::new(ErrorKind::InvalidData, "holds no id of a node");
            NodeId::parse(text.trim()).ok_or_else(unreadable).map_err(named)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let id = NodeId::new();
            fs::create_dir_all(folder).and_then(|()| write(&path, id)).map_err(named)?;
            Ok(id)
        }
        Err(error) => Err(named(error)),
    }
}

/// Writes the file whole or not at all: half an id would keep the node from starting.
fn write(path: &Path, id: NodeId) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::File::create(&draft)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(draft, path)
}
