//! Completion of paths: of layers in clauses, and of files in imports.

use super::super::analysis::Analysis;
use super::super::context::Cursor;
use super::super::uri;
use super::super::workspace::{Document, Workspace};
use super::{Offers, contains};
use crate::ast::NetKind;
use crate::imports::library;
use crate::ir::{Network, Path, Segment};
use crate::share::select::wildcard;
use lsp_types::CompletionItemKind;

/// Paths that are offered.
const PATHS: usize = 500;

/// The paths that begin so. They come from the network without the clause that is being written.
pub(super) fn paths(
    begin: &str,
    at: &Cursor,
    workspace: &Workspace,
    document: &Document,
    offset: usize,
    offers: &mut Offers,
) {
    let mut text = document.text.to_string();
    let from = at.clause.unwrap_or(at.start);
    let end = text[offset..].find('\n').map_or(text.len(), |end| offset + end);
    // A brace of the network may end the line, too.
    let end = text[offset..end].find('}').map_or(end, |brace| offset + brace);
    let blank: String = text[from..end]
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    text.replace_range(from..end, &blank);
    let analysis = Analysis::new(workspace.source(document, &text));
    let file = &analysis.file;
    let around = file.nets.iter().find(|net| contains(net.span, offset));
    let Some(net) = around.map(|net| net.name.value.as_str()) else {
        return;
    };
    let is_instance = |name: &str| {
        let mut nets = file.nets.iter().filter(|other| other.name.value == name);
        nets.any(|other| matches!(&other.kind, NetKind::Instance { base, .. } if base.value == net))
    };
    let networks = analysis.networks().iter();
    let is_of = |network: &&Network| network.name == net || is_instance(&network.name);
    for layer in networks.filter(is_of).flat_map(|network| &network.layers) {
        if offers.items.len() >= PATHS {
            return;
        }
        below(begin, &layer.path, offers);
    }
}

/// What may follow the beginning of a path in the path of a layer.
fn below(begin: &str, path: &Path, offers: &mut Offers) {
    let Some(depth) = depth(begin, &path.0) else { return };
    let mut text = String::new();
    for (number, segment) in path.0[depth..].iter().enumerate() {
        match segment {
            Segment::Name(name) if number == 0 => text.push_str(name),
            Segment::Name(name) => text.push_str(&format!(".{name}")),
            // Behind a dot there is a name.
            Segment::Index(_) if number == 0 && !begin.is_empty() => return,
            Segment::Index(_) => text.push_str("[*]"),
        }
        offers.add(text.as_str(), CompletionItemKind::REFERENCE, "path");
    }
}

/// How many segments of a path its beginning stands for, if it does.
fn depth(begin: &str, path: &[Segment]) -> Option<usize> {
    let mut at = 0;
    let pieces = begin.split('.').filter(|piece| !piece.is_empty());
    let mut deep = false;
    for piece in pieces {
        let mut parts = piece.split('[');
        let name = parts.next().unwrap_or_default();
        let fits = |segment: &Segment| matches!(segment, Segment::Name(found) if wildcard(name, found));
        if name == "**" {
            deep = true;
            continue;
        }
        at = match deep {
            true => at + path.get(at..)?.iter().position(fits)?,
            false => at,
        };
        deep = false;
        path.get(at).filter(|segment| fits(segment))?;
        at += 1;
        for _ in parts {
            path.get(at).filter(|segment| matches!(segment, Segment::Index(_)))?;
            at += 1;
        }
    }
    // `**.` may skip any number of segments; the last of them is the likeliest.
    Some(if deep { path.len().checked_sub(1)? } else { at })
}

/// The files that an import may name.
pub(super) fn files(begin: &str, document: &Document, offers: &mut Offers) {
    for (name, _) in library() {
        offers.add(*name, CompletionItemKind::FILE, "the library");
    }
    let path = uri::path(&document.uri);
    let Some(folder) = path.as_deref().and_then(std::path::Path::parent) else {
        return;
    };
    let inner = begin.rsplit_once('/').map_or("", |(folder, _)| folder);
    let Ok(entries) = std::fs::read_dir(folder.join(inner)) else {
        return;
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_folder = entry.file_type().ok()?.is_dir();
            let is_other = path.as_deref().is_none_or(|own| own != entry.path());
            let name = format!("{inner}{}{name}", if inner.is_empty() { "" } else { "/" });
            match is_folder {
                true => (!name.contains("/.") && !name.starts_with('.')).then(|| name + "/"),
                false => (name.ends_with(".ksn") && is_other).then_some(name),
            }
        })
        .collect();
    names.sort();
    names
        .into_iter()
        .for_each(|name| offers.add(name, CompletionItemKind::FILE, ""));
}
