//! The oracle and the kernels against numbers from PyTorch 2.15 (float64).
//!
//! All begin with `import torch, torch.nn.functional as F` and
//! `r = lambda *s: (torch.arange(float(torch.Size(s).numel()), dtype=torch.float64) * 7 % 11 - 5).reshape(s) / 4`.

use crate::activations::{ALL, saves_output};
use crate::attention::map;
use crate::support::{Plain, Worst, buf, cpu_of};
use ksdsl_engine::exec::Exec;
use ksdsl_engine::size::{AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Window};
use ksdsl_oracle::combine::{to_nchw, to_nhwc};
use ksdsl_oracle::{activation, attention, conv, norm, pool};

/// The `r` of the module's documentation.
fn ramp(len: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 7 % 11) as f64 - 5.0) / 4.0).collect()
}

/// `k = torch.tensor([-4., -3., -1., 0., .5, 3., 4.], requires_grad=True)`, then for `f` in
/// `F.relu, F.gelu, F.gelu(approximate="tanh"), F.silu, torch.sigmoid, F.hardswish`:
/// `y = f(k); torch.autograd.grad(y.sum(), k)`.
#[test]
fn activations() {
    let k = [-4.0, -3.0, -1.0, 0.0, 0.5, 3.0, 4.0];
    #[rustfmt::skip]
    let want = [
        ([0.0, 0.0, 0.0, 0.0, 0.5, 3.0, 4.0],
         [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        ([-0.00012668496733247991, -0.00404969409489031, -0.15865525393145702, 0.0,
          0.34573123063700656, 2.99595030590511, 3.9998733150326675],
         [-0.0005036496612264215, -0.01194564720418392, -0.08331547058768635, 0.5,
          0.8674951246561629, 1.011945647204184, 1.0005036496612265]),
        ([-7.024594819227126e-05, -0.0036373920817729943, -0.15880800939172324, 0.0,
          0.34571400982514394, 2.996362607918227, 3.9999297540518075],
         [-0.00033512319712218684, -0.011584166630969648, -0.08296408384578252, 0.5,
          0.8673699035346424, 1.0115841666309695, 1.000335123197122]),
        ([-0.07194483984836623, -0.14227761953270035, -0.2689414213699951, 0.0, 0.3112296656009273,
          2.8577223804672998, 3.928055160151634],
         [-0.05266461489107291, -0.08810410601516962, 0.07232948812851325, 0.5, 0.7399611873026519,
          1.0881041060151693, 1.0526646148910728]),
        ([0.01798620996209156, 0.04742587317756678, 0.2689414213699951, 0.5, 0.6224593312018546,
          0.9525741268224334, 0.9820137900379085],
         [0.017662706213291118, 0.04517665973091214, 0.19661193324148185, 0.25, 0.2350037122015945,
          0.045176659730912, 0.017662706213291107]),
        ([-0.0, -0.0, -0.3333333333333333, 0.0, 0.2916666666666667, 3.0, 4.0],
         [0.0, 0.0, 0.16666666666666669, 0.5, 0.6666666666666666, 1.0, 1.0]),
    ];
    let mut worst = Worst::of("activations, PyTorch");
    for (kind, (y, dx)) in ALL.into_iter().zip(want) {
        worst.check(&kind, &activation::forward(kind, &k), &y);
        worst.check(&kind, &activation::backward(kind, &k, &[1.0; 7]), &dx);
        let got = cpu_of::<f64>().activation_forward(kind, buf(&k)).unwrap();
        worst.check(&kind, &got, &y);
        let saved = if saves_output(kind) { got } else { buf(&k) };
        let got = cpu_of::<f64>()
            .activation_backward(kind, &saved, buf(&[1.0; 7]))
            .unwrap();
        worst.check(&kind, &got, &dx);
    }
}

/// `x = r(1, 4, 5, 4); w = r(4, 2, 2, 3)`,
/// `y = F.conv2d(x, w, r(4), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)`,
/// `torch.autograd.grad(y, (x, w), r(*y.shape))`.
#[test]
fn convolution() {
    let input = MapSize {
        batch: 1,
        height: 5,
        width: 4,
        channels: 4,
    };
    let output = MapSize { height: 3, ..input };
    let window = Window {
        kernel: [2, 3],
        stride: [2, 1],
        pad: [1, 2],
        dilation: [1, 2],
    };
    let size = ConvSize {
        input,
        output,
        window,
        groups: 2,
        algorithm: Default::default(),
        unit: None,
    };
    let (x, w, b, dy) = (ramp(80), ramp(48), ramp(4), ramp(48));
    #[rustfmt::skip]
    let y = [
        0.1875, -2.625, -2.0625, -0.625, -0.9375, -0.6875, -1.875, 1.375, -1.6875, -1.4375, -1.3125,
        -0.8125, -0.625, 1.9375, 1.9375, -0.875, 1.0625, -2.375, 0.8125, 1.0625, 1.0625, 0.375,
        0.0625, 0.3125, -0.875, -0.5, 1.1875, -1.75, -1.4375, 0.375, -0.625, 0.0625, -0.6875,
        -0.9375, -0.625, 0.0625, 0.875, -0.25, 0.875, 1.25, 2.25, -1.6875, 0.3125, 2.125, 1.6875,
        1.1875, 1.0625, 0.8125,
    ];
    #[rustfmt::skip]
    let dx = [
        -1.0, 2.125, 0.375, -0.75, -0.75, -1.375, -0.5625, 2.125, 1.875, -1.1875, -0.6875, 2.3125,
        -1.1875, 2.3125, 1.9375, -1.5625, -1.4375, -1.0625, 2.375, -1.5, -1.0, 1.375, 0.375, -1.5,
        1.75, -1.0, -0.8125, 2.5, 1.625, -0.8125, -0.9375, 2.6875, -1.0, -1.0, 2.8125, -1.4375,
        -0.5625, -0.9375, 3.25, -1.375, -1.4375, 2.8125, -1.0, -1.0, 2.6875, -0.9375, -0.8125,
        1.625, 2.5, -0.8125, -1.0, 1.75, -1.5, 0.375, 1.375, -1.0, -1.125, 0.375, 1.75, -1.0,
        -1.5625, 1.9375, 2.3125, -1.1875, 2.3125, -0.6875, -1.1875, 1.875, 2.125, -0.5625, -1.375,
        -0.75, -0.75, 0.375, 2.125, -1.0, -0.375, 0.375, -0.9375, 0.375,
    ];
    #[rustfmt::skip]
    let dw = [
        0.75, 0.125, -0.8125, -0.8125, 5.3125, 1.375, 1.125, -1.0, -0.25, -0.3125, -2.6875, 2.5,
        -0.125, -1.875, 0.125, -0.75, 0.25, -1.6875, -1.5625, 1.625, -0.4375, -0.5625, -0.125,
        -0.1875, 0.75, 0.0, 1.125, 0.4375, -0.625, -0.3125, -0.4375, 1.25, -1.9375, 1.0, 3.1875,
        -0.5, 0.375, -1.0, -1.5625, -1.5, -0.75, -0.5625, 0.125, -0.625, 1.125, -0.5625, -3.75,
        -0.375,
    ];
    let mut worst = Worst::of("convolution, PyTorch");
    worst.check(&"oracle y", &conv::forward(size, &x, &w, Some(&b)), &y);
    worst.check(&"oracle dx", &conv::backward_data(size, &w, &dy), &dx);
    worst.check(&"oracle dw", &conv::backward_weight(size, &x, &dy), &dw);
    let (nx, ndy) = (buf(&to_nhwc(input, &x)), buf(&to_nhwc(output, &dy)));
    let got = cpu_of::<f64>()
        .plain_conv_forward(size, &nx, &buf(&w), Some(&buf(&b)))
        .unwrap();
    worst.check(&"y", &to_nchw(output, &got), &y);
    let got = cpu_of::<f64>().plain_conv_backward_data(size, &buf(&w), &ndy).unwrap();
    worst.check(&"dx", &to_nchw(input, &got), &dx);
    let mut got = buf(&[0.0; 48]);
    cpu_of::<f64>()
        .plain_conv_backward_weight(size, &nx, &ndy, &mut got)
        .unwrap();
    worst.check(&"dw", &got, &dw);
}

/// `x = r(2, 2, 1, 3); s = tensor([1.5, -.5]); t = tensor([.25, 1.])`,
/// `rm = tensor([.5, -1.]); rv = tensor([2., .5])`,
/// `y = F.batch_norm(x, rm, rv, s, t, True, .1, 1e-5)`,
/// `dy = (r(12) * 1.5 + .3 * torch.arange(12.)).reshape(2, 2, 1, 3)`,
/// `torch.autograd.grad(y, (x, s, t), dy); rm; rv`.
#[test]
fn batch_norm() {
    let size = MapSize {
        batch: 2,
        height: 1,
        width: 3,
        channels: 2,
    };
    let rows = RowSize { rows: 6, channels: 2 };
    let (s, t) = ([1.5, -0.5], [0.25, 1.0]);
    let x = ramp(12);
    let dy: Vec<f64> = x.iter().enumerate().map(|(i, r)| r * 1.5 + 0.3 * i as f64).collect();
    #[rustfmt::skip]
    let y = [
        -1.7128242222846486, 1.584720471153561, -0.2995907822397016, 0.26807996415163843,
        0.8536159928303277, 1.439152021509017, 2.5268760978501925, 0.6425648444569297,
        -1.2417464089363328, 0.560847978490983, 1.1463840071696723, 1.7319200358483615,
    ];
    #[rustfmt::skip]
    let dx = [
        -1.8740388319965637, -1.9591317050651758, -1.0221890438548593, 0.27602920758586974,
        0.4416596204451087, 0.6072900333043476, 0.6815105324285496, 1.6184531936388655,
        2.555395854849181, -0.6072900333043478, -0.4416596204451091, -0.27602920758587,
    ];
    let ds = [8.106464038035599, 4.698926630146482];
    let dt = [5.325000000000001, 12.599999999999998];
    let rm = [0.4291666666666667, -0.9];
    let rv = [1.8760416666666666, 0.5375];
    let mut worst = Worst::of("batch norm, PyTorch");
    let got = norm::batch_norm_train(size, &x, &s, &t, 1e-5);
    worst.check(&"oracle y", &got.output, &y);
    let got = norm::batch_norm_backward(size, &x, &s, 1e-5, &dy);
    worst.check(&"oracle dx", &got.dx, &dx);
    worst.check(&"oracle ds", &got.dscale, &ds);
    worst.check(&"oracle dt", &got.dshift, &dt);
    let (nx, ndy) = (buf(&to_nhwc(size, &x)), buf(&to_nhwc(size, &dy)));
    let got = cpu_of::<f64>()
        .plain_batch_norm_train(rows, &nx, &buf(&s), &buf(&t), 1e-5)
        .unwrap();
    worst.check(&"y", &to_nchw(size, &got.output), &y);
    let mean = cpu_of::<f64>()
        .blend_statistics(&buf(&[0.5, -1.0]), &got.mean, 0.1, 1.0)
        .unwrap();
    worst.check(&"running mean", &mean, &rm);
    let var = cpu_of::<f64>()
        .blend_statistics(&buf(&[2.0, 0.5]), &got.variance, 0.1, 6.0 / 5.0)
        .unwrap();
    worst.check(&"running variance", &var, &rv);
    let (mut gs, mut gt) = (buf(&[0.0; 2]), buf(&[0.0; 2]));
    let (mean, variance) = (&got.mean, &got.variance);
    let got = cpu_of::<f64>()
        .plain_batch_norm_backward(rows, &nx, mean, variance, &buf(&s), 1e-5, &ndy, &mut gs, &mut gt)
        .unwrap();
    worst.check(&"dx", &to_nchw(size, &got), &dx);
    worst.check(&"ds", &gs, &ds);
    worst.check(&"dt", &gt, &dt);
}

/// `x = r(2, 3); s = tensor([1.5, -.5, 2.]); t = tensor([.25, 1., 0.])`,
/// `y = F.layer_norm(x, (3,), s, t, 1e-5)`,
/// `torch.autograd.grad(y, (x, s, t), tensor([[1., -2., .5], [.25, 3., -1.]]))`.
#[test]
fn layer_norm() {
    let size = RowSize { rows: 2, channels: 3 };
    let (x, s, t) = (ramp(6), [1.5, -0.5, 2.0], [0.25, 1.0, 0.0]);
    let dy = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0];
    #[rustfmt::skip]
    let y = [
        -1.4936976155332946, 0.3606442076377918, -0.23249301540443926, 2.087103528862585, 1.0,
        -2.4494713718167804,
    ];
    #[rustfmt::skip]
    let dx = [
        0.1508123939114896, 0.11309798518268899, -0.2639103790941779, 0.28069040996451533,
        -0.561337189374679, 0.280646779410163,
    ];
    let ds = [-0.8562811555450989, -2.5574231694488323, 1.1666124320572804];
    let dt = [1.25, 1.0, -0.5];
    let mut worst = Worst::of("layer norm, PyTorch");
    worst.check(&"oracle y", &norm::layer_norm(size, &x, &s, &t, 1e-5), &y);
    let got = norm::layer_norm_backward(size, &x, &s, 1e-5, &dy);
    worst.check(&"oracle dx", &got.dx, &dx);
    worst.check(&"oracle ds", &got.dscale, &ds);
    worst.check(&"oracle dt", &got.dshift, &dt);
    let (x, dy, s) = (buf(&x), buf(&dy), buf(&s));
    let got = cpu_of::<f64>()
        .layer_norm_forward(size, &x, &s, &buf(&t), 1e-5)
        .unwrap();
    worst.check(&"y", &got.output, &y);
    let (mut gs, mut gt) = (buf(&[0.0; 3]), buf(&[0.0; 3]));
    let (mean, inverse) = (&got.mean, &got.inverse_std);
    let got = cpu_of::<f64>()
        .layer_norm_backward(size, &x, mean, inverse, &s, &dy, &mut gs, &mut gt)
        .unwrap();
    worst.check(&"dx", &got, &dx);
    worst.check(&"ds", &gs, &ds);
    worst.check(&"dt", &gt, &dt);
}

/// `x = tensor([[1., 1., 2., 0.], [1., 1., 2., 2.], [-1., -1., 3., 3.]]).reshape(1, 1, 3, 4)`,
/// `y = F.max_pool2d(x, 3, 2, 1)` or `F.avg_pool2d(x, 3, 2, 1)`,
/// `torch.autograd.grad(y, x, torch.arange(1., 5.).reshape(1, 1, 2, 2))`.
#[test]
fn pools() {
    let x = [1.0, 1.0, 2.0, 0.0, 1.0, 1.0, 2.0, 2.0, -1.0, -1.0, 3.0, 3.0];
    let dy = [1.0, 2.0, 3.0, 4.0];
    let input = MapSize {
        batch: 1,
        height: 3,
        width: 4,
        channels: 1,
    };
    let window = Window {
        kernel: [3, 3],
        stride: [2, 2],
        pad: [1, 1],
        dilation: [1, 1],
    };
    let output = MapSize {
        height: 2,
        width: 2,
        ..input
    };
    let size = PoolSize { input, output, window };
    let want = [
        (
            PoolKind::Max,
            [1.0, 2.0, 1.0, 3.0],
            [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0],
        ),
        (
            PoolKind::Average,
            [0.4444444444444444, 0.8888888888888888, 0.0, 1.1111111111111112],
            [
                0.1111111111111111,
                0.3333333333333333,
                0.2222222222222222,
                0.2222222222222222,
                0.4444444444444444,
                1.1111111111111112,
                0.6666666666666666,
                0.6666666666666666,
                0.3333333333333333,
                0.7777777777777777,
                0.4444444444444444,
                0.4444444444444444,
            ],
        ),
    ];
    let mut worst = Worst::of("pools, PyTorch");
    for (kind, y, dx) in want {
        worst.check(&kind, &pool::forward(kind, size, &x), &y);
        worst.check(&kind, &pool::backward(kind, size, &x, &dy), &dx);
        // One channel: NCHW and NHWC are the same.
        worst.check(&kind, &cpu_of::<f64>().pool_forward(kind, size, &buf(&x)).unwrap(), &y);
        let got = cpu_of::<f64>().pool_backward(kind, size, &buf(&x), &buf(&dy)).unwrap();
        worst.check(&kind, &got, &dx);
    }
}

/// `q, k, v = r(1, 6, 4), r(1, 6, 4).flip(1) / 2, r(1, 6, 4).flip(2)`,
/// `heads = lambda x: x.reshape(1, 2, 3, 4).transpose(2, 3)`,
/// `y = F.scaled_dot_product_attention(heads(q), heads(k), heads(v)).transpose(2, 3).reshape(1, 6, 4)`,
/// `torch.autograd.grad(y, (q, k, v), r(1, 6, 4))`.
#[test]
fn attention_of_two_heads() {
    let size = AttentionSize::full(1, 4, 6, 2);
    #[rustfmt::skip]
    let y = [
        -0.06673286712395071, 0.05650409712419108, -0.039504093130623225, -0.09334586143528734,
        0.1890842114100623, 0.049024749748489665, 0.20070585395312884, 0.28835525751175284,
        -0.2692516182584619, -0.5552792640784843, -0.27970098038712754, -0.6591964209088075,
        0.5624112173989613, 0.22705216618893487, 0.35166353464117817, 0.5489355182594048,
        -0.19322787581278209, -0.16253497324422095, -0.08248590588530175, -0.2196279823710213,
        -0.22345767532472316, 0.058950548294494726, -0.21418702483234192, -0.19181442834435636,
    ];
    #[rustfmt::skip]
    let dq = [
        0.22082272269493802, -0.18627152889987147, 0.12000443183769333, 0.17392944985872621,
        -0.02190475612243705, 0.05870583469563988, 0.08932409867339242, -0.1552918278091734,
        -0.22766078657250866, 0.14923746675677788, -0.2083256504956363, 0.08489026315656283,
        -0.18768397587280805, 0.12238731491856644, 0.3049378631127641, -0.1816162079343521,
        -0.016928133379117333, 0.12500656585366782, -0.26446550552087167, -0.01760538354952362,
        0.062459937835006495, -0.047526887327893126, 0.2158986764106007, 0.03811456086949939,
    ];
    #[rustfmt::skip]
    let dk = [
        0.6434431146924413, -0.5465551580980677, 0.5681635943284317, -0.6650515509228051,
        -0.09422920088501967, 0.3032636224199273, -0.5033328773764933, 0.2942984558415856,
        -0.4191808004550136, -0.03479242042255417, 0.6498158254334329, -0.19584260455586522,
        -0.06205507349427629, 0.4266786973938494, -0.47637836339076994, 0.11175473949119687,
        -0.34559663169166105, 0.2105152402327238, 0.554901686972517, -0.41982029551357963,
        0.3847399988955, -0.6699430488152377, -0.04297938907815756, 0.3281824389978951,
    ];
    #[rustfmt::skip]
    let dv = [
        0.23271199905339876, -0.18462845994715632, -0.24489760024851054, 0.196814061142268,
        -0.01564034394977251, 0.3440278446092784, 0.17572262495012475, -0.004110125609630588,
        -0.34492496414128393, -0.7078479002418969, -0.31921849966943344, -0.37800863594738576,
        0.3495078264937018, 0.5732306630572591, 0.34805321719818166, 0.22920829325085726,
        -0.00940483740507786, -0.4907454539098488, 0.0029838840385738585, -0.2528335927236469,
        -0.23154428353253023, 0.053795650556048596, -0.22670090353004796, 0.15444953650652943,
    ];
    let q = ramp(24);
    let k: Vec<f64> = q.chunks(4).rev().flatten().map(|x| x / 2.0).collect();
    let v: Vec<f64> = q.chunks(4).flat_map(|row| row.iter().rev().copied()).collect();
    let mut worst = Worst::of("attention, PyTorch");
    worst.check(&"oracle y", &attention::forward(size, &q, &k, &v), &y);
    let oracle = attention::backward(size, &q, &k, &v, &q);
    let map = map(size);
    let [nq, nk, nv] = [&q, &k, &v].map(|values| buf(&to_nhwc(map, values)));
    let got = cpu_of::<f64>().attention_forward(size, &nq, &nk, &nv).unwrap();
    worst.check(&"y", &to_nchw(map, &got), &y);
    let got = cpu_of::<f64>().attention_backward(size, &nq, &nk, &nv, &nq).unwrap();
    for ((want, oracle), got) in [dq, dk, dv].iter().zip(oracle).zip(got) {
        worst.check(&"oracle gradient", &oracle, want);
        worst.check(&"gradient", &to_nchw(map, &got), want);
    }
}
