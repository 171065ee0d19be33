//! The loss of the gates of a language model whose tokens can leave a loop after any visit.

use super::exits::ln_sigmoid;
use super::{IGNORED, Positions, counted, of_positions};
use crate::recipe::ExitTargets;

/// The second stage's objective of Ouro (Zhu et al. 2025, equations 5 and 6): of each gate but the first the binary
/// cross-entropy of staying, which is right as far as its visit has lowered the loss of the token.
///
/// Of a position let L(t) be the cross-entropy after visit t, of T visits, and l(t) the sigmoid of the gate's logit. With the
/// targets w(t) = sigmoid(slope (max(0, L(t - 1) - L(t)) - threshold)), its loss is the sum over t = 2 ... T of
/// -(w(t) ln(1 - l(t)) + (1 - w(t)) ln l(t)), divided by T; the result is the mean over positions. The targets are constants:
/// the gradients of the logits of the tokens, and of the first gate, are 0. Layout, targets and `each` are those of
/// [`exit_cross_entropy`](super::exit_cross_entropy).
///
/// # Panics
/// If a target is not below `vocabulary`, or the values are no whole number of visits for each target.
pub fn exit_improvement(
    exits: &[f32],
    targets: &[u32],
    vocabulary: usize,
    of: ExitTargets,
    each: impl FnOnce(&mut [Positions<'_>]),
) -> (f32, Vec<f32>) {
    let values = 1 + vocabulary;
    let visits = exits.len() / (targets.len() * values).max(1);
    assert_eq!(exits.len(), targets.len() * visits * values, "visits for each target");
    let logits: Vec<&[f32]> = exits.chunks_exact(values).map(|visit| &visit[1..]).collect();
    let repeated: Vec<u32> = targets.iter().flat_map(|&target| vec![target; visits]).collect();
    let (losses, _) = of_positions(&logits.concat(), &repeated, (vocabulary, 0.0), each);
    let share = 1.0 / (counted(targets) * visits) as f64;
    let (mut sum, mut gradient) = (0.0, vec![0.0; exits.len()]);
    let positions = exits.chunks_exact(visits * values).zip(losses.chunks_exact(visits));
    let positions = positions.zip(gradient.chunks_exact_mut(visits * values)).zip(targets);
    for (((exits, losses), gradient), _) in positions.filter(|(_, target)| **target != IGNORED) {
        for visit in 1..visits {
            let gate = f64::from(exits[visit * values]);
            let improvement = (losses[visit - 1] - losses[visit]).max(0.0);
            let stays = ln_sigmoid(of.slope * (improvement - of.threshold)).exp();
            sum -= stays * ln_sigmoid(-gate) + (1.0 - stays) * ln_sigmoid(gate);
            gradient[visit * values] = (share * (ln_sigmoid(gate).exp() - (1.0 - stays))) as f32;
        }
    }
    ((sum * share) as f32, gradient)
}

#[cfg(test)]
mod tests {
    use super::exit_improvement;
    use crate::loss::{IGNORED, Positions};
    use crate::recipe::ExitTargets;

    const AUTHORS: ExitTargets = ExitTargets {
        slope: 50.0,
        threshold: 0.005,
    };

    fn in_order(parts: &mut [Positions<'_>]) {
        parts.iter_mut().for_each(Positions::compute);
    }

    fn waves(count: u32) -> Vec<f32> {
        let wave = |i: u32| (2.0 * (1.3 * f64::from(i) + 0.4).sin()) as f32;
        (0..count).map(wave).collect()
    }

    /// ```python
    /// import torch
    /// import torch.nn.functional as F
    /// def objective(exits, targets, k=50.0, gamma=0.005):
    ///     gates, logits = exits[..., 0], exits[..., 1:]
    ///     visits = exits.shape[1]
    ///     each = [F.cross_entropy(logits[:, t], targets, reduction="none") for t in range(visits)]
    ///     each = torch.stack(each, 1).detach()
    ///     w = torch.sigmoid(k * ((each[:, :-1] - each[:, 1:]).clamp(min=0) - gamma))
    ///     stays = 1 - gates[:, 1:].sigmoid()
    ///     return F.binary_cross_entropy(stays, w, reduction="none").sum(1).mean() / visits
    /// x = 2 * torch.sin(1.3 * torch.arange(24, dtype=torch.float64) + 0.4)
    /// x = x.reshape(2, 3, 4).requires_grad_()
    /// loss = objective(x, torch.tensor([2, 0]))
    /// loss.backward(); print(loss.item(), x.grad[..., 0].flatten().tolist(), x.grad[..., 1:].abs().max())
    /// print(objective(x, torch.tensor([2, 0]), 0.5, 0.1).item())
    /// ```
    #[test]
    fn agrees_with_pytorch() {
        let exits = waves(24);
        let (loss, gradient) = exit_improvement(&exits, &[2, 0], 3, AUTHORS, in_order);
        let expected = [0.0, 0.0367564, 0.0205441, 0.0, 0.1342837, 0.1451431];
        assert!((loss - 0.6776518).abs() < 1e-6, "{loss}");
        for (visit, expected) in gradient.chunks_exact(4).zip(expected) {
            assert!((visit[0] - expected).abs() < 1e-7, "{gradient:?}");
            assert_eq!(visit[1..], [0.0; 3]);
        }
        let gentle = ExitTargets {
            slope: 0.5,
            threshold: 0.1,
        };
        let (loss, _) = exit_improvement(&exits, &[2, 0], 3, gentle, in_order);
        assert!((loss - 0.6724314).abs() < 1e-6, "{loss}");
    }
    /// The definition in double precision, and its slopes by central differences with the targets held.
    #[test]
    fn agrees_with_its_definition() {
        let (visits, vocabulary, targets) = (4, 3, [2, IGNORED, 0, 1]);
        let values = 1 + vocabulary;
        let exits = waves(4 * 4 * 4);
        let of = ExitTargets {
            slope: 3.0,
            threshold: 0.2,
        };
        let (loss, gradient) = exit_improvement(&exits, &targets, vocabulary, of, in_order);
        let at =
            |x: &[f64], position: usize, visit: usize| x[(position * visits + visit) * values..][..values].to_vec();
        let cross_entropy = |x: &[f64], position: usize, visit: usize| {
            let row = at(x, position, visit);
            row[1..].iter().map(|x| x.exp()).sum::<f64>().ln() - row[1 + targets[position] as usize]
        };
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let held: Vec<f64> = exits.iter().map(|&x| f64::from(x)).collect();
        let objective = |x: &[f64]| {
            let mut sum = 0.0;
            for position in [0, 2, 3] {
                for visit in 1..visits {
                    let [before, after] = [visit - 1, visit].map(|visit| cross_entropy(&held, position, visit));
                    let w = sigmoid(of.slope * ((before - after).max(0.0) - of.threshold));
                    let leaves = sigmoid(at(x, position, visit)[0]);
                    sum -= w * (1.0 - leaves).ln() + (1.0 - w) * leaves.ln();
                }
            }
            sum / 3.0 / visits as f64
        };
        assert!((f64::from(loss) - objective(&held)).abs() < 1e-6, "{loss}");
        let step = 1e-5;
        for (at, found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut x = held.clone();
                x[at] += by;
                objective(&x)
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{at}: {found}, {expected}");
        }
        // One visit leaves nothing to decide; gates far beyond what an exponential can hold stay finite.
        assert_eq!(
            exit_improvement(&exits[..4], &[1], 3, of, in_order),
            (0.0, vec![0.0; 4])
        );
        let mut far = exits[..8].to_vec();
        far[4] = 1e4;
        let (loss, gradient) = exit_improvement(&far, &[1], 3, AUTHORS, in_order);
        assert!(loss.is_finite() && gradient.iter().all(|x| x.is_finite()), "{loss}");
    }
}
