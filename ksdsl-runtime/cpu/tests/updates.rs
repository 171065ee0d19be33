//! The updates of parameters: single against double precision, buffers that do not fit, and what no optimiser uses.

use ksdsl_cpu::CpuExec;
use ksdsl_engine::update::{AdamStep, SgdStep, Updates};
use ksdsl_engine::{Exec, Real};

const SGD: SgdStep = SgdStep {
    rate: 0.1,
    momentum: 0.9,
    nesterov: true,
    decay: 0.01,
    decoupled: 0.02,
};
const ADAM: AdamStep = AdamStep {
    rate: 0.1,
    betas: [0.9, 0.99],
    eps: 1e-3,
    decay: 0.01,
    decoupled: 0.02,
    step: 1,
};

/// Numbers of both signs, many more than a vector register has.
fn values(len: usize, seed: f64) -> Vec<f64> {
    (0..len).map(|i| (seed + 0.7 * i as f64).sin() * 3.0).collect()
}

fn buffer<E: Real, X: Exec<E>>(exec: &X, values: &[f64]) -> X::Buf {
    exec.upload(values.iter().map(|&x| E::of(x)).collect()).unwrap()
}

/// The values of a buffer.
fn read<E: Real, X: Exec<E>>(exec: &X, buffer: X::Buf) -> Vec<f64> {
    exec.download(&buffer).unwrap().into_iter().map(E::wide).collect()
}

/// All updates, three steps each: the parameter and the states after them, and the sum of squares.
fn all<E: Real, X: Updates<E>>(exec: &X, len: usize) -> Vec<f64> {
    let gradient = buffer(exec, &values(len, 0.3));
    let mut parameter = buffer(exec, &values(len, 1.3));
    let [mut velocity, mut first, mut second] = [0; 3].map(|_| exec.zeroed(len).unwrap());
    for step in 1..=3 {
        exec.sgd_step(SGD, &mut parameter, &gradient, &mut velocity).unwrap();
        let rule = AdamStep { step, ..ADAM };
        let moments = (&mut first, &mut second);
        exec.adam_step(rule, &mut parameter, &gradient, moments.0, moments.1)
            .unwrap();
        exec.average(0.7, &mut velocity, &parameter).unwrap();
        exec.scale(0.5, &mut first).unwrap();
    }
    let squares = exec.sums_of_squares(std::slice::from_ref(&parameter)).unwrap()[0];
    let buffers = [parameter, velocity, first, second];
    let mut all: Vec<f64> = buffers.into_iter().flat_map(|buffer| read(exec, buffer)).collect();
    all.push(squares);
    all
}

/// Ten roundings of numbers of a size of about ten, or the sum of as many squares.
#[test]
fn single_precision_is_double_precision_rounded() {
    let exec = CpuExec;
    for len in [1, 7, 8, 63, 1000] {
        let (single, double) = (all::<f32, CpuExec>(&exec, len), all::<f64, CpuExec>(&exec, len));
        for (single, double) in single.into_iter().zip(double) {
            let most = 2e-6 * double.abs().max(10.0);
            assert!((single - double).abs() < most, "{len}: {single} is not {double}");
        }
    }
}

fn squares<E: Real, X: Updates<E>>(exec: &X, values: &[f64]) -> f64 {
    exec.sums_of_squares(&[buffer(exec, values)]).unwrap()[0]
}

#[test]
fn sums_of_squares_are_those_by_hand() {
    let exec = CpuExec;
    for len in 0..40 {
        let numbers: Vec<f64> = (1..=len).map(f64::from).collect();
        let expected = f64::from(len * (len + 1) * (2 * len + 1) / 6);
        assert_eq!(squares::<f32, CpuExec>(&exec, &numbers), expected);
        assert_eq!(squares::<f64, CpuExec>(&exec, &numbers), expected);
    }
}

/// With L2 decay in the gradient, which is Adam and not AdamW. PyTorch:
///
/// p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
/// o = torch.optim.Adam([p], lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)
/// for t in range(3):
///     p.grad = torch.tensor([0.5, 1.0, -0.25], dtype=torch.float64) * (t + 1); o.step()
/// p.tolist()
#[test]
fn decay_in_the_gradient_is_pytorchs() {
    let expected = [0.7031252720067115, -2.2933692602029456, 0.7929382466222037];
    for (found, expected) in decayed::<f64, CpuExec>(&CpuExec).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}

fn decayed<E: Real, X: Updates<E>>(exec: &X) -> Vec<f64> {
    let mut parameter = buffer(exec, &[1.0, -2.0, 0.5]);
    let [mut first, mut second] = [0; 2].map(|_| exec.zeroed(3).unwrap());
    for step in 1..=3u64 {
        let gradient = buffer(exec, &[0.5, 1.0, -0.25].map(|g| g * step as f64));
        let rule = AdamStep {
            betas: [0.8, 0.95],
            decay: 0.1,
            decoupled: 0.0,
            step,
            ..ADAM
        };
        exec.adam_step(rule, &mut parameter, &gradient, &mut first, &mut second)
            .unwrap();
    }
    read(exec, parameter)
}

#[test]
fn buffers_that_do_not_belong_together_are_refused() {
    refuses::<f32, CpuExec>(&CpuExec);
    refuses::<f64, CpuExec>(&CpuExec);
}

fn refuses<E: Real, X: Updates<E>>(exec: &X) {
    let zeros = |len| exec.zeroed(len).unwrap();
    let (three, two) = (|| zeros(3), || zeros(2));
    assert!(exec.sgd_step(SGD, &mut three(), &two(), &mut three()).is_err());
    assert!(exec.sgd_step(SGD, &mut three(), &three(), &mut two()).is_err());
    let adam = |p, g: X::Buf, mut first, mut second| {
        let mut p: X::Buf = p;
        exec.adam_step(ADAM, &mut p, &g, &mut first, &mut second).is_err()
    };
    assert!(adam(two(), three(), three(), three()));
    assert!(adam(three(), three(), three(), two()));
    assert!(exec.average(0.5, &mut three(), &two()).is_err());
}
