//! Parts of the tree in one line, as long as no comment needs more.

use super::tokens::{Comment, Token};
use super::tree::{Body, List, Piece, Unit};

/// What separates a statement from the one before in the same line.
pub(super) fn separator(before: &Unit) -> &'static str {
    if before.ends_with_body() { " " } else { "; " }
}

/// Whether a space belongs between two tokens.
pub(super) fn is_apart(before: &Token, token: &Token) -> bool {
    let opens = |token: &Token| matches!(token.text.as_str(), "(" | "[" | "." | "..");
    let closes = matches!(token.text.as_str(), ")" | "]" | "," | ":" | ";" | "." | "..");
    !opens(before) && !before.mark.unary && !closes && !token.mark.tight
}

/// A token behind another in one line, with its comments; `None` if these need more lines.
fn flat_token(before: Option<&Token>, token: &Token) -> Option<String> {
    let mut text = String::new();
    add_token(&mut text, before, token).then_some(text)
}

/// Adds a token with its comments, up to the first comment that does not stay in the line; returns whether all do.
fn add_token(text: &mut String, before: Option<&Token>, token: &Token) -> bool {
    let mut comments = String::new();
    let all = add_inline(&mut comments, &token.before);
    *text += if before.is_some() {
        &comments
    } else {
        comments.trim_start()
    };
    if !all {
        return false;
    }
    let apart = !comments.is_empty() || before.is_some_and(|before| is_apart(before, token));
    *text += if apart { " " } else { "" };
    *text += &token.text;
    add_inline(text, &token.after)
}

/// A statement or an element in one line, without the comments behind it and those in lines above it.
pub(super) fn flat_unit(unit: &Unit) -> Option<String> {
    let first = unit.first();
    let above = first
        .before
        .iter()
        .take_while(|comment| comment.own_line || !comment.is_inline());
    let above = above.count();
    if above == 0 {
        return flat_pieces(None, &unit.pieces);
    }
    let Piece::Token(_) = &unit.pieces[0] else { return None };
    let bare = Token {
        before: first.before[above..].to_vec(),
        ..first.clone()
    };
    let rest = flat_pieces(Some(&bare), &unit.pieces[1..])?;
    Some(flat_token(None, &bare)? + &rest)
}

pub(super) fn flat_pieces(before: Option<&Token>, pieces: &[Piece]) -> Option<String> {
    let (mut text, mut before) = (String::new(), before);
    for piece in pieces {
        match piece {
            Piece::Token(token) => {
                text += &flat_token(before, token)?;
                before = Some(token);
            }
            Piece::List(list) => {
                text += if before.is_some_and(|before| is_apart(before, &list.open)) {
                    " "
                } else {
                    ""
                };
                text += &flat_list(list)?;
                before = Some(&list.close);
            }
            Piece::Body(body) => {
                text += if before.is_some() { " " } else { "" };
                text += &flat_body(body)?;
                before = Some(&body.close);
            }
        }
    }
    Some(text)
}

pub(super) fn flat_list(list: &List) -> Option<String> {
    let mut text = flat_token(None, &list.open)?;
    for (number, element) in list.elements.iter().enumerate() {
        text += if number > 0 { ", " } else { "" };
        text += &flat_pieces(None, &element.pieces)?;
        text += &flat_comments(&element.after)?;
    }
    text += &flat_comments(&list.close.before)?;
    text += &list.close.text;
    text += &flat_comments(&list.close.after)?;
    Some(text)
}

fn flat_body(body: &Body) -> Option<String> {
    Some(flat_braces(body)? + &flat_comments(&body.close.after)?)
}

/// A body without the comments behind it.
pub(super) fn flat_braces(body: &Body) -> Option<String> {
    if body.has_lines() {
        return None;
    }
    let mut text = flat_token(None, &body.open)?;
    for (number, statement) in body.statements.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| separator(&body.statements[before]));
        text += before.unwrap_or(" ");
        text += &flat_pieces(None, &statement.pieces)?;
        text += &flat_comments(&statement.after)?;
    }
    let comments = flat_comments(&body.close.before)?;
    let is_empty = body.statements.is_empty() && comments.is_empty() && body.open.after.is_empty();
    text += &comments;
    text += if is_empty { "}" } else { " }" };
    Some(text)
}

fn flat_comments(comments: &[Comment]) -> Option<String> {
    let mut text = String::new();
    add_inline(&mut text, comments).then_some(text)
}

/// The comments behind a token and what follows them, as [`segment`] has it.
pub(super) fn segment_with_comments(token: &Token, rest: &[Piece]) -> String {
    let mut text = String::new();
    if add_inline(&mut text, &token.after) {
        text += &segment(token, rest);
    }
    text
}

/// What follows a token and the comments behind it, up to the next place at which the line may break or a comment ends
/// it. The comments before that place are written before the break.
pub(super) fn segment(token: &Token, rest: &[Piece]) -> String {
    let (mut text, mut before) = (String::new(), token);
    for piece in rest {
        match piece {
            Piece::Token(next) if next.mark.may_break || before.is(",") => {
                add_inline(&mut text, &next.before);
                break;
            }
            Piece::Token(next) => {
                if !add_token(&mut text, Some(before), next) {
                    break;
                }
                before = next;
            }
            Piece::List(list) => {
                text += if is_apart(before, &list.open) { " " } else { "" };
                let Some(flat) = flat_list(list) else { break };
                text += &flat;
                before = &list.close;
            }
            Piece::Body(_) => {
                text += " {";
                break;
            }
        }
    }
    text
}

/// Adds comments up to the first that does not stay in the line; returns whether all do.
fn add_inline(text: &mut String, comments: &[Comment]) -> bool {
    for comment in comments {
        if !comment.is_inline() || comment.own_line {
            return false;
        }
        text.push(' ');
        text.push_str(&comment.text);
    }
    true
}
