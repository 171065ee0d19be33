//! Properties of the whole compiler on texts and expressions made at random.

use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::Code;
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use ksdsl::value::Value;
use proptest::prelude::*;

/// Everything a user sees of a compilation.
fn outcome(text: &str) -> (String, Vec<String>) {
    let source = Source::new("random.ksn", text);
    let Compilation {
        networks, diagnostics, ..
    } = compile(&source, &Options::default());
    for diagnostic in &diagnostics {
        let labels = diagnostic.secondary.iter().chain([&diagnostic.primary]);
        for span in labels.map(|label| label.span.range()) {
            assert!(
                text.get(span.clone()).is_some(),
                "{diagnostic:?} points outside of {text:?}"
            );
        }
    }
    let places = diagnostics.iter().map(|diagnostic| diagnostic.primary.span);
    assert!(places.is_sorted(), "{diagnostics:?}");
    let summaries = networks.iter().map(|network| Summary::new(network, 8).to_string());
    (render(&source, &diagnostics, false), summaries.collect())
}

/// The networks of a text as data.
fn summaries(text: &str) -> Vec<Summary> {
    let compilation = compile(&Source::new("random.ksn", text), &Options::default());
    match compilation.has_errors() {
        true => Vec::new(),
        false => compilation
            .networks
            .iter()
            .map(|network| Summary::new(network, 8))
            .collect(),
    }
}

/// What a text means, and the codes of what is wrong with it.
fn meaning(text: &str) -> (Vec<String>, Vec<Code>) {
    let compilation = compile(&Source::new("random.ksn", text), &Options::default());
    let summaries = compilation
        .networks
        .iter()
        .map(|network| Summary::new(network, 8).to_string());
    let codes = compilation.diagnostics.iter().map(|diagnostic| diagnostic.code);
    (summaries.collect(), codes.collect())
}

/// Words and signs of the language, with a few that are not.
const TOKENS: &[&str] = &[
    "net",
    "block",
    "stage",
    "input",
    "let",
    "share",
    "residual",
    "shortcut",
    "add",
    "multiply",
    "concat",
    "path",
    "repeat",
    "when",
    "else",
    "seq",
    "true",
    "false",
    "and",
    "or",
    "not",
    "as",
    "in",
    "x",
    "isomorphic",
    "into",
    "groups",
    "blocks",
    "with",
    "norms",
    "at",
    "cycle",
    "random",
    "sandwich",
    "private",
    "scale",
    "low_rank",
    "front",
    "rate",
    "_",
    "kernel",
    "bias",
    "of",
    "conv",
    "linear",
    "batch_norm",
    "relu",
    "flatten",
    "global_avg_pool",
    "max_pool",
    "squeeze_excite",
    "attention",
    "patch_embedding",
    "position_embedding",
    "same",
    "project",
    "a",
    "b",
    "s1",
    "s2",
    "width",
    "0",
    "1",
    "2",
    "3",
    "8",
    "1.5",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "{",
    "}",
    ",",
    ";",
    ":",
    "=",
    "==",
    "!=",
    "<",
    "<=",
    "+",
    "-",
    "*",
    "/",
    "%",
    ".",
    "..",
    "**",
    "\n",
    "//",
    "/*",
    "*/",
    "é",
    "\0",
    "3x3",
    "input 3 x 8 x 8",
    "net a {",
];

/// Statements that are right by themselves, most of them also after each other.
const STATEMENTS: &[&str] = &[
    "conv(8, kernel = 3, pad = 1)",
    "c: conv(8, kernel = 3, pad = 1)",
    "relu",
    "batch_norm",
    "max_pool(2)",
    "let k = 2",
    "residual(project = on_shape_change) { conv(4, kernel = 1) }",
    "repeat 2 { conv(8, kernel = 1) }",
    "r: repeat 3 { conv(8, kernel = 1, bias = true) }",
    "when true { relu } else { gelu }",
    "b(4)",
    "squeeze_excite(2)",
    "attention(2)",
    "patch_embedding(8, patch = 2)",
    "position_embedding",
    "concat { path { relu } path { conv(8, kernel = 1) } }",
    "add { path { relu } path { gelu } }",
    "stage s { conv(8, kernel = 3, pad = 1); conv(8, kernel = 3, pad = 1) }",
    "share isomorphic conv",
    "share r[*].conv",
    "share isomorphic conv in s",
    "share kernel of r[0..2].conv into 2 groups",
    "share r[*].conv into cycle_rev(2) at sandwich",
    "share r[*].conv into [0, _, 0]",
    "share isomorphic conv into random(rate = 2, seed = 5) at back(0.5)",
    "share blocks r[*]",
    "share isomorphic conv in s with private scale, bias",
    "share r[*].conv with private low_rank(2), scale",
    "share blocks in ** with norms into strided(2)",
    "global_avg_pool",
    "linear(10)",
];

fn tokens() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(TOKENS), 0..60).prop_map(|tokens| tokens.join(" "))
}

fn statements() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(STATEMENTS), 1..8).prop_map(|statements| {
        format!(
            "block b(width) {{ conv(width, kernel = 1); relu }}\nnet a {{\n    input 8 x 16 x 16\n    {}\n}}\n",
            statements.join("\n    ")
        )
    })
}

/// An expression as text in the language, and its value by the rules of the language's book, or
/// the code of the error that computing it gives.
#[derive(Clone, Debug)]
struct Known {
    text: String,
    value: Result<i128, Code>,
}

fn number() -> impl Strategy<Value = Known> {
    prop_oneof![0i64..100, 0i64..=i64::MAX].prop_map(|value| Known {
        text: value.to_string(),
        value: Ok(value.into()),
    })
}

/// Every step must stay within 64 bits.
fn fits(value: i128) -> Result<i128, Code> {
    i64::try_from(value).map(i128::from).map_err(|_| Code::Overflow)
}

fn apply(operator: &str, a: i128, b: i128) -> Result<i128, Code> {
    match operator {
        "+" => fits(a + b),
        "-" => fits(a - b),
        "*" => fits(a * b),
        "min" => Ok(a.min(b)),
        "max" => Ok(a.max(b)),
        _ if b == 0 => Err(Code::DivisionByZero),
        "/" if a % b != 0 => Err(Code::InexactDivision),
        "/" => fits(a / b),
        "%" => Ok(a - b.abs() * floor(a, b.abs())),
        "floor_div" => fits(floor(a, b)),
        _ => fits(-floor(-a, b)),
    }
}

/// The largest integer that is at most `a / b`.
fn floor(a: i128, b: i128) -> i128 {
    let (a, b) = if b < 0 { (-a, -b) } else { (a, b) };
    (a - ((a % b) + b) % b) / b
}

fn expression() -> impl Strategy<Value = Known> {
    number().prop_recursive(5, 40, 3, |inner| {
        let operators = prop::sample::select(vec!["+", "-", "*", "/", "%", "min", "max", "floor_div", "ceil_div"]);
        prop_oneof![
            (operators, inner.clone(), inner.clone()).prop_map(|(operator, a, b)| Known {
                text: if operator.len() > 1 {
                    format!("{operator}({}, {})", a.text, b.text)
                } else {
                    format!("({} {operator} {})", a.text, b.text)
                },
                // The operands are computed from left to right.
                value: a.value.and_then(|x| b.value.and_then(|y| apply(operator, x, y))),
            }),
            inner.clone().prop_map(|a| Known {
                text: format!("(-{})", a.text),
                value: a.value.and_then(|value| fits(-value)),
            }),
            (inner.clone(), inner.clone(), inner.clone(), inner).prop_map(|(a, b, c, d)| Known {
                text: format!("select({} < {}, {}, {})", a.text, b.text, c.text, d.text),
                // All arguments are computed, whichever is taken.
                value: a.value.and_then(|a| {
                    let (b, c, d) = (b.value?, c.value?, d.value?);
                    Ok(if a < b { c } else { d })
                }),
            }),
        ]
    })
}

/// A flat chain, in which precedence decides.
fn chain() -> impl Strategy<Value = (Vec<i128>, Vec<&'static str>)> {
    let operators = prop::collection::vec(prop::sample::select(vec!["+", "-", "*", "%"]), 1..12);
    operators.prop_flat_map(|operators| {
        let operands = prop::collection::vec(1i128..20, operators.len() + 1);
        (operands, Just(operators))
    })
}

/// First all `*` and `%`, then all `+` and `-`, each from left to right.
fn evaluate(operands: &[i128], operators: &[&str]) -> i128 {
    let (mut terms, mut signs) = (vec![operands[0]], Vec::new());
    for (operator, operand) in operators.iter().zip(&operands[1..]) {
        let last = terms.len() - 1;
        match *operator {
            "*" => terms[last] *= operand,
            "%" => terms[last] %= operand,
            sign => {
                signs.push(sign);
                terms.push(*operand);
            }
        }
    }
    let rest = signs.iter().zip(&terms[1..]);
    rest.fold(
        terms[0],
        |sum, (sign, term)| if *sign == "+" { sum + term } else { sum - term },
    )
}

/// The value of the parameter `value` of a network with this default, or the codes reported.
fn compiled(text: &str) -> Result<Value, Vec<Code>> {
    let source = Source::new("random.ksn", format!("net a(value = {text}) {{ input 3; relu }}"));
    let compilation = compile(&source, &Options::default());
    match compilation.networks.first() {
        Some(network) if compilation.diagnostics.is_empty() => Ok(network.parameters[0].1.clone()),
        _ => Err(compilation
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code)
            .collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        outcome(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_characters_never_panic(text in "[ -~\\n\u{e9}\u{1f980}]{0,120}") {
        outcome(&text);
    }

    #[test]
    fn random_tokens_never_panic(text in tokens()) {
        outcome(&text);
    }

    #[test]
    fn comments_and_blanks_change_nothing_but_places(text in statements(), comment in "[a-z{}();]{0,8}") {
        let spread = text.replace('\n', &format!(" // {comment}\n\n  \t")).replace("; ", " /* ; */ ; ");
        prop_assert_eq!(meaning(&spread), meaning(&text), "{}", spread);
    }

    #[test]
    fn sharing_changes_neither_shapes_nor_unshared_counts(text in statements()) {
        let unshared: String = text.lines().filter(|line| !line.trim_start().starts_with("share ")).map(|line| format!("{line}\n")).collect();
        let (with, without) = (summaries(&text), summaries(&unshared));
        for (with, without) in with.iter().zip(&without) {
            prop_assert_eq!(without.parameters.trainable, without.parameters.unshared, "{}", unshared);
            prop_assert_eq!(with.parameters.unshared, without.parameters.trainable, "{}", text);
            // An addition of low rank costs multiply-adds of its own.
            let adds = text.contains("low_rank");
            prop_assert!(if adds { with.macs >= without.macs } else { with.macs == without.macs }, "{}", text);
            let shapes = |summary: &Summary| -> Vec<_> {
                let layers = summary.layers.iter();
                layers.map(|layer| (layer.path.clone(), layer.output.clone(), layer.unshared)).collect()
            };
            prop_assert_eq!(shapes(with), shapes(without), "{}", text);
            let stored: u64 = with.layers.iter().map(|layer| layer.stored).sum();
            prop_assert_eq!(with.parameters.trainable, stored, "{}", text);
        }
    }

    #[test]
    fn cut_statements_never_panic(text in statements(), at in 0usize..400, cut in 0usize..20) {
        let at = at.min(text.len());
        let cut = cut.min(text.len() - at);
        outcome(&format!("{}{}", &text[..at], &text[at + cut..]));
    }

    /// Whatever stands in the text, there is the network or an error.
    #[test]
    fn tokens_in_statements_are_errors_or_networks(text in statements(), token in prop::sample::select(TOKENS), at in 0usize..400) {
        let at = at.min(text.len());
        let text = format!("{} {token} {}", &text[..at], &text[at..]);
        let (rendered, summaries) = outcome(&text);
        let failed = compile(&Source::new("random.ksn", text.as_str()), &Options::default()).has_errors();
        prop_assert_eq!(failed, rendered.contains("error[KS"), "{}", rendered);
        prop_assert!(failed || summaries.len() == 1 || at < text.find("input").unwrap_or(0), "{}", text);
    }

    #[test]
    fn expressions_have_their_values(known in expression()) {
        match (known.value, compiled(&known.text)) {
            (Ok(value), result) => {
                prop_assert_eq!(result, Ok(Value::Int(i64::try_from(value).expect("checked by `fits`"))), "{}", known.text);
            }
            // Other parts may be wrong as well; the first error is among those reported.
            (Err(code), Err(codes)) => prop_assert!(codes.contains(&code), "{}: {codes:?}, not {code:?}", known.text),
            (Err(code), Ok(value)) => prop_assert!(false, "{} is {value:?}, not {code:?}", known.text),
        }
    }

    #[test]
    fn operators_bind_as_in_mathematics((operands, operators) in chain()) {
        let rest = operators.iter().zip(&operands[1..]).map(|(operator, operand)| format!(" {operator} {operand}"));
        let text = format!("{}{}", operands[0], rest.collect::<String>());
        // At most 12 operands below 20: no product leaves 64 bits (20^12 < 2^52).
        let value = i64::try_from(evaluate(&operands, &operators)).expect("small");
        prop_assert_eq!(compiled(&text), Ok(Value::Int(value)), "{}", text);
    }
}
