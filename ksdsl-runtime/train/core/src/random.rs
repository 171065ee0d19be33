//! Stateless randomness: all random numbers of a run are functions of its seed, their purpose and the position in the
//! run. So a resumed run needs no generator state, and batches can be created in any order and on any thread.

use ksdsl_files::random::mix;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The purpose of random numbers. Different purposes have independent numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// The initial values of a model.
    Initialisation,
    /// The order of the images in an epoch.
    Order,
    /// The augmentation of an image.
    Augmentation,
    /// Mixup and cutmix.
    Mixing,
    /// The dropout masks of a step.
    Dropout,
    /// The windows of a text.
    Windows,
    /// Training puzzles.
    Puzzles,
    /// Validation puzzles.
    HeldOutPuzzles,
    /// How often loops run in a step.
    Iterations,
}

/// The seed for `purpose` at a position of the run, such as (epoch, image) or (step, 0).
pub fn seed(run: u64, purpose: Purpose, place: [u64; 2]) -> u64 {
    let parts = [purpose as u64 + 1, place[0], place[1]];
    parts.into_iter().fold(mix(run), |seed, part| mix(seed ^ mix(part)))
}

/// A generator for `purpose` at a position of the run.
pub fn generator(run: u64, purpose: Purpose, place: [u64; 2]) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed(run, purpose, place))
}

#[cfg(test)]
mod tests {
    use super::{Purpose, seed};
    use std::collections::BTreeSet;

    #[test]
    fn places_and_purposes_have_different_seeds() {
        let mut seeds = BTreeSet::new();
        for run in 0..4 {
            for purpose in [Purpose::Order, Purpose::Dropout] {
                for place in 0..64 {
                    seeds.insert(seed(run, purpose, [place % 8, place / 8]));
                }
            }
        }
        assert_eq!(seeds.len(), 4 * 2 * 64);
    }
}
