//! Diagnostics as data: what is wrong, where, and how to fix it.

use crate::limits;
use crate::source::Span;
use std::collections::HashSet;

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Prevents code generation.
    Error,
    /// Probably unintended.
    Warning,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// What kind of problem a diagnostic reports; `src/diagnostics.md`, a page of the book, explains each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// A one-line description of the code.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The text does not follow the grammar
    Syntax = 1,
    /// The source is larger than can be compiled
    SourceTooLarge = 2,
    /// Brackets, or blocks inside blocks, are nested too deeply
    NestingTooDeep = 3,
    /// A number or an expression is too large to be computed
    NumberTooLarge = 4,
    /// An undefined name
    UnknownName = 10,
    /// A duplicate definition
    DuplicateName = 11,
    /// A name that generated code cannot use
    ReservedName = 12,
    /// An unknown layer or block
    UnknownCall = 13,
    /// A block or network that contains itself
    Recursion = 14,
    /// An unknown network
    UnknownNet = 15,
    /// A statement that is not allowed here
    Misplaced = 16,
    /// A file that cannot be imported
    Import = 17,
    /// An unknown argument
    UnknownArgument = 20,
    /// A missing argument
    MissingArgument = 21,
    /// Too many arguments, or a duplicate argument
    SurplusArgument = 22,
    /// A value of the wrong type
    WrongType = 23,
    /// A value out of range
    OutOfRange = 24,
    /// A value that is probably unintended
    Suspicious = 25,
    /// A value that nothing uses
    Unused = 26,
    /// A division whose result is not an integer
    InexactDivision = 30,
    /// A division by zero
    DivisionByZero = 31,
    /// Arithmetic overflow
    Overflow = 32,
    /// The network has no input, or several of which some have no name
    Input = 40,
    /// A spatial size that reaches zero
    SizeReachesZero = 41,
    /// Shapes that cannot be added or multiplied
    ShapesDiffer = 42,
    /// Shapes that cannot be concatenated
    CannotConcatenate = 43,
    /// An input of the wrong shape for a layer
    WrongInput = 44,
    /// Channels that are not divisible by the number of groups
    GroupsDoNotDivide = 45,
    /// An impossible projection
    CannotProject = 46,
    /// A network or a branch without layers
    Empty = 47,
    /// Sharing between layers that are not isomorphic
    NotIsomorphic = 50,
    /// A layer in two sharing groups
    ClaimedTwice = 51,
    /// A selector that matches no layer
    MatchesNothing = 52,
    /// A `share` clause without effect
    SingleMember = 53,
    /// An index out of range
    IndexOutOfRange = 54,
    /// A layer without the part to share
    NothingToShare = 55,
    /// More groups than visits
    TooManyGroups = 56,
    /// A list of kernels or a position that does not match the visits
    DoesNotFitVisits = 57,
    /// The network is larger than can be compiled
    NetworkTooLarge = 60,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KS{:04}", *self as u16)
    }
}

/// A location with a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The label's text; may be empty.
    pub text: String,
}

/// A diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The kind of problem.
    pub code: Code,
    /// The message, without a final period.
    pub message: String,
    /// The smallest place that shows it.
    pub primary: Label,
    /// The other places that have a part in it.
    pub secondary: Vec<Label>,
    /// How to fix it.
    pub help: Option<String>,
    /// The same as a change of the text, where it is certain enough for an editor to make.
    pub fix: Option<Fix>,
}

/// A change of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced; where it is empty, the text is inserted.
    pub span: Span,
    /// The replacement text.
    pub text: String,
}

#[doc(hidden)]
impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            primary: Label {
                span,
                text: String::new(),
            },
            secondary: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// A warning at `span`.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// The same in a file that begins at this byte of the source.
    pub fn moved(mut self, by: usize) -> Self {
        let moved = |span: Span| Span::new(span.start as usize + by, span.end as usize + by);
        for label in self.secondary.iter_mut().chain([&mut self.primary]) {
            label.span = moved(label.span);
        }
        if let Some(fix) = &mut self.fix {
            fix.span = moved(fix.span);
        }
        self
    }

    /// Says something about the primary place.
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Adds another place.
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Says how to fix it.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says how to fix it by a text in the place of another.
    pub fn write(self, span: Span, text: impl Into<String>) -> Self {
        let text = text.into();
        self.help(format!("write `{text}`")).fix(span, text)
    }

    /// Notes the change of the text that the help speaks of.
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        self.fix = Some(Fix {
            span,
            text: text.into(),
        });
        self
    }

    /// Says how to fix it, if there is something to say.
    pub fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }
}

/// What was found so far; one problem at one place is reported once, however often a repetition
/// runs into it.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    seen: HashSet<(Code, Span)>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Adds a problem unless the same was reported at the same position.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.seen.insert((diagnostic.code, diagnostic.primary.span)) {
            return;
        }
        // Counted apart, so that warnings never keep an error off the list.
        let found = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *found += 1;
        if *found <= limits::DIAGNOSTICS {
            self.list.push(diagnostic);
        }
    }

    /// Whether no more errors will be listed, so that none need be looked into.
    pub fn is_full(&self) -> bool {
        self.errors >= limits::DIAGNOSTICS
    }

    /// Whether something of this kind was found.
    pub fn has(&self, code: Code) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.code == code)
    }

    /// Whether nothing can be generated.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of errors, including unlisted ones.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The problems in the order of the text.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| (d.primary.span, d.severity, d.code));
        self.list
    }
}

/// The maximum number of names that a misspelt one is compared with.
const CANDIDATES: usize = 2_000;

/// The name closest to `word`, if one is close enough to be meant, whatever letters are capital; of a very long
/// list, the first names are looked at.
#[doc(hidden)]
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.len() {
        0..=2 => 1,
        3..=5 => 2,
        6..=64 => 3,
        _ => return None,
    };
    let word = word.to_lowercase();
    names
        .into_iter()
        .take(CANDIDATES)
        .filter(|name| name.len().abs_diff(word.len()) <= limit)
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}
