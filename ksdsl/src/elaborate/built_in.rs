//! Layers that are written in the language itself.

use super::{Elaborator, Level};
use crate::ast::Body;
use crate::diag::Diagnostics;
use crate::ir::{Node, Path, Shape};
use crate::ops::{Args, Constants, LayerDef, Resolve, layers};
use crate::parse::parse;
use crate::source::{Source, Span};
use crate::value::Env;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

/// The call of such a layer whose statements are carried out.
pub(super) struct BuiltIn {
    pub(super) args: Args,
    span: Span,
}

/// The statements of these layers, by name.
static BODIES: LazyLock<HashMap<&str, Body>> = LazyLock::new(|| {
    let body = |layer: &'static LayerDef| match layer.resolve {
        Resolve::Block(block) => {
            let text = format!("block {} {{ {} }}", layer.name, block.text);
            let file = parse(&Source::new(layer.name, text), &mut Diagnostics::default());
            file.blocks.into_iter().next().map(|block| (layer.name, block.body))
        }
        Resolve::One(_) | Resolve::Join { .. } => None,
    };
    layers().filter_map(body).collect()
});

impl Elaborator<'_, '_> {
    /// Carries out the statements of a layer under a path. All layers in it stand where it is called.
    pub(super) fn built_in(
        &mut self,
        (layer, constants): (&LayerDef, Constants),
        path: Path,
        args: Args,
        input: Shape,
        span: Span,
        nodes: &mut Vec<Node>,
    ) -> Option<Shape> {
        let body = BODIES.get(layer.name)?;
        let mut env = Env::inside(Rc::clone(&self.words));
        for (name, value) in constants {
            env.bind(name, Some(value));
        }
        let env = std::mem::replace(&mut self.env, env);
        let outer = self.built_in.replace(BuiltIn { args, span });
        self.levels.push(Level::new(path));
        let output = self.body(body, Some(input), nodes);
        self.levels.pop();
        self.built_in = outer;
        self.env = env;
        output
    }

    /// Where something stands: what is inside a layer stands where that is called.
    pub(super) fn place(&self, span: Span) -> Span {
        self.built_in.as_ref().map_or(span, |built_in| built_in.span)
    }
}

#[cfg(test)]
mod tests {
    use super::BODIES;
    use crate::check;
    use crate::diag::Diagnostics;
    use crate::ops::{Resolve, layers};
    use crate::parse::parse;
    use crate::source::Source;

    /// With their parameters and constants as parameters of blocks, they are blocks without errors.
    #[test]
    fn statements_of_layers_are_correct() {
        let mut count = 0;
        for layer in layers() {
            let Resolve::Block(block) = layer.resolve else { continue };
            let text = format!(
                "block b(channels, heads, key_heads, key_channels, causal, window, prefix, chunk, lengths, qk_norm, height, \
                 width, rows, columns, up, left, relative, reduced, bias, act, gate) {{ {} }}",
                block.text
            );
            let mut diagnostics = Diagnostics::default();
            let file = parse(&Source::new(layer.name, text), &mut diagnostics);
            check::check(&file, &mut diagnostics);
            assert!(
                !diagnostics.has_errors(),
                "{}: {:?}",
                layer.name,
                diagnostics.into_sorted()
            );
            assert!(!BODIES[layer.name].statements.is_empty());
            count += 1;
        }
        assert_eq!(count, BODIES.len());
    }
}
