//! The layers a clause brings together.

use super::blocks::relative_name;
use super::isomorphic::Signature;
use super::{Clause, has_weights, parts_of, select};
use crate::ast::{Segment, Selector, SharePart};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Layer, LayerId, join_sizes};
use crate::value::Env;
use std::collections::HashMap;

impl Clause<'_, '_> {
    /// Selected paths must be layers.
    pub(super) fn leaves(&mut self, matched: Vec<select::Match>, selector: &Selector) -> Vec<LayerId> {
        if let Some(scope) = matched.iter().find(|found| found.layer.is_none()) {
            let diagnostic = self.not_a_layer(&matched, scope, selector);
            self.diagnostics.push(diagnostic);
            return Vec::new();
        }
        matched.into_iter().filter_map(|found| found.layer).collect()
    }

    /// Whether a selected layer has what the clause shares; reported if not.
    pub(super) fn has_part(&mut self, layer: LayerId) -> bool {
        let layer = &self.network.layers[layer];
        if !parts_of(&layer.op, self.part()).is_empty() {
            return true;
        }
        let diagnostic = self.nothing_to_share(layer);
        self.diagnostics.push(diagnostic);
        false
    }

    /// Whether all layers have equal kernels; the first that differs is reported.
    pub(super) fn all_isomorphic(&mut self, layers: &[LayerId]) -> bool {
        let signature = |id: LayerId| Signature::of(&self.network.layers[id].op, self.part(), self.use_of(id));
        let Some(&first) = layers.first() else { return false };
        let wanted = signature(first);
        let Some((&odd, difference)) = layers
            .iter()
            .find_map(|layer| Some((layer, wanted.difference(&signature(*layer))?)))
        else {
            return true;
        };
        let (one, other) = (&self.network.layers[first], &self.network.layers[odd]);
        let name = |id: LayerId| match self.use_of(id).transposed {
            true => format!("the transposed `{}`", self.network.layers[id].path),
            false => format!("`{}`", self.network.layers[id].path),
        };
        let text = format!(
            "{} and {} cannot share: the {} differs, {} and {}",
            name(first),
            name(odd),
            difference.field,
            difference.one,
            difference.other
        );
        let describe = |layer: &Layer, value: &str| match layer.op.kernel_shape() {
            _ if difference.field == "bias" => format!("`{}` has {value}", layer.path),
            Some(shape) if self.part() != SharePart::Bias => {
                format!("the kernel of `{}` is {}", layer.path, join_sizes(&shape))
            }
            _ => format!("`{}` has {} channels", layer.path, layer.output.channels()),
        };
        let (describe_one, describe_other) = (describe(one, &difference.one), describe(other, &difference.other));
        let diagnostic = Diagnostic::error(Code::NotIsomorphic, self.selected(), text).label("selected here");
        let diagnostic = if one.span == other.span {
            diagnostic.and(one.span, format!("{describe_one}, {describe_other}"))
        } else {
            diagnostic.and(one.span, describe_one).and(other.span, describe_other)
        };
        let other_form = self.other_form(first, odd);
        let diagnostic = self.may_share(difference.field, other_form, diagnostic);
        self.diagnostics.push(diagnostic);
        false
    }

    /// The layers an `isomorphic` clause looks at, with a name for what is found there: in all scopes together, or in
    /// each.
    pub(super) fn candidates(
        &mut self,
        kind: Option<&str>,
        (scopes, each): (&[Selector], bool),
        env: &Env,
    ) -> Vec<(Vec<LayerId>, String)> {
        let mut places = Vec::new();
        if scopes.is_empty() {
            places.push((
                (0..self.network.layers.len()).collect(),
                kind.unwrap_or("all").to_owned(),
            ));
        }
        for scope in scopes {
            for found in self.select(scope, env) {
                let mut layers = Vec::new();
                self.index.layers_below(found.node, &mut layers);
                places.push((layers, relative_name(&self.index.path(found.node).0)));
            }
        }
        if !each && !scopes.is_empty() {
            let layers = places.into_iter().flat_map(|(layers, _)| layers).collect();
            places = vec![(layers, scopes.iter().map(plain_name).collect::<Vec<_>>().join("_"))];
        }
        let places = places.into_iter();
        let places = places.map(|(layers, name)| (self.fitting(layers, kind), self.named(name)));
        places.collect()
    }

    /// Those of these layers that the clause's kind and arguments mean, in order.
    fn fitting(&mut self, mut layers: Vec<LayerId>, kind: Option<&str>) -> Vec<LayerId> {
        *self.budget = self.budget.saturating_sub(layers.len());
        layers.sort_unstable();
        layers.dedup();
        layers.retain(|&layer| {
            let op = &self.network.layers[layer].op;
            match kind {
                Some(kind) => op.is_kind(kind),
                // Norms are private to each visit unless they are requested.
                None => has_weights(op),
            }
        });
        // One message for all of a kind.
        let mut named = kind.is_some();
        layers.retain(|&layer| {
            let has = match named {
                true => self.has_use(layer),
                false => self.refused_use(layer).is_none(),
            };
            named &= has;
            has && !parts_of(&self.network.layers[layer].op, self.part()).is_empty()
        });
        let op = |layer: LayerId| &self.network.layers[layer].op;
        self.narrow.fitting(layers, op, self.diagnostics)
    }

    /// The name that the clause gives, or this one.
    fn named(&self, name: String) -> String {
        let given = self.share.name.as_ref();
        given.map_or(name, |given| given.value.clone())
    }

    /// The sets of two or more isomorphic layers, in the order of their first members.
    pub(super) fn isomorphic_sets(&self, layers: &[LayerId], base: &str) -> Vec<(Vec<LayerId>, String)> {
        let mut order: Vec<Signature> = Vec::new();
        let mut sets: HashMap<Signature, Vec<LayerId>> = HashMap::new();
        for &layer in layers {
            let signature = Signature::of(&self.network.layers[layer].op, self.part(), self.use_of(layer));
            let set = sets.entry(signature.clone()).or_default();
            if set.is_empty() {
                order.push(signature);
            }
            set.push(layer);
        }
        let sets: Vec<Vec<LayerId>> = order
            .iter()
            .filter_map(|signature| sets.remove(signature))
            .map(|set| self.narrow.every(set))
            .filter(|set| set.len() > 1)
            .collect();
        let several = sets.len() > 1;
        sets.into_iter()
            .map(|set| {
                let word = self.network.layers[set[0]].op.word();
                let name = match &self.share.name {
                    Some(_) if !several => base.to_owned(),
                    None if base == word => base.to_owned(),
                    _ => format!("{base}_{word}"),
                };
                (set, name)
            })
            .collect()
    }

    /// The name of a group selected by path: the path's words.
    pub(super) fn path_name(&self, selectors: &[Selector]) -> String {
        match (&self.share.name, selectors) {
            (Some(name), _) => name.value.clone(),
            (None, [first, ..]) => plain_name(first),
            (None, []) => "kernel".to_owned(),
        }
    }
}

/// The words of a selector joined to a name: `s1_conv1` of `s1[*].conv1`.
pub(super) fn plain_name(selector: &Selector) -> String {
    let words: Vec<String> = selector
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Name(name) => {
                let word: String = name.value.chars().filter(|c| *c != '*').collect();
                (!word.is_empty()).then_some(word)
            }
            _ => None,
        })
        .collect();
    if words.is_empty() {
        "kernel".to_owned()
    } else {
        words.join("_")
    }
}
