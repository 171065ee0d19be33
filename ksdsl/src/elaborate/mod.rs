//! The tree becomes a network: parameters get their values, blocks are expanded, every layer gets
//! its path, its shapes and its parameters.
//!
//! A part with an error is reported once and its output shape becomes unknown; what only follows
//! from that is ignored.

mod budget;
mod built_in;
mod call;
mod callees;
mod join;
mod level;
mod loops;
mod net;
mod order;
mod shapes;
mod structure;
mod unshared;
mod values;

use crate::ast::{Block, Body, Net, NetKind, Share, Statement, Step, StepKind};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::ir::{Node, Path, Port, Scope, ScopeKind, Segment, Shape};
use crate::limits;
use crate::source::{Name, Span};
use crate::value::{Env, Value, eval};
pub use budget::Budget;
use built_in::BuiltIn;
use level::Level;
use std::collections::HashMap;
use std::rc::Rc;
pub(crate) use unshared::Unshared;
pub use unshared::{Elaborated, Head};

/// Elaborates the family `net` with the given parameter values.
pub fn elaborate<'f>(
    head: Head<'f>,
    net: &'f Net,
    (file_blocks, words): (&'f [Block], &Rc<Env>),
    values: &HashMap<String, Option<Value>>,
    budget: &mut Budget,
    diagnostics: &mut Diagnostics,
) -> Option<Elaborated<'f>> {
    let NetKind::Family { params, body } = &net.kind else {
        return None;
    };
    let mut elaborator = Elaborator::new((file_blocks, words_in(body, words)), budget, diagnostics);
    elaborator.spend(file_blocks.len() / BLOCKS_PER_STEP, net.name.span);
    let parameters = elaborator.bind_params(params, values);
    elaborator.net_body(body)?;
    elaborator.finish(net)?;
    let values = elaborator.finish_values();
    let incomplete = elaborator.incomplete || elaborator.output.is_none();
    let outputs = elaborator.finish_outputs();
    let env = Env::clone(&elaborator.net_env);
    Some(Elaborated {
        head,
        parameters,
        inputs: elaborator.inputs,
        outputs,
        nodes: elaborator.nodes,
        values,
        loops: elaborator.loops.into_counts(),
        layers: elaborator.layers,
        shares: elaborator.shares,
        env,
        incomplete,
    })
}

/// The words that expressions of a network can refer to: those of the file, and the network's own blocks.
fn words_in(body: &Body, words: &Rc<Env>) -> Rc<Env> {
    let mut blocks = body.statements.iter().filter_map(|statement| match statement {
        Statement::Block(block) => Some(block.name.value.as_str()),
        _ => None,
    });
    let Some(first) = blocks.next() else {
        return Rc::clone(words);
    };
    let mut env = Env::inside(Rc::clone(words));
    env.bind_words(std::iter::once(first).chain(blocks));
    Rc::new(env)
}

/// Blocks that are made known for the price of a step.
const BLOCKS_PER_STEP: usize = 8;

/// A block and whether it sees the names of the network it is defined in.
#[derive(Clone, Copy)]
struct KnownBlock<'f> {
    block: &'f Block,
    in_net: bool,
}

struct Elaborator<'f, 'd> {
    diagnostics: &'d mut Diagnostics,
    budget: &'d mut Budget,
    blocks: HashMap<&'f str, KnownBlock<'f>>,
    /// The names that are values of their own: words of the language and blocks.
    words: Rc<Env>,
    /// The names at the network's top level.
    net_env: Rc<Env>,
    /// The names where we are.
    env: Env,
    layers: Vec<Unshared>,
    shares: Vec<&'f Share>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    nodes: Vec<Node>,
    output: Option<Shape>,
    /// The paths we are in, innermost last.
    levels: Vec<Level>,
    /// Segments of the path of the innermost scope.
    scope_depth: usize,
    /// The statement we are at.
    span: Span,
    /// Bodies we are in.
    depth: usize,
    incomplete: bool,
    /// A limit was hit: stop.
    aborted: bool,
    /// The layer written in the language that we are in.
    built_in: Option<BuiltIn>,
    /// The values that have names.
    values: Vec<values::Known>,
    /// The scopes we are in, innermost last.
    frames: Vec<values::Frame>,
    /// The loops.
    loops: loops::Loops,
}

impl<'f, 'd> Elaborator<'f, 'd> {
    fn new(
        (file_blocks, words): (&'f [Block], Rc<Env>),
        budget: &'d mut Budget,
        diagnostics: &'d mut Diagnostics,
    ) -> Self {
        let known = |block: &'f Block| (block.name.value.as_str(), KnownBlock { block, in_net: false });
        Elaborator {
            diagnostics,
            budget,
            blocks: file_blocks.iter().rev().map(known).collect(),
            net_env: Rc::new(Env::inside(Rc::clone(&words))),
            words,
            env: Env::default(),
            layers: Vec::new(),
            shares: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            nodes: Vec::new(),
            output: None,
            levels: vec![Level::new(Path::default())],
            scope_depth: 0,
            span: Span::default(),
            depth: 0,
            incomplete: false,
            aborted: false,
            built_in: None,
            values: Vec::new(),
            frames: Vec::new(),
            loops: loops::Loops::default(),
        }
    }

    /// The statements of a body; constants defined in it end with it.
    fn body(&mut self, body: &'f Body, mut shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Shape> {
        self.depth += 1;
        if self.depth > limits::EXPANSION_DEPTH {
            self.abort(
                Code::NestingTooDeep,
                body.span,
                format!(
                    "blocks and repetitions are nested more than {} deep once blocks are expanded",
                    limits::EXPANSION_DEPTH
                ),
            );
        }
        let mark = self.env.len();
        for statement in &body.statements {
            if self.aborted {
                break;
            }
            shape = self.statement(statement, shape, nodes);
            for (name, value) in std::mem::take(&mut self.loops.ended) {
                self.env.bind(&name, Some(value));
            }
        }
        self.env.truncate(mark);
        self.depth -= 1;
        shape.filter(|_| !self.aborted)
    }

    fn statement(&mut self, statement: &'f Statement, shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Shape> {
        self.span = self.place(budget::place(statement));
        self.spend(budget::cost(statement), self.span);
        self.env.set_current(callees::current(shape));
        match statement {
            Statement::Let(name, value) => {
                let value = eval(value, &self.env, self.diagnostics);
                self.env.bind(&name.value, value);
                shape
            }
            Statement::Stage(name, body) => {
                let path = self.named_path(name);
                self.scope(ScopeKind::Stage, path, shape, nodes, |this, shape, inner| {
                    this.body(body, shape, inner)
                })
            }
            Statement::Keep(name) => {
                let value = self.keep(name, shape, nodes);
                self.env.bind(&name.value, value);
                shape
            }
            Statement::Set(target) => {
                self.set(target, shape, nodes);
                shape
            }
            Statement::Exit(name) => {
                let value = self.exit(name, shape, nodes);
                self.env.bind(&name.value, value);
                shape
            }
            Statement::Step(step) => self.step(step, shape, nodes),
            Statement::Invalid(_) => {
                self.incomplete = true;
                None
            }
            // Elsewhere than directly in a network these were reported by the checks.
            Statement::Input(..) | Statement::Output(_) | Statement::Block(_) | Statement::Share(_) => shape,
        }
    }

    fn step(&mut self, step: &'f Step, shape: Option<Shape>, nodes: &mut Vec<Node>) -> Option<Shape> {
        match (&step.kind, &step.label) {
            (StepKind::Call(call), label) => self.call(call, label.as_ref(), shape, nodes),
            (
                StepKind::Repeat {
                    count,
                    up_to: Some(up_to),
                    body,
                    ..
                },
                label,
            ) => match label {
                Some(label) => self.run_time_loop((count, up_to), body, label, shape, nodes),
                // The checks have reported it.
                None => None,
            },
            (StepKind::Repeat { count, index, body, .. }, label) => {
                self.repeat(count, index.as_ref(), body, label.as_ref(), shape, nodes)
            }
            (
                StepKind::Each {
                    values, names, body, ..
                },
                label,
            ) => self.each((values, names), body, label.as_ref(), nodes),
            (_, Some(label)) => {
                let path = self.named_path(label);
                self.levels.push(Level::new(path));
                let shape = self.structure(step, shape, nodes);
                self.levels.pop();
                shape
            }
            (_, None) => self.structure(step, shape, nodes),
        }
    }

    /// Runs `fill` inside a new scope and adds the scope to `nodes`.
    fn scope(
        &mut self,
        kind: ScopeKind,
        path: Path,
        input: Option<Shape>,
        nodes: &mut Vec<Node>,
        fill: impl FnOnce(&mut Self, Option<Shape>, &mut Vec<Node>) -> Option<Shape>,
    ) -> Option<Shape> {
        let span = self.span;
        let parent_depth = std::mem::replace(&mut self.scope_depth, path.0.len());
        if let Err(text) = self.budget.spend_path(&path) {
            self.abort(Code::NetworkTooLarge, self.span, text);
        }
        self.levels.push(Level::new(path.clone()));
        self.open_frame();
        let mut inner = Vec::new();
        let output = fill(self, input, &mut inner);
        let (takes, sets) = self.close_frame();
        self.levels.pop();
        self.scope_depth = parent_depth;
        if let (Some(input), Some(output)) = (input, output) {
            nodes.push(Node::Scope(Scope {
                kind,
                path,
                span,
                parent_depth,
                nodes: inner,
                input,
                output,
                takes,
                sets,
            }));
        }
        output
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::new(Path::default()));
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// The path of a name the writer chose.
    fn named_path(&mut self, name: &Name) -> Path {
        let path = self.level().path.join(Segment::Name(name.value.clone()));
        if let Some(first) = self.level().take(&name.value, name.span) {
            let text = format!("the name `{path}` is used twice");
            self.diagnostics.push(
                Diagnostic::error(Code::DuplicateName, name.span, text)
                    .label("used again here")
                    .and(first, "first used here")
                    .help("rename one of them"),
            );
            self.incomplete = true;
        }
        path
    }

    /// Pays for work; what runs out ends the expansion.
    fn spend(&mut self, steps: usize, span: Span) {
        if let Err(text) = self.budget.spend_steps(steps) {
            self.abort(Code::NetworkTooLarge, span, text);
        }
    }

    fn too_many_elements(&mut self, what: &str, sizes: &[u64], span: Span) {
        let text = format!("{what} a tensor of {} elements", crate::ir::join_sizes(sizes));
        self.diagnostics.push(
            Diagnostic::error(Code::NetworkTooLarge, span, text)
                .label(format!("a tensor may have at most {} elements", limits::ELEMENTS)),
        );
    }

    fn abort(&mut self, code: Code, span: Span, text: String) {
        self.diagnostics
            .push(Diagnostic::error(code, span, text).help("make the network smaller"));
        self.aborted = true;
        self.incomplete = true;
    }
}
