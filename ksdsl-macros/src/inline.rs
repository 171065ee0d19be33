//! `ksnet!`: the text is in the Rust file, and so are the places of its diagnostics.

use crate::expand;
use crate::file;
use crate::message;
use crate::runtime;
use crate::text::Text;
use ksdsl::compile::{Options, compile};
use ksdsl::diag::{Diagnostic, Severity};
use ksdsl::source::Source;
use proc_macro2::TokenStream;
use std::fmt::Write as _;
use std::ops::Range;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (runtime, input) = match runtime::leading(input) {
        Ok(parts) => parts,
        Err(message) => return message,
    };
    let text = Text::of(input);
    let source = Source::in_folder("ksnet!", text.as_str(), file::root());
    let compilation = compile(&source, &Options::default());
    let mut output = expand::models(&source, &compilation, &runtime);
    for diagnostic in &compilation.diagnostics {
        output.extend(match site(&source, diagnostic) {
            Some(range) => file::report(&source, diagnostic, text.place(range)),
            None => report(&text, diagnostic),
        });
    }
    output.extend(file::imports(&source));
    output
}

/// For a diagnostic that points into an imported file, the import in the macro.
fn site(source: &Source, diagnostic: &Diagnostic) -> Option<Range<usize>> {
    let labels = diagnostic.secondary.iter().chain([&diagnostic.primary]);
    let mut sites = labels.filter_map(|label| source.part_at(label.span.range().start)?.site);
    sites.next().map(|site| site.range())
}

/// One message at the place that shows the problem, and one at every other that has a part in it.
fn report(text: &Text, diagnostic: &Diagnostic) -> TokenStream {
    let code = diagnostic.code;
    let place = text.place(diagnostic.primary.span.range());
    match diagnostic.severity {
        Severity::Warning => message::warning(place, code, &paragraphs(&diagnostic.message, diagnostic)),
        Severity::Error => {
            let first = message::error(
                place,
                &paragraphs(&format!("{code}: {}", diagnostic.message), diagnostic),
            );
            let others = diagnostic.secondary.iter().map(|label| {
                let place = text.place(label.span.range());
                message::error(place, &format!("{code}, as reported above: {}", label.text))
            });
            std::iter::once(first).chain(others).collect()
        }
    }
}

/// The message with what is said about its place and how to fix it, each on a line of its own.
fn paragraphs(message: &str, diagnostic: &Diagnostic) -> String {
    let mut text = message.to_owned();
    if !diagnostic.primary.text.is_empty() {
        let _ = write!(text, "\n= note: {}", diagnostic.primary.text);
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(text, "\n= help: {help}");
    }
    text
}
