//! A safetensors file, and a network that it may fit: tensors or an error; what is read can be written and read again.
#![no_main]

use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Private, Shared, Tensor, resolve, to_bytes};
use libfuzzer_sys::fuzz_target;

fn expected(key: &str, shape: &[u64]) -> Expected {
    Expected {
        key: key.to_owned(),
        shape: shape.to_vec(),
        kind: None,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let file = match File::parse(bytes) {
        Ok(file) => file,
        Err(damage) => return drop(damage.to_string()),
    };
    let tensors: Vec<Tensor<'_>> = file
        .keys()
        .filter_map(|key| {
            let view = file.get(key)?;
            Some(Tensor {
                key: key.to_owned(),
                kind: view.kind,
                shape: view.shape.to_vec(),
                data: view.data.into(),
            })
        })
        .collect();
    let again = File::parse(to_bytes(&tensors, &[])).expect("what was written");
    assert!(file.keys().eq(again.keys()));
    assert!(file.keys().all(|key| file.get(key) == again.get(key)));

    let network = [
        expected("shared.k.weight", &[2, 1]),
        expected("a.scale", &[2]),
        expected("a.low_rank_a", &[1, 1]),
        expected("a.low_rank_b", &[2, 1]),
        expected("c.bias", &[]),
    ];
    let sharing = [Shared {
        key: "shared.k.weight".to_owned(),
        visits: vec!["a.weight".to_owned(), "b.weight".to_owned()],
        copies: true,
    }];
    let private = ["a.scale", "a.low_rank_a", "a.low_rank_b"].map(|key| Private {
        key: key.to_owned(),
        kernel: "a.weight".to_owned(),
    });
    let _ = resolve(&file, &network, &sharing).map_err(|problems| problems.to_string());
    let _ = unroll(&file, &network, &sharing, &private, &[]);
    for method in [
        Method::Mean,
        Method::First,
        Method::Scalar(&file),
        Method::Channel(&file),
    ] {
        let _ = fuse(&file, &network, &sharing, &private, method);
    }
});
