//! Activations, pooling, gates and joins: which kernels run with which sizes.

use super::buf::{CudaBuf, maybe};
use super::error::Error;
use super::grid::Grid;
use super::real::CudaReal;
use super::source::{Arg, Sizes};
use ksdsl_engine::size::{Activation, MapSize, PoolKind, PoolSize, RowSize, Tail};

/// Outcome of an operation.
pub(super) type Done<T> = Result<T, Error>;

/// An activation as the kernels number it.
pub(super) fn kind<E>(activation: Option<Activation>) -> Arg<E> {
    Arg::Int(match activation {
        None => 0,
        Some(Activation::Relu) => 1,
        Some(Activation::Gelu) => 2,
        Some(Activation::GeluTanh) => 3,
        Some(Activation::Silu) => 4,
        Some(Activation::Sigmoid) => 5,
        Some(Activation::HardSwish) => 6,
        Some(Activation::Relu6) => 7,
    })
}

pub(super) fn long<E>(value: usize) -> Arg<E> {
    Arg::Long(value as i64)
}

pub(super) fn int<E>(value: usize) -> Arg<E> {
    Arg::Int(value as i32)
}

/// `a` with `b` taken into it element by element, by the kernel `name`.
pub(super) fn pairwise<E: CudaReal>(name: &'static str, a: CudaBuf<E>, b: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let args = [long(a.len()), a.arg(), b.arg()];
    a.gpu().launch::<E>(name, Grid::flat(a.len()), &args)?;
    Ok(a)
}

pub(super) fn activation_forward<E: CudaReal>(activation: Activation, x: CudaBuf<E>) -> Done<CudaBuf<E>> {
    let args = [long(x.len()), kind(Some(activation)), x.arg()];
    x.gpu().launch::<E>("activation_forward", Grid::flat(x.len()), &args)?;
    Ok(x)
}

pub(super) fn activation_backward<E: CudaReal>(
    activation: Activation,
    saved: &CudaBuf<E>,
    dy: CudaBuf<E>,
) -> Done<CudaBuf<E>> {
    let args = [long(dy.len()), kind(Some(activation)), saved.arg(), dy.arg()];
    dy.gpu()
        .launch::<E>("activation_backward", Grid::flat(dy.len()), &args)?;
    Ok(dy)
}

/// What the kernel `tail` does to a map: `after(factor * before(x + bias) + offset + residual)`.
pub(super) struct Affine<'a, E> {
    pub(super) bias: Option<&'a CudaBuf<E>>,
    pub(super) tail: Tail,
    pub(super) affine: Option<(&'a CudaBuf<E>, &'a CudaBuf<E>)>,
    pub(super) residual: Option<&'a CudaBuf<E>>,
}

impl<E: CudaReal> Affine<'_, E> {
    pub(super) fn is_nothing(&self) -> bool {
        self.bias.is_none() && self.tail == Tail::default() && self.affine.is_none() && self.residual.is_none()
    }

    /// Writes to `y`, which may be `x`.
    pub(super) fn run(&self, size: RowSize, x: &CudaBuf<E>, y: &CudaBuf<E>) -> Done<()> {
        let args = [
            long(size.rows),
            int(size.channels),
            x.arg(),
            maybe(self.bias),
            kind(self.tail.before),
            maybe(self.affine.map(|(factor, _)| factor)),
            maybe(self.affine.map(|(_, offset)| offset)),
            maybe(self.residual),
            kind(self.tail.after),
            y.arg(),
        ];
        x.gpu()
            .launch::<E>("tail", Grid::wide_rows::<E>(size.rows, size.channels), &args)
    }
}

pub(super) fn add_to_rows<E: CudaReal>(size: RowSize, x: CudaBuf<E>, row: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let affine = Affine {
        bias: Some(row),
        tail: Tail::default(),
        affine: None,
        residual: None,
    };
    affine.run(size, &x, &x)?;
    Ok(x)
}

/// Each of `batch` matrices `[height][width]` transposed.
pub(super) fn transpose<E: CudaReal>([batch, height, width]: [usize; 3], x: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    const TILE: usize = 32;
    let y = x.gpu().scratch(x.len())?;
    let grid = Grid {
        blocks: [width.div_ceil(TILE), height.div_ceil(TILE), batch.min(65_535)],
        threads: [TILE, 8, 1],
    };
    let args = [int(batch), int(height), int(width), x.arg(), y.arg()];
    x.gpu().launch::<E>("transpose", grid, &args)?;
    Ok(y)
}

fn output_rows(map: MapSize) -> Grid {
    Grid::rows(map.rows(), map.channels)
}

pub(super) fn pool_forward<E: CudaReal>(pool: PoolKind, size: PoolSize, x: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let y = x.gpu().scratch(size.output.len())?;
    let name = match pool {
        PoolKind::Max => "max_pool",
        PoolKind::Average => "average_pool",
    };
    let args = [
        Arg::Sizes(Sizes::from(size)),
        long(size.output.rows()),
        x.arg(),
        y.arg(),
    ];
    x.gpu().launch::<E>(name, output_rows(size.output), &args)?;
    Ok(y)
}

pub(super) fn pool_backward<E: CudaReal>(
    pool: PoolKind,
    size: PoolSize,
    x: &CudaBuf<E>,
    dy: &CudaBuf<E>,
) -> Done<CudaBuf<E>> {
    let (gpu, sizes) = (dy.gpu(), Arg::Sizes(Sizes::from(size)));
    let places = match pool {
        PoolKind::Average => None,
        PoolKind::Max => {
            // Places are 32-bit integers, so as long as `f32`.
            let places = gpu.scratch::<f32>(size.output.len())?;
            let args = [sizes, long(size.output.rows()), x.arg(), places.arg()];
            gpu.launch::<E>("max_pool_places", output_rows(size.output), &args)?;
            Some(places)
        }
    };
    let dx = gpu.scratch(size.input.len())?;
    let args = [
        sizes,
        long(size.input.rows()),
        maybe(places.as_ref()),
        dy.arg(),
        dx.arg(),
    ];
    gpu.launch::<E>("pool_backward", output_rows(size.input), &args)?;
    Ok(dx)
}

pub(super) fn global_pool_forward<E: CudaReal>(pool: PoolKind, size: MapSize, x: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let (gpu, pixels) = (x.gpu(), size.height * size.width);
    let y = gpu.scratch(size.batch * size.channels)?;
    match pool {
        PoolKind::Average => {
            let args = [int(pixels), int(size.channels), x.arg(), y.arg()];
            gpu.launch::<E>(
                "global_average",
                Grid::wide_images::<E>(size.batch, size.channels),
                &args,
            )?;
        }
        PoolKind::Max => {
            let args = [long(size.batch), int(size.channels), int(pixels), x.arg(), y.arg()];
            gpu.launch::<E>("global_max", Grid::rows(size.batch, size.channels), &args)?;
        }
    }
    Ok(y)
}

pub(super) fn global_pool_backward<E: CudaReal>(
    pool: PoolKind,
    size: MapSize,
    x: Option<&CudaBuf<E>>,
    dy: &CudaBuf<E>,
) -> Done<CudaBuf<E>> {
    let (gpu, pixels) = (dy.gpu(), int(size.height * size.width));
    let dx = gpu.scratch(size.len())?;
    match pool {
        PoolKind::Average => {
            let args = [long(size.rows()), int(size.channels), pixels, dy.arg(), dx.arg()];
            gpu.launch::<E>(
                "global_average_backward",
                Grid::wide_rows::<E>(size.rows(), size.channels),
                &args,
            )?;
        }
        PoolKind::Max => {
            let args = [
                long(size.batch),
                int(size.channels),
                pixels,
                maybe(x),
                dy.arg(),
                dx.arg(),
            ];
            gpu.launch::<E>("global_max_backward", Grid::rows(size.batch, size.channels), &args)?;
        }
    }
    Ok(dx)
}

pub(super) fn gate_forward<E: CudaReal>(
    size: MapSize,
    [x, gate]: [&CudaBuf<E>; 2],
    residual: Option<&CudaBuf<E>>,
    after: Option<Activation>,
) -> Done<CudaBuf<E>> {
    let y = x.gpu().scratch(size.len())?;
    let args = [
        long(size.rows()),
        int(size.channels),
        int(size.height * size.width),
        x.arg(),
        gate.arg(),
        maybe(residual),
        kind(after),
        y.arg(),
    ];
    x.gpu()
        .launch::<E>("gate_forward", Grid::wide_rows::<E>(size.rows(), size.channels), &args)?;
    Ok(y)
}

/// The gradients with respect to the map, the gate and, if wanted, the residual.
#[allow(clippy::type_complexity)]
pub(super) fn gate_backward<E: CudaReal>(
    size: MapSize,
    [x, gate]: [&CudaBuf<E>; 2],
    output: Option<&CudaBuf<E>>,
    dy: CudaBuf<E>,
    residual: bool,
) -> Done<(CudaBuf<E>, CudaBuf<E>, Option<CudaBuf<E>>)> {
    let gpu = x.gpu();
    let (dx, dgate) = (gpu.scratch(size.len())?, gpu.scratch(size.batch * size.channels)?);
    let args = [
        int(size.height * size.width),
        int(size.channels),
        x.arg(),
        gate.arg(),
        maybe(output),
        dy.arg(),
        dx.arg(),
        maybe(residual.then_some(&dy)),
        dgate.arg(),
    ];
    gpu.launch::<E>(
        "gate_backward",
        Grid::wide_images::<E>(size.batch, size.channels),
        &args,
    )?;
    Ok((dx, dgate, residual.then_some(dy)))
}

pub(super) fn concat<E: CudaReal>([rows, left, right]: [usize; 3], a: &CudaBuf<E>, b: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let channels = left + right;
    let y = a.gpu().scratch(rows * channels)?;
    let args = [long(rows), int(channels), int(left), a.arg(), b.arg(), y.arg()];
    a.gpu().launch::<E>("concat", Grid::rows(rows, channels), &args)?;
    Ok(y)
}

pub(super) fn split<E: CudaReal>([rows, left, right]: [usize; 3], x: &CudaBuf<E>) -> Done<(CudaBuf<E>, CudaBuf<E>)> {
    let (gpu, channels) = (x.gpu(), left + right);
    let (a, b) = (gpu.scratch(rows * left)?, gpu.scratch(rows * right)?);
    let args = [long(rows), int(channels), int(left), x.arg(), a.arg(), b.arg()];
    gpu.launch::<E>("split", Grid::rows(rows, channels), &args)?;
    Ok((a, b))
}

/// The same elements as on the CPU, which counts in `f64`: `fraction < p` is `bits < p * 2^53`, whose
/// right side is exact.
pub(super) fn dropout<E: CudaReal>(p: f64, seed: u64, x: CudaBuf<E>) -> Done<CudaBuf<E>> {
    let threshold = (p * 2f64.powi(53)).ceil().max(0.0) as u64;
    let args = [
        long(x.len()),
        Arg::Word(mix(seed ^ 0x6a09_e667_f3bc_c909)),
        Arg::Word(threshold),
        Arg::Real(E::of(1.0 / (1.0 - p))),
        x.arg(),
    ];
    x.gpu().launch::<E>("dropout", Grid::flat(x.len()), &args)?;
    Ok(x)
}

/// SplitMix64's finish.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
