//! Whole runs of a tiny net: that they can be stopped, killed and resumed, what they save and what they
//! say.
#![cfg(unix)]

mod child;
mod folders;
mod kill;
mod lost;
mod reports;
mod resume;
mod signals;
mod support;
mod tasks;
mod trainer;
