//! KSDSL for [tree-sitter](https://tree-sitter.github.io): a parser for editors, which reads incomplete texts and keeps up
//! with every keystroke. The compiler has its own, `ksdsl-grammar`.

use tree_sitter_language::LanguageFn;

unsafe extern "C" {
    fn tree_sitter_ksn() -> *const ();
}

/// The language.
// SAFETY: the function is the one that the generated parser defines, of this type.
pub const LANGUAGE: LanguageFn = unsafe { LanguageFn::from_raw(tree_sitter_ksn) };

/// The queries that colour a text.
pub const HIGHLIGHTS: &str = include_str!("../queries/highlights.scm");
