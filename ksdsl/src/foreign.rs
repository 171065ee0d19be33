//! Names of PyTorch, Keras, timm and other languages, and what they are called here: what messages say about
//! a name that the language does not have.

mod layers;
mod words;

use crate::ops::kinds;
pub use layers::layer;
pub use words::{argument, function, init, statement_word};

/// What the language has for a foreign name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// The same under another name.
    Name(&'static str),
    /// Something that is written otherwise, and how.
    Otherwise(&'static str),
    /// Nothing, and what to do without it.
    Nothing(&'static str),
}

/// A name in lower case, without underscores.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The entry of a table, whose names are plain.
fn find(table: &[(&[&str], Ours)], name: &str) -> Option<Ours> {
    let name = plain(name);
    let entry = table.iter().find(|(names, _)| names.contains(&name.as_str()));
    entry.map(|(_, ours)| *ours)
}

/// Whether two names differ only in case and underscores.
pub fn same(one: &str, other: &str) -> bool {
    one != other && plain(one) == plain(other)
}

/// The kind of layer to share that a word stands for, in the plural and in other systems' words too.
pub fn kind(word: &str) -> Option<&'static str> {
    let singular = word.strip_suffix('s').unwrap_or(word);
    let foreign = [word, singular].into_iter().find_map(layer);
    let ours = match foreign {
        Some(Ours::Name(name)) => Some(name),
        _ => None,
    };
    let names = [word, singular].into_iter().chain(ours);
    let kind = |name: &str| kinds().find(|kind| *kind == name || same(kind, name));
    names.into_iter().find_map(kind)
}

#[cfg(test)]
mod tests {
    use super::{Ours, argument, init, layer, layers::TABLE, plain, same, words};
    use crate::ops::{RESIDUAL, find, layers};
    use std::collections::HashSet;

    #[test]
    fn names_here_are_layers_and_foreign_ones_are_none() {
        let mut seen = HashSet::new();
        for (names, ours) in TABLE {
            if let Ours::Name(name) = ours {
                assert!(find(name).is_some(), "{name} is no layer");
            }
            for name in *names {
                assert_eq!(plain(name), *name, "names of the table are plain");
                assert!(find(name).is_none(), "{name} is a layer");
                assert!(seen.insert(name), "{name} stands twice in the table");
            }
        }
    }

    #[test]
    fn arguments_here_are_parameters_and_foreign_ones_are_none() {
        let params = layers().flat_map(|layer| layer.params).chain(RESIDUAL);
        let all: Vec<&str> = params.map(|param| param.name).collect();
        let mut seen = HashSet::new();
        for (names, ours) in words::ARGUMENTS {
            for name in *names {
                assert_eq!(plain(name), *name, "names of the table are plain");
                assert!(seen.insert(name), "{name} stands twice in the table");
            }
            for ours in *ours {
                assert!(all.contains(ours), "{ours} is no parameter");
            }
        }
    }

    /// `torch.nn`, `torch.nn.functional` and `keras.layers` as people write them.
    #[test]
    fn spellings_of_other_systems_are_known() {
        for (theirs, ours) in [
            ("ReLU", "relu"),
            ("GELU", "gelu"),
            ("SiLU", "silu"),
            ("swish", "silu"),
            ("Hardswish", "hard_swish"),
            ("Conv2d", "conv"),
            ("Conv2D", "conv"),
            ("DepthwiseConv2D", "depthwise"),
            ("Linear", "linear"),
            ("Dense", "linear"),
            ("BatchNorm2d", "batch_norm"),
            ("BatchNormalization", "batch_norm"),
            ("bn", "batch_norm"),
            ("LayerNorm", "layer_norm"),
            ("MaxPool2d", "max_pool"),
            ("MaxPooling2D", "max_pool"),
            ("max_pool2d", "max_pool"),
            ("AvgPool2d", "avg_pool"),
            ("GlobalAveragePooling2D", "global_avg_pool"),
            ("MultiheadAttention", "attention"),
            ("SEModule", "squeeze_excite"),
            ("PatchEmbed", "patch_embedding"),
            ("GroupNorm", "group_norm"),
            ("RMSNorm", "rms_norm"),
            ("LeakyReLU", "leaky_relu"),
            ("Tanh", "tanh"),
            ("ELU", "elu"),
            ("Softplus", "softplus"),
            ("Upsample", "upsample"),
            ("Dropout2d", "dropout"),
            ("PReLU", "prelu"),
            ("ReLU6", "relu6"),
            ("Mish", "mish"),
            ("SELU", "selu"),
            ("Hardsigmoid", "hard_sigmoid"),
            ("Softmax", "softmax"),
            ("LogSoftmax", "log_softmax"),
            ("InstanceNorm2d", "instance_norm"),
            ("LayerScale", "layer_scale"),
            ("ConvTranspose2d", "conv_transpose"),
            ("Conv2DTranspose", "conv_transpose"),
            ("PixelShuffle", "pixel_shuffle"),
            ("ChannelShuffle", "channel_shuffle"),
            ("AdaptiveAvgPool", "adaptive_avg_pool"),
            ("StochasticDepth", "stochastic_depth"),
            ("DropPath", "stochastic_depth"),
        ] {
            assert!(
                same(theirs, ours) || layer(theirs) == Some(Ours::Name(ours)),
                "{theirs}"
            );
        }
        for name in [
            "CELU",
            "CrossEntropyLoss",
            "logits",
            "WeightNorm",
            "MaxUnpool2d",
            "LSTM",
        ] {
            assert!(matches!(layer(name), Some(Ours::Nothing(_))), "{name}");
        }
        assert_eq!(layer("bottleneck"), None);
    }

    #[test]
    fn an_argument_is_one_that_the_layer_has() {
        let has = |name: &'static str| move |param: &str| param == name;
        assert_eq!(argument("kernel_size", has("kernel")), Some(Ours::Name("kernel")));
        assert_eq!(argument("out_features", has("features")), Some(Ours::Name("features")));
        assert_eq!(argument("filters", has("channels")), Some(Ours::Name("channels")));
        assert_eq!(argument("filters", has("heads")), None);
        assert!(matches!(argument("in_channels", has("kernel")), Some(Ours::Nothing(_))));
        assert_eq!(init("he_normal"), Some("kaiming_normal"));
    }
}
