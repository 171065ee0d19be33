//! Networks on the graph executor, as `ksn train` trains them: on the GPU against the CPU.

use crate::support::{Outcome, assert_agree, gpu};
use ksdsl::graph::train::{Model, Training};
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use ksdsl_cpu::CpuExec;
use ksdsl_cuda_tests::counts;
use ksdsl_engine::Exec;
use ksdsl_engine::update::Updates;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::loss::cross_entropy;
use ksdsl_train_core::optim::{AdamW, Method, Sgd};

const STEPS: u64 = 6;
const BATCH: usize = 6;
/// Values that stay below this are rounding.
const LEAST: f64 = 1e-5;

/// Kernels of a group and of a bank, norms, a gate, dropout.
const CONVOLUTIONS: &str = "
net convolutions {
    input 3 x 6 x 6
    stage stem { conv(8, kernel = 3, pad = 1); batch_norm; relu }
    stage body {
        repeat 3 {
            residual { conv: conv(8, kernel = 3, pad = 1); batch_norm; gelu; squeeze_excite(reduction = 4) }
            pointwise: pointwise(8, bias = true); relu; dropout(0.2)
        }
    }
    stage head { global_avg_pool; linear(4) }
    share body[*].conv
    share body[*].pointwise into bank(2)
}
";

/// A loop whose visits add updates of low rank.
const LOOP: &str = "
net looped {
    input 3 x 6 x 6
    stage stem { patch_embedding(12, 2); position_embedding(init = normal(0.5)) }
    stage body {
        repeat 3 {
            residual { norm1: layer_norm; attention: attention(3) }
            residual { norm2: layer_norm; up: pointwise(20, bias = true); gelu; down: pointwise(12, bias = true) }
        }
    }
    stage head { layer_norm; global_avg_pool; linear(4) }
    share body[*].attention.q
    share body[*].up with private low_rank(2)
    share body[*].down
}
";

fn network(text: &str) -> Network {
    Spec::parse("test.ksn", text).compile_one().unwrap().0
}

fn recipe(method: Method) -> Recipe {
    Recipe {
        method,
        clip: Some(1.0),
        ..Recipe::default()
    }
}

/// The losses of some steps on one batch, and the tensors after them.
fn trained<X: Updates<f32>>(exec: X, network: &Network, recipe: &Recipe) -> (Training<(), X>, Outcome) {
    let model = Model::on(exec, network, 7).unwrap();
    let mut training = Training::new(recipe, model, ()).unwrap();
    let losses = steps(&mut training, 0);
    assert!(losses[losses.len() - 1] < losses[0], "the loss falls: {losses:?}");
    let mut outcome: Outcome = vec![("losses".into(), losses)];
    outcome.extend(tensors(training.model()));
    (training, outcome)
}

fn images() -> Vec<f32> {
    let wave = |i: usize| ((i * i % 97) as f32 / 48.0 - 1.0) * (1.0 + (i % 7) as f32 / 5.0);
    (0..BATCH * 3 * 6 * 6).map(wave).collect()
}

fn steps<X: Updates<f32>>(training: &mut Training<(), X>, first: u64) -> Vec<f64> {
    let images = images();
    let mut targets = vec![0.0; BATCH * 4];
    (0..BATCH).for_each(|n| targets[n * 4 + n % 4] = 1.0);
    let step = |at| {
        let stepped = training.step_on(&[&images], (0.01, first + at), |outputs| {
            let (loss, gradient) = cross_entropy(&outputs[0], &targets, 4);
            (loss, vec![gradient])
        });
        stepped.unwrap().loss
    };
    (0..STEPS).map(step).collect()
}

fn tensors<X: Exec<f32>>(model: &Model<X>) -> Outcome {
    let graph = model.graph();
    let keys = graph.parameters().iter().map(|parameter| parameter.key.clone());
    let values = |key: String| {
        let values = graph.values(&key).unwrap().unwrap();
        (key, values.into_iter().map(f64::from).collect())
    };
    keys.map(values).collect()
}

/// Initial values, dropout, gradients of shared kernels, both optimisers and clipping are the CPU's up to rounding.
#[test]
fn networks_train_as_on_the_cpu() {
    let gpu = gpu(0);
    for text in [CONVOLUTIONS, LOOP] {
        let network = network(text);
        // The gradient of a key's bias is zero but for rounding, which Adam must not bring to the size of a step.
        let adam = AdamW {
            eps: 1e-3,
            ..AdamW::default()
        };
        for method in [Sgd::default().into(), adam.into()] {
            let recipe = recipe(method);
            let (_, want) = trained(CpuExec, &network, &recipe);
            let (_, got) = trained(gpu.exec.clone(), &network, &recipe);
            let worst = assert_agree(&got, &want, LEAST, 1e-3);
            println!("{}: {worst:.1e} after {STEPS} steps", network.name);
        }
    }
}

/// The host sees the outputs, and one number for each tensor's gradient; the GPU gets the images and the outputs' gradient.
#[test]
fn a_step_copies_only_what_the_host_needs() {
    let (gpu, network) = (gpu(0), network(CONVOLUTIONS));
    let (mut trained, _) = trained(gpu.exec.clone(), &network, &recipe(Sgd::default().into()));
    let Some(before) = counts() else {
        return;
    };
    steps(&mut trained, 100);
    let after = counts().unwrap();
    assert_eq!(after.to_host - before.to_host, 2 * STEPS);
    assert_eq!(after.to_device - before.to_device, 2 * STEPS);
}

/// What the GPU saved, the CPU loads, and gives the same logits.
#[test]
fn models_move_between_the_devices() {
    let (gpu, network) = (gpu(0), network(CONVOLUTIONS));
    let (trained, _) = trained(gpu.exec.clone(), &network, &recipe(Sgd::default().into()));
    let saved = tensors(trained.model());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    trained.model().save(&path).unwrap();
    let mut model = Model::new(&network, 0);
    assert!(model.load(&path).unwrap().is_none());
    assert_eq!(tensors(&model), saved);
    let mut back = Model::on(gpu.exec.clone(), &network, 0).unwrap();
    back.load(&path).unwrap();
    assert_eq!(tensors(&back), saved);
    let logits = |outputs: Vec<f32>| vec![("logits".to_owned(), outputs.into_iter().map(f64::from).collect())];
    let [want, got] = [
        model.graph().infer(&images()).unwrap(),
        back.graph().infer(&images()).unwrap(),
    ];
    assert_agree(&logits(got), &logits(want), LEAST, 1e-5);
}
