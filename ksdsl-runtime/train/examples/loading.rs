//! The number of images per second the loader produces at 32x32, for several numbers of threads and recipes:
//! `cargo run --release -p ksdsl-train --example loading`. Nothing else should run meanwhile.

use ksdsl_train::data::augment::Augment;
use ksdsl_train::data::{DataError, Loader, Scaling, Shapes};
use ksdsl_train::recipe::Recipe;
use ksdsl_train::source::Source;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

/// Timings of each case; they are taken in turns, and the middle one counts.
const TURNS: usize = 5;

fn main() -> Result<(), DataError> {
    let shapes = Shapes {
        training: 5_000,
        test: 1,
        seed: 0,
    };
    let data = Arc::new(shapes.generate().0);
    let scaling = Scaling::of(&data);
    let batch = NonZeroUsize::new(128).unwrap_or(NonZeroUsize::MIN);
    let recipes = [
        ("as they are", Augment::none()),
        ("crop, flip", Augment::cifar()),
        (
            "RandAugment, erasing, mixup, cutmix",
            Augment::of(&Recipe::convmixer().augment, &scaling),
        ),
    ];
    let mut cases = Vec::new();
    for (name, augment) in recipes {
        for workers in [1, 2] {
            let loader = Loader::new(Arc::clone(&data), batch, &scaling, 0);
            let loader = loader.augment(augment.clone()).workers(workers);
            cases.push((name, workers, loader, Vec::new()));
        }
    }
    for turn in 0..TURNS {
        for (_, _, loader, rates) in &mut cases {
            // The first batches are made before they are requested.
            let start = Instant::now();
            for batch in loader.epoch(2 * turn as u32 + 1, 0) {
                batch?;
            }
            rates.push(data.len() as f64 / start.elapsed().as_secs_f64());
            // An epoch elsewhere: what was made ahead is of no use to the next turn.
            loader.epoch(1_000, 0).next();
        }
    }
    for (name, workers, _, mut rates) in cases {
        rates.sort_by(f64::total_cmp);
        println!("{name}, {workers} threads: {:.0} images/s", rates[TURNS / 2]);
    }
    Ok(())
}
