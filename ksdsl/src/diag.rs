//! Diagnostics as data: what is wrong, where, and how to mend it.

use crate::limits;
use crate::source::Span;
use std::collections::HashSet;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be generated.
    Error,
    /// Something is probably not meant.
    Warning,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// What kind of problem a diagnostic reports; `docs/book/src/diagnostics.md` explains each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// What the code stands for, in a line.
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
    /// A name that is not defined here
    UnknownName = 10,
    /// A name that is defined twice
    DuplicateName = 11,
    /// A name that generated code cannot use
    ReservedName = 12,
    /// A layer or block that does not exist
    UnknownCall = 13,
    /// A block or network that contains itself
    Recursion = 14,
    /// A network that does not exist
    UnknownNet = 15,
    /// A statement in a place where it has no meaning
    Misplaced = 16,
    /// An argument the callee does not have
    UnknownArgument = 20,
    /// An argument that must be given is missing
    MissingArgument = 21,
    /// More arguments than parameters, or one given twice
    SurplusArgument = 22,
    /// A value of the wrong type
    WrongType = 23,
    /// A value outside what is allowed
    OutOfRange = 24,
    /// A value that probably means something else
    Suspicious = 25,
    /// A division that does not come out
    InexactDivision = 30,
    /// A division by zero
    DivisionByZero = 31,
    /// Arithmetic that leaves the range of numbers
    Overflow = 32,
    /// The network has no input, or more than one
    Input = 40,
    /// A spatial size that reaches zero
    SizeReachesZero = 41,
    /// Shapes that cannot be added or multiplied
    ShapesDiffer = 42,
    /// Shapes that cannot be concatenated
    CannotConcatenate = 43,
    /// A layer that does not take such an input
    WrongInput = 44,
    /// Channels that the number of groups does not divide
    GroupsDoNotDivide = 45,
    /// A projection that cannot be made
    CannotProject = 46,
    /// A network or a branch without layers
    Empty = 47,
    /// An algorithm that cannot compute the layer
    AlgorithmDoesNotApply = 48,
    /// Sharing between layers that are not isomorphic
    NotIsomorphic = 50,
    /// A layer claimed by two sharing groups
    ClaimedTwice = 51,
    /// A selector that matches nothing
    MatchesNothing = 52,
    /// A sharing clause without effect
    SingleMember = 53,
    /// An index out of range
    IndexOutOfRange = 54,
    /// A layer that has nothing of the kind to share
    NothingToShare = 55,
    /// More groups than visits
    TooManyGroups = 56,
    /// A list of kernels or a place that does not fit the visits
    DoesNotFitVisits = 57,
    /// The network is larger than can be compiled
    NetworkTooLarge = 60,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KS{:04}", *self as u16)
    }
}

/// A place and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say; may be empty.
    pub text: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The kind of problem.
    pub code: Code,
    /// What is wrong, in a sentence without final period.
    pub message: String,
    /// The smallest place that shows it.
    pub primary: Label,
    /// The other places that have a part in it.
    pub secondary: Vec<Label>,
    /// How to mend it.
    pub help: Option<String>,
    /// The same as a change of the text, where it is certain enough for an editor to make.
    pub fix: Option<Fix>,
}

/// A change of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced; where it is empty, the text is inserted.
    pub span: Span,
    /// What stands there instead.
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

    /// Says how to mend it.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says how to mend it by a text in the place of another.
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

    /// Says how to mend it, if there is something to say.
    pub fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }
}

/// What was found so far; one problem at one place is reported once, however often a repetition
/// runs into it.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    seen: HashSet<(Code, Span)>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Adds a problem unless the same was reported at the same place.
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

    /// How many errors there are, the unlisted included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The problems in the order of the text.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| (d.primary.span, d.severity, d.code));
        self.list
    }
}

/// How many names a misspelt one is compared with at most.
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
