//! The primitive that operations without kernels of their own are made of: an expression for each element of the
//! output, or a sum of one, over operands that are read by steps and tables.

/// A value computed from one element of each operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// An element of this operand.
    Operand(usize),
    /// A constant.
    Constant(f64),
    /// A function of one value.
    Unary(Unary, Box<Expr>),
    /// A function of two values.
    Binary(Binary, Box<[Expr; 2]>),
    /// The first of the last two values if the first value is greater than zero, otherwise the second.
    IfPositive(Box<[Expr; 3]>),
}

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `e^x`.
    Exp,
    /// `e^x - 1`, exact for small values.
    ExpM1,
    /// `ln(1 + x)`, exact for small values.
    Ln1P,
    /// The square root.
    Sqrt,
    /// The hyperbolic tangent.
    Tanh,
}

/// Functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// The sum.
    Add,
    /// The difference.
    Subtract,
    /// The product.
    Multiply,
    /// The quotient.
    Divide,
}

/// The `n`-th operand's element.
pub fn operand(n: usize) -> Expr {
    Expr::Operand(n)
}

/// A constant.
pub fn constant(value: f64) -> Expr {
    Expr::Constant(value)
}

impl Expr {
    /// A function of this value.
    pub fn map(self, function: Unary) -> Self {
        Self::Unary(function, Box::new(self))
    }

    /// `then` where this value is greater than zero, otherwise `otherwise`.
    pub fn if_positive(self, then: Self, otherwise: Self) -> Self {
        Self::IfPositive(Box::new([self, then, otherwise]))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $kind:ident),*) => {$(
        impl std::ops::$trait for Expr {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                Self::Binary(Binary::$kind, Box::new([self, other]))
            }
        }
    )*};
}

operators!(Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide);

/// How an operand is read: its element is at the sum of `index * step` over all loops and of the tables' offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// One for each loop, those of the output first; 0 repeats the operand along the loop.
    pub steps: Vec<usize>,
    /// Offsets that are not multiples of an index.
    pub tables: Vec<Table>,
}

/// Offsets by the indices of one or two loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The loop, or two of them.
    pub loops: Vec<usize>,
    /// Offsets, row-major over the sizes of the loops.
    pub offsets: Vec<usize>,
}

/// Loops over the elements of an output, row-major, and over what is summed for each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Loops {
    /// Sizes of the output, the outermost first; at least one.
    pub output: Vec<usize>,
    /// Sizes of what is summed for each element of the output, in this order; empty for a value alone.
    pub summed: Vec<usize>,
    /// How each operand is read.
    pub views: Vec<View>,
    /// The value, or each addend of the sum.
    pub value: Expr,
}

impl Loops {
    /// A value for each of `len` elements of operands that are as long.
    pub fn elementwise(len: usize, operands: usize, value: Expr) -> Self {
        Self {
            output: vec![len],
            summed: Vec::new(),
            views: vec![View::steps([1]); operands],
            value,
        }
    }

    /// The number of elements of the output.
    pub fn len(&self) -> usize {
        self.output.iter().product()
    }

    /// Whether the output has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of addends of each element.
    pub fn addends(&self) -> usize {
        self.summed.iter().product()
    }

    /// The sizes of all loops.
    pub fn sizes(&self) -> impl Iterator<Item = usize> + '_ {
        self.output.iter().chain(&self.summed).copied()
    }

    /// One more than the greatest index at which an operand is read; 0 if none is.
    pub fn reach(&self, view: &View) -> usize {
        if self.sizes().any(|size| size == 0) {
            return 0;
        }
        let steps = self.sizes().zip(&view.steps).map(|(size, step)| (size - 1) * step);
        let tables = view
            .tables
            .iter()
            .map(|table| table.offsets.iter().max().map_or(0, |most| *most));
        steps.chain(tables).sum::<usize>() + 1
    }
}

impl View {
    /// A view without tables.
    pub fn steps<const N: usize>(steps: [usize; N]) -> Self {
        Self {
            steps: steps.to_vec(),
            tables: Vec::new(),
        }
    }

    /// With offsets by the indices of these loops.
    pub fn with_table(mut self, loops: &[usize], offsets: Vec<usize>) -> Self {
        self.tables.push(Table {
            loops: loops.to_vec(),
            offsets,
        });
        self
    }
}
