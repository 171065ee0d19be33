//! Tokens by their places.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "gather",
    doc: "the tokens of a sequence at the places that a second input gives",
    params: &[],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [2, 2],
        resolve: |_, inputs| match inputs[0] {
            Shape::Tokens { .. } => Ok(Op::new(Gather)),
            other => {
                let text = format!(
                    "`gather` takes tokens of a sequence, but its first input is {}",
                    in_words(other)
                );
                Err(Problem::new(Code::WrongInput, text).help("write `to_tokens` after feature maps"))
            }
        },
    },
}];

/// The tokens of a sequence at the places that a second input gives.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

impl Operation for Gather {
    fn call(&self) -> Call {
        Call::new("gather")
    }

    fn takes(&self, input: Shape) -> bool {
        !matches!(input, Shape::Map { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let places = match inputs[1] {
            Shape::Flat(places) | Shape::Ids { length: places, .. } => places,
            other => {
                let text = format!(
                    "places are a vector or token ids, but this value is {}",
                    in_words(other)
                );
                return Err(Problem::new(Code::WrongInput, text)
                    .help("declare them as an input, such as `input places: 4`: four numbers for each item"));
            }
        };
        Ok(Shape::Tokens {
            length: places,
            features: inputs[0].channels(),
        })
    }

    fn input_name(&self, _: usize) -> &'static str {
        "places"
    }

    fn rust(&self, to: &mut Rust) {
        to.composed_pair(quote!(rt::op::Gather));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, (places, shape)) = (to.x(), to.inputs().swap_remove(1));
        let places = match shape {
            Shape::Ids { .. } => places,
            _ => to.node("Cast", &[&places], vec![onnx::int("to", onnx::INT64)]),
        };
        let places = to.reshape(&places, &[0, -1, 1]);
        to.node("GatherND", &[&x, &places], vec![onnx::int("batch_dims", 1)])
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        let places = to.inputs()[1].0.clone();
        to.call("gather", vec![places]);
    }
}

const FUNCTION: Helper = Helper {
    name: "gather",
    needs: &[],
    text: r#"def gather(x, places):
    """The tokens of each sequence at these places."""
    return x.take_along_dim(places.long()[:, :, None], 1)
"#,
};
