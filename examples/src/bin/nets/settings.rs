//! `settings.json`: what a run folder stores besides the trainer's description, so that the run can be resumed and its
//! models used without repeating the options.

use ksdsl_examples::data::{Data, Kind};
use ksdsl_examples::entry::Entry;
use ksdsl_train::data::Scaling;
use ksdsl_train::json;
use ksdsl_train::run::Description;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The file's name.
pub(crate) const NAME: &str = "settings.json";

/// The options of the run, and the properties of its data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The network's name.
    pub(crate) net: String,
    /// The data set, as on the command line.
    pub(crate) data: String,
    /// The number of training images, if limited.
    pub(crate) images: Option<usize>,
    /// The names of the classes.
    pub(crate) classes: Vec<String>,
    /// The mean of each channel's pixels.
    pub(crate) mean: Vec<f64>,
    /// Their standard deviation.
    pub(crate) deviation: Vec<f64>,
}

impl Settings {
    pub(crate) fn new(net: &str, kind: &Kind, images: Option<usize>, data: &Data) -> Self {
        Self {
            net: net.to_owned(),
            data: kind.to_string(),
            images,
            classes: data.validation.names().to_vec(),
            mean: data.scaling.mean.clone(),
            deviation: data.scaling.deviation.clone(),
        }
    }

    /// The content of the file.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(self)
    }

    /// Checks the names of the classes.
    fn check_classes(&self, count: usize) -> Result<(), String> {
        let names = &self.classes;
        if names.len() != count {
            return Err(format!("`classes` has {} names, expected {count}", names.len()));
        }
        let usable = |name: &&String| !name.is_empty() && !name.contains(char::is_control);
        if let Some(name) = names.iter().find(|name| !usable(name)) {
            return Err(format!(
                "`classes` has the name {name:?}: expected printable characters"
            ));
        }
        match names.iter().collect::<BTreeSet<_>>().len() == count {
            true => Ok(()),
            false => Err("`classes` has a duplicate name".to_owned()),
        }
    }

    /// The scaling, if it has as many channels and its values are possible for pixels.
    fn scaling(&self, channels: usize) -> Result<Scaling, String> {
        let channels = |name: &str, values: &[f64]| match values.len() {
            found if found == channels => Ok(values.to_vec()),
            found => Err(format!(
                "`{name}` has {found} values, expected {channels} (one per channel)"
            )),
        };
        let scaling = Scaling {
            mean: channels("mean", &self.mean)?,
            deviation: channels("deviation", &self.deviation)?,
        };
        if let Some(mean) = scaling.mean.iter().find(|mean| !(0.0..=255.0).contains(*mean)) {
            return Err(format!("`mean` is {mean}: expected a pixel value, 0 to 255"));
        }
        let fits = |deviation: &&f64| **deviation > 0.0 && **deviation <= 255.0;
        match scaling.deviation.iter().find(|deviation| !fits(deviation)) {
            Some(deviation) => Err(format!("`deviation` is {deviation}: expected above 0, at most 255")),
            None => Ok(scaling),
        }
    }
}

/// A run of this program: its settings and the trainer's description.
pub(crate) struct Origin {
    folder: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) description: Description,
}

impl Origin {
    /// Reads a run folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let path = folder.join(NAME);
        if !path.exists() {
            let folder = folder.display();
            return Err(format!("`{folder}` is not a run folder of this program: it has no `{NAME}`").into());
        }
        let settings: Settings = json::read(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        let description = Description::of(folder)?;
        let origin = Self {
            folder: folder.to_owned(),
            settings,
            description,
        };
        let (net, network) = (&origin.settings.net, &origin.description.network);
        if net != network {
            return Err(origin.refused(format!("`net` is `{net}`; run.json describes `{network}`")));
        }
        if origin.settings.images == Some(0) {
            return Err(origin.refused("`images` is 0: expected at least 1".to_owned()));
        }
        origin.kind()?;
        Ok(origin)
    }

    fn refused(&self, what: String) -> Box<dyn Error> {
        format!("`{}`: {what}", self.folder.join(NAME).display()).into()
    }

    /// The data set.
    pub(crate) fn kind(&self) -> Result<Kind, Box<dyn Error>> {
        let kind = self.settings.data.parse();
        kind.map_err(|error| self.refused(format!("`data` is `{}`: {error}", self.settings.data)))
    }

    /// The scaling, after checking that settings, description and network agree.
    pub(crate) fn check(&self, entry: &Entry) -> Result<Scaling, Box<dyn Error>> {
        let settings = &self.settings;
        settings
            .check_classes(entry.sizes.classes)
            .map_err(|what| self.refused(what))?;
        let scaling = settings
            .scaling(entry.sizes.channels)
            .map_err(|what| self.refused(what))?;
        let stored = &self.description;
        if stored.data.get("scaling") != Some(&format!("{scaling:?}")) {
            let what = "`mean` and `deviation` differ from `data.scaling` in run.json";
            return Err(self.refused(what.to_owned()));
        }
        let own = (entry.describe)(&stored.recipe, &stored.data);
        match stored.differences(&own).first() {
            Some(difference) => Err(format!(
                "the run `{}` was trained with a different version of `{}`: {difference}",
                self.folder.display(),
                settings.net
            )
            .into()),
            None => Ok(scaling),
        }
    }

    /// Checks that a data set has the classes the model was trained on.
    pub(crate) fn check_names(&self, names: &[String]) -> Result<(), String> {
        let mut pairs = self.settings.classes.iter().zip(names);
        match pairs.find(|(own, other)| own != other) {
            Some((own, other)) => Err(format!(
                "the data set has the class `{other}` where the run in `{}` has `{own}`",
                self.folder.display()
            )),
            None => Ok(()),
        }
    }
}
