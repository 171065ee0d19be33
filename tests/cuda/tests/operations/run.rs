//! Every operation on inputs of a seed: the same calls on any exec.

use crate::support::{Outcome, Rng, down, up};
use ksdsl_engine::Real;
use ksdsl_engine::exec::{ConvTail, NormBackward};
use ksdsl_engine::size::{
    Activation, Algorithm, AttentionSize, ConvSize, MapSize, PoolKind, PoolSize, RowSize, Tail, Window,
};
use ksdsl_engine::update::{AdamStep, SgdStep, Updates};
use ksdsl_oracle::outputs_along;
use std::borrow::Cow;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::HardSwish,
    Activation::Relu6,
];
const EPS: f64 = 1e-5;

/// A device and what it computed so far.
pub(crate) struct Run<'d, E: Real, X: Updates<E>> {
    exec: &'d X,
    rng: Rng,
    outcome: Outcome,
    element: std::marker::PhantomData<E>,
}

fn rows(map: MapSize) -> RowSize {
    RowSize {
        rows: map.rows(),
        channels: map.channels,
    }
}

impl<E: Real, X: Updates<E>> Run<'_, E, X> {
    fn random(&mut self, len: usize) -> X::Buf {
        up(self.exec, &self.rng.values(len))
    }

    fn note(&mut self, name: &dyn std::fmt::Debug, buf: X::Buf, len: usize) {
        let values = down(self.exec, buf, len);
        self.outcome.push((format!("{name:?}"), values));
    }

    fn maybe<'b>(&mut self, buf: &'b X::Buf) -> Option<&'b X::Buf> {
        (self.rng.between(0, 1) == 1).then_some(buf)
    }

    fn activation(&mut self) -> Option<Activation> {
        let kind = self.rng.one_of(&ACTIVATIONS);
        (self.rng.between(0, 2) > 0).then_some(kind)
    }

    fn relu(&mut self) -> Option<Activation> {
        (self.rng.between(0, 1) == 1).then_some(Activation::Relu)
    }

    fn map(&mut self) -> MapSize {
        MapSize {
            batch: self.rng.between(1, 3),
            height: self.rng.between(1, 9),
            width: self.rng.between(1, 9),
            channels: self.rng.one_of(&[1, 2, 3, 7, 16, 17, 33, 70]),
        }
    }

    pub(crate) fn conv(&mut self, size: ConvSize) {
        let exec = self.exec;
        let taps = size.window.kernel[0] * size.window.kernel[1];
        let weights = size.output.channels * size.input.channels / size.groups * taps;
        let [inputs, outputs, channels] = [size.input.len(), size.output.len(), size.output.channels];
        let (x, dy, residual) = (self.random(inputs), self.random(outputs), self.random(outputs));
        let weight = self.random(weights);
        let [bias, factor, offset] = [(); 3].map(|()| self.random(channels));
        let kernel = exec.kernel(weight.clone());

        let y = exec.conv_forward(size, &x, &kernel, None, ConvTail::default()).unwrap();
        self.note(&("conv", size), y, outputs);
        let tail = ConvTail {
            before: self.activation(),
            affine: (self.rng.between(0, 1) == 1).then_some((&factor, &offset)),
            residual: self.maybe(&residual),
            after: self.relu(),
        };
        let bias = self.maybe(&bias);
        let y = exec.conv_forward(size, &x, &kernel, bias, tail).unwrap();
        self.note(&("conv with tail", size), y, outputs);

        let before = self.activation();
        let moments = exec.conv_moments(size, &x, &kernel, bias, before).unwrap();
        self.note(&("conv before moments", size), moments.output, outputs);
        assert_eq!(moments.activated.is_some(), before.is_some());
        if let Some(activated) = moments.activated {
            self.note(&("activated", before, size), activated, outputs);
        }
        self.note(&("mean", size), moments.mean, channels);
        self.note(&("variance", size), moments.variance, channels);

        let dx = exec.conv_backward_data(size, &kernel, &dy, None).unwrap();
        self.note(&("data gradient", size), dx, inputs);
        let others = self.random(inputs);
        let dx = exec.conv_backward_data(size, &kernel, &dy, Some(others)).unwrap();
        self.note(&("data gradient and others", size), dx, inputs);

        // Two visits, and a part that is gathered as PyTorch lays it out.
        let mut gradient = exec.gradient(weights).unwrap();
        exec.conv_backward_weight(size, &x, &dy, &mut gradient).unwrap();
        exec.conv_backward_weight(size, &x, &residual, &mut gradient).unwrap();
        let plain = exec.gradient_values_mut(&mut gradient).unwrap();
        *plain = exec.add(plain.clone(), &weight).unwrap();
        let gradient = exec.gradient_values(gradient).unwrap();
        self.note(&("weight gradient", size), gradient, weights);

        let mut dbias = offset.clone();
        exec.bias_backward(rows(size.output), &dy, &mut dbias).unwrap();
        self.note(&("bias gradient", size), dbias, channels);
    }

    /// Groups, inputs and outputs: dense, grouped, depthwise, depthwise with a multiplier.
    fn channels(&mut self) -> [usize; 3] {
        let rng = &mut self.rng;
        match rng.between(0, 4) {
            0 | 1 => [1, rng.between(1, 20), rng.between(1, 37)],
            2 => {
                let groups = rng.between(2, 4);
                [groups, groups * rng.between(1, 5), groups * rng.between(1, 9)]
            }
            3 => [rng.one_of(&[1, 2, 7, 31, 32, 33, 48, 64, 70]); 3],
            _ => {
                let groups = rng.between(1, 9);
                [groups, groups, groups * 2]
            }
        }
    }

    /// A random convolution; its output may be one larger than PyTorch's, as with uneven padding.
    fn random_conv(&mut self) -> Option<ConvSize> {
        let [groups, inputs, outputs] = self.channels();
        let input = MapSize {
            channels: inputs,
            ..self.map()
        };
        let rng = &mut self.rng;
        let kernel = match rng.between(0, 3) {
            0 => [1, 1],
            1 => [rng.one_of(&[3, 5, 7, 9]); 2],
            _ => [rng.between(1, 9), rng.between(1, 9)],
        };
        let unit = rng.between(0, 2) == 0;
        let mut steps = |most| {
            if unit {
                [1; 2]
            } else {
                [rng.between(1, most), rng.between(1, most)]
            }
        };
        let (stride, dilation) = (steps(3), steps(2));
        let window = Window {
            kernel,
            stride,
            pad: [rng.between(0, kernel[0]), rng.between(0, kernel[1])],
            dilation,
        };
        let output = MapSize {
            batch: input.batch,
            height: outputs_along(&window, 0, input.height)? + rng.between(0, 1),
            width: outputs_along(&window, 1, input.width)? + rng.between(0, 1),
            channels: outputs,
        };
        Some(ConvSize {
            input,
            output,
            window,
            groups,
            algorithm: Algorithm::Auto,
            unit: None,
        })
    }

    fn convs(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            if let Some(size) = self.random_conv() {
                self.conv(size);
                left -= 1;
            }
        }
    }

    fn norm(&mut self) {
        let (exec, size) = (self.exec, rows(self.map()));
        let (len, channels) = (size.rows * size.channels, size.channels);
        let (x, dy, residual) = (self.random(len), self.random(len), self.random(len));
        let [scale, shift, other] = [(); 3].map(|()| self.random(channels));
        let (mean, variance) = exec.moments(size, &x).unwrap();
        self.note(&("mean", size), mean.clone(), channels);
        self.note(&("variance", size), variance.clone(), channels);
        let (factor, offset) = exec.norm_coefficients(&mean, &variance, &scale, &shift, EPS).unwrap();
        self.note(&("factor", size), factor.clone(), channels);
        self.note(&("offset", size), offset.clone(), channels);

        let tail = Tail {
            before: self.activation(),
            after: self.relu(),
        };
        let added = self.maybe(&residual);
        let y = exec
            .norm_apply(size, tail.after, Cow::Borrowed(&x), &factor, &offset, added)
            .unwrap();
        self.note(&("norm", size, tail), y, len);
        let y = exec
            .norm_apply(size, tail.after, Cow::Owned(x.clone()), &factor, &offset, added)
            .unwrap();
        self.note(&("norm in place", size, tail), y, len);
        let y = exec.norm_recall(size, tail, &x, &factor, &offset, added).unwrap();
        self.note(&("norm again", size, tail), y.clone(), len);

        let both = added.is_some() && tail.after.is_some();
        let norm = NormBackward {
            size,
            tail,
            input: &x,
            output: both.then_some(&y),
            mean: &mean,
            variance: &variance,
            factor: &factor,
            offset: &offset,
            sums: None,
            eps: EPS,
        };
        let (mut dscale, mut dshift) = (other.clone(), scale.clone());
        let (dx, dresidual) = exec
            .norm_backward(norm, dy, added.is_some(), &mut dscale, &mut dshift)
            .unwrap();
        self.note(&("norm dx", size, tail), dx, len);
        assert_eq!(dresidual.is_some(), added.is_some());
        if let Some(dresidual) = dresidual {
            self.note(&("norm dresidual", size, tail), dresidual, len);
        }
        self.note(&("norm dscale", size, tail), dscale, channels);
        self.note(&("norm dshift", size, tail), dshift, channels);
        let blended = exec.blend_statistics(&mean, &variance, 0.3, 1.25).unwrap();
        self.note(&("running statistics", size), blended, channels);
    }

    fn layer_norm(&mut self) {
        let (exec, size) = (self.exec, rows(self.map()));
        let (len, channels) = (size.rows * size.channels, size.channels);
        // A row of one value is normalised to 0 and one of two to -1 and 1: their gradients are all rounding.
        if channels < 3 {
            return;
        }
        let (x, dy) = (self.random(len), self.random(len));
        let [scale, shift] = [(); 2].map(|()| self.random(channels));
        let norm = exec.layer_norm_forward(size, &x, &scale, &shift, EPS).unwrap();
        let (mut dscale, mut dshift) = (shift.clone(), scale.clone());
        let (mean, inverse) = (norm.mean, norm.inverse_std);
        let dx = exec
            .layer_norm_backward(size, &x, &mean, &inverse, &scale, &dy, &mut dscale, &mut dshift)
            .unwrap();
        self.note(&("layer norm", size), norm.output, len);
        self.note(&("layer norm dx", size), dx, len);
        self.note(&("layer norm dscale", size), dscale, channels);
        self.note(&("layer norm dshift", size), dshift, channels);
        self.note(&("layer norm mean", size), mean, size.rows);
        let row = self.random(channels);
        let sum = exec.add_to_rows(size, x, &row).unwrap();
        self.note(&("add to rows", size), sum, len);
    }

    fn attention(&mut self, size: AttentionSize) {
        let exec = self.exec;
        let [q, dy] = [(); 2].map(|()| self.random(size.len()));
        let [k, v] = [(); 2].map(|()| self.random(size.key_len()));
        let y = exec.attention_forward(size, &q, &k, &v).unwrap();
        self.note(&("attention", size), y, size.len());
        let gradients = exec.attention_backward(size, &q, &k, &v, &dy).unwrap();
        let lens = [size.len(), size.key_len(), size.key_len()];
        for ((name, gradient), len) in ["dq", "dk", "dv"].into_iter().zip(gradients).zip(lens) {
            self.note(&("attention", name, size), gradient, len);
        }
    }

    fn attentions(&mut self) {
        let full = AttentionSize::full;
        let causal = |size| AttentionSize { causal: true, ..size };
        let cross = |keys, size| AttentionSize { keys, ..size };
        let grouped = |key_heads, size| AttentionSize { key_heads, ..size };
        for size in [
            full(2, 5, 6, 2),
            full(1, 40, 16, 1),
            full(3, 33, 35, 5),
            full(2, 1, 4, 2),
            causal(full(2, 37, 6, 2)),
            cross(50, full(2, 7, 12, 3)),
            grouped(2, causal(full(2, 35, 24, 6))),
            grouped(1, cross(3, full(3, 9, 8, 4))),
        ] {
            self.attention(size);
        }
    }

    fn tables(&mut self) {
        let exec = self.exec;
        for [rows, channels, count] in [[1, 1, 1], [7, 3, 40], [50, 70, 33], [4, 5, 0]] {
            let size = RowSize { rows, channels };
            let ids: Vec<f64> = (0..count).map(|_| self.rng.between(0, rows - 1) as f64).collect();
            let (ids, table) = (up(exec, &ids), self.random(rows * channels));
            let y = exec.gather_rows(size, &table, &ids).unwrap();
            self.note(&("gathered", size), y, count * channels);
            let (dy, mut sums) = (self.random(count * channels), self.random(rows * channels));
            exec.scatter_add_rows(size, &dy, &ids, &mut sums).unwrap();
            self.note(&("scattered", size), sums, rows * channels);
        }
    }

    fn activations(&mut self) {
        let exec = self.exec;
        for kind in ACTIVATIONS {
            for len in [1, 17, 1000] {
                let mut x: Vec<f64> = self.rng.values(len).iter().map(|x| 6.0 * x).collect();
                x.extend([-3.0, 0.0, 3.0, -40.0, 40.0]);
                let (len, x) = (x.len(), up(exec, &x));
                let dy = self.random(len);
                let y = exec.activation_forward(kind, x.clone()).unwrap();
                self.note(&(kind, len), y.clone(), len);
                let output = matches!(kind, Activation::Relu | Activation::Sigmoid);
                let saved = if output { y } else { x };
                let dx = exec.activation_backward(kind, &saved, dy).unwrap();
                self.note(&("slope", kind, len), dx, len);
            }
        }
    }

    fn pool(&mut self) {
        let (exec, input) = (self.exec, self.map());
        let rng = &mut self.rng;
        let kernel = [rng.between(1, 4), rng.between(1, 4)];
        let window = Window {
            kernel,
            stride: [rng.between(1, 3), rng.between(1, 3)],
            pad: [rng.between(0, kernel[0] - 1), rng.between(0, kernel[1] - 1)],
            dilation: [1; 2],
        };
        let heights = outputs_along(&window, 0, input.height);
        let (Some(height), Some(width)) = (heights, outputs_along(&window, 1, input.width)) else {
            return;
        };
        let output = MapSize {
            height: height + rng.between(0, 1),
            width,
            ..input
        };
        let size = PoolSize { input, output, window };
        let x = up(exec, &self.rng.ties(input.len()));
        let (dy, per_image) = (self.random(output.len()), self.random(input.batch * input.channels));
        for kind in [PoolKind::Max, PoolKind::Average] {
            let y = exec.pool_forward(kind, size, &x).unwrap();
            self.note(&(kind, size), y, output.len());
            let dx = exec.pool_backward(kind, size, &x, &dy).unwrap();
            self.note(&("pool dx", kind, size), dx, input.len());
            let y = exec.global_pool_forward(kind, input, &x).unwrap();
            self.note(&("global", kind, input), y, input.batch * input.channels);
            let dx = exec.global_pool_backward(kind, input, Some(&x), &per_image).unwrap();
            self.note(&("global dx", kind, input), dx, input.len());
        }
    }

    fn gate(&mut self) {
        let (exec, size) = (self.exec, self.map());
        let (x, residual, dy) = (
            self.random(size.len()),
            self.random(size.len()),
            self.random(size.len()),
        );
        let gate = self.random(size.batch * size.channels);
        let (added, after) = (self.maybe(&residual), self.relu());
        let y = exec.gate_forward(size, &x, &gate, added, after).unwrap();
        self.note(&("gate", size), y.clone(), size.len());
        let output = after.map(|_| &y);
        let (dx, dgate, dresidual) = exec
            .gate_backward(size, &x, &gate, output, dy, added.is_some())
            .unwrap();
        self.note(&("gate dx", size), dx, size.len());
        self.note(&("dgate", size), dgate, size.batch * size.channels);
        if let Some(dresidual) = dresidual {
            self.note(&("gate dresidual", size), dresidual, size.len());
        }
    }

    fn joins(&mut self) {
        let (exec, size) = (self.exec, self.map());
        let [rows, left] = [size.rows(), size.channels];
        let right = self.rng.between(1, 40);
        let (a, b) = (self.random(rows * left), self.random(rows * right));
        let y = exec.concat(rows, left, right, &a, &b).unwrap();
        self.note(&("concat", size, right), y.clone(), rows * (left + right));
        let (left_part, right_part) = exec.split(rows, left, right, &y).unwrap();
        self.note(&("split left", size), left_part, rows * left);
        self.note(&("split right", size), right_part, rows * right);
        let turned = exec.nhwc_to_nchw(size, &a).unwrap();
        self.note(&("nchw", size), turned.clone(), size.len());
        let back = exec.nchw_to_nhwc(size, &turned).unwrap();
        self.note(&("nhwc", size), back, size.len());
        let other = self.random(size.len());
        let sum = exec.add(a.clone(), &other).unwrap();
        self.note(&("add", size), sum, size.len());
        let product = exec.multiply(a.clone(), &other).unwrap();
        self.note(&("multiply", size), product, size.len());
        for (p, seed) in [(0.4, 9), (0.0, 1), (0.999, 77)] {
            let dropped = exec.dropout(p, seed, a.clone()).unwrap();
            self.note(&("dropout", p, seed, size), dropped, size.len());
        }
        let zeros = exec.zeroed(size.len()).unwrap();
        self.note(&("zeros", size), zeros, size.len());
    }

    fn updates(&mut self) {
        let (exec, len) = (self.exec, 1003);
        let (mut p, g, mut v, mut m) = (self.random(len), self.random(len), self.random(len), self.random(len));
        for nesterov in [false, true] {
            let rule = SgdStep {
                rate: 0.1,
                momentum: 0.9,
                nesterov,
                decay: 0.01,
                decoupled: 0.02,
            };
            exec.sgd_step(rule, &mut p, &g, &mut v).unwrap();
            self.note(&("sgd", nesterov), p.clone(), len);
            self.note(&("velocity", nesterov), v.clone(), len);
        }
        v = exec.multiply(v.clone(), &v).unwrap();
        let rule = AdamStep {
            rate: 0.05,
            betas: [0.9, 0.99],
            eps: 1e-8,
            decay: 0.01,
            decoupled: 0.1,
            step: 3,
        };
        exec.adam_step(rule, &mut p, &g, &mut m, &mut v).unwrap();
        self.note(&"adam", p.clone(), len);
        self.note(&"adam first", m.clone(), len);
        self.note(&"adam second", v, len);
        exec.average(0.7, &mut m, &g).unwrap();
        self.note(&"average", m.clone(), len);
        let squares = exec.sums_of_squares(&[m.clone(), exec.zeroed(0).unwrap(), g]).unwrap();
        self.outcome.push(("sums of squares".into(), squares));
        exec.scale(0.3, &mut m).unwrap();
        self.note(&"scale", m, len);
    }

    pub(crate) fn all(&mut self, count: usize) {
        self.convs(count);
        for _ in 0..count {
            self.norm();
            self.layer_norm();
            self.pool();
            self.gate();
            self.joins();
        }
        self.attentions();
        self.tables();
        self.activations();
        self.updates();
    }
}

fn run<'d, E: Real, X: Updates<E>>(exec: &'d X, seed: u64) -> Run<'d, E, X> {
    Run {
        exec,
        rng: Rng(seed),
        outcome: Vec::new(),
        element: std::marker::PhantomData,
    }
}

pub(crate) fn outcome<E: Real, X: Updates<E>>(exec: &X, seed: u64, work: fn(&mut Run<'_, E, X>)) -> Outcome {
    let mut run = run(exec, seed);
    work(&mut run);
    run.outcome
}
