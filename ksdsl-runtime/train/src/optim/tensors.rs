//! The tensors of a model one by one, whatever its type.

use ksdsl_checkpoint::Tensor as Stored;
use ksdsl_runtime::Scalar;
use ksdsl_runtime::checkpoint::Element;
use ksdsl_runtime::dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName, ViewTensorRef,
};
use ksdsl_runtime::dfdx::shapes::{HasShape, Shape};
use ksdsl_runtime::dfdx::tensor::Tensor;
use ksdsl_runtime::update::Updates;
use std::borrow::Cow;

/// What there is to know of a tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its key in checkpoints.
    pub(crate) key: String,
    /// Its sizes.
    pub(crate) shape: Vec<usize>,
    /// Whether it is trained; running statistics are not.
    pub(crate) trained: bool,
}

impl Slot {
    fn of<S: Shape, E: Scalar, D: Updates<E>>(
        options: &TensorOptions<S, E, D>,
        tensor: &Tensor<S, E, D>,
        key: String,
    ) -> Self {
        Self {
            key,
            shape: tensor.shape().concrete().into_iter().collect(),
            trained: options.do_gradient_update,
        }
    }

    /// The number of values it has.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A function of any tensor of a model that may change it.
pub(super) trait Change<E: Scalar, D: Updates<E>> {
    fn change<S: Shape>(&mut self, slot: Slot, tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err>;
}

/// A function of any tensor of a model.
pub(super) trait Look<E: Scalar, D: Updates<E>> {
    fn look<S: Shape>(&mut self, slot: Slot, tensor: &Tensor<S, E, D>) -> Result<(), D::Err>;
}

struct Changer<'f, F>(&'f mut F);
struct Looker<'f, F>(&'f mut F);

impl<E: Scalar, D: Updates<E>, F: Change<E, D>> TensorVisitor<E, D> for Changer<'_, F> {
    type Viewer = (ViewTensorMut, ViewTensorName);
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, E, D>,
        (tensor, key): (&mut Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        self.0.change(Slot::of(&options, tensor, key), tensor)?;
        Ok(None)
    }
}

impl<E: Scalar, D: Updates<E>, F: Look<E, D>> TensorVisitor<E, D> for Looker<'_, F> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, E, D>,
        (tensor, key): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        self.0.look(Slot::of(&options, tensor, key), tensor)?;
        Ok(None)
    }
}

/// Calls `change` with every tensor, in the order of the model's fields.
pub(super) fn change<E: Scalar, D: Updates<E>, M: TensorCollection<E, D>>(
    model: &mut M,
    change: &mut impl Change<E, D>,
) -> Result<(), D::Err> {
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut Changer(change),
    };
    M::iter_tensors(walker).map(|_| ())
}

/// Calls `look` with every tensor, in the order of the model's fields.
pub(super) fn look<E: Scalar, D: Updates<E>, M: TensorCollection<E, D>>(
    model: &M,
    look: &mut impl Look<E, D>,
) -> Result<(), D::Err> {
    let walker = &mut RecursiveWalker {
        m: (model, String::new()),
        f: &mut Looker(look),
    };
    M::iter_tensors(walker).map(|_| ())
}

/// All tensors of a model, running statistics included.
pub(crate) fn slots<E: Scalar, D: Updates<E>, M: TensorCollection<E, D>>(model: &M) -> Result<Vec<Slot>, D::Err> {
    struct Collect(Vec<Slot>);
    impl<E: Scalar, D: Updates<E>> Look<E, D> for Collect {
        fn look<S: Shape>(&mut self, slot: Slot, _: &Tensor<S, E, D>) -> Result<(), D::Err> {
            self.0.push(slot);
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    look::<E, D, M>(model, &mut collect)?;
    Ok(collect.0)
}

/// All tensors of a model as a file holds them, with `prefix` before their keys.
pub(crate) fn read<E: Scalar + Element, D: Updates<E>, M: TensorCollection<E, D>>(
    model: &M,
    prefix: &str,
) -> Result<Vec<Stored<'static>>, D::Err> {
    struct Collect<'p>(&'p str, Vec<Stored<'static>>);
    impl<E: Scalar + Element, D: Updates<E>> Look<E, D> for Collect<'_> {
        fn look<S: Shape>(&mut self, slot: Slot, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
            self.1
                .push(stored(format!("{}{}", self.0, slot.key), &slot.shape, &tensor.as_vec()));
            Ok(())
        }
    }
    let mut collect = Collect(prefix, Vec::new());
    look::<E, D, M>(model, &mut collect)?;
    Ok(collect.1)
}

/// Values as a file holds them.
pub(super) fn stored<E: Element>(key: String, shape: &[usize], values: &[E]) -> Stored<'static> {
    Stored {
        key,
        kind: E::KIND,
        shape: shape.iter().map(|&size| size as u64).collect(),
        data: Cow::Owned(E::to_bytes(values)),
    }
}

/// Sets all tensors of a model to the values that `bytes` gives for their slots.
pub(crate) fn write<'b, E: Scalar + Element, D: Updates<E>, M: TensorCollection<E, D>>(
    model: &mut M,
    bytes: impl FnMut(&Slot) -> &'b [u8],
) -> Result<(), D::Err> {
    struct Set<F>(F);
    impl<'b, E: Scalar + Element, D: Updates<E>, F: FnMut(&Slot) -> &'b [u8]> Change<E, D> for Set<F> {
        fn change<S: Shape>(&mut self, slot: Slot, tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err> {
            tensor.copy_from(&E::from_bytes((self.0)(&slot)));
            Ok(())
        }
    }
    change::<E, D, M>(model, &mut Set(bytes))
}

/// Exchanges the values of all tensors with those of `values`, one for each.
pub(crate) fn swap<E: Scalar, D: Updates<E>, M: TensorCollection<E, D>>(
    model: &mut M,
    values: &mut [D::Buf],
) -> Result<(), D::Err> {
    struct Swap<'v, B>(std::slice::IterMut<'v, B>);
    impl<E: Scalar, D: Updates<E>> Change<E, D> for Swap<'_, D::Buf> {
        fn change<S: Shape>(&mut self, _: Slot, tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err> {
            if let Some(value) = self.0.next() {
                let device = tensor.device().clone();
                let old = device.read_tensor(tensor)?;
                let new = std::mem::replace(value, old);
                device.set_tensor(tensor, new)?;
            }
            Ok(())
        }
    }
    change::<E, D, M>(model, &mut Swap(values.iter_mut()))
}

/// The keys of a model's tensors that hold a value that is not finite.
///
/// # Errors
/// Of the device.
pub fn non_finite<E: Scalar, D: Updates<E>, M: TensorCollection<E, D>>(model: &M) -> Result<Vec<String>, D::Err> {
    struct Collect(Vec<String>);
    impl<E: Scalar, D: Updates<E>> Look<E, D> for Collect {
        fn look<S: Shape>(&mut self, slot: Slot, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
            if tensor.as_vec().iter().any(|value| !value.is_finite()) {
                self.0.push(slot.key);
            }
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    look::<E, D, M>(model, &mut collect)?;
    Ok(collect.0)
}
