//! What a picture shows: the network with its repetitions folded.

use super::alike::Alike;
use crate::ir::{Join, LayerId, Loop, Network, Node, Op, Scope, ScopeKind, Shape, ValueId};

/// The most scopes of a repeated part, as in `a b a b`.
const PERIOD: usize = 8;

/// A step of a picture.
pub(super) enum Item<'n> {
    /// A layer, or the same layer of each repetition.
    Layer(Vec<LayerId>),
    /// A stage, block or repetition.
    Frame(Frame<'n>),
    /// Branches and what joins them.
    Join(Branches<'n>),
    /// The current value gets a name, which may be that of an output of the network.
    Keep(ValueId),
    /// A name gets the current value.
    Set(ValueId),
    /// The flow goes on from a value.
    From(ValueId),
}

/// A box around steps.
pub(super) struct Frame<'n> {
    /// What it stands for: one scope, or the same scope of each repetition.
    pub(super) scopes: Vec<&'n Scope>,
    /// How often it is repeated where it stands.
    pub(super) times: usize,
    /// For a loop, what it is.
    pub(super) of_loop: Option<&'n Loop>,
    pub(super) body: Body<'n>,
}

/// What is in a box.
pub(super) enum Body<'n> {
    Open(Vec<Item<'n>>),
    /// Too deep to be shown: its layers.
    Closed(Vec<LayerId>),
}

/// Branches and what joins them.
pub(super) struct Branches<'n> {
    pub(super) op: &'n Op,
    /// Its layer, of each repetition; empty if it is none.
    pub(super) layers: Vec<LayerId>,
    pub(super) arms: Vec<Branch<'n>>,
    pub(super) output: Shape,
}

/// A branch.
pub(super) struct Branch<'n> {
    pub(super) items: Vec<Item<'n>>,
    pub(super) output: Shape,
}

/// Folds a network; scopes deeper than `depth` are closed.
pub(super) fn fold(network: &Network, depth: usize) -> Vec<Item<'_>> {
    let alike = Alike::new(network);
    Folder { alike, depth }.items(&[network.nodes.as_slice()], 0)
}

/// The number of boxes.
pub(super) fn boxes(items: &[Item<'_>]) -> usize {
    let of = |item: &Item<'_>| match item {
        Item::Frame(Frame {
            body: Body::Open(items),
            ..
        }) => 1 + boxes(items),
        Item::Join(join) => 1 + join.arms.iter().map(|arm| boxes(&arm.items)).sum::<usize>(),
        _ => 1,
    };
    items.iter().map(of).sum()
}

struct Folder<'n> {
    alike: Alike<'n>,
    depth: usize,
}

impl<'n> Folder<'n> {
    /// The items of steps that are alike, once for each repetition of what they are in.
    fn items(&self, repetitions: &[&'n [Node]], level: usize) -> Vec<Item<'n>> {
        let Some(first) = repetitions.first() else {
            return Vec::new();
        };
        let mut items = Vec::new();
        let mut at = 0;
        while at < first.len() {
            let (period, times) = self.run(&first[at..]);
            if times > 1 {
                items.push(self.repetition(repetitions, (at, period, times), level));
                at += period * times;
                continue;
            }
            let column: Vec<&'n Node> = repetitions.iter().filter_map(|nodes| nodes.get(at)).collect();
            self.item(&column, level, &mut items);
            at += 1;
        }
        items
    }

    /// How many scopes are repeated from here on, and how often.
    fn run(&self, nodes: &'n [Node]) -> (usize, usize) {
        for period in 1..=PERIOD {
            let Some((unit, rest)) = nodes.split_at_checked(period) else {
                break;
            };
            let same = |(a, b): (&Node, &Node)| match (a, b) {
                (Node::Scope(a), Node::Scope(b)) => self.alike.are(a, b),
                _ => false,
            };
            let again = |next: &&[Node]| next.len() == period && unit.iter().zip(*next).all(same);
            let more = rest.chunks(period).take_while(again).count();
            if more > 0 {
                return (period, 1 + more);
            }
        }
        (1, 1)
    }

    /// The box of a repetition, or of several scopes that are repeated together.
    fn repetition(&self, outer: &[&'n [Node]], (at, period, times): (usize, usize, usize), level: usize) -> Item<'n> {
        let units = || {
            outer
                .iter()
                .flat_map(move |nodes| nodes[at..at + period * times].chunks(period))
        };
        let scopes = |position: usize| {
            let scopes = units().filter_map(move |unit| match unit.get(position) {
                Some(Node::Scope(scope)) => Some(scope),
                _ => None,
            });
            scopes.collect::<Vec<_>>()
        };
        if period == 1 {
            return Item::Frame(self.frame(scopes(0), (times, None), level));
        }
        let inner = (0..period).map(|position| Item::Frame(self.frame(scopes(position), (1, None), level + 1)));
        let all: Vec<&'n Scope> = (0..period).flat_map(scopes).collect();
        Item::Frame(Frame {
            body: match level < self.depth {
                true => Body::Open(inner.collect()),
                false => Body::Closed(layers(&all)),
            },
            scopes: all,
            times,
            of_loop: None,
        })
    }

    fn frame(&self, scopes: Vec<&'n Scope>, (times, of_loop): (usize, Option<&'n Loop>), level: usize) -> Frame<'n> {
        let nodes: Vec<&'n [Node]> = scopes.iter().map(|scope| scope.nodes.as_slice()).collect();
        let body = match level < self.depth {
            true => Body::Open(self.items(&nodes, level + 1)),
            false => Body::Closed(layers(&scopes)),
        };
        Frame {
            scopes,
            times,
            of_loop,
            body,
        }
    }

    /// The same step of each repetition.
    fn item(&self, nodes: &[&'n Node], level: usize, items: &mut Vec<Item<'n>>) {
        match nodes.first() {
            None => {}
            Some(Node::Layer(_)) => items.push(Item::Layer(nodes.iter().filter_map(|node| own_layer(node)).collect())),
            Some(Node::Scope(first)) => {
                let scopes: Vec<&'n Scope> = nodes.iter().filter_map(|node| as_scope(node)).collect();
                // A box around one iteration would say nothing.
                match first.kind == ScopeKind::Iteration {
                    true => {
                        let nodes: Vec<&'n [Node]> = scopes.iter().map(|scope| scope.nodes.as_slice()).collect();
                        items.extend(self.items(&nodes, level));
                    }
                    false => items.push(Item::Frame(self.frame(scopes, (1, None), level))),
                }
            }
            Some(Node::Loop(first)) => {
                let scopes = nodes.iter().filter_map(|node| as_scope(node)).collect();
                items.push(Item::Frame(self.frame(scopes, (1, Some(first)), level)));
            }
            Some(Node::Join(first)) => items.push(Item::Join(self.branches(first, nodes, level))),
            Some(Node::Keep(id)) => items.push(Item::Keep(*id)),
            Some(Node::Set(id)) => items.push(Item::Set(*id)),
            Some(Node::From(id)) => items.push(Item::From(*id)),
        }
    }

    fn branches(&self, first: &'n Join, nodes: &[&'n Node], level: usize) -> Branches<'n> {
        let joins = || nodes.iter().filter_map(|node| as_join(node));
        let branch = |position: usize| {
            let arms: Vec<&'n [Node]> = joins()
                .filter_map(|join| join.arms.get(position).map(|arm| arm.nodes.as_slice()))
                .collect();
            Branch {
                items: self.items(&arms, level),
                output: first.arms[position].output,
            }
        };
        Branches {
            op: &first.op,
            layers: joins().filter_map(|join| join.layer).collect(),
            arms: (0..first.arms.len()).map(branch).collect(),
            output: first.output,
        }
    }
}

fn own_layer(node: &Node) -> Option<LayerId> {
    match node {
        Node::Layer(id) => Some(*id),
        _ => None,
    }
}

fn as_scope(node: &Node) -> Option<&Scope> {
    match node {
        Node::Scope(scope) | Node::Loop(Loop { scope, .. }) => Some(scope),
        _ => None,
    }
}

fn as_join(node: &Node) -> Option<&Join> {
    match node {
        Node::Join(join) => Some(join),
        _ => None,
    }
}

/// All layers of scopes, in the order of the forward pass.
fn layers(scopes: &[&Scope]) -> Vec<LayerId> {
    fn of(nodes: &[Node], found: &mut Vec<LayerId>) {
        for node in nodes {
            match node {
                Node::Layer(id) => found.push(*id),
                Node::Scope(scope) | Node::Loop(Loop { scope, .. }) => of(&scope.nodes, found),
                Node::Join(join) => {
                    join.arms.iter().for_each(|arm| of(&arm.nodes, found));
                    found.extend(join.layer);
                }
                Node::Keep(_) | Node::Set(_) | Node::From(_) => {}
            }
        }
    }
    let mut found = Vec::new();
    scopes.iter().for_each(|scope| of(&scope.nodes, &mut found));
    found
}
