//! What visits make of shared kernels and of what each has of its own.

use crate::act::Context;
use crate::backend::Backend;
use crate::param::{BiasArg, ParamArg, WeightArg, address, bind};
use crate::scalar::Scalar;
use dfdx::shapes::{Rank1, Rank2, Rank3, Rank4, Rank5, Shape};
use dfdx::tensor::{Tape, Tensor};
use ksdsl_engine::Weight;
use ksdsl_engine::weight::{self, Key};
use std::marker::PhantomData;

/// The kernel that `make` makes; a prepared model keeps it under a key.
fn kept_or<E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    key: Option<Key>,
    context: &mut Context<E, D, T>,
    make: impl FnOnce(&mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err>,
) -> Result<Weight<E, D::Exec>, D::Err> {
    let kernels = context.kernels.clone().filter(|_| !T::OWNS_TAPE);
    let Some((kernels, key)) = kernels.zip(key) else {
        return make(context);
    };
    let made = || make(context)?.make(&context.exec).map_err(D::failed);
    kernels.made(key, made).map(Weight::kept)
}

/// A kernel with a private low-rank addition of a visit: `kernel + b a` (Hu et al. 2021, LoRA, arXiv 2106.09685,
/// section 4.1). LoRA implementations multiply the addition by `alpha / rank`; this one does not.
#[derive(Clone, Copy, Debug)]
pub struct LowRank<K, A, B> {
    kernel: K,
    a: A,
    b: B,
}

impl<K, A, B> LowRank<K, A, B> {
    /// A kernel with the addition `b a`; `a` is `[rank][in / groups * ky * kx]`, `b` `[out][rank]`.
    pub fn new(kernel: K, a: A, b: B) -> Self {
        Self { kernel, a, b }
    }
}

/// The factors that fit a kernel of `O` rows and `N` columns.
type A<'p, const R: usize, const N: usize, E, D> = &'p Tensor<Rank2<R, N>, E, D>;
type B<'p, const O: usize, const R: usize, E, D> = &'p Tensor<Rank2<O, R>, E, D>;

impl<const O: usize, const I: usize, const H: usize, const W: usize, const R: usize, const N: usize, K, E, D>
    WeightArg<Rank4<O, I, H, W>, E, D> for LowRank<K, A<'_, R, N, E, D>, B<'_, O, R, E, D>>
where
    K: WeightArg<Rank4<O, I, H, W>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        const { assert!(N == I * H * W, "the factor A must have a column for each tap") }
        let kernel = self.kernel.bind_weight(context)?;
        sum(kernel, self.a, self.b, context)
    }
}

impl<const O: usize, const R: usize, const N: usize, K, E, D> WeightArg<Rank2<O, N>, E, D>
    for LowRank<K, A<'_, R, N, E, D>, B<'_, O, R, E, D>>
where
    K: WeightArg<Rank2<O, N>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        let kernel = self.kernel.bind_weight(context)?;
        sum(kernel, self.a, self.b, context)
    }
}

/// `kernel + b a`.
fn sum<const O: usize, const R: usize, const N: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kernel: Weight<E, D::Exec>,
    a: A<'_, R, N, E, D>,
    b: B<'_, O, R, E, D>,
    context: &mut Context<E, D, T>,
) -> Result<Weight<E, D::Exec>, D::Err> {
    kept_or(Some(Key::Own(address(b))), context, |context| {
        let (a, b) = (bind(a, context)?, bind(b, context)?);
        Ok(kernel.plus([O, R, N], a, b))
    })
}

/// The sum of the kernels of a bank, each times a coefficient of the visit's own (Savarese & Maire 2019, arXiv
/// 1902.09701).
#[derive(Clone, Copy, Debug)]
pub struct Combined<K, C> {
    bank: K,
    coefficients: C,
}

impl<K, C> Combined<K, C> {
    /// A bank, the kernels one after the other, and a coefficient for each.
    pub fn new(bank: K, coefficients: C) -> Self {
        Self { bank, coefficients }
    }
}

/// The coefficients of `N` kernels.
type Coefficients<'p, const N: usize, E, D> = &'p Tensor<Rank1<N>, E, D>;

impl<const N: usize, const O: usize, const I: usize, const H: usize, const W: usize, K, E, D>
    WeightArg<Rank4<O, I, H, W>, E, D> for Combined<K, Coefficients<'_, N, E, D>>
where
    K: ParamArg<Rank5<N, O, I, H, W>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        combined([N, O * I * H * W], self.bank, self.coefficients, context)
    }
}

impl<const N: usize, const O: usize, const I: usize, K, E, D> WeightArg<Rank2<O, I>, E, D>
    for Combined<K, Coefficients<'_, N, E, D>>
where
    K: ParamArg<Rank3<N, O, I>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        combined([N, O * I], self.bank, self.coefficients, context)
    }
}

fn combined<const N: usize, S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    sizes: [usize; 2],
    bank: impl ParamArg<S, E, D>,
    coefficients: Coefficients<'_, N, E, D>,
    context: &mut Context<E, D, T>,
) -> Result<Weight<E, D::Exec>, D::Err> {
    kept_or(Some(Key::Own(address(coefficients))), context, |context| {
        let (bank, coefficients) = (bank.bind(context)?, bind(coefficients, context)?);
        Ok(Weight::combined(sizes, bank, coefficients))
    })
}

/// A kernel of shape `S` as the part of one of shape `Z` that a visit uses: its first rows and columns, perhaps with
/// rows and columns exchanged.
#[derive(Clone, Copy, Debug)]
pub struct View<Z, S, K> {
    kernel: K,
    transposed: bool,
    shapes: PhantomData<(Z, S)>,
}

impl<Z, S, K> View<Z, S, K> {
    /// The first rows and columns of a kernel.
    pub fn of(kernel: K) -> Self {
        Self {
            kernel,
            transposed: false,
            shapes: PhantomData,
        }
    }

    /// With rows and columns exchanged.
    pub fn transposed(kernel: K) -> Self {
        Self {
            transposed: true,
            ..Self::of(kernel)
        }
    }
}

impl<const O: usize, const I: usize, const H: usize, const W: usize, const P: usize, const Q: usize, K, E, D>
    WeightArg<Rank4<O, I, H, W>, E, D> for View<Rank4<P, Q, H, W>, Rank4<O, I, H, W>, K>
where
    K: WeightArg<Rank4<P, Q, H, W>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        let kernel = self.kernel.bind_weight(context)?;
        viewed(kernel, view([P, Q, H * W], [O, I], self.transposed), context)
    }
}

impl<const O: usize, const I: usize, const P: usize, const Q: usize, K, E, D> WeightArg<Rank2<O, I>, E, D>
    for View<Rank2<P, Q>, Rank2<O, I>, K>
where
    K: WeightArg<Rank2<P, Q>, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        let kernel = self.kernel.bind_weight(context)?;
        viewed(kernel, view([P, Q, 1], [O, I], self.transposed), context)
    }
}

/// The view that makes a kernel of `rows` and `columns` of a stored one.
fn view(stored: [usize; 3], [rows, columns]: [usize; 2], transposed: bool) -> weight::View {
    let taken = if transposed { [columns, rows] } else { [rows, columns] };
    assert!(
        taken[0] <= stored[0] && taken[1] <= stored[1],
        "the shared kernel is smaller than its visit's"
    );
    weight::View {
        stored,
        taken,
        transposed,
    }
}

fn viewed<E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kernel: Weight<E, D::Exec>,
    view: weight::View,
    context: &mut Context<E, D, T>,
) -> Result<Weight<E, D::Exec>, D::Err> {
    let key = kernel.address().map(|address| Key::View(address, view));
    kept_or(key, context, |_| Ok(kernel.viewed(view)))
}

/// A kernel whose rows are standardised (Qiao et al. 2019), with a gain for each of them or
/// [`NoBias`](crate::param::NoBias) (Brock et al. 2021).
#[derive(Clone, Copy, Debug)]
pub struct Standardized<K, G> {
    kernel: K,
    gain: G,
    eps: f64,
}

impl<K, G> Standardized<K, G> {
    /// The standardised kernel; `eps` is added to the variances.
    pub fn new(kernel: K, gain: G, eps: f64) -> Self {
        Self { kernel, gain, eps }
    }
}

impl<const O: usize, const I: usize, const H: usize, const W: usize, K, G, E, D> WeightArg<Rank4<O, I, H, W>, E, D>
    for Standardized<K, G>
where
    K: WeightArg<Rank4<O, I, H, W>, E, D>,
    G: BiasArg<O, E, D>,
    E: Scalar,
    D: Backend<E>,
{
    fn bind_weight<T: Tape<E, D>>(self, context: &mut Context<E, D, T>) -> Result<Weight<E, D::Exec>, D::Err> {
        let kernel = self.kernel.bind_weight(context)?;
        let gain = self.gain.bind_bias(context)?;
        let address = kernel.address();
        let key = address.map(|address| Key::Standardized(address, self.eps.to_bits()));
        kept_or(key, context, |_| Ok(kernel.standardized(O, self.eps, gain)))
    }
}
