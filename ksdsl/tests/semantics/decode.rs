//! Networks token by token: the same as the whole pass, which needs no cache, at every position; and why others cannot.

use ksdsl::compile::{Options, compile};
use ksdsl::graph::{Decoder, Error, Graph, Parameter};
use ksdsl::ir::Network;
use ksdsl::source::Source;
use ksdsl::value::Value;
use ksdsl_cpu::{CpuExec, CpuReal};
use ksdsl_engine::Exec;

const GPT2: &str = include_str!("../../../examples/nets/gpt2.ksn");
const MOBILELLM: &str = include_str!("../../../examples/nets/mobilellm.ksn");
pub(super) const ALBERT: &str = include_str!("../../../examples/nets/albert.ksn");
const TRM: &str = include_str!("../../../examples/nets/trm.ksn");
const TOKENS: &str = include_str!("../../../tests/nets/tokens.ksn");

/// Everything that depends on positions: learned and fixed positions, masks of all kinds, chunks, biases of distances, and
/// causal convolutions.
const POSITIONS: &str = "
block masked(kind) {
    when kind == 0 { attention(2, causal = true, window = 3) }
    when kind == 1 { attention(2, causal = true, prefix = 4) }
    when kind == 2 { attention(2, causal = true, chunk = 4, window = 3) }
    when kind == 3 { attend(heads = 2, causal = true, grid = 1 x 12, relative = true) { path {} path { linear(8) } path {} } }
    when kind == 4 { attend(heads = 2, causal = true, chunk = 4, grid = 2 x 2, relative = true) { path {} path { linear(8) } path {} } }
    when kind == 5 { attention(2, causal = true, chunk = 6) }
    when kind == 6 { attention(2, key_heads = 1, causal = true, qk_norm = true) }
}
net positions(kind) {
    input 12 of 9
    embedding(8); sinusoidal_positions
    repeat 2 { residual { layer_norm; masked(kind) }; residual { rms_norm; linear(12); gelu; linear(8) } }
    linear(9)
}
net places { input 12 of 9; embedding(8); position_embedding; rotary(2); sinusoidal_positions; noise(0.5); linear(9); gelu }
net waves {
    input 12 of 9
    embedding(6)
    to_signal
    conv(8, kernel = 3, pad = causal, dilation = 2, bias = true); relu
    residual { conv(8, kernel = 2, pad = causal); batch_norm; tanh }
    depthwise(kernel = 4, pad = causal)
    pointwise(6)
    to_tokens
    softmax
    linear(9)
}
";

/// Loops: in each other, around visits of one kernel, and after something that every iteration sees.
pub(super) const LOOPS: &str = "
block layer {
    residual {
        rms_norm
        attend(heads = 2, key_heads = 1, causal = true) {
            path { linear(8); rotary(2) }
            path { linear(4); rotary(1) }
            path { linear(4) }
        }
        linear(8)
    }
    residual { rms_norm; linear(12); silu; linear(8) }
}
net looped {
    input 10 of 7
    embedding(8); position_embedding
    keep start
    outer: repeat up to 3 {
        add(start)
        layer
        inner: repeat up to 2 { layer }
    }
    layer
    linear(7)
}
";

pub(super) fn network(text: &str, net: &str, settings: &[(&str, i64)]) -> Network {
    let options = Options {
        net: Some(net.to_owned()),
        set: settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::Int(*value)))
            .collect(),
    };
    let source = Source::new("net.ksn", text);
    let mut compilation = compile(&source, &options);
    assert!(
        !compilation.has_errors(),
        "{}",
        ksdsl::render::render(&source, &compilation.diagnostics, false)
    );
    compilation.networks.pop().unwrap()
}

/// Values that differ from each other, those of norms near one.
fn values<E: CpuReal>(parameter: &Parameter) -> Option<Vec<E>> {
    scaled(parameter, 0.7)
}

/// The same with kernels of this amplitude.
pub(super) fn scaled<E: CpuReal>(parameter: &Parameter, amplitude: f64) -> Option<Vec<E>> {
    let fan = parameter.shape.last().map_or(1.0, |fan| *fan as f64);
    let start = parameter
        .key
        .bytes()
        .fold(0.0, |sum, byte| 1.7 * sum % 9.0 + f64::from(byte));
    let value = |at: usize| {
        let wave = (0.9 * at as f64 + start).sin();
        E::of(match parameter.shape.len() {
            1 if parameter.key.ends_with("weight") || parameter.key.ends_with("var") => 1.0 + 0.2 * wave,
            1 => 0.3 * wave,
            _ => amplitude * wave / fan.sqrt(),
        })
    };
    Some((0..parameter.len).map(value).collect())
}

fn graph<E: CpuReal>(network: Network) -> Graph<E, CpuExec>
where
    CpuExec: Exec<E>,
{
    Graph::new(network, CpuExec, values).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(super) fn tokens(context: usize, vocabulary: usize) -> Vec<usize> {
    (0..context).map(|at| (at * at * 5 + at + 3) % vocabulary).collect()
}

/// Equal up to rounding, which is relative to the largest value.
pub(super) fn near<E: CpuReal>(what: &str, ours: &[E], theirs: &[E]) {
    let bound = if size_of::<E>() == 4 { 1e-5 } else { 1e-12 };
    let largest = theirs.iter().map(|value| value.wide().abs()).fold(0.0, f64::max);
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let (ours, theirs) = (ours.wide(), theirs.wide());
        assert!((ours - theirs).abs() <= bound * largest, "{what}: {ours} and {theirs}");
    }
}

/// The output at every position by the whole pass, which keeps nothing.
fn whole<E: CpuReal>(graph: &Graph<E, CpuExec>, tokens: &[usize]) -> Vec<Vec<E>>
where
    CpuExec: Exec<E>,
{
    let ids: Vec<E> = tokens.iter().map(|token| E::of(*token as f64)).collect();
    let y = graph.infer(&ids).unwrap();
    y.chunks_exact(y.len() / tokens.len()).map(<[E]>::to_vec).collect()
}

pub(super) fn decoder<'g, E: CpuReal>(graph: &'g Graph<E, CpuExec>) -> Decoder<'g, E, CpuExec>
where
    CpuExec: Exec<E>,
{
    graph.decoder().unwrap_or_else(|error| panic!("{error}"))
}

/// Step by step, and in pieces of several sizes, the outputs are those of the whole pass.
pub(super) fn decodes<E: CpuReal>(what: &str, graph: &Graph<E, CpuExec>, vocabulary: usize)
where
    CpuExec: Exec<E>,
{
    let mut decoder = decoder(graph);
    let (context, prefix) = (decoder.context(), decoder.prefix());
    let tokens = tokens(context, vocabulary);
    let whole = whole(graph, &tokens);
    let spread = whole.iter().flatten().map(|value| value.wide()).fold(0.0, f64::max);
    assert!(spread > 1e-2, "{what}: outputs that say something");
    for size in [1, 2, 3, context - 1, context] {
        decoder.truncate(0);
        let mut done = prefix.max(size);
        let first = decoder.prefill(&tokens[..done]).unwrap();
        near(what, &first, &whole[done - 1]);
        while done < context {
            let next = context.min(done + size);
            let output = decoder.prefill(&tokens[done..next]).unwrap();
            near(
                &format!("{what}, pieces of {size}, token {next}"),
                &output,
                &whole[next - 1],
            );
            done = next;
        }
        assert_eq!(decoder.len(), context);
    }
    // After going back, other tokens come next.
    decoder.truncate(context / 2);
    if decoder.len() >= prefix {
        near(what, &decoder.step(tokens[context / 2]).unwrap(), &whole[context / 2]);
    }
}

fn both_precisions(text: &str, net: &str, settings: &[(&str, i64)], vocabulary: usize) {
    decodes(net, &graph::<f64>(network(text, net, settings)), vocabulary);
    decodes(net, &graph::<f32>(network(text, net, settings)), vocabulary);
}

#[test]
fn token_by_token_equals_the_whole_pass() {
    let sizes = [("vocabulary", 11), ("context", 9), ("width", 12), ("heads", 3)];
    both_precisions(GPT2, "gpt2", &[&sizes[..], &[("depth", 2)]].concat(), 11);
    let sizes = [
        ("vocabulary", 13),
        ("context", 9),
        ("width", 24),
        ("heads", 3),
        ("key_heads", 1),
        ("hidden", 20),
    ];
    for visits in [1, 2, 4] {
        both_precisions(
            MOBILELLM,
            "mobilellm",
            &[&sizes[..], &[("depth", 2), ("visits", visits)]].concat(),
            13,
        );
    }
    for net in ["decoder_shared", "decoder_free"] {
        both_precisions(TOKENS, net, &[], 7);
    }
}

#[test]
fn positions_count_from_the_start_of_the_sequence() {
    for kind in 0..7 {
        both_precisions(POSITIONS, "positions", &[("kind", kind)], 9);
    }
    both_precisions(POSITIONS, "places", &[], 9);
    both_precisions(POSITIONS, "waves", &[], 9);
}

#[test]
fn iterations_have_keys_of_their_own() {
    for [outer, inner] in [[3, 2], [1, 2], [2, 1]] {
        let mut graph = graph::<f64>(network(LOOPS, "looped", &[]));
        graph.set_steps("outer", outer).unwrap();
        graph.set_steps("inner", inner).unwrap();
        decodes("looped", &graph, 7);
        let mut decoder = decoder(&graph);
        decoder.step(1).unwrap();
        assert_eq!(decoder.iterations(), outer + outer * inner);
    }
}

/// Of several outputs the first is meant.
#[test]
fn the_first_output_is_that_of_the_last_token() {
    let text = "net n {
        input 6 of 5
        embedding(4); residual { attention(2, causal = true) }
        keep state
        linear(5)
        output logits
        from state; linear(3)
        output others
    }";
    let graph = graph::<f64>(network(text, "n", &[]));
    let (mut decoder, ids) = (decoder(&graph), tokens(6, 5));
    let values: Vec<f64> = ids.iter().map(|id| *id as f64).collect();
    let whole = graph.infer_all(&[&values]).unwrap().remove(0);
    near("first", &decoder.prefill(&ids[..4]).unwrap(), &whole[15..20]);
    near("first", &decoder.prefill(&ids[4..]).unwrap(), &whole[25..]);
}

#[test]
fn the_newest_token_can_be_the_output() {
    let text = "net n { input 6 of 5; embedding(4); residual { attention(2, causal = true) }; token(5); linear(5) }";
    let graph = graph::<f64>(network(text, "n", &[]));
    let mut decoder = decoder(&graph);
    let ids = tokens(6, 5);
    let mut last = Vec::new();
    for token in &ids {
        last = decoder.step(*token).unwrap();
    }
    let ids: Vec<f64> = ids.iter().map(|id| *id as f64).collect();
    near("token(5)", &last, &graph.infer(&ids).unwrap());
}

/// Why a network does not run token by token, and the text at the place that is blamed.
fn refused(text: &str, net: &str, settings: &[(&str, i64)]) -> (String, String) {
    let graph = graph::<f32>(network(text, net, settings));
    let error = graph.decoder().map(|_| ()).unwrap_err();
    let place = error.span().map_or(String::new(), |span| text[span.range()].to_owned());
    (error.to_string(), place)
}

#[test]
fn networks_that_see_later_tokens_are_refused() {
    let body = |body: &str| refused(&format!("net n {{ input 6 of 5; embedding(4); {body} }}"), "n", &[]);
    let cases = [
        (
            "attention(2); linear(5)",
            "`attention.attend`: it sees later tokens: it has no `causal = true`",
            "",
        ),
        (
            "linear(4); global_avg_pool; linear(5)",
            "`global_avg_pool`: it pools over all positions, later ones included",
            "global_avg_pool",
        ),
        (
            "flatten; linear(5)",
            "`flatten`: it makes one vector of all positions, later ones included",
            "flatten",
        ),
        (
            "softmax(over_positions = true); linear(5)",
            "`softmax`: its softmax is over all positions",
            "softmax(over_positions = true)",
        ),
        (
            "token(2); linear(5)",
            "`token`: it takes a token that is not the last one, which is the newest when tokens are generated",
            "token(2)",
        ),
        (
            "class_token; linear(5)",
            "`class_token`: it puts a token before those of the input, so that positions no longer correspond",
            "class_token",
        ),
        (
            "to_signal; conv(4, kernel = 3, pad = 1); to_tokens",
            "`conv`: it sees later positions or leaves positions out: it needs `pad = causal` and stride 1",
            "conv(4, kernel = 3, pad = 1)",
        ),
        (
            "to_signal; max_pool(2); to_tokens",
            "`max_pool`: it combines positions, later ones included, or moves them",
            "max_pool(2)",
        ),
        (
            "attention(2, causal = true, chunk = 3, prefix = 1)",
            "`attention.attend`: each of its chunks has a prefix",
            "",
        ),
    ];
    for (text, reason, place) in cases {
        let (message, blamed) = body(text);
        assert_eq!(message, format!("network `n` cannot run token by token: {reason}"));
        assert!(place.is_empty() || blamed == place, "{text}: {blamed}");
        assert!(!blamed.is_empty(), "{text}");
    }
    let sizes = [
        ("vocabulary", 11),
        ("context", 6),
        ("small", 4),
        ("width", 8),
        ("heads", 2),
        ("depth", 1),
    ];
    let (message, _) = refused(ALBERT, "albert", &sizes);
    let reason = "network `albert` cannot run token by token: it has 2 inputs, not one of token ids";
    assert_eq!(message, reason);
    let sizes = [
        ("vocabulary", 11),
        ("length", 6),
        ("width", 8),
        ("heads", 2),
        ("hidden", 8),
        ("updates", 1),
        ("rounds", 1),
        ("steps", 1),
    ];
    let error = graph::<f32>(network(TRM, "trm", &sizes))
        .decoder()
        .map(|_| ())
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("it sees later tokens: it has no `causal = true`"),
        "{message}"
    );
    assert!(message.contains(".think[0].attention"), "{message}");
    let (message, _) = refused("net n { input 6 x 4; linear(4) }", "n", &[]);
    let reason = "its input is a sequence of 6 tokens of 4 features, not token ids";
    assert_eq!(message, format!("network `n` cannot run token by token: {reason}"));
}

#[test]
fn what_does_not_fit_leaves_the_sequence_as_it_was() {
    let graph = graph::<f64>(network(POSITIONS, "positions", &[("kind", 1)]));
    let (mut decoder, ids) = (decoder(&graph), tokens(12, 9));
    let whole = whole(&graph, &ids);
    assert_eq!(decoder.prefix(), 4);
    let error = decoder.prefill(&ids[..3]).unwrap_err();
    assert_eq!(error, Error::Prefix { prefix: 4, tokens: 3 });
    assert_eq!(
        error.to_string(),
        "the first 4 tokens see each other and must come together, but there are 3"
    );
    assert!(decoder.prefill(&[]).is_err());
    assert!(decoder.prefill(&[1, 2, 9, 0]).is_err(), "no such token");
    assert!(decoder.is_empty());
    decoder.prefill(&ids[..5]).unwrap();
    assert!(matches!(decoder.step(9), Err(Error::Exec(_))));
    let error = decoder.prefill(&ids[..8]).unwrap_err();
    assert_eq!(error.to_string(), "the network takes at most 12 tokens, not 13");
    near("after errors", &decoder.prefill(&ids[5..]).unwrap(), &whole[11]);
    assert!(matches!(
        decoder.step(0),
        Err(Error::Full {
            context: 12,
            tokens: 13
        })
    ));
}
