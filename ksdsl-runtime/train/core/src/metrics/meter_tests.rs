use super::Meter;
use crate::metrics::macro_mean;

const K: usize = 7;
const N: usize = 40;

/// Logits without ties and labels, by formulas that Python repeats:
///
/// ```python
/// import torch, torchmetrics.functional.classification as tm   # torch 2.15, torchmetrics 1.9
/// from sklearn.metrics import precision_recall_fscore_support  # scikit-learn 1.9
/// K, N = 7, 40
/// label = lambda i: (i * i + i // 3) % (K - 1)
/// logits = torch.tensor([[(7 * i * i + k * (11 + i)) % 101 / 16 + (2.03 if k == label(i) else 0)
///                         for k in range(K)] for i in range(N)], dtype=torch.float64)
/// labels = torch.tensor([label(i) for i in range(N)])
/// ```
fn cases() -> (Vec<f64>, Vec<usize>) {
    let labels: Vec<usize> = (0..N).map(|i| (i * i + i / 3) % (K - 1)).collect();
    let logit = |i: usize, k: usize| {
        let bonus = if k == labels[i] { 2.03 } else { 0.0 };
        ((7 * i * i + k * (11 + i)) % 101) as f64 / 16.0 + bonus
    };
    let logits = (0..N * K).map(|at| logit(at / K, at % K)).collect();
    (logits, labels)
}

fn meter() -> Meter {
    let (logits, labels) = cases();
    let mut meter = Meter::new(K);
    meter.add(&logits, &labels);
    meter
}

#[track_caller]
fn assert_near(found: &[Option<f64>], expected: [Option<f64>; K]) {
    for (class, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            _ => *found == expected,
        };
        assert!(near, "class {class}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn loss_and_accuracies_are_those_of_torch_and_torchmetrics() {
    let evaluation = meter().evaluation();
    // torch.nn.functional.cross_entropy(logits, labels).item()
    assert!((evaluation.loss - 1.607_107_405_007_722_5).abs() < 1e-14);
    // tm.multiclass_accuracy(logits, labels, K, average="micro", top_k=1).item(), and top_k=5
    assert_eq!(
        (evaluation.images, evaluation.top1, evaluation.top5),
        (40, 0.425, Some(0.95))
    );
    // tm.multiclass_confusion_matrix(logits, labels, K).tolist()
    let expected = [
        [4, 1, 1, 1, 0, 1, 1],
        [1, 1, 0, 1, 0, 1, 1],
        [0, 3, 2, 1, 0, 1, 1],
        [0, 0, 0, 2, 2, 0, 0],
        [0, 1, 2, 0, 5, 0, 2],
        [0, 1, 0, 0, 0, 3, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(evaluation.confusion, expected.as_flattened());
}

/// ```python
/// precision_recall_fscore_support(labels, logits.argmax(1), labels=range(K), zero_division=float("nan"))
/// [((logits.argmax(1) == k) == (labels == k)).double().mean().item() for k in range(K)]
/// ```
/// `nan` is `None` here. torchmetrics gives the same, with 0 instead of `nan`.
#[test]
fn scores_of_classes_are_those_of_scikit_learn() {
    let scores = meter().evaluation().scores();
    let images: Vec<u64> = scores.iter().map(|score| score.images).collect();
    assert_eq!(images, [9, 5, 8, 4, 10, 4, 0]);
    let precision = [0.8, 0.14285714285714285, 0.4, 0.4, 0.7142857142857143, 0.5, 0.0].map(Some);
    assert_near(
        &scores.iter().map(|score| score.precision).collect::<Vec<_>>(),
        precision,
    );
    let mut recall = [0.4444444444444444, 0.2, 0.25, 0.5, 0.5, 0.75, f64::NAN].map(Some);
    recall[6] = None;
    assert_near(&scores.iter().map(|score| score.recall).collect::<Vec<_>>(), recall);
    let f1 = [
        0.5714285714285714,
        0.16666666666666666,
        0.3076923076923077,
        0.4444444444444444,
        0.5882352941176471,
        0.6,
        0.0,
    ];
    assert_near(&scores.iter().map(|score| score.f1).collect::<Vec<_>>(), f1.map(Some));
    let accuracy = [0.85, 0.75, 0.775, 0.875, 0.825, 0.9, 0.875].map(Some);
    assert_near(&scores.iter().map(|score| score.accuracy).collect::<Vec<_>>(), accuracy);
    // The mean of the six recalls that there are.
    let balanced = macro_mean(&scores, |score| score.recall).unwrap();
    assert!((balanced - (4.0 / 9.0 + 0.2 + 0.25 + 0.5 + 0.5 + 0.75) / 6.0).abs() < 1e-12);
}

#[test]
fn batches_do_not_matter() {
    let (logits, labels) = cases();
    let mut meter = Meter::new(K);
    for first in (0..N).step_by(7) {
        let end = N.min(first + 7);
        meter.add(&logits[first * K..end * K], &labels[first..end]);
    }
    assert_eq!(meter, self::meter());
}

#[test]
fn of_equal_logits_the_lower_class_comes_first() {
    let mut meter = Meter::new(8);
    meter.add(&[1.0f32; 16], &[4, 5]);
    let evaluation = meter.evaluation();
    // Both are predicted as class 0; the top five are 0 to 4.
    assert_eq!((evaluation.confused(4, 0), evaluation.confused(5, 0)), (1, 1));
    assert_eq!((evaluation.top1, evaluation.top5), (0.0, Some(0.5)));
    assert!((evaluation.loss - 8f64.ln()).abs() < 1e-15);
}

/// A NaN is larger than nothing and smaller than nothing, so the model predicts no class.
#[test]
fn an_image_with_a_nan_is_wrong_and_spoils_the_loss() {
    let mut meter = Meter::new(3);
    meter.add(
        &[f32::NAN, f32::NEG_INFINITY, -1.0, f32::NAN, f32::NAN, f32::NAN],
        &[2, 0],
    );
    let evaluation = meter.evaluation();
    assert_eq!((evaluation.images, evaluation.nan_images), (2, 2));
    assert_eq!((evaluation.top1, evaluation.top5), (0.0, Some(0.0)));
    assert_eq!(evaluation.confusion, [0; 9]);
    assert!(evaluation.loss.is_nan());
    meter.add(&[f32::NEG_INFINITY, f32::INFINITY, 0.0], &[1]);
    assert_eq!(meter.evaluation().top1, 1.0 / 3.0);
}

#[test]
fn large_logits_do_not_overflow() {
    let mut meter = Meter::new(2);
    meter.add(&[1e4f32, 0.0, -1e4, 0.0], &[1, 1]);
    assert_eq!(meter.evaluation().loss, 0.5e4);
}

#[test]
fn of_nothing_the_means_are_nan() {
    let evaluation = Meter::new(2).evaluation();
    assert!(evaluation.loss.is_nan() && evaluation.top1.is_nan() && evaluation.top5.is_some_and(f64::is_nan));
    assert_eq!(evaluation.scores()[0].accuracy, None);
}

#[test]
#[should_panic = "label 3 of 3 classes"]
fn a_label_that_is_no_class_is_refused() {
    Meter::new(3).add(&[0.0f32; 3], &[3]);
}
