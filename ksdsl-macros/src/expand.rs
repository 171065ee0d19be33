//! What both macros expand to.

use ksdsl::ast::{Net, NetKind};
use ksdsl::codegen::{self, Runtime};
use ksdsl::compile::Compilation;
use ksdsl::diag::{Code, Diagnostic, Diagnostics, Severity};
use ksdsl::ir::Network;
use ksdsl::parse;
use ksdsl::source::{Name, Source};
use proc_macro2::TokenStream;
use std::collections::BTreeSet;

/// The models of a source, and stubs for its networks with errors: code that names them then gives
/// no errors of its own.
pub(crate) fn models(source: &Source, compilation: &Compilation, runtime: &Runtime) -> TokenStream {
    let model = |network| codegen::network_on(network, runtime);
    if !compilation.has_errors() {
        return compilation.networks.iter().map(model).collect();
    }
    let sound = sound_networks(source, &compilation.diagnostics);
    let shapes_known = shapes_are_known(&compilation.diagnostics);
    let mut seen = BTreeSet::new();
    let names = compilation.names.iter();
    names
        .filter(|name| is_identifier(name) && seen.insert(name.as_str()))
        .map(|name| match resolved(&compilation.networks, name) {
            Some(network) if sound.contains(name) => model(network),
            network => codegen::stub(name, network.filter(|_| shapes_known), runtime),
        })
        .collect()
}

fn resolved<'n>(networks: &'n [Network], name: &str) -> Option<&'n Network> {
    networks.iter().find(|network| network.name == name)
}

/// Sharing is resolved after all shapes: an error in it leaves them right. Other errors may leave a
/// network with parts missing and so with an output that is not its own.
fn shapes_are_known(diagnostics: &[Diagnostic]) -> bool {
    let about_sharing = |code: Code| (Code::NotIsomorphic..=Code::TooManyGroups).contains(&code);
    diagnostics
        .iter()
        .all(|diagnostic| diagnostic.severity == Severity::Warning || about_sharing(diagnostic.code))
}

/// The networks that no error touches, neither in their own text nor in that of their family or of a
/// block outside networks.
fn sound_networks(source: &Source, diagnostics: &[Diagnostic]) -> BTreeSet<String> {
    let file = parse::parse(source, &mut Diagnostics::default());
    let blocks = || file.blocks.iter().map(|block| &block.name);
    let start = |name: &Name| name.span.start;
    let starts: BTreeSet<u32> = file
        .all_nets()
        .map(|net| &net.name)
        .chain(blocks())
        .map(start)
        .collect();
    // An item reaches to the next one; what could not be parsed counts to the one before it.
    let touched: BTreeSet<Option<u32>> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|error| starts.range(..=error.primary.span.start).next_back().copied())
        .collect();
    // Any network may be made of what an imported file defines.
    if touched
        .iter()
        .flatten()
        .any(|start| *start as usize > source.own_text().len())
    {
        return BTreeSet::new();
    }
    let is_touched = |name: &Name| touched.contains(&Some(start(name)));
    if touched.contains(&None) || blocks().any(is_touched) {
        return BTreeSet::new();
    }
    let is_sound = |net: &&Net| match &net.kind {
        NetKind::Family { .. } => !is_touched(&net.name),
        NetKind::Instance { base, .. } => {
            let family = file.all_nets().find(|net| net.name.value == base.value);
            !is_touched(&net.name) && family.is_some_and(|family| !is_touched(&family.name))
        }
    };
    file.nets
        .iter()
        .filter(is_sound)
        .map(|net| net.name.value.clone())
        .collect()
}

/// Whether a word after `net` can name a Rust item; after a syntax error it can be anything.
fn is_identifier(word: &str) -> bool {
    syn::parse_str::<syn::Ident>(&format!("r#{word}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{is_identifier, sound_networks};
    use ksdsl::compile::{Options, compile};
    use ksdsl::source::Source;

    fn sound(text: &str) -> Vec<String> {
        let source = Source::new("test", text);
        let diagnostics = compile(&source, &Options::default()).diagnostics;
        assert!(!diagnostics.is_empty(), "{text}");
        sound_networks(&source, &diagnostics).into_iter().collect()
    }

    #[test]
    fn an_error_touches_the_networks_that_use_its_text() {
        let good = "net good { input 8; linear(4) }";
        let bad = "net bad(n = 4) { input 8; linear(m) } net instance = bad(n = 2)";
        assert_eq!(sound(&format!("{good} {bad}")), ["good"]);
        assert_eq!(sound(&format!("{bad} {good}")), ["good"]);
        assert_eq!(sound(&format!("{bad} net = {good}")), ["good"]);
        assert_eq!(sound(&format!("{good} block b {{ nothing }}")), [""; 0]);
        assert_eq!(sound(&format!("nte x {good}")), [""; 0]);
    }

    #[test]
    fn stubs_have_names_that_rust_allows() {
        assert!(is_identifier("resnet_20") && is_identifier("match"));
        assert!(!is_identifier("3x3") && !is_identifier("self") && !is_identifier("_"));
    }
}
