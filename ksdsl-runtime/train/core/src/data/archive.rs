//! Files of tar archives. No more is held in memory than the files that are requested.

use super::DataError;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// More bytes than the name of a member has, or all that an archive says of it beside its header.
const LONGEST_ATTRIBUTES: u64 = 1 << 20;

/// What an archive says of the next member in a member of its own.
#[derive(Default)]
struct Attributes {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// The bytes of the files that are `wanted`, by their names without folders, each of at most `most` bytes.
///
/// # Errors
/// With the archive's path, if it cannot be read or is damaged, has a file twice, or one that is too large.
pub(super) fn members(
    archive: impl Read,
    path: &Path,
    most: u64,
    wanted: &dyn Fn(&[u8]) -> Option<&'static str>,
) -> Result<BTreeMap<&'static str, Vec<u8>>, DataError> {
    let failed = |source| DataError::File {
        file: path.to_owned(),
        source,
    };
    let mut archive = tar::Archive::new(archive);
    let mut found = BTreeMap::new();
    let mut attributes = Attributes::default();
    // `raw`: otherwise names are read whole, however long they are.
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        if attributes.take(&mut entry).map_err(failed)? {
            continue;
        }
        let Attributes { name, size } = std::mem::take(&mut attributes);
        if size.is_some_and(|size| size != entry.size()) {
            return Err(failed(damaged("a member has two sizes".to_owned())));
        }
        let member = name.unwrap_or_else(|| entry.path_bytes().into_owned());
        let is_file = entry.header().entry_type().is_file();
        let Some(name) = wanted(base(&member)).filter(|_| is_file) else {
            continue;
        };
        if entry.size() > most {
            return Err(DataError::FileTooLarge {
                file: path.join(name),
                limit: most,
            });
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if found.insert(name, bytes).is_some() {
            return Err(DataError::Twice {
                archive: path.to_owned(),
                name: name.to_owned(),
            });
        }
    }
    Ok(found)
}

impl Attributes {
    /// Takes a member that speaks of the next one: a long name (GNU), or a list of attributes (POSIX). Says whether
    /// it is one.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
            // Nothing in them matters here.
            return Ok(true);
        }
        if !kind.is_gnu_longname() && !kind.is_pax_local_extensions() {
            return Ok(false);
        }
        let size = entry.size();
        if size > LONGEST_ATTRIBUTES {
            return Err(damaged(format!("a member has a name or attributes of {size} bytes")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if kind.is_gnu_longname() {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            bytes.truncate(end);
            self.name = Some(bytes);
            return Ok(true);
        }
        for attribute in tar::PaxExtensions::new(&bytes) {
            let attribute = attribute?;
            match attribute.key_bytes() {
                b"path" => self.name = Some(attribute.value_bytes().to_vec()),
                b"size" => self.size = attribute.value().ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
        }
        Ok(true)
    }
}

/// The name without the folders.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn damaged(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
