//! Learned position embeddings.

use super::prelude::*;

/// The standard deviation of ViT's position embeddings (Dosovitskiy et al. 2020, appendix B).
const DEVIATION: f64 = 0.02;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "position_embedding",
    doc: "learned position embedding (Dosovitskiy et al. 2020), added to the feature maps",
    params: &[param("init", ParamKind::Init, false)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (channels, height, width) = map_of("position_embedding", input)?;
        // Every value is added to one value: both fans are 1.
        let choice = args.init("init").unwrap_or(InitChoice::Normal(DEVIATION));
        Ok(Some(Op::new(PositionEmbedding {
            shape: [channels, height, width],
            init: Init::of(Some(choice), 1.0, 1.0),
        })))
    }),
}];

/// Adds a learned map.
#[derive(Clone, Copy, Debug)]
pub struct PositionEmbedding {
    /// Channels, height and width.
    pub shape: [u64; 3],
    /// Its initial value.
    pub init: Init,
}

impl Operation for PositionEmbedding {
    fn call(&self) -> Call {
        let [channels, height, width] = self.shape;
        Call::new("position_embedding")
            .with("channels", channels)
            .with("height", height)
            .with("width", width)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let [channels, height, width] = self.shape;
        vec![Tensor::new(
            "weight",
            &[1, channels, height, width],
            Part::Kernel,
            self.init,
        )]
    }

    fn sharing(&self) -> Option<Sharing> {
        let [channels, height, width] = self.shape;
        Some(Sharing {
            what: "position embedding",
            sizes: vec![
                ("kernel size", vec![height, width]),
                ("number of input channels", vec![channels]),
            ],
            whole: Some("a position embedding is shared as a whole"),
            ..Sharing::default()
        })
    }

    fn rust(&self, to: &mut Rust) {
        let weight = to.tensor("weight");
        to.call(quote!(rt::op::position_embedding(x, #weight)));
    }

    fn python(&self, to: &mut Python) {
        let weight = to.tensors(&["weight"]).concat();
        to.assign(&format!("{} + {weight}", to.x()));
    }
}
