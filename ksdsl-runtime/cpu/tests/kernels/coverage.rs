//! Convolutions over grids of sizes: every remainder of the tiles, strides, dilations, groups, paddings,
//! one image, one channel, channels that no vector divides; and a table of the greatest errors.

use crate::convolutions::check_conv;
use crate::support::{RECORD, Rng, Worst, at_every_level};
use crate::{activations, attention, chains, convolutions, depthwise, maps, norms, winograd};
use ksdsl_cpu::{Level, WinogradChoice, with_winograd};
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, Window};
use ksdsl_oracle::outputs_along;

/// Channels below, at and above one and two vectors of 8 and 16 lanes, and the tiles of 64 columns.
const CHANNELS: [usize; 9] = [1, 2, 7, 8, 9, 16, 17, 31, 65];

/// A convolution with as many outputs as PyTorch gives it.
fn sized(input: MapSize, [groups, outputs_]: [usize; 2], window: Window) -> Option<ConvSize> {
    let output = MapSize {
        height: outputs_along(&window, 0, input.height)?,
        width: outputs_along(&window, 1, input.width)?,
        channels: outputs_,
        ..input
    };
    Some(ConvSize {
        input,
        output,
        window,
        groups,
        algorithm: Algorithm::Auto,
        unit: None,
    })
}

fn map(batch: usize, height: usize, width: usize, channels: usize) -> MapSize {
    MapSize {
        batch,
        height,
        width,
        channels,
    }
}

/// The window of a square kernel, stride and dilation.
fn window(kernel: usize, stride: usize, pad: [usize; 2], dilation: usize) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad,
        dilation: [dilation; 2],
    }
}

/// Every remainder of 16 rows, over all combinations of channels; one image and several.
#[test]
fn pointwise_convolutions() {
    at_every_level(|| {
        let (mut rng, mut worst) = (Rng(70), Worst::of("pointwise"));
        for (index, inputs) in CHANNELS.into_iter().enumerate() {
            for (more, outputs) in CHANNELS.into_iter().enumerate() {
                let width = 1 + (7 * index + more) % 16;
                let input = map(1 + more % 2, 1 + index % 3, width, inputs);
                let size = sized(input, [1, outputs], window(1, 1, [0; 2], 1)).unwrap();
                check_conv::<f32>(size, &mut rng, &mut worst);
            }
        }
    });
}

/// Kernels by strides by dilations by paddings up to the window, dense, on maps with odd sizes.
#[test]
fn dense_windows() {
    at_every_level(|| {
        let mut rng = Rng(71);
        let mut at = 0;
        for (stride, dilation) in [(1, 1), (1, 2), (2, 1), (2, 3), (3, 1)] {
            let mut worst = Worst::of(match (stride, dilation) {
                (1, 1) => "dense",
                (1, _) => "dilated",
                (_, 1) => "strided",
                _ => "strided and dilated",
            });
            for kernel in [1, 2, 3, 5, 7] {
                for pad in [[0; 2], [kernel / 2; 2], [kernel, 0]] {
                    at += 1;
                    let channels = [CHANNELS[at % 9], CHANNELS[(2 * at + 3) % 9]];
                    let input = map(1 + at % 2, 7 + at % 5, 8 + at % 7, channels[0]);
                    let size = sized(input, [1, channels[1]], window(kernel, stride, pad, dilation));
                    if let Some(size) = size {
                        let check = || check_conv::<f32>(size, &mut rng, &mut worst);
                        with_winograd(WinogradChoice::Never, check);
                    }
                }
            }
        }
    });
}

/// Groups of one and of several channels, depthwise kernels with several outputs for each input.
#[test]
fn grouped_windows() {
    at_every_level(|| {
        let (mut rng, mut worst) = (Rng(72), Worst::of("grouped"));
        for (at, [groups, inputs, outputs]) in [
            [2, 2, 4],
            [2, 18, 34],
            [3, 9, 3],
            [5, 5, 10],
            [16, 16, 32],
            [17, 17, 34],
        ]
        .into_iter()
        .enumerate()
        {
            for (kernel, stride, dilation) in [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 3, 1)] {
                let input = map(1 + at % 2, 9, 7 + at, inputs);
                let pad = [kernel / 2, (kernel - 1) * dilation];
                let size = sized(input, [groups, outputs], window(kernel, stride, pad, dilation));
                check_conv::<f32>(size.unwrap(), &mut rng, &mut worst);
            }
        }
    });
}

/// Depthwise kernels of all ways, over channels around the vectors; one image, one channel, maps smaller
/// than the kernel.
#[test]
fn depthwise_windows() {
    at_every_level(|| {
        let mut rng = Rng(73);
        for kernel in [1, 3, 4, 5, 7, 9] {
            let mut worst = Worst::of(if kernel > 5 {
                "wide depthwise"
            } else {
                "small depthwise"
            });
            for (at, channels) in CHANNELS.into_iter().enumerate() {
                for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
                    let input = map(
                        1 + at % 2,
                        1 + (3 * at + kernel) % 11,
                        1 + (5 * at + kernel) % 29,
                        channels,
                    );
                    let window = window(kernel, stride, [kernel / 2 * dilation; 2], dilation);
                    if let Some(mut size) = sized(input, [channels; 2], window) {
                        check_conv::<f32>(size, &mut rng, &mut worst);
                        size.algorithm = Algorithm::ToomCook;
                        check_conv::<f32>(size, &mut rng, &mut worst);
                    }
                }
            }
        }
    });
}

/// Prints what every kernel reaches at every level, as a table for the notes:
/// `cargo test -p ksdsl-cpu --test kernels -- --ignored --nocapture table_of_errors`
#[test]
#[ignore = "prints a table; the tests check the same"]
fn table_of_errors() {
    let tests = [
        pointwise_convolutions,
        dense_windows,
        grouped_windows,
        depthwise_windows,
        depthwise::every_level_matches_the_oracle,
        convolutions::convolutions_match_the_oracle_in_f32_at_every_level,
        convolutions::large_convolutions_match_the_oracle,
        convolutions::linear_layers_match_the_oracle,
        winograd::winograd_matches_the_oracle_in_f32_at_every_level,
        winograd::large_winograd_matches_the_oracle,
        winograd::the_rule_keeps_the_error_small,
        maps::pools_match_the_oracle,
        maps::combinations_match_the_oracle,
        activations::activations_match_the_oracle,
        norms::norms_match_the_oracle,
        attention::attention_matches_the_oracle,
        chains::chains_match_the_oracle,
    ];
    tests.iter().for_each(|test| test());
    let record = RECORD.lock().unwrap();
    let levels = Level::available();
    let heads: Vec<String> = levels.iter().map(|level| format!("{level:?}")).collect();
    println!("| kernel | comparisons | {} |", heads.join(" | "));
    println!("| --- | --- |{}", " --- |".repeat(levels.len()));
    let mut names: Vec<&String> = record.keys().map(|(name, _)| name).collect();
    names.dedup();
    for name in names {
        let cells = levels.iter().map(|&level| record.get(&(name.clone(), Some(level))));
        let cells: Vec<(f64, usize)> = cells.flatten().copied().collect();
        if cells.len() == levels.len() {
            let errors: Vec<String> = cells.iter().map(|(error, _)| format!("{error:.1e}")).collect();
            println!("| {name} | {} | {} |", cells[0].1, errors.join(" | "));
        }
    }
}
