//! Networks in the languages of other systems.

pub mod pytorch;
