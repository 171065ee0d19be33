//! Layers and modules.

use super::{Ours, find};
use crate::ops::{Family, layers};
use Ours::{Name, Nothing, Otherwise};
use std::sync::LazyLock;

/// What the language has for a layer of another system.
pub fn layer(name: &str) -> Option<Ours> {
    match find(TABLE, name)? {
        Nothing(ACTIVATIONS) => Some(Nothing(&ALL_ACTIVATIONS)),
        Nothing(NORMS) => Some(Nothing(&ALL_NORMS)),
        ours => Some(ours),
    }
}

/// Beginnings of lists of layers, which are those of the language.
const ACTIVATIONS: &str = "the activations are ";
const NORMS: &str = "the norms are ";

static ALL_ACTIVATIONS: LazyLock<String> = LazyLock::new(|| list(ACTIVATIONS, Family::Activation));
static ALL_NORMS: LazyLock<String> = LazyLock::new(|| list(NORMS, Family::Norm));

/// A list of the layers of a family.
fn list(beginning: &str, family: Family) -> String {
    let all = layers().filter(|layer| layer.family == family);
    let names: Vec<String> = all.map(|layer| format!("`{}`", layer.name)).collect();
    let (last, others) = names
        .split_last()
        .map_or((String::new(), &[][..]), |(last, others)| (last.clone(), others));
    format!("{beginning}{} and {last}", others.join(", "))
}

const LOGITS: &str = "a network outputs logits; the loss, with its softmax, belongs to the trainer";
const OUTPUT: &str = "the output is the last value, or those that `output` names";
const MAPS: &str = "layers take images and vectors only";
const SIZES: &str = "strides and pooling downsample, `upsample(factor)` upsamples";

/// Plain names and what they are here.
pub(super) const TABLE: &[(&[&str], Ours)] = &[
    (
        &["conv2d", "convolution", "convolution2d", "convlayer", "cnn"],
        Name("conv"),
    ),
    (&["conv3x3"], Otherwise("write `conv(channels, kernel = 3, pad = 1)`")),
    (&["conv5x5"], Otherwise("write `conv(channels, kernel = 5, pad = 2)`")),
    (&["conv7x7"], Otherwise("write `conv(channels, kernel = 7, pad = 3)`")),
    (
        &[
            "depthwiseconv2d",
            "depthwiseconv",
            "depthwiseconvolution",
            "dwconv",
            "dwconv2d",
            "dw",
        ],
        Name("depthwise"),
    ),
    (
        &["pointwiseconv", "pointwiseconv2d", "pwconv", "pw", "conv1x1"],
        Name("pointwise"),
    ),
    (
        &["separableconv2d", "sepconv", "dsconv", "depthwiseseparableconv"],
        Otherwise("write `depthwise(kernel = 3, pad = 1); pointwise(channels)`"),
    ),
    (
        &[
            "dense",
            "fc",
            "fullyconnected",
            "innerproduct",
            "gemm",
            "lin",
            "lazylinear",
            "nnlinear",
        ],
        Name("linear"),
    ),
    (
        &["mlp", "feedforward", "ffn"],
        Otherwise("write `linear(hidden); gelu; linear(features)`, or define a block of that name"),
    ),
    (
        &[
            "bn",
            "batchnorm1d",
            "batchnorm2d",
            "batchnormalization",
            "bnorm",
            "syncbatchnorm",
            "norm",
        ],
        Name("batch_norm"),
    ),
    (
        &["ln", "layernormalization", "layernorm2d", "lnorm"],
        Name("layer_norm"),
    ),
    (
        &[
            "localresponsenorm",
            "lrn",
            "weightnorm",
            "spectralnorm",
            "l2norm",
            "unitnormalization",
        ],
        Nothing(NORMS),
    ),
    (&["gn", "groupnormalization"], Name("group_norm")),
    (&["instancenorm2d", "instancenormalization"], Name("instance_norm")),
    (&["rootmeansquarenorm", "rmsnormalization"], Name("rms_norm")),
    (&["rectifier", "rectifiedlinear"], Name("relu")),
    (&["lrelu"], Name("leaky_relu")),
    (&["exponentiallinearunit"], Name("elu")),
    (&["hyperbolictangent"], Name("tanh")),
    (
        &["gelunew", "gelupytorchtanh", "gelufast", "gelutanhapprox", "tanhgelu"],
        Name("gelu_tanh"),
    ),
    (&["swish", "sigmoidlinear"], Name("silu")),
    (&["hswish"], Name("hard_swish")),
    (&["logistic", "expit"], Name("sigmoid")),
    (&["hsigmoid"], Name("hard_sigmoid")),
    (
        &["hardtanh", "htanh", "clip"],
        Otherwise("write `clamp(min, max)`, such as `clamp(-1, 1)`"),
    ),
    (&["parametricrelu"], Name("prelu")),
    (&["relun", "cappedrelu"], Name("relu6")),
    (&["exponential"], Name("exp")),
    (&["layerscale2d", "channelscale"], Name("layer_scale")),
    (
        &["learnablebias", "biaslayer", "channelbias", "stepembedding"],
        Name("layer_shift"),
    ),
    (&["softmax2d"], Name("softmax")),
    (
        &[
            "rrelu",
            "celu",
            "glu",
            "geglu",
            "swiglu",
            "reglu",
            "softsign",
            "logsigmoid",
            "quickgelu",
            "threshold",
            "hardshrink",
            "softshrink",
            "maxout",
            "squaredrelu",
            "relu2",
        ],
        Nothing(ACTIVATIONS),
    ),
    (
        &["activation", "act", "actlayer", "nonlinearity"],
        Otherwise("write the activation itself, such as `relu` or `gelu`"),
    ),
    (
        &[
            "softmin",
            "crossentropy",
            "crossentropyloss",
            "loss",
            "nllloss",
            "criterion",
        ],
        Nothing(LOGITS),
    ),
    (&["outputs", "out", "logits", "result"], Nothing(OUTPUT)),
    (
        &["maxpool2d", "maxpooling2d", "maxpooling", "mp", "subsampling"],
        Name("max_pool"),
    ),
    (
        &["adaptiveavgpool2d"],
        Otherwise("write `adaptive_avg_pool(height, width)`, or `global_avg_pool` for one value per channel"),
    ),
    (
        &[
            "avgpool2d",
            "averagepooling2d",
            "averagepooling",
            "averagepool",
            "meanpool",
        ],
        Name("avg_pool"),
    ),
    (
        &["pool", "pooling", "pool2d"],
        Otherwise("write `max_pool(2)` or `avg_pool(2)`"),
    ),
    (
        &[
            "globalaveragepooling2d",
            "globalaveragepooling",
            "globalavgpool2d",
            "globalaveragepool",
            "gap",
            "globalpool",
            "globalpooling",
            "adaptivepool",
        ],
        Name("global_avg_pool"),
    ),
    (
        &[
            "adaptivemaxpool2d",
            "adaptivemaxpool",
            "globalmaxpooling2d",
            "globalmaxpooling",
            "globalmaxpool2d",
            "gmp",
        ],
        Name("global_max_pool"),
    ),
    (&["flatten2d", "unroll"], Name("flatten")),
    (
        &[
            "dropout1d",
            "dropout2d",
            "dropout3d",
            "spatialdropout2d",
            "alphadropout",
            "featuredropout",
            "drop",
            "do",
        ],
        Name("dropout"),
    ),
    (&["droppath"], Name("stochastic_depth")),
    (&["gaussiannoise", "randnlike"], Name("noise")),
    (
        &["dropblock", "dropblock2d"],
        Nothing("`dropout(p)` drops values, `stochastic_depth(p)` images"),
    ),
    (
        &[
            "multiheadattention",
            "mha",
            "selfattention",
            "multiheadselfattention",
            "mhsa",
            "attn",
            "selfattn",
            "attentionlayer",
            "msa",
        ],
        Name("attention"),
    ),
    (&["patchembed", "patchify", "patchembeddings"], Name("patch_embedding")),
    (
        &[
            "posembed",
            "positionalembedding",
            "positionembeddings",
            "positionalencoding",
            "posembedding",
            "posenc",
            "posemb",
            "learnedpositionembedding",
        ],
        Name("position_embedding"),
    ),
    (
        &[
            "se",
            "semodule",
            "seblock",
            "selayer",
            "squeezeexcitation",
            "squeezeexciteblock",
            "squeezeandexcitation",
            "squeezeandexcite",
        ],
        Name("squeeze_excite"),
    ),
    (&["noop", "passthrough", "skip", "nop"], Name("identity")),
    (
        &["sequential", "modulelist", "chain", "group"],
        Otherwise("layers in braces run in order: write `seq { ... }`, or `repeat n { ... }`"),
    ),
    (
        &["residualblock", "resblock", "shortcutconnection", "skipconnection"],
        Otherwise("write `residual { ... }`, or define a block of that name"),
    ),
    (&["sum", "addition", "plus", "elementwiseadd"], Otherwise(ADD)),
    (
        &["mul", "product", "times", "gate", "elementwisemul"],
        Otherwise(MULTIPLY),
    ),
    (&["concatenate", "cat", "torchcat", "stack"], Otherwise(CONCAT)),
    (
        &["zeropad2d", "zeropadding2d", "constantpad2d", "padding"],
        Otherwise(
            "write `pad(top, bottom, left, right)`; convolutions and pools pad by themselves: `conv(channels, kernel = 3, pad = 1)`",
        ),
    ),
    (
        &["reflectionpad2d", "replicationpad2d", "circularpad2d"],
        Nothing("`pad` and the padding of convolutions are zeros"),
    ),
    (
        &["upsampling2d", "upsamplingnearest2d", "interpolate", "resize"],
        Name("upsample"),
    ),
    (
        &[
            "convtranspose2d",
            "conv2dtranspose",
            "deconv",
            "deconv2d",
            "deconvolution",
            "transposedconv",
            "upconv",
        ],
        Name("conv_transpose"),
    ),
    (&["depthtospace", "subpixel"], Name("pixel_shuffle")),
    (&["shuffle"], Name("channel_shuffle")),
    (
        &["narrow", "split", "chunk", "crop"],
        Otherwise("write `slice(start, end)` for some of the channels"),
    ),
    (
        &["upsamplingbilinear2d"],
        Otherwise("write `upsample(factor, mode = bilinear)`"),
    ),
    (
        &["sub", "subtraction", "minus", "difference"],
        Otherwise("write `subtract { path { ... } path { ... } }`"),
    ),
    (
        &["conv1d", "convolution1d", "maxpool1d", "avgpool1d"],
        Otherwise(SIGNAL),
    ),
    (&["windowpartition", "partitionwindows"], Name("windows")),
    (&["windowreverse", "windowunpartition"], Name("merge_windows")),
    (&["shiftedwindowattention", "windowmsa"], Name("window_attention")),
    (&["takealongdim", "indexselect", "batchedgather"], Name("gather")),
    (&["bmm", "mm", "batchmatmul", "einsum", "dot"], Otherwise(MATMUL)),
    (&["pixelunshuffle", "unpool", "maxunpool2d"], Nothing(SIZES)),
    (
        &[
            "conv3d",
            "maxpool3d",
            "avgpool3d",
            "batchnorm3d",
            "embeddingbag",
            "lstm",
            "gru",
            "rnn",
            "lstmcell",
            "grucell",
            "simplernn",
            "bilinear",
            "transformer",
            "transformerencoderlayer",
            "transformerdecoderlayer",
            "reshape",
            "view",
            "permute",
            "transpose",
            "unfold",
            "fold",
            "crossattention",
        ],
        Nothing(MAPS),
    ),
];

const SIGNAL: &str =
    "write `conv`, `max_pool` or `avg_pool`: they are 1-d on a signal, `input channels x length as signal`";
const MATMUL: &str = "write `matmul { path { ... } path { ... } }`, or `matmul(value)` with a value that has a name";
const ADD: &str = "write `add { path { ... } path { ... } }`";
const MULTIPLY: &str = "write `multiply { path { ... } path { ... } }`";
const CONCAT: &str = "write `concat { path { ... } path { ... } }`";
