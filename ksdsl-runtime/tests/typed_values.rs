//! Values of the typed operations against their formulas, written out over NCHW.

use dfdx::prelude::*;
use ksdsl_runtime::dfdx;
use ksdsl_runtime::generated::{
    BatchNorm, Dilation, Flat, Kernel, LayerNorm, Map, NoBias, Pad, Pass, PlainBatchNorm, Stride, op,
};

type Maps<const B: usize, const C: usize, const H: usize, const W: usize> = Map<Const<B>, C, H, W, f64, Cpu>;

fn sample<S: ConstShape>(seed: u64) -> Tensor<S, f64, Cpu> {
    Cpu::seed_from_u64(seed).sample_normal()
}

fn assert_close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 1e-10 * b.abs().max(1.0),
            "element {i}: {a}, expected {b}"
        );
    }
}

/// The value at row `y`, column `x` of a padded map, if it is not padding.
fn inside<const H: usize, const W: usize>(map: &[[f64; W]; H], y: isize, x: isize) -> Option<f64> {
    map.get(usize::try_from(y).ok()?)?
        .get(usize::try_from(x).ok()?)
        .copied()
}

#[test]
fn conv_with_everything() {
    let x: Tensor<Rank4<2, 4, 7, 6>, f64, _> = sample(1);
    let w: Tensor<Rank4<6, 2, 3, 2>, f64, _> = sample(2);
    let b: Tensor<Rank1<6>, f64, _> = sample(3);
    // Height (7 + 2 + 1 - 2 * 2 - 1) / 2 + 1 = 3, width (6 + 0 + 3 - 3 - 1) / 1 + 1 = 6.
    let y: Maps<2, 6, 3, 6> =
        op::Conv::<Stride<2, 1>, Pad<2, 1, 0, 3>, Dilation<2, 3>, 2>::apply(Map::read(x.clone()).unwrap(), &w, &b)
            .unwrap();
    let (x, w, b) = (x.array(), w.array(), b.array());
    let mut expected = Vec::new();
    for image in &x {
        for o in 0..6 {
            for oy in 0..3 {
                for ox in 0..6 {
                    let mut sum = b[o];
                    for (i, kernel) in w[o].iter().enumerate() {
                        let channel = &image[o / 3 * 2 + i];
                        for ky in 0..3 {
                            for kx in 0..2 {
                                let (iy, ix) = (2 * oy + 2 * ky - 2, ox + 3 * kx);
                                let tap = inside(channel, iy, ix).unwrap_or(0.0);
                                sum += kernel[ky as usize][kx as usize] * tap;
                            }
                        }
                    }
                    expected.push(sum);
                }
            }
        }
    }
    assert_close(&y.into_tensor().unwrap().as_vec(), &expected);
}

#[test]
fn pools_with_padding() {
    let x: Tensor<Rank4<2, 3, 5, 5>, f64, _> = sample(4);
    // (5 + 1 + 0 - 3) / 2 + 1 = 2 rows, (5 + 1 + 1 - 2) / 1 + 1 = 6 columns.
    fn taps(map: &[[f64; 5]; 5], oy: isize, ox: isize) -> impl Iterator<Item = f64> {
        let rows = (0..3).map(move |ky| 2 * oy + ky - 1);
        rows.flat_map(move |y| (0..2).filter_map(move |kx| inside(map, y, ox + kx - 1)))
    }
    let read = || Map::read(x.clone()).unwrap();
    let max: Maps<2, 3, 2, 6> = op::MaxPool::<Kernel<3, 2>, Stride<2, 1>, Pad<1, 0, 1, 1>>::apply(read()).unwrap();
    let mean: Maps<2, 3, 2, 6> = op::AvgPool::<Kernel<3, 2>, Stride<2, 1>, Pad<1, 0, 1, 1>>::apply(read()).unwrap();
    let (mut maxima, mut means) = (Vec::new(), Vec::new());
    let array = x.array();
    for map in array.iter().flatten() {
        for (oy, ox) in (0..2).flat_map(|oy| (0..6).map(move |ox| (oy, ox))) {
            maxima.push(taps(map, oy, ox).fold(f64::NEG_INFINITY, f64::max));
            means.push(taps(map, oy, ox).sum::<f64>() / 6.0);
        }
    }
    assert_close(&max.into_tensor().unwrap().as_vec(), &maxima);
    assert_close(&mean.into_tensor().unwrap().as_vec(), &means);

    let values = array.iter().flatten().map(|map| map.as_flattened());
    let maxima: Vec<f64> = values
        .clone()
        .map(|v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let means: Vec<f64> = values.map(|v| v.iter().sum::<f64>() / 25.0).collect();
    let tensor = |flat: Flat<_, 3, f64, Cpu>| flat.into_tensor().unwrap().as_vec();
    assert_close(&tensor(op::global_max_pool(read()).unwrap()), &maxima);
    assert_close(&tensor(op::global_avg_pool(read()).unwrap()), &means);
}

#[test]
fn linear_flatten_and_concat_keep_pytorch_s_order() {
    let x: Tensor<Rank4<2, 3, 2, 2>, f64, _> = sample(5);
    let extra: Tensor<Rank4<2, 1, 2, 2>, f64, _> = sample(6);
    let w: Tensor<Rank2<3, 16>, f64, _> = sample(7);
    let joined: Maps<2, 4, 2, 2> =
        op::concat(Map::read(x.clone()).unwrap(), Map::read(extra.clone()).unwrap()).unwrap();
    let flat: Flat<Const<2>, 16, f64, Cpu> = op::flatten(joined).unwrap();
    let y: Flat<Const<2>, 3, f64, Cpu> = op::linear(flat, &w, NoBias).unwrap();
    let (x, extra) = (x.array(), extra.array());
    let mut expected = Vec::new();
    for (image, extra) in x.iter().zip(&extra) {
        let features = image.iter().chain(extra).flatten().flatten();
        for row in w.array() {
            expected.push(row.iter().zip(features.clone()).map(|(a, b)| a * b).sum());
        }
    }
    assert_close(&y.into_tensor().unwrap().as_vec(), &expected);
}

#[test]
fn gate_scales_channels() {
    let x: Tensor<Rank4<2, 3, 2, 2>, f64, _> = sample(8);
    let g: Tensor<Rank2<2, 3>, f64, _> = sample(9);
    let y = op::gate(Map::read(x.clone()).unwrap(), Flat::read(g.clone()).unwrap()).unwrap();
    let expected = x * g.broadcast::<Rank4<2, 3, 2, 2>, _>();
    assert_close(&y.into_tensor().unwrap().as_vec(), &expected.as_vec());
}

#[test]
fn activations_have_pytorch_s_values() {
    let device = Cpu::default();
    let x = [-4.0, -1.0, -0.5, 0.0, 2.0, 3.5];
    let read = || Flat::<Const<1>, 6, f64, Cpu>::read(device.tensor([x])).unwrap();
    let values = |y: Flat<Const<1>, 6, f64, Cpu>| y.into_tensor().unwrap().as_vec();
    let map = |f: fn(f64) -> f64| x.map(f);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert_close(&values(op::relu(read()).unwrap()), &map(|x| x.max(0.0)));
    assert_close(&values(op::sigmoid(read()).unwrap()), &x.map(sigmoid));
    assert_close(&values(op::silu(read()).unwrap()), &x.map(|x| x * sigmoid(x)));
    let hard_swish = |x: f64| x * (x + 3.0).clamp(0.0, 6.0) / 6.0;
    assert_close(&values(op::hard_swish(read()).unwrap()), &map(hard_swish));
    let cubic = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    let gelu_tanh = x.map(|x| 0.5 * x * (1.0 + cubic(x).tanh()));
    assert_close(&values(op::gelu_tanh(read()).unwrap()), &gelu_tanh);
    // x * Phi(x) with Phi(1) = 0.841344746068543, Phi(2) = 0.977249868051821 (tables of the
    // normal distribution), Phi(-x) = 1 - Phi(x).
    let gelu = values(op::gelu(read()).unwrap());
    assert_close(
        &[gelu[1], gelu[3], gelu[4]],
        &[-0.158655253931457, 0.0, 1.954499736103642],
    );
}

fn mean_and_variance(values: impl Iterator<Item = f64> + Clone) -> (f64, f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (mean, values.map(|v| (v - mean).powi(2)).sum::<f64>() / n, n)
}

fn batch_norm() -> BatchNorm<3, f64, Cpu> {
    let mut norm = BatchNorm::build(&Cpu::default());
    (norm.weight, norm.bias) = (sample(11), sample(12));
    norm
}

#[test]
fn batch_norm_follows_pytorch_s_formulas() {
    let device = Cpu::default();
    let mut norm = batch_norm();
    let x: Tensor<Rank4<2, 3, 2, 4>, f64, _> = sample(10);
    let mut pass = Pass::training(&device);
    let y = norm.apply(&mut pass, Map::read(x.clone()).unwrap(), 1e-3, 0.1).unwrap();
    let y = y.into_tensor().unwrap().array();
    pass.update_running_statistics(&mut norm).unwrap();
    let again = norm.apply(&mut Pass::inference(&device), Map::read(x.clone()).unwrap(), 1e-3, 0.1);
    let again = again.unwrap().into_tensor().unwrap().array();
    let (x, weight, bias) = (x.array(), norm.weight.array(), norm.bias.array());
    for c in 0..3 {
        let values = x.iter().flat_map(|image| image[c].as_flattened()).copied();
        let (mean, variance, n) = mean_and_variance(values.clone());
        let line = |mean: f64, variance: f64| {
            let scale = weight[c] / (variance + 1e-3).sqrt();
            values.clone().map(|v| (v - mean) * scale + bias[c]).collect::<Vec<_>>()
        };
        let got = |y: &[[[[f64; 4]; 2]; 3]; 2]| [y[0][c], y[1][c]].as_flattened().concat();
        assert_close(&got(&y), &line(mean, variance));
        // PyTorch: the running variance takes the unbiased one.
        let (mean, variance) = (0.1 * mean, 0.9 + 0.1 * variance * n / (n - 1.0));
        assert_close(&[norm.running_mean.array()[c]], &[mean]);
        assert_close(&[norm.running_var.array()[c]], &[variance]);
        assert_close(&got(&again), &line(mean, variance));
    }
}

/// `bn = torch.nn.BatchNorm1d(2, affine=False, dtype=torch.float64)`, `x = torch.tensor([[1., -2.], [3., 1.], [8., 4.]],
/// dtype=torch.float64, requires_grad=True)`, `y = bn(x); (y * torch.tensor([[1., 2.], [-1., 0.5], [0.25, 3.]])).sum().backward()`;
/// `y, x.grad, bn.running_mean, bn.running_var`, then `bn.eval()(x)`.
#[test]
fn batch_norm_without_scale_and_shift_is_pytorch_s() {
    let device = Cpu::default();
    let mut norm: PlainBatchNorm<2, f64, Cpu> = PlainBatchNorm::build(&device);
    let x = device.tensor([[1.0, -2.0], [3.0, 1.0], [8.0, 4.0]]);
    let weights = device.tensor([[1.0, 2.0], [-1.0, 0.5], [0.25, 3.0]]);
    let mut pass = Pass::training(&device);
    let y = norm.apply(&mut pass, Flat::read(x.leaky_trace()).unwrap(), 1e-5, 0.1);
    let y = y.unwrap().into_tensor().unwrap();
    assert_close(
        &y.as_vec(),
        &[
            -1.019_048_742_817_569_4,
            -1.224_743_850_772_138_7,
            -0.339_682_914_272_523_2,
            0.0,
            1.358_731_657_090_092_7,
            1.224_743_850_772_138_7,
        ],
    );
    let gradients = (y * weights).sum().backward();
    assert_close(
        &gradients.get(&x).as_vec(),
        &[
            0.272_181_867_557_757,
            0.272_164_959_965_528_25,
            -0.381_054_536_192_585_34,
            -0.544_330_600_343_172_7,
            0.108_872_668_634_828_42,
            0.272_165_640_377_644_57,
        ],
    );
    pass.update_running_statistics(&mut norm).unwrap();
    assert_close(&norm.running_mean.array(), &[0.4, 0.1]);
    assert_close(&norm.running_var.array(), &[2.2, 1.8]);
    let y = norm.apply(&mut Pass::inference(&device), Flat::read(x).unwrap(), 1e-5, 0.1);
    assert_close(
        &y.unwrap().into_tensor().unwrap().as_vec(),
        &[
            0.404_518_998_117_630_6,
            -1.565_243_236_358_012_7,
            1.752_915_658_509_732_7,
            0.670_818_529_867_719_7,
            5.123_907_309_489_987,
            2.906_880_296_093_452,
        ],
    );
}

/// Elsewhere: <https://github.com/keras-team/keras/issues/8794>
#[test]
fn a_second_visit_in_one_pass_starts_from_the_first() {
    let device = Cpu::default();
    let (mut twice, mut once) = (batch_norm(), batch_norm());
    let (a, b): (Tensor<Rank2<5, 3>, f64, _>, Tensor<Rank2<5, 3>, f64, _>) = (sample(13), sample(14));
    let mut pass = Pass::training(&device);
    for x in [&a, &b] {
        twice
            .apply(&mut pass, Flat::read(x.clone()).unwrap(), 1e-5, 0.3)
            .unwrap();
    }
    pass.update_running_statistics(&mut twice).unwrap();
    for x in [&a, &b] {
        let mut pass = Pass::training(&device);
        once.apply(&mut pass, Flat::read(x.clone()).unwrap(), 1e-5, 0.3)
            .unwrap();
        pass.update_running_statistics(&mut once).unwrap();
    }
    assert_eq!(twice.running_mean.array(), once.running_mean.array());
    assert_eq!(twice.running_var.array(), once.running_var.array());
}

/// Elsewhere: <https://github.com/pytorch/pytorch/issues/4534>, <https://github.com/FluxML/Flux.jl/pull/2716>
#[test]
fn batch_norm_of_a_single_value_stays_finite() {
    let mut norm = batch_norm();
    let mut pass = Pass::training(&Cpu::default());
    let x: Tensor<Rank4<1, 3, 1, 1>, f64, _> = sample(15);
    let y = norm.apply(&mut pass, Map::read(x.clone()).unwrap(), 1e-5, 0.1).unwrap();
    assert_close(&y.into_tensor().unwrap().as_vec(), &norm.bias.as_vec());
    pass.update_running_statistics(&mut norm).unwrap();
    // 0.1 of the value itself; of one value there is no unbiased variance.
    let x = x.as_vec();
    assert_close(&norm.running_mean.array(), &[0.1 * x[0], 0.1 * x[1], 0.1 * x[2]]);
    assert_close(&norm.running_var.array(), &[1.0; 3]);
}

/// `bn = torch.nn.BatchNorm2d(3); x = torch.zeros(0, 3, 2, 2)`,
/// `bn(x); bn.running_mean, bn.running_var`: 0 and 1, as before.
///
/// Elsewhere: <https://github.com/pytorch/pytorch/issues/12013>
#[test]
fn an_empty_batch_moves_no_running_statistics() {
    let device = Cpu::default();
    let mut norm = batch_norm();
    let before = norm.clone();
    let images: Tensor<(usize, Const<3>, Const<2>, Const<2>), f64, _> = device.zeros_like(&(0, Const, Const, Const));
    let vectors: Tensor<(usize, Const<3>), f64, _> = device.zeros_like(&(0, Const));
    for _ in 0..2 {
        let mut pass = Pass::training(&device);
        let y = norm.apply(&mut pass, Map::read(images.clone().leaky_trace()).unwrap(), 1e-5, 0.1);
        let y = y.unwrap().into_tensor().unwrap();
        assert_eq!(y.shape().concrete(), [0, 3, 2, 2]);
        pass.update_running_statistics(&mut norm).unwrap();
        let mut pass = Pass::training(&device);
        norm.apply(&mut pass, Flat::read(vectors.clone()).unwrap(), 1e-5, 0.1)
            .unwrap();
        pass.update_running_statistics(&mut norm).unwrap();
    }
    assert_eq!(norm.running_mean.array(), before.running_mean.array());
    assert_eq!(norm.running_var.array(), before.running_var.array());
}

#[test]
fn layer_norm_follows_pytorch_s_formula() {
    let norm: LayerNorm<4, f64, Cpu> = LayerNorm {
        weight: sample(16),
        bias: sample(17),
    };
    let x: Tensor<Rank4<2, 4, 3, 2>, f64, _> = sample(18);
    let y = norm.apply(Map::read(x.clone()).unwrap(), 1e-3).unwrap();
    let (x, y) = (x.array(), y.into_tensor().unwrap().array());
    let (weight, bias) = (norm.weight.array(), norm.bias.array());
    for (image, row, column) in (0..12).map(|i| (i / 6, i / 2 % 3, i % 2)) {
        let pixel = |map: &[[[f64; 2]; 3]; 4]| [0, 1, 2, 3].map(|c| map[c][row][column]);
        let values = pixel(&x[image]);
        let (mean, variance, _) = mean_and_variance(values.into_iter());
        let expected = [0, 1, 2, 3].map(|c| (values[c] - mean) / (variance + 1e-3).sqrt() * weight[c] + bias[c]);
        assert_close(&pixel(&y[image]), &expected);
    }
}

#[test]
fn dropout_follows_the_device_s_seed() {
    let x: Tensor<Rank2<4, 64>, f64, _> = sample(19);
    let run = |seed, training| {
        let device = Cpu::seed_from_u64(seed);
        let mut pass = if training {
            Pass::training(&device)
        } else {
            Pass::inference(&device)
        };
        let y = op::dropout(&mut pass, Flat::read(x.clone()).unwrap(), 0.25).unwrap();
        y.into_tensor().unwrap().as_vec()
    };
    assert_eq!(run(1, true), run(1, true));
    assert_ne!(run(1, true), run(2, true));
    assert_eq!(run(1, false), x.as_vec());
    let dropped = run(1, true).iter().filter(|y| **y == 0.0).count();
    // 64 of 256 expected, standard deviation sqrt(256 * 0.25 * 0.75) = 7.
    assert!((36..=92).contains(&dropped), "{dropped} of 256 dropped at p = 0.25");
}

#[test]
fn unused_outputs_leave_no_gradient() {
    let w: Tensor<Rank2<2, 3>, f64, _> = sample(20);
    let x: Tensor<Rank2<1, 3>, f64, _> = sample(21);
    let (x, branch) = Flat::read(x.leaky_trace()).unwrap().fork().unwrap();
    let unused = op::linear(branch, &w, NoBias).unwrap();
    let mut y = op::relu(x).unwrap();
    let tape = std::mem::take(y.tape_mut());
    let mut unused = unused;
    *y.tape_mut() = tape.merge(std::mem::take(unused.tape_mut()));
    let mut gradients = y.into_tensor().unwrap().sum::<(), _>().backward();
    assert!(gradients.get_or_alloc_mut(&w).unwrap().iter().all(|g| *g == 0.0));
}

/// PyTorch 2.15's layer, in float64, with the `r` of `kernels/pytorch.rs`:
/// `m = torch.nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)`,
/// `for p in m.parameters(): p.copy_(r(*p.shape) / 2)`, `x = r(2, 4, 1, 3)`,
/// `t = x.flatten(2).transpose(1, 2); y = m(t, t, t)[0].transpose(1, 2).reshape(x.shape)`,
/// `torch.autograd.grad(y, (x, m.in_proj_weight, m.out_proj.weight), r(*y.shape))`.
#[test]
fn multi_head_attention_is_pytorch_s() {
    #[rustfmt::skip]
    let y = [
        -0.5869883565365185, -0.6437889473436671, -0.38306912650198566, 0.08524525826549562,
        0.05494612994324202, 0.020131176682546853, 0.3855616735496128, 0.46183612328026746,
        0.2551925669696071, 0.295564068305506, 0.2780679763987919, 0.2735527989566473,
        -0.626272984911611, -0.6227643585238807, -0.6290088541855188, -0.18191815641551112,
        -0.17874005280073696, -0.18413990834715876, 1.0035179148640165, 1.00911637882797,
        0.9992491559479206, 0.0299039933601164, 0.03517193455111378, 0.02614935178628075,
    ];
    #[rustfmt::skip]
    let dx = [
        0.14649314636609792, 0.17796569520401462, 0.029288321646731674, -0.46155969439167716,
        -0.2990448553714614, -0.19657167205241285, 0.5357721494328355, 0.14080736341851052,
        0.12806462631842905, -0.08745823625423713, -0.3194800140485998, -0.4024745428067481,
        -0.05397976234383081, -0.15530274832716218, 0.051076761798623194, 0.365129679577725,
        0.3920572019146421, 0.3194729666326278, -0.2476568237650993, -0.18297132298439914,
        -0.3122061277114384, 0.28279009524362475, 0.2002263369408278, 0.3852861236425595,
    ];
    #[rustfmt::skip]
    let din = [
        -0.18028658232799089, -0.09768000523566099, -0.0699376413255532, -0.04219527741544542,
        -0.19257913125813123, -0.007355200600106776, -0.02184258636077025, -0.036329972121433726,
        0.3969756777810715, -0.49296896095815557, -0.4484211998593156, -0.4038734387604757,
        -0.399210353064095, 0.39210188145095387, 0.3427243419597606, 0.2933468024685672,
        -0.3966063583148891, -0.427572981734053, -0.427572981734053, -0.427572981734053,
        0.12964534773469438, 0.13273020800491678, 0.13273020800491678, 0.13273020800491675,
        0.1463366047584957, 0.016678032656884112, 0.01667803265688412, 0.016678032656884122,
        0.24786391166280178, -0.4204391864099319, -0.4204391864099319, -0.4204391864099319,
        -0.7817044821096961, -0.04173881446463895, -0.002676314464639007, 0.03638618553536094,
        0.39013706284949856, -0.03886738456542768, -0.007617384565427626, 0.023632615434572443,
        -0.11432301348011176, -0.21414148934635707, -0.10476648934635713, 0.004608510653642844,
        0.6573240244563585, 0.03454381967214559, 0.05016881967214554, 0.06579381967214548,
    ];
    #[rustfmt::skip]
    let dout = [
        -0.16044676398580937, 0.805371790698976, 0.0023144671349695223, -0.777093446492942,
        -0.7350397345038436, 0.23857858598287668, -0.2430454969763095, -1.1591048383284566,
        0.17244634655458524, -0.2820355497015614, 0.08186015733181595, -0.016653790071729846,
        1.0799324276130138, -0.8026496853859997, 0.4067658116399414, 1.125797258184997,
    ];
    let device = Cpu::default();
    let ramp = |len: usize| (0..len).map(|i| ((i * 7 % 11) as f64 - 5.0) / 4.0).collect::<Vec<_>>();
    let half = |len: usize| ramp(len).iter().map(|x| x / 2.0).collect::<Vec<_>>();
    let kernel = |values: &[f64]| device.tensor_from_vec(values.to_vec(), Rank4::<4, 4, 1, 1>::default());
    let bias = |values: &[f64]| device.tensor_from_vec(values.to_vec(), Rank1::<4>::default());
    let kernels: Vec<_> = half(48).chunks(16).map(kernel).collect();
    let biases: Vec<_> = half(12).chunks(4).map(bias).collect();
    let (out, out_bias) = (kernel(&half(16)), bias(&half(4)));
    let x = device.tensor_from_vec(ramp(24), Rank4::<2, 4, 1, 3>::default());

    type Taped = Map<Const<2>, 4, 1, 3, f64, Cpu, OwnedTape<f64, Cpu>>;
    type Pointwise = op::Conv<Stride<1, 1>, Pad<0, 0, 0, 0>, Dilation<1, 1>, 1>;
    let (q, k) = Map::read(x.leaky_trace()).unwrap().fork().unwrap();
    let (k, v) = k.fork().unwrap();
    let q: Taped = Pointwise::apply(q, &kernels[0], &biases[0]).unwrap();
    let k: Taped = Pointwise::apply(k, &kernels[1], &biases[1]).unwrap();
    let v: Taped = Pointwise::apply(v, &kernels[2], &biases[2]).unwrap();
    let joined: Taped = op::Attend::<2, 2, false>::apply(q, k, v).unwrap();
    let got: Taped = Pointwise::apply(joined, &out, &out_bias).unwrap();
    let got = got.into_tensor().unwrap();
    assert_close(&got.as_vec(), &y);
    let dy = device.tensor_from_vec(ramp(24), Rank4::<2, 4, 1, 3>::default());
    let gradients = (got * dy).sum::<Rank0, _>().backward();
    assert_close(&gradients.get(&x).as_vec(), &dx);
    for (kernel, want) in kernels.iter().zip(din.chunks(16)) {
        assert_close(&gradients.get(kernel).as_vec(), want);
    }
    assert_close(&gradients.get(&out).as_vec(), &dout);
}
