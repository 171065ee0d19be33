//! The checkpoint from which a training starts.

use super::{LoadError, Model, Planned, fitting, selection, shared, slot};
use crate::ir::Network;
use crate::plan::tensors::tensors;
use crate::share::select::below;
use ksdsl_checkpoint::{File, FileError, Unstated};
use ksdsl_engine::Exec;
use ksdsl_engine::update::Slot;
use ksdsl_train_core::optim::floats;
use ksdsl_train_core::run::Weights;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

/// The values of a network's tensors before the first step.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Without the tensors that are not used.
    file: Arc<File>,
    /// The keys of the tensors of the network that keep their random values.
    except: BTreeSet<String>,
}

impl Start {
    /// Reads a checkpoint, which has the tensors of the network but for those that patterns select, whatever it has there.
    pub(super) fn read(
        path: &Path,
        network: &Network,
        patterns: &[String],
    ) -> Result<(Self, Weights, Option<Unstated>), LoadError> {
        let mut file = File::read(path).map_err(LoadError::File)?;
        let planned = tensors(network);
        let known = selection::keys(&planned);
        let keys = file.keys().map(str::to_owned).chain(known);
        let selected = below(patterns, &keys.collect()).map_err(LoadError::Pattern)?;
        let is_selected = selection::whole(&selected, &planned).map_err(LoadError::Pattern)?;
        let of_network = planned.iter().zip(is_selected).filter(|(_, selected)| *selected);
        let except: BTreeSet<String> = of_network.map(|(tensor, _)| tensor.key.clone()).collect();
        file.retain(|key| !selected.contains(key) && !except.contains(key));
        check(&file, &planned, &except)?;
        let weights = Weights {
            file: path.display().to_string(),
            sha256: sha256(path).map_err(|error| {
                let path = path.to_owned();
                LoadError::File(FileError::Io { path, error })
            })?,
            except: patterns.to_vec(),
        };
        let shared: Vec<_> = planned.iter().filter_map(shared).collect();
        let unstated = Unstated::of(&file, &shared);
        let file = Arc::new(file);
        Ok((Self { file, except }, weights, unstated))
    }

    /// Gives a model of the network its values.
    pub(super) fn fill<X: Exec<f32>>(&self, model: &mut Model<X>) -> Result<(), LoadError> {
        model.take(&self.file, |key| !self.except.contains(key))
    }
}

/// Whether a file has the tensors of a network but for some, with finite values.
fn check(file: &File, planned: &[Planned], except: &BTreeSet<String>) -> Result<(), LoadError> {
    let wanted = planned.iter().filter(|tensor| !except.contains(&tensor.key));
    let slots: Vec<Slot> = wanted.clone().cloned().map(slot).collect();
    let shared: Vec<_> = wanted.filter_map(shared).collect();
    let views = fitting(file, slots.iter(), &shared).map_err(LoadError::Unfit)?;
    let is_broken = |data| floats(data).iter().any(|value| !value.is_finite());
    let broken = slots.iter().zip(views).filter(|(_, view)| is_broken(view.data));
    let broken: Vec<String> = broken.map(|(slot, _)| slot.key.clone()).collect();
    match broken.is_empty() {
        true => Ok(()),
        false => Err(LoadError::NonFinite(broken)),
    }
}

/// The SHA-256 of a file.
fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut sha) = (ksdsl_files::open(path)?, Sha256::new());
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => sha.update(&piece[..read]),
        }
    }
    Ok(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
