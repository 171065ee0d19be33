//! Names: which are known, which are defined twice, which cannot be used.

use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::source::{Name, Span};
use std::collections::HashMap;

/// Names that Rust does not allow even as raw identifiers, and `shared`, which generated code uses
/// for the shared kernels.
const RESERVED: &[&str] = &["self", "Self", "super", "crate", "_", "shared"];

/// The names of values that expressions can use at a place.
#[derive(Default)]
pub(super) struct Scope {
    names: Vec<Name>,
    places: HashMap<String, Span>,
}

impl Scope {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        for name in self.names.drain(len.min(self.names.len())..) {
            self.places.remove(&name.value);
        }
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Adds a name; hiding another one is an error, because in a specification it is a mistake.
    pub(super) fn define(&mut self, what: &str, name: &Name, diagnostics: &mut Diagnostics) {
        match self.places.get(&name.value) {
            Some(first) => duplicate(what, name, *first, diagnostics),
            None => {
                self.places.insert(name.value.clone(), name.span);
                self.names.push(name.clone());
            }
        }
    }

    pub(super) fn check_known(&self, name: &str, span: Span, diagnostics: &mut Diagnostics) {
        if self.knows(name) || diagnostics.is_full() {
            return;
        }
        let near = nearest(name, self.names.iter().map(|known| known.value.as_str()));
        let all: Vec<String> = self
            .names
            .iter()
            .take(12)
            .map(|known| format!("`{}`", known.value))
            .collect();
        let help = match (near, all.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "there are no parameters or constants here".to_owned(),
            (None, all) => format!("known here: {}", all.join(", ")),
        };
        diagnostics
            .push(Diagnostic::error(Code::UnknownName, span, format!("`{name}` is not defined here")).help(help));
    }
}

/// Reports a name generated code could not use.
pub(super) fn check_allowed(name: &Name, diagnostics: &mut Diagnostics) {
    if RESERVED.contains(&name.value.as_str()) {
        let text = format!("`{}` cannot be used as a name", name.value);
        diagnostics.push(
            Diagnostic::error(Code::ReservedName, name.span, text)
                .label("the generated Rust code uses this name for something else")
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
        .help("choose another name for one of them"),
    );
}
