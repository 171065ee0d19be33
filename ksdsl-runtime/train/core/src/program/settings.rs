//! `settings.json`: what a run folder stores besides the trainer's description, so that the run can be resumed and its
//! models used without repeating the options.

use super::Net;
use super::data::{Data, Kind};
use crate::data::Scaling;
use crate::json;
use crate::run::Description;
use crate::text::Choice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The file's name.
pub(super) const NAME: &str = "settings.json";

/// The options of the run, and the properties of its data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The network's name.
    pub(super) net: String,
    /// The data set, as on the command line.
    pub(super) data: String,
    /// The number of training images, if limited.
    pub(super) images: Option<usize>,
    /// Of a text, the choice of its vocabulary on the command line. The vocabulary itself is in files of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<String>,
    /// The names of the classes; none of a text.
    #[serde(default)]
    pub(super) classes: Vec<String>,
    /// The mean of each channel's pixels; none of a text.
    #[serde(default)]
    pub(super) mean: Vec<f64>,
    /// Their standard deviation.
    #[serde(default)]
    pub(super) deviation: Vec<f64>,
}

impl Settings {
    pub(super) fn new(net: &str, kind: &Kind, images: Option<usize>, data: &Data) -> Self {
        Self {
            net: net.to_owned(),
            data: kind.to_string(),
            images,
            tokens: None,
            classes: data.validation.names().to_vec(),
            mean: data.scaling.mean.clone(),
            deviation: data.scaling.deviation.clone(),
        }
    }

    /// Of a run without images, on a text with this choice of a vocabulary.
    pub(super) fn of_tokens(net: &str, kind: &Kind, choice: Option<&Choice>) -> Self {
        Self {
            net: net.to_owned(),
            data: kind.to_string(),
            images: None,
            tokens: choice.map(Choice::to_string),
            classes: Vec::new(),
            mean: Vec::new(),
            deviation: Vec::new(),
        }
    }

    /// The content of the file.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
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
pub(super) struct Origin {
    folder: PathBuf,
    pub(super) settings: Settings,
    pub(super) description: Description,
}

impl Origin {
    /// Reads a run folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
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
    pub(super) fn kind(&self) -> Result<Kind, Box<dyn Error>> {
        let kind = self.settings.data.parse();
        kind.map_err(|error| self.refused(format!("`data` is `{}`: {error}", self.settings.data)))
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The scaling, after checking that settings, description and network, a classifier of images, agree.
    pub(super) fn check(&self, net: &dyn Net) -> Result<Scaling, Box<dyn Error>> {
        let settings = &self.settings;
        let sizes = net.task().classifier(&settings.net)?.sizes();
        settings
            .check_classes(sizes.classes)
            .map_err(|what| self.refused(what))?;
        let scaling = settings.scaling(sizes.channels).map_err(|what| self.refused(what))?;
        if self.description.data.get("scaling") != Some(&format!("{scaling:?}")) {
            let what = "`mean` and `deviation` differ from `data.scaling` in run.json";
            return Err(self.refused(what.to_owned()));
        }
        self.check_description(net)?;
        Ok(scaling)
    }

    /// Checks that the run is of this version of the network.
    pub(super) fn check_description(&self, net: &dyn Net) -> Result<(), Box<dyn Error>> {
        let stored = &self.description;
        let own = Description::new(net.facts(), &stored.recipe, stored.data.clone());
        match stored.differences(&own).first() {
            Some(difference) => Err(format!(
                "the run `{}` was trained with a different version of `{}`: {difference}",
                self.folder.display(),
                self.settings.net
            )
            .into()),
            None => Ok(()),
        }
    }

    /// Checks that a data set has the classes the model was trained on.
    pub(super) fn check_names(&self, names: &[String]) -> Result<(), String> {
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
