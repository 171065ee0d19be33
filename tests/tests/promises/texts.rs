//! What the compiler says and writes of a network that shares: counts, memory, exported modules.

use crate::model::*;
use ksdsl::export::pytorch;
use ksdsl::spec::Spec;
use ksdsl::summary::Summary;
use ksdsl_runtime::prelude::NumParams;
use std::path::Path;

fn tied() -> Spec {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("nets/tied.ksn");
    Spec::read(file).unwrap().network("tied_shared")
}

fn summary() -> Summary {
    tied().summary().unwrap()
}

/// The network as a PyTorch module.
fn exported(spec: &Spec) -> String {
    pytorch::module(&spec.compile_one().unwrap().0, &[])
}

/// <https://github.com/TylerYep/torchinfo/issues/377>, <https://github.com/sksq96/pytorch-summary/issues/201>
#[test]
fn a_summary_counts_a_kernel_once() {
    let parameters = summary().parameters;
    assert_eq!(parameters.trainable, PARAMETERS as u64);
    assert_eq!(parameters.unshared, UNSHARED as u64);
    assert_eq!(parameters.buffers, STATISTICS as u64);
}

/// <https://github.com/mlverse/torch/issues/305>
#[test]
fn a_model_counts_a_kernel_once() {
    let model = build::<f64>(1);
    assert_eq!(model.num_trainable_params(), PARAMETERS);
    assert_eq!(unrolled(&model).num_trainable_params(), UNSHARED);
}

/// <https://github.com/pytorch/torchtitan/pull/3225>, <https://github.com/sovrasov/flops-counter.pytorch/issues/106>
#[test]
fn multiply_adds_count_at_each_visit() {
    // Four convolutions at 6 x 6 positions with windows of 3 x 3; four linear layers and the last one.
    let convolutions = 36 * 9 * (3 * 4 + 3 * 4 * 4);
    assert_eq!(summary().macs, convolutions + 4 * 4 * 4 + 4 * 3);
}

/// <https://github.com/huggingface/accelerate/pull/2330>
#[test]
fn a_kernel_takes_its_memory_once() {
    assert_eq!(summary().memory.model_bytes, 4 * (PARAMETERS + STATISTICS) as u64);
}

/// <https://github.com/pytorch/pytorch/issues/114743>, <https://github.com/pytorch/pytorch/issues/127357>
#[test]
fn an_exported_module_has_a_kernel_once() {
    let module = exported(&tied());
    // One parameter of that shape, below `shared`; no layer holds an alias of it.
    assert_eq!(module.matches("4, 4, 3, 3)").count(), 1, "{module}");
    assert!(module.contains("self.kernel = Layer(weight=uniform("), "{module}");
    assert_eq!(
        module.matches("kernel.weight\"] = self.kernel.weight").count(),
        1,
        "{module}"
    );
    assert_eq!(module.matches("self.kernel").count(), 2, "{module}");
}

/// <https://github.com/huggingface/transformers/issues/8869>
#[test]
fn an_exported_module_does_not_grow_with_the_visits() {
    let albert = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nets/albert.ksn");
    let [few, many] = [4, 40].map(|depth| {
        let spec = Spec::read(&albert).unwrap().network("albert").set("depth", depth);
        let parameters = spec.summary().unwrap().parameters.trainable;
        (exported(&spec).matches("uniform(").count(), parameters)
    });
    assert_eq!(few, many);
}

/// A module whose layers have these names.
fn named(names: &str) -> String {
    let layer = |name: &str| format!("    {name}: conv(3, kernel = 3)\n");
    let layers: Vec<String> = names.split_whitespace().map(layer).collect();
    let text = format!("net named {{\n    input 3 x 99 x 99\n{}}}\n", layers.concat());
    exported(&Spec::parse("named.ksn", &text))
}

/// That none of these names is written as an attribute, and each as a key.
fn are_keys(names: &str) {
    let module = named(names);
    // Helpers have attributes of their own; the network's class is the last.
    let class = &module[module.rfind("\nclass ").unwrap()..];
    for name in names.split_whitespace() {
        assert!(class.contains(&format!("self[\"{name}\"]")), "{name} in:\n{class}");
        for (at, attribute) in class.match_indices(&format!("self.{name}")) {
            let next = class[at + attribute.len()..].chars().next();
            let longer = next.is_some_and(|next| next.is_alphanumeric() || next == '_');
            assert!(longer, "{attribute} in:\n{class}");
        }
    }
}

/// <https://github.com/pytorch/pytorch/pull/191687>
#[test]
fn keywords_of_python_are_names() {
    // keyword.kwlist of Python 3.13, less the words that the language has for itself.
    are_keys(
        "None assert async await break class continue def del elif except finally global import is lambda \
         nonlocal pass raise return try while yield",
    );
}

/// <https://github.com/pytorch/pytorch/issues/71203>
#[test]
fn attributes_of_modules_are_names() {
    // Of dir(torch.nn.Module()).
    are_keys(
        "add_module apply buffers children compile cpu double eval forward get_parameter half load_state_dict modules \
         parameters register_buffer requires_grad_ state_dict to train training type zero_grad",
    );
}
