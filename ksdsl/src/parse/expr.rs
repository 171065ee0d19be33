//! Expressions, by precedence climbing over a flat list of operands and operators.

use super::{Node, Rule, TreeBuilder, content};
use crate::ast::{BinaryOp, Expr, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::limits;
use crate::source::Spanned;

impl TreeBuilder<'_, '_> {
    pub(super) fn expr(&mut self, pair: Node<'_>) -> Expr {
        let span = self.span(&pair);
        let mut operands = Vec::new();
        let mut operators: Vec<Spanned<BinaryOp>> = Vec::new();
        let parts: Vec<_> = content(pair).collect();
        // A long chain becomes a deep tree; the limit keeps every later recursion over it bounded.
        if operators_within(&parts) > limits::OPERATORS {
            let text = format!("an expression may have at most {} operators", limits::OPERATORS);
            self.diagnostics
                .push(Diagnostic::error(Code::NumberTooLarge, span, text).help("name parts of it with `let`"));
            return Expr {
                kind: ExprKind::Invalid,
                span,
            };
        }
        for part in parts {
            match part.as_rule() {
                Rule::operator => {
                    let operator = Spanned::new(binary(&part), self.span(&part));
                    while operators
                        .last()
                        .is_some_and(|top| top.value.precedence() >= operator.value.precedence())
                    {
                        reduce(&mut operands, &mut operators);
                    }
                    operators.push(operator);
                }
                _ => operands.push(self.unary(part)),
            }
        }
        while !operators.is_empty() {
            reduce(&mut operands, &mut operators);
        }
        operands.pop().unwrap_or(Expr {
            kind: ExprKind::Int(1),
            span,
        })
    }

    fn unary(&mut self, pair: Node<'_>) -> Expr {
        let span = self.span(&pair);
        let mut sign = None;
        let mut value = Expr {
            kind: ExprKind::Int(1),
            span,
        };
        for part in content(pair) {
            match part.as_rule() {
                Rule::sign => sign = Some(part.as_str() == "-"),
                Rule::item_of => value = self.item_of(value, part),
                _ => value = self.primary(part),
            }
        }
        let kind = match sign {
            None => return Expr { kind: value.kind, span },
            Some(true) => ExprKind::Negate(Box::new(value)),
            Some(false) => ExprKind::Not(Box::new(value)),
        };
        Expr { kind, span }
    }

    fn item_of(&mut self, list: Expr, pair: Node<'_>) -> Expr {
        let span = list.span.to(self.span(&pair));
        match content(pair).next() {
            Some(index) => {
                let index = self.expr(index);
                let kind = ExprKind::Index(Box::new(list), Box::new(index));
                Expr { kind, span }
            }
            None => list,
        }
    }

    fn primary(&mut self, pair: Node<'_>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::int => return self.int(&pair),
            Rule::float => match pair.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() => ExprKind::Float(value),
                _ => {
                    self.too_large(&pair, "floating-point numbers go up to about 1.8e308");
                    ExprKind::Invalid
                }
            },
            Rule::true_ => ExprKind::Bool(true),
            Rule::false_ => ExprKind::Bool(false),
            Rule::function => {
                let mut inner = content(pair);
                match inner.next() {
                    Some(name) => {
                        let args = inner.next().map(|args| self.args(args)).unwrap_or_default();
                        ExprKind::Function(self.name(&name), args)
                    }
                    None => ExprKind::Int(1),
                }
            }
            Rule::list => ExprKind::List(content(pair).map(|item| self.expr(item)).collect()),
            Rule::name => ExprKind::Name(pair.as_str().to_owned()),
            _ => return self.expr(pair),
        };
        Expr { kind, span }
    }

    pub(super) fn int(&mut self, pair: &Node<'_>) -> Expr {
        let kind = match pair.as_str().replace('_', "").parse() {
            Ok(value) => ExprKind::Int(value),
            Err(_) => {
                self.too_large(pair, "integers go up to 9223372036854775807");
                ExprKind::Invalid
            }
        };
        Expr {
            kind,
            span: self.span(pair),
        }
    }

    fn too_large(&mut self, pair: &Node<'_>, help: &str) {
        let span = self.span(pair);
        self.diagnostics
            .push(Diagnostic::error(Code::NumberTooLarge, span, "this number is too large").help(help));
    }
}

/// Operators of an expression, those of expressions inside it included.
fn operators_within(parts: &[Node<'_>]) -> usize {
    let inner = parts.iter().flat_map(|part| part.clone().into_inner().flatten());
    let counts = |rule| matches!(rule, Rule::operator | Rule::item_of);
    let nested = inner.filter(|part| counts(part.as_rule())).count();
    parts.len() / 2 + nested
}

/// Replaces the two topmost operands by the topmost operator applied to them.
fn reduce(operands: &mut Vec<Expr>, operators: &mut Vec<Spanned<BinaryOp>>) {
    let (Some(operator), Some(right), Some(left)) = (operators.pop(), operands.pop(), operands.pop()) else {
        return;
    };
    let span = left.span.to(right.span);
    operands.push(Expr {
        kind: ExprKind::Binary(Box::new(left), operator, Box::new(right)),
        span,
    });
}

fn binary(pair: &Node<'_>) -> BinaryOp {
    match pair.as_str() {
        "or" => BinaryOp::Or,
        "and" => BinaryOp::And,
        "==" => BinaryOp::Eq,
        "!=" => BinaryOp::Ne,
        "<=" => BinaryOp::Le,
        ">=" => BinaryOp::Ge,
        "<" => BinaryOp::Lt,
        ">" => BinaryOp::Gt,
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        _ => BinaryOp::Rem,
    }
}
