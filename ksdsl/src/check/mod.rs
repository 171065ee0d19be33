//! Checks of the tree before anything is computed: every name is known and defined once, every
//! call has the arguments its callee wants, every statement is in a valid position, and no
//! block contains itself. They look at all of the text, also at parts a `when` leaves out.
//!
//! After them, evaluating an expression meets no unknown name and expanding blocks terminates.

mod calls;
mod clauses;
mod loops;
mod names;
mod nets;
mod order;
mod products;
mod recursion;
mod unknown;
mod uses;

use crate::ast::{Arg, Block, Body, File, Input, Net, Param, Statement, Step, StepKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ops::{self, ParamDef};
use crate::source::{Name, Span};
use names::Scope;
pub(crate) use names::duplicate;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Checks a file.
pub fn check(file: &File, diagnostics: &mut Diagnostics) {
    let nets = file
        .imported
        .iter()
        .rev()
        .chain(file.nets.iter().rev())
        .map(|net| (net.name.value.as_str(), net))
        .collect();
    let mut checker = Checker {
        file,
        nets,
        diagnostics,
        blocks: BTreeMap::new(),
        inner: BTreeMap::new(),
        conditions: 0,
        exits: HashSet::new(),
    };
    checker.items();
    recursion::check(file, checker.diagnostics);
}

/// Reports unknown, surplus and missing arguments of a layer of the language.
pub(crate) fn built_in_args(callee: &Name, args: &[Arg], params: &'static [ParamDef], diagnostics: &mut Diagnostics) {
    calls::check(callee, args, &calls::built_in(params), diagnostics);
}

/// Reports unknown, surplus and missing arguments of a block.
pub(crate) fn user_args(callee: &Name, args: &[Arg], params: &[Param], diagnostics: &mut Diagnostics) {
    calls::check(callee, args, &calls::user(params), diagnostics);
}

/// What a body belongs to: decides which statements it may hold.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The braces of a network itself.
    Net,
    /// Somewhere deeper in a network, outside blocks.
    InNet,
    /// A block, or somewhere in one.
    Block,
}

struct Checker<'f, 'd> {
    file: &'f File,
    diagnostics: &'d mut Diagnostics,
    /// The networks; the first of several of one name.
    nets: HashMap<&'f str, &'f Net>,
    /// The blocks outside networks.
    blocks: BTreeMap<&'f str, &'f Block>,
    /// The blocks of the network at hand.
    inner: BTreeMap<&'f str, &'f Block>,
    /// The nesting depth of `when`.
    conditions: usize,
    /// Where the exits of loops stand.
    exits: HashSet<Span>,
}

impl<'f> Checker<'f, '_> {
    fn known_block(&self, name: &str) -> Option<&'f Block> {
        self.inner.get(name).or_else(|| self.blocks.get(name)).copied()
    }

    fn body(&mut self, body: &'f Body, place: Place, scope: &mut Scope) {
        let mark = scope.len();
        for statement in &body.statements {
            self.statement(statement, place, scope);
        }
        self.discarded(body);
        scope.truncate(mark);
    }

    fn statement(&mut self, statement: &'f Statement, place: Place, scope: &mut Scope) {
        match statement {
            Statement::Input(Input {
                name, dims, vocabulary, ..
            }) => {
                if place != Place::Net {
                    self.misplaced(dims.span, "`input`", "directly in a network");
                }
                if let Some(name) = name {
                    names::check_allowed(name, self.diagnostics);
                    scope.define("input", name, self.diagnostics);
                }
                self.input_product(dims);
                let had_current = std::mem::replace(&mut scope.has_current, false);
                for size in dims.sizes.iter().chain(vocabulary) {
                    self.expr(size, scope);
                }
                scope.has_current = had_current;
            }
            Statement::Let(name, value) => {
                self.expr(value, scope);
                scope.define("constant", name, self.diagnostics);
            }
            Statement::Output(name) => {
                if place != Place::Net {
                    self.misplaced(name.span, "`output`", "directly in a network");
                }
            }
            Statement::Keep(name) => scope.define("value", name, self.diagnostics),
            Statement::Set(target) => self.expr(target, scope),
            Statement::Exit(name) => {
                if !self.exits.contains(&name.span) {
                    self.misplaced(
                        name.span,
                        "`exit`",
                        "directly in a loop: `name: repeat up to n { ... exit halt }`",
                    );
                }
                scope.define("value", name, self.diagnostics);
            }
            Statement::Block(block) => {
                if place == Place::Net {
                    self.block(block, scope);
                } else {
                    self.misplaced(block.name.span, "a block", "directly in a network, or outside networks");
                }
            }
            Statement::Stage(name, body) => {
                names::check_allowed(name, self.diagnostics);
                if place == Place::Block {
                    self.misplaced(name.span, "a stage", "in a network, not in a block");
                }
                self.body(body, inside(place), scope);
            }
            Statement::Share(share) => {
                if place != Place::Net {
                    let right = match self.conditions {
                        0 => "directly in a network",
                        _ => "directly in a network, with its condition at its end: `share ... when condition`",
                    };
                    self.misplaced(share.span, "`share`", right);
                }
                let had_current = std::mem::replace(&mut scope.has_current, false);
                self.share(share, scope);
                scope.has_current = had_current;
            }
            Statement::Step(step) => self.step(step, place, scope),
            Statement::Invalid(_) => {}
        }
    }

    fn misplaced(&mut self, span: crate::source::Span, what: &str, right: &str) {
        let text = format!("{what} is not allowed here");
        self.diagnostics
            .push(Diagnostic::error(Code::Misplaced, span, text).help(format!("write it {right}")));
    }

    fn step(&mut self, step: &'f Step, place: Place, scope: &mut Scope) {
        if let Some(label) = &step.label {
            names::check_allowed(label, self.diagnostics);
        }
        let inner = inside(place);
        match &step.kind {
            StepKind::Call(call) => {
                self.call(call, scope);
                for path in call.paths() {
                    if let Some(label) = &path.label {
                        names::check_allowed(label, self.diagnostics);
                    }
                    self.body(&path.body, inner, scope);
                }
            }
            StepKind::Residual {
                head,
                args,
                body,
                shortcut,
            } => {
                let name = Name {
                    value: "residual".into(),
                    span: *head,
                };
                calls::check(&name, args, &calls::built_in(ops::RESIDUAL), self.diagnostics);
                self.layer_args(args.iter(), ops::RESIDUAL, scope);
                self.body(body, inner, scope);
                if let Some(shortcut) = shortcut {
                    self.body(shortcut, inner, scope);
                }
            }
            StepKind::Repeat {
                count,
                up_to: Some(up_to),
                index,
                body,
            } => {
                self.expr(count, scope);
                self.run_time_loop((step, up_to, index.as_ref()), body, inner, scope);
            }
            StepKind::Repeat { count, index, body, .. } => {
                self.expr(count, scope);
                let mark = scope.len();
                if let Some(index) = index {
                    scope.define("index", index, self.diagnostics);
                }
                self.body(body, inner, scope);
                scope.truncate(mark);
            }
            StepKind::Each {
                head,
                values,
                names,
                body,
            } => {
                values.iter().for_each(|value| self.expr(value, scope));
                self.body(body, inner, scope);
                self.names_of_results(*head, values.len(), names);
                for name in names {
                    scope.define("value", name, self.diagnostics);
                }
            }
            StepKind::When {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition, scope);
                self.conditions += 1;
                self.body(then, inner, scope);
                if let Some(otherwise) = otherwise {
                    self.body(otherwise, inner, scope);
                }
                self.conditions -= 1;
            }
            StepKind::Sequence(body) => self.body(body, inner, scope),
            StepKind::From(source) => self.expr(source, scope),
        }
    }
}

impl Checker<'_, '_> {
    /// Reports another number of names than there are values.
    fn names_of_results(&mut self, head: Span, values: usize, names: &[Name]) {
        if names.is_empty() || names.len() == values {
            return;
        }
        let text = format!("`each` makes {values} values, but {} names are given", names.len());
        let code = match names.len() < values {
            true => Code::MissingArgument,
            false => Code::SurplusArgument,
        };
        let help = "give a name to each result, or none: then the values are set";
        self.diagnostics.push(Diagnostic::error(code, head, text).help(help));
    }

    /// Warns of steps whose output the next step does not use.
    fn discarded(&mut self, body: &Body) {
        for pair in body.statements.windows(2) {
            if let [
                before,
                Statement::Step(Step {
                    kind: kind @ (StepKind::From(_) | StepKind::Each { .. }),
                    span,
                    ..
                }),
            ] = pair
                && is_step(before)
                && !leaves_values(before)
            {
                let word = if matches!(kind, StepKind::From(_)) {
                    "from"
                } else {
                    "each"
                };
                let text = format!("`{word}` discards the value before it");
                let at = Span {
                    end: span.start + word.len() as u32,
                    ..*span
                };
                self.diagnostics.push(
                    Diagnostic::warning(Code::Unused, at, text)
                        .help("give that value a name with `keep`, or remove the step that makes it"),
                );
            }
        }
    }
}

/// Whether a repetition leaves other values than its last one: states that it sets, or an exit.
fn leaves_values(statement: &Statement) -> bool {
    let Statement::Step(Step {
        kind: StepKind::Repeat { body, .. },
        ..
    }) = statement
    else {
        return false;
    };
    let leaves = |inner: &Statement| matches!(inner, Statement::Set(_) | Statement::Exit(_));
    body.statements.iter().any(leaves)
}

/// Whether a statement makes a new value that no name keeps.
fn is_step(statement: &Statement) -> bool {
    match statement {
        Statement::Step(Step {
            kind: StepKind::Each { .. },
            ..
        }) => false,
        Statement::Step(_) | Statement::Stage(..) => true,
        Statement::Input(..)
        | Statement::Output(_)
        | Statement::Let(..)
        | Statement::Keep(_)
        | Statement::Set(_)
        | Statement::Exit(_)
        | Statement::Block(_)
        | Statement::Share(_)
        | Statement::Invalid(_) => false,
    }
}

/// The word that a step begins with, or the name of a stage.
fn place(step: &Statement) -> Span {
    match step {
        Statement::Stage(name, _) => name.span,
        Statement::Step(Step {
            kind: StepKind::Call(call),
            ..
        }) => call.name.span,
        Statement::Step(step) => step.span,
        _ => Span::default(),
    }
}

fn inside(place: Place) -> Place {
    match place {
        Place::Net | Place::InNet => Place::InNet,
        Place::Block => Place::Block,
    }
}
