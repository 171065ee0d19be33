//! Whatever the text, compiling ends with networks or diagnostics: it never panics, overflows the
//! stack (2 MiB, a new thread's) or exhausts memory, and ends soon.

use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::Code;
use ksdsl::limits;
use ksdsl::render::render;
use ksdsl::source::Source;
use std::sync::mpsc;
use std::time::Duration;

/// Far longer than any case takes, also without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The codes reported for a text, after rendering it, on a thread of the usual stack size.
fn codes(text: String) -> Vec<Code> {
    let (send, receive) = mpsc::channel();
    let work = move || {
        let source = Source::new("limits.ksn", text);
        let started = std::time::Instant::now();
        let Compilation { diagnostics, .. } = compile(&source, &Options::default());
        let compiled = started.elapsed();
        let rendered = render(&source, &diagnostics, false);
        assert!(rendered.len() < 1 << 20, "{} bytes rendered", rendered.len());
        if std::env::var_os("SHOW_TIMES").is_some() {
            eprintln!(
                "{:?} compile {compiled:?} render {:?}",
                std::thread::current().name(),
                started.elapsed() - compiled
            );
        }
        let codes = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        send.send(codes).expect("the test waits");
    };
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let thread = std::thread::Builder::new().name(name).stack_size(2 << 20).spawn(work);
    let codes = receive.recv_timeout(PATIENCE).expect("an outcome in time");
    thread.expect("a thread").join().expect("no panic");
    codes
}

fn net(body: &str) -> String {
    format!("net a(k = 1, t = true) {{ input 3 x 32 x 32\n{body}\n}}\n")
}

fn many(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

/// As many pieces as a source can hold, with some room around them.
fn full(piece: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut count = 0;
    for number in 0.. {
        let next = piece(number);
        count += tokens(&next);
        if text.len() + next.len() > limits::SOURCE_BYTES - 1000 || count > limits::TOKENS - 100 {
            break;
        }
        text += &next;
    }
    text
}

/// Words, and signs one by one.
fn tokens(text: &str) -> usize {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    words.count() + text.chars().filter(|c| !is_word(*c) && !c.is_whitespace()).count()
}

macro_rules! limits {
    ($($name:ident: $text:expr => $code:ident;)+) => {
        $(#[test]
        fn $name() {
            let codes = codes($text);
            assert!(codes.contains(&Code::$code), "{codes:?}");
        })+
    };
}

limits! {
    billion_iterations: net("repeat 1_000_000_000 { relu }") => NetworkTooLarge;
    nested_iterations: net("repeat 100000 { repeat 100000 { relu } }") => NetworkTooLarge;
    nested_empty_iterations: net("relu; repeat 200000 { repeat 200000 { } }") => NetworkTooLarge;
    nested_skipped_iterations: net(&format!("repeat 200000 {{ {} }}", "when not t { relu } ".repeat(20_000))) => NetworkTooLarge;
    constants_in_iterations: net(&format!("repeat 200000 {{ {} }}", many(20_000, |n| format!("let a{n} = {n}\n")))) => NetworkTooLarge;
    long_constants_in_iterations: net(&format!("repeat 200000 {{ let a = 1{} }}", " + 1".repeat(255))) => NetworkTooLarge;
    defaults_in_iterations: format!(
        "block b({}) {{ identity }}\n{}",
        many(256, |n| format!("p{n} = 1 + 2 * 3 - 4 + 5,")),
        net("repeat 200000 { b }")
    ) => NetworkTooLarge;
    doubling_blocks: many(40, |n| format!("block b{n} {{ b{}; b{} }}\n", n + 1, n + 1))
        + "block b40 { relu }\n" + &net("b0") => NetworkTooLarge;
    doubling_empty_blocks: many(40, |n| format!("block b{n} {{ b{}; b{} }}\n", n + 1, n + 1))
        + "block b40 { identity }\n" + &net("b0") => NetworkTooLarge;
    doubling_channels: net("repeat 70 { concat { path { identity } path { identity } } }") => NetworkTooLarge;
    deep_long_paths: {
        let open = many(40, |n| format!("{}{n}: seq {{ ", "n".repeat(100)));
        net(&format!("{open} repeat 150000 {{ relu }} {}", "}".repeat(40)))
    } => NetworkTooLarge;
    family_of_instances: net("repeat 100000 { relu }") + &many(20_000, |n| format!("net n{n} = a(k = {n})\n")) => NetworkTooLarge;
    chain_of_blocks: many(10_000, |n| format!("block b{n} {{ b{} }}\n", n + 1))
        + "block b10000 { relu }\n" + &net("b0") => NestingTooDeep;
    full_chain_of_blocks: full(|n| format!("block b{n} {{ b{} }}\n", n + 1)) => UnknownCall;
    ring_of_blocks: many(10_000, |n| format!("block b{n} {{ b{} }}\n", (n + 1) % 10_000)) + &net("b0") => Recursion;
    web_of_blocks: many(200, |n| format!("block b{n} {{ {} }}\n", many(200, |m| format!("b{m} ")))) + &net("b0") => Recursion;

    parentheses: net(&format!("conv({}1{}, kernel = 1)", "(".repeat(10_000), ")".repeat(10_000))) => NestingTooDeep;
    braces: net(&format!("{}relu{}", "seq { ".repeat(10_000), " }".repeat(10_000))) => NestingTooDeep;
    square_brackets: net(&format!("share s{}0{}", "[".repeat(10_000), "]".repeat(10_000))) => NestingTooDeep;
    open_parentheses: "(".repeat(10_000) => NestingTooDeep;
    open_braces: "{".repeat(10_000) => NestingTooDeep;
    closed_braces: "}".repeat(10_000) => Syntax;
    comments: format!("{}{}{}", "/*".repeat(10_000), "*/".repeat(10_000), net("relu")) => NestingTooDeep;
    open_comments: "/*".repeat(10_000) => NestingTooDeep;
    lone_comment: format!("{}/*", net("relu")) => Syntax;
    functions: net(&format!("conv({}1{}, kernel = 1)", "max(1, ".repeat(10_000), ")".repeat(10_000))) => NestingTooDeep;
    else_chain: net(&format!("{} {{ relu }} {}", "when not t { relu } else { when t ".repeat(5_000), "}".repeat(5_000))) => NestingTooDeep;
    else_when_chain: net(&format!("when t {{ relu }} {}", "else when t { relu } ".repeat(10_000))) => Syntax;

    operators: net(&format!("conv(1{}, kernel = 1)", " + 1".repeat(10_000))) => NumberTooLarge;
    operators_in_brackets: {
        let inner = (0..60).fold("1".to_owned(), |inner, _| format!("({inner}{})", " + 1".repeat(200)));
        net(&format!("conv({inner}, kernel = 1)"))
    } => NumberTooLarge;
    negations: net(&format!("when {} t {{ relu }}", "not ".repeat(10_000))) => Syntax;
    signs: net(&format!("conv({}1, kernel = 1)", "- ".repeat(10_000))) => Syntax;
    digits: net(&format!("conv({}, kernel = 1)", "9".repeat(500_000))) => NumberTooLarge;
    fraction_digits: net(&format!("dropout(2.{})", "9".repeat(500_000))) => OutOfRange;
    exponents: net(&format!("dropout(1e{})", "9".repeat(500_000))) => NumberTooLarge;
    compact_sizes: net(&format!("conv(8, kernel = 1{})", "x1".repeat(100_000))) => WrongType;
    spaced_sizes: net(&format!("conv(8, kernel = 1{})", " x 1".repeat(100_000))) => WrongType;

    hundred_megabytes: "a;".repeat(50_000_000) => SourceTooLarge;
    hundred_megabytes_of_lines: "\n".repeat(100_000_000) => SourceTooLarge;
    mebibyte_of_steps: "a;".repeat(1 << 19) => SourceTooLarge;
    steps_outside: full(|_| "a;".into()) => Syntax;
    steps_on_one_line: net(&full(|_| "a;".into())) => UnknownCall;
    wrong_words_on_one_line: net(&full(|n| format!("staeg{n} "))) => UnknownCall;
    wrong_items: full(|_| "net stage {}".into()) => Syntax;
    wrong_lines: full(|_| "block b { staeg x y }\n".into()) => Syntax;
    arguments: net(&format!("conv({})", full(|_| "1,".into()))) => SurplusArgument;
    named_arguments: net(&format!("conv({})", full(|n| format!("a{n}=1,")))) => UnknownArgument;
    parameters: format!("block b({}) {{ relu }}\n{}", full(|n| format!("p{n} = 1,")), net("b")) => SourceTooLarge;
    deep_selectors: net(&format!("relu\nshare {}", full(|_| "**.".into()) + "relu")) => NothingToShare;
    many_selectors: net(&format!("relu\nshare {}", full(|_| "**,".into()) + "relu")) => MatchesNothing;
    wide_selectors: net(&format!("repeat 100000 {{ relu }}\n{}", many(1000, |_| "share isomorphic conv in **\n".into()))) => NetworkTooLarge;
    whole_network_clauses: net(&format!("repeat 100000 {{ relu }}\n{}", full(|_| "share isomorphic\n".into()))) => NetworkTooLarge;
    shares_of_one: net(&format!("r: repeat 40000 {{ conv(3, kernel = 1) }}\n{}", many(20_000, |n| format!("share r[{n}].conv as k\n")))) => DuplicateName;
    unnamed_shares: net(&format!("r: repeat 40000 {{ conv(3, kernel = 1) }}\n{}", many(30_000, |n| format!("share r[{n}].conv\n")))) => SingleMember;
    shares_of_nothing: net(&format!("relu\n{}", full(|n| format!("share s{n}\n")))) => MatchesNothing;
    wildcards: net(&format!("{}: relu\nshare {}b", "a".repeat(120), "a*".repeat(60))) => MatchesNothing;

    networks: full(|n| format!("net n{n} {{ input 3; relu; rleu }}\n")) => UnknownCall;
    same_networks: full(|_| "net n { input 3; relu }\n".into()) => DuplicateName;
    instances_of_nothing: full(|n| format!("net n{n} = m{n}\n")) => UnknownNet;
    blocks: full(|n| format!("block b{n} {{ c{n} }}\n")) => UnknownCall;
    inner_blocks: net(&full(|n| format!("block b{n} {{ c{n} }}\n"))) => UnknownCall;
    same_blocks: full(|_| "block b { relu }\n".into()) => DuplicateName;
    blocks_and_networks: many(10_000, |n| format!("block b{n} {{ relu }}\n")) + &many(10_000, |n| format!("net n{n} {{ input 3; relu }}\n")) => NetworkTooLarge;
    constants: net(&(full(|n| format!("let a{n} = b{n}\n")) + "relu")) => UnknownName;
    same_constants: net(&(full(|_| "let a = 1\n".into()) + "relu")) => DuplicateName;
    labels: net(&full(|_| "a: relu\n".into())) => DuplicateName;
    unknown_names: net(&full(|n| format!("conv(a{n})"))) => UnknownName;
    unknown_functions: net(&full(|n| format!("conv(a{n}(1))"))) => UnknownName;
    inputs: net(&full(|_| "input 3\n".into())) => Input;

    long_name: net(&format!("{}: relu", "n".repeat(500_000))) => ReservedName;
    long_call: net(&"n".repeat(500_000)) => ReservedName;
    nul_bytes: "\0".repeat(100_000) => Syntax;
    nul_in_a_network: net("relu \0 relu") => Syntax;
    letters_of_the_world: full(|_| "网络 ネット сеть 🦀 é\n".into()) => Syntax;
    letters_on_one_line: full(|_| "网络🦀".into()) => Syntax;
    letters_in_a_network: net("stage größe { relu }") => Syntax;
    byte_order_mark: format!("\u{feff}{}", net("relu")) => Syntax;
    huge_sizes: net("conv(1048576, kernel = 1048576)") => SizeReachesZero;
    huge_tensor: net("conv(1048576, kernel = 1048576, pad = 1048576)") => NetworkTooLarge;
    huge_input: "net a { input 1048576 x 1048576 x 1048576; flatten }".to_owned() => NetworkTooLarge;
    huge_channels: net("conv(1, kernel = 32); repeat 60 { depthwise(1, multiplier = 1048576) }") => NetworkTooLarge;
    huge_depthwise: net("conv(1048576, kernel = 32); depthwise(1, multiplier = 1048576); depthwise(1048576, pad = 1048576)") => NetworkTooLarge;
}

#[test]
fn line_ends_of_other_systems() {
    let text = net("conv(8, kernel = 3)\nrelu").replace('\n', "\r\n");
    assert_eq!(codes(text), []);
}

#[test]
fn the_largest_nesting_allowed() {
    let braces = |n: usize| net(&format!("{}relu{}", "seq { ".repeat(n), " }".repeat(n)));
    assert_eq!(codes(braces(limits::BRACKET_DEPTH - 1)), []);
    let residuals = |n: usize| {
        net(&format!(
            "{}relu{}",
            "residual { repeat 1 { ".repeat(n),
            " }}".repeat(n)
        ))
    };
    assert_eq!(codes(residuals(limits::BRACKET_DEPTH / 2 - 1)), []);
    let brackets = |n: usize| net(&format!("conv({}8{}, kernel = 3)", "(".repeat(n), ")".repeat(n)));
    assert_eq!(codes(brackets(limits::BRACKET_DEPTH - 2)), []);
    let functions = |n: usize| {
        net(&format!(
            "conv({}8{}, kernel = 3)",
            "(max(1, ".repeat(n),
            "))".repeat(n)
        ))
    };
    assert_eq!(codes(functions(30)), []);
    let blocks = |n: usize| {
        let blocks = many(n, |at| format!("block b{at} {{ residual {{ b{} }} }}\n", at + 1));
        blocks + &format!("block b{n} {{ relu }}\n") + &net("b0")
    };
    assert_eq!(codes(blocks(30)), []);
    let operators = format!("conv(1{}, kernel = 3)", " + 1".repeat(limits::OPERATORS));
    assert_eq!(codes(net(&operators)), []);
}

#[test]
fn the_largest_networks_allowed() {
    assert_eq!(codes(net("repeat 199_000 { relu }")), []);
    assert_eq!(
        codes(net("r: repeat 99_000 { conv(3, kernel = 1) }\nshare r[*].conv")),
        []
    );
}

/// What is just within a limit, and one more.
#[test]
fn limits_are_where_they_are_said_to_be() {
    use limits::*;
    let fill = |bytes: usize| {
        let text = net("relu");
        format!("{text}//{}", "x".repeat(bytes - text.len() - 2))
    };
    // `net a(k = 1, t = true) { input 3 x 32 x 32 ... }` has 19 words, numbers and signs, `when not t { }` five.
    let steps = |tokens: usize| {
        let odd = if tokens.is_multiple_of(2) { "" } else { "relu" };
        net(&format!(
            "relu\nwhen not t {{ {}{odd} }}",
            "relu;".repeat((tokens - 19 - 6) / 2)
        ))
    };
    let parameters = |count: usize| {
        format!(
            "block b({}) {{ relu }}\n{}",
            many(count, |n| format!("p{n} = 1,")),
            net("b")
        )
    };
    let code = |text: String| codes(text).first().copied();
    type Text<'t> = &'t dyn Fn(usize) -> String;
    let cases: [(usize, Code, Text<'_>); 11] = [
        (SOURCE_BYTES, Code::SourceTooLarge, &fill),
        (TOKENS, Code::SourceTooLarge, &steps),
        (BRACKET_DEPTH - 1, Code::NestingTooDeep, &|n| {
            net(&format!("{}relu{}", "seq { ".repeat(n), " }".repeat(n)))
        }),
        (BRACKET_DEPTH, Code::NestingTooDeep, &|n| {
            net(&format!("{}{} relu", "/*".repeat(n), "*/".repeat(n)))
        }),
        (NAME_LENGTH, Code::ReservedName, &|n| {
            net(&format!("{}: relu", "n".repeat(n)))
        }),
        (PARAMETERS, Code::SourceTooLarge, &parameters),
        (OPERATORS, Code::NumberTooLarge, &|n| {
            net(&format!("conv(1{}, kernel = 3)", " + 1".repeat(n)))
        }),
        (LAYERS - 1, Code::NetworkTooLarge, &|n| {
            net(&format!("repeat {n} {{ relu }}"))
        }),
        (DIMENSION as usize, Code::OutOfRange, &|n| {
            format!("net a {{ input {n}; relu }}")
        }),
        // Rows of 2^20 values.
        ((ELEMENTS >> 20) as usize, Code::OutOfRange, &|n| {
            format!("net a {{ input {}; linear({n}, bias = false); linear(1) }}", 1 << 20)
        }),
        (EXPANSION_DEPTH - 1, Code::NestingTooDeep, &|n| {
            let blocks = many(n, |at| format!("block b{at} {{ b{} }}\n", at + 1));
            blocks + &format!("block b{n} {{ relu }}\n") + &net("b0")
        }),
    ];
    for (at, (limit, beyond, text)) in cases.iter().enumerate() {
        assert_eq!(code(text(*limit)), None, "case {at}, at the limit");
        assert_eq!(code(text(limit + 1)), Some(*beyond), "case {at}, beyond");
    }
    let many_errors = net(&many(DIAGNOSTICS + 9, |n| format!("unknown{n}\n")));
    assert_eq!(
        codes(many_errors)
            .iter()
            .filter(|code| **code == Code::UnknownCall)
            .count(),
        DIAGNOSTICS
    );
}

/// A network of `relu` and a repetition costs 1 for each, and for each iteration 1 and what its statements cost: 1, and
/// 1 for every 32 bytes of their expressions.
#[test]
fn steps_are_counted_as_documented() {
    let sum = |bytes: usize| format!("1{}", "+1".repeat(bytes / 2));
    let truth = |words: usize| format!("t{}", " and t".repeat(words));
    for (statements, cost) in [
        (format!("let a = 1; {}", "seq { } repeat 0 { } ".repeat(2)), 5),
        (format!("let a = {0}; let b = {0}; let c = {0}", sum(30)), 3),
        (format!("let a = {0}; let b = {0}; let c = {0}", sum(32)), 3 * 2),
        // 1 + 6 * 6 bytes.
        (format!("when {} {{ }} ", truth(6)).repeat(5), 5 * 2),
        (format!("repeat {} - 17 {{ }} ", sum(32)).repeat(3), 3 * 2),
        // A branch, and each of its paths.
        ("add { path { } path { } path { } }".to_owned(), 4),
        // The argument has 1 + 6 * 60 bytes; a layer follows.
        (format!("residual(norm = {}) {{ relu }}", truth(60)), 1 + 12 + 1),
    ] {
        let most = (limits::STEPS - 1 - 2) / (1 + cost);
        for (count, expected) in [(most, vec![]), (most + 1, vec![Code::NetworkTooLarge])] {
            assert_eq!(
                codes(net(&format!("relu\nrepeat {count} {{ {statements} }}"))),
                expected,
                "{count} times {statements}"
            );
        }
    }
}

/// 20,000 networks of a line each, whose code would have some thirty million tokens.
#[test]
fn code_of_many_networks() {
    let codes = codes(many(20_000, |n| format!("net n{n} {{ input 4; relu }}\n")));
    assert_eq!(codes, [Code::NetworkTooLarge]);
}

/// As many layers, in scopes of which no two are equal.
#[test]
fn code_of_different_blocks() {
    let text = net("global_avg_pool; repeat 30000 as i { linear(1 + i); relu }");
    assert_eq!(codes(text), [Code::NetworkTooLarge]);
}

/// Every network keeps the text that specifies it: 10,000 instances of half a megabyte would be 5 GB.
#[test]
fn texts_of_many_instances() {
    let family = format!("net a(k = 1) {{ input 4; relu /* {} */ }}\n", "x".repeat(500_000));
    let codes = codes(family + &many(10_000, |n| format!("net n{n} = a(k = {n})\n")));
    assert_eq!(codes, [Code::NetworkTooLarge]);
}
