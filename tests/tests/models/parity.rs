//! Small networks against what PyTorch makes of them, without Python: the outcomes in
//! `data/parity` were written by
//!
//! ```text
//! python tests/parity/parity.py --store tests/data/parity
//! ```

use ksdsl_runtime::Scalar;
use ksdsl_tests::parity::read;
use ksdsl_tests::parity_outcome;
use ksdsl_tests::tensors::Values;
use std::path::Path;

/// How much of the largest value of a tensor a value may be off. AdamW's steps do not get smaller
/// with the gradient and so make much of its rounding.
struct Tolerance {
    /// A gradient below this part of the largest of all is zero but for rounding, such as that of a
    /// bias, or nearly that of a factor, before a batch norm. It is compared with the largest of all, and
    /// what it does to its tensor in ten steps is not compared.
    zero: f64,
    pass: f64,
    sgd: f64,
    adamw: f64,
}

const DOUBLE: Tolerance = Tolerance {
    zero: 1e-10,
    pass: 1e-11,
    sgd: 1e-11,
    adamw: 1e-9,
};
const SINGLE: Tolerance = Tolerance {
    zero: 1e-6,
    pass: 1e-5,
    sgd: 1e-4,
    adamw: 1e-3,
};

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

type Error = Box<dyn std::error::Error>;
type Run<E> = fn(&Values<E>) -> Result<Values<E>, Error>;

fn check<E: Scalar>(name: &str, run: Run<E>, tolerance: &Tolerance) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/parity");
    let path = folder.join(name).with_extension("safetensors");
    let expected: Values<f64> = read(&path).unwrap();
    let found = run(&read(&path).unwrap()).unwrap();
    let outcomes = expected.iter().filter(|(key, _)| {
        !key.starts_with("weight.") && !["eps", "images", "steps", "targets"].contains(&key.as_str())
    });
    let gradients = expected
        .iter()
        .filter_map(|(key, values)| Some((key.strip_prefix("gradient.")?, largest(values))));
    let steepest = gradients
        .clone()
        .fold(0.0, |steepest: f64, (_, gradient)| steepest.max(gradient));
    let zero: Vec<&str> = gradients
        .filter(|(_, gradient)| *gradient < tolerance.zero * steepest)
        .map(|(key, _)| key)
        .collect();
    let mut compared = 0;
    for (key, expected) in outcomes {
        compared += 1;
        let found = found.get(key).unwrap_or_else(|| panic!("{name}: nothing for {key}"));
        assert_eq!(found.len(), expected.len(), "{name}: {key}");
        let (kind, tensor) = key.split_once('.').unwrap_or((key, ""));
        let zero = zero.contains(&tensor);
        let tolerance = match kind {
            "sgd" | "adamw" if zero => continue,
            "sgd" => tolerance.sgd,
            "adamw" => tolerance.adamw,
            _ => tolerance.pass,
        };
        let largest = if zero { steepest } else { largest(expected) };
        for (found, expected) in found.iter().zip(expected) {
            let error = (found.wide() - expected).abs();
            assert!(
                error <= tolerance * largest,
                "{name}: {key}: {found} for {expected}, largest {largest}"
            );
        }
    }
    assert_eq!(compared, found.len(), "{name}: PyTorch says nothing of some outcomes");
}

macro_rules! nets {
    ($($name:ident: $file:ident::$net:ident $sizes:tt -> $classes:literal;)+) => {$(
        #[test]
        fn $name() {
            let file = concat!(stringify!($file), "_", stringify!($net));
            check::<f64>(file, parity_outcome!(f64: crate::nets::$file::$net $sizes -> $classes), &DOUBLE);
            check::<f32>(file, parity_outcome!(f32: crate::nets::$file::$net $sizes -> $classes), &SINGLE);
        }
    )+

    /// Every stored outcome is compared.
    #[test]
    fn all_files_are_used() {
        let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/parity")).unwrap();
        let mut found: Vec<String> = files
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        let mut known = vec![$(concat!(stringify!($file), "_", stringify!($net), ".safetensors")),+];
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }
    };
}

nets! {
    projected_residuals: gradients::projections_shared [3, 8, 8] -> 3;
    squeeze_and_excitation: gradients::excitation_shared [4, 6, 6] -> 3;
    depthwise_and_pointwise: gradients::mixer_shared [3, 8, 8] -> 3;
    geometry: gradients::geometry_shared [4, 9, 10] -> 3;
    concatenated_branches: gradients::inception_shared [4, 6, 6] -> 3;
    gates: gradients::gates_shared [4, 5, 5] -> 3;
    several_kernels: gradients::crossed_shared [4, 5, 5] -> 3;
    norms: gradients::norms_shared [4, 5, 5] -> 3;
    mappings: gradients::mapped_shared [4, 5, 5] -> 3;
    attention: gradients::transformer_shared [2, 4, 6] -> 3;
    private_factors: gradients::scaled_shared [4, 5, 5] -> 3;
    private_additions: gradients::ranked_shared [4, 6, 6] -> 3;
    transposed_kernels: gradients::transposed_shared [3, 6, 6] -> 3;
    banks_of_kernels: gradients::banks_shared [4, 6, 6] -> 4;
    slices_of_kernels: gradients::widths_shared [4, 6, 6] -> 3;
    every_kind_of_tensor: tied::tied_shared [3, 6, 6] -> 3;
}
