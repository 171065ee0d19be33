//! The network as which a training begins, `--begin-as` and `begin` in studies.

use super::specs::Usage;
use super::{Choice, setting};
use crate::ir::Network;
use crate::value::Value;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::Path;

/// Values of parameters.
pub(super) type Set = Vec<(String, Value)>;

/// A network of the same file, which differs in sharing alone.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    /// Its name; without it that of the network that is trained.
    pub(super) net: Option<String>,
    /// Values of its parameters that differ from those of the network that is trained.
    pub(super) set: Set,
    /// How many epochs.
    pub(super) epochs: NonZeroU32,
}

/// The options of `ksn train` for it.
#[derive(clap::Args)]
pub(super) struct BeginOptions {
    /// Begin as another network, which differs in sharing alone: the name of a network of the file, or a parameter with
    /// another value, such as `shared=true` (repeatable)
    #[arg(long, value_name = "NET|NAME=VALUE", requires = "begin_epochs")]
    begin_as: Vec<String>,
    /// Number of epochs to train the network of --begin-as
    #[arg(long, value_name = "N", requires = "begin_as")]
    begin_epochs: Option<NonZeroU32>,
}

impl BeginOptions {
    /// Whether there is such a network.
    pub(super) fn is_given(&self) -> bool {
        self.begin_epochs.is_some()
    }

    /// The network, if there is one.
    pub(super) fn read(&self) -> Result<Option<Begin>, Usage> {
        let Some(epochs) = self.begin_epochs else {
            return Ok(None);
        };
        let (set, nets): (Vec<&String>, Vec<&String>) = self.begin_as.iter().partition(|text| text.contains('='));
        if nets.len() > 1 {
            return Err(Usage(format!(
                "--begin-as names two networks, `{}` and `{}`",
                nets[0], nets[1]
            )));
        }
        let set = set.into_iter().map(|text| setting(text)).collect::<Result<_, _>>();
        Ok(Some(Begin {
            net: nets.first().map(|net| (*net).clone()),
            set: set.map_err(|error| Usage(format!("--begin-as: {error}")))?,
            epochs,
        }))
    }
}

impl Begin {
    /// The network, for one with these values of parameters, and its values.
    pub(super) fn network(
        &self,
        (file, choice): (&Path, &Choice),
        values: &[(String, Value)],
    ) -> Result<(Network, Set), Box<dyn Error>> {
        let set: Set = values.iter().chain(&self.set).cloned().collect();
        let first = Choice {
            net: self.net.clone().or_else(|| choice.net.clone()),
            set: set.clone(),
        };
        let (network, _) = first.spec(file)?.compile_one()?;
        Ok((network, set))
    }
}
