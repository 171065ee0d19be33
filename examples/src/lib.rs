//! KSDSL examples.
