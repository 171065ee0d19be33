//! The classes and functions of a file.

use super::parse::{Expr, Statement, Token, Tokens};
use std::collections::BTreeMap;

/// A parameter of a function, with its default.
pub(super) struct Formal {
    pub(super) name: String,
    pub(super) default: Option<Expr>,
}

/// A function or method.
pub(super) struct Function {
    pub(super) formals: Vec<Formal>,
    pub(super) body: Vec<Statement>,
}

/// The classes of a file by name, each with its methods by name.
pub(super) type Classes = BTreeMap<String, BTreeMap<String, Function>>;

pub(super) fn classes(statements: &[Statement]) -> Classes {
    let mut classes = Classes::new();
    for statement in statements {
        let [Token::Name(word), Token::Name(name), ..] = statement.head.as_slice() else {
            continue;
        };
        if word != "class" {
            continue;
        }
        let methods = statement.body.iter().filter_map(function).collect();
        assert!(classes.insert(name.clone(), methods).is_none(), "two classes `{name}`");
    }
    classes
}

pub(super) fn function(statement: &Statement) -> Option<(String, Function)> {
    let [Token::Name(word), Token::Name(name), Token::Sign(open), rest @ ..] = statement.head.as_slice() else {
        return None;
    };
    if (word.as_str(), open.as_str()) != ("def", "(") {
        return None;
    }
    let mut tokens = Tokens { tokens: rest };
    let mut formals = Vec::new();
    while !tokens.take(")") {
        let _ = tokens.take("*") || tokens.take("**");
        let name = tokens.name();
        if tokens.take(":") {
            tokens.expr();
        }
        let default = tokens.take("=").then(|| tokens.expr());
        formals.push(Formal { name, default });
        tokens.take(",");
    }
    Some((
        name.clone(),
        Function {
            formals,
            body: statement.body.clone(),
        },
    ))
}
