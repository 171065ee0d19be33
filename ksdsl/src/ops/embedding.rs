//! Embeddings of token ids.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "embedding",
    doc: "a learned vector for each token id",
    params: &[
        param("features", ParamKind::Size, true),
        param("init", ParamKind::Init, false),
    ],
    family: Family::Weights,
    resolve: Resolve::One(|args, input| {
        let Shape::Ids { vocabulary, .. } = input else {
            let text = format!("`embedding` expects token ids, but its input is {}", in_words(input));
            return Err(
                Problem::new(Code::WrongInput, text).help("declare the input with `input tokens of vocabulary`")
            );
        };
        let features = args.size("features", 1);
        let choice = args.init("init").unwrap_or(InitChoice::Normal(DEVIATION));
        Ok(Some(Op::new(Embedding {
            vocabulary,
            features,
            init: Init::of(Some(choice), features as f64, vocabulary as f64),
        })))
    }),
}];

/// That of PyTorch's `nn.Embedding`.
const DEVIATION: f64 = 1.0;

/// A table with a row for each token id. It can be the kernel of a linear layer from features to the vocabulary, whose
/// rows have the same meaning (Press & Wolf 2017).
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    vocabulary: u64,
    pub(crate) features: u64,
    init: Init,
}

impl Operation for Embedding {
    fn call(&self) -> Call {
        Call::new("embedding")
            .with("vocabulary", self.vocabulary)
            .with("features", self.features)
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Ids { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Tokens {
            length: inputs[0].pixels(),
            features: self.features,
        })
    }

    fn tensors(&self) -> Vec<Tensor> {
        let shape = [self.vocabulary, self.features];
        vec![Tensor::new("weight", &shape, Part::Kernel, self.init)]
    }

    /// What a linear layer must have to share its table.
    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "linear layer",
            sizes: vec![
                ("number of input channels", vec![self.features]),
                ("number of output channels", vec![self.vocabulary]),
            ],
            whole: Some("an embedding is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Ok(())
    }

    fn rust(&self, to: &mut Rust) {
        let weight = to.tensor("weight");
        to.call_typed(quote!(rt::op::embedding(x, #weight)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, weight) = (to.x(), to.weight());
        to.node("Gather", &[&weight, &x], vec![onnx::int("axis", 0)])
    }

    fn python(&self, to: &mut Python) {
        to.call("F.embedding", to.tensors(&["weight"]));
    }
}
