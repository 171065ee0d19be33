//! The server for editors: the Language Server Protocol, version 3.17, on a connection.
//!
//! One thread answers one message after the other. A text is compiled when something first asks about it after a change, so
//! a burst of keystrokes costs one compilation. One file per kind of request; none of them knows the protocol's messages.

mod actions;
mod analysis;
mod completion;
mod context;
mod definition;
mod diagnostics;
mod formatting;
mod hover;
mod inlay;
mod outline;
mod position;
mod rename;
mod selectors;
mod server;
mod symbols;
mod uri;
mod workspace;

pub use server::{End, run};
