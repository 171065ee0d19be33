//! Operations that are made of loops, against PyTorch 2.15 in `f64`:
//!
//! import torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! x = torch.tensor([((i * 7) % 23 - 11) / 4.0 for i in range(48)]).reshape(2, 4, 2, 3).requires_grad_()
//! weight = torch.tensor([0.5, -1.0, 2.0, 1.5]).requires_grad_()
//! bias = torch.tensor([0.1, 0.2, -0.3, 0.4]).requires_grad_()
//! def show(y, *more):
//!     w = torch.tensor([((i * 5) % 17 - 8) / 8.0 for i in range(y.numel())]).reshape(y.shape)
//!     print(y.flatten()[:6].tolist(), (y * w).sum().item())
//!     for g in torch.autograd.grad((y * w).sum(), [x, *more]):
//!         print(g.flatten()[:6].tolist(), (g * torch.arange(g.numel()).reshape(g.shape)).sum().item())

use ksdsl_runtime::generated::*;
use ksdsl_runtime::prelude::*;

type Maps<const H: usize, const W: usize, T = NoneTape> = Act<(Const<2>, Const<4>, Const<H>, Const<W>), f64, Cpu, T>;
type Input = Tensor<Rank4<2, 4, 2, 3>, f64, Cpu>;
type OnTape = OwnedTape<f64, Cpu>;

fn input(cpu: &Cpu) -> Input {
    let values = (0..48).map(|i| f64::from((i * 7) % 23 - 11) / 4.0).collect();
    cpu.tensor_from_vec(values, Default::default())
}

/// The first six values and a sum.
type Seen = ([f64; 6], f64);

fn seen(values: &[f64], factor: impl Fn(usize) -> f64) -> Seen {
    let first = std::array::from_fn(|at| values.get(at).copied().unwrap_or(0.0));
    let sum = values.iter().enumerate().map(|(at, value)| value * factor(at)).sum();
    (first, sum)
}

fn agrees(got: Seen, want: Seen) {
    let apart = |got: f64, want: f64| (got - want).abs() <= 2e-12 * want.abs().max(1.0);
    let same = got.0.iter().zip(&want.0).all(|(got, want)| apart(*got, *want));
    assert!(same && apart(got.1, want.1), "{got:?} is not {want:?}");
}

/// Output and gradients of `x` and of parameters.
fn check<const H: usize, const W: usize>(
    params: &[&Tensor<Rank1<4>, f64, Cpu>],
    operation: impl Fn(Maps<2, 3, OnTape>) -> Result<Maps<H, W, OnTape>, CpuError>,
    output: Seen,
    gradients: &[Seen],
) {
    let cpu = Cpu::default();
    let x = input(&cpu);
    let y = operation(Act::read(x.leaky_trace()).unwrap())
        .unwrap()
        .into_tensor()
        .unwrap();
    let weight = |at: usize| f64::from((at as i32 * 5) % 17 - 8) / 8.0;
    agrees(seen(&y.as_vec(), weight), output);
    let weights = cpu.tensor_from_vec((0..8 * H * W).map(weight).collect(), *y.shape());
    let found = (y * weights).sum::<Rank0, _>().backward();
    agrees(seen(&found.get(&x).as_vec(), |at| at as f64), gradients[0]);
    for (param, want) in params.iter().zip(&gradients[1..]) {
        agrees(seen(&found.get(*param).as_vec(), |at| at as f64), *want);
    }
    assert_eq!(params.len() + 1, gradients.len());
}

/// F.leaky_relu(x, 0.1); F.elu(x, 1.5); torch.tanh(x); F.softplus(x)
#[test]
fn activations_are_pytorchs() {
    check::<2, 3>(
        &[],
        |x| op::apply(op::LeakyRelu { slope: 0.1 }, [x]),
        ([-0.275, -0.1, 0.75, 2.5, -0.15, 0.25], 7.1),
        &[([-0.1, -0.0375, 0.25, 0.875, -0.0625, 0.0], -30.537499999999994)],
    );
    check::<2, 3>(
        &[],
        |x| op::apply(op::Elu { alpha: 1.5 }, [x]),
        (
            [-1.40410820819, -0.948180838243, 0.75, 2.5, -1.165304759777, 0.25],
            5.936186997637174,
        ),
        &[(
            [-0.09589179181, -0.206932185659, 0.25, 0.875, -0.209184525139, 0.0],
            -91.53164921876169,
        )],
    );
    check::<2, 3>(
        &[],
        |x| op::apply(op::Tanh, [x]),
        (
            [
                -0.991859724568,
                -0.761594155956,
                0.635148952387,
                0.986614298151,
                -0.905148253645,
                0.244918662404,
            ],
            1.5585701447962763,
        ),
        &[(
            [
                -0.016214286779,
                -0.157490378105,
                0.14914645207,
                0.023268198348,
                -0.112941649327,
                0.0,
            ],
            -91.89582129594767,
        )],
    );
    check::<2, 3>(
        &[],
        |x| op::apply(op::Softplus, [x]),
        (
            [
                0.061967589003,
                0.313261687518,
                1.136871006115,
                2.578889734293,
                0.201413277983,
                0.825939419879,
            ],
            5.266065033486745,
        ),
        &[(
            [
                -0.060086650174,
                -0.100853033014,
                0.169794674794,
                0.808624092481,
                -0.114015952379,
                0.0,
            ],
            -27.079998043863576,
        )],
    );
}

/// F.group_norm(x, 2, weight, bias, 1e-3)
/// F.rms_norm(x.permute(0, 2, 3, 1), (4,), weight, 1e-3).permute(0, 3, 1, 2)
#[test]
fn norms_are_pytorchs() {
    let cpu = Cpu::default();
    let weight = cpu.tensor([0.5, -1.0, 2.0, 1.5]);
    let bias = cpu.tensor([0.1, 0.2, -0.3, 0.4]);
    check::<2, 3>(
        &[&weight, &bias],
        |x| op::apply_with(op::GroupNorm { groups: 2, eps: 1e-3 }, [x], [&weight, &bias]),
        (
            [
                -0.627772730606,
                -0.105269231709,
                0.417234267187,
                0.939737766084,
                -0.25455594568,
                0.267947553217,
            ],
            2.5674735163854026,
        ),
        &[
            (
                [
                    -0.194784095214,
                    -0.053663148958,
                    0.087457797298,
                    0.228578743554,
                    -0.115310092741,
                    0.025810853515,
                ],
                7.738856689511124,
            ),
            (
                [
                    3.843753580112,
                    -0.581880437375,
                    2.420053086319,
                    -3.684259922457,
                    0.0,
                    0.0,
                ],
                -6.794554032105922,
            ),
            ([-1.0, -0.625, -0.25, 2.25, 0.0, 0.0], 5.625),
        ],
    );
    check::<2, 3>(
        &[&weight],
        |x| op::apply_with(op::RmsNorm { eps: 1e-3 }, [x], [&weight]),
        (
            [
                -0.775756683722,
                -0.252949837306,
                0.278466199596,
                0.833148209854,
                -0.385643617094,
                0.074522352009,
            ],
            -0.08413807150016872,
        ),
        &[
            (
                [
                    -0.23579424967,
                    0.009332471683,
                    0.173196839816,
                    0.12967280112,
                    0.105370764899,
                    -0.007242653502,
                ],
                4.977926241117075,
            ),
            (
                [
                    4.107059558367,
                    -0.296304260651,
                    2.065483167636,
                    -4.376625631071,
                    0.0,
                    0.0,
                ],
                -9.295214818592187,
            ),
        ],
    );
}

/// F.interpolate(x, scale_factor=3, mode="nearest")
/// F.interpolate(x, scale_factor=f, mode="bilinear", align_corners=False) for f in (2, 3)
#[test]
fn upsampling_is_pytorchs() {
    let by = |factor, bilinear| op::Upsample { factor, bilinear };
    check::<6, 9>(
        &[],
        |x| op::apply(by(3, false), [x]),
        ([-2.75, -2.75, -2.75, -1.0, -1.0, -1.0], 26.125),
        &[([0.5, 0.375, -1.875, 1.5, -0.75, -0.875], 19.875)],
    );
    check::<4, 6>(
        &[],
        |x| op::apply(by(2, true), [x]),
        ([-2.75, -2.3125, -1.4375, -0.5625, 0.3125, 0.75], -1.736328125),
        &[([-1.1640625, 0.6015625, -0.15625, 0.3828125, 0.0234375, 0.0625], -15.125)],
    );
    check::<6, 9>(
        &[],
        |x| op::apply(by(3, true), [x]),
        (
            [-2.75, -2.75, -2.166666666667, -1.583333333333, -1.0, -0.416666666667],
            19.298611111111107,
        ),
        &[(
            [
                0.611111111111,
                0.333333333333,
                -2.069444444444,
                1.222222222222,
                -0.708333333333,
                -0.513888888889,
            ],
            20.583333333333364,
        )],
    );
}

/// x - 2 * x, whose gradient is that of -x.
#[test]
fn differences_are_of_both_inputs() {
    let weight = |at: usize| f64::from((at as i32 * 5) % 17 - 8) / 8.0;
    let x = input(&Cpu::default()).as_vec();
    let negative: Vec<f64> = x.iter().map(|x| -x).collect();
    let gradient: Vec<f64> = (0..48).map(|at| -weight(at)).collect();
    check::<2, 3>(
        &[],
        |x| {
            let (x, other) = x.fork()?;
            let (other, more) = other.fork()?;
            let twice = op::add(other, more)?;
            op::apply(op::Subtract, [x, twice])
        },
        seen(&negative, weight),
        &[seen(&gradient, |at| at as f64)],
    );
}
