//! `ksnet!`, `include_ksn!` and a build script's output as a user's crate sees them.

use ksdsl::diag::Code;
use ksdsl_runtime::prelude::*;
use std::path::{Path, PathBuf};

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

/// Every mistake the compiler knows, and the errors rustc shows for it.
#[test]
fn errors_point_at_the_tokens() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    // The crate that trybuild makes is the one whose folder `include_ksn!` looks into.
    let crate_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tests/trybuild/ksdsl-tests/models");
    std::fs::create_dir_all(&crate_dir).expect("a folder for the models");
    for model in ["broken.ksn", "warned.ksn"] {
        std::fs::copy(ui().join("models").join(model), crate_dir.join(model)).expect("a model to include");
    }
}

#[test]
fn every_code_has_a_case() {
    let cases: Vec<String> = std::fs::read_dir(ui())
        .expect("the folder of the cases")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".stderr"))
        .collect();
    for code in Code::ALL {
        let case = cases.iter().find(|case| case.starts_with(&format!("{code}_")));
        let case = case.unwrap_or_else(|| panic!("{code} has no case in tests/ui"));
        let expected = std::fs::read_to_string(ui().join(case)).expect("the expected errors");
        assert!(expected.contains(&code.to_string()), "{case} does not show {code}");
    }
}

mod in_rust {
    ksdsl_runtime::ksnet! {
        /// A small network: the same text as in `nets/small.ksn`.
        net small(width = 4, classes = 5) { // A comment; größe.
            input 3x8x8
            stage s1 { conv(width, kernel = 3, pad = 1); relu }
            /* another
               comment */
            stage s2 { repeat 2 { mix: conv(width, kernel = 3, pad = 1); relu } }
            stage head { global_avg_pool; linear(classes) }
            share s2[0..2].m*
        }

        net wide = small(width = 8)
    }
}

mod imported {
    ksdsl_runtime::ksnet! {
        use "nets/small.ksn"
        use "std/residual.ksn"
        net imported = small(width = 6)
        net with_blocks { input 4 x 8 x 8; basic_block(4); global_avg_pool; linear(2) }
    }
}

mod in_a_file {
    ksdsl_runtime::include_ksn!("nets/small.ksn");
}

mod by_the_build_script {
    ksdsl_runtime::include_generated!("small");
}

mod by_another_macro {
    macro_rules! family {
        ($name:ident, $width:expr, $layer:ident) => {
            ksdsl_runtime::ksnet! {
                /// A family's member.
                net $name {
                    input 3 x 8 x 8
                    stage s1 { $layer(2 * $width, kernel = 3, pad = 1); relu }
                    stage s2 { repeat 2 { mix: $layer(2 * $width, kernel = 3, pad = 1); relu } }
                    stage head { global_avg_pool; linear(5) }
                    share s2[0..2].m*
                }
            }
        };
    }
    family!(eight, 3 + 1, conv);
}

/// Trainable parameters: the first convolution, the kernel that two share, and the classifier.
fn small_parameters(width: u64, classes: u64) -> u64 {
    width * 3 * 9 + width * width * 9 + (width * classes + classes)
}

#[test]
fn networks_are_the_same_in_rust_and_in_a_file() {
    for (found, width) in [
        (in_rust::small::PARAMETERS, 4),
        (in_a_file::small::PARAMETERS, 4),
        (by_the_build_script::small::PARAMETERS, 4),
        (in_rust::wide::PARAMETERS, 8),
        (in_a_file::wide::PARAMETERS, 8),
        (by_the_build_script::wide::PARAMETERS, 8),
        (imported::imported::PARAMETERS, 6),
        // The expression that is passed on stays one operand: 2 * (3 + 1).
        (by_another_macro::eight::PARAMETERS, 8),
    ] {
        assert_eq!(found, small_parameters(width, 5));
    }
    // Two convolutions, two norms and the classifier.
    assert_eq!(imported::with_blocks::PARAMETERS, 2 * 9 * 4 * 4 + 2 * 2 * 4 + 4 * 2 + 2);
}

#[test]
fn models_can_be_built_and_run() {
    let device = Cpu::seed_from_u64(0);
    let model = device.build_module::<in_rust::small::Builder, f32>();
    assert_eq!(model.num_trainable_params() as u64, small_parameters(4, 5));
    let images: Tensor<(usize, Const<3>, Const<8>, Const<8>), f32, _> =
        device.sample_normal_like(&(2, Const, Const, Const));
    let logits: Tensor<(usize, Const<5>), f32, _> = model.forward(images);
    assert!(logits.as_vec().iter().all(|logit| logit.is_finite()));
    assert_eq!(logits.as_vec().len(), 2 * 5);
}
