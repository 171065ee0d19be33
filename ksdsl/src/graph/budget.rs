//! What a step of training runs again in its backward pass, so that its memory fits into a budget.

use super::memory::{alive, training_peak};
use super::recompute::{Segments, steps};
use crate::ir::{Layer, Loop, Network, Node};
pub use ksdsl_engine::budget::MemoryBudget;
use std::fmt;
use std::ops::Range;

/// What a step runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recomputation {
    pub(super) segments: Segments,
    /// The peak of the step, see [`Peaks::training`](super::memory::Peaks::training).
    pub bytes: u128,
    /// The peak of a step that runs nothing again.
    pub all_bytes: u128,
    /// Multiply-adds of the steps that run again, per image.
    pub macs: u128,
    /// Those of the network's forward pass; forward and backward pass together take three times as many.
    pub all_macs: u128,
}

impl Recomputation {
    /// By which fraction the multiply-adds of a step grow.
    pub fn more(&self) -> f64 {
        match self.all_macs {
            0 => 0.0,
            all => self.macs as f64 / (3.0 * all as f64),
        }
    }
}

/// No recomputation makes a step fit into its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// The budget in bytes.
    pub bytes: u128,
    /// The least that was found.
    pub least: u128,
    /// What a step takes without recomputation.
    pub all: u128,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = (self.least as f64 / self.all as f64 * 1000.0).ceil() / 1000.0;
        let [bytes, least, all] = [self.bytes, self.least, self.all].map(|bytes| match bytes {
            0..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
            _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        });
        write!(
            f,
            "a step of training does not fit into {bytes}: recomputation reduces it from {all} to {least} at least, a fraction \
             of {fraction}; a smaller batch, or a batch in parts, takes less"
        )
    }
}

impl std::error::Error for OverBudget {}

/// Steps in a row that can be a segment.
#[derive(Clone, Debug)]
struct Stretch {
    steps: Range<usize>,
    /// The bytes that a pass keeps of it, without its output.
    inner: u128,
    output: u128,
    macs: u128,
    /// Whether it is a loop, each of whose iterations is a segment.
    is_loop: bool,
}

/// A choice of segments.
struct Candidate {
    segments: Vec<Stretch>,
    peak: u128,
}

impl Candidate {
    fn macs(&self) -> u128 {
        self.segments.iter().map(|segment| segment.macs).sum()
    }
}

/// How many segments are tried of each size, at most.
const STEPS: usize = 16;

/// What a step of training on `batch` images runs again, so that its peak on this many threads fits into a budget.
///
/// Segments of several sizes are tried; of each size, those that keep most bytes for their multiply-adds, and more and more of
/// them. Of what fits, the one with the fewest multiply-adds is taken, without the segments that need not be among it.
///
/// # Errors
/// If nothing that is tried fits.
pub fn within(
    network: &Network,
    [batch, threads]: [u64; 2],
    budget: MemoryBudget,
) -> Result<Recomputation, OverBudget> {
    let peak = |segments: &[Stretch]| training_peak(network, [batch, threads], &ranges(segments));
    let all = peak(&[]);
    let bytes = budget.bytes(all);
    let mut candidates = vec![Candidate {
        segments: Vec::new(),
        peak: all,
    }];
    if all > bytes {
        let stretches = stretches(network, batch);
        for size in sizes(&stretches) {
            let segments = grouped(&stretches, size);
            let mut counts: Vec<usize> = (1..=STEPS)
                .map(|step| (segments.len() * step).div_ceil(STEPS))
                .collect();
            counts.dedup();
            candidates.extend(counts.into_iter().map(|count| Candidate {
                segments: segments[..count].to_vec(),
                peak: peak(&segments[..count]),
            }));
        }
    }
    let least = candidates.iter().map(|candidate| candidate.peak).min().unwrap_or(all);
    let fitting = candidates.into_iter().filter(|candidate| candidate.peak <= bytes);
    let Some(Candidate { segments, .. }) = fitting.min_by_key(Candidate::macs) else {
        return Err(OverBudget { bytes, least, all });
    };
    let segments = needed(segments, |segments| peak(segments) <= bytes);
    Ok(Recomputation {
        bytes: peak(&segments),
        all_bytes: all,
        macs: segments.iter().map(|segment| segment.macs).sum(),
        all_macs: network.macs(),
        segments: ranges(&segments),
    })
}

/// The segments in the order of the forward pass.
fn ranges(segments: &[Stretch]) -> Segments {
    let mut ranges: Segments = segments.iter().map(|segment| segment.steps.clone()).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// Segments that fit, without those that need not be among them: the most expensive ones first.
fn needed(mut segments: Vec<Stretch>, fits: impl Fn(&[Stretch]) -> bool) -> Vec<Stretch> {
    let mut costly = segments.clone();
    costly.sort_by_key(|segment| std::cmp::Reverse(segment.macs));
    for segment in costly {
        let others = segments.iter().filter(|other| other.steps != segment.steps);
        let others: Vec<Stretch> = others.cloned().collect();
        if fits(&others) {
            segments = others;
        }
    }
    segments
}

/// Bytes that segments may keep: multiples of the most that a stretch does.
fn sizes(stretches: &[Stretch]) -> Vec<u128> {
    let kept = |stretch: &Stretch| stretch.inner + stretch.output;
    let most = stretches.iter().filter(|stretch| !stretch.is_loop).map(kept).max();
    let (most, all) = (most.unwrap_or(0), stretches.iter().map(kept).sum::<u128>());
    let multiples = [1, 2, 3, 4, 6, 8, 12, 16].map(|times| most * times);
    let multiples = multiples.into_iter().filter(|size| *size > 0 && *size < all);
    [0].into_iter().chain(multiples).collect()
}

/// Stretches in a row that keep so many bytes at most, or one that keeps more; those first that keep most for their
/// multiply-adds.
fn grouped(stretches: &[Stretch], size: u128) -> Vec<Stretch> {
    let mut groups: Vec<Stretch> = Vec::new();
    for next in stretches {
        match groups.last_mut() {
            Some(last)
                if !last.is_loop && !next.is_loop && last.inner + last.output + next.inner + next.output <= size =>
            {
                last.steps.end = next.steps.end;
                last.inner += last.output + next.inner;
                last.output = next.output;
                last.macs += next.macs;
            }
            _ => groups.push(next.clone()),
        }
    }
    groups.retain(|group| group.inner > 0);
    let ratio = |group: &Stretch| group.inner as f64 / (group.macs.max(1) as f64);
    groups.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    groups
}

/// What lies between two places where segments can begin.
fn stretches(network: &Network, batch: u64) -> Vec<Stretch> {
    let steps = steps(network);
    let places = alive(network, batch).into_iter().enumerate();
    let places: Vec<(usize, [u128; 2])> = places.filter_map(|(at, bytes)| Some((at, bytes?))).collect();
    let stretch = |pair: &[(usize, [u128; 2])]| {
        let ((start, [before, _]), (end, [after, output])) = (pair[0], pair[1]);
        Stretch {
            inner: after.saturating_sub(before + output),
            output,
            macs: match steps[start..end] {
                [Node::Loop(of)] => of_last_iterations(network, of),
                _ => steps[start..end].iter().map(|step| macs(network, step)).sum(),
            },
            is_loop: matches!(steps[start..end], [Node::Loop(_)]),
            steps: start..end,
        }
    };
    places.windows(2).map(stretch).collect()
}

/// The multiply-adds per image of the iterations of a loop that gradients flow through, which alone are segments.
fn of_last_iterations(network: &Network, of: &Loop) -> u128 {
    let with_gradients = of.gradients.map_or(of.most, |last| last.min(of.most));
    let all = of.scope.nodes.iter().map(|node| macs(network, node)).sum::<u128>();
    all / u128::from(of.most.max(1)) * u128::from(with_gradients)
}

/// The multiply-adds of a step per image.
fn macs(network: &Network, step: &Node) -> u128 {
    let all = |nodes: &[Node]| nodes.iter().map(|node| macs(network, node)).sum::<u128>();
    let of_layer = |id: &usize| Layer::macs(&network.layers[*id]);
    match step {
        Node::Layer(id) => of_layer(id),
        Node::Scope(scope) | Node::Loop(Loop { scope, .. }) => all(&scope.nodes),
        Node::Join(join) => {
            let arms = join.arms.iter().map(|arm| all(&arm.nodes)).sum::<u128>();
            arms + join.layer.as_ref().map_or(0, of_layer)
        }
        Node::Keep(_) | Node::Set(_) | Node::From(_) => 0,
    }
}
