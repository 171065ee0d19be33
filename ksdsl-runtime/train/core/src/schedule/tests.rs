use super::{OneCycle, Place, Schedule, WarmUp};

/// The factors of all steps of a run.
fn factors(schedule: &Schedule, warm_up: Option<WarmUp>, steps: u64, per_epoch: u64) -> Vec<f64> {
    let place = |step| Place { step, per_epoch, steps };
    (0..steps).map(|step| schedule.factor(place(step), warm_up)).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() < 1e-12,
            "step {step}: {found} is not {expected}"
        );
    }
}

// All expected numbers are PyTorch's (2.15):
//
// from torch.optim.lr_scheduler import *
// def rates(make, steps):
//     p = torch.nn.Parameter(torch.zeros(1)); o = torch.optim.SGD([p], lr=1.0)
//     s = make(o); out = []
//     for _ in range(steps):
//         out.append(o.param_groups[0]["lr"]); o.step(); s.step()
//     return out

/// rates(lambda o: MultiStepLR(o, [3, 6], 0.1), 8)
#[test]
fn multi_step_as_in_pytorch() {
    let schedule = Schedule::MultiStep {
        epochs: vec![3, 6],
        factor: 0.1,
    };
    let expected = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.010000000000000002, 0.010000000000000002];
    assert_close(&factors(&schedule, None, 8, 1), &expected);
    // With two steps per epoch each rate lasts twice as long.
    let twice: Vec<f64> = expected.iter().flat_map(|rate| [*rate; 2]).collect();
    assert_close(&factors(&schedule, None, 16, 2), &twice);
}

/// rates(lambda o: CosineAnnealingLR(o, 8, eta_min=0.1), 8)
#[test]
fn cosine_as_in_pytorch() {
    let expected = [
        1.0,
        0.9657457896300791,
        0.8681980515339464,
        0.7222075445642905,
        0.55,
        0.3777924554357097,
        0.2318019484660537,
        0.134254210369921,
    ];
    assert_close(&factors(&Schedule::Cosine { last: 0.1 }, None, 8, 4), &expected);
}

/// rates(lambda o: OneCycleLR(o, max_lr=1.0, total_steps=11, cycle_momentum=False), 11)
#[test]
fn one_cycle_as_in_pytorch() {
    let expected = [
        0.040000000000000036,
        0.4223411137347358,
        0.9602614247226174,
        0.9797465678213015,
        0.8844757247686303,
        0.7260870492975283,
        0.5305827080875998,
        0.3300580289872949,
        0.15743251279950787,
        0.041045543206290856,
        4e-06,
    ];
    assert_close(
        &factors(&Schedule::OneCycle(OneCycle::default()), None, 11, 11),
        &expected,
    );
}

/// rates(lambda o: OneCycleLR(o, max_lr=1.0, total_steps=8, pct_start=0.5, div_factor=10, final_div_factor=100,
///                            cycle_momentum=False), 8)
#[test]
fn one_cycle_of_another_form_as_in_pytorch() {
    let cycle = OneCycle {
        rise: 0.5,
        first: 0.1,
        last: 0.001,
    };
    let expected = [
        0.09999999999999998,
        0.32499999999999996,
        0.7749999999999999,
        1.0,
        0.8536998372026805,
        0.5005,
        0.14730016279731956,
        0.001,
    ];
    assert_close(&factors(&Schedule::OneCycle(cycle), None, 8, 1), &expected);
}

/// rates(lambda o: SequentialLR(o, [LinearLR(o, 0.25, 1.0, 4), CosineAnnealingLR(o, 8)], [4]), 12)
#[test]
fn a_warm_up_comes_before_a_cosine() {
    let warm_up = WarmUp {
        epochs: 1.0,
        first: 0.25,
    };
    let expected = [
        0.25,
        0.4375,
        0.625,
        0.8125,
        1.0,
        0.9619397662556434,
        0.8535533905932737,
        0.6913417161825449,
        0.5,
        0.30865828381745514,
        0.14644660940672627,
        0.03806023374435664,
    ];
    assert_close(
        &factors(&Schedule::Cosine { last: 0.0 }, Some(warm_up), 12, 4),
        &expected,
    );
}

/// rates(lambda o: LinearLR(o, 0.1, 1.0, 3), 6), and
/// rates(lambda o: ChainedScheduler([LinearLR(o, 0.25, 1.0, 2), MultiStepLR(o, [4, 6], 0.1)]), 8)
#[test]
fn a_warm_up_does_not_delay_steps() {
    let warm_up = WarmUp {
        epochs: 0.5,
        first: 0.1,
    };
    let constant = [0.1, 0.39999999999999997, 0.7, 1.0, 1.0, 1.0];
    assert_close(&factors(&Schedule::Constant, Some(warm_up), 6, 6), &constant);
    let warm_up = WarmUp {
        epochs: 2.0,
        first: 0.25,
    };
    let schedule = Schedule::MultiStep {
        epochs: vec![4, 6],
        factor: 0.1,
    };
    let stepped = [
        0.25,
        0.625,
        1.0,
        1.0,
        0.1,
        0.1,
        0.010000000000000002,
        0.010000000000000002,
    ];
    assert_close(&factors(&schedule, Some(warm_up), 8, 1), &stepped);
}

/// However short the run and however long the warm-up: no NaN, no negative rate, none above the recipe's.
#[test]
fn short_runs_have_sensible_rates() {
    let schedules = [
        Schedule::Constant,
        Schedule::MultiStep {
            epochs: vec![0, 1, u32::MAX],
            factor: 0.1,
        },
        Schedule::Cosine { last: 0.0 },
        Schedule::OneCycle(OneCycle::default()),
    ];
    let warm_ups = [0.0, 0.4, 1.0, 3.0, 1e300].map(|epochs| WarmUp { epochs, first: 0.0 });
    for schedule in &schedules {
        for warm_up in warm_ups.into_iter().map(Some).chain([None]) {
            for steps in 1..8 {
                for (step, factor) in factors(schedule, warm_up, steps, 2).into_iter().enumerate() {
                    let fits = (0.0..=1.0).contains(&factor);
                    assert!(fits, "{schedule:?}, {warm_up:?}: step {step} of {steps} has {factor}");
                }
            }
        }
    }
}
