//! Reading pictures without the feature `pictures`: an error that names it.

use super::DataError;
use std::path::Path;

/// Refuses the file.
pub(super) fn read(file: &Path, _: [usize; 3]) -> Result<Vec<u8>, DataError> {
    Err(DataError::Picture {
        file: file.to_owned(),
        reason: "reading pictures needs the feature `pictures` (`--features pictures`)".to_owned(),
    })
}
