//! Parameter counts of built models.

use crate::nets::*;
use ksdsl_runtime::prelude::*;

/// The rows of the given figures, by their numbers in the file.
const ROWS: &str = include_str!("../../data/reference-counts.csv");

macro_rules! rows {
    ($($file:ident: $($row:ident)+;)+) => {
        /// The row's name, what the model counts, what the module says, multiply-adds.
        fn built() -> Vec<(&'static str, usize, u64, u64)> {
            let device = Cpu::seed_from_u64(0);
            vec![$($({
                let model = device.build_module::<$file::$row::Builder, f32>();
                (
                    stringify!($row),
                    model.num_trainable_params(),
                    $file::$row::PARAMETERS,
                    $file::$row::MULTIPLY_ADDS,
                )
            }),+),+]
        }
    };
}

rows! {
    se_resnet_rows: row_1 row_2 row_3 row_4 row_5 row_6 row_7 row_8 row_9;
    convmixer_rows: row_10 row_11 row_12 row_13 row_14 row_15;
}

/// The figures of `data/reference-counts.csv` were given to this project to be met.
#[test]
fn every_reference_count_is_met() {
    let built = built();
    assert_eq!(built.len(), ROWS.lines().skip(1).count());
    for (number, line) in ROWS.lines().enumerate().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let (name, counted, stated, macs) = built[number - 1];
        assert_eq!(name, format!("row_{number}"));
        let expected: u64 = cells[4].parse().unwrap();
        assert_eq!((counted as u64, stated), (expected, expected), "{line}");
        if !cells[5].is_empty() {
            assert_eq!(macs.to_string(), cells[5], "{line}");
        }
    }
}

macro_rules! examples {
    ($($test:ident: $net:path [$($size:literal),+] -> $classes:literal;)+) => {$(
        #[test]
        fn $test() {
            use $net as net;
            let device = Cpu::seed_from_u64(0);
            let mut model = device.build_module::<net::Builder, f32>();
            assert_eq!(model.num_trainable_params() as u64, net::PARAMETERS);
            let x = device.sample_normal_like(&(2, $(Const::<$size>),+));
            let y: Tensor<(usize, Const<$classes>), f32, Cpu> = model.forward(x.clone());
            assert!(y.as_vec().iter().all(|logit| logit.is_finite()));
            let y = model.forward_mut(x.traced(model.alloc_grads()));
            let gradients = y.square().mean::<Rank0, _>().backward();
            Sgd::new(&model, SgdConfig::default()).update(&mut model, &gradients).unwrap();
        }
    )+};
}

// Each example network of images or vectors with its defaults builds, infers, and every parameter gets a gradient; those of
// tokens are in `graph/language.rs`.
examples! {
    bottlenecks: bottleneck::bottleneck [3, 32, 32] -> 10;
    bottlenecks_unshared: bottleneck::bottleneck_unshared [3, 32, 32] -> 10;
    bottlenecks_across_stages: bottleneck::bottleneck_across [3, 32, 32] -> 10;
    cells_of_branches: branches::branches [3, 32, 32] -> 10;
    convmixers: convmixer::convmixer [3, 32, 32] -> 10;
    digit_networks: digits::digits_shared [1, 8, 8] -> 10;
    digit_networks_unshared: digits::digits_unshared [1, 8, 8] -> 10;
    perceptrons: mlp::mlp [64] -> 10;
    mobilenets: mobilenet::mobilenet [3, 32, 32] -> 10;
    preactivation_resnets: preact_resnet::preact_resnet [3, 32, 32] -> 10;
    private_parts_of_visits: private_parts::private_parts [3, 32, 32] -> 10;
    private_additions_of_visits: private_parts::low_rank [3, 32, 32] -> 10;
    se_resnets: se_resnet::se_resnet [3, 32, 32] -> 10;
    sharesnets: sharesnet::sharesnet [3, 32, 32] -> 10;
}
