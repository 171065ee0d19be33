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

use crate::network::{Generated, Network, SharedKernel};
use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName, ViewTensorRef,
};
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::Tensor;
use dfdx::tensor_ops::Device;
use ksdsl_checkpoint::{Expected, File, FileError, Kind, Problems, Shared, Unstated, to_bytes, write_file};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Element types that checkpoints hold.
pub trait Element: Dtype {
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
pub fn save<E: Element, D: Device<E>, M: TensorCollection<E, D> + Generated>(
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
pub fn load<E: Element, D: Device<E>, M: TensorCollection<E, D> + Generated>(
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
    let mut writer = Writer {
        values: values.collect(),
    };
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut writer,
    };
    match M::iter_tensors(walker) {
        Ok(_) => Ok(()),
        Err(never) => match never {},
    }
}

/// The shared tensors with the tensors of layers that each stands for.
fn sharing(kernels: &[SharedKernel]) -> Vec<Shared> {
    let tensors = kernels.iter().flat_map(|kernel| {
        let layers = kernel.layers();
        kernel.tensors.iter().map(move |tensor| Shared {
            key: format!("{}.{tensor}", kernel.key),
            visits: layers.iter().map(|layer| format!("{layer}.{tensor}")).collect(),
        })
    });
    tensors.collect()
}

/// All tensors of a model.
fn read<E: Element, D: Device<E>, M: TensorCollection<E, D>>(model: &M) -> Vec<ksdsl_checkpoint::Tensor<'static>> {
    let mut reader = Reader(Vec::new());
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut reader,
    };
    match M::iter_tensors(walker) {
        Ok(_) => reader.0,
        Err(never) => match never {},
    }
}

/// Collects tensors.
struct Reader(Vec<ksdsl_checkpoint::Tensor<'static>>);

impl<E: Element, D: Device<E>> TensorVisitor<E, D> for Reader {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = std::convert::Infallible;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, key): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, Self::Err> {
        self.0.push(ksdsl_checkpoint::Tensor {
            key,
            kind: E::KIND,
            shape: tensor.shape().concrete().into_iter().map(|size| size as u64).collect(),
            data: Cow::Owned(E::to_bytes(&tensor.as_vec())),
        });
        Ok(None)
    }
}

/// Sets tensors to values of their shapes.
struct Writer<'v> {
    values: BTreeMap<&'v str, &'v [u8]>,
}

impl<E: Element, D: Device<E>> TensorVisitor<E, D> for Writer<'_> {
    type Viewer = (ViewTensorMut, ViewTensorName);
    type Err = std::convert::Infallible;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, key): (&mut Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, Self::Err> {
        if let Some(bytes) = self.values.get(key.as_str()) {
            tensor.copy_from(&E::from_bytes(bytes));
        }
        Ok(None)
    }
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
