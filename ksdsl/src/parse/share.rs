//! Sharing clauses and layer paths.

use super::habits::error;
use super::{Node, Rule, TreeBuilder, content};
use crate::ast::{Arg, MappingExpr, Segment, Select, Selector, Share, SharePart};
use crate::diag::{Code, Diagnostic, nearest};
use crate::foreign;
use crate::source::{Name, Span};

/// What a clause selects, before it is known where.
enum What {
    Paths(Vec<Selector>),
    Isomorphic(Option<Name>, Vec<Arg>),
    Blocks(Vec<Selector>),
}

/// Where it is looked for.
struct Scopes {
    paths: Vec<Selector>,
    /// Whether each has sets of its own.
    each: bool,
    span: Span,
}

/// The paths of what uses the kernel transposed, and where a clause says so.
#[derive(Default)]
struct Transposed {
    paths: Vec<Selector>,
    span: Option<Span>,
}

impl TreeBuilder<'_, '_> {
    pub(super) fn share(&mut self, pair: Node<'_>) -> Option<Share> {
        let span = self.span(&pair);
        self.check_parts(&pair);
        let (mut part, mut what, mut into, mut at) = (SharePart::All, None, None, None);
        let (mut scopes, mut norms, mut private) = (None, None, Vec::new());
        let (mut except, mut every, mut of_network) = (Vec::new(), None, false);
        let mut transposed = Transposed::default();
        let (mut name, mut when) = (None, None);
        for clause in content(pair) {
            let place = self.span(&clause);
            match clause.as_rule() {
                Rule::part_of if clause.as_str().starts_with("kernel") => part = SharePart::Kernel,
                Rule::part_of => part = SharePart::Bias,
                Rule::isomorphic => what = Some((self.isomorphic(clause), place)),
                Rule::selectors => what = Some((What::Paths(self.selectors(clause)), place)),
                Rule::blocks => what = Some((What::Blocks(self.paths_in(clause)), place)),
                Rule::in_scopes => {
                    scopes = Some(Scopes {
                        each: content(clause.clone()).any(|part| part.as_rule() == Rule::each),
                        paths: self.paths_in(clause),
                        span: place,
                    });
                }
                Rule::except => except = self.paths_in(clause),
                Rule::every => every = content(clause).next().map(|expr| self.expr(expr)),
                Rule::with_norms => norms = Some(place),
                Rule::into => into = self.into(clause),
                Rule::at => {
                    let mut parts = content(clause);
                    at = parts.next().and_then(|place| self.call(place));
                    of_network = parts.next().is_some();
                }
                Rule::with_private => private = content(clause).filter_map(|part| self.call(part)).collect(),
                Rule::with_transposed => {
                    transposed = Transposed {
                        paths: self.paths_in(clause),
                        span: Some(place),
                    };
                }
                Rule::share_name => name = content(clause).next().map(|ident| self.name(&ident)),
                _ => when = content(clause).next().map(|expr| self.expr(expr)),
            }
        }
        let (what, place) = what?;
        if self.runs_into_next_line(place, span) {
            return None;
        }
        Some(Share {
            part,
            select: {
                self.check_transposed(&what, scopes.as_ref(), &transposed);
                self.selection(what, place, scopes, norms)?
            },
            into,
            except,
            every,
            at,
            of_network,
            private,
            transposed: transposed.paths,
            name,
            when,
            span,
        })
    }

    /// Whether a clause ends with the first word of another line, which is probably a statement: reported.
    fn runs_into_next_line(&mut self, what: Span, clause: Span) -> bool {
        let text = &self.source.text()[what.range()];
        let lines = text.split_once('\n').filter(|_| what.end == clause.end);
        let Some((head, rest)) = lines.filter(|(head, _)| matches!(head.trim_end(), "isomorphic" | "blocks")) else {
            return false;
        };
        let word = rest.trim_start();
        let start = what.range().end - word.len();
        self.diagnostics.push(
            error(
                Span::new(start, what.range().end),
                format!("`{word}` is parsed as part of the clause above"),
            )
            .help(format!(
                "write it on the line of `{}`, or end that line with `;`",
                head.trim_end()
            )),
        );
        true
    }

    /// Each part of a clause is given once.
    fn check_parts(&mut self, clause: &Node<'_>) {
        let mut given: Vec<(Rule, Span)> = Vec::new();
        for part in content(clause.clone()) {
            let (rule, place) = (part.as_rule(), self.span(&part));
            let word = part.as_str().split_ascii_whitespace().next().unwrap_or_default();
            match given.iter().find(|(other, _)| *other == rule) {
                Some((_, first)) => self.diagnostics.push(
                    Diagnostic::error(
                        Code::SurplusArgument,
                        place,
                        format!("`{word}` is given more than once"),
                    )
                    .and(*first, "first given here")
                    .help(match rule {
                        Rule::in_scopes => "separate the paths of one `in` by `,`",
                        Rule::except => "separate the paths of one `except` by `,`",
                        Rule::share_when => "join the conditions by `and`",
                        Rule::with_private => "separate the parts of one `with private` by `,`",
                        Rule::with_transposed => "separate the paths of one `with transposed` by `,`",
                        _ => "remove one of them",
                    }),
                ),
                None => given.push((rule, place)),
            }
        }
    }

    /// Transposed layers join those of a path or of a search in all scopes together.
    fn check_transposed(&mut self, what: &What, scopes: Option<&Scopes>, transposed: &Transposed) {
        let Some(at) = transposed.span else { return };
        let (other, help) = match (what, scopes) {
            (What::Blocks(_), _) => (
                "share blocks",
                "name the layers, such as `share encoder[*].linear with transposed decoder[*].linear`",
            ),
            (_, Some(Scopes { each: true, .. })) => ("in each", "write a clause for each scope"),
            _ => return,
        };
        let text = format!("`with transposed` cannot stand with `{other}`");
        self.diagnostics.push(error(at, text).help(help));
    }

    /// What is selected, with where it is looked for.
    fn selection(&mut self, what: What, place: Span, scopes: Option<Scopes>, norms: Option<Span>) -> Option<Select> {
        if let (Some(norms), What::Paths(_) | What::Isomorphic(..)) = (norms, &what) {
            self.diagnostics.push(
                error(norms, "`with norms` belongs to `share blocks`")
                    .help("share norms in a clause of their own, such as `share isomorphic batch_norm in s1`"),
            );
        }
        let norms = norms.is_some();
        match (what, scopes) {
            (What::Isomorphic(kind, args), scopes) => Some(Select::Isomorphic {
                kind,
                args,
                each: scopes.as_ref().is_some_and(|scopes| scopes.each),
                scopes: scopes.map(|scopes| scopes.paths).unwrap_or_default(),
            }),
            (What::Paths(selectors), None) => Some(Select::Paths(selectors)),
            (What::Paths(selectors), Some(scopes)) => {
                let diagnostic = self.paths_in_scopes(&selectors, &scopes.paths, place, scopes.span);
                self.diagnostics.push(diagnostic);
                None
            }
            (What::Blocks(paths), scopes) => {
                let each = scopes.as_ref().is_some_and(|scopes| scopes.each);
                let (selectors, inside) = self.blocks_in(paths, place, scopes)?;
                Some(Select::Blocks {
                    selectors,
                    inside,
                    each,
                    norms,
                })
            }
        }
    }

    /// Blocks are selected by paths or in scopes: which, and whether in scopes.
    fn blocks_in(
        &mut self,
        paths: Vec<Selector>,
        place: Span,
        scopes: Option<Scopes>,
    ) -> Option<(Vec<Selector>, bool)> {
        let problem = match (paths.is_empty(), scopes) {
            (false, None) => return Some((paths, false)),
            (true, Some(scopes)) => return Some((scopes.paths, true)),
            (true, None) => error(place, "this clause does not select any blocks")
                .help("write `share blocks in s1`, or `share blocks s1[*]`"),
            (false, Some(scopes)) => error(scopes.span, "blocks are selected by paths or in scopes, not both")
                .help("remove one of them: the whole path is `share blocks s1[*]`"),
        };
        self.diagnostics.push(problem);
        None
    }

    /// `share conv1 in s1`: scopes belong to `isomorphic` and `blocks`.
    fn paths_in_scopes(&self, selectors: &[Selector], scopes: &[Selector], place: Span, at: Span) -> Diagnostic {
        let source = |span: Span| &self.source.text()[span.range()];
        let (word, whole) = (source(place), place.to(at));
        let start = scopes.first().map_or(at, |scope| scope.span).start;
        let scope = source(Span { start, end: at.end });
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain && nearest(word, ["isomorphic", "blocks"]).is_some_and(|near| near != word) {
            let near = nearest(word, ["isomorphic", "blocks"]).unwrap_or_default();
            return error(place, format!("`{word}` is not a keyword"))
                .help(format!("did you mean `{near}`?"))
                .fix(place, near);
        }
        let text = match foreign::kind(word) {
            _ if matches!(word, "all" | "everything" | "layers" | "weights" | "kernels" | "*") => {
                format!("isomorphic in {scope}")
            }
            Some(kind) => format!("isomorphic {kind} in {scope}"),
            None if selectors.len() == 1 && scopes.len() == 1 => format!("{scope}.**.{word}"),
            None => String::new(),
        };
        let diagnostic = error(at, "`in` belongs to `share isomorphic` and `share blocks`");
        match text.is_empty() {
            true => diagnostic.help("write whole paths, such as `s1[*].conv1`"),
            false => diagnostic.help(format!("write `share {text}`")).fix(whole, text),
        }
    }

    fn isomorphic(&mut self, pair: Node<'_>) -> What {
        let mut parts = content(pair);
        let kind = parts.next().map(|ident| self.name(&ident));
        What::Isomorphic(kind, parts.next().map(|args| self.args(args)).unwrap_or_default())
    }

    /// The paths after a word, if there are any.
    fn paths_in(&mut self, pair: Node<'_>) -> Vec<Selector> {
        let selectors = content(pair).find(|part| part.as_rule() == Rule::selectors);
        selectors.map(|part| self.selectors(part)).unwrap_or_default()
    }

    fn into(&mut self, pair: Node<'_>) -> Option<MappingExpr> {
        let mapping = content(pair).next()?;
        Some(match mapping.as_rule() {
            Rule::visits => {
                let span = self.span(&mapping);
                let visits = content(mapping).map(|visit| {
                    let kernel = content(visit).next()?;
                    (kernel.as_rule() == Rule::expr).then(|| self.expr(kernel))
                });
                MappingExpr::List(visits.collect(), span)
            }
            Rule::groups => MappingExpr::Groups(self.expr(content(mapping).next()?)),
            _ => MappingExpr::Named(self.call(mapping)?),
        })
    }

    fn selectors(&mut self, pair: Node<'_>) -> Vec<Selector> {
        content(pair).map(|selector| self.selector(selector)).collect()
    }

    pub(super) fn selector(&mut self, pair: Node<'_>) -> Selector {
        let span = self.span(&pair);
        let segments = content(pair)
            .filter_map(|part| match part.as_rule() {
                Rule::segment => Some(Segment::Name(self.name(&part))),
                _ => self.index(part),
            })
            .collect();
        Selector { segments, span }
    }

    fn index(&mut self, pair: Node<'_>) -> Option<Segment> {
        let inner = content(pair).next()?;
        let span = self.span(&inner);
        Some(match inner.as_rule() {
            Rule::any_index => Segment::AnyIndex(span),
            Rule::range => {
                let (mut from, mut to) = (None, None);
                for end in content(inner) {
                    let is_from = end.as_rule() == Rule::range_from;
                    let expr = content(end).next().map(|expr| self.expr(expr));
                    *(if is_from { &mut from } else { &mut to }) = expr;
                }
                Segment::Range(from, to, span)
            }
            _ => Segment::Index(self.expr(inner)),
        })
    }
}
