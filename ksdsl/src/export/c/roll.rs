//! Finds equal calls in a row of calls, which become loops.

use super::{Arg, Call};
use crate::steps::Place;
use std::collections::HashMap;

/// The longest row of calls that is repeated.
const LONGEST: usize = 256;

/// Calls once, or several times with other arguments.
#[derive(Debug)]
pub(super) struct Item<'c> {
    /// Of each iteration, its calls.
    pub(super) rounds: Vec<&'c [Call]>,
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

/// What is the same in calls that are alike.
#[derive(PartialEq, Eq, Hash)]
enum Same<'c> {
    Struct(&'c str),
    Int,
    Real,
    Array(bool),
    Arena,
    Port(Place),
}

fn same(arg: &Arg) -> Same<'_> {
    match arg {
        Arg::Struct(kind, _) => Same::Struct(kind),
        Arg::Int(_) => Same::Int,
        Arg::Real(_) => Same::Real,
        Arg::Array(array) => Same::Array(array.is_some()),
        Arg::Buffer(Place::Arena(_)) => Same::Arena,
        Arg::Buffer(place) => Same::Port(*place),
    }
}

/// The calls as items, in their order.
pub(super) fn roll(calls: &[Call]) -> Vec<Item<'_>> {
    let mut known = HashMap::new();
    let mut number = |call: &'_ Call| -> usize {
        let key = format!("{} {}", call.kernel, words(call));
        let next = known.len();
        *known.entry(key).or_insert(next)
    };
    let numbers: Vec<usize> = calls.iter().map(&mut number).collect();
    let equal = equal(&numbers);
    let (mut items, mut at) = (Vec::new(), 0);
    while at < calls.len() {
        // The period that saves the most calls, the shortest of those.
        let saved = |period: usize| equal[period - 1][at] / period * period;
        let best = (1..=equal.len()).max_by_key(|period| (saved(*period), std::cmp::Reverse(*period)));
        let (period, rounds) = match best {
            Some(period) if saved(period) > 1 => (period, saved(period) / period + 1),
            _ => (1, 1),
        };
        let all = (0..rounds).map(|round| &calls[at + round * period..][..period]);
        items.push(item(all.collect()));
        at += period * rounds;
    }
    items
}

fn words(call: &Call) -> String {
    let one = |arg: &Arg| match same(arg) {
        Same::Struct(kind) => kind.to_owned(),
        Same::Int => "int".to_owned(),
        Same::Real => "real".to_owned(),
        Same::Array(is) => format!("array {is}"),
        Same::Arena => "arena".to_owned(),
        Same::Port(place) => format!("{place:?}"),
    };
    call.args.iter().map(one).collect::<Vec<_>>().join(",")
}

/// For each period and place, how many calls from there on equal those a period later.
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

fn item(rounds: Vec<&[Call]>) -> Item<'_> {
    let mut item = Item {
        rounds,
        places: Vec::new(),
        columns: Vec::new(),
    };
    let rounds = item.rounds.clone();
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
