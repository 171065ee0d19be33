//! Walks over the forward pass.

use super::{Join, LayerId, Network, Node, Scope};

/// Carries a value through a forward pass, step by step, in the order in which generated code computes: a branch's
/// inputs are made of one value first, then the branches run one after the other, then they are joined.
pub trait Walk {
    /// What is carried.
    type Value;
    /// Why it ends early.
    type Error;

    /// What a layer makes of its input.
    fn layer(&mut self, id: LayerId, x: Self::Value) -> Result<Self::Value, Self::Error>;

    /// Two of one.
    fn fork(&mut self, x: Self::Value) -> Result<[Self::Value; 2], Self::Error>;

    /// What joins the outputs of branches: of the first, and of the others.
    fn join(&mut self, join: &Join, first: Self::Value, others: Vec<Self::Value>) -> Result<Self::Value, Self::Error>;

    /// Carries a value through these steps of a network.
    fn nodes(&mut self, nodes: &[Node], x: Self::Value) -> Result<Self::Value, Self::Error> {
        nodes.iter().try_fold(x, |x, node| match node {
            Node::Layer(id) => self.layer(*id, x),
            Node::Scope(scope) => self.nodes(&scope.nodes, x),
            Node::Join(join) => self.arms(join, x),
        })
    }

    /// Carries a value through branches and what joins them.
    fn arms(&mut self, join: &Join, x: Self::Value) -> Result<Self::Value, Self::Error> {
        if join.arms.is_empty() {
            return Ok(x);
        }
        let mut inputs = vec![x];
        for _ in 1..join.arms.len() {
            if let Some(last) = inputs.pop() {
                inputs.extend(self.fork(last)?);
            }
        }
        let arms = join.arms.iter().zip(inputs);
        let outputs: Result<Vec<_>, _> = arms.map(|(arm, x)| self.nodes(&arm.nodes, x)).collect();
        let mut outputs = outputs?;
        let first = outputs.remove(0);
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
                    Node::Layer(_) => {}
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
}
