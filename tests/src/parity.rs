//! The same network in dfdx and in PyTorch: what one gives for the weights and the batch of a file,
//! under the names that `tests/parity/parity.py` uses.
//!
//! In a file with a case: `images`, `targets` (a probability for each class), `eps` (of AdamW),
//! `steps` (of each optimiser) and `weight.<key>` for every tensor of the network. In a file with an outcome:
//!
//! | key | values |
//! | --- | --- |
//! | `inference` | logits of the mode for inference |
//! | `logits`, `loss` | logits and cross entropy of a training pass |
//! | `passed` | with the feature `rounding`: 1 for each value that a ReLU of that pass passes, 0 for the others |
//! | `gradient.<key>` | gradient of the loss, for each trainable tensor |
//! | `statistics.<key>` | running statistics after that pass |
//! | `sgd.<key>`, `adamw.<key>` | all tensors after `steps` steps from the given weights; not with the feature `rounding` |

use crate::tensors::{Values, change, gradients, trainable, values};
use ksdsl_runtime::Scalar;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::prelude::*;
use safetensors::tensor::{Dtype as Kind, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// What changes a model by its gradients.
type Update<'u, M, E> = &'u mut dyn FnMut(&mut M, &Gradients<E, Cpu>) -> Outcome<()>;

/// PyTorch's `SGD(lr=0.01, momentum=0.9, weight_decay=1e-4)`: dfdx's classic momentum is that with
/// dampening 0, and its `L2` adds the decay to the gradient as PyTorch does.
const SGD: SgdConfig = SgdConfig {
    lr: 0.01,
    momentum: Some(Momentum::Classic(0.9)),
    weight_decay: Some(WeightDecay::L2(1e-4)),
};

/// PyTorch's `AdamW(lr=1e-3)` with its defaults but for `eps`, which is the case's: `Decoupled` takes `lr * decay * weight` from the
/// weight beside the step, which is the weight before it.
const ADAMW: AdamConfig = AdamConfig {
    lr: 1e-3,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: Some(WeightDecay::Decoupled(1e-2)),
};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Logits<const O: usize, E, T = NoneTape> = Tensor<(usize, Const<O>), E, Cpu, T>;
type OnTape<E> = OwnedTape<E, Cpu>;

/// Reads the tensors of a file, of either precision.
pub fn read<E: Scalar>(path: &Path) -> Outcome<Values<E>> {
    let bytes = std::fs::read(path)?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let read = |(key, view): (String, TensorView<'_>)| {
        let data = view.data();
        let values = match view.dtype() {
            Kind::F32 => data
                .as_chunks()
                .0
                .iter()
                .map(|v| E::of(f32::from_le_bytes(*v).into()))
                .collect(),
            Kind::F64 => data
                .as_chunks()
                .0
                .iter()
                .map(|v| E::of(f64::from_le_bytes(*v)))
                .collect(),
            other => return Err(format!("{key} has values of type {other:?}").into()),
        };
        Ok((key, values))
    };
    tensors.tensors().into_iter().map(read).collect()
}

/// Writes an outcome in double precision.
pub fn write<E: Scalar>(path: &Path, values: &Values<E>) -> Outcome<()> {
    let bytes = |values: &[E]| {
        // Not byte by byte: this crate is not optimised.
        let mut bytes = vec![0; 8 * values.len()];
        for (to, value) in bytes.chunks_exact_mut(8).zip(values) {
            to.copy_from_slice(&value.wide().to_le_bytes());
        }
        bytes
    };
    let bytes: BTreeMap<&String, Vec<u8>> = values.iter().map(|(key, values)| (key, bytes(values))).collect();
    let views: Result<Vec<_>, _> = bytes
        .iter()
        .map(|(key, bytes)| Ok((*key, TensorView::new(Kind::F64, vec![bytes.len() / 8], bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    Ok(safetensors::serialize_to_file(views?, &None, path)?)
}

/// What the network makes of a case.
pub fn outcome<E, S, const O: usize, B, M>(case: &Values<E>) -> Outcome<Values<E>>
where
    E: Scalar,
    Cpu: Backend<E>,
    S: Shape,
    B: BuildOnDevice<Cpu, E, Built = M> + Network,
    M: TensorCollection<E, Cpu>
        + Module<Tensor<S, E, Cpu>, Output = Logits<O, E>, Error = CpuError>
        + ModuleMut<Tensor<S, E, Cpu, OnTape<E>>, Output = Logits<O, E, OnTape<E>>, Error = CpuError>,
{
    let device = Cpu::seed_from_u64(0);
    let targets = get(case, "targets")?;
    let mut sizes = S::Concrete::default();
    sizes[0] = targets.len() / O;
    for (at, size) in B::INPUT.iter().enumerate() {
        sizes[at + 1] = *size;
    }
    let shape = S::from_concrete(&sizes).ok_or("the input has another shape")?;
    let images = device.try_tensor_from_vec(get(case, "images")?.clone(), shape)?;
    let targets: Logits<O, E> = device.try_tensor_from_vec(targets.clone(), (sizes[0], Const))?;
    let build = || -> Outcome<M> {
        let mut model = device.try_build_module::<B, E>()?;
        set(&mut model, case)?;
        Ok(model)
    };

    let mut found = Values::new();
    let mut model = build()?;
    found.insert("inference".to_owned(), model.try_forward(images.clone())?.as_vec());
    let traced = images.clone().traced(model.try_alloc_grads()?);
    #[cfg(not(feature = "rounding"))]
    let logits = model.try_forward_mut(traced)?;
    #[cfg(feature = "rounding")]
    let (logits, passed) = ksdsl_runtime::cpu::with_signs(|| model.try_forward_mut(traced));
    #[cfg(feature = "rounding")]
    let (logits, passed) = (logits?, passed.into_iter().map(|passed| E::of(passed.into())));
    #[cfg(feature = "rounding")]
    found.insert("passed".to_owned(), passed.collect());
    found.insert("logits".to_owned(), logits.as_vec());
    let loss = cross_entropy_with_logits_loss(logits, targets.clone());
    found.insert("loss".to_owned(), loss.as_vec());
    let backward = loss.try_backward()?;
    insert(&mut found, "gradient", gradients(&model, &backward));
    let trained = trainable(&model);
    let buffers = values(&model).into_iter().filter(|(key, _)| !trained.contains_key(key));
    insert(&mut found, "statistics", buffers.collect());

    if cfg!(feature = "rounding") {
        return Ok(found);
    }
    let steps = scalar(case, "steps")?;
    let mut train = |name: &str, model: M, optimiser: Update<'_, M, E>| {
        let mut model = model;
        for _ in 0..steps as usize {
            let logits = model.try_forward_mut(images.clone().traced(model.try_alloc_grads()?))?;
            let backward = cross_entropy_with_logits_loss(logits, targets.clone()).try_backward()?;
            optimiser(&mut model, &backward)?;
        }
        insert(&mut found, name, values(&model));
        Outcome::Ok(())
    };
    let model = build()?;
    let mut sgd = Sgd::new(&model, SGD);
    train("sgd", model, &mut |model, gradients| Ok(sgd.update(model, gradients)?))?;
    let model = build()?;
    let eps = scalar(case, "eps")?;
    let mut adamw = Adam::new(&model, AdamConfig { eps, ..ADAMW });
    train("adamw", model, &mut |model, gradients| {
        Ok(adamw.update(model, gradients)?)
    })?;
    Ok(found)
}

fn get<'v, E>(values: &'v Values<E>, key: &str) -> Outcome<&'v Vec<E>> {
    values.get(key).ok_or_else(|| format!("the file has no {key}").into())
}

fn scalar<E: Scalar>(values: &Values<E>, key: &str) -> Outcome<f64> {
    match get(values, key)?.as_slice() {
        [value] => Ok(value.wide()),
        _ => Err(format!("{key} is not one number").into()),
    }
}

fn insert<E>(all: &mut Values<E>, kind: &str, values: Values<E>) {
    all.extend(
        values
            .into_iter()
            .map(|(key, values)| (format!("{kind}.{key}"), values)),
    );
}

/// The network of a module: `case!(se_resnet::se_resnet [3, 32, 32] -> 10)(&case)`.
#[macro_export]
macro_rules! parity_outcome {
    ($type:ty: $($module:ident)::+ [$($size:literal),+] -> $classes:literal) => {
        $crate::parity::outcome::<
            $type,
            (usize, $(ksdsl_runtime::prelude::Const<$size>),+),
            $classes,
            $($module)::+::Builder,
            $($module)::+::Model<$type, ksdsl_runtime::prelude::Cpu>,
        >
    };
}

/// Sets every tensor of a model; the file has those and no others.
fn set<E: Scalar, M: TensorCollection<E, Cpu>>(model: &mut M, case: &Values<E>) -> Outcome<()>
where
    Cpu: Backend<E>,
{
    let mut problems = Vec::new();
    let mut known = 0;
    change(model, |key, to| match case.get(&format!("weight.{key}")) {
        Some(values) if values.len() == to.len() => {
            to.copy_from_slice(values);
            known += 1;
        }
        Some(values) => problems.push(format!("{key} has {} values for {}", values.len(), to.len())),
        None => problems.push(format!("{key} is missing")),
    });
    let given = case.keys().filter(|key| key.starts_with("weight.")).count();
    if given != known {
        problems.push(format!("{given} weights for {known} tensors"));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("; ").into()),
    }
}
