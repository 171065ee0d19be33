//! Which values ReLUs pass, for comparisons of precisions (`tests/parity/deep.py`).

use crate::real::CpuReal;
use ksdsl_engine::size::Activation;
use std::cell::RefCell;

thread_local! {
    static PASSED: RefCell<Option<Vec<bool>>> = const { RefCell::new(None) };
}

/// Runs `f`; returns in addition which values the ReLUs of the forward passes that it runs on this thread passed: those
/// of all ReLUs, in the order in which they are computed.
pub fn with_signs<R>(f: impl FnOnce() -> R) -> (R, Vec<bool>) {
    let before = PASSED.replace(Some(Vec::new()));
    let result = f();
    (result, PASSED.replace(before).unwrap_or_default())
}

/// Notes the output of an activation, if it is a ReLU and somebody asks.
pub(super) fn note<E: CpuReal>(activation: Option<Activation>, y: &[E]) {
    if activation == Some(Activation::Relu) {
        PASSED.with_borrow_mut(|passed| {
            passed
                .iter_mut()
                .for_each(|passed| passed.extend(y.iter().map(|&y| y > E::zero())));
        });
    }
}
