//! Walks over the forward pass.

use super::{Join, LayerId, Loop, Network, Node, Scope, ValueId};
use std::collections::VecDeque;

/// Carries a value through a forward pass, step by step, in the order in which generated code computes: a branch's
/// inputs are made of one value first, then the branches run one after the other, then they are joined. A branch that
/// begins with a named value needs no input.
pub trait Walk {
    /// What is carried.
    type Value;
    /// Why it ends early.
    type Error;

    /// What a layer makes of its input.
    fn layer(&mut self, id: LayerId, x: Self::Value) -> Result<Self::Value, Self::Error>;

    /// Two of one.
    fn fork(&mut self, x: Self::Value) -> Result<[Self::Value; 2], Self::Error>;

    /// Keeps a value under a name, in place of what is there.
    fn keep(&mut self, id: ValueId, x: Self::Value);

    /// The value under a name, in place of the current one, which is nothing where a branch begins.
    fn from(&mut self, id: ValueId, x: Option<Self::Value>) -> Result<Self::Value, Self::Error>;

    /// Runs a loop, each iteration with the steps of its body.
    fn repeat(&mut self, of: &Loop, x: Self::Value) -> Result<Self::Value, Self::Error>;

    /// What joins the outputs of branches: of the first, and of the others.
    fn join(&mut self, join: &Join, first: Self::Value, others: Vec<Self::Value>) -> Result<Self::Value, Self::Error>;

    /// Carries a value through these steps of a network.
    fn nodes(&mut self, nodes: &[Node], x: Self::Value) -> Result<Self::Value, Self::Error> {
        nodes.iter().try_fold(x, |x, node| match node {
            Node::Layer(id) => self.layer(*id, x),
            Node::Scope(scope) => self.nodes(&scope.nodes, x),
            Node::Loop(of) => self.repeat(of, x),
            Node::Join(join) => self.arms(join, x),
            Node::Keep(id) | Node::Set(id) => {
                let [x, kept] = self.fork(x)?;
                self.keep(*id, kept);
                Ok(x)
            }
            Node::From(id) => self.from(*id, Some(x)),
        })
    }

    /// Carries a value through branches and what joins them.
    fn arms(&mut self, join: &Join, x: Self::Value) -> Result<Self::Value, Self::Error> {
        let Some((first, others)) = join.arms.split_first() else {
            return Ok(x);
        };
        let mut inputs = vec![x];
        for _ in others.iter().filter(|arm| arm.source().is_none()) {
            if let Some(last) = inputs.pop() {
                inputs.extend(self.fork(last)?);
            }
        }
        let mut inputs = inputs.into_iter();
        let first = match inputs.next() {
            Some(x) => self.nodes(&first.nodes, x)?,
            None => unreachable!("there is at least the current value"),
        };
        let mut outputs = Vec::new();
        for arm in others {
            let (x, nodes) = match arm.source() {
                Some(id) => (Some(self.from(id, None)?), &arm.nodes[1..]),
                None => (inputs.next(), arm.nodes.as_slice()),
            };
            if let Some(x) = x {
                outputs.push(self.nodes(nodes, x)?);
            }
        }
        self.join(join, first, outputs)
    }
}

impl Network {
    /// All stages, blocks and iterations, outer ones before those inside them.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        let mut stack: Vec<&Node> = self.nodes.iter().rev().collect();
        std::iter::from_fn(move || {
            while let Some(node) = stack.pop() {
                match node {
                    Node::Layer(_) | Node::Keep(_) | Node::Set(_) | Node::From(_) => {}
                    Node::Join(join) => stack.extend(join.arms.iter().rev().flat_map(|arm| arm.nodes.iter().rev())),
                    Node::Scope(scope) | Node::Loop(Loop { scope, .. }) => {
                        stack.extend(scope.nodes.iter().rev());
                        return Some(scope);
                    }
                }
            }
            None
        })
    }

    /// How the values are used by the steps, and as outputs.
    pub fn uses(&self) -> Vec<Uses> {
        let mut uses = vec![Uses::default(); self.values.len()];
        self.more_inputs().into_iter().for_each(|id| uses[id].replaced());
        Uses::count(&self.nodes, &mut uses);
        self.output_values().into_iter().for_each(|id| uses[id].once_more());
        uses
    }
}

/// How often a name is used as what it stands for at first, and then after each step that gives it another value.
#[derive(Clone, Debug)]
pub struct Uses(VecDeque<usize>);

impl Default for Uses {
    fn default() -> Self {
        Uses(VecDeque::from([0]))
    }
}

impl Uses {
    /// Adds how some steps use each value. A loop uses once what it takes, and leaves what it sets and its exit.
    pub fn count(nodes: &[Node], uses: &mut [Uses]) {
        let mut stack: Vec<&Node> = nodes.iter().rev().collect();
        while let Some(node) = stack.pop() {
            match node {
                Node::Layer(_) => {}
                Node::Keep(id) | Node::Set(id) => uses[*id].replaced(),
                Node::From(id) => uses[*id].once_more(),
                Node::Scope(scope) => stack.extend(scope.nodes.iter().rev()),
                Node::Loop(of) => {
                    of.scope.takes.iter().for_each(|id| uses[*id].once_more());
                    of.scope.sets.iter().chain(&of.exit).for_each(|id| uses[*id].replaced());
                }
                Node::Join(join) => stack.extend(join.arms.iter().rev().flat_map(|arm| arm.nodes.iter().rev())),
            }
        }
    }

    /// Notes one more use of what the name stands for in the end.
    pub fn once_more(&mut self) {
        if let Some(last) = self.0.back_mut() {
            *last += 1;
        }
    }

    fn replaced(&mut self) {
        self.0.push_back(0);
    }

    /// Uses what the name stands for. Whether it is used again.
    pub fn used(&mut self) -> bool {
        if let Some(now) = self.0.front_mut() {
            *now = now.saturating_sub(1);
        }
        self.is_needed()
    }

    /// Goes on to the next value of the name. Whether that is used.
    pub fn next_value(&mut self) -> bool {
        self.0.pop_front();
        self.is_needed()
    }

    /// Whether what the name stands for is used from here on.
    pub fn is_needed(&self) -> bool {
        self.0.front().is_some_and(|now| *now > 0)
    }
}
