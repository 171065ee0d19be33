//! `N` equal modules as one field.

use dfdx::dtypes::Dtype;
use dfdx::nn::tensor_collection::{ModuleVisitor, TensorCollection};
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

/// Visits the modules of a [`Repeat`] field. Module `i` has the key `{prefix}{first + i}`, with the prefix as it is
/// (`"mixer."`, or `""` for modules of a stage), so that checkpoint keys are the paths of layers, such as
/// `s1.3.conv1.weight`.
///
/// # Errors
/// Those of the visitor.
#[expect(clippy::type_complexity, reason = "what dfdx's visitors return")]
pub fn visit<V, Mod, Field, E: Dtype, D: Device<E>, const N: usize>(
    visitor: &mut V,
    prefix: &str,
    first: usize,
    get_ref: fn(&Mod) -> &Repeat<Field, N>,
    get_mut: fn(&mut Mod) -> &mut Repeat<Field, N>,
) -> Result<Option<Repeat<Field::To<V::E2, V::D2>, N>>, V::Err>
where
    V: ModuleVisitor<Mod, E, D>,
    Mod: TensorCollection<E, D>,
    Field: TensorCollection<E, D>,
{
    let mut visit = |i: usize| {
        let key = format!("{prefix}{}", first + i);
        visitor.visit_module(
            &key,
            |module| &get_ref(module).modules[i],
            |module| &mut get_mut(module).modules[i],
        )
    };
    let modules = (0..N).map(&mut visit).collect::<Result<Vec<_>, _>>()?;
    let modules = modules.into_iter().collect::<Option<Vec<_>>>();
    Ok(modules.map(|modules| Repeat { modules }))
}
