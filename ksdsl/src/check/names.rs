//! Names: which are known, which are defined twice, which cannot be used.

use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::source::{Name, Span};
use crate::value::{AFTER_INPUT, SIZES};
use std::collections::HashMap;

/// Names that Rust does not allow even as raw identifiers, and `shared`, which generated code uses
/// for the shared kernels.
const RESERVED: &[&str] = &["self", "Self", "super", "crate", "_", "shared"];

/// The names of values that expressions can use at a place.
#[derive(Default)]
pub(super) struct Scope {
    names: Vec<Defined>,
    /// Where in `names` the definition that holds now is.
    current: HashMap<String, usize>,
    /// Names before this one belong to the network around a block: the block may hide them.
    hideable: usize,
    /// Whether a layer receives a value here, so that its sizes have names.
    pub(super) has_current: bool,
}

struct Defined {
    name: Name,
    /// The definition it hides.
    hides: Option<usize>,
}

impl Scope {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        while self.names.len() > len {
            let Some(Defined { name, hides }) = self.names.pop() else {
                break;
            };
            match hides {
                Some(outer) => self.current.insert(name.value, outer),
                None => self.current.remove(&name.value),
            };
        }
    }

    /// Enters a block, which may use the names known so far for parameters and constants of its
    /// own; returns what [`Scope::leave_block`] wants back.
    pub(super) fn enter_block(&mut self) -> usize {
        std::mem::replace(&mut self.hideable, self.names.len())
    }

    pub(super) fn leave_block(&mut self, outer: usize) {
        self.hideable = outer;
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.current.contains_key(name)
    }

    /// Adds a name. Hiding one of the same body or of a body around it is an error, because in a
    /// specification it is a mistake; a block is a place of its own.
    pub(super) fn define(&mut self, what: &str, name: &Name, diagnostics: &mut Diagnostics) {
        if SIZES.contains(&name.value.as_str()) {
            let text = format!("`{}` is a size of the current value", name.value);
            diagnostics.push(Diagnostic::error(Code::ReservedName, name.span, text).help("choose another name"));
            return;
        }
        let hides = self.current.get(&name.value).copied();
        match hides {
            Some(first) if first >= self.hideable => duplicate(what, name, self.names[first].name.span, diagnostics),
            _ => {
                self.current.insert(name.value.clone(), self.names.len());
                self.names.push(Defined {
                    name: name.clone(),
                    hides,
                });
            }
        }
    }

    /// Reports a name that is not known where `words` may stand too; `takes` says what else may.
    pub(super) fn check_known(
        &self,
        name: &str,
        span: Span,
        (words, takes): (&[&'static str], Option<&str>),
        diagnostics: &mut Diagnostics,
    ) {
        if self.knows(name) || diagnostics.is_full() {
            return;
        }
        if SIZES.contains(&name) {
            if !self.has_current {
                let text = format!("`{name}` has no value here");
                diagnostics.push(Diagnostic::error(Code::UnknownName, span, text).help(AFTER_INPUT));
            }
            return;
        }
        let known = self.current.keys().map(String::as_str);
        // Of other lengths more words are near than are meant.
        let truth = ["true", "false"].into_iter().filter(|word| word.len() == name.len());
        let sizes = SIZES.into_iter().filter(|_| self.has_current);
        let near = nearest(name, known.chain(words.iter().copied()).chain(truth).chain(sizes));
        let diagnostic = Diagnostic::error(
            Code::UnknownName,
            span,
            format!("`{name}` is not defined in this scope"),
        );
        diagnostics.push(match (near, takes) {
            (Some(near), _) => diagnostic.help(format!("did you mean `{near}`?")).fix(span, near),
            (None, Some(takes)) => diagnostic.help(takes),
            (None, None) => diagnostic.help(self.listed()),
        });
    }

    /// Some of the names that are known.
    fn listed(&self) -> String {
        let names = self.names.iter().take(12);
        let names: Vec<String> = names.map(|known| format!("`{}`", known.name.value)).collect();
        match names.as_slice() {
            [] => "no parameters or constants are in scope".to_owned(),
            names => format!("in scope: {}", names.join(", ")),
        }
    }
}

/// Reports a name generated code could not use.
pub(super) fn check_allowed(name: &Name, diagnostics: &mut Diagnostics) {
    if RESERVED.contains(&name.value.as_str()) {
        let text = format!("`{}` cannot be used as a name", name.value);
        diagnostics.push(
            Diagnostic::error(Code::ReservedName, name.span, text)
                .label("this name is reserved for generated code")
                .help("choose another name"),
        );
    }
}

/// Reports a name that is defined twice.
pub(crate) fn duplicate(what: &str, name: &Name, first: Span, diagnostics: &mut Diagnostics) {
    diagnostics.push(
        Diagnostic::error(
            Code::DuplicateName,
            name.span,
            format!("the {what} `{}` is defined twice", name.value),
        )
        .label("defined again here")
        .and(first, "first defined here")
        .help("rename one of them"),
    );
}
