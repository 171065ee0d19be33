//! Finds equal rows of calls in a list of them, which become loops.

use super::{Arg, Call, Row};
use crate::steps::Place;
use std::collections::HashMap;

/// The most rows of calls that are repeated together.
const LONGEST: usize = 256;

/// Calls once, or several times with other arguments.
#[derive(Debug)]
pub(super) struct Item<'c> {
    /// Of each iteration, its rows.
    pub(super) rounds: Vec<&'c [Row]>,
    /// Of each argument of each call in order, its column in the table, or none where all iterations have the same.
    pub(super) places: Vec<Vec<Option<usize>>>,
    /// Of each column, its argument in each iteration.
    pub(super) columns: Vec<Vec<&'c Arg>>,
}

impl Item<'_> {
    /// Bytes of its table on a machine of 32 bits.
    pub(super) fn bytes(&self) -> usize {
        4 * self.columns.len() * self.rounds.len()
    }
}

/// What is the same in arguments of calls that are alike.
fn same(arg: &Arg) -> String {
    match arg {
        Arg::Struct(kind, _) => (*kind).to_owned(),
        Arg::Int(_) => "int".to_owned(),
        Arg::Real(_) => "real".to_owned(),
        Arg::Array(array) => format!("array {}", array.is_some()),
        Arg::Buffer(Place::Arena(_)) => "arena".to_owned(),
        Arg::Buffer(place) => format!("{place:?}"),
        Arg::Slice(whole, distance) => format!("{} by {distance}", same(whole)),
    }
}

/// The rows as items, in their order.
pub(super) fn roll(rows: &[Row]) -> Vec<Item<'_>> {
    let mut known = HashMap::new();
    let mut number = |row: &'_ Row| -> usize {
        let calls: Vec<String> = row.calls.iter().map(words).collect();
        let key = format!("{} {}", row.slices, calls.join(";"));
        let next = known.len();
        *known.entry(key).or_insert(next)
    };
    let numbers: Vec<usize> = rows.iter().map(&mut number).collect();
    let equal = equal(&numbers);
    let (mut items, mut at) = (Vec::new(), 0);
    while at < rows.len() {
        // The period that saves the most rows, the shortest of those.
        let saved = |period: usize| equal[period - 1][at] / period * period;
        let best = (1..=equal.len()).max_by_key(|period| (saved(*period), std::cmp::Reverse(*period)));
        let (period, rounds) = match best {
            Some(period) if saved(period) > 1 => (period, saved(period) / period + 1),
            _ => (1, 1),
        };
        let all = (0..rounds).map(|round| &rows[at + round * period..][..period]);
        items.push(item(all.collect()));
        at += period * rounds;
    }
    items
}

fn words(call: &Call) -> String {
    let args: Vec<String> = call.args.iter().map(same).collect();
    format!("{} {}", call.kernel, args.join(","))
}

/// For each period and place, how many rows from there on equal those a period later.
fn equal(numbers: &[usize]) -> Vec<Vec<usize>> {
    let longest = LONGEST.min(numbers.len() / 2);
    let of = |period: usize| {
        let mut equal = vec![0; numbers.len() + 1];
        for at in (0..numbers.len().saturating_sub(period)).rev() {
            if numbers[at] == numbers[at + period] {
                equal[at] = equal[at + 1] + 1;
            }
        }
        equal
    };
    (1..=longest).map(of).collect()
}

fn calls(rows: &[Row]) -> Vec<&Call> {
    rows.iter().flat_map(|row| &row.calls).collect()
}

fn item(rounds: Vec<&[Row]>) -> Item<'_> {
    let mut item = Item {
        rounds,
        places: Vec::new(),
        columns: Vec::new(),
    };
    let rounds: Vec<Vec<&Call>> = item.rounds.iter().map(|round| calls(round)).collect();
    for (at, call) in rounds[0].iter().enumerate() {
        let mut places = Vec::new();
        for arg in 0..call.args.len() {
            let column: Vec<&Arg> = rounds.iter().map(|round| &round[at].args[arg]).collect();
            places.push(match column.iter().all(|other| *other == column[0]) {
                true => None,
                false => Some(known(&mut item.columns, column)),
            });
        }
        item.places.push(places);
    }
    item
}

fn known<'c>(columns: &mut Vec<Vec<&'c Arg>>, column: Vec<&'c Arg>) -> usize {
    let at = columns.iter().position(|other| *other == column);
    at.unwrap_or_else(|| {
        columns.push(column);
        columns.len() - 1
    })
}
