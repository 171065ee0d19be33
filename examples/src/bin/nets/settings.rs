//! What a run folder must know besides the trainer's description, so that its run can be resumed and its models used
//! without saying again what they are.

use ksdsl_examples::data::{Data, Kind};
use ksdsl_train::data::Scaling;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs;
use std::path::Path;

/// The file.
const NAME: &str = "settings.json";

/// What was asked for, and what was found in the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The network's name.
    pub(crate) net: String,
    /// The data, as on the command line.
    pub(crate) data: String,
    /// How many images are trained on, if not all.
    pub(crate) images: Option<usize>,
    /// The names of the classes.
    pub(crate) classes: Vec<String>,
    /// The mean of each channel's pixels.
    pub(crate) mean: Vec<f64>,
    /// Their standard deviation.
    pub(crate) deviation: Vec<f64>,
}

impl Settings {
    pub(crate) fn new<const C: usize, const H: usize, const W: usize, const K: usize>(
        net: &str,
        kind: &Kind,
        images: Option<usize>,
        data: &Data<C, H, W, K>,
    ) -> Self {
        Self {
            net: net.to_owned(),
            data: kind.to_string(),
            images,
            classes: data.held_out.names().to_vec(),
            mean: data.scaling.mean.to_vec(),
            deviation: data.scaling.deviation.to_vec(),
        }
    }

    /// Those of a run's folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let path = folder.join(NAME);
        let text = ksdsl_files::read(&path, ksdsl_files::TEXT_BYTES)
            .map_err(|error| format!("`{}` is no run of this program: {NAME}: {error}", folder.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("`{}`: {error}", path.display()).into())
    }

    /// Whether a folder has them.
    pub(crate) fn are_in(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    /// Writes them to a folder, which is made if it is not there; nobody finds half of them.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.as_file().sync_all()?;
            file.persist(folder.join(NAME))?;
            Ok(())
        };
        write().map_err(|error: Box<dyn Error>| {
            let path = folder.join(NAME);
            format!("cannot write `{}`: {error}", path.display()).into()
        })
    }

    pub(crate) fn kind(&self) -> Result<Kind, String> {
        self.data.parse()
    }

    /// The scaling, if it has so many channels.
    pub(crate) fn scaling<const C: usize>(&self) -> Option<Scaling<C>> {
        Some(Scaling {
            mean: self.mean.as_slice().try_into().ok()?,
            deviation: self.deviation.as_slice().try_into().ok()?,
        })
    }
}
