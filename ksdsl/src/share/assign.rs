//! Which kernel each visit uses, as plain functions of the number of visits.

use ksdsl_files::random::SplitMix64;
use std::ops::Range;

/// The order in which visits use kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Visits in a row use one kernel.
    Sequential,
    /// The kernels in turn, again and again: SPIN's *strided* (Lin et al. 2022), and CYCLE of Takase
    /// & Kiyono (2021).
    Cycle,
    /// As `Cycle`, the last turn in reverse order: CYCLE (REV) of Takase & Kiyono.
    CycleRev,
    /// `Sequential`, shuffled, as SPIN's *random*.
    Random(u64),
}

/// The number of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// So many.
    Groups(usize),
    /// One for this many visits, the last perhaps for fewer.
    Rate(usize),
}

impl Count {
    pub(super) fn kernels(self, visits: usize) -> usize {
        match self {
            Count::Groups(groups) => groups,
            Count::Rate(rate) => visits.div_ceil(rate),
        }
    }
}

/// The kernel of every visit; every kernel is used if there are no more kernels than visits.
pub(super) fn assign(visits: usize, order: Order, count: Count) -> Vec<usize> {
    let kernels = count.kernels(visits);
    match order {
        Order::Sequential => sequential(visits, count),
        Order::Cycle => (0..visits).map(|visit| visit % kernels).collect(),
        Order::CycleRev => cycle_rev(visits, kernels),
        Order::Random(seed) => {
            let mut assignment = sequential(visits, count);
            shuffle(&mut assignment, seed);
            assignment
        }
    }
}

/// Given the number of kernels, groups whose sizes differ by at most one, the larger ones first (as
/// `numpy.array_split` does); given the rate, groups of that size, the last one perhaps smaller.
fn sequential(visits: usize, count: Count) -> Vec<usize> {
    match count {
        Count::Rate(rate) => (0..visits).map(|visit| visit / rate).collect(),
        Count::Groups(groups) => {
            let (size, larger) = (visits / groups, visits % groups);
            let members = |group| size + usize::from(group < larger);
            (0..groups)
                .flat_map(|group| std::iter::repeat_n(group, members(group)))
                .collect()
        }
    }
}

/// The last visits, as many as there are kernels or as the first turn leaves, go backwards from the
/// last kernel; those before them cycle. So it is in the authors' code
/// (github.com/takase/share_layer_params, `fairseq/models/transformer.py`).
fn cycle_rev(visits: usize, kernels: usize) -> Vec<usize> {
    let backwards = kernels.min(visits - kernels.min(visits));
    let forwards = visits - backwards;
    let cycle = (0..forwards).map(|visit| visit % kernels);
    cycle.chain((0..backwards).map(|visit| kernels - 1 - visit)).collect()
}

/// Fisher and Yates' shuffle, from the end, each step taking the next number of SplitMix64
/// modulo the elements left: a seed means the same for ever.
fn shuffle(items: &mut [usize], seed: u64) {
    let mut generator = SplitMix64(seed);
    for last in (1..items.len()).rev() {
        let other = generator.draw() % (last as u64 + 1);
        // At most `last`, so it fits.
        items.swap(last, other as usize);
    }
}

/// A number of visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Amount {
    /// So many.
    Visits(usize),
    /// This part of them, rounded to the nearest number, halves up.
    Fraction(f64),
}

impl Amount {
    pub(super) fn of(self, visits: usize) -> usize {
        match self {
            Amount::Visits(amount) => amount,
            // Between zero and `visits`.
            Amount::Fraction(part) => (part * visits as f64 + 0.5).floor() as usize,
        }
    }
}

/// Which of the visits share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Uniform,
    Front(Amount),
    Middle(Amount),
    Back(Amount),
    Sandwich,
}

impl Place {
    /// The visits that share, if there are as many as are requested.
    pub(super) fn of(self, visits: usize) -> Option<Range<usize>> {
        let (amount, start): (_, fn(usize) -> usize) = match self {
            Place::Uniform => return Some(0..visits),
            Place::Sandwich => return Some(1.min(visits)..visits.saturating_sub(1).max(1.min(visits))),
            Place::Front(amount) => (amount, |_| 0),
            Place::Middle(amount) => (amount, |others| others / 2),
            Place::Back(amount) => (amount, |others| others),
        };
        let amount = amount.of(visits);
        let start = start(visits.checked_sub(amount)?);
        Some(start..start + amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_groups_differ_by_at_most_one() {
        // numpy.array_split(range(7), 3) gives groups of 3, 2 and 2.
        assert_eq!(assign(7, Order::Sequential, Count::Groups(3)), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(assign(4, Order::Sequential, Count::Groups(4)), [0, 1, 2, 3]);
        assert_eq!(assign(3, Order::Sequential, Count::Groups(1)), [0, 0, 0]);
    }

    /// `uniform_sequential` and `uniform_strided` of SPIN's code (apple/ml-spin,
    /// `models/weight_sharing_helper.py`) for a share rate of 2 and 3 kernels; then what does not divide.
    #[test]
    fn rates_are_those_of_spin() {
        assert_eq!(assign(6, Order::Sequential, Count::Rate(2)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(assign(6, Order::Cycle, Count::Rate(2)), [0, 1, 2, 0, 1, 2]);
        assert_eq!(assign(7, Order::Sequential, Count::Rate(3)), [0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(assign(7, Order::Cycle, Count::Rate(3)), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(assign(2, Order::Sequential, Count::Rate(5)), [0, 0]);
    }

    /// Fig. 1 of Takase & Kiyono, M = 3 and N = 6; the others by their code, in Python:
    /// ```python
    /// def cycle_reverse(n, m):
    ///     layers = list(range(m))
    ///     layers += [i % m for i in range(n - 2 * m)]
    ///     return layers + [list(range(m))[-(i % m + 1)] for i in range(n - len(layers))]
    /// ```
    #[test]
    fn cycles_are_those_of_takase_and_kiyono() {
        assert_eq!(assign(6, Order::Cycle, Count::Groups(3)), [0, 1, 2, 0, 1, 2]);
        assert_eq!(assign(6, Order::CycleRev, Count::Groups(3)), [0, 1, 2, 2, 1, 0]);
        assert_eq!(
            assign(9, Order::CycleRev, Count::Groups(3)),
            [0, 1, 2, 0, 1, 2, 2, 1, 0]
        );
        assert_eq!(assign(7, Order::CycleRev, Count::Groups(3)), [0, 1, 2, 0, 2, 1, 0]);
        assert_eq!(assign(5, Order::CycleRev, Count::Groups(3)), [0, 1, 2, 2, 1]);
        assert_eq!(assign(3, Order::CycleRev, Count::Groups(3)), [0, 1, 2]);
    }

    /// In Python:
    /// ```python
    /// def mapping(visits, kernels, seed):
    ///     size, larger = divmod(visits, kernels)
    ///     items = [k for k in range(kernels) for _ in range(size + (k < larger))]
    ///     mask = (1 << 64) - 1
    ///     for last in range(visits - 1, 0, -1):
    ///         seed = (seed + 0x9E3779B97F4A7C15) & mask
    ///         z = seed
    ///         z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    ///         z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    ///         z ^= z >> 31
    ///         other = z % (last + 1)
    ///         items[last], items[other] = items[other], items[last]
    ///     return items
    /// ```
    #[test]
    fn random_mappings_never_change() {
        let random = |visits, kernels, seed| assign(visits, Order::Random(seed), Count::Groups(kernels));
        assert_eq!(random(8, 3, 7), [0, 1, 1, 0, 2, 0, 1, 2]);
        assert_eq!(random(12, 4, 0), [1, 0, 2, 2, 0, 1, 0, 1, 3, 3, 3, 2]);
    }

    #[test]
    fn places_are_counted_from_their_ends() {
        let visits = Amount::Visits;
        assert_eq!(Place::Front(visits(3)).of(8), Some(0..3));
        assert_eq!(Place::Middle(visits(3)).of(8), Some(2..5));
        assert_eq!(Place::Back(visits(3)).of(8), Some(5..8));
        assert_eq!(Place::Back(Amount::Fraction(0.5)).of(7), Some(3..7));
        assert_eq!(Place::Front(visits(9)).of(8), None);
        assert_eq!(Place::Sandwich.of(5), Some(1..4));
        assert_eq!(
            [0, 1, 2].map(|visits| Place::Sandwich.of(visits)),
            [Some(0..0), Some(1..1), Some(1..1)]
        );
    }
}
