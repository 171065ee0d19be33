//! Nothing: this crate is its tests. They see the language as users do, through the macros, the
//! build helper and generated models.
