//! The macros of generated modules: the structs of a model with their tensors, and what every model implements.

use crate::repeat::{self, Repeat};
use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection, TensorOptions};
use dfdx::shapes::ConstShape;
use dfdx::tensor::{HasErr, Tensor};
use dfdx::tensor_ops::Device;
use std::marker::PhantomData;

/// A field in a struct: how it is borrowed.
type Get<M, Field> = fn(&M) -> &Field;
/// How it is borrowed mutably.
type GetMut<M, Field> = fn(&mut M) -> &mut Field;
/// How a tensor gets its initial values.
type Reset<S, E, D> = fn(&mut Tensor<S, E, D>) -> Result<(), <D as HasErr>::Err>;

/// Shows the fields of an `M` to one of dfdx's visitors, up to the first error. Functions instead of closures: dfdx
/// compiles a visit once for each type of a field, not for each field.
pub struct Fields<'v, V: ModuleVisitor<M, E, D>, M: TensorCollection<E, D>, E: Dtype, D: Device<E>> {
    visitor: &'v mut V,
    error: Option<V::Err>,
    of: PhantomData<(M, E, D)>,
}

impl<'v, V: ModuleVisitor<M, E, D>, M: TensorCollection<E, D>, E: Dtype, D: Device<E>> Fields<'v, V, M, E, D> {
    /// Before the first field.
    pub fn new(visitor: &'v mut V) -> Self {
        Fields {
            visitor,
            error: None,
            of: PhantomData,
        }
    }

    /// A trained tensor, and how it gets its initial values. What the visitor makes of it, if anything.
    pub fn tensor<S: ConstShape>(
        &mut self,
        key: &str,
        get: Get<M, Tensor<S, E, D>>,
        get_mut: GetMut<M, Tensor<S, E, D>>,
        reset: Reset<S, E, D>,
    ) -> Option<Tensor<S, V::E2, V::D2>> {
        self.show(|visitor| visitor.visit_tensor(key, get, get_mut, TensorOptions::reset_with(reset)))
    }

    /// A struct of tensors.
    pub fn module<Field: TensorCollection<E, D>>(
        &mut self,
        key: &str,
        get: Get<M, Field>,
        get_mut: GetMut<M, Field>,
    ) -> Option<Field::To<V::E2, V::D2>> {
        self.show(|visitor| visitor.visit_module(key, get, get_mut))
    }

    /// Equal structs in a row.
    #[expect(clippy::type_complexity, reason = "what dfdx's visitors return")]
    pub fn repeat<Field: TensorCollection<E, D>, const N: usize>(
        &mut self,
        prefix: &str,
        first: usize,
        get: Get<M, Repeat<Field, N>>,
        get_mut: GetMut<M, Repeat<Field, N>>,
    ) -> Option<Repeat<Field::To<V::E2, V::D2>, N>> {
        self.show(|visitor| repeat::visit(visitor, prefix, first, get, get_mut))
    }

    /// What all fields make together.
    ///
    /// # Errors
    /// The first of the visitor's.
    pub fn end<T>(self, made: Option<T>) -> Result<Option<T>, V::Err> {
        self.error.map_or(Ok(made), Err)
    }

    fn show<T>(&mut self, visit: impl FnOnce(&mut V) -> Result<Option<T>, V::Err>) -> Option<T> {
        if self.error.is_some() {
            return None;
        }
        visit(self.visitor).unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })
    }
}

/// A struct of tensors and its `TensorCollection`.
///
/// The fields are visited in the order in which they are written. An attribute says how:
///
/// - `#[tensor("conv.weight", uniform(0.1))]`: a trained tensor, its key in checkpoints and a function of
///   [`init`](crate::init), without the tensor, for its initial values;
/// - `#[module("s1")]`: a struct of tensors under this key;
/// - `#[repeat("s1.", 0)]`: a [`Repeat`](crate::repeat::Repeat), whose modules have the keys `s1.0`, `s1.1`, ...
#[doc(hidden)]
#[macro_export]
macro_rules! __model {
    // Without a tensor nothing would use the type parameters.
    ($(#[doc = $doc:literal])* $vis:vis struct $name:ident<$E:ident, $D:ident> {}) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        $vis struct $name<$E: $crate::generated::Dtype, $D: $crate::generated::Storage<$E>> {
            _none: ::core::marker::PhantomData<($E, $D)>,
        }

        impl<$E: $crate::generated::Dtype, $D: $crate::generated::Device<$E>>
            $crate::generated::TensorCollection<$E, $D> for $name<$E, $D>
        {
            type To<E2: $crate::generated::Dtype, D2: $crate::generated::Device<E2>> = $name<E2, D2>;

            fn iter_tensors<V: $crate::generated::ModuleVisitor<Self, $E, $D>>(
                _: &mut V,
            ) -> ::core::result::Result<::core::option::Option<Self::To<V::E2, V::D2>>, V::Err> {
                let _none = ::core::marker::PhantomData;
                ::core::result::Result::Ok(::core::option::Option::Some($name { _none }))
            }
        }
    };
    ($(#[doc = $doc:literal])* $vis:vis struct $name:ident<$E:ident, $D:ident> {
        $(
            $(#[doc = $field_doc:literal])*
            $(#[tensor($tensor:literal, $init:ident $(($value:expr))?)])?
            $(#[module($module:literal)])?
            $(#[repeat($prefix:literal, $first:literal)])?
            $field_vis:vis $field:ident: $of:ty,
        )+
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        $vis struct $name<$E: $crate::generated::Dtype, $D: $crate::generated::Storage<$E>> {
            $($(#[doc = $field_doc])* $field_vis $field: $of,)+
        }

        impl<$E: $crate::generated::Dtype, $D: $crate::generated::Device<$E>>
            $crate::generated::TensorCollection<$E, $D> for $name<$E, $D>
        {
            type To<E2: $crate::generated::Dtype, D2: $crate::generated::Device<E2>> = $name<E2, D2>;

            fn iter_tensors<V: $crate::generated::ModuleVisitor<Self, $E, $D>>(
                visitor: &mut V,
            ) -> ::core::result::Result<::core::option::Option<Self::To<V::E2, V::D2>>, V::Err> {
                // What the visitor makes of each field. Its type parameters are named after the fields: a variable
                // could not be named after a field such as `Some`.
                #[allow(non_camel_case_types)]
                struct Made<$($field),+> {
                    $($field: ::core::option::Option<$field>,)+
                }
                let mut fields = $crate::model::Fields::new(visitor);
                let made = Made {$(
                    $field:
                        $(fields.tensor($tensor, |s| &s.$field, |s| &mut s.$field, |t| $crate::init::$init(t $(, $value)?)))?
                        $(fields.module($module, |s| &s.$field, |s| &mut s.$field))?
                        $(fields.repeat($prefix, $first, |s| &s.$field, |s| &mut s.$field))?,
                )+};
                let model = || ::core::option::Option::Some($name { $($field: made.$field?,)+ });
                fields.end(model())
            }
        }
    };
}

/// What every model implements, given its struct (with its method `run`), its builder, and the types of a batch
/// of inputs and of outputs.
#[doc(hidden)]
#[macro_export]
macro_rules! __model_traits {
    ($model:ident, $builder:ident, $input:ident, $output:ident) => {
        $crate::__model_traits!(@all $model, $builder, $input, $output, (self, pass, x), x.device(), {
            let images = $crate::generated::Dim::size(&$crate::generated::HasShape::shape(&x).0);
            match pass.slices(images, <$builder as $crate::network::Network>::LARGEST_ACTIVATION) {
                ::core::option::Option::Some(slices) => pass.in_slices(slices, &x, |pass, x| self.run(pass, x)),
                ::core::option::Option::None => self.run(pass, x),
            }
        });
    };
    // Several inputs, of which the first is named, or several outputs: batches run at once.
    ($model:ident, $builder:ident, $input:ident [$($first:ident)?], $output:ident) => {
        $crate::__model_traits!(
            @all $model, $builder, $input, $output, (self, pass, x), x$(.$first)?.device(), { self.run(pass, x) }
        );
    };
    (
        @all $model:ident, $builder:ident, $input:ident, $output:ident,
        ($self:ident, $pass:ident, $x:ident), $device:expr, $infer:block
    ) => {
        impl<E: $crate::generated::Dtype, D: $crate::generated::Device<E>> $crate::generated::BuildOnDevice<D, E>
            for $builder
        {
            type Built = $model<E, D>;
        }

        impl<E: $crate::generated::Dtype, D: $crate::generated::Storage<E>> $crate::generated::Generated
            for $model<E, D>
        {
            type Network = $builder;
        }

        /// Inference: running statistics, no dropout.
        impl<B: $crate::generated::Dim, E: $crate::Scalar, D: $crate::Backend<E>>
            $crate::generated::Module<$input<B, E, D>> for $model<E, D>
        {
            type Output = $output<B, E, D>;
            type Error = D::Err;

            fn try_forward(&$self, $x: $input<B, E, D>) -> ::core::result::Result<Self::Output, D::Err> {
                let mut pass = $crate::pass::Pass::inference($device);
                $crate::network::Infer::infer($self, &mut pass, $x)
            }
        }

        /// Inference with kernels that `Prepared` keeps from call to call.
        impl<B: $crate::generated::Dim, E: $crate::Scalar, D: $crate::Backend<E>>
            $crate::network::Infer<$input<B, E, D>, E, D> for $model<E, D>
        {
            type Output = $output<B, E, D>;

            fn infer(
                &$self,
                $pass: &mut $crate::pass::Pass<E, D>,
                $x: $input<B, E, D>,
            ) -> ::core::result::Result<Self::Output, D::Err> $infer
        }

        /// Training: the batch's statistics, which update the running ones, and dropout.
        impl<B: $crate::generated::Dim, E: $crate::Scalar, D: $crate::Backend<E>>
            $crate::generated::ModuleMut<$input<B, E, D, $crate::generated::OwnedTape<E, D>>> for $model<E, D>
        {
            type Output = $output<B, E, D, $crate::generated::OwnedTape<E, D>>;
            type Error = D::Err;

            fn try_forward_mut(
                &mut $self,
                $x: $input<B, E, D, $crate::generated::OwnedTape<E, D>>,
            ) -> ::core::result::Result<Self::Output, D::Err> {
                let mut pass = $crate::pass::Pass::training($device);
                let y = $self.run(&mut pass, $x)?;
                pass.update_running_statistics($self)?;
                ::core::result::Result::Ok(y)
            }
        }
    };
}
