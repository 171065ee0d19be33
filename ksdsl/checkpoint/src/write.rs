//! Writing files: the same tensors always give the same bytes, and nobody ever finds half a file.

use crate::kind::Kind;
use crate::resolve::Shared;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor<'t> {
    /// Its key.
    pub key: String,
    /// The type of its elements.
    pub kind: Kind,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// Its elements, little endian, row by row.
    pub data: Cow<'t, [u8]>,
}

/// The content of a file with these tensors; its metadata name, for each shared tensor, the tensors
/// of layers that it stands for, separated by blanks.
pub fn to_bytes(tensors: &[Tensor<'_>], sharing: &[Shared]) -> Vec<u8> {
    // Wide elements first, so that all are aligned as the format asks.
    let mut order: Vec<&Tensor<'_>> = tensors.iter().collect();
    order.sort_by(|a, b| b.kind.bytes().cmp(&a.kind.bytes()).then(a.key.cmp(&b.key)));
    let mut entries = Vec::new();
    if !sharing.is_empty() {
        let visits: Map<String, Value> = sharing
            .iter()
            .map(|shared| (shared.key.clone(), shared.visits.join(" ").into()))
            .collect();
        entries.push(format!("\"__metadata__\":{}", Value::Object(visits)));
    }
    let mut at = 0;
    for tensor in &order {
        let end = at + tensor.data.len();
        let entry = json!({ "dtype": tensor.kind.name(), "shape": tensor.shape, "data_offsets": [at, end] });
        entries.push(format!("{}:{entry}", Value::from(tensor.key.as_str())));
        at = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut bytes = Vec::with_capacity(8 + header.len() + at);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.bytes());
    order.iter().for_each(|tensor| bytes.extend(tensor.data.iter()));
    bytes
}

/// Writes a file in one step: into a new one beside it, which then takes its place. Where the path
/// is no plain file (a pipe, `/dev/stdout`), that is written to as it is.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    // What a link leads to is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&path);
    if old.as_ref().is_ok_and(|old| !old.is_file()) {
        return fs::write(&path, content);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // As any new file, and with the system's own errors, which do not name the new one.
    let create = |path: &Path| fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = tempfile::Builder::new().make_in(folder.unwrap_or(Path::new(".")), create)?;
    file.write_all(content)?;
    if let Ok(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(io::Error::from).map(|_| ())
}
