//! Inlay hints: the shapes behind calls that change them, and of stages.

use super::analysis::Analysis;
use super::symbols::Kind;
use crate::ir::Shape;
use crate::source::Span;
use lsp_types::{InlayHint, InlayHintKind, InlayHintLabel};
use std::ops::Range;

/// Shapes that a hint lists before it ends with `…`.
const LISTED: usize = 3;

/// The hints in some bytes of the text.
pub(super) fn hints(analysis: &Analysis, bytes: &Range<usize>) -> Vec<InlayHint> {
    let symbols = analysis.symbols();
    let mut hints = Vec::new();
    let is_near =
        |span: Span| analysis.is_own(span) && bytes.start <= span.range().end && span.range().start <= bytes.end;
    let calls = &symbols.calls;
    let first = calls.partition_point(|call| (call.end as usize) < bytes.start);
    for call in calls[first..]
        .iter()
        .take_while(|call| call.span.range().start <= bytes.end)
    {
        if !is_near(call.span) {
            continue;
        }
        let layers = analysis.layers_of(call.span).iter().map(|place| analysis.layer(*place));
        let of_layers = layers
            .filter(|layer| !layer.op.is_invalid())
            .map(|layer| (layer.input, layer.output));
        let mut shapes: Vec<(Shape, Shape)> = of_layers.collect();
        if shapes.is_empty() {
            let scopes = analysis.scopes_of(call.span).into_iter();
            shapes = scopes.map(|(_, scope)| (scope.input, scope.output)).collect();
        }
        if shapes.iter().any(|(input, output)| input != output) {
            hints.extend(hint(analysis, call.span, shapes.into_iter().map(|(_, output)| output)));
        }
    }
    let stages = symbols
        .occurrences
        .iter()
        .filter(|found| found.kind == Kind::Stage && found.of == found.span);
    for stage in stages.filter(|stage| is_near(stage.span)) {
        let scopes = analysis.scopes_of(stage.span).into_iter();
        hints.extend(hint(analysis, stage.span, scopes.map(|(_, scope)| scope.output)));
    }
    hints.sort_by_key(|hint| hint.position);
    hints
}

/// A hint behind a place.
fn hint(analysis: &Analysis, span: Span, shapes: impl Iterator<Item = Shape>) -> Option<InlayHint> {
    let mut texts: Vec<String> = Vec::new();
    for shape in shapes.map(|shape| shape.to_string()) {
        if !texts.contains(&shape) {
            texts.push(shape);
        }
        if texts.len() > LISTED {
            texts[LISTED] = "…".to_owned();
            break;
        }
    }
    (!texts.is_empty()).then(|| InlayHint {
        position: analysis.own_range(span).end,
        label: InlayHintLabel::String(format!("→ {}", texts.join(" | "))),
        kind: Some(InlayHintKind::TYPE),
        text_edits: None,
        tooltip: None,
        padding_left: Some(true),
        padding_right: None,
        data: None,
    })
}
