//! Run folders: description, last checkpoint, models. See [`ksdsl_train_core::run`] for the files.

use ksdsl_runtime::network::Network;
pub use ksdsl_train_core::run::*;
use std::collections::BTreeMap;

/// What a description says of a generated network.
pub fn facts<N: Network>() -> Facts {
    Facts {
        name: N::NAME.to_owned(),
        parameters: N::PARAMETERS,
        multiply_adds: N::MULTIPLY_ADDS,
        specification: N::SPECIFICATION.to_owned(),
        settings: BTreeMap::new(),
        beginning: None,
        weights: None,
    }
}
