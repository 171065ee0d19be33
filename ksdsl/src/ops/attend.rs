//! Scaled dot-product attention. Its tokens are the positions of maps, row by row; a token's features are the
//! channels.

use super::mask::{Mask, one_number};
use super::prelude::*;
use crate::steps::Kind;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "attend",
    doc: "scaled dot-product attention (Vaswani et al. 2017) of queries, keys and values",
    params: &[
        param("heads", ParamKind::Size, true),
        param("key_heads", ParamKind::Size, false),
        param("causal", ParamKind::Flag, false),
        param("window", ParamKind::Whole, false),
        param("prefix", ParamKind::Whole, false),
        param("chunk", ParamKind::Whole, false),
        param("lengths", ParamKind::Value, false),
        param("grid", ParamKind::Zeros, false),
        param("relative", ParamKind::Flag, false),
        param("map", ParamKind::Zeros, false),
        param("shift", ParamKind::Zeros, false),
        param("relative_init", ParamKind::Init, false),
    ],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [3, 3],
        resolve: |args, inputs| {
            let heads = args.size("heads", 1);
            split(positions_of("attend", inputs[0])?, heads)?;
            let attend = Attend {
                heads,
                key_heads: key_heads(args, heads)?,
                keys: inputs.get(1).map_or(1, |keys| keys.pixels()),
                tokens: matches!(inputs[0], Shape::Tokens { .. }),
                mask: Mask::of(args, inputs[0])?,
                init: Init::of(
                    Some(args.init("relative_init").unwrap_or(InitChoice::Normal(DEVIATION))),
                    1.0,
                    1.0,
                ),
            };
            Ok(Op::new(attend))
        },
    },
}];

/// The standard deviation of the biases of relative positions at the start (Liu et al. 2021, as published).
const DEVIATION: f64 = 0.02;

/// The heads of keys and values, each of which serves as many heads of the queries.
pub(super) fn key_heads(args: &Args, heads: u64) -> Result<u64, Problem> {
    let key_heads = args.size("key_heads", heads);
    if heads.is_multiple_of(key_heads) {
        return Ok(key_heads);
    }
    let text = format!("{heads} heads cannot share {key_heads} heads of keys: {heads} is not divisible by {key_heads}");
    Err(Problem::new(Code::InexactDivision, text)
        .at("key_heads")
        .help("choose a number that divides the heads"))
}

/// Whether so many channels can be split into heads.
pub(super) fn split(channels: u64, heads: u64) -> Result<(), Problem> {
    if channels.is_multiple_of(heads) {
        return Ok(());
    }
    let text =
        format!("{channels} channels cannot be split into {heads} heads: {channels} is not divisible by {heads}");
    Err(Problem::new(Code::InexactDivision, text)
        .at("heads")
        .help("choose a number of heads that divides the channels"))
}

/// Scaled dot-product attention (Vaswani et al. 2017, section 3.2) over positions or tokens, on queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Attend {
    /// Heads, each on as many channels.
    pub heads: u64,
    /// Heads of keys and values (Ainslie et al. 2023).
    key_heads: u64,
    /// Which keys a query sees.
    mask: Mask,
    /// The number of keys.
    keys: u64,
    tokens: bool,
    init: Init,
}

impl Attend {
    /// The shape that keys and values must have, but for their number of tokens.
    fn key(&self, query: Shape) -> Shape {
        query.with_channels(query.channels() / self.heads * self.key_heads)
    }

    /// The keys that meet a query of all.
    fn keys(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let what = "queries, keys and values of one attention";
        let [query, key, value] = inputs else {
            return equal(inputs, what);
        };
        equal(&[*key, *value], "keys and values of one attention")?;
        let lengths = matches!((query, key), (Shape::Tokens { .. }, Shape::Tokens { .. })) && !self.mask.is_of_places();
        let fits = match lengths {
            true => key.channels() == self.key(*query).channels(),
            false => *key == self.key(*query),
        };
        match fits {
            true => Ok(*key),
            false => equal(&[self.key(*query), *key], what),
        }
    }
}

/// What stands for a score that is masked where all of a query's may be.
const HIDDEN: f64 = -1e30;

fn onnx_softmax(scores: &str, to: &mut Onnx<'_>) -> String {
    to.node("Softmax", &[scores], vec![onnx::last_axis()])
}

impl Operation for Attend {
    fn call(&self) -> Call {
        let call = Call::new(if self.mask.is_plain() {
            "attend"
        } else {
            "masked_attend"
        });
        let call = call.with("heads", self.heads).with("key_heads", self.key_heads);
        self.mask.call(call)
    }

    fn word(&self) -> &'static str {
        "attend"
    }

    fn takes(&self, input: Shape) -> bool {
        is_numbers(input)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let (paths, lengths) = inputs.split_at(inputs.len().min(3));
        self.keys(paths)?;
        lengths.iter().try_for_each(|lengths| one_number(*lengths))?;
        Ok(inputs[0])
    }

    fn input_name(&self, input: usize) -> &'static str {
        ["query", "key", "value", "lengths"]
            .get(input)
            .copied()
            .unwrap_or("path")
    }

    fn tensors(&self) -> Vec<Tensor> {
        let biases = |distances| Tensor::new("weight", &[distances, self.heads], Part::Kernel, self.init);
        self.mask.distances().map(biases).into_iter().collect()
    }

    fn sharing(&self) -> Option<Sharing> {
        self.mask.distances()?;
        Some(Sharing {
            what: "attention with relative positions",
            sizes: vec![("grid", self.mask.grid.to_vec()), ("number of heads", vec![self.heads])],
            whole: Some("biases of relative positions are shared as a whole"),
            ..Sharing::default()
        })
    }

    /// Each channel of a query meets that of every key of its chunk, and each of its outputs every value; a mask saves none.
    fn macs(&self, output: Shape) -> u128 {
        let keys = if self.mask.chunk > 0 {
            self.mask.chunk
        } else {
            self.keys
        };
        2 * u128::from(keys) * u128::from(output.elements())
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![format!("heads {}", self.heads)];
        words.extend((self.key_heads != self.heads).then(|| format!("key heads {}", self.key_heads)));
        words.extend(self.mask.details());
        words
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        self.mask.decodes()
    }

    fn whole_prefix(&self) -> u64 {
        self.mask.prefix
    }

    fn rust(&self, to: &mut Rust) {
        let (heads, key_heads, causal) = (rust::size(self.heads), rust::size(self.key_heads), self.mask.causal);
        let inputs = to.inputs();
        let names: Vec<_> = inputs.iter().map(|(name, _)| name).collect();
        if !self.mask.is_plain() {
            let (paths, lengths) = names.split_at(3);
            let lengths = lengths.first().map_or(quote!(None), |lengths| quote!(Some(#lengths)));
            let fields = self.mask.rust();
            let operation = quote!(rt::op::MaskedAttend {
                heads: #heads, key_heads: #key_heads, #fields ..rt::op::MaskedAttend::PLAIN
            });
            let table = to.tensor("weight");
            return to.call(match self.mask.distances() {
                Some(_) => quote!(rt::op::biased_attend(#operation, #(#paths),*, #lengths, #table)),
                None => quote!(rt::op::masked_attend(#operation, #(#paths),*, #lengths)),
            });
        }
        to.call(quote!(rt::op::Attend::<#heads, #key_heads, #causal>::apply(#(#names),*)));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let inputs = to.inputs();
        let [query, key, value] = [&inputs[0], &inputs[1], &inputs[2]];
        let heads = onnx::Heads {
            heads: self.heads,
            key_heads: self.key_heads,
            chunks: query.1.pixels().checked_div(self.mask.chunk).unwrap_or(1),
        };
        let scores = heads.scores([query, key], to);
        let tokens = [query.1.pixels(), key.1.pixels()].map(|tokens| tokens / heads.chunks.max(1));
        let scores = self.mask.onnx_biases(scores, heads, to);
        let seen = self.mask.onnx_seen(heads, tokens, to);
        let lengths = inputs.get(3).map(|(lengths, _)| lengths.as_str());
        let seen = self.mask.onnx_present(seen, lengths, heads, tokens[1], to);
        let shares = match &seen {
            None => onnx_softmax(&scores, to),
            Some(seen) => {
                let hidden = to.real(f64::NEG_INFINITY);
                // A query that sees no key, which only lengths can make, would have no shares that are numbers.
                let hidden = if lengths.is_some() { to.real(HIDDEN) } else { hidden };
                let scores = to.apply("Where", &[seen, &scores, &hidden]);
                let shares = onnx_softmax(&scores, to);
                let none = to.real(0.0);
                match lengths {
                    Some(_) => to.apply("Where", &[seen, &shares, &none]),
                    None => shares,
                }
            }
        };
        heads.values(&shares, value, query.1, to)
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let inputs = to.inputs();
        if !self.mask.is_plain() || inputs.len() != 3 {
            return Err(Unsupported::with("it has a mask other than a causal one"));
        }
        let kind = Kind::Attend {
            heads: lower::count(self.heads),
            key_heads: lower::count(self.key_heads),
            causal: self.mask.causal,
        };
        Ok(to.step(kind, &[inputs[0].0, inputs[1].0, inputs[2].0]))
    }

    fn python(&self, to: &mut Python) {
        let (helper, function) = match (self.mask.is_plain(), self.tokens) {
            (false, _) => (&super::mask::MASKED_ATTEND, "masked_attend"),
            (true, true) => (&ATTEND_TOKENS, "attend_tokens"),
            (true, false) => (&ATTEND, "attend"),
        };
        to.needs(helper);
        let mut args: Vec<String> = to.inputs().into_iter().map(|(name, _)| name).collect();
        let lengths = args.split_off(3);
        args.push(self.heads.to_string());
        args.extend((self.key_heads != self.heads).then(|| format!("key_heads={}", self.key_heads)));
        args.extend(lengths.into_iter().map(|lengths| format!("lengths={lengths}")));
        args.extend(
            to.tensors(&["weight"])
                .into_iter()
                .map(|table| format!("biases={table}")),
        );
        args.extend(self.mask.python());
        to.call_of(function, args, "");
    }
}

const ATTEND: Helper = Helper {
    name: "multi_head_attention",
    needs: &[],
    text: r#"def heads_of(x, heads: int):
    """Feature maps as `[batch, head, position, channel of the head]`."""
    return x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)


def attend(query, key, value, heads: int, key_heads: int = 0, causal: bool = False):
    """Multi-head scaled dot-product attention over positions; a head is a range of channels."""
    key_heads = key_heads or heads
    y = F.scaled_dot_product_attention(
        heads_of(query, heads),
        heads_of(key, key_heads),
        heads_of(value, key_heads),
        is_causal=causal,
        enable_gqa=key_heads != heads,
    )
    return y.transpose(2, 3).reshape(query.shape)
"#,
};

const ATTEND_TOKENS: Helper = Helper {
    name: "multi_head_attention_of_tokens",
    needs: &[],
    text: r#"def attend_tokens(query, key, value, heads: int, key_heads: int = 0, causal: bool = False):
    """Multi-head scaled dot-product attention over tokens; a head is a range of features."""
    key_heads = key_heads or heads
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)
    key, value = (x.unflatten(2, (key_heads, -1)).transpose(1, 2) for x in (key, value))
    y = F.scaled_dot_product_attention(
        query, key, value, is_causal=causal, enable_gqa=key_heads != heads
    )
    return y.transpose(1, 2).flatten(2)
"#,
};
