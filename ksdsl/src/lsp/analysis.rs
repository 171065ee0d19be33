//! What the compiler knows of a text: tree, networks, diagnostics, and what stands where.

use super::position::Lines;
use super::symbols::Symbols;
use super::workspace::{Document, Workspace};
use crate::analyse::{self, analyse};
use crate::ast::File;
use crate::compile::{Compilation, Options, resolve};
use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{Layer, LayerId, Network, Scope};
use crate::parse::parse;
use crate::source::{Source, Span};
use lsp_types::{Location, Range};
use std::cell::OnceCell;
use std::collections::HashMap;

/// A layer of one of the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) network: usize,
    pub(super) layer: LayerId,
}

/// What is made by the statement at a place.
#[derive(Debug, Default)]
struct Made {
    layers: HashMap<Span, Vec<Place>>,
    /// Networks, and the number of a scope in the order of [`Network::scopes`].
    scopes: HashMap<Span, Vec<(usize, usize)>>,
}

#[derive(Debug)]
pub(super) struct Analysis {
    pub(super) source: Source,
    pub(super) file: File,
    /// What parsing found.
    parsed: Diagnostics,
    compiled: OnceCell<Compilation>,
    symbols: OnceCell<Symbols>,
    made: OnceCell<Made>,
    costs: OnceCell<Vec<analyse::Analysis>>,
    /// The lines of each part.
    lines: OnceCell<Vec<Lines>>,
}

impl Analysis {
    pub(super) fn new(source: Source) -> Self {
        let mut parsed = Diagnostics::default();
        let file = parse(&source, &mut parsed);
        Analysis {
            source,
            file,
            parsed,
            compiled: OnceCell::new(),
            symbols: OnceCell::new(),
            made: OnceCell::new(),
            costs: OnceCell::new(),
            lines: OnceCell::new(),
        }
    }

    pub(super) fn compiled(&self) -> &Compilation {
        self.compiled
            .get_or_init(|| resolve(&self.source, &self.file, &Options::default(), self.parsed.clone()))
    }

    pub(super) fn networks(&self) -> &[Network] {
        &self.compiled().networks
    }

    pub(super) fn diagnostics(&self) -> &[Diagnostic] {
        &self.compiled().diagnostics
    }

    /// Whether it depends on other texts.
    pub(super) fn has_imports(&self) -> bool {
        self.source.parts().len() > 1 || !self.source.bad_imports().is_empty()
    }

    /// Whether a place is in the text itself rather than in one that it imports.
    pub(super) fn is_own(&self, span: Span) -> bool {
        span.start as usize <= self.source.own_text().len()
    }

    pub(super) fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(|| Symbols::of(&self.file))
    }

    /// The layers that the call at a place makes.
    pub(super) fn layers_of(&self, call: Span) -> &[Place] {
        self.made().layers.get(&call).map_or(&[], Vec::as_slice)
    }

    /// The scopes that the statement at a place makes, with their networks.
    pub(super) fn scopes_of(&self, statement: Span) -> Vec<(usize, &Scope)> {
        let made = self.made().scopes.get(&statement).map_or(&[][..], Vec::as_slice);
        let Some(&(network, _)) = made.first() else {
            return Vec::new();
        };
        // Those of the first network: an instance has as many.
        let numbers: Vec<usize> = made
            .iter()
            .filter(|(of, _)| *of == network)
            .map(|(_, at)| *at)
            .collect();
        let scopes = self.networks()[network].scopes().enumerate();
        let chosen = scopes.filter(|(at, _)| numbers.binary_search(at).is_ok());
        chosen.map(|(_, scope)| (network, scope)).collect()
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| {
            let mut made = Made::default();
            for (network, of) in self.networks().iter().enumerate() {
                for (layer, Layer { span, .. }) in of.layers.iter().enumerate() {
                    made.layers.entry(*span).or_default().push(Place { network, layer });
                }
                for (at, scope) in of.scopes().enumerate() {
                    made.scopes.entry(scope.span).or_default().push((network, at));
                }
            }
            made
        })
    }

    pub(super) fn layer(&self, place: Place) -> &Layer {
        &self.networks()[place.network].layers[place.layer]
    }

    /// The counts of a network.
    pub(super) fn costs(&self, network: usize) -> &analyse::Analysis {
        let all = self.costs.get_or_init(|| self.networks().iter().map(analyse).collect());
        &all[network]
    }

    /// The range of a place in its part.
    fn range(&self, part: usize, span: Span) -> Range {
        let parts = self.source.parts();
        let text = |part: &crate::source::Part| &self.source.text()[part.range.clone()];
        let lines = self
            .lines
            .get_or_init(|| parts.iter().map(|part| Lines::new(text(part))).collect());
        let start = parts[part].range.start;
        let bytes = span.range().start.saturating_sub(start)..span.range().end.saturating_sub(start);
        lines[part].range(text(&parts[part]), bytes)
    }

    /// The number of the part that a place is in.
    pub(super) fn part_of(&self, span: Span) -> usize {
        let parts = self.source.parts();
        let after = parts.partition_point(|part| part.range.start <= span.start as usize);
        after.saturating_sub(1)
    }

    /// Where a place is; nowhere, if it is in the library.
    pub(super) fn location(&self, span: Span, document: &Document, workspace: &Workspace) -> Option<Location> {
        let part = self.part_of(span);
        let uri = match part {
            0 => document.uri.clone(),
            _ => workspace.uri_of(self.source.parts()[part].path.as_deref()?)?,
        };
        Some(Location::new(uri, self.range(part, span)))
    }

    /// The range of a place of the text itself.
    pub(super) fn own_range(&self, span: Span) -> Range {
        self.range(0, span)
    }
}
