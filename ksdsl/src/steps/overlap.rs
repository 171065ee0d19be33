//! How far outputs may overlap inputs: steps that write position by position need ever less of what they read (Blacker et
//! al. 2020, arXiv 2010.01668, "diagonal memory optimisation").

use super::{ConvSize, Kind, PoolSize};

/// How many values before its input the output of a step must begin, so that it overwrites none that are still read; nothing
/// if the step does not write position by position.
pub(super) fn apart(kind: &Kind) -> Option<usize> {
    let (sizes, outputs) = match kind {
        Kind::Conv { size, .. } => {
            let ConvSize {
                input,
                output,
                stride,
                pad,
                ..
            } = size;
            ((input, [output[0], output[1]], stride, pad), output[2])
        }
        Kind::Pool(size) => {
            let PoolSize {
                input,
                output,
                stride,
                pad,
                ..
            } = size;
            ((input, *output, stride, pad), input[2])
        }
        _ => return None,
    };
    let ([height, width, channels], [rows, columns], stride, pad) = sizes;
    let first = |row: usize, column: usize| {
        let [row, column] = [(row, 0), (column, 1)].map(|(at, axis)| (at * stride[axis]).saturating_sub(pad[axis]));
        (row * width + column) * channels
    };
    // What is written up to this position, less what is read at it or after it.
    let distance = |row: usize, column: usize| {
        let next = if row + 1 < rows {
            first(row + 1, 0)
        } else {
            height * width * channels
        };
        ((row * columns + column + 1) * outputs).saturating_sub(first(row, column).min(next))
    };
    // It is linear but where pads end and the map does, so it is largest at one of these.
    let ends = |axis: usize, len: usize| {
        let inside = pad[axis] / stride[axis].max(1);
        [inside, inside + 1, len.saturating_sub(2), len - 1].map(|at| at.min(len - 1))
    };
    if rows * columns == 0 {
        return None;
    }
    let (rows, columns) = (ends(0, rows), ends(1, columns));
    let all = rows
        .into_iter()
        .flat_map(|row| columns.map(|column| distance(row, column)));
    all.max()
}

#[cfg(test)]
mod tests {
    use super::apart;
    use crate::steps::{ConvSize, Kind, run::sums};

    /// The least distance, value by value: an output must not be where a later one reads.
    fn least(size: &ConvSize) -> usize {
        let mut reads = Vec::new();
        sums(size, |at, _, taps| {
            let mut first = usize::MAX;
            taps.each(|x, _| first = first.min(x));
            reads.push((at, first));
        });
        let (mut distance, mut read) = (0, usize::MAX);
        for (at, first) in reads.into_iter().rev() {
            if read != usize::MAX {
                distance = distance.max((at + 1).saturating_sub(read));
            }
            read = read.min(first);
        }
        distance
    }

    #[test]
    fn distances_are_safe_and_small() {
        for at in 0..2000usize {
            // Digits of the number choose the sizes.
            let digit = |place: u32, base: usize| at / 3usize.pow(place) % base;
            let kernel = [1 + digit(0, 3), 1 + digit(1, 3)];
            let (stride, pad) = (
                [1 + digit(2, 3), 1 + digit(3, 3)],
                [digit(4, 3) % kernel[0], digit(5, 3) % kernel[1]],
            );
            let (groups, channels) = ([1, 2][at % 2], [[2, 4], [4, 2], [4, 4]][at % 3]);
            let input = [4 + at % 3, 4 + at % 5, channels[0]];
            let along = |axis: usize| (input[axis] + 2 * pad[axis] - kernel[axis]) / stride[axis] + 1;
            let output = [along(0), along(1), channels[1]];
            let size = ConvSize {
                input,
                output,
                kernel,
                stride,
                pad,
                dilation: [1, 1],
                groups,
            };
            let kind = Kind::Conv {
                size,
                weight: 0,
                scale: None,
                shift: None,
            };
            let (found, least) = (apart(&kind).expect("a distance"), least(&size));
            assert!(found >= least, "{size:?}: {found} of at least {least}");
            // A position is written while it is read, so the position counts in whole.
            assert!(
                found <= least + channels[0] + channels[1],
                "{size:?}: {found} of at least {least}"
            );
        }
    }
}
