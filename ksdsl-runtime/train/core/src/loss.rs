//! The training loss on host memory.

mod exits;
mod improvement;

pub use exits::exit_cross_entropy;
pub use improvement::exit_improvement;

/// The mean over the images of `-sum(target * log(softmax(logits)))`, as PyTorch's `cross_entropy` with probabilities as
/// targets, and its gradient with respect to the logits: images x classes, row-major.
///
/// Each operation rounds as dfdx's `cross_entropy_with_logits_loss` and its backward pass on the CPU do, in their order, so
/// that a network that runs without generated code trains to the same bits.
pub fn cross_entropy(logits: &[f32], targets: &[f32], classes: usize) -> (f32, Vec<f32>) {
    let rows = logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
    // The mean is over all values, and then divided by the share of an image.
    let per_value = (1.0 / logits.len() as f64) as f32;
    let per_image = (1.0 / classes as f64) as f32;
    let share = per_value * -(1.0 / per_image);
    let (mut sum, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    for (logits, targets) in rows {
        let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
        let shifted: Vec<f32> = logits.iter().map(|x| x - largest).collect();
        let powers: Vec<f32> = shifted.iter().map(|x| x.exp()).collect();
        let total = powers.iter().fold(0.0, |total, power| total + power);
        let logarithm = total.ln();
        let terms = shifted.iter().zip(targets);
        sum = terms.fold(sum, |sum, (x, target)| sum + (x - logarithm) * target);
        // Adding to 0 makes 0 of -0.
        let own: Vec<f32> = targets.iter().map(|target| 0.0 + target * share).collect();
        let through = own.iter().fold(0.0, |through, x| through - x) * total.recip();
        gradient.extend(own.iter().zip(&powers).map(|(own, power)| own + power * through));
    }
    (-(sum * per_value) / per_image, gradient)
}

/// A target that does not count, as PyTorch's `ignore_index`.
pub const IGNORED: u32 = u32::MAX;

/// How many targets count.
pub fn counted(targets: &[u32]) -> usize {
    targets.iter().filter(|target| **target != IGNORED).count()
}

/// Values of a part of the positions, so that a part is more work than handing it to a thread.
const PART_VALUES: usize = 1 << 14;

/// Consecutive positions of [`token_cross_entropy`], whose losses and gradients depend on no other position.
#[derive(Debug)]
pub struct Positions<'a> {
    logits: &'a [f32],
    targets: &'a [u32],
    gradient: &'a mut [f32],
    losses: &'a mut [f64],
    share: f32,
}

impl Positions<'_> {
    /// Computes their losses and gradients.
    pub fn compute(&mut self) {
        let vocabulary = self.logits.len() / self.targets.len();
        let rows = self.logits.chunks_exact(vocabulary).zip(self.targets);
        let results = self.gradient.chunks_exact_mut(vocabulary).zip(&mut *self.losses);
        for ((logits, &target), (gradient, loss)) in rows.zip(results) {
            // Both are zeros.
            if target == IGNORED {
                continue;
            }
            let target = target as usize;
            let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
            let powers = gradient.iter_mut().zip(logits);
            powers.for_each(|(power, x)| *power = (x - largest).exp());
            let total: f32 = gradient.iter().sum();
            *loss = f64::from(total.ln() - (logits[target] - largest));
            let scale = self.share / total;
            gradient.iter_mut().for_each(|power| *power *= scale);
            gradient[target] -= self.share;
        }
    }
}

/// The mean over positions of `-log(softmax(logits)[target])`, as PyTorch's `cross_entropy` with class indices as targets, and
/// its gradient with respect to the logits: positions x vocabulary, row-major. Targets that are [`IGNORED`] do not count.
///
/// `each` must compute each part once; the order, and on which threads, does not matter to the result.
///
/// # Panics
/// If a target is not below `vocabulary`, or there are not `vocabulary` logits for each target.
pub fn token_cross_entropy(
    logits: &[f32],
    targets: &[u32],
    vocabulary: usize,
    each: impl FnOnce(&mut [Positions<'_>]),
) -> (f32, Vec<f32>) {
    assert_eq!(logits.len(), targets.len() * vocabulary, "logits for each target");
    let count = counted(targets) as f64;
    let share = (1.0 / count) as f32;
    let (losses, gradient) = of_positions(logits, targets, (vocabulary, share), each);
    // Thousands of positions: their sum is more exact than they are.
    ((losses.iter().sum::<f64>() / count) as f32, gradient)
}

/// The loss of each position, and `share` of its gradient.
fn of_positions(
    logits: &[f32],
    targets: &[u32],
    (vocabulary, share): (usize, f32),
    each: impl FnOnce(&mut [Positions<'_>]),
) -> (Vec<f64>, Vec<f32>) {
    let (mut gradient, mut losses) = (vec![0.0; logits.len()], vec![0.0; targets.len()]);
    let part = PART_VALUES.div_ceil(vocabulary.max(1));
    let values = (part * vocabulary).max(1);
    let rows = logits.chunks(values).zip(targets.chunks(part));
    let results = gradient.chunks_mut(values).zip(losses.chunks_mut(part));
    let parts = rows
        .zip(results)
        .map(|((logits, targets), (gradient, losses))| Positions {
            logits,
            targets,
            gradient,
            losses,
            share,
        });
    each(&mut parts.collect::<Vec<_>>());
    (losses, gradient)
}

/// The mean of `-log(sigmoid(logit))` where the target is true, of `-log(1 - sigmoid(logit))` where it is false, as PyTorch's
/// `binary_cross_entropy_with_logits`, and its gradient with respect to the logits.
///
/// # Panics
/// If there is not a target for each logit.
pub fn binary_cross_entropy(logits: &[f32], targets: &[bool]) -> (f32, Vec<f32>) {
    assert_eq!(logits.len(), targets.len(), "targets for each logit");
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    let share = 1.0 / logits.len() as f64;
    for (&logit, &target) in logits.iter().zip(targets) {
        let (x, target) = (f64::from(logit), f64::from(u8::from(target)));
        loss += x.max(0.0) - x * target + (-x.abs()).exp().ln_1p();
        gradient.push((share * (1.0 / (1.0 + (-x).exp()) - target)) as f32);
    }
    ((loss * share) as f32, gradient)
}

#[cfg(test)]
mod tests {
    use super::{IGNORED, PART_VALUES, Positions, binary_cross_entropy, cross_entropy, token_cross_entropy};

    fn in_order(parts: &mut [Positions<'_>]) {
        parts.iter_mut().for_each(Positions::compute);
    }

    /// The mean of those that count, as with PyTorch's `ignore_index`.
    #[test]
    fn ignored_targets_do_not_count() {
        let logits = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0, 90.0, -90.0, 0.0];
        let (loss, gradient) = token_cross_entropy(&logits, &[2, IGNORED, 1], 3, in_order);
        let counted = [&logits[..3], &logits[6..]].concat();
        let (expected, slopes) = token_cross_entropy(&counted, &[2, 1], 3, in_order);
        assert_eq!(loss, expected);
        assert_eq!(gradient, [&slopes[..3], &[0.0; 3], &slopes[3..]].concat());
    }

    /// ```python
    /// import torch
    /// x = torch.tensor([[1., -2., 0.5], [0.25, 3., -1.], [90., -90., 0.]], requires_grad=True)
    /// loss = torch.nn.functional.cross_entropy(x, torch.tensor([2, 0, 1]))
    /// loss.backward(); print(loss.item(), x.grad.flatten().tolist())
    /// ```
    #[test]
    fn agrees_with_pytorch_on_tokens() {
        let logits = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0, 90.0, -90.0, 0.0];
        let (loss, gradient) = token_cross_entropy(&logits, &[2, 0, 1], 3, in_order);
        let expected = [
            0.20124964,
            0.01001963,
            -0.21126926,
            -0.31364343,
            0.30800214,
            0.00564126,
            0.33333334,
            -0.33333334,
            0.00000000,
        ];
        assert!((loss - 61.277878).abs() < 1e-5, "{loss}");
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-7, "{gradient:?}");
        }
    }

    /// ```python
    /// import torch
    /// x = torch.tensor([0.5, -3., 100., -100.], requires_grad=True)
    /// loss = torch.nn.functional.binary_cross_entropy_with_logits(x, torch.tensor([1., 1., 1., 1.]))
    /// loss.backward(); print(loss.item(), x.grad.tolist()); x.grad = None
    /// loss = torch.nn.functional.binary_cross_entropy_with_logits(x, torch.tensor([1., 0., 0., 0.]))
    /// loss.backward(); print(loss.item(), x.grad.tolist())
    /// ```
    #[test]
    fn agrees_with_pytorch_on_yes_and_no() {
        let logits = [0.5, -3.0, 100.0, -100.0];
        let cases = [
            ([true; 4], 25.880667, [-0.09438516, -0.23814353, 0.0, -0.25]),
            (
                [true, false, false, false],
                25.130667,
                [-0.09438516, 0.01185647, 0.25, 0.0],
            ),
        ];
        for (targets, loss, gradient) in cases {
            let (found, gradients) = binary_cross_entropy(&logits, &targets);
            assert!((found - loss).abs() < 1e-5, "{found}");
            for (found, expected) in gradients.iter().zip(gradient) {
                assert!((found - expected).abs() < 1e-7, "{gradients:?}");
            }
        }
    }

    /// Parts in the opposite order, and each position by itself: a mean of one position is its loss, and its gradient is
    /// the whole's but for the share.
    #[test]
    fn parts_do_not_depend_on_each_other() {
        let (vocabulary, count) = (1_000, 3 * PART_VALUES / 1_000 + 5);
        let logits: Vec<f32> = (0..count * vocabulary).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
        let targets: Vec<u32> = (0..count as u32).map(|i| i * 37 % 1_000).collect();
        let mut parts = 0;
        let (loss, gradient) = token_cross_entropy(&logits, &targets, vocabulary, |all| {
            parts = all.len();
            all.iter_mut().rev().for_each(Positions::compute);
        });
        assert_eq!(parts, 4);
        let (forwards, same) = token_cross_entropy(&logits, &targets, vocabulary, in_order);
        assert_eq!((loss.to_bits(), &gradient), (forwards.to_bits(), &same));
        let mut sum = 0.0;
        for (row, target) in targets.iter().enumerate() {
            let range = row * vocabulary..(row + 1) * vocabulary;
            let (one, alone) = token_cross_entropy(&logits[range.clone()], &[*target], vocabulary, in_order);
            sum += f64::from(one);
            for (x, y) in gradient[range].iter().zip(alone) {
                assert!((x * count as f32 - y).abs() < 1e-6, "position {row}: {x}, {y}");
            }
        }
        assert!((f64::from(loss) - sum / count as f64).abs() < 1e-6, "{loss}");
    }

    /// ```python
    /// import torch
    /// x = torch.tensor([[1., -2., 0.5], [0.25, 3., -1.]], requires_grad=True)
    /// loss = torch.nn.functional.cross_entropy(x, torch.tensor([[1., 0., 0.], [0.2, 0.3, 0.5]]))
    /// loss.backward(); print(loss, x.grad)
    /// ```
    #[test]
    fn agrees_with_pytorch() {
        let logits = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0];
        let (loss, gradient) = cross_entropy(&logits, &[1.0, 0.0, 0.0, 0.2, 0.3, 0.5], 3);
        let expected = [-0.1981255, 0.0150294, 0.1830961, -0.0704651, 0.3120032, -0.2415381];
        assert!((loss - 1.5668166).abs() < 1e-6, "{loss}");
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
    }
}
