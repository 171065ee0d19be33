//! External data of ONNX: elements of tensors in files beside the model.

use super::reader::Failure;
use std::fs::File;
use std::ops::Range;
use std::path::{Component, Path};

/// What `external_data` of a tensor says.
#[derive(Default)]
pub(super) struct External {
    location: Option<String>,
    offset: Option<u64>,
    length: Option<u64>,
}

impl External {
    /// Takes an entry.
    pub(super) fn set(&mut self, key: &str, value: String) -> Result<(), Failure> {
        let number = || {
            let number = value
                .parse()
                .map_err(|_| format!("`{key}` of external data is `{value}`: expected a number"));
            number.map(Some)
        };
        match key {
            "location" => self.location = Some(value),
            "offset" => self.offset = number()?,
            "length" => self.length = number()?,
            // A checksum of the whole file, and what later versions say.
            _ => {}
        }
        Ok(())
    }

    /// The bytes, and the file that has them; `expected` bytes if a length is not said.
    pub(super) fn place(&self, expected: Option<u64>) -> Result<(Range<u64>, String), Failure> {
        let location = self.location.as_ref().ok_or("its external data has no `location`")?;
        let length = self.length.or(expected).ok_or("its external data has no `length`")?;
        let start = self.offset.unwrap_or_default();
        let end = start
            .checked_add(length)
            .ok_or("its external data ends beyond 2^64 bytes")?;
        Ok((start..end, location.clone()))
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
