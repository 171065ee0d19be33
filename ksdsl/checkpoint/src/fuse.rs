//! Fusing kernels of several layers into shared ones, and unrolling shared kernels.

use crate::file::{File, View};
use crate::kind::Kind;
use crate::private::{Additions, Made, Private, by_kernel, fold, start};
use crate::problem::{Problem, Problems, unless};
use crate::resolve::{Expected, Shared, by_key, resolve};
use crate::write::Tensor;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// The method that fuses the kernels of several layers into one.
#[derive(Clone, Copy, Debug)]
pub enum Method<'w> {
    /// The kernel of the first layer.
    First,
    /// The mean of all.
    Mean,
    /// The weighted mean, with a weight for each layer.
    Scalar(&'w File),
    /// The weighted mean, with a weight for each layer and output channel.
    Channel(&'w File),
    /// The mean of all; what a layer's kernel differs from it by goes into the layer's addition of low rank, as far as its
    /// rank allows (Bae et al. 2024, arXiv 2410.20672).
    Svd,
}

/// The tensors of a network whose layers share, from a file with a tensor for each layer.
///
/// `expected` are the tensors of the sharing network. Where all copies have the same value, that is
/// the mean, bit for bit, so that fusing what [`unroll`] made gives the same file back.
///
/// What layers have of their own for the kernel, `private`, is not in the file; it starts so that each layer
/// uses the shared kernel as it is: factors are 1, of an addition of low rank B is 0, and A is what a new
/// network could start with (the same in every run). Only with [`Method::Svd`] additions have an effect.
///
/// Weights are tensors named after the layers' paths, `s1.0.conv2`, with one element, or with one
/// for each output channel. Each mean divides by the sum of its weights; a layer without weights has
/// weights of 1, so without any the mean is the plain one.
pub fn fuse<'f>(
    file: &'f File,
    expected: &[Expected],
    sharing: &[Shared],
    private: &[Private],
    method: Method<'_>,
) -> Result<Vec<Tensor<'f>>, Problems> {
    let made = sharing.iter().filter(|shared| !shared.copies);
    let made: Vec<Problem> = made
        .map(|shared| Problem::Made {
            key: shared.key.clone(),
        })
        .collect();
    if !made.is_empty() {
        return Err(Problems(made));
    }
    let mut additions = match method {
        Method::Svd => Additions::new(expected, private),
        _ => Additions::default(),
    };
    let without = sharing.iter().filter(|shared| shared.key.ends_with(".weight"));
    let without: Vec<Problem> = without
        .map(|shared| Problem::NoLowRank {
            key: shared.key.clone(),
        })
        .collect();
    if matches!(method, Method::Svd) && additions.is_empty() && !without.is_empty() {
        return Err(Problems(without));
    }
    let (own, expected) = split(expected, private);
    let unrolled = unrolled(&expected, sharing);
    let views = resolve(file, &unrolled, &[])?;
    let mut views = unrolled.iter().map(|tensor| tensor.key.as_str()).zip(views);
    let by_key = by_key(sharing);
    let mut problems = unknown_weights(&method, sharing);
    let mut tensors = Vec::new();
    // The types of the kernels, by the keys they have in layers of their own.
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    for tensor in expected {
        let copies: Vec<(&str, View<'f>)> = views.by_ref().take(keys(tensor, &by_key).len()).collect();
        let data = one_of(&tensor.key, &copies, &method);
        match data {
            Ok((kind, data)) => {
                kinds.extend(copies.iter().map(|(key, _)| (*key, kind)));
                let filled = copies
                    .iter()
                    .try_for_each(|(key, view)| additions.fill(key, view, &data));
                problems.extend(filled.err());
                tensors.push(Tensor {
                    key: tensor.key.clone(),
                    kind,
                    shape: tensor.shape.clone(),
                    data,
                });
            }
            Err(problem) => problems.push(problem),
        }
    }
    for (tensor, private) in own {
        // Of a kernel that could not be made the problem is known.
        match kinds
            .get(private.kernel.as_str())
            .map(|kind| started(tensor, private, *kind, &mut additions))
        {
            Some(Ok(tensor)) => tensors.push(tensor),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }
    unless(problems, tensors)
}

/// A tensor that a layer has of its own for a shared kernel of this type, as it starts if it is not filled.
fn started<'f>(
    tensor: &Expected,
    private: &Private,
    kind: Kind,
    additions: &mut Additions<'_>,
) -> Result<Tensor<'f>, Problem> {
    let data = match additions.take(&tensor.key) {
        Some(filled) => filled,
        None => start(private, &tensor.shape, kind)?,
    };
    Ok(Tensor {
        key: tensor.key.clone(),
        kind,
        shape: tensor.shape.clone(),
        data: Cow::Owned(data),
    })
}

/// The tensors of the network whose layers have their own, from a file of the sharing one.
///
/// What a layer has of its own for its shared kernel K, `private`, becomes part of its kernel,
/// `scale * (K + B A)`, computed in double precision and rounded once: the unrolled network computes the same
/// up to rounding. Where the layer makes K of what is stored, `made` says how.
pub fn unroll<'f>(
    file: &'f File,
    expected: &[Expected],
    sharing: &[Shared],
    private: &[Private],
    made: &[Made],
) -> Result<Vec<Tensor<'f>>, Problems> {
    let views = resolve(file, expected, sharing)?;
    let found: HashMap<&str, View<'f>> = expected.iter().map(|tensor| tensor.key.as_str()).zip(views).collect();
    let own = by_kernel(private, |key| found.get(key).copied());
    let made: HashMap<&str, &Made> = made.iter().map(|made| (made.kernel.as_str(), made)).collect();
    let by_key = by_key(sharing);
    let (mut tensors, mut problems) = (Vec::new(), Vec::new());
    for tensor in split(expected, private).1 {
        let view = found[tensor.key.as_str()];
        for key in keys(tensor, &by_key) {
            let (own, made) = (own.get(key), made.get(key).copied());
            let data = match (own, made) {
                (None, None) => Ok(Cow::Borrowed(view.data)),
                _ => fold(&tensor.key, view, own, made),
            };
            match data {
                Ok(data) => tensors.push(Tensor {
                    key: key.to_owned(),
                    kind: view.kind,
                    shape: made.map_or(view.shape, |made| &made.shape).to_vec(),
                    data,
                }),
                Err(problem) => problems.push(problem),
            }
        }
    }
    unless(problems, tensors)
}

/// A tensor that a layer has of its own for a shared kernel, with what it is for.
type OwnTensor<'e> = (&'e Expected, &'e Private);

/// The tensors that layers have of their own for shared kernels, and the others.
fn split<'e>(expected: &'e [Expected], private: &'e [Private]) -> (Vec<OwnTensor<'e>>, Vec<&'e Expected>) {
    let by_key: HashMap<&str, &Private> = private.iter().map(|tensor| (tensor.key.as_str(), tensor)).collect();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for tensor in expected {
        match by_key.get(tensor.key.as_str()) {
            Some(private) => own.push((tensor, *private)),
            None => others.push(tensor),
        }
    }
    (own, others)
}

/// The keys of a tensor where every layer has its own.
fn keys<'e>(tensor: &'e Expected, sharing: &HashMap<&str, &'e Shared>) -> Vec<&'e str> {
    match sharing.get(tensor.key.as_str()) {
        None => vec![&tensor.key],
        Some(shared) => shared.visits.iter().map(String::as_str).collect(),
    }
}

/// The tensors of the network whose layers have their own.
fn unrolled(expected: &[&Expected], sharing: &[Shared]) -> Vec<Expected> {
    let by_key = by_key(sharing);
    let tensors = expected.iter().flat_map(|tensor| {
        keys(tensor, &by_key).into_iter().map(|key| Expected {
            key: key.to_owned(),
            ..(*tensor).clone()
        })
    });
    tensors.collect()
}

/// One tensor of the copies of one or several layers.
fn one_of<'f>(key: &str, copies: &[(&str, View<'f>)], method: &Method<'_>) -> Result<(Kind, Cow<'f, [u8]>), Problem> {
    let [(first_key, first), ..] = *copies else {
        return Err(Problem::Missing {
            key: key.to_owned(),
            copies: Vec::new(),
        });
    };
    if let Some((other, view)) = copies.iter().find(|(_, view)| view.kind != first.kind) {
        return Err(Problem::Kind {
            key: (*other).to_owned(),
            found: view.kind,
            expected: format!("{}, the type of `{first_key}`", first.kind),
        });
    }
    let equal = copies.iter().all(|(_, view)| view.data == first.data);
    if equal || matches!(method, Method::First) {
        return Ok((first.kind, Cow::Borrowed(first.data)));
    }
    let channels = first.shape.first().copied().unwrap_or(1).max(1) as usize;
    let weights = copies
        .iter()
        .map(|(visit, _)| weights(visit, channels, method))
        .collect::<Result<Vec<_>, _>>()?;
    if (0..channels).any(|channel| !is_sum(weights.iter().map(|weights| weights[channel]).sum())) {
        return Err(Problem::Weights {
            key: key.to_owned(),
            what: "the sum of its layers' weights is not positive".to_owned(),
        });
    }
    let mean = match first.kind {
        Kind::F32 => mean::<4>(
            copies,
            &weights,
            |v| f32::from_le_bytes(v).into(),
            |v| (v as f32).to_le_bytes(),
        ),
        Kind::F64 => mean::<8>(copies, &weights, f64::from_le_bytes, f64::to_le_bytes),
        found => {
            return Err(Problem::Kind {
                key: first_key.to_owned(),
                found,
                expected: "F32 or F64, which can be averaged".to_owned(),
            });
        }
    };
    Ok((first.kind, Cow::Owned(mean)))
}

fn is_sum(sum: f64) -> bool {
    sum.is_finite() && sum > 0.0
}

/// The weighted mean of elements of `N` bytes; `weights` by copy and output channel, which is the
/// first dimension.
fn mean<const N: usize>(
    copies: &[(&str, View<'_>)],
    weights: &[Vec<f64>],
    read: fn([u8; N]) -> f64,
    write: fn(f64) -> [u8; N],
) -> Vec<u8> {
    let values: Vec<&[[u8; N]]> = copies.iter().map(|(_, view)| view.data.as_chunks().0).collect();
    let per_channel = (values[0].len() / weights[0].len()).max(1);
    let mean = |at: usize| {
        let first = values[0][at];
        if values.iter().all(|copy| copy[at] == first) {
            return first;
        }
        let channel = at / per_channel;
        let (mut sum, mut total) = (0.0, 0.0);
        for (copy, weights) in values.iter().zip(weights) {
            sum += weights[channel] * read(copy[at]);
            total += weights[channel];
        }
        write(sum / total)
    };
    (0..values[0].len()).flat_map(mean).collect()
}

/// The layer of a tensor: `s1.0.conv2` of `s1.0.conv2.weight`.
fn layer(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(layer, _)| layer)
}

/// The weights of a layer, one for each output channel.
fn weights(visit: &str, channels: usize, method: &Method<'_>) -> Result<Vec<f64>, Problem> {
    let (file, wanted) = match method {
        Method::First | Method::Mean | Method::Svd => return Ok(vec![1.0; channels]),
        Method::Scalar(file) => (file, 1),
        Method::Channel(file) => (file, channels),
    };
    let key = layer(visit);
    let Some(view) = file.get(key) else {
        return Ok(vec![1.0; channels]);
    };
    let wrong = |what: String| Problem::Weights {
        key: key.to_owned(),
        what,
    };
    let values: Vec<f64> = match view.kind {
        Kind::F32 => view
            .data
            .as_chunks()
            .0
            .iter()
            .map(|v| f32::from_le_bytes(*v).into())
            .collect(),
        Kind::F64 => view.data.as_chunks().0.iter().map(|v| f64::from_le_bytes(*v)).collect(),
        other => return Err(wrong(format!("weights of type {other}, expected F32 or F64"))),
    };
    match values.as_slice() {
        values if values.len() != wanted => Err(wrong(format!("{} weights, expected {wanted}", values.len()))),
        values if values.iter().any(|value| !value.is_finite()) => Err(wrong("a weight is not finite".to_owned())),
        [one] => Ok(vec![*one; channels]),
        _ => Ok(values),
    }
}

/// Weights for layers that share nothing.
fn unknown_weights(method: &Method<'_>, sharing: &[Shared]) -> Vec<Problem> {
    let (Method::Scalar(file) | Method::Channel(file)) = method else {
        return Vec::new();
    };
    let layers: BTreeSet<&str> = sharing
        .iter()
        .flat_map(|shared| &shared.visits)
        .map(|key| layer(key))
        .collect();
    file.keys()
        .filter(|key| !layers.contains(key))
        .map(|key| Problem::Weights {
            key: key.to_owned(),
            what: "no layer of this name shares a kernel".to_owned(),
        })
        .collect()
}
