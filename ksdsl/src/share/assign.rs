//! Mappings from visits to kernels. Further mappings (cycle, sandwich, random) belong here.

/// `visits` visits in `kernels` contiguous groups whose sizes differ by at most one, the larger
/// ones first (as `numpy.array_split` does).
pub(super) fn contiguous(visits: usize, kernels: u32) -> Vec<u32> {
    let count = kernels as usize;
    let (size, larger) = (visits / count, visits % count);
    (0..kernels)
        .flat_map(|kernel| {
            let members = size + usize::from((kernel as usize) < larger);
            std::iter::repeat_n(kernel, members)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::contiguous;

    #[test]
    fn groups_differ_by_at_most_one() {
        // numpy.array_split(range(7), 3) gives groups of 3, 2 and 2.
        assert_eq!(contiguous(7, 3), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(contiguous(4, 4), [0, 1, 2, 3]);
        assert_eq!(contiguous(3, 1), [0, 0, 0]);
    }
}
