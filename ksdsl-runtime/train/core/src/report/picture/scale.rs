//! Positions and labels of axis ticks.

/// Larger values, and on logarithmic axes values below its reciprocal, are not drawn, so that arithmetic stays finite.
const LARGEST: f64 = 1e100;
/// The maximum number of powers of ten with a tick on a logarithmic axis.
const POWERS: usize = 8;

/// Whether a number can be drawn.
pub(super) fn is_drawn(value: f64, logarithmic: bool) -> bool {
    match logarithmic {
        true => (1.0 / LARGEST..=LARGEST).contains(&value),
        false => value.abs() <= LARGEST,
    }
}

/// About `about` ticks at round numbers in a range.
pub(super) fn marks(low: f64, high: f64, about: usize) -> Vec<f64> {
    let step = round_step((high - low) / about.max(1) as f64);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    // Bounds the number of ticks for any input.
    (first..=last.min(first.saturating_add(1000)))
        .map(|i| i as f64 * step)
        .collect()
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Ticks of a logarithmic axis: powers of ten, with numbers between them if needed for at least four ticks.
pub(super) fn log_marks(low: f64, high: f64) -> Vec<f64> {
    let between: [&[f64]; 4] = [
        &[1.0],
        &[1.0, 3.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    ];
    let marks = |factors: &[f64]| -> Vec<f64> {
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let every = powers.clone().count().div_ceil(POWERS);
        let all = powers
            .step_by(every)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
        let within = low * (1.0 - 1e-9)..=high * (1.0 + 1e-9);
        all.filter(|mark| within.contains(mark)).collect()
    };
    let candidates = between.map(marks);
    let enough = candidates.iter().find(|marks| marks.len() >= 4);
    let marks = enough.unwrap_or(&candidates[3]).clone();
    if marks.len() >= 2 {
        marks
    } else {
        self::marks(low, high, 4)
    }
}

/// A number with as many digits as the distance to the next tick requires.
pub(super) fn label(value: f64, step: f64) -> String {
    let size = value.abs().max(step.abs());
    if value == 0.0 || (1e-4..1e6).contains(&size) {
        let digits = (-step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
        // A step of 2.5 needs one digit more than its power of ten.
        let exact = |digits: usize| format!("{value:.digits$}").parse::<f64>().unwrap_or(value);
        let more = usize::from((exact(digits) - value).abs() > 1e-9 * size.max(1e-12));
        return format!("{value:.0$}", digits + more);
    }
    format!("{value:.0e}")
}

/// As [`label`], but independent of other ticks: 0.02, 1, 300.
pub(super) fn own_label(value: f64) -> String {
    let digits = 10f64.powf(value.abs().log10().floor());
    label(value, digits)
}

/// A count in short form: 900, 84.4k, 1.32M.
pub(crate) fn count(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 999_500.0 => (value / 1e6, "M"),
        value if value >= 1_000.0 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = if unit.is_empty() || scaled >= 100.0 {
        0
    } else if scaled >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

/// The minimum and maximum of the values that can be drawn.
pub(super) fn extent(values: impl IntoIterator<Item = f64>, logarithmic: bool) -> Option<(f64, f64)> {
    let drawn = values.into_iter().filter(|&value| is_drawn(value, logarithmic));
    drawn
        .map(|value| (value, value))
        .reduce(|(low, high), (a, b)| (low.min(a), high.max(b)))
}
