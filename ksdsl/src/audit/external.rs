//! External data of ONNX: elements of tensors in files beside the model.

use super::reader::Failure;
use std::fs::File;
use std::ops::Range;
use std::path::{Component, Path};

/// What `external_data` of a tensor says: keys and values.
#[derive(Default)]
pub(super) struct External(Vec<(String, String)>);

/// The keys of ONNX.
const KEYS: [&str; 5] = ["location", "offset", "length", "checksum", "basepath"];

impl External {
    /// Takes an entry.
    pub(super) fn add(&mut self, key: String, value: String) -> Result<(), Failure> {
        if self.0.len() == KEYS.len() {
            return Err(format!(
                "external data of a tensor has more than {} entries",
                KEYS.len()
            ));
        }
        self.0.push((key, value));
        Ok(())
    }

    fn get(&self, key: &str) -> Option<&str> {
        let entry = self.0.iter().find(|(known, _)| known == key);
        entry.map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Failure> {
        let parse = |value: &str| {
            let wrong = |_| format!("`{key}` of its external data is `{value}`: expected a number");
            value.parse().map_err(wrong)
        };
        self.get(key).map(parse).transpose()
    }

    /// The bytes, and the file that has them; `expected` bytes if a length is not said.
    pub(super) fn place(&self, expected: Option<u64>) -> Result<(Range<u64>, String), Failure> {
        if let Some((key, _)) = self.0.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
            return Err(format!(
                "its external data has the key `{key}`: expected one of {}",
                KEYS.join(", ")
            ));
        }
        let location = self.get("location").ok_or("its external data has no `location`")?;
        let length = self.number("length")?.or(expected);
        let length = length.ok_or("its external data has no `length`")?;
        let start = self.number("offset")?.unwrap_or_default();
        let end = start
            .checked_add(length)
            .ok_or("its external data ends beyond 2^64 bytes")?;
        Ok((start..end, location.to_owned()))
    }
}

/// Opens a file of external data, which must be in the folder of the model.
pub(super) fn open(folder: &Path, location: &str) -> Result<File, Failure> {
    let path = Path::new(location);
    let is_inside = |path: &Path| {
        path.components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    };
    let outside = || format!("external data in `{location}` is not read: it is not in the folder of the model");
    if location.is_empty() || !is_inside(path) {
        return Err(outside());
    }
    let failed = |error| format!("cannot read its external data in `{location}`: {error}");
    // Links may lead elsewhere.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let folder = folder.canonicalize().map_err(failed)?;
    let path = folder.join(path).canonicalize().map_err(failed)?;
    if !path.starts_with(&folder) {
        return Err(outside());
    }
    ksdsl_files::open(&path).map_err(failed)
}
