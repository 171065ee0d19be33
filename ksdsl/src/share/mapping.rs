//! What a clause says about its mapping, and the kernels it gives to this many visits.

use super::assign::{Amount, Count, Order, Place, assign};
use crate::ast::{Call, Expr, MappingExpr, Share};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::mappings::{MAPPINGS, MappingKind, PLACES, PlaceKind, find};
use crate::ops::{ArgValue, Args, read};
use crate::source::Span;
use crate::value::{Env, eval_int};
use std::ops::Range;

/// The kernel of every visit; none for a visit that keeps its own.
pub(super) type Kernels = Vec<Option<usize>>;

/// The mapping of a clause, its numbers computed.
pub(super) struct ClauseMapping<'s> {
    way: Way<'s>,
    place: Place,
    /// As the clause says it, with numbers for expressions; nothing where one kernel serves all.
    pub(super) words: Option<String>,
    into: Span,
    at: Span,
}

enum Way<'s> {
    Spread(Order, Count),
    List(&'s [Option<Expr>]),
}

impl<'s> ClauseMapping<'s> {
    /// Reads what a clause says; `None` if something cannot be used, which is reported.
    pub(super) fn read(share: &'s Share, env: &Env, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut words = Vec::new();
        let way = match &share.into {
            None => Way::Spread(Order::Sequential, Count::Groups(1)),
            Some(MappingExpr::List(visits, _)) => {
                words.push("list".to_owned());
                Way::List(visits)
            }
            Some(MappingExpr::Groups(expr)) => {
                let groups = groups(expr, env, diagnostics)?;
                words.push(format!("sequential(groups = {groups})"));
                Way::Spread(Order::Sequential, Count::Groups(groups))
            }
            Some(MappingExpr::Named(call)) => named(call, env, &mut words, diagnostics)?,
        };
        let place = match &share.at {
            None => Place::Uniform,
            Some(call) => place(call, env, &mut words, diagnostics)?,
        };
        words.extend(share.of_network.then(|| "of network".to_owned()));
        Some(ClauseMapping {
            way,
            place,
            words: (!words.is_empty()).then(|| words.join(" ")),
            into: share.into.as_ref().map_or(share.span, MappingExpr::span),
            at: share.at.as_ref().map_or(share.span, |at| at.span),
        })
    }

    /// Which of this many visits share. `None` if there are fewer than the place wants, which is reported.
    pub(super) fn shared(&self, visits: usize, what: &str, diagnostics: &mut Diagnostics) -> Option<Range<usize>> {
        let shared = self.place.of(visits);
        if shared.is_none() {
            let text = format!("there are only {visits} {what}");
            diagnostics.push(
                Diagnostic::error(Code::DoesNotFitVisits, self.at, text)
                    .help("write fewer, or a fraction such as `front(0.5)`"),
            );
        }
        shared
    }

    /// The kernels of this many visits, of which some share. `None` if the mapping does not fit them, which is
    /// reported.
    pub(super) fn kernels(
        &self,
        shared: Range<usize>,
        visits: usize,
        what: &str,
        env: &Env,
        diagnostics: &mut Diagnostics,
    ) -> Option<Kernels> {
        let inner = match &self.way {
            Way::Spread(order, count) => self.spread(shared.len(), *order, *count, what, diagnostics)?,
            Way::List(list) => self.listed(shared.len(), list, what, env, diagnostics)?,
        };
        let private = |count| std::iter::repeat_n(None, count);
        let after = private(visits - shared.end);
        Some(private(shared.start).chain(inner).chain(after).collect())
    }

    fn spread(
        &self,
        visits: usize,
        order: Order,
        count: Count,
        what: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Kernels> {
        let kernels = count.kernels(visits);
        // A place that leaves no visit is not a question of groups.
        if kernels > visits && visits > 0 {
            let text = format!("{visits} {what} cannot be split into {kernels} groups");
            diagnostics.push(
                Diagnostic::error(Code::TooManyGroups, self.into, text).help(format!("use at most {visits} groups")),
            );
            return None;
        }
        let assignment = if visits == 0 {
            Vec::new()
        } else {
            assign(visits, order, count)
        };
        Some(assignment.into_iter().map(Some).collect())
    }

    /// The kernels of a list: as many entries as visits, and kernels counted from 0 without gaps.
    fn listed(
        &self,
        visits: usize,
        list: &[Option<Expr>],
        what: &str,
        env: &Env,
        diagnostics: &mut Diagnostics,
    ) -> Option<Kernels> {
        if list.len() != visits {
            let text = format!("{} kernels are listed, but there are {visits} {what}", list.len());
            diagnostics.push(Diagnostic::error(Code::DoesNotFitVisits, self.into, text).help(
                "list one kernel for each, in the order of the forward pass, and `_` for one that keeps its own",
            ));
            return None;
        }
        let mut kernels = Vec::with_capacity(visits);
        let mut used = vec![false; visits];
        for entry in list {
            let Some(expr) = entry else {
                kernels.push(None);
                continue;
            };
            let number = eval_int(expr, env, diagnostics)?;
            let Some(kernel) = usize::try_from(number).ok().filter(|kernel| *kernel < visits) else {
                let text = format!("kernel index {number} is out of bounds for {visits} {what}");
                let label = format!("must be from 0 to {}", visits - 1);
                diagnostics.push(Diagnostic::error(Code::OutOfRange, expr.span, text).label(label));
                return None;
            };
            used[kernel] = true;
            kernels.push(Some(kernel));
        }
        let count = used.iter().rposition(|used| *used).map_or(0, |last| last + 1);
        if let Some(unused) = used[..count].iter().position(|used| !used) {
            let text = format!("no visit uses kernel {unused}, but there is a kernel {}", count - 1);
            diagnostics.push(
                Diagnostic::error(Code::DoesNotFitVisits, self.into, text)
                    .help("number the kernels 0, 1, 2, ... without gaps"),
            );
            return None;
        }
        Some(kernels)
    }
}

fn groups(expr: &Expr, env: &Env, diagnostics: &mut Diagnostics) -> Option<usize> {
    let groups = eval_int(expr, env, diagnostics)?;
    match usize::try_from(groups) {
        Ok(groups) if groups > 0 => Some(groups),
        _ => {
            let text = format!("cannot split into {groups} groups");
            diagnostics.push(Diagnostic::error(Code::OutOfRange, expr.span, text).label("must be at least 1"));
            None
        }
    }
}

fn named(call: &Call, env: &Env, words: &mut Vec<String>, diagnostics: &mut Diagnostics) -> Option<Way<'static>> {
    let def = find(MAPPINGS, &call.name.value)?;
    let args = read(def.params, &call.args, env, diagnostics)?;
    let one = Way::Spread(Order::Sequential, Count::Groups(1));
    match def.kind {
        MappingKind::Bank => {
            words.push(format!("{}(kernels = {})", def.name, args.size("kernels", 1)));
            return Some(one);
        }
        MappingKind::Slices => {
            words.push(def.name.to_owned());
            return Some(one);
        }
        _ => {}
    }
    // The checks of names have reported a call that gives both or neither.
    let (count, mut text) = match (args.get("groups"), args.get("rate")) {
        (Some(ArgValue::Size(groups)), None) => (
            Count::Groups(usize::try_from(groups).ok()?),
            format!("groups = {groups}"),
        ),
        (None, Some(ArgValue::Size(rate))) => (Count::Rate(usize::try_from(rate).ok()?), format!("rate = {rate}")),
        _ => return None,
    };
    let order = match def.kind {
        MappingKind::Sequential | MappingKind::Bank | MappingKind::Slices => Order::Sequential,
        MappingKind::Cycle => Order::Cycle,
        MappingKind::CycleRev => Order::CycleRev,
        MappingKind::Random => {
            let seed = args.size("seed", 0);
            text += &format!(", seed = {seed}");
            Order::Random(seed)
        }
    };
    words.push(format!("{}({text})", def.name));
    Some(Way::Spread(order, count))
}

fn place(call: &Call, env: &Env, words: &mut Vec<String>, diagnostics: &mut Diagnostics) -> Option<Place> {
    let def = find(PLACES, &call.name.value)?;
    let args = read(def.params, &call.args, env, diagnostics)?;
    let mut text = String::new();
    let mut amount = || {
        let (amount, written) = amount(&args)?;
        text = written;
        Some(amount)
    };
    let place = match def.kind {
        PlaceKind::Uniform => return Some(Place::Uniform),
        PlaceKind::Front => Place::Front(amount()?),
        PlaceKind::Middle => Place::Middle(amount()?),
        PlaceKind::Back => Place::Back(amount()?),
        PlaceKind::Sandwich => Place::Sandwich,
    };
    if words.is_empty() {
        words.push("sequential(groups = 1)".to_owned());
    }
    words.push(format!("at {}{text}", def.name));
    Some(place)
}

/// The number of visits at a place, and how it is written.
fn amount(args: &Args) -> Option<(Amount, String)> {
    match args.get("visits")? {
        ArgValue::Size(visits) => Some((Amount::Visits(usize::try_from(visits).ok()?), format!("({visits})"))),
        ArgValue::Number(part) => Some((Amount::Fraction(part), format!("({part:?})"))),
        _ => None,
    }
}
