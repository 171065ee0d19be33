//! Loops: their names, options and exits.

use super::{Checker, Place, calls, names};
use crate::ast::{Body, Statement, Step, UpTo};
use crate::diag::{Code, Diagnostic};
use crate::ops;
use crate::source::{Name, Span};
use names::Scope;

impl<'f> Checker<'f, '_> {
    /// A loop: it has a name, no index, and at most one exit, whose name the statements after it know too.
    pub(super) fn run_time_loop(
        &mut self,
        (step, up_to, index): (&'f Step, &'f UpTo, Option<&'f Name>),
        body: &'f Body,
        place: Place,
        scope: &mut Scope,
    ) {
        if step.label.is_none() {
            let text = "a loop needs a name, by which its count is given at run time";
            self.diagnostics.push(
                Diagnostic::error(Code::MissingArgument, up_to.span, text).help("write `name: repeat up to ...`"),
            );
        }
        let start = step.span.start as usize;
        let callee = Name {
            value: "repeat".into(),
            span: Span::new(start, start + "repeat".len()),
        };
        calls::check(&callee, &up_to.args, &calls::built_in(ops::LOOP), self.diagnostics);
        self.layer_args(up_to.args.iter(), ops::LOOP, scope);
        let mark = scope.len();
        if let Some(index) = index {
            let text = format!(
                "the index `{}` of a loop has no value when the network is compiled",
                index.value
            );
            self.diagnostics.push(
                Diagnostic::error(Code::SurplusArgument, index.span, text)
                    .label("all iterations of a loop are equal")
                    .help("remove `as`, or write a repetition with a fixed count: `repeat n as i`"),
            );
            scope.define("index", index, self.diagnostics);
        }
        let exits = self.exits(body);
        self.body(body, place, scope);
        scope.truncate(mark);
        for exit in exits {
            scope.define("value", exit, self.diagnostics);
        }
    }

    /// The exits of a loop; those after the first are reported.
    fn exits(&mut self, body: &'f Body) -> Vec<&'f Name> {
        let exits = body.statements.iter().filter_map(|statement| match statement {
            Statement::Exit(name) => Some(name),
            _ => None,
        });
        let exits: Vec<&Name> = exits.collect();
        self.exits.extend(exits.iter().map(|exit| exit.span));
        for pair in exits.windows(2) {
            let (first, other) = (exits[0], pair[1]);
            let text = "a loop has one exit";
            self.diagnostics.push(
                Diagnostic::error(Code::SurplusArgument, other.span, text)
                    .and(first.span, "the first is here")
                    .help("remove one of them"),
            );
        }
        exits
    }
}
