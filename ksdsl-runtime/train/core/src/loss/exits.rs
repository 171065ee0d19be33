//! The loss of a language model whose tokens can leave a loop after any visit.

use super::{IGNORED, Positions, counted, of_positions};

/// The first stage's objective of Ouro (Zhu et al. 2025, equation 4): the mean over positions of the cross-entropy that is
/// expected over the visits after which a token leaves, less `entropy` times the entropy of the visit.
///
/// `exits` has for each position and visit the logit g of the gate and then the logits of the tokens: positions x visits x
/// (1 + vocabulary). With the gates' probabilities l = sigmoid(g), a token leaves after visit t with the probability
/// p(t) = l(t) (1 - l(1)) ... (1 - l(t - 1)), and after the last visit with what is left: the last gate does not count. The
/// gradient is laid out as `exits`. Targets that are [`IGNORED`] do not count. `each` is that of
/// [`token_cross_entropy`](super::token_cross_entropy).
///
/// # Panics
/// If a target is not below `vocabulary`, or the values are no whole number of visits for each target.
pub fn exit_cross_entropy(
    exits: &[f32],
    targets: &[u32],
    vocabulary: usize,
    entropy: f64,
    each: impl FnOnce(&mut [Positions<'_>]),
) -> (f32, Vec<f32>) {
    let values = 1 + vocabulary;
    let visits = exits.len() / (targets.len() * values).max(1);
    assert_eq!(exits.len(), targets.len() * visits * values, "visits for each target");
    let (gates, logits): (Vec<f64>, Vec<&[f32]>) = exits
        .chunks_exact(values)
        .map(|visit| (f64::from(visit[0]), &visit[1..]))
        .unzip();
    let repeated: Vec<u32> = targets.iter().flat_map(|&target| vec![target; visits]).collect();
    let share = 1.0 / counted(targets) as f64;
    let (losses, slopes) = of_positions(&logits.concat(), &repeated, (vocabulary, share as f32), each);
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(exits.len()));
    let positions = gates.chunks_exact(visits).zip(losses.chunks_exact(visits));
    for (((gates, losses), slopes), &target) in positions.zip(slopes.chunks_exact(visits * vocabulary)).zip(targets) {
        if target == IGNORED {
            gradient.extend(vec![0.0; visits * values]);
            continue;
        }
        let exit = Exit::of(gates);
        // The slope with respect to each probability, but for a constant: the probabilities sum to 1.
        let of_visit = losses
            .iter()
            .zip(&exit.logarithms)
            .map(|(loss, ln)| loss + entropy * ln);
        let of_visit: Vec<f64> = of_visit.collect();
        loss += exit
            .probabilities
            .iter()
            .zip(&of_visit)
            .map(|(p, v)| p * v)
            .sum::<f64>();
        let of_gates = exit.slopes(gates, &of_visit);
        for ((of_gate, p), slopes) in of_gates.zip(&exit.probabilities).zip(slopes.chunks_exact(vocabulary)) {
            gradient.push((share * of_gate) as f32);
            gradient.extend(slopes.iter().map(|slope| slope * *p as f32));
        }
    }
    ((loss * share) as f32, gradient)
}

/// With which probability a token leaves after each visit.
struct Exit {
    probabilities: Vec<f64>,
    logarithms: Vec<f64>,
}

impl Exit {
    fn of(gates: &[f64]) -> Self {
        let mut stays = 0.0;
        let logarithms = gates.iter().enumerate().map(|(visit, gate)| {
            let leaves = if visit + 1 < gates.len() {
                ln_sigmoid(*gate)
            } else {
                0.0
            };
            let logarithm = stays + leaves;
            stays += ln_sigmoid(-gate);
            logarithm
        });
        let logarithms: Vec<f64> = logarithms.collect();
        Self {
            probabilities: logarithms.iter().map(|ln| ln.exp()).collect(),
            logarithms,
        }
    }

    /// The slopes with respect to the gates, of those with respect to the probabilities. For a gate of probability l, p(t) of its
    /// visit has the slope (1 - l) p(t), and p(t) of each later one -l p(t).
    fn slopes<'s>(&'s self, gates: &'s [f64], of_visit: &'s [f64]) -> impl Iterator<Item = f64> + 's {
        let terms: Vec<f64> = self.probabilities.iter().zip(of_visit).map(|(p, v)| p * v).collect();
        gates.iter().enumerate().map(move |(visit, gate)| {
            if visit + 1 == gates.len() {
                return 0.0;
            }
            let [leaves, stays] = [*gate, -gate].map(|x| ln_sigmoid(x).exp());
            stays * terms[visit] - leaves * terms[visit + 1..].iter().sum::<f64>()
        })
    }
}

pub(super) fn ln_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::{IGNORED, exit_cross_entropy};
    use crate::loss::{Positions, token_cross_entropy};

    fn in_order(parts: &mut [Positions<'_>]) {
        parts.iter_mut().for_each(Positions::compute);
    }

    /// ```python
    /// import torch
    /// import torch.nn.functional as F
    /// def objective(exits, targets, entropy):
    ///     gates, logits = exits[..., 0], exits[..., 1:]
    ///     leave = gates.sigmoid()
    ///     stay = torch.cumprod(1 - leave, -1)
    ///     before = torch.cat([torch.ones_like(stay[..., :1]), stay[..., :-1]], -1)
    ///     p = torch.cat([leave[..., :-1] * before[..., :-1], before[..., -1:]], -1)
    ///     visits = range(exits.shape[1])
    ///     each = torch.stack([F.cross_entropy(logits[:, t], targets, reduction="none") for t in visits], 1)
    ///     return ((p * each).sum(-1) + entropy * (p * p.log()).sum(-1)).mean()
    /// x = 2 * torch.sin(1.3 * torch.arange(24, dtype=torch.float64) + 0.4)
    /// x = x.reshape(2, 3, 4).requires_grad_()
    /// loss = objective(x, torch.tensor([2, 0]), 0.1)
    /// loss.backward(); print(loss.item(), x.grad.flatten().tolist())
    /// print(objective(x, torch.tensor([2, 0]), 0).item())
    /// ```
    #[test]
    fn agrees_with_pytorch() {
        let exits: Vec<f32> = (0..24)
            .map(|i| (2.0 * (1.3 * f64::from(i) + 0.4).sin()) as f32)
            .collect();
        let (loss, gradient) = exit_cross_entropy(&exits, &[2, 0], 3, 0.1, in_order);
        let expected = [
            0.33252255,
            0.28452675,
            0.05192174,
            -0.3364485,
            0.04735182,
            0.01040274,
            0.02146988,
            -0.03187262,
            0.0,
            0.0048755,
            0.0526818,
            -0.0575573,
            0.31505864,
            -0.17615168,
            0.01711414,
            0.15903754,
            0.0680072,
            -0.19107685,
            0.0253376,
            0.16573924,
            0.0,
            -0.00789532,
            0.00485747,
            0.00303785,
        ];
        assert!((loss - 2.499528).abs() < 1e-6, "{loss}");
        assert_eq!(gradient.len(), expected.len());
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-7, "{gradient:?}");
        }
        let (plain, _) = exit_cross_entropy(&exits, &[2, 0], 3, 0.0, in_order);
        assert!((plain - 2.587389).abs() < 1e-6, "{plain}");
    }

    #[test]
    fn ignored_targets_do_not_count() {
        let exits: Vec<f32> = (0..24).map(|i| (f64::from(i) * 0.9).sin() as f32).collect();
        let (loss, gradient) = exit_cross_entropy(&exits, &[IGNORED, 1], 3, 0.1, in_order);
        let (expected, slopes) = exit_cross_entropy(&exits[12..], &[1], 3, 0.1, in_order);
        assert_eq!(loss, expected);
        assert_eq!(gradient, [&[0.0; 12], slopes.as_slice()].concat());
    }

    /// With one visit it is the cross-entropy of its logits. Gates far beyond what an exponential can hold choose a visit.
    #[test]
    fn certain_gates_choose_a_visit() {
        let logits: Vec<f32> = (0..12).map(|i| (f64::from(i) * 0.7).sin() as f32).collect();
        let visit = |gate: f32, from: usize| [&[gate], &logits[from..from + 3]].concat();
        let of = |from: usize| token_cross_entropy(&logits[from..from + 3], &[1], 3, in_order);
        let (alone, gradient) = exit_cross_entropy(&visit(0.3, 0), &[1], 3, 0.1, in_order);
        assert_eq!((alone, &gradient[1..]), (of(0).0, of(0).1.as_slice()));
        for (gates, chosen) in [([1e4, 0.0, 0.0], 0), ([-1e4, 1e4, 0.0], 1), ([-1e4, -1e4, 5.0], 2)] {
            let exits: Vec<f32> = (0..3).flat_map(|at| visit(gates[at], 3 * at)).collect();
            let (loss, gradient) = exit_cross_entropy(&exits, &[1], 3, 0.1, in_order);
            assert!((loss - of(3 * chosen).0).abs() < 1e-6, "{gates:?}: {loss}");
            let expected = (0..3).flat_map(|at| match at == chosen {
                true => [vec![0.0], of(3 * at).1].concat(),
                false => vec![0.0; 4],
            });
            for (found, expected) in gradient.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{gates:?}: {gradient:?}");
            }
        }
    }
}
