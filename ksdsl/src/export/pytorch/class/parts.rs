//! The parts of a class: its tensors, modules and lists, as its constructor makes them.

use super::super::helpers::{Helper, parameter};
use super::super::names::{access, reach};
use super::Class;
use crate::plan::{Field, FieldId, Location, TypeId};

/// The key of a field, or what those of a row have in common.
pub(super) fn key_of(field: &Field) -> &str {
    match field {
        Field::Tensor { key, .. } | Field::Norm { key, .. } | Field::Module { key, .. } => key,
        Field::Repeat { prefix, .. } => prefix,
    }
}

/// A key without its last segment, and that.
pub(super) fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// The head of a loop over a row of blocks.
pub(super) fn range(first: u32, count: usize) -> String {
    let end = first as usize + count;
    match first {
        0 => format!("for i in range({end}):"),
        first => format!("for i in range({first}, {end}):"),
    }
}

impl Class<'_> {
    /// The expression for a tensor that is a field.
    pub(super) fn own(&mut self, field: FieldId, name: &str) -> String {
        format!("{}.{name}", self.part(field))
    }

    /// Makes the layer that holds the private ones of a layer's tensors.
    pub(super) fn own_tensors(&mut self, sources: impl Iterator<Item = Location>) {
        let mut args = Vec::new();
        let mut layer = None;
        for source in sources {
            let Location::Own(field) = source else { continue };
            let Field::Tensor { key, shape, init, .. } = &self.body.fields[field] else {
                continue;
            };
            let (parent, name) = split(key);
            args.push(format!("{name}={}", parameter(*init, shape, self.used)));
            layer = Some(parent);
        }
        if let Some(layer) = layer {
            self.used.insert(Helper::Layer);
            self.containers_above(layer);
            self.init.call(&format!("self{} = Layer", access(layer)), &args, "");
        }
    }

    /// The expression for the part of a field, which is made unless it is a layer.
    pub(in crate::export::pytorch) fn part(&mut self, field: FieldId) -> String {
        let of_type = |of: TypeId| {
            let kernels = if self.file.banks[of] { "kernels" } else { "" };
            format!("{}({kernels})", self.file.plan.types[of].name)
        };
        match &self.body.fields[field] {
            Field::Tensor { key, .. } => reach("self", split(key).0),
            Field::Norm { key, of } => {
                self.used.insert(Helper::Of(of.class));
                self.make(key, &format!("{}({})", of.name, of.channels))
            }
            Field::Module { key, of } => {
                let value = of_type(*of);
                self.make(key, &value)
            }
            Field::Repeat {
                prefix,
                first,
                count,
                of,
            } => {
                let value = of_type(*of);
                let holder = access(prefix);
                self.containers(prefix.trim_end_matches('.'));
                self.init.line(&range(*first, *count));
                self.init
                    .nested(|lines| lines.line(&format!("self{holder}[i] = {value}")));
                reach("self", prefix)
            }
        }
    }

    fn make(&mut self, key: &str, value: &str) -> String {
        self.containers_above(key);
        self.init.line(&format!("self{} = {value}", access(key)));
        reach("self", key)
    }

    fn containers_above(&mut self, key: &str) {
        self.containers(split(key).0);
    }

    /// Makes what holds the part of this key, and the holders of those.
    fn containers(&mut self, key: &str) {
        if key.is_empty() || self.containers.contains(key) {
            return;
        }
        self.containers_above(key);
        self.containers.insert(key.to_owned());
        self.used.insert(Helper::Part);
        self.init.line(&format!("self{} = Part()", access(key)));
    }
}
