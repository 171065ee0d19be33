//! Kernels of sharing groups, handed out in the order of their visits.

/// Several kernels of one shape that a sequence of layers visits in turn. When isomorphic layers
/// are split into several sharing groups, a loop over repeated blocks cannot name its kernel; it
/// asks the bank instead.
#[derive(Clone, Debug)]
pub struct Bank<P> {
    items: Vec<P>,
    runs: &'static [(usize, usize)],
    run: usize,
    used: usize,
}

impl<P> Bank<P> {
    /// `runs` lists, in the order of the visits, the index of a kernel in `items` and how many
    /// consecutive visits use it.
    pub fn new(items: Vec<P>, runs: &'static [(usize, usize)]) -> Self {
        Self {
            items,
            runs,
            run: 0,
            used: 0,
        }
    }

    /// The kernel of the next visit.
    ///
    /// # Panics
    /// If there were more visits than `runs` lists, or a kernel index is out of range: generated
    /// code makes neither.
    pub fn visit(&mut self) -> &P {
        while self.used == self.runs[self.run].1 {
            self.run += 1;
            self.used = 0;
        }
        self.used += 1;
        &self.items[self.runs[self.run].0]
    }
}

#[cfg(test)]
mod tests {
    use super::Bank;

    #[test]
    fn hands_out_kernels_in_visit_order() {
        let mut bank = Bank::new(vec!['a', 'b', 'c'], &[(0, 2), (1, 0), (2, 1), (0, 1)]);
        let visits: Vec<char> = (0..4).map(|_| *bank.visit()).collect();
        assert_eq!(visits, ['a', 'a', 'c', 'a']);
    }

    #[test]
    #[should_panic]
    fn refuses_more_visits_than_declared() {
        let mut bank = Bank::new(vec![1], &[(0, 1)]);
        bank.visit();
        bank.visit();
    }
}
