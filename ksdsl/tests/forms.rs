//! What visits make of shared kernels, as summaries and checkpoints say it.

use ksdsl::checkpoint::entries;
use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::diag::Code;
use ksdsl::ir::{Network, View};
use ksdsl::source::Source;

fn compiled(text: &str) -> Compilation {
    compile(&Source::new("forms", text), &Options::default())
}

fn network(body: &str) -> Network {
    let mut compilation = compiled(&format!("net n {{ {body} }}"));
    assert!(compilation.diagnostics.is_empty(), "{:?}", compilation.diagnostics);
    compilation.networks.remove(0)
}

/// The layers of a group with what they use of its kernel, and the sizes that it has in checkpoints.
fn group(network: &Network, name: &str) -> (Vec<(String, View)>, Vec<u64>) {
    let group = network
        .groups
        .iter()
        .find(|group| group.name == name)
        .expect("the group");
    let visits = group.visits.iter().map(|id| &network.layers[*id]);
    let key = format!("shared.{name}.weight");
    let entry = entries(network)
        .into_iter()
        .find(|entry| entry.key == key)
        .expect("the kernel");
    (
        visits.map(|layer| (layer.path.to_string(), layer.view)).collect(),
        entry.shape,
    )
}

fn visits(all: &[(&str, bool, bool)]) -> Vec<(String, View)> {
    let visit = |(path, transposed, slice): &(&str, bool, bool)| {
        let (transposed, slice) = (*transposed, *slice);
        ((*path).to_owned(), View { transposed, slice })
    };
    all.iter().map(visit).collect()
}

const DEEP: &str = "input 64
    stage encoder { linear(32); linear(16); linear(8) }
    stage decoder { linear(16); linear(32); linear(64) }";

/// Each layer of the decoder has the kernel of one of the encoder, whichever is written where.
#[test]
fn scopes_are_paired_by_sizes() {
    let network = network(&format!("{DEEP} share isomorphic in encoder with transposed decoder"));
    let expected = [
        ("encoder_linear", "encoder.linear", "decoder.linear_3", [32, 64]),
        ("encoder_linear_2", "encoder.linear_2", "decoder.linear_2", [16, 32]),
        ("encoder_linear_3", "encoder.linear_3", "decoder.linear", [8, 16]),
    ];
    for (name, one, other, shape) in expected {
        let found = group(&network, name);
        assert_eq!(
            found,
            (visits(&[(one, false, false), (other, true, false)]), shape.to_vec())
        );
    }
    // Biases have other sizes.
    assert!(network.layers.iter().all(|layer| layer.bias.is_none()));
}

/// What is stored is as the layers use it that do not use it transposed, also if these come later, and also if rows and
/// columns are as many.
#[test]
fn the_kernel_is_stored_as_it_is_used_plainly() {
    let network = network("input 4; a: linear(6); b: linear(4); share b with transposed a");
    assert_eq!(
        group(&network, "b"),
        (visits(&[("a", true, false), ("b", false, false)]), vec![4, 6])
    );
    let square = self::network("input 4; a: linear(4); b: linear(4); share a with transposed b");
    assert_eq!(
        group(&square, "a"),
        (visits(&[("a", false, false), ("b", true, false)]), vec![4, 4])
    );
}

/// `Conv2d` of PyTorch stores `[out, in]`, `ConvTranspose2d` `[in, out]`: nothing is moved.
#[test]
fn transposed_convolutions_use_kernels_as_they_are() {
    let text = "input 3 x 8 x 8
        a: conv(8, kernel = 4, stride = 2, pad = 1, groups = 1); b: conv_transpose(3, kernel = 4, stride = 2, pad = 1)
        c: conv(6, kernel = 3, pad = 1, groups = 3); d: conv_transpose(3, kernel = 3, pad = 1, groups = 3)
        share a with transposed b
        share d with transposed c";
    let network = network(text);
    let plain = |one, other| visits(&[(one, false, false), (other, false, false)]);
    assert_eq!(group(&network, "a"), (plain("a", "b"), vec![8, 3, 4, 4]));
    assert_eq!(group(&network, "d"), (plain("c", "d"), vec![6, 1, 3, 3]));
}

/// An embedding and the logits share a table as it is; a linear layer from the vocabulary can use it transposed.
#[test]
fn tables_are_kernels() {
    let text = "input 5 of 10; table: embedding(4); head: linear(10, bias = false); back: linear(4, bias = false)
        share table, head with transposed back";
    assert_eq!(
        group(&network(text), "table"),
        (
            visits(&[("table", false, false), ("head", false, false), ("back", true, false)]),
            vec![10, 4]
        )
    );
}

#[test]
fn the_largest_kernel_is_stored() {
    let text = "input 4 x 6 x 6
        a: conv(3, kernel = 3, pad = 1); b: conv(6, kernel = 3, pad = 1); c: conv(6, kernel = 3, pad = 1)
        share isomorphic conv into slices as all";
    assert_eq!(
        group(&network(text), "all"),
        (
            visits(&[("a", false, true), ("b", false, true), ("c", false, false)]),
            vec![6, 6, 3, 3]
        )
    );
    let turned = network("input 6; a: linear(6); b: linear(3); c: linear(5); share a, b with transposed c into slices");
    assert_eq!(
        group(&turned, "a"),
        (
            visits(&[("a", false, false), ("b", false, true), ("c", true, true)]),
            vec![6, 6]
        )
    );
}

/// A bank is one tensor; coefficients belong to the layers.
#[test]
fn a_bank_is_one_tensor() {
    let network = network("input 4; repeat 5 { linear(4) } share isomorphic linear at back(4) into bank(3)");
    let (visits, shape) = group(&network, "linear");
    assert_eq!((visits.len(), shape), (4, vec![3, 4, 4]));
    let own: Vec<(String, Vec<u64>)> = entries(&network)
        .into_iter()
        .filter(|entry| entry.kernel.is_some())
        .map(|entry| (entry.key, entry.shape))
        .collect();
    let expected = (1..5).map(|layer| (format!("{layer}.linear.coefficients"), vec![3]));
    assert_eq!(own, expected.collect::<Vec<_>>());
}

/// As before, without these words the layers do not share.
#[test]
fn nothing_is_transposed_or_cut_unasked() {
    let text = format!("{DEEP} share isomorphic in encoder, decoder");
    let compilation = compiled(&format!("net n {{ {text} }}"));
    assert_eq!(compilation.networks[0].groups.len(), 0);
    let codes: Vec<Code> = compilation
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert_eq!(codes, [Code::SingleMember]);
    let convs = "input 3 x 8 x 8; conv(8, kernel = 3); conv_transpose(3, kernel = 3); share isomorphic";
    assert_eq!(compiled(&format!("net n {{ {convs} }}")).networks[0].groups.len(), 0);
}

/// Each misuse is one error, at the word to blame.
#[test]
fn misuse_is_pointed_at() {
    let cases: &[(&str, Code, &str)] = &[
        (
            "input 8; a: linear(4); b: linear(8); share a, b",
            Code::NotIsomorphic,
            "a, b",
        ),
        (
            "input 8; a: linear(4); b: linear(6); share a with transposed b",
            Code::NotIsomorphic,
            "a",
        ),
        (
            "input 2 x 8 x 8; a: conv(2, kernel = 3); b: conv(2, kernel = 3); share a with transposed b",
            Code::NotIsomorphic,
            "a",
        ),
        (
            "input 8; a: linear(8); layer_norm; share a with transposed layer_norm",
            Code::NothingToShare,
            "layer_norm",
        ),
        (
            "input 8; repeat 2 { linear(8) } share isomorphic linear into bank(3)",
            Code::TooManyGroups,
            "bank(3)",
        ),
        (
            "input 8; repeat 2 { linear(8); layer_norm } share isomorphic layer_norm into bank(2)",
            Code::NothingToShare,
            "bank(2)",
        ),
        (
            "input 2 x 8 x 8; repeat 2 { conv_transpose(2, kernel = 3) } share isomorphic conv_transpose into slices",
            Code::NothingToShare,
            "slices",
        ),
        (
            "input 8; a: linear(4); b: linear(6); share a, b into slices",
            Code::NotIsomorphic,
            "slices",
        ),
        (
            "input 8; repeat 2 { linear(8) } share bias of isomorphic linear into slices",
            Code::SurplusArgument,
            "slices",
        ),
        (
            "input 8; repeat 2 { linear(8) } share isomorphic linear into bank",
            Code::MissingArgument,
            "bank",
        ),
        (
            "input 8; repeat 2 { linear(8) } share isomorphic linear into slices(2)",
            Code::SurplusArgument,
            "2",
        ),
        (
            "input 2 x 8 x 8; a: conv(4, kernel = 3); b: conv_transpose(2, kernel = 3)
             share a with transposed b with private scale",
            Code::NothingToShare,
            "scale",
        ),
    ];
    for (body, code, place) in cases {
        let text = format!("net n {{ {body} }}");
        let found = compiled(&text).diagnostics;
        let found: Vec<(Code, &str)> = found
            .iter()
            .map(|diagnostic| (diagnostic.code, &text[diagnostic.primary.span.range()]))
            .collect();
        assert_eq!(found, [(*code, *place)], "{body}");
    }
}
