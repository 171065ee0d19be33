//! Softmax over channels, and its logarithm.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "softmax",
        doc: "exp(x) divided by its sum over the channels of each position",
        params: &[],
        family: Family::Other,
        resolve: Resolve::One(|_, _| Ok(Some(Op::new(Softmax { log: false })))),
    },
    LayerDef {
        name: "log_softmax",
        doc: "the logarithm of softmax",
        params: &[],
        family: Family::Other,
        resolve: Resolve::One(|_, _| Ok(Some(Op::new(Softmax { log: true })))),
    },
];

/// Softmax over the channels of each position, or its logarithm.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    log: bool,
}

impl Operation for Softmax {
    fn call(&self) -> Call {
        Call::new("softmax").with("log", self.log)
    }

    fn word(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn rust(&self, to: &mut Rust) {
        let log = self.log;
        to.composed(quote!(rt::op::Softmax { log: #log }), &[]);
    }

    fn python(&self, to: &mut Python) {
        to.call(
            &format!("F.{}", self.word()),
            vec![to.inputs()[0].1.python_channels().to_string()],
        );
    }
}
