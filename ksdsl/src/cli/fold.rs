//! Rows of repeated blocks in one: the pointwise convolutions of 16 equal blocks become one row
//! `mixer[0..16].pointwise`, whose numbers are those of all 16.

use super::path_range::{PathRange, parse};
use crate::ir::join_sizes;
use crate::summary::LayerSummary;

/// The longest block, in rows, that is looked for.
const LONGEST: usize = 256;

/// A row of the table: one layer, or the same layer of consecutive blocks.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) path: PathRange,
    pub(super) layer: &'static str,
    pub(super) output: String,
    pub(super) kernel: String,
    pub(super) algorithm: &'static str,
    pub(super) group: String,
    pub(super) stored: u64,
    pub(super) unshared: u64,
    pub(super) macs: u64,
    /// The number of layers the row represents.
    layers: u64,
}

impl Row {
    /// The row of one layer.
    pub(super) fn new(layer: &LayerSummary) -> Self {
        let groups = [
            layer.group.clone(),
            layer.bias_group.as_ref().map(|bias| format!("bias: {bias}")),
        ];
        Row {
            path: PathRange::new(parse(&layer.path)),
            layer: layer.op,
            output: join_sizes(&layer.output),
            kernel: layer.kernel.as_deref().map(join_sizes).unwrap_or_default(),
            algorithm: layer.algorithm.unwrap_or(if layer.fused { "fused" } else { "" }),
            group: groups.into_iter().flatten().collect::<Vec<_>>().join(", "),
            stored: layer.stored,
            unshared: layer.unshared,
            macs: layer.macs,
            layers: 1,
        }
    }

    /// A row of a path and a text alone.
    pub(super) fn of_text(path: &str, text: String) -> Self {
        Row {
            path: PathRange::new(parse(path)),
            layer: "",
            output: String::new(),
            kernel: text,
            algorithm: "",
            group: String::new(),
            stored: 0,
            unshared: 0,
            macs: 0,
            layers: 1,
        }
    }

    /// The index in which `next` is the same layer of the next block. What is stored may differ: a
    /// shared kernel is stored at its first visit.
    fn continued_by(&self, next: &Row) -> Option<usize> {
        let same = |mine: u64, theirs: u64| {
            u128::from(mine) * u128::from(next.layers) == u128::from(theirs) * u128::from(self.layers)
        };
        let alike = self.layer == next.layer
            && self.output == next.output
            && self.kernel == next.kernel
            && self.algorithm == next.algorithm
            && self.group == next.group
            && same(self.unshared, next.unshared)
            && same(self.macs, next.macs);
        alike.then(|| self.path.continued_by(&next.path)).flatten()
    }

    fn extend(&mut self, next: &Row) {
        self.path.extend(&next.path);
        self.stored += next.stored;
        self.unshared += next.unshared;
        self.macs += next.macs;
        self.layers += next.layers;
    }
}

/// Folds repeated blocks, the innermost first, until nothing repeats.
pub(super) fn fold(mut rows: Vec<Row>) -> Vec<Row> {
    loop {
        let before = rows.len();
        rows = fold_once(rows);
        if rows.len() == before {
            return rows;
        }
    }
}

fn fold_once(rows: Vec<Row>) -> Vec<Row> {
    let mut folded = Vec::new();
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let Some(period) = (1..=LONGEST).find(|period| repeats(rest, *period)) else {
            folded.push(rest[0].clone());
            rest = &rest[1..];
            continue;
        };
        let mut block = rest[..period].to_vec();
        rest = &rest[period..];
        while let Some(next) = rest.get(..period)
            && continues(&block, next)
        {
            for (row, next) in block.iter_mut().zip(next) {
                row.extend(next);
            }
            rest = &rest[period..];
        }
        folded.append(&mut block);
    }
    folded
}

/// Whether the first `period` rows are followed by the same layers of the next block.
fn repeats(rows: &[Row], period: usize) -> bool {
    match (rows.get(..period), rows.get(period..2 * period)) {
        (Some(block), Some(next)) => continues(block, next),
        _ => false,
    }
}

/// Whether all rows of `next` go on after those of `block`, all in the same index.
fn continues(block: &[Row], next: &[Row]) -> bool {
    let mut indices = block.iter().zip(next).map(|(row, next)| row.continued_by(next));
    match indices.next() {
        Some(Some(first)) => indices.all(|index| index == Some(first)),
        _ => false,
    }
}
