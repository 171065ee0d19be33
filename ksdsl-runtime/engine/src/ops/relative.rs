//! Biases of relative positions in a grid (Liu et al. 2021, equation 4).

use crate::exec::Exec;
use crate::loops::{Loops, View, constant, operand};
use crate::real::Real;

/// For each two positions of a grid the number of their distance, rows first.
pub(super) fn distances([rows, columns]: [usize; 2]) -> Vec<usize> {
    let places = 0..rows * columns;
    let of_query = |query| places.clone().map(move |key| distance([rows, columns], query, key));
    places.clone().flat_map(of_query).collect()
}

/// The number of the distance between two positions of a grid, which count row by row.
pub(super) fn distance([rows, columns]: [usize; 2], query: usize, key: usize) -> usize {
    let [(y, x), (to_y, to_x)] = [query, key].map(|place| (place / columns, place % columns));
    (y + rows - 1 - to_y) * (2 * columns - 1) + x + columns - 1 - to_x
}

/// The gradient of the biases, of that of the scores: for each distance the sum over the queries that have a key there.
pub(super) fn of_biases<E: Real, X: Exec<E>>(
    exec: &X,
    [items, heads]: [usize; 2],
    [rows, columns]: [usize; 2],
    slopes: &X::Buf,
) -> Result<X::Buf, X::Err> {
    let tokens = rows * columns;
    let of_head = tokens * tokens;
    let over_items = Loops {
        output: vec![heads, of_head],
        summed: vec![items],
        views: vec![View::steps([of_head, 1, heads * of_head])],
        value: operand(0),
    };
    let slopes = exec.compute(&over_items, &[slopes])?;
    let count = (2 * rows - 1) * (2 * columns - 1);
    let (mut keys, mut is_there) = (vec![0; count * tokens], vec![E::zero(); count * tokens]);
    for (pair, distance) in distances([rows, columns]).into_iter().enumerate() {
        let place = distance * tokens + pair / tokens;
        keys[place] = pair % tokens;
        is_there[place] = E::one();
    }
    let loops = Loops {
        output: vec![count, heads],
        summed: vec![tokens],
        views: vec![
            View::steps([0, of_head, tokens]).with_table(&[0, 2], keys),
            View::steps([tokens, 0, 1]),
        ],
        value: operand(1).if_positive(operand(0), constant(0.0)),
    };
    exec.compute(&loops, &[&slopes, &exec.upload(is_there)?])
}
