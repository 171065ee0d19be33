//! The networks, and a test for each file of them.

use crate::compiled::{Compiled, SEED, Trained, compiled, weights};
use ksdsl::ir;
use ksdsl_runtime::dfdx::tensor::RandomU64;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values};

macro_rules! files {
    ($($file:ident $name:literal)+) => {$(
        #[allow(missing_docs, dead_code)]
        mod $file {
            ksdsl_runtime::include_generated!($name);
        }
    )+};
}

files! {
    algorithms "algorithms"
    bottleneck "bottleneck"
    branches "branches"
    chains "chains"
    convmixer "convmixer"
    digits "digits"
    gradients "gradients"
    mlp "mlp"
    mobilenet "mobilenet"
    preact_resnet "preact_resnet"
    private_parts "private_parts"
    se_resnet "se_resnet"
    sharesnet "sharesnet"
    slices "slices"
    spin "spin"
    tied "tied"
    vit "vit"
}

macro_rules! tests {
    ($($test:ident: $E:ty { $($file:ident::$net:ident $at:tt;)+ })+) => {
        $(
            compiled! { $($E: $file::$net $at;)+ }

            #[test]
            fn $test() {
                $(crate::agrees::<$E, $file::$net::Model<$E, Cpu>>();)+
            }
        )+

        /// All networks.
        pub(crate) fn networks() -> Vec<ir::Network> {
            vec![$($(crate::network(stringify!($net), <$file::$net::Builder as Network>::SPECIFICATION)),+),+]
        }
    };
}

tests! {
    examples_of_maps: f32 {
        bottleneck::bottleneck [0, 1, 2];
        bottleneck::bottleneck_unshared [0, 1, 2];
        bottleneck::bottleneck_across [0, 1, 2];
        branches::branches [0, 1, 2];
        convmixer::convmixer [0, 1, 2];
        digits::digits_shared [0, 1, 2];
        digits::digits_unshared [0, 1, 2];
        mobilenet::mobilenet [0, 1, 2];
        preact_resnet::preact_resnet [0, 1, 2];
        private_parts::private_parts [0, 1, 2];
        private_parts::low_rank [0, 1, 2];
        private_parts::nothing_private [0, 1, 2];
        se_resnet::se_resnet [0, 1, 2];
        sharesnet::sharesnet [0, 1, 2];
        sharesnet::sharesnet_unshared [0, 1, 2];
        spin::spin [0, 1, 2];
        spin::spin_strided [0, 1, 2];
        spin::spin_random [0, 1, 2];
        vit::vit_shared [0, 1, 2];
        vit::vit_unshared [0, 1, 2];
    }
    examples_of_vectors: f32 {
        mlp::mlp [0];
    }
    networks_of_tests: f32 {
        algorithms::by_rule [0, 1, 2];
        chains::chained [0, 1, 2];
        slices::sliced [0, 1, 2];
        tied::tied_shared [0, 1, 2];
        tied::tied_free [0, 1, 2];
        tied::dropping [0];
    }
    every_operation: f32 {
        gradients::identities_shared [0, 1, 2];
        gradients::projections_shared [0, 1, 2];
        gradients::preactivation_shared [0, 1, 2];
        gradients::excitation_shared [0, 1, 2];
        gradients::mixer_shared [0, 1, 2];
        gradients::grouped_shared [0, 1, 2];
        gradients::geometry_shared [0, 1, 2];
        gradients::inception_shared [0, 1, 2];
        gradients::gates_shared [0, 1, 2];
        gradients::perceptron_shared [0];
        gradients::across_shared [0, 1, 2];
        gradients::split_shared [0, 1, 2];
        gradients::parts_shared [0, 1, 2];
        gradients::crossed_shared [0, 1, 2];
        gradients::norms_shared [0, 1, 2];
        gradients::windows_shared [0, 1, 2];
        gradients::sums_shared [0, 1, 2];
        gradients::nested_shared [0, 1, 2];
        gradients::mapped_shared [0, 1, 2];
        gradients::whole_blocks_shared [0, 1, 2];
        gradients::transformer_shared [0, 1, 2];
        gradients::scaled_shared [0, 1, 2];
        gradients::ranked_shared [0, 1, 2];
        gradients::loops_shared [0, 1, 2];
        gradients::values_shared [0, 1, 2];
        gradients::sequences_shared [0, 1, 2];
        gradients::shapes_shared [0, 1, 2];
        gradients::transposed_shared [0, 1, 2];
        gradients::banks_shared [0, 1, 2];
        gradients::widths_shared [0, 1, 2];
        gradients::sounding_shared [0, 1, 2];
        gradients::windowed_shared [0, 1, 2];
        gradients::standard_shared [0, 1, 2];
    }
    double_precision: f64 {
        gradients::excitation_shared [0, 1, 2];
        gradients::mixer_shared [0, 1, 2];
        gradients::inception_shared [0, 1, 2];
        gradients::gates_shared [0, 1, 2];
        gradients::parts_shared [0, 1, 2];
        gradients::norms_shared [0, 1, 2];
        gradients::windows_shared [0, 1, 2];
        gradients::transformer_shared [0, 1, 2];
        gradients::scaled_shared [0, 1, 2];
        gradients::ranked_shared [0, 1, 2];
        gradients::loops_shared [0, 1, 2];
        gradients::values_shared [0, 1, 2];
        gradients::sequences_shared [0, 1, 2];
        gradients::shapes_shared [0, 1, 2];
        gradients::transposed_shared [0, 1, 2];
        gradients::banks_shared [0, 1, 2];
        gradients::widths_shared [0, 1, 2];
        gradients::sounding_shared [0, 1, 2];
        gradients::windowed_shared [0, 1, 2];
        gradients::standard_shared [0, 1, 2];
        gradients::perceptron_free [0];
        digits::digits_shared [0, 1, 2];
        tied::dropping [0];
    }
}
