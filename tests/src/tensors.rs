//! A model's tensors by their checkpoint keys.

use ksdsl_runtime::dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName, ViewTensorRef,
};
use ksdsl_runtime::dfdx::shapes::{Dtype, Shape};
use ksdsl_runtime::dfdx::tensor::{Cpu, Gradients, Tensor};
use ksdsl_runtime::dfdx::tensor_ops::Device;
use std::collections::BTreeMap;

/// Values by checkpoint key.
pub type Values<E> = BTreeMap<String, Vec<E>>;

/// The values of all tensors, running statistics included.
pub fn values<E: Dtype, M: TensorCollection<E, Cpu>>(model: &M) -> Values<E>
where
    Cpu: Device<E>,
{
    read(model, None)
        .into_iter()
        .map(|(key, (_, values))| (key, values))
        .collect()
}

/// The values of the tensors that are trained.
pub fn trainable<E: Dtype, M: TensorCollection<E, Cpu>>(model: &M) -> Values<E>
where
    Cpu: Device<E>,
{
    let trained = read(model, None).into_iter().filter(|(_, (trained, _))| *trained);
    trained.map(|(key, (_, values))| (key, values)).collect()
}

/// The gradients of the tensors that are trained; each must have one.
pub fn gradients<E: Dtype, M: TensorCollection<E, Cpu>>(model: &M, gradients: &Gradients<E, Cpu>) -> Values<E>
where
    Cpu: Device<E>,
{
    let trained = read(model, Some(gradients))
        .into_iter()
        .filter(|(_, (trained, _))| *trained);
    trained.map(|(key, (_, values))| (key, values)).collect()
}

/// Changes every tensor's values in place; `change` is told the key.
pub fn change<E: Dtype, M: TensorCollection<E, Cpu>>(model: &mut M, change: impl FnMut(&str, &mut [E]))
where
    Cpu: Device<E>,
{
    let mut writer = Writer { change };
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut writer,
    };
    M::iter_tensors(walker).unwrap();
}

/// Writes values by key; each tensor must be among them.
pub fn write<E: Dtype, M: TensorCollection<E, Cpu>>(model: &mut M, values: &Values<E>)
where
    Cpu: Device<E>,
{
    change(model, |key, to| to.copy_from_slice(&values[key]));
}

fn read<E: Dtype, M: TensorCollection<E, Cpu>>(
    model: &M,
    gradients: Option<&Gradients<E, Cpu>>,
) -> BTreeMap<String, (bool, Vec<E>)>
where
    Cpu: Device<E>,
{
    let mut reader = Reader {
        gradients,
        read: BTreeMap::new(),
    };
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut reader,
    };
    M::iter_tensors(walker).unwrap();
    reader.read
}

/// Collects values, or gradients where there are some.
struct Reader<'g, E: Dtype> {
    gradients: Option<&'g Gradients<E, Cpu>>,
    read: BTreeMap<String, (bool, Vec<E>)>,
}

impl<E: Dtype> TensorVisitor<E, Cpu> for Reader<'_, E>
where
    Cpu: Device<E>,
{
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = <Cpu as ksdsl_runtime::dfdx::tensor::HasErr>::Err;
    type E2 = E;
    type D2 = Cpu;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, E, Cpu>,
        (tensor, key): (&Tensor<S, E, Cpu>, String),
    ) -> Result<Option<Tensor<S, E, Cpu>>, Self::Err> {
        let trained = options.do_gradient_update;
        let values = match self.gradients {
            Some(gradients) if trained => gradients.get(tensor).as_vec(),
            _ => tensor.as_vec(),
        };
        let twice = self.read.insert(key.clone(), (trained, values)).is_some();
        assert!(!twice, "two tensors are called {key}");
        Ok(None)
    }
}

/// Changes values in place.
struct Writer<F> {
    change: F,
}

impl<E: Dtype, F: FnMut(&str, &mut [E])> TensorVisitor<E, Cpu> for Writer<F>
where
    Cpu: Device<E>,
{
    type Viewer = (ViewTensorMut, ViewTensorName);
    type Err = <Cpu as ksdsl_runtime::dfdx::tensor::HasErr>::Err;
    type E2 = E;
    type D2 = Cpu;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, Cpu>,
        (tensor, key): (&mut Tensor<S, E, Cpu>, String),
    ) -> Result<Option<Tensor<S, E, Cpu>>, Self::Err> {
        let mut values = tensor.as_vec();
        (self.change)(&key, &mut values);
        tensor.copy_from(&values);
        Ok(None)
    }
}
