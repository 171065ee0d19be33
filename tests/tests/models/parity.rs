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

/// What is compared to how much of the largest value of a tensor: everything but the weights after
/// ten steps, and those.
struct Tolerance {
    pass: f64,
    steps: f64,
}

const DOUBLE: Tolerance = Tolerance {
    pass: 1e-11,
    steps: 1e-9,
};
const SINGLE: Tolerance = Tolerance {
    pass: 1e-5,
    steps: 1e-4,
};

type Run<E> = fn(&Values<E>) -> Result<Values<E>, Box<dyn std::error::Error>>;

fn check<E: Scalar>(name: &str, run: Run<E>, tolerance: &Tolerance) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/parity");
    let path = folder.join(name).with_extension("safetensors");
    let expected: Values<f64> = read(&path).unwrap();
    let found = run(&read(&path).unwrap()).unwrap();
    let outcomes = expected.iter().filter(|(key, _)| {
        !key.starts_with("weight.") && !["images", "targets"].contains(&key.as_str())
    });
    let mut compared = 0;
    for (key, expected) in outcomes {
        let found = found.get(key).unwrap_or_else(|| panic!("{name}: nothing for {key}"));
        assert_eq!(found.len(), expected.len(), "{name}: {key}");
        let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let steps = key.starts_with("sgd.") || key.starts_with("adamw.");
        let tolerance = if steps { tolerance.steps } else { tolerance.pass };
        for (found, expected) in found.iter().zip(expected) {
            let error = (found.wide() - expected).abs();
            assert!(
                error <= tolerance * largest + 1e-300,
                "{name}: {key}: {found} for {expected}, largest {largest}"
            );
        }
        compared += 1;
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
    every_kind_of_tensor: tied::tied_shared [3, 6, 6] -> 3;
}
