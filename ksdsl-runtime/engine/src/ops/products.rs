//! Matrix products within items, for some columns of their rows at a time, as loops.

use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::real::Real;

/// Items with two sequences each, `left` and `right`, of the same columns for each head. `left` has `group` heads for each
/// head of `right`, one after the other. What has a row of `left` and one of `right` is `[item][head of left][row of
/// left][row of right]`, the weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Products {
    pub(super) items: usize,
    /// Heads of `right`.
    pub(super) heads: usize,
    /// Heads of `left` for each of `right`.
    pub(super) group: usize,
    /// Rows of `left`.
    pub(super) left: usize,
    /// Rows of `right`.
    pub(super) right: usize,
    /// Columns of a head.
    pub(super) depth: usize,
}

impl Products {
    /// Values of an item of `left` and of `right`, and of a row of each.
    fn widths(self) -> [usize; 4] {
        let (row, of_right) = (self.heads * self.group * self.depth, self.heads * self.depth);
        [self.left * row, self.right * of_right, row, of_right]
    }

    /// Each row of `left` times each of `right`, head by head: `left right'`.
    pub(super) fn weights<E: Real, X: Exec<E>>(
        self,
        exec: &X,
        left: &X::Buf,
        right: &X::Buf,
    ) -> Result<X::Buf, X::Err> {
        let [item, of_right, row, right_row] = self.widths();
        let loops = Loops {
            output: vec![self.items, self.heads, self.group, self.left, self.right],
            summed: vec![self.depth],
            views: vec![
                View::steps([item, self.group * self.depth, self.depth, row, 0, 1]),
                View::steps([of_right, self.depth, 0, 0, right_row, 1]),
            ],
            value: operand(0) * operand(1),
        };
        exec.compute(&loops, &[left, right])
    }

    /// The sums of the rows of `right` with these weights, for each row of `left`: `weights right`.
    pub(super) fn to_left<E: Real, X: Exec<E>>(
        self,
        exec: &X,
        weights: &X::Buf,
        right: &X::Buf,
    ) -> Result<X::Buf, X::Err> {
        let [_, of_right, _, right_row] = self.widths();
        let [item, head, of_group, of_row] = self.steps();
        let loops = Loops {
            output: vec![self.items, self.left, self.heads, self.group, self.depth],
            summed: vec![self.right],
            views: vec![
                View::steps([of_right, 0, self.depth, 0, 1, right_row]),
                View::steps([item, of_row, head, of_group, 0, 1]),
            ],
            value: operand(0) * operand(1),
        };
        exec.compute(&loops, &[right, weights])
    }

    /// The sums of the rows of `left` with these weights, for each row of `right`: `weights' left`.
    pub(super) fn to_right<E: Real, X: Exec<E>>(
        self,
        exec: &X,
        weights: &X::Buf,
        left: &X::Buf,
    ) -> Result<X::Buf, X::Err> {
        let [of_left, _, row, _] = self.widths();
        let [item, head, of_group, of_row] = self.steps();
        let loops = Loops {
            output: vec![self.items, self.right, self.heads, self.depth],
            summed: vec![self.group, self.left],
            views: vec![
                View::steps([of_left, 0, self.group * self.depth, 1, self.depth, row]),
                View::steps([item, 1, head, 0, of_group, of_row]),
            ],
            value: operand(0) * operand(1),
        };
        exec.compute(&loops, &[left, weights])
    }

    /// Steps of the weights: from item to item, head of `right`, head of `left`, row of `left`.
    fn steps(self) -> [usize; 4] {
        let of_group = self.left * self.right;
        let head = self.group * of_group;
        [self.heads * head, head, of_group, self.right]
    }
}
