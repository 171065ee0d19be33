//! What a run is, in a file for people and for the run that resumes it.

use super::RunError;
use crate::recipe::Recipe;
use ksdsl_runtime::network::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The format of run folders; one of another number cannot be resumed.
const FORMAT: u32 = 1;

/// What a run is: all that decides on its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The format of the run folder.
    pub format: u32,
    /// The versions of this crate that worked on the run, the first one first.
    pub versions: Vec<String>,
    /// The network's name.
    pub network: String,
    /// Its trainable parameters.
    pub parameters: u64,
    /// Its multiply-adds for one image.
    pub multiply_adds: u64,
    /// Its specification as written.
    pub specification: String,
    /// The recipe.
    pub recipe: Recipe,
    /// What decides on the batches.
    pub data: BTreeMap<String, String>,
}

impl Description {
    /// The description of a run by this version.
    pub fn new<N: Network>(recipe: &Recipe, data: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            format: FORMAT,
            versions: vec![env!("CARGO_PKG_VERSION").to_owned()],
            network: N::NAME.to_owned(),
            parameters: N::PARAMETERS,
            multiply_adds: N::MULTIPLY_ADDS,
            specification: N::SPECIFICATION.to_owned(),
            recipe: recipe.clone(),
            data: data.into_iter().collect(),
        }
    }

    /// The description in a run folder.
    pub fn of(folder: &Path) -> Result<Self, RunError> {
        Self::read(&folder.join(super::DESCRIPTION))
    }

    pub(super) fn read(path: &Path) -> Result<Self, RunError> {
        let unreadable = |error: &dyn std::fmt::Display| RunError::Description(path.to_owned(), error.to_string());
        let text = ksdsl_files::read(path, ksdsl_files::TEXT_BYTES).map_err(|error| unreadable(&error))?;
        serde_json::from_slice(&text).map_err(|error| unreadable(&error))
    }

    /// This description with the versions that worked on the run before.
    pub(super) fn after(&self, stored: Option<&Self>) -> Self {
        let mut versions = stored.map(|stored| stored.versions.clone()).unwrap_or_default();
        for version in &self.versions {
            if versions.last() != Some(version) {
                versions.push(version.clone());
            }
        }
        let current = stored.unwrap_or(self).clone();
        Self { versions, ..current }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("text, numbers and maps with text as keys");
        json.push(b'\n');
        json
    }
}
