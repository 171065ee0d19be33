//! Functions of one value, in Rust and in C.

/// A function with its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// What is known of it.
    pub known: &'static Known,
    /// Its numbers; unused ones are 0.
    pub numbers: [f32; 2],
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        (self.known.name, self.numbers) == (other.known.name, other.numbers)
    }
}

/// What is known of a function. Operations have it in their files.
#[derive(Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// How many numbers it has.
    pub numbers: usize,
    /// Its values for inputs far below and far above 0.
    pub tails: [Tail; 2],
    /// Of a function that only limits its input, the least and the greatest value.
    pub limits: Option<fn([f32; 2]) -> [f64; 2]>,
    /// It, in Rust.
    pub run: fn(f32, [f32; 2]) -> f32,
    /// It, in C, of `v` with the numbers `a` and `b`.
    pub c: &'static str,
}

/// What a function is far from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Its last value.
    Constant,
    /// Its input.
    Identity,
    /// Something else, which a table does not continue.
    Other,
}

impl Function {
    /// A function with its numbers.
    pub fn new(known: &'static Known, numbers: [f32; 2]) -> Self {
        Function { known, numbers }
    }

    /// Its value.
    pub fn at(&self, v: f32) -> f32 {
        (self.known.run)(v, self.numbers)
    }
}
