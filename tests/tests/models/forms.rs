//! What visits make of shared kernels: the transpose, slices, and combinations of the kernels of a bank.

use crate::gradients::{assert_all_close, finite_differences_agree, perturbed};
use crate::net::{Net, images};
use crate::nets::gradients::*;
use crate::private::own_parts_act_on;
use crate::tensors::{self, Values, values};
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::network::Generated;
use ksdsl_runtime::prelude::*;
use std::collections::BTreeMap;

/// How a visit makes its kernel of what is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Rows and columns of each place change places: `[rows, columns, taps]` of the visit.
    Transposed([usize; 3]),
    /// The first rows and columns of a kernel with so many columns: `[rows, columns, taps]` of the visit.
    Slice([usize; 3], usize),
    /// The first rows and columns of such a kernel, whose rows are the visit's columns.
    TransposedSlice([usize; 3], usize),
    /// A combination of so many kernels, which is then transposed if sizes are given.
    Bank(usize, Option<[usize; 3]>),
}

impl Form {
    /// For each element of the visit's kernel the element of one stored kernel.
    fn places(self, len: usize) -> Vec<usize> {
        let places = |[rows, columns, taps]: [usize; 3], place: &dyn Fn(usize, usize) -> usize| {
            let mut all = Vec::new();
            for row in 0..rows {
                for column in 0..columns {
                    for tap in 0..taps {
                        all.push(place(row, column) * taps + tap);
                    }
                }
            }
            all
        };
        match self {
            Form::Transposed(sizes) | Form::Bank(_, Some(sizes)) => {
                places(sizes, &|row, column| column * sizes[0] + row)
            }
            Form::Slice(sizes, all) => places(sizes, &|row, column| row * all + column),
            Form::TransposedSlice(sizes, all) => places(sizes, &|row, column| column * all + row),
            Form::Bank(_, None) => (0..len).collect(),
        }
    }

    fn kernels(self) -> usize {
        match self {
            Form::Bank(kernels, _) => kernels,
            _ => 1,
        }
    }

    /// The visit's kernel.
    pub(crate) fn made(self, stored: &[f64], coefficients: Option<&Vec<f64>>) -> Vec<f64> {
        let len = stored.len() / self.kernels();
        let one = vec![1.0];
        let coefficients = coefficients.unwrap_or(&one);
        assert_eq!(coefficients.len(), self.kernels());
        let combined = |at: usize| -> f64 {
            (0..self.kernels())
                .map(|j| coefficients[j] * stored[j * len + at])
                .sum()
        };
        self.places(len).into_iter().map(combined).collect()
    }

    /// By the chain rule, from the gradient `d` of the visit's kernel: that of what is stored, and of the coefficients.
    pub(crate) fn gradients(self, stored: &[f64], coefficients: Option<&Vec<f64>>, d: &[f64]) -> [Vec<f64>; 2] {
        let len = stored.len() / self.kernels();
        let (mut of_stored, mut of_coefficients) = (vec![0.0; stored.len()], vec![0.0; self.kernels()]);
        for (at, d) in self.places(len).into_iter().zip(d) {
            for j in 0..self.kernels() {
                of_stored[j * len + at] += d * coefficients.map_or(1.0, |coefficients| coefficients[j]);
                of_coefficients[j] += d * stored[j * len + at];
            }
        }
        [of_stored, of_coefficients]
    }
}

/// The forms of a network by the keys of kernels.
pub(crate) type Forms = BTreeMap<String, Form>;

fn forms<const N: usize>(all: [(&str, Form); N]) -> Forms {
    all.into_iter()
        .map(|(layer, form)| (format!("{layer}.weight"), form))
        .collect()
}

/// The kernels of transposed convolutions are stored as those of convolutions.
fn of_transposed() -> Forms {
    forms([
        ("down", Form::Transposed([3, 5, 1])),
        ("first", Form::Transposed([5, 3, 1])),
        ("square.1.linear", Form::Transposed([3, 3, 1])),
    ])
}

fn of_banks() -> Forms {
    let stages = [
        ("s", "conv", 4, 2),
        ("own", "conv", 3, 2),
        ("body", "up", 3, 3),
        ("body", "down", 3, 3),
    ];
    let all = stages.into_iter().flat_map(|(stage, layer, visits, kernels)| {
        (0..visits).map(move |visit| (format!("{stage}.{visit}.{layer}.weight"), Form::Bank(kernels, None)))
    });
    let heads = (0..2).flat_map(|visit| {
        [("linear", None), ("linear_2", Some([4, 5, 1]))]
            .map(|(layer, sizes)| (format!("heads.{visit}.{layer}.weight"), Form::Bank(2, sizes)))
    });
    all.chain(heads).collect()
}

fn of_widths() -> Forms {
    forms([
        ("a", Form::Slice([3, 4, 9], 6)),
        ("b", Form::Slice([6, 3, 9], 6)),
        ("d", Form::Slice([2, 6, 9], 6)),
        ("shallow", Form::Slice([2, 1, 9], 1)),
        ("narrow", Form::Slice([3, 6, 1], 6)),
        ("back", Form::Slice([3, 4, 1], 6)),
        ("across", Form::TransposedSlice([4, 3, 1], 6)),
    ])
}

type Transposed = transposed_shared::Model<f64, Cpu>;
type Banks = banks_shared::Model<f64, Cpu>;
type Widths = widths_shared::Model<f64, Cpu>;

#[test]
fn transposed_kernels_are_transposed() {
    own_parts_act_on::<Transposed, transposed_free::Model<f64, Cpu>>(&of_transposed());
}

#[test]
fn kernels_of_a_bank_are_combined() {
    own_parts_act_on::<Banks, banks_free::Model<f64, Cpu>>(&of_banks());
}

#[test]
fn slices_are_first_rows_and_columns() {
    own_parts_act_on::<Widths, widths_free::Model<f64, Cpu>>(&of_widths());
}

#[test]
fn gradients_are_those_of_differences() {
    finite_differences_agree::<Transposed>();
    finite_differences_agree::<Banks>();
    finite_differences_agree::<Widths>();
}

/// By formula: what is stored, what visits have of their own, biases and norms, the rest.
#[test]
fn what_is_stored_is_counted() {
    let low_rank = |rank: u64, rows: u64, columns: u64| rank * (rows + columns);
    let transposed = [
        4 * 3 * 16 + 6 * 2 * 9 + 4 + 4,
        // Two visits of 5 x 3 with biases, factors and additions of rank 2.
        5 * 3 + (5 + 3) + (5 + 3) + 2 * low_rank(2, 5, 3),
        5 * 3 + 5 + 3,
        3 * 3 + 3 * 3,
    ];
    assert_eq!(transposed_shared::PARAMETERS, transposed.iter().sum::<u64>());
    let banks = [
        2 * 4 * 4 * 9 + 4 * (2 + 8),
        2 * 4 * 2 * 9 + 3 * (2 + 4 + 4 + low_rank(1, 4, 18)),
        3 * 6 * 4 + 3 * 4 * 6 + 3 * (3 + 6 + 3 + 4 + 8),
        2 * 5 * 4 + 4 * 2,
    ];
    assert_eq!(banks_shared::PARAMETERS, banks.iter().sum::<u64>());
    let widths = [
        // The largest of a to d is 6 x 6, of the depthwise ones 6; e has its own.
        6 * 6 * 9 + 6,
        6 * 9 + 6 + 2 + 2,
        6 * 2 * 9,
        6 * 6 + (6 + 3 + 4 + 3) + low_rank(2, 6, 6) + low_rank(2, 3, 6) + low_rank(2, 4, 3) + low_rank(2, 3, 4),
    ];
    assert_eq!(widths_shared::PARAMETERS, widths.iter().sum::<u64>());
    assert_eq!(
        Transposed::seeded(1).num_trainable_params() as u64,
        transposed_shared::PARAMETERS
    );
    assert_eq!(Banks::seeded(1).num_trainable_params() as u64, banks_shared::PARAMETERS);
    assert_eq!(
        Widths::seeded(1).num_trainable_params() as u64,
        widths_shared::PARAMETERS
    );
    // A combination costs a product for each element of the bank, at each visit.
    let combinations = 4 * 2 * 144 + 3 * 2 * 72 + 6 * 3 * 24 + 4 * 2 * 20;
    let additions = 3 * 4 * 18;
    assert_eq!(
        banks_shared::MULTIPLY_ADDS,
        banks_free::MULTIPLY_ADDS + combinations + additions
    );
    assert_eq!(
        transposed_shared::MULTIPLY_ADDS,
        transposed_free::MULTIPLY_ADDS + 2 * 2 * 5 * 3
    );
}

/// Of many coefficients of `k` kernels the mean square is `1 / k`.
#[test]
fn combinations_start_with_the_variance_of_a_kernel() {
    let squares: Vec<f64> = (0..300)
        .flat_map(|seed| {
            let values = values(&Banks::seeded(seed));
            let own = values
                .into_iter()
                .filter(|(key, _)| key.starts_with("body") && key.ends_with(".coefficients"));
            own.flat_map(|(_, values)| values)
                .map(|value| value * value)
                .collect::<Vec<_>>()
        })
        .collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    assert_eq!(squares.len(), 300 * 18);
    // The standard deviation of the mean is sqrt(2 / 5400) / 3 = 0.0064.
    assert!((mean - 1.0 / 3.0).abs() < 0.03, "{mean}");
}

/// A clone is a model of its own; a step of plain gradient descent moves what is stored by the sum over visits, which
/// the tests above check; files hold everything once.
fn goes_through_tools<N: Net + Generated>()
where
    Cpu: Backend<f64>,
    Sgd<N, f64, Cpu>: Optimizer<N, Cpu, f64>,
{
    let mut model = perturbed::<N>();
    let before = values(&model);
    let mut clone = model.clone();
    let images = images::<N>();
    let trained = model.train(&images);
    let gradients = tensors::gradients(&model, &trained.gradients);
    let config = SgdConfig {
        lr: 0.1,
        momentum: None,
        weight_decay: None,
    };
    Sgd::new(&model, config).update(&mut model, &trained.gradients).unwrap();
    for (key, after) in values(&model).iter().filter(|(key, _)| gradients.contains_key(*key)) {
        let pairs = before[key].iter().zip(&gradients[key]);
        let expected: Vec<f64> = pairs.map(|(value, gradient)| value - 0.1 * gradient).collect();
        assert_all_close(key, after, &expected, 1e-12);
        assert_ne!(*after, before[key], "{key} did not move");
    }
    assert_eq!(values(&clone), before);
    let again = clone.train(&images);
    assert_eq!(again.loss, trained.loss);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    checkpoint::save(&model, &path).unwrap();
    let mut loaded = N::seeded(9);
    checkpoint::load(&mut loaded, &path).unwrap();
    let (loaded_values, saved): (Values<f64>, Values<f64>) = (values(&loaded), values(&model));
    assert_eq!(loaded_values, saved);
    assert_eq!(loaded.infer(&images), model.infer(&images));
}

#[test]
fn forms_go_through_tools() {
    goes_through_tools::<Transposed>();
    goes_through_tools::<Banks>();
    goes_through_tools::<Widths>();
}

/// A file with a kernel for each layer does not stand for one of which the layers make theirs, not even if all of them
/// are equal.
#[test]
fn copies_do_not_stand_for_transposes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("free");
    let mut free = transposed_free::Model::<f64, Cpu>::seeded(1);
    tensors::change(&mut free, |key, values: &mut [f64]| {
        if key.starts_with("square") && key.ends_with("weight") {
            values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        }
    });
    checkpoint::save(&free, &path).unwrap();
    let error = checkpoint::load(&mut Transposed::seeded(2), &path)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`shared.square_linear.weight` is missing"), "{error}");
}

/// Prepared models keep what visits make, and compute the same bits.
#[test]
fn prepared_forms_compute_the_same() {
    macro_rules! check {
        ($net:ident $shape:ty) => {
            let device = Cpu::seed_from_u64(1);
            let model = device.build_module::<$net::Builder, f32>();
            let x: Tensor<$shape, f32, _> = device.sample_normal();
            let prepared = Prepared::new(&model);
            let want = model.forward(x.clone()).as_vec();
            for call in 0..2 {
                assert_eq!(prepared.forward(&device, x.clone()).as_vec(), want, "call {call}");
            }
        };
    }
    check!(transposed_shared Rank4<3, 3, 6, 6>);
    check!(banks_shared Rank4<3, 4, 6, 6>);
    check!(widths_shared Rank4<3, 4, 6, 6>);
}
