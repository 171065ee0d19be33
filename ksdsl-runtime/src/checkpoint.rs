//! Saving and loading models as safetensors files.
//!
//! A shared kernel is one tensor of the file, and the file's metadata lists the layers that use it.
//! Files with one copy per layer are accepted if the copies are equal bit for bit, so tied weights can
//! never be loaded untied. A file is checked completely before the model changes: after an error the
//! model is unchanged.
//!
//! ```no_run
//! # fn work<M>(model: &mut M) -> Result<(), ksdsl_runtime::checkpoint::CheckpointError>
//! # where M: ksdsl_runtime::network::Generated
//! #     + ksdsl_runtime::prelude::TensorCollection<f32, ksdsl_runtime::prelude::Cpu> {
//! use ksdsl_runtime::checkpoint;
//!
//! checkpoint::save(model, "model.safetensors")?;
//! checkpoint::load(model, "model.safetensors")?;
//! # Ok(())
//! # }
//! ```

use crate::backend::Backend;
use crate::network::{Generated, Network, SharedKernel};
use crate::scalar::Scalar;
use crate::tensors;
use dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_checkpoint::{Expected, File, FileError, Kind, Problems, Shared, Unstated, to_bytes, write_file};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Element types that checkpoints hold.
pub trait Element: Scalar {
    /// The type's name in the format.
    #[doc(hidden)]
    const KIND: Kind;
    /// Elements of bytes, little endian.
    #[doc(hidden)]
    fn from_bytes(bytes: &[u8]) -> Vec<Self>;
    /// Bytes of elements.
    #[doc(hidden)]
    fn to_bytes(values: &[Self]) -> Vec<u8>;
}

macro_rules! elements {
    ($($type:ident $kind:ident)+) => {$(
        impl Element for $type {
            const KIND: Kind = Kind::$kind;

            fn from_bytes(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|value| $type::from_le_bytes(*value)).collect()
            }

            fn to_bytes(values: &[Self]) -> Vec<u8> {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
        }
    )+};
}

elements! { f32 F32 f64 F64 }

/// Saves all tensors of a model to a file, atomically.
pub fn save<E: Element, D: Backend<E>, M: TensorCollection<E, D> + Generated>(
    model: &M,
    path: impl AsRef<Path>,
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let content = to_bytes(&read(model), &sharing(M::Network::SHARED));
    write_file(path, &content).map_err(|error| CheckpointError::Write {
        path: path.to_owned(),
        error,
    })
}

/// Loads all tensors of a model from a file.
///
/// A file whose metadata does not list the layers of its shared tensors is loaded with a warning on standard error: it
/// may belong to a network with other ties.
pub fn load<E: Element, D: Backend<E>, M: TensorCollection<E, D> + Generated>(
    model: &mut M,
    path: impl AsRef<Path>,
) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let file = File::read(path).map_err(CheckpointError::File)?;
    let tensors = read::<E, D, M>(model);
    let expected: Vec<Expected> = tensors
        .into_iter()
        .map(|tensor| Expected {
            key: tensor.key,
            shape: tensor.shape,
            kind: Some(E::KIND),
        })
        .collect();
    let sharing = sharing(M::Network::SHARED);
    let views =
        ksdsl_checkpoint::resolve(&file, &expected, &sharing).map_err(|problems| CheckpointError::Mismatch {
            path: path.to_owned(),
            problems,
        })?;
    if let Some(unstated) = Unstated::of(&file, &sharing) {
        // A closed standard error does not prevent loading.
        let _ = writeln!(io::stderr(), "warning: {}: {unstated}", path.display());
    }
    let values = expected
        .iter()
        .zip(views)
        .map(|(tensor, view)| (tensor.key.as_str(), view.data));
    let values: BTreeMap<&str, &[u8]> = values.collect();
    let written = tensors::visit_mut::<E, D, M>(model, |slot, tensor| {
        if let Some(bytes) = values.get(slot.key.as_str()) {
            tensor.set_values(&E::from_bytes(bytes));
        }
        Ok(())
    });
    debug_assert!(written.is_ok(), "setting values fails on no device");
    Ok(())
}

/// The shared tensors with the tensors of layers that each stands for.
fn sharing(kernels: &[SharedKernel]) -> Vec<Shared> {
    let tensors = kernels.iter().flat_map(|kernel| {
        let layers = kernel.layers();
        kernel.tensors.iter().map(move |tensor| Shared {
            key: format!("{}.{tensor}", kernel.key),
            visits: layers.iter().map(|layer| format!("{layer}.{tensor}")).collect(),
            copies: kernel.copies,
        })
    });
    tensors.collect()
}

/// All tensors of a model.
fn read<E: Element, D: Backend<E>, M: TensorCollection<E, D>>(model: &M) -> Vec<ksdsl_checkpoint::Tensor<'static>> {
    let mut read = Vec::new();
    let visited = tensors::visit::<E, D, M>(model, |slot, tensor| {
        read.push(ksdsl_checkpoint::Tensor {
            key: slot.key,
            kind: E::KIND,
            shape: slot.shape.into_iter().map(|size| size as u64).collect(),
            data: Cow::Owned(E::to_bytes(&tensor.values())),
        });
        Ok(())
    });
    debug_assert!(visited.is_ok(), "reading values fails on no device");
    read
}

/// An error when saving or loading a model.
#[derive(Debug)]
pub enum CheckpointError {
    /// The file cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file cannot be read, is damaged, or is not a safetensors file.
    File(FileError),
    /// The file's tensors do not match the network's, or tied copies differ.
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The mismatches.
        problems: Problems,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::Write { path, error } => write!(f, "cannot write {}: {error}", path.display()),
            CheckpointError::File(error) => error.fmt(f),
            CheckpointError::Mismatch { path, problems } => write!(f, "`{}`: {problems}", path.display()),
        }
    }
}

impl std::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CheckpointError::Write { error, .. } => Some(error),
            CheckpointError::File(error) => Some(error),
            CheckpointError::Mismatch { problems, .. } => Some(problems),
        }
    }
}
