//! Blocks as functions. Blocks that compute the same, whatever their kernels, are one: these are arguments.

use super::Function;
use super::walk::Walk;
use crate::ir::{Scope, ScopeKind, Segment, ValueId, Walk as _};
use crate::ops::Node;
use std::collections::HashMap;
use std::convert::Infallible;

/// What a function does: names of its inputs and outputs, and the nodes.
type Content = (Vec<String>, Vec<String>, Vec<Node>);

/// The functions of a model.
#[derive(Debug, Default)]
pub(super) struct Functions {
    list: Vec<Function>,
    /// The position of each by what it does.
    known: HashMap<Content, usize>,
    /// How many functions have a name.
    names: HashMap<String, usize>,
}

impl Functions {
    pub(super) fn into_list(self) -> Vec<Function> {
        self.list
    }

    /// The name of the function that does this.
    fn add(&mut self, name: &str, inputs: Vec<String>, outputs: Vec<String>, nodes: Vec<Node>) -> String {
        let key = (inputs, outputs, nodes);
        if let Some(at) = self.known.get(&key) {
            return self.list[*at].name.clone();
        }
        let number = self.names.entry(name.to_owned()).or_insert(0);
        *number += 1;
        let name = match *number {
            1 => name.to_owned(),
            number => format!("{name}_{number}"),
        };
        let (inputs, outputs, nodes) = key.clone();
        self.known.insert(key, self.list.len());
        self.list.push(Function {
            name: name.clone(),
            inputs,
            outputs,
            nodes,
        });
        name
    }
}

impl Walk<'_> {
    /// A stage, a block or an iteration: written out, or called.
    pub(super) fn scope(&mut self, scope: &Scope, x: String) -> Result<String, Infallible> {
        match self.calls && !matches!(scope.kind, ScopeKind::Stage) && !scope.nodes.is_empty() {
            true => Ok(self.call(scope, None, x)),
            false => self.nodes(&scope.nodes, x),
        }
    }

    /// Calls the function of a scope, which gives `exit`, too.
    pub(super) fn call(&mut self, scope: &Scope, exit: Option<ValueId>, x: String) -> String {
        let (function, places) = self.function(scope, exit);
        let mut inputs = vec![x];
        inputs.extend(scope.takes.iter().map(|id| self.value(*id)));
        let path = self.name(&scope.path.0);
        for (place, name) in places {
            inputs.push(self.stored(place, &format!("{path}.{name}")));
        }
        let ids: Vec<ValueId> = scope.sets.iter().copied().chain(exit).collect();
        let mut outputs = vec![format!("{path}/{function}")];
        outputs.extend(ids.iter().map(|id| format!("{path}/{}", self.network.values[*id].name)));
        let mut outputs = self.graph.call(&function, inputs, &outputs).into_iter();
        let x = outputs.next().unwrap_or_default();
        for (id, output) in ids.into_iter().zip(outputs) {
            self.values[id] = Some(output);
        }
        x
    }

    /// The function of a scope, and the tensors that it takes.
    fn function(&mut self, scope: &Scope, exit: Option<ValueId>) -> (String, Vec<(usize, String)>) {
        let mut inner = Walk::new(self.network, self.tensors, self.places, (self.counts.clone(), true));
        inner.functions = std::mem::take(&mut self.functions);
        inner.depth = scope.path.0.len();
        inner.taken = Some(Vec::new());
        let mut inputs = vec![inner.graph.fresh("x")];
        for &id in &scope.takes {
            let name = inner.graph.fresh(&self.network.values[id].name);
            inner.values[id] = Some(name.clone());
            inputs.push(name);
        }
        let Ok(y) = inner.nodes(&scope.nodes, inputs[0].clone());
        let sets: Vec<String> = scope.sets.iter().chain(&exit).map(|id| inner.value(*id)).collect();
        // An output is the output of a node, and each another.
        let named = std::iter::once(("y".to_owned(), y)).chain(sets.into_iter().map(|of| ("set".to_owned(), of)));
        let outputs = named.collect::<Vec<_>>().into_iter();
        let outputs: Vec<String> = outputs.map(|(name, value)| inner.graph.rename(&value, &name)).collect();
        let taken = inner.taken.take().unwrap_or_default();
        self.excess = self.excess.or(inner.excess);
        inputs.extend(taken.iter().map(|(_, name)| name.clone()));
        self.functions = inner.functions;
        let name = function_name(scope);
        let function = self.functions.add(&name, inputs, outputs, inner.graph.into_nodes());
        (function, taken)
    }
}

/// The block's name, or that of the part of the path.
fn function_name(scope: &Scope) -> String {
    let last_name = || {
        let mut segments = scope.path.0.iter().rev();
        segments.find_map(|segment| match segment {
            Segment::Name(name) => Some(name.clone()),
            Segment::Index(_) => None,
        })
    };
    match &scope.kind {
        ScopeKind::Block(name) => name.clone(),
        ScopeKind::Stage | ScopeKind::Iteration | ScopeKind::Loop => {
            last_name().unwrap_or_else(|| "iteration".to_owned())
        }
    }
}
