//! `ksnet!` and `include_ksn!`.
