//! Blocks that contain themselves, through however many others.

use crate::ast::{Block, Body, File, NetKind, Statement, StepKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{Name, Span};
use std::collections::{HashMap, HashSet};

/// Who calls whom: callee and place of each call of a block, block by block.
type Calls<'f> = HashMap<&'f str, Vec<&'f Name>>;

/// Blocks outside networks can only use each other, and so need no second look with those inside.
pub(super) fn check(file: &File, diagnostics: &mut Diagnostics) {
    report(&calls(file.blocks.iter()), diagnostics);
    for net in file.all_nets() {
        if let NetKind::Family { body, .. } = &net.kind {
            let inner = body.statements.iter().filter_map(|statement| match statement {
                Statement::Block(block) => Some(block),
                _ => None,
            });
            report(&calls(inner), diagnostics);
        }
    }
}

fn calls<'f>(blocks: impl Iterator<Item = &'f Block>) -> Calls<'f> {
    let mut calls = Calls::new();
    for block in blocks {
        let mut names = Vec::new();
        collect(&block.body, &mut names);
        calls.insert(&block.name.value, names);
    }
    calls
}

fn collect<'f>(body: &'f Body, names: &mut Vec<&'f Name>) {
    for statement in &body.statements {
        let step = match statement {
            Statement::Step(step) => step,
            Statement::Stage(_, body) => {
                collect(body, names);
                continue;
            }
            _ => continue,
        };
        match &step.kind {
            StepKind::Call(call) => {
                names.push(&call.name);
                call.paths().iter().for_each(|path| collect(&path.body, names));
            }
            StepKind::Residual { body, shortcut, .. } => {
                collect(body, names);
                shortcut.iter().for_each(|body| collect(body, names));
            }
            StepKind::From(_) => {}
            StepKind::Repeat { body, .. } | StepKind::Each { body, .. } | StepKind::Sequence(body) => {
                collect(body, names)
            }
            StepKind::When { then, otherwise, .. } => {
                collect(then, names);
                otherwise.iter().for_each(|body| collect(body, names));
            }
        }
    }
}

/// Reports every call that closes a cycle, found by a depth-first search without recursion (a
/// chain of calls can be as long as the file).
fn report(calls: &Calls<'_>, diagnostics: &mut Diagnostics) {
    let mut done: HashSet<&str> = HashSet::new();
    let mut roots: Vec<&str> = calls.keys().copied().collect();
    roots.sort_unstable();
    for root in roots {
        if done.contains(root) {
            continue;
        }
        let mut stack: Vec<(&str, usize, Span)> = vec![(root, 0, Span::default())];
        let mut positions: HashMap<&str, usize> = HashMap::from([(root, 0)]);
        while let Some((block, next, _)) = stack.last_mut() {
            let Some(call) = calls[*block].get(*next) else {
                done.insert(*block);
                positions.remove(*block);
                stack.pop();
                continue;
            };
            *next += 1;
            let callee = call.value.as_str();
            if let Some(&at) = positions.get(callee) {
                diagnostics.push(cycle(call, &stack[at..]));
            } else if calls.contains_key(callee) && !done.contains(callee) {
                positions.insert(callee, stack.len());
                stack.push((callee, 0, call.span));
            }
        }
    }
}

fn cycle(call: &Name, through: &[(&str, usize, Span)]) -> Diagnostic {
    let text = format!("block `{}` contains itself", call.value);
    let mut diagnostic = Diagnostic::error(Code::Recursion, call.span, text).label(match through {
        [_] => "used in its own definition".to_owned(),
        _ => format!("used here by `{}`", through.last().map_or("", |(name, ..)| name)),
    });
    for pair in through.windows(2).take(4) {
        diagnostic = diagnostic.and(pair[1].2, format!("`{}` uses `{}` here", pair[0].0, pair[1].0));
    }
    diagnostic.help("use `repeat` for repetition")
}
