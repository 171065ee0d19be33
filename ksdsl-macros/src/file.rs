//! `include_ksn!`: the text is in a file of its own; its diagnostics are shown as text, with the
//! lines they speak of, at the macro's argument.

use crate::expand;
use crate::message::{self, Place};
use crate::runtime;
use ksdsl::codegen::Runtime;
use ksdsl::compile::{Options, compile};
use ksdsl::diag::{Diagnostic, Severity};
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::spec::{ReadError, read_source_as};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use std::path::{Path, PathBuf};
use syn::LitStr;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (path, rest) = runtime::split(input.clone(), ',');
    let Ok(argument) = syn::parse2::<LitStr>(path) else {
        let text = "`include_ksn!` takes the path of a `.ksn` file as a string, such as \"models/small.ksn\"";
        return message::error(Place::of(input), text);
    };
    let runtime = match runtime::trailing(rest) {
        Ok(runtime) => runtime,
        Err(message) => return message,
    };
    let relative = argument.value();
    let path = root().join(&relative);
    match read(&path, &relative) {
        Ok(source) => {
            let models = models(&source, argument.span(), &runtime);
            let rebuild = depend_on(&path, &source);
            quote! { #models #rebuild }
        }
        Err(text) => message::error(argument.span().into(), &text),
    }
}

/// The folder of the `Cargo.toml` of the crate that is compiled.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from)
}

/// The source at `path`, called in messages as the user's code calls it.
fn read(path: &Path, name: &str) -> Result<Source, String> {
    match read_source_as(path, name) {
        Ok(source) => Ok(source),
        Err(ReadError::Io { error, .. }) => Err(format!(
            "cannot read {name}: {error}\n= help: paths start at the folder of the crate's Cargo.toml"
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn models(source: &Source, at: Span, runtime: &Runtime) -> TokenStream {
    let compilation = compile(source, &Options::default());
    let mut output = expand::models(source, &compilation, runtime);
    for diagnostic in &compilation.diagnostics {
        output.extend(report(source, diagnostic, at));
    }
    output
}

/// A diagnostic as text at a place of the user's code.
pub(crate) fn report(source: &Source, diagnostic: &Diagnostic, at: impl Into<Place>) -> TokenStream {
    let at = at.into();
    let code = diagnostic.code;
    let rendered = render(source, std::slice::from_ref(diagnostic), false);
    // rustc says itself that it is an error or a warning.
    let untitled = rendered
        .split_once(&format!("[{code}]: "))
        .map_or(rendered.as_str(), |(_, text)| text);
    match diagnostic.severity {
        Severity::Error => message::error(at, &format!("{code}: {untitled}")),
        Severity::Warning => message::warning(at, code, untitled),
    }
}

/// Makes cargo build the crate again when the file or one that it imports changes.
fn depend_on(path: &Path, source: &Source) -> TokenStream {
    let imported = imports(source);
    let Some(path) = path.to_str() else {
        return imported;
    };
    quote! { const _: &[u8] = ::core::include_bytes!(#path); #imported }
}

/// Makes cargo build the crate again when an imported file changes.
pub(crate) fn imports(source: &Source) -> TokenStream {
    let paths = source.imported().filter_map(|path| path.to_str());
    paths
        .map(|path| quote! { const _: &[u8] = ::core::include_bytes!(#path); })
        .collect()
}
