//! One class: its parts and its forward pass, written in one walk over its steps.

mod parts;

use super::helpers::{Helper, Used};
use super::lines::Lines;
use super::names::{Fresh, variable};
use crate::ir::{COEFFICIENTS, GroupId, LOW_RANK_A, LOW_RANK_B, Op, Part, Port, PrivateTensors, SCALE, Shape, View};
use crate::ops::{Python, Statement};
use crate::plan::{Arm, Body, Field, FieldId, Location, Plan, Step, TypeId, Use};
use parts::{key_of, range};
use std::collections::HashSet;

/// What all classes of a file have in common.
pub(super) struct File<'p> {
    pub(super) plan: &'p Plan<'p>,
    /// By struct, whether it visits a group of several kernels.
    banks: Vec<bool>,
    /// By struct, whether it has loops.
    loops: Vec<bool>,
}

impl<'p> File<'p> {
    pub(super) fn new(plan: &'p Plan<'p>) -> Self {
        let mut file = File {
            plan,
            banks: Vec::new(),
            loops: Vec::new(),
        };
        // Inner structs come first.
        for of in &plan.types {
            let banks = file.visits_banks(&of.body);
            file.banks.push(banks);
            let loops = file.has_loops(&of.body);
            file.loops.push(loops);
        }
        file
    }

    pub(super) fn is_bank(&self, source: Location) -> bool {
        matches!(source, Location::Shared(group, _) if self.plan.network.groups[group].kernels > 1)
    }

    /// Whether a forward pass, or one inside it, visits a group of several kernels.
    pub(super) fn visits_banks(&self, body: &Body) -> bool {
        self.any_bank(&body.steps, body)
    }

    /// Whether a forward pass, or one inside it, has loops.
    pub(super) fn has_loops(&self, body: &Body) -> bool {
        self.any_loop(&body.steps, body)
    }

    fn any_loop(&self, steps: &[Step], body: &Body) -> bool {
        steps.iter().any(|step| match step {
            Step::Layer { arms, .. } => arms.iter().any(|arm| self.any_loop(&arm.steps, body)),
            Step::Module(field, _) | Step::Repeat(field, _) => inner(body, *field).is_some_and(|of| self.loops[of]),
            Step::Loop(_) => true,
            Step::Keep(_) | Step::Set(_) | Step::From(_) => false,
        })
    }

    fn any_bank(&self, steps: &[Step], body: &Body) -> bool {
        steps.iter().any(|step| match step {
            Step::Layer { tensors, arms, .. } => {
                let inside = |arm: &Arm| self.any_bank(&arm.steps, body);
                tensors.iter().any(|source| self.is_bank(*source)) || arms.iter().any(inside)
            }
            Step::Module(field, _) | Step::Repeat(field, _) => inner(body, *field).is_some_and(|of| self.banks[of]),
            Step::Loop(of) => inner(body, of.field).is_some_and(|of| self.banks[of]),
            Step::Keep(_) | Step::Set(_) | Step::From(_) => false,
        })
    }
}

/// The struct of a field.
fn inner(body: &Body, field: FieldId) -> Option<TypeId> {
    match &body.fields[field] {
        Field::Module { of, .. } | Field::Repeat { of, .. } => Some(*of),
        Field::Tensor { .. } | Field::Norm { .. } => None,
    }
}

/// The longest row that is written out where a loop over all parts would meet others.
const UNROLLED: usize = 32;

/// A class in the making.
pub(super) struct Class<'p> {
    pub(super) file: &'p File<'p>,
    body: &'p Body,
    pub(super) used: &'p mut Used,
    /// The statements of `__init__`.
    pub(super) init: Lines,
    /// The statements of `forward`, which make a new `x` of the old one.
    pub(super) forward: Lines,
    /// Keys of parts that only hold others.
    containers: HashSet<String>,
    attributes: Fresh,
    pub(super) variables: Fresh,
    /// The variables of the values with names.
    pub(super) values: Vec<String>,
    /// Whether it is the network and has the shared kernels beside its parts.
    holds_shared: bool,
}

impl<'p> Class<'p> {
    /// Writes the parts and the forward pass of a body.
    pub(super) fn write(file: &'p File<'p>, body: &'p Body, used: &'p mut Used) -> Self {
        let mut class = Class {
            file,
            body,
            used,
            init: Lines::at(2),
            forward: Lines::at(2),
            containers: HashSet::new(),
            attributes: Fresh::default(),
            variables: Fresh::default(),
            values: Vec::new(),
            holds_shared: std::ptr::eq(body, &file.plan.root) && !file.plan.network.groups.is_empty(),
        };
        class.variables.reserve("x");
        class.variables.reserve("shared");
        class.variables.reserve("loop_counts");
        class.variables.reserve("self");
        for value in &body.values {
            let variable = class.variables.name(&format!("kept_{}", value.name));
            class.values.push(variable);
        }
        for field in &body.fields {
            let key = key_of(field);
            class.attributes.reserve(key.split('.').next().unwrap_or(key));
            if key.split('.').any(|segment| segment == "training") {
                class.used.insert(Helper::Train);
            }
        }
        class.steps(&body.steps, "x");
        class
    }

    /// Steps that change the variable `x`.
    fn steps(&mut self, steps: &[Step], x: &str) {
        for step in steps {
            match step {
                Step::Layer {
                    op,
                    input,
                    tensors,
                    private,
                    view,
                    arms,
                    ..
                } => {
                    let inputs = self.inputs(*input, arms, x);
                    self.layer(op, tensors, (*private, *view), inputs);
                }
                Step::Module(field, uses) => {
                    let part = self.part(*field);
                    let (output, args) = (self.outputs(*field, uses, x), self.args(*field, uses, x));
                    self.forward.call(&format!("{output} = {part}"), &args, "");
                }
                Step::Repeat(field, uses) => self.repeat(*field, uses, x),
                Step::Loop(of) => self.run_time_loop(of, x),
                Step::Keep(value) | Step::Set(value) => {
                    self.forward.line(&format!("{} = {x}", self.values[*value]));
                }
                Step::From(of) => self.forward.line(&format!("{x} = {}", self.values[of.value])),
            }
        }
    }

    /// The inputs of an operation: `x`, or the outputs of branches of it, of which the first stays `x`.
    fn inputs(&mut self, input: Shape, arms: &[Arm], x: &str) -> Vec<(String, Shape)> {
        if arms.is_empty() {
            return vec![(x.to_owned(), input)];
        }
        let mut inputs = vec![x.to_owned()];
        for arm in &arms[1..] {
            // A branch of a named value alone is that value.
            if let (Some(of), 1) = (arm.source(), arm.steps.len()) {
                inputs.push(self.values[of.value].clone());
                continue;
            }
            let name = self.variables.name(arm.name);
            if arm.source().is_none() {
                self.forward.line(&format!("{name} = {x}"));
            }
            inputs.push(name);
        }
        for (at, (arm, name)) in arms.iter().zip(&inputs).enumerate() {
            if at == 0 || arm.source().is_none() || arm.steps.len() > 1 {
                self.steps(&arm.steps, name);
            }
        }
        inputs.into_iter().zip(arms.iter().map(|arm| arm.output)).collect()
    }

    fn repeat(&mut self, field: FieldId, uses: &[Use], x: &str) {
        let Field::Repeat { first, count, .. } = &self.body.fields[field] else {
            return;
        };
        let (first, count) = (*first, *count);
        let holder = self.part(field);
        let (output, args) = (self.outputs(field, uses, x), self.args(field, uses, x));
        if self.is_alone(field) {
            self.forward.line(&format!("for block in {holder}.children():"));
            return self
                .forward
                .nested(|lines| lines.call(&format!("{output} = block"), &args, ""));
        }
        if count <= UNROLLED {
            for index in first..first + count as u32 {
                self.forward
                    .call(&format!("{output} = getattr({holder}, \"{index}\")"), &args, "");
            }
            return;
        }
        self.forward.line(&range(first, count));
        self.forward
            .nested(|lines| lines.call(&format!("{output} = {holder}[i]"), &args, ""));
    }

    /// Whether what holds a row of blocks holds nothing else.
    fn is_alone(&self, field: FieldId) -> bool {
        let prefix = key_of(&self.body.fields[field]);
        let inside = self
            .body
            .fields
            .iter()
            .filter(|field| key_of(field).starts_with(prefix));
        let network = prefix.is_empty() && self.holds_shared;
        inside.count() == 1 && !network
    }

    pub(super) fn args(&self, field: FieldId, uses: &[Use], x: &str) -> Vec<String> {
        let shared = inner(self.body, field).is_some_and(|of| self.file.plan.types[of].uses_shared);
        let mut args = vec![x.to_owned()];
        args.extend(shared.then(|| "shared".to_owned()));
        let loops = inner(self.body, field).is_some_and(|of| self.file.loops[of]);
        args.extend(loops.then(|| "loop_counts".to_owned()));
        args.extend(uses.iter().map(|of| self.values[of.value].clone()));
        args
    }

    /// The variables for what a part gives: its output, and the values that it sets.
    fn outputs(&self, field: FieldId, uses: &[Use], x: &str) -> String {
        let sets = self.sets(field, uses);
        std::iter::once(x.to_owned()).chain(sets).collect::<Vec<_>>().join(", ")
    }

    /// The variables of the values that a part takes and sets.
    pub(super) fn sets(&self, field: FieldId, uses: &[Use]) -> impl Iterator<Item = String> {
        let sets = inner(self.body, field).map(|of| self.file.plan.types[of].body.sets.as_slice());
        // The exit of a loop is none that is taken.
        let uses = sets.unwrap_or_default().iter().filter_map(|taken| uses.get(*taken));
        uses.map(|of| self.values[of.value].clone())
    }

    /// The parameters of the network's `forward` for the counts of loops.
    pub(super) fn counts(&mut self) -> Vec<String> {
        let counts = &self.file.plan.network.loops;
        counts
            .iter()
            .map(|count| self.variables.name(&variable(&count.name)))
            .collect()
    }

    /// The parameters of the network's `forward`.
    pub(super) fn parameters(&mut self, ports: &[Port]) -> Vec<String> {
        match ports {
            [_] => vec!["x".to_owned()],
            ports => {
                let name = |port: &Port| self.variables.name(port.name.as_deref().unwrap_or("x"));
                ports.iter().map(name).collect()
            }
        }
    }

    /// The variables of the values that come from outside.
    pub(super) fn taken(&self) -> &[String] {
        &self.values[..self.body.takes]
    }

    /// The variables of those of them that the body sets.
    pub(super) fn set(&self) -> impl Iterator<Item = &str> {
        self.body.sets.iter().map(|value| self.values[*value].as_str())
    }

    fn layer(
        &mut self,
        op: &Op,
        sources: &[Location],
        (private, view): (PrivateTensors<FieldId>, View),
        inputs: Vec<(String, Shape)>,
    ) {
        let own = private.map(Location::Own).into_list();
        self.own_tensors(sources.iter().copied().chain(own));
        let visits = self.visits(sources);
        let visit = |source: Location| {
            visits
                .iter()
                .find(|(of, _)| matches!(source, Location::Shared(group, _) if group == *of))
                .map(|(_, visit)| visit.as_str())
        };
        let module = match (op.module(), sources) {
            (Some(_), [Location::Own(field)]) => Some(self.part(*field)),
            _ => None,
        };
        let mut tensors = Vec::new();
        // All tensors of a shared module are at one place.
        let named = op.tensors().into_iter().filter(|_| module.is_none());
        for (tensor, &source) in named.zip(sources.iter().cycle()) {
            let expression = self.tensor(source, visit(source), tensor.name);
            let expression = match tensor.part {
                Part::Kernel => self.own_kernel(expression, &tensor.shape, (private, view)),
                Part::Bias | Part::Norm => expression,
            };
            tensors.push((tensor.name, expression));
        }
        self.write_op(op, Python::new(inputs, tensors, module));
    }

    /// Writes the statements of an operation.
    fn write_op(&mut self, op: &Op, mut python: Python) {
        op.python(&mut python);
        self.used.extend(python.helpers.into_iter().map(Helper::Of));
        for statement in python.statements {
            match statement {
                Statement::Call(head, args, tail) => self.forward.call(&head, &args, tail),
                Statement::Line(line) => self.forward.line(&line),
            }
        }
    }

    /// What a layer makes of a kernel: a combination of those of a bank, a view of it, with an addition and then factors
    /// for the output channels of its own.
    fn own_kernel(
        &mut self,
        mut kernel: String,
        shape: &[u64],
        (private, view): (PrivateTensors<FieldId>, View),
    ) -> String {
        if let Some(coefficients) = private.coefficients {
            let coefficients = self.own(coefficients, COEFFICIENTS);
            kernel = format!("torch.tensordot({coefficients}, {kernel}, 1)");
        }
        if view.transposed {
            kernel = format!("{kernel}.transpose(0, 1)");
        }
        if let ([rows, columns, ..], true) = (shape, view.slice) {
            kernel = format!("{kernel}[:{rows}, :{columns}]");
        }
        if let Some([a, b]) = private.low_rank {
            let (a, b) = (self.own(a, LOW_RANK_A), self.own(b, LOW_RANK_B));
            self.used.insert(Helper::LowRank);
            kernel = format!("low_rank({kernel}, {b}, {a})");
        }
        let all = format!("[:{}]", ", None".repeat(shape.len().saturating_sub(1)));
        match private.scale {
            Some(scale) => format!("{kernel} * {}{all}", self.own(scale, SCALE)),
            None => kernel,
        }
    }

    /// The expression for a tensor of a layer.
    fn tensor(&mut self, source: Location, visit: Option<&str>, name: &str) -> String {
        match source {
            Location::Own(field) => self.own(field, name),
            Location::Shared(group, _) => {
                let group = &self.file.plan.network.groups[group].name;
                match visit {
                    None => format!("shared[\"{group}.{name}\"]"),
                    Some(visit) => format!("shared[f\"{group}.{{self.{visit}}}.{name}\"]"),
                }
            }
        }
    }

    /// What says, for each group of several kernels among these sources, which one this visit uses.
    fn visits(&mut self, sources: &[Location]) -> Vec<(GroupId, String)> {
        let mut visits: Vec<(GroupId, String)> = Vec::new();
        for source in sources {
            let Location::Shared(group, _) = *source else { continue };
            if self.file.is_bank(*source) && !visits.iter().any(|(of, _)| *of == group) {
                visits.push((group, self.visit(group)));
            }
        }
        visits
    }

    /// Notes which kernel of a group of several this visit uses; the attribute that says so.
    fn visit(&mut self, group: GroupId) -> String {
        let name = &self.file.plan.network.groups[group].name;
        let attribute = self.attributes.name(&format!("{name}_kernel"));
        self.init.line(&format!("self.{attribute} = next(kernels[\"{name}\"])"));
        attribute
    }
}
