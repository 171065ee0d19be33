//! The shape of generated code, in whatever language: which structs (in Python classes) there are,
//! with which fields, and what their forward passes do.
//!
//! Equal scopes become one struct, and equal scopes in a row one array: the plan of a network, and
//! with it the generated code, does not grow with its depth.

pub(crate) mod docs;
mod size;
#[cfg(feature = "train")]
pub(crate) mod tensors;
mod types;
mod values;

use crate::ir::{
    self, Network, Node, Op, Part, PrivateTensors, Scope, ScopeKind, Segment, Shape, Tensor, ValueId, View, key,
};
use std::collections::HashMap;
pub(super) use types::{Arm, Body, Field, FieldId, LocalId, Location, LoopStep, Plan, Step, Type, TypeId, Use};
use values::Locals;

/// Plans a network.
pub(crate) fn plan(network: &Network) -> Plan<'_> {
    let mut planner = Planner {
        network,
        types: Vec::new(),
        known: HashMap::new(),
        names: HashMap::new(),
        order: 0,
    };
    let shapes = [network.input(), network.output()];
    let (takes, gives) = (network.more_inputs(), network.output_values());
    let root = planner.body(&network.nodes, 0, shapes, (&takes, &gives));
    Plan {
        network,
        types: planner.types,
        root,
    }
}

/// What the steps of a body bring with them.
struct Parts {
    fields: Vec<Field>,
    values: Locals,
}

struct Planner<'n> {
    network: &'n Network,
    types: Vec<Type>,
    known: HashMap<(ScopeKind, Body), TypeId>,
    names: HashMap<String, usize>,
    order: usize,
}

impl<'n> Planner<'n> {
    /// The body of a scope whose path has `depth` segments, which takes values from outside and sets some of them.
    fn body(
        &mut self,
        nodes: &'n [Node],
        depth: usize,
        [input, output]: [Shape; 2],
        (takes, sets): (&[ValueId], &[ValueId]),
    ) -> Body {
        let mut parts = Parts {
            fields: Vec::new(),
            values: Locals::new(takes),
        };
        let mut steps = self.steps(nodes, depth, &mut parts);
        let sets: Vec<LocalId> = sets.iter().map(|id| parts.values.get(*id)).collect();
        values::mark_last(&mut steps, &parts.values, &sets);
        Body {
            input,
            output,
            fields: parts.fields,
            steps,
            values: parts.values.names(&self.network.values),
            takes: takes.len(),
            sets,
        }
    }

    /// Steps of a scope whose path has `depth` segments; their fields and values are added to `parts`.
    fn steps(&mut self, nodes: &'n [Node], depth: usize, parts: &mut Parts) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = 0;
        // The struct of the next scope, where looking for the end of a row has found it: a scope
        // planned twice at every level would take twice as long at every level.
        let mut planned = None;
        while at < nodes.len() {
            match &nodes[at] {
                Node::Scope(first) => {
                    let of = planned.take().unwrap_or_else(|| self.intern(first, None));
                    let (more, next) = self.followers(first, of, &nodes[at + 1..]);
                    planned = next;
                    let uses = parts.values.uses(&first.takes);
                    steps.push(scope_step(first, of, 1 + more, (&mut parts.fields, uses)));
                    at += 1 + more;
                    continue;
                }
                Node::Layer(id) => {
                    steps.push(layer_step(self.network, *id, depth, &mut parts.fields));
                }
                Node::Loop(of) => steps.push(self.loop_step(of, parts)),
                Node::Keep(id) => steps.push(Step::Keep(parts.values.add(*id))),
                Node::Set(id) => steps.push(Step::Set(parts.values.get(*id))),
                Node::From(id) => steps.push(Step::From(parts.values.use_of(*id))),
                Node::Join(join) => {
                    let arm = |arm: &'n ir::Arm| Arm {
                        name: arm.name,
                        steps: self.steps(&arm.nodes, depth, parts),
                        output: arm.output,
                    };
                    let joined = join.arms.iter().map(arm).collect();
                    let mut step = match join.layer {
                        Some(id) => layer_step(self.network, id, depth, &mut parts.fields),
                        None => Step::Layer {
                            op: join.op.clone(),
                            input: join.arms[0].output,
                            output: join.output,
                            tensors: Vec::new(),
                            private: PrivateTensors::default(),
                            view: View::default(),
                            arms: Vec::new(),
                        },
                    };
                    if let Step::Layer { arms, .. } = &mut step {
                        *arms = joined;
                    }
                    steps.push(step);
                }
            }
            at += 1;
        }
        steps
    }

    /// How many of the following nodes continue a row of scopes: same struct, next index. Also the
    /// struct of the scope after the row, if it was looked at.
    fn followers(&mut self, first: &'n Scope, of: TypeId, nodes: &'n [Node]) -> (usize, Option<TypeId>) {
        let Some((Segment::Index(index), prefix)) = first.path.0.split_last() else {
            return (0, None);
        };
        let mut count = 0;
        for (node, wanted) in nodes.iter().zip(index + 1..) {
            let Node::Scope(scope) = node else { break };
            if scope.path.0.split_last() != Some((&Segment::Index(wanted), prefix)) || scope.takes != first.takes {
                break;
            }
            let other = self.intern(scope, None);
            if other != of {
                return (count, Some(other));
            }
            count += 1;
        }
        (count, None)
    }

    /// A loop, whose exit is a value from then on.
    fn loop_step(&mut self, of: &'n ir::Loop, parts: &mut Parts) -> Step {
        let ty = self.intern(&of.scope, of.exit);
        let uses = parts.values.uses(&of.scope.takes);
        parts.fields.push(Field::Module {
            key: key(of.scope.relative()),
            of: ty,
        });
        Step::Loop(LoopStep {
            field: parts.fields.len() - 1,
            count: of.count,
            most: of.most,
            gradients: of.gradients,
            uses,
            exit: of.exit.map(|id| parts.values.add(id)),
        })
    }

    /// The struct for a scope, which gives the exit of a loop after what it sets; each scope is looked at once.
    fn intern(&mut self, scope: &'n Scope, exit: Option<ValueId>) -> TypeId {
        self.order += 1;
        let order = self.order;
        let shapes = [scope.input, scope.output];
        let gives: Vec<ValueId> = scope.sets.iter().copied().chain(exit).collect();
        let body = self.body(&scope.nodes, scope.path.0.len(), shapes, (&scope.takes, &gives));
        let wanted = (scope.kind.clone(), body);
        if let Some(&id) = self.known.get(&wanted) {
            self.types[id].paths.push(scope.path.clone());
            return id;
        }
        let (kind, body) = wanted.clone();
        let name = self.name(scope);
        let (uses_shared, uses_pass) = (
            self.uses(&body.steps, &body, SHARED),
            self.uses(&body.steps, &body, PASS),
        );
        let id = self.types.len();
        self.types.push(Type {
            name,
            order,
            kind,
            body,
            paths: vec![scope.path.clone()],
            uses_shared,
            uses_pass,
        });
        self.known.insert(wanted, id);
        id
    }

    /// Whether a step, or one in a struct it calls, has a property.
    fn uses(&self, steps: &[Step], body: &Body, property: Property) -> bool {
        steps.iter().any(|step| match step {
            Step::Layer { op, tensors, arms, .. } => {
                let inside = |arm: &Arm| self.uses(&arm.steps, body, property);
                (property.layer)(op, tensors) || arms.iter().any(inside)
            }
            Step::Module(field, _) | Step::Repeat(field, _) => match &body.fields[*field] {
                Field::Module { of, .. } | Field::Repeat { of, .. } => (property.inner)(&self.types[*of]),
                Field::Tensor { .. } | Field::Norm { .. } => false,
            },
            Step::Loop(of) => property.loops || self.uses(&[Step::Module(of.field, Vec::new())], body, property),
            Step::Keep(_) | Step::Set(_) | Step::From(_) => false,
        })
    }

    /// `S1BasicBlock` for the block `basic` in `s1`, `S1Stage` for the stage itself; numbered from
    /// the second of a name on. The endings keep clear of every name of Rust's and the runtime's.
    fn name(&mut self, scope: &Scope) -> String {
        let words = |segments: &[Segment]| -> String {
            segments
                .iter()
                .map(|segment| {
                    if let Segment::Name(name) = segment {
                        camel(name)
                    } else {
                        String::new()
                    }
                })
                .collect()
        };
        let base = match &scope.kind {
            ScopeKind::Stage => format!("{}Stage", words(&scope.path.0)),
            ScopeKind::Block(block) => format!("{}{}Block", words(&scope.path.0[..scope.parent_depth]), camel(block)),
            ScopeKind::Iteration | ScopeKind::Loop => format!("{}Block", words(&scope.path.0)),
        };
        let base = match base.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("_{base}"),
            false => base,
        };
        let count = self.names.entry(base.to_lowercase()).or_insert(0);
        *count += 1;
        if *count == 1 { base } else { format!("{base}{count}") }
    }
}

/// A layer, with its own tensors as fields.
fn layer_step(network: &Network, id: usize, depth: usize, fields: &mut Vec<Field>) -> Step {
    let layer = &network.layers[id];
    let name = key(&layer.path.0[depth..]);
    let shared = |part, name| {
        let group = layer.visit(part)?.group;
        let mut tensors = network.groups[group].tensors().into_iter();
        tensors
            .position(|tensor| tensor.name == name)
            .map(|tensor| Location::Shared(group, tensor))
    };
    let mut own = |field| {
        fields.push(field);
        Location::Own(fields.len() - 1)
    };
    let shared_module = layer.visit(Part::Norm).map(|visit| Location::Shared(visit.group, 0));
    let tensors = match layer.op.module() {
        Some(of) => vec![shared_module.unwrap_or_else(|| own(Field::Norm { key: name.clone(), of }))],
        None => {
            let tensor = |tensor: Tensor| {
                shared(tensor.part, tensor.name).unwrap_or_else(|| {
                    own(Field::Tensor {
                        key: format!("{name}.{}", tensor.name),
                        shape: tensor.shape,
                        init: tensor.init,
                        part: tensor.part,
                    })
                })
            };
            layer.op.tensors().into_iter().map(tensor).collect()
        }
    };
    Step::Layer {
        op: layer.op.clone(),
        input: layer.input,
        output: layer.output,
        tensors,
        private: layer.private_tensors().map(|tensor| {
            fields.push(Field::Tensor {
                key: format!("{name}.{}", tensor.name),
                shape: tensor.shape,
                init: tensor.init,
                part: Part::Kernel,
            });
            fields.len() - 1
        }),
        view: layer.view,
        arms: Vec::new(),
    }
}

/// Something a forward pass may need, by layer and by struct.
#[derive(Clone, Copy)]
struct Property {
    layer: fn(&Op, &[Location]) -> bool,
    inner: fn(&Type) -> bool,
    /// Whether loops have it.
    loops: bool,
}

const SHARED: Property = Property {
    layer: |_, tensors| tensors.iter().any(|source| matches!(source, Location::Shared(..))),
    inner: |inner| inner.uses_shared,
    loops: false,
};

const PASS: Property = Property {
    layer: |op, _| op.needs_pass(),
    inner: |inner| inner.uses_pass,
    loops: true,
};

fn scope_step(first: &Scope, of: TypeId, count: usize, (fields, uses): (&mut Vec<Field>, Vec<Use>)) -> Step {
    let field = fields.len();
    match first.relative() {
        [prefix @ .., Segment::Index(index)] if count > 1 => {
            let prefix = if prefix.is_empty() {
                String::new()
            } else {
                format!("{}.", key(prefix))
            };
            fields.push(Field::Repeat {
                prefix,
                first: *index,
                count,
                of,
            });
            Step::Repeat(field, uses)
        }
        relative => {
            fields.push(Field::Module { key: key(relative), of });
            Step::Module(field, uses)
        }
    }
}

/// `SqueezeExcite` of `squeeze_excite`.
pub(super) fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
            .unwrap_or_default()
    };
    name.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use crate::compile::{Options, compile};
    use crate::source::Source;

    /// Blocks that differ, one after the other, in blocks that differ, and so on.
    #[test]
    fn nesting_does_not_multiply_the_work() {
        let mut text = String::from("block b0 { relu }\nblock leaf { gelu }\n");
        for level in 1..50 {
            text.push_str(&format!("block b{level} {{ leaf; b{} }}\n", level - 1));
        }
        text.push_str("net nested { input 4; b49; linear(2) }");
        let networks = compile(&Source::new("nested", text), &Options::default()).networks;
        let plan = super::plan(&networks[0]);
        // A struct for the leaf and one for each of the 50 blocks.
        assert_eq!(plan.types.len(), 51);
        assert_eq!(plan.types.iter().map(|of| of.paths.len()).max(), Some(49));
    }
}
