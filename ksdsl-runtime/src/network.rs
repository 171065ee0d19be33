//! Compile-time facts about a generated network.

use crate::backend::Backend;
use crate::pass::Pass;
use crate::scalar::Scalar;

/// The builder of a generated network, with the compiler's counts as associated constants. It also
/// implements dfdx's `BuildOnDevice`.
pub trait Network {
    /// The network's name in its specification.
    const NAME: &'static str;
    /// The source of the network: its items of the specification, as written.
    const SPECIFICATION: &'static str;
    /// The sizes of one input, in PyTorch's order and without the batch.
    const INPUT: &'static [usize];
    /// The sizes of one output.
    const OUTPUT: &'static [usize];
    /// Trainable parameters; a shared kernel counts once.
    const PARAMETERS: u64;
    /// Trainable parameters without sharing.
    const UNSHARED_PARAMETERS: u64;
    /// Multiply-adds of convolutions, linear layers and attention per image; a shared kernel
    /// counts at each visit.
    const MULTIPLY_ADDS: u64;
    /// Elements of the largest activation per image, including the input.
    const LARGEST_ACTIVATION: usize;
    /// The shared kernels, with the layers that use each.
    const SHARED: &'static [SharedKernel];
}

/// A generated model, which knows its network.
pub trait Generated {
    /// The network's builder.
    type Network: Network;
}

/// A shared kernel (or norm) and the layers that use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedKernel {
    /// Its key in checkpoints: `shared.s1_conv`.
    pub key: &'static str,
    /// The names of its tensors: `weight`, `bias`.
    pub tensors: &'static [&'static str],
    /// The paths of the layers, with ranges of indices: `s1[0..3].conv2`.
    pub visits: &'static [&'static str],
    /// Whether the layers use the tensors as they are, so that a file may have a copy for each: not their transpose,
    /// slices or combinations.
    pub copies: bool,
}

impl SharedKernel {
    /// The checkpoint keys of the layers: `s1.0.conv2`, `s1.1.conv2`, ...
    pub fn layers(&self) -> Vec<String> {
        self.visits.iter().flat_map(|path| keys(path)).collect()
    }
}

/// The checkpoint keys of the paths that a path with ranges stands for.
fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut rest = path;
    while !rest.is_empty() {
        let (words, next) = match rest.strip_prefix('[') {
            Some(index) => {
                let (index, next) = index.split_once(']').unwrap_or((index, ""));
                (indices(index), next)
            }
            None => {
                let name = rest.trim_start_matches('.');
                let end = name.find(['.', '[']).unwrap_or(name.len());
                (vec![name[..end].to_owned()], &name[end..])
            }
        };
        rest = next;
        let longer = |key: &String| -> Vec<String> {
            let joint = if key.is_empty() { "" } else { "." };
            words.iter().map(|word| format!("{key}{joint}{word}")).collect()
        };
        keys = keys.iter().flat_map(longer).collect();
    }
    keys
}

/// `2`, or all of `2..5`.
fn indices(text: &str) -> Vec<String> {
    let range = text
        .split_once("..")
        .and_then(|(first, end)| Some(first.parse::<u32>().ok()?..end.parse::<u32>().ok()?));
    match range {
        Some(range) => range.map(|index| index.to_string()).collect(),
        None => vec![text.to_owned()],
    }
}

/// A model that a given pass can run on inputs `X`: what [`Prepared`](crate::prepared::Prepared)
/// needs of generated models.
pub trait Infer<X, E: Scalar, D: Backend<E>> {
    /// The model's output.
    type Output;
    /// Runs the model without a tape.
    #[doc(hidden)]
    fn infer(&self, pass: &mut Pass<E, D>, x: X) -> Result<Self::Output, D::Err>;
}

#[cfg(test)]
mod tests {
    use super::keys;

    #[test]
    fn ranges_stand_for_all_their_indices() {
        assert_eq!(keys("s1[0..2].conv2"), ["s1.0.conv2", "s1.1.conv2"]);
        assert_eq!(keys("[0..2][3].a.b[1]"), ["0.3.a.b.1", "1.3.a.b.1"]);
        assert_eq!(
            keys("a[0..2].b[1..3].c"),
            ["a.0.b.1.c", "a.0.b.2.c", "a.1.b.1.c", "a.1.b.2.c"]
        );
        assert_eq!(keys("conv"), ["conv"]);
    }
}
