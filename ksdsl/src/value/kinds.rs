//! What a value is.

use crate::ast::{Arg, Dims, Expr, ExprKind};
use crate::ir::ValueId;
use crate::limits;
use crate::source::{Name, Span};
use std::fmt;
use std::sync::Arc;

/// A value of the language.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A word of the language, or the name of a layer or a block.
    Word(Arc<str>),
    /// A list of values.
    List(List),
    /// A layer, a block or an initialisation with arguments: `squeeze_excite(4)`.
    Call(Arc<CallValue>),
    /// A value of the forward pass that has a name.
    Kept(ValueId),
}

impl Value {
    /// A word.
    pub fn word(word: &str) -> Self {
        Value::Word(word.into())
    }

    /// The value with its type, in words.
    #[doc(hidden)]
    pub fn described(&self) -> String {
        match self {
            Value::Int(value) => format!("the integer {value}"),
            Value::Float(value) => format!("{value:?}, a floating-point number"),
            Value::Bool(value) => format!("`{value}`"),
            Value::Word(word) => format!("the word `{word}`"),
            Value::List(list) => match list.items().len() {
                1 => "a list of one item".to_owned(),
                count => format!("a list of {count} items"),
            },
            Value::Call(call) => format!("a call of `{}`", call.name.value),
            Value::Kept(_) => "a value of the forward pass".to_owned(),
        }
    }

    /// As a floating-point number, if it is a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Reads a value as it is written in the language, without arithmetic: for command lines. Every name is a word.
    pub fn parse(text: &str) -> Option<Value> {
        literal(&crate::parse::value(text)?)
    }

    /// The words in it that `known` does not know.
    pub(crate) fn unknown_word(&self, known: &impl Fn(&str) -> bool) -> Option<&str> {
        match self {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Kept(_) => None,
            Value::Word(word) => (!known(word)).then_some(word),
            Value::List(list) => list.items().iter().find_map(|item| item.unknown_word(known)),
            Value::Call(call) if !known(&call.name.value) => Some(&call.name.value),
            Value::Call(call) => {
                let mut values = call.args.iter().flat_map(|arg| &arg.values);
                values.find_map(|value| value.unknown_word(known))
            }
        }
    }

    /// The values in it, itself included, and how deep they are nested.
    fn extent(&self) -> (usize, usize) {
        match self {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Word(_) | Value::Kept(_) => (1, 0),
            Value::List(list) => list.extent,
            Value::Call(call) => call.extent,
        }
    }

    /// The expression that has this value wherever no name is defined.
    fn expr(&self, span: Span) -> Expr {
        let kind = match self {
            Value::Int(value) => ExprKind::Int(*value),
            Value::Float(value) => ExprKind::Float(*value),
            Value::Bool(value) => ExprKind::Bool(*value),
            Value::Word(word) => ExprKind::Name(word.to_string()),
            Value::List(list) => ExprKind::List(list.items().iter().map(|item| item.expr(span)).collect()),
            Value::Call(call) => ExprKind::Function(call.name.clone(), call.args()),
            Value::Kept(id) => ExprKind::Kept(*id),
        };
        Expr { kind, span }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Word(word) => f.write_str(word),
            Value::List(list) => {
                f.write_str("[")?;
                separated(f, list.items(), ", ")?;
                f.write_str("]")
            }
            Value::Call(call) => write!(f, "{call}"),
            Value::Kept(_) => f.write_str(&self.described()),
        }
    }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], by: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(by)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

/// A list of values, not larger than [`limits::VALUES`] nor deeper than [`limits::VALUE_DEPTH`].
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    items: Arc<[Value]>,
    extent: (usize, usize),
}

impl List {
    /// A list of these values; `None` if it is too large.
    pub fn new(items: Vec<Value>) -> Option<Self> {
        let extent = extent(items.iter())?;
        Some(List {
            items: items.into(),
            extent,
        })
    }

    /// Its items.
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

/// A layer, a block or an initialisation with its arguments computed.
#[derive(Clone, Debug, PartialEq)]
pub struct CallValue {
    pub(crate) name: Name,
    pub(crate) args: Vec<GivenArg>,
    extent: (usize, usize),
}

/// An argument that has been computed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GivenArg {
    pub(crate) name: Option<Name>,
    /// One value, or sizes.
    pub(crate) values: Vec<Value>,
    pub(crate) span: Span,
}

impl CallValue {
    /// A call; `None` if it is too large.
    pub(crate) fn new(name: Name, args: Vec<GivenArg>) -> Option<Self> {
        let extent = extent(args.iter().flat_map(|arg| &arg.values))?;
        Some(CallValue { name, args, extent })
    }

    /// The arguments as a call in the text has them.
    pub(crate) fn args(&self) -> Vec<Arg> {
        let dims = |arg: &GivenArg| Dims {
            sizes: arg.values.iter().map(|value| value.expr(arg.span)).collect(),
            span: arg.span,
        };
        let arg = |arg: &GivenArg| Arg {
            name: arg.name.clone(),
            value: dims(arg),
        };
        self.args.iter().map(arg).collect()
    }

    /// The number of values in it.
    pub(crate) fn values(&self) -> usize {
        self.extent.0
    }
}

impl fmt::Display for CallValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name.value)?;
        separated(f, &self.args, ", ")?;
        f.write_str(")")
    }
}

impl fmt::Display for GivenArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{} = ", name.value)?;
        }
        separated(f, &self.values, " x ")
    }
}

/// The extent of what holds these values, unless it is too large.
fn extent<'v>(values: impl Iterator<Item = &'v Value>) -> Option<(usize, usize)> {
    let (mut count, mut depth) = (1, 0);
    for value in values {
        let (more, inner) = value.extent();
        count += more;
        depth = depth.max(inner + 1);
    }
    (count <= limits::VALUES && depth <= limits::VALUE_DEPTH).then_some((count, depth))
}

/// The value of an expression without arithmetic, every name a word.
fn literal(expr: &Expr) -> Option<Value> {
    Some(match &expr.kind {
        ExprKind::Int(value) => Value::Int(*value),
        ExprKind::Float(value) => Value::Float(*value),
        ExprKind::Bool(value) => Value::Bool(*value),
        ExprKind::Name(name) => Value::word(name),
        ExprKind::Negate(inner) => match literal(inner)? {
            Value::Int(value) => Value::Int(value.checked_neg()?),
            Value::Float(value) => Value::Float(-value),
            _ => return None,
        },
        ExprKind::List(items) => Value::List(List::new(items.iter().map(literal).collect::<Option<_>>()?)?),
        ExprKind::Function(name, args) => {
            let given = |arg: &Arg| {
                Some(GivenArg {
                    name: arg.name.clone(),
                    values: arg.value.sizes.iter().map(literal).collect::<Option<_>>()?,
                    span: Span::default(),
                })
            };
            let name = Name::new(name.value.clone(), Span::default());
            let args = args.iter().map(given).collect::<Option<_>>()?;
            Value::Call(Arc::new(CallValue::new(name, args)?))
        }
        _ => return None,
    })
}
