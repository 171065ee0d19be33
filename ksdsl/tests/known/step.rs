//! Passes and steps of a language model on the graph executor, for these tests and for `examples/graph_worker.rs`.
//!
//! The loss is the mean cross entropy of the rows of the first output, plus the sum of every other output with weights from
//! -1 to 2: `tests/parity/language.py` has the same.

use ksdsl::graph::{Error, Graph, Parameter};
use ksdsl::ir::Network;
use ksdsl_cpu::{CpuBuf, CpuExec, CpuReal};
use ksdsl_engine::Exec;
use ksdsl_engine::update::{Slot, Updates};
use ksdsl_train_core::optim::{AdamW, Optimiser};
use std::collections::BTreeMap;

/// Tensors by name.
pub(crate) type Values<E> = BTreeMap<String, Vec<E>>;

/// What `Exec` fails with.
pub(crate) type Failed = Error<ksdsl_cpu::Error>;

/// A batch, and what each row of the first output should be.
#[derive(Debug)]
pub(crate) struct Batch<E> {
    /// The inputs in their order.
    pub(crate) inputs: Vec<Vec<E>>,
    /// A class for each row.
    pub(crate) targets: Vec<usize>,
}

impl<E> Batch<E> {
    /// The inputs as the executor takes them.
    pub(crate) fn inputs(&self) -> Vec<&[E]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }
}

/// The network with these values.
pub(crate) fn graph<E: CpuReal>(network: &Network, values: &Values<E>) -> Result<Graph<E, CpuExec>, Failed>
where
    CpuExec: Exec<E, Err = ksdsl_cpu::Error>,
{
    Graph::new(network.clone(), CpuExec, |parameter| {
        values.get(&parameter.key).cloned()
    })
}

/// The loss of outputs, and its gradient with respect to them.
pub(crate) fn loss<E: CpuReal>(outputs: &[Vec<E>], targets: &[usize]) -> (f64, Vec<Vec<E>>) {
    let classes = outputs[0].len() / targets.len();
    let (mut loss, mut gradients) = (0.0, vec![Vec::new()]);
    for (logits, target) in outputs[0].chunks_exact(classes).zip(targets) {
        let most = logits.iter().map(|x| x.wide()).fold(f64::MIN, f64::max);
        let powers: Vec<f64> = logits.iter().map(|x| (x.wide() - most).exp()).collect();
        let total: f64 = powers.iter().sum();
        loss += (most + total.ln() - logits[*target].wide()) / targets.len() as f64;
        let of = |(class, power): (usize, &f64)| power / total - f64::from(u8::from(class == *target));
        let row = powers.iter().enumerate().map(of);
        gradients[0].extend(row.map(|slope| E::of(slope / targets.len() as f64)));
    }
    for output in &outputs[1..] {
        let steps = (output.len() - 1).max(1) as f64;
        let weights: Vec<f64> = (0..output.len()).map(|at| 3.0 * at as f64 / steps - 1.0).collect();
        loss += output.iter().zip(&weights).map(|(y, w)| y.wide() * w).sum::<f64>();
        gradients.push(weights.into_iter().map(E::of).collect());
    }
    (loss, gradients)
}

/// Outputs of inference and of training, the loss, gradients, and all tensors after `steps` steps of AdamW (rate 0.001,
/// decay 0.01), under the names of `tests/parity/language.py`.
pub(crate) fn outcome<E: CpuReal>(
    network: &Network,
    weights: &Values<E>,
    batch: &Batch<E>,
    (steps, eps): (usize, f64),
) -> Result<Values<E>, Failed>
where
    CpuExec: Updates<E> + Exec<E, Buf = CpuBuf<E>, Err = ksdsl_cpu::Error>,
{
    let mut graph = graph(network, weights)?;
    let mut found = Values::new();
    insert_all(&mut found, "inference", graph.infer_all(&batch.inputs())?);
    let (value, gradients) = pass(&mut graph, batch, &mut found)?;
    found.insert("loss".to_owned(), vec![E::of(value)]);
    let gradients = gradients
        .into_iter()
        .map(|(key, value)| (format!("gradient.{key}"), value));
    found.extend(gradients);
    let trained = trained(network, weights, batch, (steps, eps))?;
    found.extend(trained.into_iter().map(|(key, value)| (format!("adamw.{key}"), value)));
    Ok(found)
}

fn insert_all<E>(found: &mut Values<E>, name: &str, outputs: Vec<Vec<E>>) {
    found.extend(
        outputs
            .into_iter()
            .enumerate()
            .map(|(at, y)| (format!("{name}.{at}"), y)),
    );
}

/// A training pass: the loss and the gradients; it leaves the outputs in `found`.
fn pass<E: CpuReal>(
    graph: &mut Graph<E, CpuExec>,
    batch: &Batch<E>,
    found: &mut Values<E>,
) -> Result<(f64, Values<E>), Failed>
where
    CpuExec: Exec<E, Err = ksdsl_cpu::Error>,
{
    let mut value = 0.0;
    let of_outputs = |outputs: &[Vec<E>]| {
        let (sum, gradients) = loss(outputs, &batch.targets);
        value = sum;
        gradients
    };
    let step = graph.train_step(&batch.inputs(), || 0, of_outputs)?;
    insert_all(found, "output", step.outputs);
    Ok((value, step.gradients))
}

/// The tensors after steps of AdamW.
fn trained<E: CpuReal>(
    network: &Network,
    weights: &Values<E>,
    batch: &Batch<E>,
    (steps, eps): (usize, f64),
) -> Result<Values<E>, Failed>
where
    CpuExec: Updates<E> + Exec<E, Buf = CpuBuf<E>, Err = ksdsl_cpu::Error>,
{
    let mut optimiser: Optimiser<E, CpuExec> = Optimiser::new(AdamW {
        eps,
        decay: 0.01,
        ..AdamW::default()
    });
    let slots: Vec<Slot> = graph(network, weights)?.parameters().iter().map(slot).collect();
    optimiser.know(&slots);
    let mut values = weights.clone();
    for _ in 0..steps {
        let (_, gradients) = pass(&mut graph(network, &values)?, batch, &mut Values::new())?;
        let mut buffers: Vec<CpuBuf<E>> = slots
            .iter()
            .map(|slot| CpuBuf::from_vec(gradients[&slot.key].clone()))
            .collect();
        optimiser.begin(&CpuExec, &mut buffers)?;
        for (at, (slot, gradient)) in slots.iter().zip(&buffers).enumerate() {
            let mut buffer = CpuBuf::from_vec(values[&slot.key].clone());
            optimiser.update(&CpuExec, (at, slot), &mut buffer, gradient)?;
            values.insert(slot.key.clone(), buffer.into_vec());
        }
    }
    Ok(values)
}

fn slot(parameter: &Parameter) -> Slot {
    Slot {
        key: parameter.key.clone(),
        shape: parameter.shape.iter().map(|size| *size as usize).collect(),
        trained: true,
    }
}
