//! Arguments, initialisations, functions and statements.

use super::{Ours, find, plain};
use Ours::{Name, Nothing, Otherwise};

/// What a layer that has these parameters calls an argument of another system.
pub fn argument(name: &str, has: impl Fn(&str) -> bool) -> Option<Ours> {
    let name_here = plain(name);
    let mut entries = ARGUMENTS
        .iter()
        .filter(|(names, _)| names.contains(&name_here.as_str()));
    let ours = entries.find_map(|(_, ours)| ours.iter().find(|param| has(param)));
    ours.map(|ours| Name(ours)).or_else(|| find(NO_ARGUMENTS, name))
}

/// Plain names and the parameters they may stand for.
pub(super) const ARGUMENTS: &[(&[&str], &[&str])] = &[
    (
        &[
            "kernelsize",
            "ksize",
            "k",
            "filtersize",
            "poolsize",
            "window",
            "windowsize",
            "ks",
            "size",
        ],
        &["kernel", "size"],
    ),
    (&["slidingwindow", "localwindow"], &["window"]),
    (&["prefixlength", "prefixlen"], &["prefix"]),
    (
        &["keypaddingmask", "sequencelengths", "seqlens", "length", "validlength"],
        &["lengths"],
    ),
    (&["shiftsize", "shifts"], &["shift"]),
    (&["padding", "pads", "p"], &["pad"]),
    (&["strides", "step", "s", "subsample"], &["stride"]),
    (&["dilationrate", "dilations", "atrous", "d"], &["dilation"]),
    (
        &[
            "outchannels",
            "outchannel",
            "outfeatures",
            "filters",
            "nfilters",
            "units",
            "outputchannels",
            "out",
            "outc",
            "oc",
            "width",
            "planes",
            "dim",
            "outdim",
            "hiddensize",
            "embeddim",
            "embdim",
            "dmodel",
            "nout",
            "outchs",
            "outputdim",
        ],
        &["channels", "features"],
    ),
    (&["features"], &["channels"]),
    (&["channels"], &["features"]),
    (&["numgroups", "ngroups", "group", "cardinality"], &["groups"]),
    (&["usebias", "hasbias", "addbias", "biasterm", "qkvbias"], &["bias"]),
    (
        &[
            "kernelinitializer",
            "weightinit",
            "initializer",
            "kernelinit",
            "initialization",
        ],
        &["init"],
    ),
    (&["biasinitializer", "initbias"], &["bias_init"]),
    (
        &["numheads", "nheads", "nhead", "numattentionheads", "nhd", "h"],
        &["heads"],
    ),
    (&["epsilon", "layernormeps", "varianceepsilon"], &["eps"]),
    (&["decay", "mom"], &["momentum"]),
    (
        &["rate", "droprate", "prob", "dropprob", "probability", "dropout"],
        &["p"],
    ),
    (&["elementwiseaffine"], &["affine"]),
    (&["ceilmode"], &["ceil"]),
    (&["outputpadding"], &["output_pad"]),
    (&["upscalefactor", "scalefactor"], &["factor"]),
    (&["initvalues", "initvalue", "layerscaleinit"], &["init"]),
    (&["minval", "minimum"], &["min"]),
    (&["maxval", "maximum"], &["max"]),
    (&["depthmultiplier", "channelmultiplier", "mult"], &["multiplier"]),
    (
        &["reductionratio", "ratio", "rdratio", "r", "seratio", "squeezefactor"],
        &["reduction"],
    ),
    (&["patchsize", "patches"], &["patch"]),
    (&["downsample", "projection", "proj"], &["project"]),
];

const INPUT: &str = "leave it out: it is inferred from the previous layer";

/// Plain names of what no layer has.
const NO_ARGUMENTS: &[(&[&str], Ours)] = &[
    (
        &[
            "inchannels",
            "infeatures",
            "inputchannels",
            "indim",
            "inputdim",
            "numfeatures",
            "normalizedshape",
            "inplanes",
            "inputsize",
            "inputshape",
            "inc",
            "cin",
            "inchs",
            "numchannels",
            "insize",
        ],
        Nothing(INPUT),
    ),
    (
        &["activation", "act", "actlayer"],
        Nothing("write the activation after the layer: `; relu`"),
    ),
    (
        &["normlayer", "norm", "normalization"],
        Nothing("write the norm after the layer: `; batch_norm`"),
    ),
    (
        &["name", "label", "scope"],
        Nothing("the name comes before the layer: `conv1: conv(...)`"),
    ),
    (&["paddingmode"], Nothing("padding is always with zeros: leave it out")),
    (
        &[
            "inplace",
            "dtype",
            "device",
            "dataformat",
            "trackrunningstats",
            "affine",
            "elementwiseaffine",
            "countincludepad",
            "trainable",
            "center",
            "axis",
            "keepdim",
            "batchfirst",
            "returnindices",
            "divisoroverride",
            "kernelregularizer",
            "outputsize",
            "training",
        ],
        Nothing("there is no equivalent: leave it out"),
    ),
];

/// An initialisation by the name of another system.
pub fn init(name: &str) -> Option<&'static str> {
    let ours = match plain(name).as_str() {
        "henormal" | "kaimingnormal" | "msra" | "kaiming" | "he" => "kaiming_normal",
        "heuniform" | "kaiminguniform" => "kaiming_uniform",
        "glorotnormal" | "xaviernormal" => "xavier_normal",
        "glorotuniform" | "xavieruniform" | "glorot" | "xavier" => "xavier_uniform",
        "zero" | "zerosinit" => "zeros",
        "one" | "onesinit" => "ones",
        "truncnormal" | "truncatednormal" | "randomnormal" | "gaussian" => "normal(0.02)",
        _ => return None,
    };
    Some(ours)
}

/// A function on values by the name of another language.
pub fn function(name: &str) -> Option<Ours> {
    find(
        &[
            (
                &["floor", "int", "floordivide", "trunc", "idiv"],
                Otherwise("write `floor_div(a, b)`"),
            ),
            (&["ceil", "ceildivide", "cdiv"], Otherwise("write `ceil_div(a, b)`")),
            (
                &["if", "ifelse", "where", "cond", "iif", "ternary"],
                Otherwise("write `select(condition, a, b)`"),
            ),
            (&["clamp", "clip"], Otherwise("write `min(max(a, low), high)`")),
            (&["relu"], Otherwise("write `max(a, 0)`")),
            (&["maximum"], Name("max")),
            (&["minimum"], Name("min")),
            (
                &["pow", "exp", "log", "log2", "round", "range", "str", "float", "mod"],
                Nothing("the functions are `min`, `max`, `select`, `floor_div`, `ceil_div`, `len` and `sqrt`"),
            ),
            (&["abs"], Otherwise("write `max(a, -a)`")),
        ],
        name,
    )
}

/// What stands for a word that begins a statement in another language.
pub fn statement_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "for" | "while" | "loop" | "foreach" => "write `repeat 3 as i { ... }`",
        "if" | "elif" | "elseif" | "unless" | "switch" | "match" => "write `when condition { ... } else { ... }`",
        "def" | "fn" | "func" | "function" | "module" => "write `block name(...) { ... }`",
        "class" | "model" | "network" => "write `net name(...) { ... }`",
        "tie" | "reuse" | "shared" | "link" | "sharing" | "shares" => "write `share ...`",
        "return" | "yield" => "leave it out: the output is that of the last layer",
        "import" | "from" | "use" | "include" | "using" => {
            "imports stand outside networks and blocks, with the path in quotes: `use \"blocks.ksn\"`"
        }
        "const" | "var" | "val" | "set" | "define" => "write `let name = value`",
        _ => return None,
    })
}
