//! Values that a recipe cannot have.

use std::fmt;

/// An invalid value in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRecipe {
    /// The path of the value, such as `average.decay`.
    pub name: &'static str,
    /// The expected value, such as `from 0 to 1`.
    pub expected: &'static str,
}

impl fmt::Display for InvalidRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid recipe: `{}` must be {}", self.name, self.expected)
    }
}

impl std::error::Error for InvalidRecipe {}
