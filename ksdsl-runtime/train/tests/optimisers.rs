//! Optimisers, clipping, averaging and the loss against PyTorch's numbers and dfdx's own.

use ksdsl_runtime::dfdx::nn::builders;
use ksdsl_runtime::dfdx::nn::modules::BatchNorm1D;
use ksdsl_runtime::dfdx::optim as dfdx_optim;
use ksdsl_runtime::prelude::{
    AdamConfig, AsArray, Backward, Const, Cpu, DeviceBuildExt, Gradients, Momentum, Optimizer, Rank1, Rank2, SgdConfig,
    Tensor, TensorFrom, TensorFromVec, Trace, WeightDecay, ZeroGrads,
};
use ksdsl_train::loss::cross_entropy;
use ksdsl_train::optim::{AdamW, Average, Averaging, Decayed, Method, Optimiser, Sgd, Statistics};

/// A kernel and a bias.
type Model = (Tensor<Rank2<2, 2>, f64, Cpu>, Tensor<Rank1<2>, f64, Cpu>);

// The expected numbers are those of PyTorch 2.15 in float64:
//
// def opt(make, clip=None, steps=4):
//     p = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64))
//     b = torch.nn.Parameter(torch.tensor([0.25, -1.5], dtype=torch.float64))
//     o = make(p, b); norms = []
//     for t in range(steps):
//         o.zero_grad()
//         x = torch.tensor([0.7, -1.1], dtype=torch.float64) * (t + 1)
//         loss = ((p @ x + b) ** 2).sum() / 4 + (p ** 3).sum() / 30
//         loss.backward()
//         if clip: norms.append(float(torch.nn.utils.clip_grad_norm_([p, b], clip)))
//         o.step()
//     return p.flatten().tolist(), b.tolist(), norms

fn model() -> Model {
    let device = Cpu::default();
    (device.tensor([[1.0, -2.0], [0.5, 3.0]]), device.tensor([0.25, -1.5]))
}

/// The gradients of the loss above, by hand: with `r = (p x + b) / 2`, `r x' + p^2 / 10` and `r`.
fn gradients(model: &Model, step: usize) -> Gradients<f64, Cpu> {
    let x = [0.7, -1.1].map(|x| x * (step + 1) as f64);
    let (p, b) = (model.0.array(), model.1.array());
    let mut gradients = model.alloc_grads();
    let r: Vec<f64> = (0..2).map(|i| (p[i][0] * x[0] + p[i][1] * x[1] + b[i]) / 2.0).collect();
    let kernel = gradients.get_or_alloc_mut(&model.0).unwrap();
    for i in 0..2 {
        for j in 0..2 {
            kernel[2 * i + j] = r[i] * x[j] + p[i][j] * p[i][j] / 10.0;
        }
    }
    gradients.get_or_alloc_mut(&model.1).unwrap().copy_from_slice(&r);
    gradients
}

/// Kernel and bias after four steps, and the norms of the gradients.
fn trained(mut optimiser: Optimiser<f64, Cpu>) -> ([f64; 6], Vec<f64>) {
    let mut model = model();
    let norms = (0..4)
        .map(|step| {
            let mut gradients = gradients(&model, step);
            optimiser.step(&mut model, &mut gradients).unwrap()
        })
        .collect();
    let all = [model.0.as_vec(), model.1.as_vec()].concat();
    (all.try_into().unwrap(), norms)
}

fn optimiser(method: impl Into<Method>, decayed: Decayed) -> Optimiser<f64, Cpu> {
    let mut optimiser = Optimiser::new(method);
    (optimiser.rate, optimiser.decayed) = (0.05, decayed);
    optimiser
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-12 * expected.abs().max(1.0),
            "{found} is not {expected}"
        );
    }
}

const MOMENTUM: Sgd = Sgd {
    momentum: 0.9,
    nesterov: false,
    decay: 0.1,
    decoupled: 0.0,
};
const NESTEROV: Sgd = Sgd {
    nesterov: true,
    ..MOMENTUM
};
const PLAIN: Sgd = Sgd {
    momentum: 0.0,
    nesterov: false,
    decay: 0.0,
    decoupled: 0.0,
};
const ADAM: AdamW = AdamW {
    betas: [0.8, 0.95],
    eps: 1e-3,
    decay: 0.1,
};

/// opt(lambda p, b: torch.optim.SGD([p, b], lr=0.05))
#[test]
fn plain_descent_is_pytorchs() {
    let expected = [
        -0.027226010505731313,
        -0.46372930001761287,
        1.5777656113770178,
        1.1551922498373524,
        -0.2866831215971961,
        -0.8948677915722442,
    ];
    assert_close(&trained(optimiser(PLAIN, Decayed::All)).0, &expected);
}

/// opt(lambda p, b: torch.optim.SGD([p, b], lr=0.05, momentum=0.9, weight_decay=0.1))
#[test]
fn momentum_and_decay_are_pytorchs() {
    let expected = [
        -0.644600851726791,
        0.40905613840307303,
        2.1108087113970444,
        -0.05624739308917215,
        -0.7899141639006243,
        -0.25029496693536146,
    ];
    assert_close(&trained(optimiser(MOMENTUM, Decayed::All)).0, &expected);
}

/// opt(lambda p, b: torch.optim.SGD([p, b], lr=0.05, momentum=0.9, weight_decay=0.1, nesterov=True))
#[test]
fn nesterovs_momentum_is_pytorchs() {
    let expected = [
        -0.5812326430765266,
        0.2941909649053921,
        1.8286910460874088,
        0.2513217585015294,
        -0.8411659929614603,
        -0.23452772644845746,
    ];
    assert_close(&trained(optimiser(NESTEROV, Decayed::All)).0, &expected);
}

/// opt(lambda p, b: torch.optim.SGD([dict(params=[p]), dict(params=[b], weight_decay=0.0)], lr=0.05, momentum=0.9,
///                                  weight_decay=0.1))
#[test]
fn biases_can_be_kept_from_decaying() {
    let expected = [
        -0.6451696081678369,
        0.4099556015720495,
        2.1150364740671432,
        -0.06288919722907978,
        -0.7860312735355952,
        -0.3065935985167818,
    ];
    assert_close(&trained(optimiser(MOMENTUM, Decayed::Kernels)).0, &expected);
}

/// opt(lambda p, b: torch.optim.AdamW([p, b], lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)), and
/// opt(lambda p, b: torch.optim.AdamW([dict(params=[p]), dict(params=[b], weight_decay=0.0)], lr=0.05,
///                                    betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1))
#[test]
fn adam_w_is_pytorchs() {
    let expected = [
        0.793326312684206,
        -1.776045017030613,
        0.6779331191757163,
        2.7499589015062758,
        0.047970919545094144,
        -1.2717365131186722,
    ];
    assert_close(&trained(optimiser(ADAM, Decayed::All)).0, &expected);
    let expected = [
        0.7933286897331373,
        -1.7760471565460256,
        0.6779179798736696,
        2.7499741219655114,
        0.05145252672155146,
        -1.3000312831428207,
    ];
    assert_close(&trained(optimiser(ADAM, Decayed::Kernels)).0, &expected);
}

/// opt(lambda p, b: torch.optim.SGD([p, b], lr=0.05, momentum=0.9), clip=1.0)
///
/// Elsewhere: <https://github.com/clab/dynet/issues/1374>
#[test]
fn clipping_is_pytorchs() {
    let mut clipped = optimiser(Sgd { decay: 0.0, ..MOMENTUM }, Decayed::All);
    clipped.clip = Some(1.0);
    let expected = [
        0.8648137458391381,
        -1.814934348339622,
        0.6600709085678265,
        2.70230759649597,
        0.14338659843304474,
        -1.3614885119571527,
    ];
    let norms = [
        4.920073678310113,
        13.551615346141483,
        26.86169342723794,
        43.90520163717628,
    ];
    let (found, found_norms) = trained(clipped);
    assert_close(&found, &expected);
    assert_close(&found_norms, &norms);
}

/// Running statistics between the parameters are left alone, and each parameter gets its own gradient.
#[test]
fn every_parameter_follows_its_own_gradient() {
    let device = Cpu::default();
    let norm: Norm = device.build_module::<builders::BatchNorm1D<2>, f64>();
    let mut model: (Norm, Tensor<Rank1<3>, f64, Cpu>) = (norm, device.tensor([1.0, 2.0, 3.0]));
    let mut gradients = model.alloc_grads();
    let fill = |gradient: &mut Vec<f64>, values: &[f64]| gradient.copy_from_slice(values);
    fill(gradients.get_or_alloc_mut(&model.0.scale).unwrap(), &[0.25, 0.5]);
    fill(gradients.get_or_alloc_mut(&model.0.bias).unwrap(), &[-1.0, 1.0]);
    fill(gradients.get_or_alloc_mut(&model.1).unwrap(), &[1.0, 1.5, 2.0]);
    let mut optimiser = optimiser(PLAIN, Decayed::All);
    optimiser.rate = 1.0;
    optimiser.update(&mut model, &gradients).unwrap();
    assert_eq!(
        (model.0.scale.array(), model.0.bias.array()),
        ([0.75, 0.5], [1.0, -1.0])
    );
    assert_eq!(
        (model.0.running_mean.array(), model.0.running_var.array()),
        ([0.0; 2], [1.0; 2])
    );
    assert_eq!(model.1.array(), [0.0, 0.5, 1.0]);
}

/// A step of a norm that is not finite changes nothing.
#[test]
fn a_step_to_nowhere_is_not_taken() {
    let mut model = model();
    let mut gradients = gradients(&model, 0);
    gradients.get_or_alloc_mut(&model.1).unwrap()[0] = f64::INFINITY;
    let mut optimiser = optimiser(MOMENTUM, Decayed::All);
    let norm = optimiser.step(&mut model, &mut gradients).unwrap();
    assert!(norm.is_infinite() && optimiser.steps() == 0);
    assert_eq!(
        (model.0.array(), model.1.array()),
        ([[1.0, -2.0], [0.5, 3.0]], [0.25, -1.5])
    );
}

/// Ten steps with ours and with dfdx's, by the trait that both implement.
fn assert_like_dfdx(mut ours: impl Optimizer<Model, Cpu, f64>, mut theirs: impl Optimizer<Model, Cpu, f64>) {
    let mut models = [model(), model()];
    for step in 0..10 {
        let [ours_grads, theirs_grads] = [0, 1].map(|i| gradients(&models[i], step % 3));
        ours.update(&mut models[0], &ours_grads).unwrap();
        theirs.update(&mut models[1], &theirs_grads).unwrap();
        let [found, expected] = [0, 1].map(|i| [models[i].0.as_vec(), models[i].1.as_vec()].concat());
        assert_close(&found, &expected);
    }
}

#[test]
fn descent_is_dfdxs() {
    let momenta = [
        (None, PLAIN),
        (Some(Momentum::Classic(0.9)), Sgd { decay: 0.0, ..MOMENTUM }),
        (Some(Momentum::Nesterov(0.9)), Sgd { decay: 0.0, ..NESTEROV }),
    ];
    let decays = [
        (None, 0.0, 0.0),
        (Some(WeightDecay::L2(0.1)), 0.1, 0.0),
        (Some(WeightDecay::Decoupled(0.2)), 0.0, 0.2),
    ];
    for (momentum, rule) in momenta {
        for (weight_decay, decay, decoupled) in decays {
            let rule = Sgd {
                decay,
                decoupled,
                ..rule
            };
            let config = SgdConfig {
                lr: 0.05,
                momentum,
                weight_decay,
            };
            assert_like_dfdx(optimiser(rule, Decayed::All), dfdx_optim::Sgd::new(&model(), config));
        }
    }
}

#[test]
fn adam_w_is_dfdxs() {
    let config = AdamConfig {
        lr: 0.05,
        betas: ADAM.betas,
        eps: ADAM.eps,
        weight_decay: Some(WeightDecay::Decoupled(ADAM.decay)),
    };
    assert_like_dfdx(optimiser(ADAM, Decayed::All), dfdx_optim::Adam::new(&model(), config));
}

/// z = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]], dtype=torch.float64, requires_grad=True)
/// y = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]], dtype=torch.float64)
/// l = torch.nn.functional.cross_entropy(z, y); l.backward(); l.item(), z.grad.flatten().tolist()
#[test]
fn the_loss_is_pytorchs() {
    let device = Cpu::default();
    let logits = device.tensor_from_vec(vec![1.0f64, -2.0, 0.5, 3.0, 0.0, -1.0], (2, Const::<3>));
    let targets = device.tensor_from_vec(vec![0.7, 0.2, 0.1, 0.05, 0.05, 0.9], (2, Const::<3>));
    let loss = cross_entropy(logits.leaky_trace(), targets);
    assert_close(&loss.as_vec(), &[2.4852404030498567]);
    let expected = [
        -0.048125551925687106,
        -0.08497055621521299,
        0.1330961081409001,
        0.44311977593825286,
        -0.0016936887110130562,
        -0.4414260872272398,
    ];
    assert_close(&loss.backward().get(&logits).as_vec(), &expected);
}

/// A batch norm of two channels with its running statistics.
type Norm = BatchNorm1D<2, f64, Cpu>;

/// The average of four steps, and the last running statistics:
///
/// m = torch.nn.BatchNorm1d(2, momentum=0.1).double()
/// a = AveragedModel(m, multi_avg_fn=get_ema_multi_avg_fn(0.75), use_buffers=buffers)
/// for t in range(4):
///     m(torch.tensor([[1.0, 2.0], [3.0, -2.0], [0.5, 1.5]], dtype=torch.float64) * (t + 1))
///     with torch.no_grad(): m.weight.mul_(1.1); m.bias.add_(torch.tensor([0.5, -0.25]))
///     a.update_parameters(m)
/// [x.tolist() for x in (a.module.weight, a.module.bias, a.module.running_mean, a.module.running_var)]
fn averaged(statistics: Statistics) -> [Vec<f64>; 4] {
    let device = Cpu::default();
    let mut model: Norm = device.build_module::<builders::BatchNorm1D<2>, f64>();
    let mut average = Average::new(Averaging {
        decay: 0.75,
        statistics,
    });
    let (mut weight, mut bias, mut mean, mut variance) = ([1.0f64; 2], [0.0f64; 2], [0.0f64; 2], [1.0f64; 2]);
    for t in 1..=4 {
        let t = f64::from(t);
        // The mean and the unbiased variance of the batch.
        for (channel, (of_mean, of_variance)) in [(1.5, 1.75), (0.5, 4.75)].into_iter().enumerate() {
            mean[channel] = 0.9 * mean[channel] + 0.1 * of_mean * t;
            variance[channel] = 0.9 * variance[channel] + 0.1 * of_variance * t * t;
            weight[channel] *= 1.1;
            bias[channel] += [0.5, -0.25][channel];
        }
        model.scale.copy_from(&weight);
        model.bias.copy_from(&bias);
        model.running_mean.copy_from(&mean);
        model.running_var.copy_from(&variance);
        average.update(&model).unwrap();
    }
    let values = |model: &Norm| {
        let tensors = [&model.scale, &model.bias, &model.running_mean, &model.running_var];
        tensors.map(|tensor| tensor.as_vec())
    };
    average.swap(&mut model).unwrap();
    let averaged = values(&model);
    average.swap(&mut model).unwrap();
    assert_eq!(values(&model), [weight, bias, mean, variance].map(Vec::from));
    averaged
}

#[test]
fn averages_are_pytorchs() {
    let parameters = [[1.2498062500000002, 1.2498062500000002], [1.1328125, -0.56640625]];
    let cases = [
        (
            Statistics::Averaged,
            [[0.6215718750000001, 0.20719062500000004], [2.6567546875, 5.8495234375]],
        ),
        (
            Statistics::Copied,
            [[1.3573500000000003, 0.4524500000000001], [5.568175, 13.988875]],
        ),
    ];
    for (statistics, expected) in cases {
        let expected = parameters.into_iter().chain(expected);
        for (found, expected) in averaged(statistics).iter().zip(expected) {
            assert_close(found, &expected);
        }
    }
}
