//! `N` equal modules as one field.

use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{ModuleFields, ModuleVisitor, TensorCollection};
use dfdx::tensor_ops::Device;
use std::ops::Index;

/// `N` equal modules: isomorphic blocks in a row, so that generated code loops over them and its
/// size does not grow with a network's depth.
#[derive(Clone, Debug)]
pub struct Repeat<T, const N: usize> {
    modules: Vec<T>,
}

impl<T, const N: usize> Repeat<T, N> {
    /// The modules in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.modules.iter()
    }
}

impl<T, const N: usize> Index<usize> for Repeat<T, N> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.modules[index]
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Repeat<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A [`Repeat`] as a field of `Mod`, for dfdx's `ModuleVisitor::visit_fields`.
pub struct RepeatField<'a, Mod, Field, const N: usize> {
    prefix: &'a str,
    first: usize,
    get_ref: fn(&Mod) -> &Repeat<Field, N>,
    get_mut: fn(&mut Mod) -> &mut Repeat<Field, N>,
}

/// Describes a [`Repeat`] field to dfdx. Module `i` is named `{prefix}{first + i}`, with the prefix
/// as it is (`"mixer."`, or `""` for modules of a stage), so that checkpoint keys are the paths of
/// layers, such as `s1.3.conv1.weight`.
pub fn repeat_field<Mod, Field, const N: usize>(
    prefix: &str,
    first: usize,
    get_ref: fn(&Mod) -> &Repeat<Field, N>,
    get_mut: fn(&mut Mod) -> &mut Repeat<Field, N>,
) -> RepeatField<'_, Mod, Field, N> {
    RepeatField {
        prefix,
        first,
        get_ref,
        get_mut,
    }
}

impl<Mod, Field, E: Dtype, D: Device<E>, const N: usize> ModuleFields<Mod, E, D> for RepeatField<'_, Mod, Field, N>
where
    Mod: TensorCollection<E, D>,
    Field: TensorCollection<E, D>,
{
    type Options<E2: Dtype, D2: Device<E2>> = Vec<Option<Field::To<E2, D2>>>;
    type Output<E2: Dtype, D2: Device<E2>> = Repeat<Field::To<E2, D2>, N>;

    fn visit_fields<V: ModuleVisitor<Mod, E, D>>(self, visitor: &mut V) -> Result<Self::Options<V::E2, V::D2>, V::Err> {
        let (get_ref, get_mut) = (self.get_ref, self.get_mut);
        (0..N)
            .map(|i| {
                let name = format!("{}{}", self.prefix, self.first + i);
                visitor.visit_module(
                    &name,
                    |module| &get_ref(module).modules[i],
                    |module| &mut get_mut(module).modules[i],
                )
            })
            .collect()
    }

    fn handle_options<E2: Dtype, D2: Device<E2>>(options: Self::Options<E2, D2>) -> Option<Self::Output<E2, D2>> {
        let modules = options.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Repeat { modules })
    }
}
