//! Every typed operation, forward and backward through dfdx's tape, against finite differences in
//! `f64`.

use dfdx::prelude::*;
use ksdsl_files::random::SplitMix64;
use ksdsl_runtime::act::ActShape;
use ksdsl_runtime::dfdx;
use ksdsl_runtime::generated::{
    Act, BatchNorm, Bound, Dilation, Flat, Kernel, LayerNorm, LowRank, Map, NoBias, Pad, Pass, Stride, op,
};

type Taped = OwnedTape<f64, Cpu>;

/// Values in `[-1, 1)`, the same on every machine.
fn values(len: usize, seed: u64) -> Vec<f64> {
    let mut generator = SplitMix64(seed);
    (0..len).map(|_| 2.0 * generator.fraction() - 1.0).collect()
}

fn tensor<S: ConstShape>(values: &[f64]) -> Tensor<S, f64, Cpu> {
    let device = Cpu::default();
    device.tensor_from_vec(values.to_vec(), S::default())
}

fn read<S: ActShape>(x: &Tensor<S, f64, Cpu>) -> Act<S, f64, Cpu, Taped> {
    Act::read(x.leaky_trace()).unwrap()
}

/// A scalar function of an operation's output that depends on each element differently, and the
/// gradients.
fn loss<S: ActShape>(y: Act<S, f64, Cpu, Taped>) -> (f64, Gradients<f64, Cpu>) {
    let y = y.into_tensor().unwrap();
    let shape = *y.shape();
    let factors = values(shape.num_elements(), 99);
    let factors = Cpu::default().tensor_from_vec(factors, shape);
    let loss = (y * factors).sum::<Rank0, S::AllAxes>();
    (loss.array(), loss.backward())
}

/// Compares gradients with central differences: `eval` maps the values of all leaves to the loss
/// and its gradients.
fn check(lens: &[usize], eval: impl Fn(&[Vec<f64>]) -> (f64, Vec<Vec<f64>>)) {
    const STEP: f64 = 1e-5;
    let mut leaves: Vec<Vec<f64>> = (1..).zip(lens).map(|(seed, &len)| values(len, seed)).collect();
    let (_, gradients) = eval(&leaves);
    for leaf in 0..lens.len() {
        for i in 0..lens[leaf] {
            let middle = leaves[leaf][i];
            leaves[leaf][i] = middle + STEP;
            let above = eval(&leaves).0;
            leaves[leaf][i] = middle - STEP;
            let below = eval(&leaves).0;
            leaves[leaf][i] = middle;
            let expected = (above - below) / (2.0 * STEP);
            let got = gradients[leaf][i];
            assert!(
                (got - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                "leaf {leaf}, element {i}: gradient {got}, difference quotient {expected}"
            );
        }
    }
}

/// Checks an expression over tensors of the given shapes; it evaluates to a taped activation.
macro_rules! check_gradients {
    (|$($leaf:ident: $shape:ty),+| $forward:expr) => {
        check(&[$(<$shape>::default().num_elements()),+], |all| {
            let mut all = all.iter();
            $(let $leaf: Tensor<$shape, f64, Cpu> = tensor(all.next().unwrap());)+
            let (loss, gradients) = loss($forward);
            (loss, vec![$(gradients.get(&$leaf).as_vec()),+])
        })
    };
}

type Same<const P: usize> = Pad<P, P, P, P>;
type One = Dilation<1, 1>;
type Out<const B: usize, const C: usize, const H: usize, const W: usize> = Map<Const<B>, C, H, W, f64, Cpu, Taped>;

#[test]
fn conv_plain() {
    check_gradients!(|x: Rank4<2, 3, 5, 4>, w: Rank4<4, 3, 3, 3>, b: Rank1<4>| {
        let y: Out<2, 4, 5, 4> = op::Conv::<Stride<1, 1>, Same<1>, One, 1>::apply(read(&x), &w, &b).unwrap();
        y
    });
}

#[test]
fn conv_strided_with_asymmetric_padding() {
    // Height (6 + 0 + 1 - 3) / 2 + 1 = 3, width (5 + 2 + 1 - 2) / 3 + 1 = 3.
    check_gradients!(|x: Rank4<1, 2, 6, 5>, w: Rank4<3, 2, 3, 2>| {
        let y: Out<1, 3, 3, 3> =
            op::Conv::<Stride<2, 3>, Pad<0, 1, 2, 1>, One, 1>::apply(read(&x), &w, NoBias).unwrap();
        y
    });
}

#[test]
fn conv_dilated() {
    // Height 6 + 4 - 2 * 2 - 1 + 1 = 6, width 7 + 0 - 3 * 1 - 1 + 1 = 4.
    check_gradients!(|x: Rank4<2, 2, 6, 7>, w: Rank4<2, 2, 3, 2>| {
        let y: Out<2, 2, 6, 4> =
            op::Conv::<Stride<1, 1>, Pad<2, 2, 0, 0>, Dilation<2, 3>, 1>::apply(read(&x), &w, NoBias).unwrap();
        y
    });
}

#[test]
fn conv_grouped_and_depthwise() {
    check_gradients!(|x: Rank4<2, 4, 4, 3>, w: Rank4<6, 2, 3, 3>, b: Rank1<6>| {
        let y: Out<2, 6, 4, 3> = op::Conv::<Stride<1, 1>, Same<1>, One, 2>::apply(read(&x), &w, &b).unwrap();
        y
    });
    check_gradients!(|x: Rank4<2, 5, 5, 5>, w: Rank4<5, 1, 5, 5>, b: Rank1<5>| {
        let y: Out<2, 5, 5, 5> = op::Conv::<Stride<1, 1>, Same<2>, One, 5>::apply(read(&x), &w, &b).unwrap();
        y
    });
    check_gradients!(|x: Rank4<1, 3, 6, 6>, w: Rank4<6, 1, 3, 3>| {
        let y: Out<1, 6, 3, 3> =
            op::Conv::<Stride<2, 2>, Pad<1, 0, 0, 1>, One, 3>::apply(read(&x), &w, NoBias).unwrap();
        y
    });
}

#[test]
fn conv_pointwise_and_on_one_pixel() {
    check_gradients!(|x: Rank4<2, 3, 3, 2>, w: Rank4<4, 3, 1, 1>| {
        let y: Out<2, 4, 3, 2> = op::Conv::<Stride<1, 1>, Same<0>, One, 1>::apply(read(&x), &w, NoBias).unwrap();
        y
    });
    check_gradients!(|x: Rank4<1, 3, 1, 1>, w: Rank4<2, 3, 3, 3>, b: Rank1<2>| {
        let y: Out<1, 2, 1, 1> = op::Conv::<Stride<1, 1>, Same<1>, One, 1>::apply(read(&x), &w, &b).unwrap();
        y
    });
    check_gradients!(|x: Rank4<2, 3, 4, 4>, w: Rank4<2, 3, 1, 1>| {
        let y: Out<2, 2, 2, 2> = op::Conv::<Stride<2, 2>, Same<0>, One, 1>::apply(read(&x), &w, NoBias).unwrap();
        y
    });
}

#[test]
fn shared_parameters() {
    check_gradients!(|x: Rank4<2, 3, 4, 4>, w: Rank4<3, 3, 3, 3>, b: Rank1<3>| {
        let mut x = read(&x);
        let shared = Bound::new(&w, x.context_mut()).unwrap();
        let bias = Bound::new(&b, x.context_mut()).unwrap();
        let x: Out<2, 3, 4, 4> = op::Conv::<Stride<1, 1>, Same<1>, One, 1>::apply(x, &shared, &bias).unwrap();
        let x: Out<2, 3, 4, 4> =
            op::Conv::<Stride<1, 1>, Same<2>, Dilation<2, 2>, 1>::apply(x, &shared, NoBias).unwrap();
        let x: Out<2, 3, 2, 2> = op::Conv::<Stride<2, 2>, Same<1>, One, 1>::apply(x, &shared, &bias).unwrap();
        x
    });
}

#[test]
fn linear() {
    check_gradients!(|x: Rank2<3, 5>, w: Rank2<4, 5>, b: Rank1<4>| op::linear(read(&x), &w, &b).unwrap());
    check_gradients!(|x: Rank2<1, 2>, w: Rank2<3, 2>| op::linear(read(&x), &w, NoBias).unwrap());
}

/// `K + B A` as the kernel, with a kernel of its own and with a shared one.
#[test]
fn additions_of_low_rank() {
    // Two groups of two inputs: 2 * 3 * 3 columns.
    check_gradients!(
        |x: Rank4<1, 4, 4, 3>, w: Rank4<6, 2, 3, 3>, a: Rank2<2, 18>, b: Rank2<6, 2>, c: Rank1<6>| {
            let weight = LowRank::new(&w, &a, &b);
            let y: Out<1, 6, 4, 3> = op::Conv::<Stride<1, 1>, Same<1>, One, 2>::apply(read(&x), weight, &c).unwrap();
            y
        }
    );
    check_gradients!(|x: Rank2<3, 4>, w: Rank2<4, 4>, a: Rank2<1, 4>, b: Rank2<4, 1>| {
        let mut x = read(&x);
        let shared = Bound::new(&w, x.context_mut()).unwrap();
        let x = op::silu(op::linear(x, LowRank::new(&shared, &a, &b), NoBias).unwrap()).unwrap();
        let x = op::linear(x, &shared, NoBias).unwrap();
        op::linear(x, LowRank::new(&shared, &a, &b), NoBias).unwrap()
    });
}

#[test]
fn activations() {
    check_gradients!(|x: Rank4<2, 3, 2, 2>| op::relu(read(&x)).unwrap());
    check_gradients!(|x: Rank4<2, 3, 2, 2>| op::gelu(read(&x)).unwrap());
    check_gradients!(|x: Rank4<2, 3, 2, 2>| op::gelu_tanh(read(&x)).unwrap());
    check_gradients!(|x: Rank2<3, 4>| op::silu(read(&x)).unwrap());
    check_gradients!(|x: Rank2<3, 4>| op::sigmoid(read(&x)).unwrap());
    check_gradients!(|x: Rank2<3, 4>| op::hard_swish(read(&x)).unwrap());
}

#[test]
fn pooling() {
    check_gradients!(|x: Rank4<2, 3, 4, 6>| {
        let y: Out<2, 3, 2, 3> = op::MaxPool::<Kernel<2, 2>, Stride<2, 2>, Same<0>>::apply(read(&x)).unwrap();
        y
    });
    // (5 + 1 + 0 - 3) / 2 + 1 = 2 rows, (5 + 1 + 1 - 2) / 1 + 1 = 6 columns.
    check_gradients!(|x: Rank4<1, 2, 5, 5>| {
        let y: Out<1, 2, 2, 6> = op::MaxPool::<Kernel<3, 2>, Stride<2, 1>, Pad<1, 0, 1, 1>>::apply(read(&x)).unwrap();
        y
    });
    check_gradients!(|x: Rank4<1, 2, 5, 5>| {
        let y: Out<1, 2, 2, 6> = op::AvgPool::<Kernel<3, 2>, Stride<2, 1>, Pad<1, 0, 1, 1>>::apply(read(&x)).unwrap();
        y
    });
    check_gradients!(|x: Rank4<2, 3, 3, 4>| op::global_avg_pool(read(&x)).unwrap());
    check_gradients!(|x: Rank4<2, 3, 3, 4>| op::global_max_pool(read(&x)).unwrap());
    check_gradients!(|x: Rank4<1, 3, 1, 1>| op::global_avg_pool(read(&x)).unwrap());
}

#[test]
fn branches() {
    check_gradients!(|a: Rank4<2, 3, 2, 2>, b: Rank4<2, 3, 2, 2>| op::add(read(&a), read(&b)).unwrap());
    check_gradients!(|a: Rank2<2, 3>, b: Rank2<2, 3>| op::multiply(read(&a), read(&b)).unwrap());
    check_gradients!(|x: Rank4<2, 3, 3, 2>, g: Rank2<2, 3>| op::gate(read(&x), read(&g)).unwrap());
    check_gradients!(|a: Rank4<2, 3, 2, 2>, b: Rank4<2, 1, 2, 2>| {
        let y: Out<2, 4, 2, 2> = op::concat(read(&a), read(&b)).unwrap();
        y
    });
    check_gradients!(|a: Rank2<2, 3>, b: Rank2<2, 2>| {
        let y: Flat<Const<2>, 5, f64, Cpu, Taped> = op::concat(read(&a), read(&b)).unwrap();
        y
    });
    check_gradients!(|x: Rank4<2, 3, 2, 2>| {
        let y: Flat<Const<2>, 12, f64, Cpu, Taped> = op::flatten(read(&x)).unwrap();
        y
    });
}

#[test]
fn forks_add_their_gradients() {
    check_gradients!(|x: Rank4<2, 3, 2, 2>| {
        let (x, skip) = read(&x).fork().unwrap();
        let (gated, factor) = op::silu(x).unwrap().fork().unwrap();
        let x = op::multiply(gated, factor).unwrap();
        op::add(op::relu(x).unwrap(), skip).unwrap()
    });
    // In-place operations on one branch must not be seen by the other.
    check_gradients!(|x: Rank2<2, 3>| {
        let (x, skip) = read(&x).fork().unwrap();
        let x = op::relu(x).unwrap();
        let skip = op::sigmoid(skip).unwrap();
        op::add(x, skip).unwrap()
    });
}

fn batch_norm<const C: usize>(
    weight: &Tensor<Rank1<C>, f64, Cpu>,
    bias: &Tensor<Rank1<C>, f64, Cpu>,
) -> BatchNorm<C, f64, Cpu> {
    BatchNorm {
        weight: weight.clone(),
        bias: bias.clone(),
        running_mean: tensor(&values(C, 7)),
        running_var: tensor(&values(C, 8).iter().map(|v| 1.5 + v).collect::<Vec<_>>()),
    }
}

#[test]
fn batch_norm_in_both_modes() {
    let device = Cpu::default();
    for training in [true, false] {
        let pass = || match training {
            true => Pass::training(&device),
            false => Pass::inference(&device),
        };
        check_gradients!(|x: Rank4<2, 3, 2, 3>, w: Rank1<3>, b: Rank1<3>| {
            batch_norm(&w, &b).apply(&mut pass(), read(&x), 1e-5, 0.1).unwrap()
        });
        check_gradients!(|x: Rank2<5, 3>, w: Rank1<3>, b: Rank1<3>| {
            batch_norm(&w, &b).apply(&mut pass(), read(&x), 1e-3, 0.1).unwrap()
        });
    }
}

#[test]
fn layer_norm() {
    check_gradients!(|x: Rank4<2, 4, 2, 2>, w: Rank1<4>, b: Rank1<4>| {
        let norm = LayerNorm {
            weight: w.clone(),
            bias: b.clone(),
        };
        norm.apply(read(&x), 1e-5).unwrap()
    });
    check_gradients!(|x: Rank2<3, 5>, w: Rank1<5>, b: Rank1<5>| {
        let norm = LayerNorm {
            weight: w.clone(),
            bias: b.clone(),
        };
        norm.apply(read(&x), 1e-6).unwrap()
    });
}

#[test]
fn attend() {
    check_gradients!(|q: Rank4<2, 4, 2, 3>, k: Rank4<2, 4, 2, 3>, v: Rank4<2, 4, 2, 3>| {
        op::Attend::<2, 2, false>::apply(read(&q), read(&k), read(&v)).unwrap()
    });
    // Self-attention: all three gradients come together in one map.
    check_gradients!(|x: Rank4<1, 3, 4, 1>| {
        let (q, k) = read(&x).fork().unwrap();
        let (k, v) = k.fork().unwrap();
        op::Attend::<1, 1, false>::apply(q, k, v).unwrap()
    });
    check_gradients!(|q: Rank4<1, 2, 1, 1>, k: Rank4<1, 2, 1, 1>, v: Rank4<1, 2, 1, 1>| {
        op::Attend::<2, 2, false>::apply(read(&q), read(&k), read(&v)).unwrap()
    });
}

#[test]
fn position_embedding() {
    check_gradients!(|x: Rank4<3, 2, 2, 3>, w: Rank4<1, 2, 2, 3>| op::position_embedding(read(&x), &w).unwrap());
    check_gradients!(|x: Rank4<2, 1, 3, 3>, w: Rank4<1, 1, 3, 3>| op::position_embedding(read(&x), &w).unwrap());
    // Two visits of one embedding, and another use of what it is added to.
    check_gradients!(|x: Rank4<2, 2, 2, 2>, w: Rank4<1, 2, 2, 2>| {
        let mut x = read(&x);
        let shared = Bound::new(&w, x.context_mut()).unwrap();
        let (x, same) = x.fork().unwrap();
        let x = op::silu(op::position_embedding(x, &shared).unwrap()).unwrap();
        op::add(op::position_embedding(x, &shared).unwrap(), same).unwrap()
    });
}

#[test]
fn dropout() {
    check_gradients!(|x: Rank4<2, 3, 4, 4>| {
        // A fresh device per evaluation: the same seed, so the same mask.
        let mut pass = Pass::training(&Cpu::seed_from_u64(3));
        op::dropout(&mut pass, read(&x), 0.4).unwrap()
    });
}

#[test]
fn stochastic_depth() {
    check_gradients!(|x: Rank4<6, 2, 2, 3>| {
        let mut pass = Pass::training(&Cpu::seed_from_u64(3));
        op::stochastic_depth(&mut pass, read(&x), 0.4).unwrap()
    });
}

#[test]
fn transposed_inputs_and_parameters_get_their_gradients_in_order() {
    check_gradients!(|x: Rank4<3, 2, 4, 5>, w: Rank4<3, 2, 3, 3>| {
        // Both are permuted views whose physical order is not the logical one.
        let (traced, kernel) = (x.leaky_trace(), w.leaky_trace());
        let x = traced.permute::<Rank4<2, 3, 5, 4>, Axes4<1, 0, 3, 2>>();
        let (kernel, tape) = kernel.permute::<Rank4<2, 3, 3, 3>, Axes4<1, 0, 3, 2>>().split_tape();
        let mut x = Act::read(x).unwrap();
        *x.tape_mut() = std::mem::take(x.tape_mut()).merge(tape);
        let y: Out<2, 2, 5, 4> = op::Conv::<Stride<1, 1>, Same<1>, One, 1>::apply(x, &kernel, NoBias).unwrap();
        y
    });
}
