//! Pooling of whole maps to one value per channel.

use super::mask::one_number;
use super::pool::PoolKind;
use super::prelude::*;
use crate::steps::{Kind, PoolSize};

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "global_avg_pool",
        doc: "global average pooling: feature maps to a vector",
        params: &[param("lengths", ParamKind::Value, false)],
        family: Family::Other,
        resolve: Resolve::One(|args, _| {
            Ok(Some(match args.value("lengths") {
                Some(_) => Op::new(MeanOfFirst),
                None => Op::new(GlobalPool(PoolKind::Average)),
            }))
        }),
    },
    LayerDef {
        name: "global_max_pool",
        doc: "global max pooling: feature maps to a vector",
        params: &[],
        family: Family::Other,
        resolve: Resolve::One(|_, _| Ok(Some(Op::new(GlobalPool(PoolKind::Max))))),
    },
];

/// Pooling of whole maps to one value per channel.
#[derive(Clone, Copy, Debug)]
pub struct GlobalPool(pub PoolKind);

impl Operation for GlobalPool {
    fn call(&self) -> Call {
        Call::new(match self.0 {
            PoolKind::Max => "global_max_pool",
            PoolKind::Average => "global_avg_pool",
        })
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        positions_of(self.word(), inputs[0]).map(Shape::Flat)
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Err("it pools over all positions, later ones included")
    }

    fn rust(&self, to: &mut Rust) {
        to.call(match self.0 {
            PoolKind::Max => quote!(rt::op::global_max_pool(x)),
            PoolKind::Average => quote!(rt::op::global_avg_pool(x)),
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let x = to.x();
        let axes: &[i64] = if matches!(to.shape(), Shape::Tokens { .. }) {
            &[1]
        } else {
            &[2, 3]
        };
        to.reduce(self.0.onnx_reduction(), &x, axes, false)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let input @ [height, width, _] = lower::map(to.shape());
        let size = PoolSize {
            max: self.0 == PoolKind::Max,
            input,
            output: [1, 1],
            kernel: [height, width],
            stride: [1, 1],
            pad: [0, 0],
            counted: [0, 0],
        };
        let x = to.x();
        Ok(to.step(Kind::Pool(size), &[x]))
    }

    fn python(&self, to: &mut Python) {
        let tokens = matches!(to.inputs()[0].1, Shape::Tokens { .. });
        match self.0 {
            PoolKind::Max if tokens => to.assign(&format!("{}.max(1).values", to.x())),
            PoolKind::Average if tokens => to.assign(&format!("{}.mean(1)", to.x())),
            // Not `amax`, which shares the gradient among equal maxima.
            PoolKind::Max => to.call_and("F.adaptive_max_pool2d", vec!["1".to_owned()], ".flatten(1)"),
            PoolKind::Average => to.assign(&format!("{}.mean((2, 3))", to.x())),
        }
    }
}

/// The mean of the first tokens of a sequence, as many as the batch says.
#[derive(Clone, Copy, Debug)]
struct MeanOfFirst;

impl Operation for MeanOfFirst {
    fn call(&self) -> Call {
        Call::new("mean_of_first")
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        inputs[1..].iter().try_for_each(|lengths| one_number(*lengths))?;
        Ok(Shape::Flat(inputs[0].channels()))
    }

    fn input_name(&self, _: usize) -> &'static str {
        "lengths"
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Err("it averages over all positions, later ones included")
    }

    fn rust(&self, to: &mut Rust) {
        to.composed_pair(quote!(rt::op::MeanOfFirst));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, (lengths, _)) = (to.x(), to.inputs().swap_remove(1));
        let tokens = to.shape().pixels();
        let places = to.reals(&[tokens], (0..tokens).map(|place| place as f64));
        let seen = to.apply("Less", &[&places, &lengths]);
        let seen = to.reshape(&seen, &[0, -1, 1]);
        let [none, one] = [0.0, 1.0].map(|value| to.real(value));
        let x = to.apply("Where", &[&seen, &x, &none]);
        let sum = to.reduce("ReduceSum", &x, &[1], false);
        let count = to.apply("Max", &[&lengths, &one]);
        to.apply("Div", &[&sum, &count])
    }

    fn python(&self, to: &mut Python) {
        to.needs(&MEAN_OF_FIRST);
        let args = to.inputs().into_iter().skip(1).map(|(name, _)| name).collect();
        to.call("mean_of_first", args);
    }
}

const MEAN_OF_FIRST: Helper = Helper {
    name: "mean_of_first",
    needs: &[],
    text: r#"def mean_of_first(x, lengths):
    """The mean of the first tokens of each sequence, as many as its length; zeros for none."""
    seen = torch.arange(x.shape[1], device=x.device) < lengths
    return x.masked_fill(~seen[:, :, None], 0).sum(1) / lengths.clamp(min=1)
"#,
};
