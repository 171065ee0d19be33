//! KSDSL tests.
