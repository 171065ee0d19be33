//! Completion: statements, layers, blocks, arguments, names, and the paths of a clause.

mod paths;

use self::paths::{files, paths};
use super::context::{Context, Cursor, cursor};
use super::hover::signature;
use super::workspace::{Document, Workspace};
use crate::ast::{Block, Body, File, NetKind, Param, Statement, StepKind};
use crate::mappings::{self, ClauseDef, MAPPINGS, PLACES, PRIVATE_PARTS};
use crate::ops::{self, LayerDef, ParamDef, ParamKind};
use crate::source::{Name, Span};
use lsp_types::{CompletionItem, CompletionItemKind, CompletionTextEdit, TextEdit};
use std::collections::HashSet;

/// Words that begin a statement, but for those of steps, and those of steps that are no layers.
const STATEMENTS: &[&str] = &[
    "input", "output", "let", "keep", "set", "exit", "from", "block", "stage", "share", "residual", "repeat", "each",
    "when", "seq",
];
/// Words that begin the part of a clause.
const PARTS: &[&str] = &["in", "except", "every", "into", "at", "with", "as", "when"];

/// Collects what is offered, each word once.
struct Offers {
    items: Vec<CompletionItem>,
    seen: HashSet<String>,
}

impl Offers {
    fn add(&mut self, label: impl Into<String>, kind: CompletionItemKind, detail: impl Into<String>) {
        let (label, detail) = (label.into(), detail.into());
        if self.seen.insert(label.clone()) {
            self.items.push(CompletionItem {
                label,
                kind: Some(kind),
                detail: (!detail.is_empty()).then_some(detail),
                ..CompletionItem::default()
            });
        }
    }

    fn keywords(&mut self, words: &[&str]) {
        words
            .iter()
            .for_each(|word| self.add(*word, CompletionItemKind::KEYWORD, ""));
    }
}

/// What may be written at a byte.
pub(super) fn completions(workspace: &Workspace, document: &Document, offset: usize) -> Vec<CompletionItem> {
    let at = cursor(&document.text, offset);
    if at.context == Context::Nothing {
        return Vec::new();
    }
    let mut offers = Offers {
        items: Vec::new(),
        seen: HashSet::new(),
    };
    offer(&at, workspace, document, offset, &mut offers);
    let range = document.lines.range(&document.text, at.start..offset);
    for (number, item) in offers.items.iter_mut().enumerate() {
        let text = item.insert_text.take().unwrap_or_else(|| item.label.clone());
        item.text_edit = Some(CompletionTextEdit::Edit(TextEdit::new(range, text)));
        // In the order of the language, not of the alphabet.
        item.sort_text = Some(format!("{number:05}"));
    }
    offers.items
}

fn offer(at: &Cursor, workspace: &Workspace, document: &Document, offset: usize, offers: &mut Offers) {
    match &at.context {
        Context::Nothing => {}
        Context::Import(begin) => files(begin, document, offers),
        Context::Item => offers.keywords(&["net", "block", "use"]),
        Context::Selection => {
            offers.keywords(&["isomorphic", "blocks", "kernel of", "bias of"]);
            paths("", at, workspace, document, offset, offers);
        }
        Context::Kind => {
            ops::kinds().for_each(|kind| offers.add(kind, CompletionItemKind::CLASS, "layers of this kind"));
            offers.keywords(PARTS);
        }
        Context::Path(begin) => {
            if begin.is_empty() {
                offers.keywords(&["each"]);
            }
            paths(begin, at, workspace, document, offset, offers);
        }
        Context::Mapping => defined(MAPPINGS, offers),
        Context::Place => defined(PLACES, offers),
        Context::Private => defined(PRIVATE_PARTS, offers),
        Context::With => offers.keywords(&["norms", "private", "transposed"]),
        Context::ClausePart => offers.keywords(PARTS),
        Context::Statement { .. } | Context::Argument { .. } | Context::Value { .. } | Context::Expression => {
            let analysis = workspace.analysis(document);
            in_body(&at.context, &analysis.file, offset, offers);
        }
    }
}

/// Statements, arguments and expressions.
fn in_body(context: &Context, file: &File, offset: usize, offers: &mut Offers) {
    match context {
        Context::Statement { after_clause } => {
            ops::layers().for_each(|layer| of_layer(layer, offers));
            blocks(file, offset, offers);
            offers.keywords(STATEMENTS);
            offers.keywords(&["path", "shortcut", "else"]);
            if *after_clause {
                offers.keywords(PARTS);
            }
        }
        Context::Argument { callee, given } => {
            for (name, detail) in parameters(callee, file, offset) {
                if !given.contains(&name) {
                    offers.add(format!("{name} = "), CompletionItemKind::FIELD, detail);
                }
            }
            names(file, offset, offers);
        }
        Context::Value { callee, param } => {
            let words = definition(callee).iter().find(|definition| definition.name == param);
            values(words.map(|definition| definition.kind), offers);
            names(file, offset, offers);
        }
        _ => {
            names(file, offset, offers);
            offers.keywords(&["true", "false", "not"]);
        }
    }
}

fn of_layer(layer: &LayerDef, offers: &mut Offers) {
    offers.add(
        layer.name,
        CompletionItemKind::FUNCTION,
        format!("{}: {}", signature(layer), layer.doc),
    );
}

/// The parameters of a layer, or of what a clause calls.
fn definition(callee: &str) -> &'static [ParamDef] {
    fn of<K>(defs: &'static [ClauseDef<K>], name: &str) -> Option<&'static [ParamDef]> {
        mappings::find(defs, name).map(|def| def.params)
    }
    let of_clause = || {
        of(MAPPINGS, callee)
            .or_else(|| of(PLACES, callee))
            .or_else(|| of(PRIVATE_PARTS, callee))
    };
    match (ops::find(callee), callee) {
        (Some(layer), _) => layer.params,
        (None, "residual") => ops::RESIDUAL,
        _ => of_clause().unwrap_or_default(),
    }
}

/// The names of parameters, with what they take.
fn parameters(callee: &str, file: &File, offset: usize) -> Vec<(String, String)> {
    let own = definition(callee).iter();
    let own = own.map(|param| (param.name.to_owned(), param.kind.wanted().to_owned()));
    let known = known_blocks(file, offset)
        .find(|block| block.name.value == callee)
        .map(|block| &block.params);
    let family = file
        .all_nets()
        .find(|net| net.name.value == callee)
        .and_then(|net| match &net.kind {
            NetKind::Family { params, .. } => Some(params),
            NetKind::Instance { .. } => None,
        });
    let given = known.or(family).into_iter().flatten();
    let given = given.map(|param| (param.name.value.clone(), required(param).to_owned()));
    own.chain(given).collect()
}

fn required(param: &Param) -> &'static str {
    if param.default.is_some() {
        "has a default"
    } else {
        "required"
    }
}

/// The words that a parameter takes.
fn values(kind: Option<ParamKind>, offers: &mut Offers) {
    match kind {
        Some(ParamKind::Word(words)) => offers.keywords(words),
        Some(ParamKind::Flag) => offers.keywords(&["true", "false"]),
        Some(ParamKind::Padding) => offers.keywords(&["same", "valid", "causal"]),
        Some(ParamKind::Init) => {
            let words = ops::language_words().filter(|word| ops::is_init(word));
            words.for_each(|word| offers.add(word, CompletionItemKind::VALUE, "an initialisation"));
        }
        _ => {}
    }
}

fn defined<K>(defs: &'static [ClauseDef<K>], offers: &mut Offers) {
    for def in defs {
        offers.add(def.name, CompletionItemKind::FUNCTION, def.doc);
    }
}

/// The blocks that can be called at a byte.
fn known_blocks(file: &File, offset: usize) -> impl Iterator<Item = &Block> {
    let around = file.nets.iter().filter(move |net| contains(net.span, offset));
    let inner = around.filter_map(|net| match &net.kind {
        NetKind::Family { body, .. } => Some(body),
        NetKind::Instance { .. } => None,
    });
    let inner = inner
        .flat_map(|body| &body.statements)
        .filter_map(|statement| match statement {
            Statement::Block(block) => Some(block),
            _ => None,
        });
    inner.chain(&file.blocks)
}

fn blocks(file: &File, offset: usize, offers: &mut Offers) {
    for block in known_blocks(file, offset) {
        let params: Vec<&str> = block.params.iter().map(|param| param.name.value.as_str()).collect();
        let detail = format!("block {}({})", block.name.value, params.join(", "));
        offers.add(block.name.value.as_str(), CompletionItemKind::MODULE, detail);
    }
}

/// Parameters, constants and values that are known at a byte.
fn names(file: &File, offset: usize, offers: &mut Offers) {
    let mut found: Vec<(&Name, &str)> = Vec::new();
    for net in file.nets.iter().filter(|net| contains(net.span, offset)) {
        if let NetKind::Family { params, body } = &net.kind {
            found.extend(params.iter().map(|param| (&param.name, "parameter of the network")));
            bound(body, offset, &mut found);
        }
    }
    for block in file.blocks.iter().filter(|block| contains(block.span, offset)) {
        found.extend(block.params.iter().map(|param| (&param.name, "parameter of the block")));
        bound(&block.body, offset, &mut found);
    }
    for (name, detail) in found.into_iter().rev() {
        offers.add(name.value.as_str(), CompletionItemKind::VARIABLE, detail);
    }
    for size in crate::value::SIZES {
        offers.add(size, CompletionItemKind::CONSTANT, "of the current value");
    }
}

/// The names that the statements of a body define before a byte, and bodies around it.
fn bound<'f>(body: &'f Body, offset: usize, found: &mut Vec<(&'f Name, &'f str)>) {
    if !contains(body.span, offset) {
        return;
    }
    let is_before = |name: &Name| (name.span.end as usize) < offset;
    for statement in &body.statements {
        match statement {
            Statement::Let(name, _) if is_before(name) => found.push((name, "constant")),
            Statement::Keep(name) | Statement::Exit(name) if is_before(name) => found.push((name, "value")),
            Statement::Input(input) => found.extend(input.name.as_ref().map(|name| (name, "input"))),
            Statement::Stage(_, body) => bound(body, offset, found),
            Statement::Block(block) if contains(block.span, offset) => {
                found.extend(block.params.iter().map(|param| (&param.name, "parameter of the block")));
                bound(&block.body, offset, found);
            }
            Statement::Step(step) => match &step.kind {
                StepKind::Call(call) => call.paths().iter().for_each(|path| bound(&path.body, offset, found)),
                StepKind::Residual { body, shortcut, .. } => {
                    std::iter::once(body)
                        .chain(shortcut)
                        .for_each(|body| bound(body, offset, found));
                }
                StepKind::Repeat { index, body, .. } => {
                    if contains(body.span, offset) {
                        found.extend(index.as_ref().map(|name| (name, "index")));
                    }
                    bound(body, offset, found);
                }
                StepKind::Each { body, .. } | StepKind::Sequence(body) => bound(body, offset, found),
                StepKind::When { then, otherwise, .. } => {
                    std::iter::once(then)
                        .chain(otherwise)
                        .for_each(|body| bound(body, offset, found));
                }
                StepKind::From(_) => {}
            },
            _ => {}
        }
    }
}

fn contains(span: Span, offset: usize) -> bool {
    (span.start as usize) < offset && offset <= span.end as usize
}
