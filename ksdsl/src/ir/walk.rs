//! Walks over the forward pass.

use super::{Join, LayerId, Network, Node, Scope, ValueId};

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

    /// What joins the outputs of branches: of the first, and of the others.
    fn join(&mut self, join: &Join, first: Self::Value, others: Vec<Self::Value>) -> Result<Self::Value, Self::Error>;

    /// Carries a value through these steps of a network.
    fn nodes(&mut self, nodes: &[Node], x: Self::Value) -> Result<Self::Value, Self::Error> {
        nodes.iter().try_fold(x, |x, node| match node {
            Node::Layer(id) => self.layer(*id, x),
            Node::Scope(scope) => self.nodes(&scope.nodes, x),
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
                    Node::Scope(scope) => {
                        stack.extend(scope.nodes.iter().rev());
                        return Some(scope);
                    }
                }
            }
            None
        })
    }

    /// How often each value is used: by steps that go on from it, and as an output.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        self.output_values().into_iter().for_each(|id| uses[id] += 1);
        let mut stack: Vec<&Node> = self.nodes.iter().collect();
        while let Some(node) = stack.pop() {
            match node {
                Node::Layer(_) | Node::Keep(_) | Node::Set(_) => {}
                Node::From(id) => uses[*id] += 1,
                Node::Scope(scope) => stack.extend(&scope.nodes),
                Node::Join(join) => stack.extend(join.arms.iter().flat_map(|arm| &arm.nodes)),
            }
        }
        uses
    }
}
