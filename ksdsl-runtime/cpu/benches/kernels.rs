//! Speeds of matrix products and convolutions on one thread, of linear layers and updates on all threads, and what
//! Winograd's algorithm gains there, as tables for `docs/benchmarks.md`: `cargo bench -p ksdsl-cpu --bench kernels`.

use ksdsl_cpu::{CpuBuf, CpuExec, WinogradChoice, with_threads, with_winograd};
use ksdsl_engine::exec::{ConvTail, Exec};
use ksdsl_engine::size::{ConvSize, MapSize, Window};
use ksdsl_engine::update::{SgdStep, Updates};
use ksdsl_files::random::SplitMix64;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::time::Instant;

const RUNS: usize = 15;

/// Values in [-1, 1).
fn values(random: &mut SplitMix64, len: usize) -> CpuBuf<f32> {
    let unit = |bits: u64| (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
    CpuBuf::from_vec((0..len).map(|_| unit(random.draw())).collect())
}

/// A convolution of square maps whose output has `1 / stride` of the input's sides.
fn conv(
    [batch, side]: [usize; 2],
    [inputs, outputs]: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
) -> ConvSize {
    let map = |side, channels| MapSize {
        batch,
        height: side,
        width: side,
        channels,
    };
    ConvSize {
        input: map(side, inputs),
        output: map(side / stride, outputs),
        window: Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [(kernel - 1) / 2; 2],
            dilation: [1; 2],
        },
        groups,
        algorithm: Default::default(),
        unit: None,
    }
}

/// A product of `rows x depth` and `depth x columns`: a pointwise convolution.
fn product([rows, depth, columns]: [usize; 3]) -> ConvSize {
    conv([rows, 1], [depth, columns], 1, 1, 1)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of one run; short ones are repeated.
fn seconds(run: &mut impl FnMut()) -> f64 {
    let mut runs = 0;
    let start = Instant::now();
    loop {
        run();
        runs += 1;
        let elapsed = start.elapsed().as_secs_f64();
        if elapsed > 1e-3 {
            return elapsed / f64::from(runs);
        }
    }
}

/// A convolution's operands.
struct Case<X: Exec<f32>> {
    size: ConvSize,
    x: CpuBuf<f32>,
    dy: CpuBuf<f32>,
    kernel: X::Kernel,
    gradient: X::KernelGradient,
    exec: X,
}

impl<X: Exec<f32, Buf = CpuBuf<f32>, Err: Debug>> Case<X> {
    fn new(exec: X, size: ConvSize) -> Self {
        let random = &mut SplitMix64(1);
        let [height, width] = size.window.kernel;
        let weights = size.output.channels * size.input.channels / size.groups * height * width;
        Self {
            size,
            x: values(random, size.input.len()),
            dy: values(random, size.output.len()),
            kernel: exec.kernel(values(random, weights)),
            gradient: exec.gradient(weights).expect("memory"),
            exec,
        }
    }

    fn forward(&mut self) {
        let tail = ConvTail::default();
        let y = self.exec.conv_forward(self.size, &self.x, &self.kernel, None, tail);
        drop(y.expect("operands of these sizes"));
    }

    fn data(&mut self) {
        let dx = self.exec.conv_backward_data(self.size, &self.kernel, &self.dy, None);
        drop(dx.expect("operands of these sizes"));
    }

    fn weight(&mut self) {
        self.exec
            .conv_backward_weight(self.size, &self.x, &self.dy, &mut self.gradient)
            .expect("operands of these sizes");
    }

    /// `10^9` floating-point operations of the definition, of which a multiply-add is two, per second.
    fn rate(&mut self, pass: fn(&mut Self)) -> f64 {
        let [height, width] = self.size.window.kernel;
        let taps = self.size.input.channels / self.size.groups * height * width;
        let work = 2.0 * (self.size.output.len() * taps) as f64;
        pass(self);
        work / median((0..RUNS).map(|_| seconds(&mut || pass(self))).collect()) / 1e9
    }

    /// The time by matrix products over that by Winograd's algorithm: the median of pairs of runs.
    fn winograd(&mut self) -> f64 {
        let mut timed = |choice| with_winograd(choice, || seconds(&mut || self.forward()));
        let ratios = (0..RUNS).map(|_| timed(WinogradChoice::Never) / timed(WinogradChoice::Always));
        median(ratios.collect())
    }
}

fn products() {
    println!("| rows x depth x columns | GFLOP/s |\n| --- | --- |");
    for sizes in [
        [48, 64, 64],
        [48, 128, 128],
        [48, 256, 256],
        [512, 256, 256],
        [512, 1152, 128],
        [512, 27, 16],
        [500, 16, 16],
        [16, 16, 16],
        [1, 256, 256],
    ] {
        let rate = Case::new(CpuExec, product(sizes)).rate(Case::forward);
        println!("| {} x {} x {} | {rate:.0} |", sizes[0], sizes[1], sizes[2]);
    }
    for [rows, depth, columns] in [[256, 8192, 256], [256, 1024, 256], [64, 4096, 64], [128, 1024, 128]] {
        let rate = Case::new(CpuExec, product([depth, rows, columns])).rate(Case::weight);
        println!("| transposed: {rows} x {depth} x {columns} | {rate:.0} |");
    }
}

fn convolutions() {
    println!("\n| convolution | forward | data gradient | weight gradient |\n| --- | --- | --- | --- |");
    for (name, size) in [
        ("3x3, 64 channels, 32x32, batch 8", conv([8, 32], [64; 2], 3, 1, 1)),
        ("3x3, 128 channels, 16x16, batch 16", conv([16, 16], [128; 2], 3, 1, 1)),
        ("3x3, 256 channels, 8x8, batch 32", conv([32, 8], [256; 2], 3, 1, 1)),
        (
            "3x3 stride 2, 64 to 128, to 16x16, batch 8",
            conv([8, 32], [64, 128], 3, 2, 1),
        ),
        (
            "3x3 stride 2, 128 to 256, to 8x8, batch 8",
            conv([8, 16], [128, 256], 3, 2, 1),
        ),
        ("1x1, 256 to 256, 32x32, batch 8", conv([8, 32], [256; 2], 1, 1, 1)),
        ("1x1 stride 2, 64 to 128, batch 8", conv([8, 32], [64, 128], 1, 2, 1)),
        ("3x3, 3 to 64 channels, 32x32, batch 8", conv([8, 32], [3, 64], 3, 1, 1)),
        (
            "depthwise 9x9, 256 channels, 32x32, batch 1",
            conv([1, 32], [256; 2], 9, 1, 256),
        ),
        (
            "depthwise 7x7, 256 channels, 32x32, batch 1",
            conv([1, 32], [256; 2], 7, 1, 256),
        ),
        (
            "depthwise 3x3, 256 channels, 32x32, batch 1",
            conv([1, 32], [256; 2], 3, 1, 256),
        ),
    ] {
        let mut case = Case::new(CpuExec, size);
        let [forward, data, weight] = [Case::forward, Case::data, Case::weight].map(|pass| case.rate(pass));
        println!("| {name} | {forward:.0} | {data:.0} | {weight:.0} |");
    }
}

/// Microseconds of `pass`, each time with a kernel that has not been packed, as in a training step.
fn unprepared(case: &mut Case<CpuExec>, kernel: &CpuBuf<f32>, pass: fn(&mut Case<CpuExec>)) -> f64 {
    let once = || {
        case.kernel = Exec::<f32>::kernel(&CpuExec, kernel.clone());
        let start = Instant::now();
        pass(case);
        start.elapsed().as_secs_f64() * 1e6
    };
    median(std::iter::repeat_with(once).take(RUNS).collect())
}

fn linears() {
    println!("\n| rows x inputs x outputs | inference | output | data gradient | weight gradient | SGD |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for sizes in [
        [1, 1024, 1024],
        [8, 1024, 1024],
        [64, 784, 1024],
        [64, 1024, 1024],
        [128, 1024, 1024],
        [512, 768, 768],
        [64, 4096, 4096],
    ] {
        let mut case = Case::new(CpuExec, product(sizes));
        let mut kernel = values(&mut SplitMix64(2), sizes[1] * sizes[2]);
        case.forward();
        let inference = median((0..RUNS).map(|_| seconds(&mut || case.forward()) * 1e6).collect());
        let passes: [fn(&mut Case<CpuExec>); 2] = [Case::forward, Case::data];
        let [output, data] = passes.map(|pass| unprepared(&mut case, &kernel, pass));
        let mut first = || {
            case.gradient = Exec::<f32>::gradient(&CpuExec, kernel.len()).expect("memory");
            case.weight();
        };
        let weight = median((0..RUNS).map(|_| seconds(&mut first) * 1e6).collect());
        let rule = SgdStep {
            rate: 1e-3,
            momentum: 0.9,
            nesterov: false,
            decay: 1e-4,
            decoupled: 0.0,
        };
        let (gradient, mut velocity) = (kernel.clone(), kernel.clone());
        let mut step =
            || Updates::<f32>::sgd_step(&CpuExec, rule, &mut kernel, &gradient, &mut velocity).expect("sizes");
        let sgd = median((0..RUNS).map(|_| seconds(&mut step) * 1e6).collect());
        let [rows, inputs, outputs] = sizes;
        println!(
            "| {rows} x {inputs} x {outputs} | {inference:.0} | {output:.0} | {data:.0} | {weight:.0} | {sgd:.0} |"
        );
    }
}

/// What the heuristic of `src/conv_method.rs` rests on.
fn winograd() {
    println!("\n| 3x3, stride 1 | time by matrix products over Winograd's |\n| --- | --- |");
    for [batch, channels, side] in [
        [64, 16, 8],
        [64, 32, 8],
        [64, 64, 32],
        [64, 128, 16],
        [64, 256, 8],
        [1, 64, 8],
        [1, 64, 32],
        [64, 64, 4],
        [64, 64, 7],
    ] {
        let ratio = Case::new(CpuExec, conv([batch, side], [channels; 2], 3, 1, 1)).winograd();
        println!("| {channels} channels, {side}x{side}, batch {batch} | {ratio:.2} |");
    }
}

fn main() {
    with_threads(NonZeroUsize::MIN, || {
        products();
        convolutions();
    });
    linears();
    winograd();
}
