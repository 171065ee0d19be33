//! What expanding the networks of one source may cost.

use crate::ast::{Arg, Statement, StepKind};
use crate::ir::{Path, Segment};
use crate::limits;
use crate::source::Span;

/// What is left to spend, over all networks of a source.
#[derive(Debug)]
pub struct Budget {
    layers: usize,
    steps: usize,
    path_bytes: usize,
    tokens: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            layers: limits::LAYERS,
            steps: limits::STEPS,
            path_bytes: limits::PATH_BYTES,
            tokens: limits::GENERATED_TOKENS,
        }
    }
}

impl Budget {
    /// Whether something ran out.
    pub fn is_spent(&self) -> bool {
        [self.layers, self.steps, self.path_bytes, self.tokens].contains(&0)
    }

    /// A layer counts as often as loops around it may run.
    pub(super) fn spend_layer(&mut self, iterations: u64) -> Result<(), String> {
        let text = || format!("there are more than {} layers", limits::LAYERS);
        spend(&mut self.layers, usize::try_from(iterations).unwrap_or(usize::MAX)).ok_or_else(text)
    }

    pub(super) fn spend_steps(&mut self, steps: usize) -> Result<(), String> {
        let text = || format!("expanding the networks takes more than {} steps", limits::STEPS);
        spend(&mut self.steps, steps).ok_or_else(text)
    }

    pub(super) fn spend_path(&mut self, path: &Path) -> Result<(), String> {
        let bytes = path.0.iter().map(|segment| match segment {
            Segment::Name(name) => size_of::<Segment>() + name.len(),
            Segment::Index(_) => size_of::<Segment>(),
        });
        let text = || {
            format!(
                "there are too many layers with long paths: the paths take more than {} bytes",
                limits::PATH_BYTES
            )
        };
        spend(&mut self.path_bytes, bytes.sum()).ok_or_else(text)
    }

    /// Pays for the code of a network.
    pub fn spend_code(&mut self, tokens: usize) -> Result<(), String> {
        let text = || {
            format!(
                "the code of the networks up to this one has more than about {} tokens",
                limits::GENERATED_TOKENS
            )
        };
        spend(&mut self.tokens, tokens).ok_or_else(text)
    }
}

fn spend(left: &mut usize, amount: usize) -> Option<()> {
    let enough = *left > amount;
    *left = left.saturating_sub(amount);
    enough.then_some(())
}

/// What carrying out a statement once costs, the statements inside it left out.
pub(super) fn cost(statement: &Statement) -> usize {
    match statement {
        Statement::Let(_, value) => expression(value.span),
        Statement::Step(step) => match &step.kind {
            StepKind::Call(call) => expression(call.span) + call.paths().len(),
            StepKind::Residual { args, .. } => 1 + args.iter().map(argument).sum::<usize>(),
            StepKind::Repeat { count, .. } => expression(count.span),
            StepKind::Each { values, .. } => values.iter().map(|value| expression(value.span)).sum(),
            StepKind::When { condition, .. } => expression(condition.span),
            StepKind::Sequence(_) => 1,
            StepKind::From(source) => expression(source.span),
        },
        Statement::Set(target) => expression(target.span),
        _ => 1,
    }
}

/// What evaluating the expression at a place costs.
pub(super) fn expression(span: Span) -> usize {
    1 + span.range().len() / limits::STEP_BYTES
}

fn argument(arg: &Arg) -> usize {
    expression(arg.value.span)
}

/// The words a statement begins with: where to point when it is too much.
pub(super) fn place(statement: &Statement) -> Span {
    match statement {
        Statement::Input(input) => input.dims.span,
        Statement::Let(name, _)
        | Statement::Stage(name, _)
        | Statement::Keep(name)
        | Statement::Output(name)
        | Statement::Exit(name) => name.span,
        Statement::Set(target) => target.span,
        Statement::Block(block) => block.name.span,
        Statement::Share(share) => share.span,
        Statement::Invalid(span) => *span,
        Statement::Step(step) => match &step.kind {
            StepKind::Call(call) => call.span,
            StepKind::Residual { head, .. } => *head,
            StepKind::Repeat { count, .. } => count.span,
            StepKind::Each { head, .. } => *head,
            StepKind::When { condition, .. } => condition.span,
            StepKind::From(source) => source.span,
            StepKind::Sequence(body) => Span::new(body.span.start as usize, body.span.start as usize + 1),
        },
    }
}
