//! What to say of a call of something that does not exist.

use super::Checker;
use crate::ast::Call;
use crate::diag::{Code, Diagnostic, nearest};
use crate::foreign::{self, Ours};
use crate::imports;
use crate::mappings::{PRIVATE_PARTS, find};
use crate::ops::{self, LayerDef};
use crate::source::Name;

impl Checker<'_, '_> {
    /// Reports a call of no layer and no block, unless a part with a syntax error may define it.
    pub(super) fn unknown_call(&mut self, call: &Call) {
        let name = call.name.value.as_str();
        if self.diagnostics.is_full() || self.file.lost.contains(name) {
            return;
        }
        let text = format!("unknown layer or block `{name}`");
        let diagnostic = Diagnostic::error(Code::UnknownCall, call.name.span, text);
        let diagnostic = self.meant(call, diagnostic);
        self.diagnostics.push(diagnostic);
    }

    /// Adds what was probably meant.
    fn meant(&self, call: &Call, diagnostic: Diagnostic) -> Diagnostic {
        let name = call.name.value.as_str();
        let known = self.callable();
        if let Some(same) = known.iter().find(|known| foreign::same(known, name)) {
            let with_paths = ops::find(same).and_then(LayerDef::with_paths);
            let help = match with_paths.filter(|_| call.paths.is_none()) {
                Some(shape) => return diagnostic.help(format!("write `{shape}`")),
                None => format!("did you mean `{same}`?"),
            };
            return called(call, same, diagnostic.help(help));
        }
        match foreign::layer(name) {
            Some(Ours::Name(ours)) => {
                let help = ops::find(ours).map_or(ours.to_owned(), signature);
                return called(call, ours, diagnostic.help(format!("it is called `{help}` in KSDSL")));
            }
            Some(Ours::Otherwise(how)) => return diagnostic.help(how),
            Some(Ours::Nothing(instead)) => {
                return diagnostic.help(format!("the language has no `{name}`; {instead}"));
            }
            None => {}
        }
        if let Some(file) = imports::library_file(name) {
            return diagnostic.help(format!("it is in the library: write `use \"{file}\"` at the top"));
        }
        if find(PRIVATE_PARTS, name).is_some() {
            return diagnostic.help(format!(
                "it is an option of shared visits: `share ... with private {name}`"
            ));
        }
        if let Some(how) = foreign::statement_word(name) {
            return diagnostic.help(how);
        }
        if call.paths.is_some()
            && let Some(keyword) = nearest(name, ["residual", "repeat", "stage", "seq", "when"])
        {
            return diagnostic.help(format!("did you mean `{keyword}`?"));
        }
        match nearest(name, known) {
            Some(near) => diagnostic
                .help(format!("did you mean `{near}`?"))
                .fix(call.name.span, near),
            None => diagnostic.help(format!("define it with `block {name}(...) {{ ... }}`")),
        }
    }

    /// The names of everything that can be called.
    fn callable(&self) -> Vec<&str> {
        let blocks = self.inner.keys().chain(self.blocks.keys()).copied();
        ops::layers().map(|layer| layer.name).chain(blocks).collect()
    }
}

/// Adds the name here; without the arguments where the layer needs none, since norms, poolings and activations
/// of other frameworks take sizes and options that are inferred from the input here.
fn called(call: &Call, ours: &str, diagnostic: Diagnostic) -> Diagnostic {
    match ops::find(ours) {
        Some(layer)
            if layer.paths().is_none()
                && !layer.params.iter().any(|param| param.required)
                && !takes_all(layer, call) =>
        {
            diagnostic.fix(call.span, ours)
        }
        _ => diagnostic.fix(call.name.span, ours),
    }
}

/// Whether the arguments of a call are all named as a layer names its own.
fn takes_all(layer: &LayerDef, call: &Call) -> bool {
    let takes = |name: &Name| layer.params.iter().any(|param| param.name == name.value);
    call.args.iter().all(|arg| arg.name.as_ref().is_some_and(takes))
}

/// A layer with the arguments it must be given: `conv(channels, kernel, ...)`.
fn signature(layer: &LayerDef) -> String {
    let required: Vec<&str> = layer
        .params
        .iter()
        .filter(|param| param.required)
        .map(|param| param.name)
        .collect();
    match required.as_slice() {
        [] => layer.name.to_owned(),
        names => format!("{}({}, ...)", layer.name, names.join(", ")),
    }
}
