//! Which scopes are alike: equal but for the kernels that their layers share.

use crate::ir::{Join, Kept, Layer, Loop, Network, Node, Op, Scope, ScopeKind, Segment, Shape, ValueId, View};
use std::collections::HashMap;

/// The number of a scope; those of scopes that are alike are equal.
type Id = usize;

/// What must be equal, with the values that have names counted in the order of their first use.
#[derive(PartialEq, Eq, Hash)]
struct Body {
    kind: ScopeKind,
    input: Shape,
    output: Shape,
    steps: Vec<Step>,
    sets: Vec<usize>,
}

#[derive(PartialEq, Eq, Hash)]
enum Step {
    Layer(LayerStep),
    Scope(Inner),
    Loop {
        body: Inner,
        count: usize,
        most: u64,
        gradients: Option<u64>,
        exit: Option<usize>,
    },
    Join(Op, Option<LayerStep>, Vec<Vec<Step>>),
    Keep(usize, Kept),
    Set(usize),
    From(usize),
}

#[derive(PartialEq, Eq, Hash)]
struct LayerStep {
    path: Vec<Segment>,
    op: Op,
    input: Shape,
    output: Shape,
    private: (bool, Option<u64>, Option<u64>, View),
}

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    id: Id,
    path: Vec<Segment>,
    takes: Vec<usize>,
}

/// The values of a scope: their positions in the order of their first use.
#[derive(Default)]
struct Values(HashMap<ValueId, usize>);

impl Values {
    fn position(&mut self, id: ValueId) -> usize {
        let next = self.0.len();
        *self.0.entry(id).or_insert(next)
    }

    fn positions(&mut self, ids: &[ValueId]) -> Vec<usize> {
        ids.iter().map(|id| self.position(*id)).collect()
    }
}

/// The scopes of a network by what they are.
pub(super) struct Alike<'n> {
    network: &'n Network,
    known: HashMap<Body, Id>,
    /// Never iterated over: addresses have no order that repeats.
    of: HashMap<*const Scope, Id>,
}

impl<'n> Alike<'n> {
    pub(super) fn new(network: &'n Network) -> Self {
        let mut alike = Alike {
            network,
            known: HashMap::new(),
            of: HashMap::new(),
        };
        alike.steps(&network.nodes, 0, &mut Values::default());
        alike
    }

    /// Whether two scopes in a row are the same to a reader.
    pub(super) fn are(&self, a: &Scope, b: &Scope) -> bool {
        let id = |scope: &Scope| self.of.get(&std::ptr::from_ref(scope));
        id(a).is_some() && id(a) == id(b) && a.takes == b.takes && a.sets == b.sets && same_name(a, b)
    }

    fn scope(&mut self, scope: &'n Scope) -> Id {
        let mut values = Values::default();
        values.positions(&scope.takes);
        let steps = self.steps(&scope.nodes, scope.path.0.len(), &mut values);
        let body = Body {
            kind: scope.kind.clone(),
            input: scope.input,
            output: scope.output,
            steps,
            sets: values.positions(&scope.sets),
        };
        let next = self.known.len();
        let id = *self.known.entry(body).or_insert(next);
        self.of.insert(std::ptr::from_ref(scope), id);
        id
    }

    fn steps(&mut self, nodes: &'n [Node], depth: usize, values: &mut Values) -> Vec<Step> {
        nodes.iter().map(|node| self.step(node, depth, values)).collect()
    }

    fn step(&mut self, node: &'n Node, depth: usize, values: &mut Values) -> Step {
        match node {
            Node::Layer(id) => Step::Layer(layer(&self.network.layers[*id], depth)),
            Node::Scope(scope) => Step::Scope(self.inner(scope, values)),
            Node::Loop(of) => self.run_time_loop(of, values),
            Node::Join(join) => self.join(join, depth, values),
            Node::Keep(id) => Step::Keep(values.position(*id), self.network.values[*id].clone()),
            Node::Set(id) => Step::Set(values.position(*id)),
            Node::From(id) => Step::From(values.position(*id)),
        }
    }

    fn inner(&mut self, scope: &'n Scope, values: &mut Values) -> Inner {
        Inner {
            id: self.scope(scope),
            path: scope.relative().to_vec(),
            takes: values.positions(&scope.takes),
        }
    }

    fn run_time_loop(&mut self, of: &'n Loop, values: &mut Values) -> Step {
        Step::Loop {
            body: self.inner(&of.scope, values),
            count: of.count,
            most: of.most,
            gradients: of.gradients,
            exit: of.exit.map(|id| values.position(id)),
        }
    }

    fn join(&mut self, join: &'n Join, depth: usize, values: &mut Values) -> Step {
        let own = join.layer.map(|id| layer(&self.network.layers[id], depth));
        let arms = join.arms.iter().map(|arm| self.steps(&arm.nodes, depth, values));
        Step::Join(join.op.clone(), own, arms.collect())
    }
}

fn layer(layer: &Layer, depth: usize) -> LayerStep {
    LayerStep {
        path: layer.path.0.get(depth..).unwrap_or_default().to_vec(),
        op: layer.op.clone(),
        input: layer.input,
        output: layer.output,
        private: (layer.scaled, layer.rank, layer.combined, layer.view),
    }
}

/// Whether the paths differ in their last index at most.
fn same_name(a: &Scope, b: &Scope) -> bool {
    match (a.path.0.split_last(), b.path.0.split_last()) {
        (Some((Segment::Index(_), a)), Some((Segment::Index(_), b))) => a == b,
        _ => false,
    }
}
