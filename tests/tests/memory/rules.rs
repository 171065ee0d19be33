//! What the networks of `ksdsl/tests/data/memory.ksn` use, on one thread, as `memory.csv` says: the compiler's own
//! test holds its predictions against that file.

use super::ALONE;
use super::measure::{Peaks, measured, measured_inference, peak_of};
use ksdsl_runtime::cpu::with_threads;
use ksdsl_runtime::prelude::*;
use std::num::NonZeroUsize;
use std::sync::PoisonError;

#[allow(missing_docs)]
mod nets {
    ksdsl_runtime::include_generated!("memory");
}

const FIGURES: &str = include_str!("../../../ksdsl/tests/data/memory.csv");

macro_rules! for_nets {
    ($($at:tt: $($net:ident)+;)+) => {
        fn peaks(net: &str, batch: usize) -> Peaks {
            match net {
                $($(stringify!($net) => measured!(nets::$net::Builder $at, batch),)+)+
                _ => panic!("no network `{net}`"),
            }
        }
    };
}

for_nets! {
    [0]: linear;
    [0, 1, 2]:
        pointwise rows_in_parts few_rows strided dilated grouped large_gradient many_tiles
        widening rough small_windows small_gradient planes dilated_planes strided_planes tiles
        tiles_of_gradients large_planes multiplied chained chained_tiles not_chained norms
        norm_behind residuals residuals_left_open layer_norms joined joined_alike joined_residuals
        joined_with_uses added concatenated multiplied_maps gated pooled flattened positions
        positions_of_one_image attended attended_long one_kernel scaled joined_wide tall_planes
        chained_alone strided_alone planes_alone tiles_alone no_dropout norm_and_silu;
}

#[test]
fn the_file_says_what_is_measured() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    for row in FIGURES.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let batch = cells[1].parse().expect("a number of images");
        let measured = with_threads(NonZeroUsize::MIN, || peaks(cells[0], batch)).named();
        let written = cells[2..].iter().map(|cell| cell.parse::<f64>().expect("bytes"));
        if !written
            .zip(measured)
            .all(|(written, (_, measured))| (0.97..1.03).contains(&(measured as f64 / written)))
        {
            wrong.push(format!(
                "{},{batch},{}",
                cells[0],
                measured.map(|(_, bytes)| bytes.to_string()).join(",")
            ));
        }
    }
    assert!(wrong.is_empty(), "rows as measured:\n{}", wrong.join("\n"));
}
