//! What visits have of their own for a shared kernel `K`: visit `v` uses `s_v (K + B_v A_v)`, row by row of the
//! kernel as a matrix `[out][in / groups * height * width]`.

use crate::forms::Forms;
use crate::gradients::{assert_all_close, finite_differences_agree, perturbed};
use crate::net::{Net, images};
use crate::nets::gradients::*;
use crate::tensors::{self, Values, values};
use crate::visits::{owner, summary, unrolled};
use ksdsl::summary::Summary;
use ksdsl_runtime::prelude::*;
use std::collections::BTreeMap;

/// A matrix by rows.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, values: Vec<f64>) -> Self {
        Self { rows, values }
    }

    fn columns(&self) -> usize {
        self.values.len() / self.rows
    }

    fn transposed(&self) -> Self {
        let columns = self.columns();
        let value = |at: usize| self.values[at % self.rows * columns + at / self.rows];
        Self::new(columns, (0..self.values.len()).map(value).collect())
    }

    fn times(&self, other: &Self) -> Self {
        let (inner, columns) = (self.columns(), other.columns());
        assert_eq!(inner, other.rows);
        let value = |at: usize| {
            let (row, column) = (at / columns, at % columns);
            (0..inner)
                .map(|k| self.values[row * inner + k] * other.values[k * columns + column])
                .sum()
        };
        Self::new(self.rows, (0..self.rows * columns).map(value).collect())
    }

    /// Each row by its factor.
    fn scaled(&self, factors: &[f64]) -> Self {
        let columns = self.columns();
        let values = self.values.iter().enumerate();
        Self::new(
            self.rows,
            values.map(|(at, value)| value * factors[at / columns]).collect(),
        )
    }
}

/// What a visit has of its own.
struct Own {
    /// The key of the layer.
    layer: String,
    scale: Option<Vec<f64>>,
    /// A and B.
    addition: Option<[Matrix; 2]>,
    kernel: Matrix,
}

impl Own {
    /// That of the layer of a kernel's key, if it has any.
    fn of(key: &str, kernel: &[f64], values: &Values<f64>) -> Option<Self> {
        let layer = key.strip_suffix(".weight")?;
        let get = |name: &str| values.get(&format!("{layer}.{name}")).cloned();
        let (scale, addition) = (get("scale"), get("low_rank_a").zip(get("low_rank_b")));
        // Of rows x rank, rank x columns and rows x columns values.
        let rank = addition
            .as_ref()
            .map(|(a, b)| (a.len() * b.len() / kernel.len()).isqrt());
        let rows = match (&scale, &addition, rank) {
            (Some(scale), ..) => scale.len(),
            (None, Some((_, b)), Some(rank)) => b.len() / rank,
            _ => return None,
        };
        Some(Own {
            layer: layer.to_owned(),
            scale,
            addition: addition
                .zip(rank)
                .map(|((a, b), rank)| [Matrix::new(rank, a), Matrix::new(rows, b)]),
            kernel: Matrix::new(rows, kernel.to_vec()),
        })
    }

    /// `K + B A`.
    fn sum(&self) -> Matrix {
        let mut sum = self.kernel.clone();
        if let Some([a, b]) = &self.addition {
            let addition = b.times(a);
            sum.values
                .iter_mut()
                .zip(addition.values)
                .for_each(|(sum, more)| *sum += more);
        }
        sum
    }

    /// The kernel of the visit.
    fn folded(&self) -> Vec<f64> {
        match &self.scale {
            Some(scale) => self.sum().scaled(scale).values,
            None => self.sum().values,
        }
    }

    /// By the chain rule, from the gradient `d` of the visit's kernel: that of the shared kernel, `s d`, and
    /// those of the own tensors, `<K + B A, d>` for each row, `B^T (s d)` and `(s d) A^T`.
    fn gradients(&self, d: Vec<f64>) -> (Vec<f64>, Values<f64>) {
        let mut d = Matrix::new(self.kernel.rows, d);
        let mut own = BTreeMap::new();
        if let Some(scale) = &self.scale {
            let (sum, columns) = (self.sum(), d.columns());
            let rows = sum.values.chunks(columns).zip(d.values.chunks(columns));
            let of_scale = rows.map(|(sum, d)| sum.iter().zip(d).map(|(sum, d)| sum * d).sum());
            own.insert(format!("{}.scale", self.layer), of_scale.collect());
            d = d.scaled(scale);
        }
        if let Some([a, b]) = &self.addition {
            own.insert(format!("{}.low_rank_a", self.layer), b.transposed().times(&d).values);
            own.insert(format!("{}.low_rank_b", self.layer), d.times(&a.transposed()).values);
        }
        (d.values, own)
    }
}

/// The network that shares computes what the one without sharing does with the visits' kernels, and its
/// gradients follow from those of that network by the chain rule.
fn own_parts_act_on_kernels<S: Net, F: Net>() {
    own_parts_act_on::<S, F>(&Forms::new());
}

/// The same where visits make their kernels of what is stored.
pub(crate) fn own_parts_act_on<S: Net, F: Net>(forms: &Forms) {
    let summary = summary("gradients", S::NAME);
    let (mut shared, mut free) = (perturbed::<S>(), F::seeded(3));
    let before = values(&shared);
    let copies = unrolled(&summary, &before, &values(&free));
    let coefficients = |key: &String| before.get(&key.replace(".weight", ".coefficients"));
    let made: Values<f64> = copies
        .iter()
        .map(|(key, stored)| {
            let form = forms.get(key);
            (
                key.clone(),
                form.map_or(stored.clone(), |form| form.made(stored, coefficients(key))),
            )
        })
        .collect();
    assert!(forms.keys().all(|key| copies.contains_key(key)));
    let own = |key: &String| Own::of(key, &made[key], &before);
    let folded = made.iter().map(|(key, copy)| {
        let kernel = own(key).map_or_else(|| copy.clone(), |own| own.folded());
        (key.clone(), kernel)
    });
    tensors::write(&mut free, &folded.collect());

    let images = images::<S>();
    assert_all_close("inference", &shared.infer(&images), &free.infer(&images), 1e-12);
    let (a, b) = (shared.train(&images), free.train(&images));
    assert_all_close("logits", &a.logits, &b.logits, 1e-12);
    let of_shared = tensors::gradients(&shared, &a.gradients);
    let mut sums: Values<f64> = BTreeMap::new();
    for (key, gradient) in tensors::gradients(&free, &b.gradients) {
        let part = match own(&key) {
            Some(own) => {
                let (part, of_own) = own.gradients(gradient);
                sums.extend(of_own);
                part
            }
            None => gradient,
        };
        let part = match forms.get(&key) {
            Some(form) => {
                let [part, of_coefficients] = form.gradients(&copies[&key], coefficients(&key), &part);
                if coefficients(&key).is_some() {
                    sums.insert(key.replace(".weight", ".coefficients"), of_coefficients);
                }
                part
            }
            None => part,
        };
        let sum = sums
            .entry(owner(&summary, &key))
            .or_insert_with(|| vec![0.0; part.len()]);
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    assert!(sums.keys().eq(of_shared.keys()), "the tensors differ");
    for (key, gradient) in &of_shared {
        assert_all_close(key, gradient, &sums[key], 1e-9);
    }
}

type Scaled = scaled_shared::Model<f64, Cpu>;
type Ranked = ranked_shared::Model<f64, Cpu>;

#[test]
fn scales_act_on_kernels() {
    own_parts_act_on_kernels::<Scaled, scaled_free::Model<f64, Cpu>>();
}

#[test]
fn additions_act_on_kernels() {
    own_parts_act_on_kernels::<Ranked, ranked_free::Model<f64, Cpu>>();
}

#[test]
fn gradients_with_scales_are_those_of_differences() {
    finite_differences_agree::<Scaled>();
}

#[test]
fn gradients_with_additions_are_those_of_differences() {
    finite_differences_agree::<Ranked>();
}

/// The number of tensors of a name, after a check of each.
fn count(values: &Values<f64>, name: &str, check: impl Fn(&[f64])) -> usize {
    let all = values.iter().filter(|(key, _)| key.ends_with(name));
    all.map(|(_, values)| check(values)).count()
}

/// Factors start at one.
#[test]
fn scales_start_at_one() {
    let model = Scaled::seeded(1);
    let scales = count(&values(&model), ".scale", |scale| {
        assert!(scale.iter().all(|factor| *factor == 1.0));
    });
    assert_eq!(scales, 3 + 3 + 2 + 4);
    // By hand: one 3x3 kernel with three biases and scales, one with its bias and three scales and norms, a
    // depthwise kernel with two scales, two linear kernels with biases and four scales, the head.
    let expected = (144 + 12 + 12) + (144 + 4 + 12 + 24) + (36 + 8) + (2 * 20 + 16) + 15;
    assert_eq!(scaled_shared::PARAMETERS, expected);
    assert_eq!(model.num_trainable_params() as u64, expected);
}

/// The factor B starts at zero and A within PyTorch's bound, `1 / sqrt(columns)`; so the first step moves B
/// alone, and the second A as well.
#[test]
fn additions_start_at_zero() {
    let mut model = Ranked::seeded(1);
    let start = values(&model);
    let zero = count(&start, ".low_rank_b", |b| assert!(b.iter().all(|value| *value == 0.0)));
    assert_eq!(zero, 3 + 2 + 2 + 2 + 8 + 8);
    let widest = start["one.0.conv.low_rank_a"]
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    // 72 values within 1 / sqrt(36).
    assert!((0.14..1.0 / 6.0).contains(&widest), "{widest}");
    let images = images::<Ranked>();
    let steepest = |model: &mut Ranked, name: &str| {
        let gradients = model.train(&images).gradients;
        let gradients = tensors::gradients(model, &gradients);
        let all = gradients.into_iter().filter(|(key, _)| key.ends_with(name));
        all.flat_map(|(_, gradient)| gradient)
            .fold(0.0_f64, |most, value| most.max(value.abs()))
    };
    assert_eq!(steepest(&mut model, ".low_rank_a"), 0.0);
    assert!(steepest(&mut model, ".low_rank_b") > 1e-4);
    let gradients = model.train(&images).gradients;
    Sgd::new(&model, SgdConfig::default())
        .update(&mut model, &gradients)
        .unwrap();
    assert!(steepest(&mut model, ".low_rank_a") > 0.0);
}

/// By hand, stage by stage; an addition of rank r to a kernel of `out` rows and `columns` has
/// `r (out + columns)` parameters and costs `r out columns` multiply-adds.
#[test]
fn additions_are_counted() {
    let addition = |rank: u64, rows: u64, columns: u64| rank * (rows + columns);
    let parameters = [
        // A kernel, three times a bias, factors and rank 2.
        144 + 3 * (4 + 4 + addition(2, 4, 36)),
        // Two groups: half of the inputs each. A bias, two norms.
        72 + 4 + 2 * addition(1, 4, 18) + 2 * 8,
        // Two norms.
        96 + 2 * addition(3, 4, 24) + 2 * 8,
        36 + 2 * (4 + addition(1, 4, 9)),
        16 + 4 + 8 * addition(1, 4, 4) + 2 * 8,
        // Two kernels with biases and two without, eight visits.
        2 * 15 + 2 * 12 + 8 * addition(2, 3, 4),
        15,
    ];
    assert_eq!(ranked_shared::PARAMETERS, parameters.iter().sum::<u64>());
    let model = Ranked::seeded(1);
    assert_eq!(model.num_trainable_params() as u64, ranked_shared::PARAMETERS);
    let products = |rank: u64, rows: u64, columns: u64| rank * rows * columns;
    let additions = 3 * products(2, 4, 36)
        + 2 * products(1, 4, 18)
        + 2 * products(3, 4, 24)
        + 2 * products(1, 4, 9)
        + 8 * products(1, 4, 4)
        + 8 * products(2, 3, 4);
    assert_eq!(ranked_shared::MULTIPLY_ADDS, ranked_free::MULTIPLY_ADDS + additions);
    assert_eq!(ranked_free::PARAMETERS, ranked_shared::UNSHARED_PARAMETERS);
    let summary: Summary = summary("gradients", "ranked_shared");
    let stored: u64 = summary.layers.iter().map(|layer| layer.stored).sum();
    assert_eq!(stored, ranked_shared::PARAMETERS);
}
