//! The training loss on host memory.

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

/// The mean over positions of `-log(softmax(logits)[target])`, as PyTorch's `cross_entropy` with class indices as targets, and
/// its gradient with respect to the logits: positions x vocabulary, row-major.
///
/// # Panics
/// If a target is not below `vocabulary`.
pub fn next_token(logits: &[f32], targets: &[u32], vocabulary: usize) -> (f32, Vec<f32>) {
    let rows = logits.chunks_exact(vocabulary).zip(targets);
    let share = (1.0 / targets.len() as f64) as f32;
    let (mut sum, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    for (logits, &target) in rows {
        let (start, target) = (gradient.len(), target as usize);
        let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
        gradient.extend(logits.iter().map(|x| (x - largest).exp()));
        let powers: &mut [f32] = &mut gradient[start..];
        let total: f32 = powers.iter().sum();
        // Thousands of positions: their sum is more exact than they are.
        sum += f64::from(total.ln() - (logits[target] - largest));
        let scale = share / total;
        powers.iter_mut().for_each(|power| *power *= scale);
        powers[target] -= share;
    }
    ((sum / targets.len() as f64) as f32, gradient)
}

#[cfg(test)]
mod tests {
    use super::{cross_entropy, next_token};

    /// ```python
    /// import torch
    /// x = torch.tensor([[1., -2., 0.5], [0.25, 3., -1.], [90., -90., 0.]], requires_grad=True)
    /// loss = torch.nn.functional.cross_entropy(x, torch.tensor([2, 0, 1]))
    /// loss.backward(); print(loss.item(), x.grad.flatten().tolist())
    /// ```
    #[test]
    fn agrees_with_pytorch_on_tokens() {
        let logits = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0, 90.0, -90.0, 0.0];
        let (loss, gradient) = next_token(&logits, &[2, 0, 1], 3);
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
