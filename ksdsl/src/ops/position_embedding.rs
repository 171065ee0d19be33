//! Learned position embeddings.

use super::prelude::*;
use crate::steps::Kind;

/// The standard deviation of ViT's position embeddings (Dosovitskiy et al. 2020, appendix B).
const DEVIATION: f64 = 0.02;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "position_embedding",
    doc: "learned position embedding (Dosovitskiy et al. 2020), added to the feature maps",
    params: &[param("init", ParamKind::Init, false)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let shape = match input {
            Shape::Tokens { length, features } => vec![length, features],
            input => {
                let (channels, height, width) = map_of("position_embedding", input)?;
                vec![1, channels, height, width]
            }
        };
        // Every value is added to one value: both fans are 1.
        let choice = args.init("init").unwrap_or(InitChoice::Normal(DEVIATION));
        Ok(Some(Op::new(PositionEmbedding {
            shape,
            init: Init::of(Some(choice), 1.0, 1.0),
        })))
    }),
}];

/// Adds a learned map, or a learned row for each token.
#[derive(Clone, Debug)]
pub struct PositionEmbedding {
    /// The sizes of the parameter: 1, channels, height and width, or tokens and features.
    pub shape: Vec<u64>,
    /// Its initial value.
    pub init: Init,
}

impl PositionEmbedding {
    fn is_of_tokens(&self) -> bool {
        self.shape.len() == 2
    }

    /// Height and width, or the number of tokens.
    fn positions(&self) -> &[u64] {
        match self.is_of_tokens() {
            true => &self.shape[..1],
            false => &self.shape[2..],
        }
    }

    fn channels(&self) -> u64 {
        self.shape[1]
    }
}

impl Operation for PositionEmbedding {
    fn call(&self) -> Call {
        let names = ["height", "width"].into_iter().zip(self.positions());
        let call = Call::new("position_embedding").with("channels", self.channels());
        let call = names.fold(call, |call, (name, size)| call.with(name, *size));
        call.with("tokens", self.is_of_tokens())
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("weight", &self.shape, Part::Kernel, self.init)]
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(Sharing {
            what: "position embedding",
            sizes: vec![
                ("kernel size", self.positions().to_vec()),
                ("number of input channels", vec![self.channels()]),
            ],
            whole: Some("a position embedding is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn counts_positions(&self) -> bool {
        true
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        match self.is_of_tokens() {
            true => Ok(()),
            false => Err("its embedding is of maps, not of tokens"),
        }
    }

    fn rust(&self, to: &mut Rust) {
        let weight = to.tensor("weight");
        to.call(match self.is_of_tokens() {
            true => quote!(rt::op::position_embedding_of_tokens(x, #weight)),
            false => quote!(rt::op::position_embedding(x, #weight)),
        });
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, weight) = (to.x(), to.weight());
        to.apply("Add", &[&x, &weight])
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let (x, channels) = (to.x(), lower::count(to.shape().channels()));
        let added = match to.shape() {
            Shape::Map { .. } => to.made(["weight"], "positions first", |[data]| {
                lower::positions_first(data, channels)
            })?,
            _ => to.needed("weight")?,
        };
        Ok(to.step(Kind::Plus(added), &[x]))
    }

    fn python(&self, to: &mut Python) {
        let weight = to.tensors(&["weight"]).concat();
        to.assign(&format!("{} + {weight}", to.x()));
    }
}
