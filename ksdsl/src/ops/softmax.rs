//! Softmax over channels, and its logarithm.

use super::prelude::*;
use crate::steps::Kind;

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "softmax",
        doc: "exp(x) divided by its sum over the channels of each position",
        params: OVER,
        family: Family::Other,
        resolve: Resolve::One(|args, _| Ok(Some(Op::new(Softmax::of(args, false))))),
    },
    LayerDef {
        name: "log_softmax",
        doc: "the logarithm of softmax",
        params: OVER,
        family: Family::Other,
        resolve: Resolve::One(|args, _| Ok(Some(Op::new(Softmax::of(args, true))))),
    },
];

/// What it is over; positions are tokens, too.
const OVER: &[ParamDef] = &[param("over_positions", ParamKind::Flag, false)];

/// Softmax over the channels of each position or over the positions for each channel, or its logarithm.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    log: bool,
    of_positions: bool,
}

impl Softmax {
    fn of(args: &Args, log: bool) -> Self {
        let of_positions = args.flag("over_positions", false);
        Softmax { log, of_positions }
    }
}

impl Operation for Softmax {
    fn call(&self) -> Call {
        Call::new("softmax")
            .with("log", self.log)
            .with("of_positions", self.of_positions)
    }

    fn word(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn details(&self) -> Vec<String> {
        let words = || "over_positions".to_owned();
        self.of_positions.then(words).into_iter().collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        match self.of_positions {
            true => Err("its softmax is over all positions"),
            false => Ok(()),
        }
    }

    fn rust(&self, to: &mut Rust) {
        let (log, of_positions) = (self.log, self.of_positions);
        to.composed(quote!(rt::op::Softmax { log: #log, of_positions: #of_positions }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape) = (to.x(), to.shape());
        let op = if self.log { "LogSoftmax" } else { "Softmax" };
        let over = |x: &str, axis: usize, to: &mut Onnx<'_>| to.node(op, &[x], vec![onnx::int("axis", axis as u64)]);
        match shape {
            _ if !self.of_positions => over(&x, shape.python_channels(), to),
            Shape::Tokens { .. } => over(&x, 1, to),
            _ => {
                let x = to.reshape(&x, &[0, onnx::long(shape.channels()), -1]);
                let y = over(&x, 2, to);
                let sizes: Vec<i64> = shape.sizes().into_iter().map(onnx::long).collect();
                to.reshape(&y, &[&[0], sizes.as_slice()].concat())
            }
        }
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, log, of_positions) = (to.x(), self.log, self.of_positions);
        Ok(to.step(Kind::Softmax { log, of_positions }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        if self.of_positions {
            to.needs(&OF_POSITIONS);
            let log = self.log.then(|| "log=True".to_owned());
            return to.call("softmax_of_positions", log.into_iter().collect());
        }
        to.call(
            &format!("F.{}", self.word()),
            vec![to.inputs()[0].1.python_channels().to_string()],
        );
    }
}

const OF_POSITIONS: Helper = Helper {
    name: "softmax_of_positions",
    needs: &[],
    text: r#"def softmax_of_positions(x, log: bool = False):
    """Softmax over the positions of maps or over the tokens of sequences, or its logarithm."""
    function = F.log_softmax if log else F.softmax
    if x.dim() == 2:
        return function(x[:, :, None], 2)[:, :, 0]
    return function(x, 1) if x.dim() == 3 else function(x.flatten(2), 2).view_as(x)
"#,
};
