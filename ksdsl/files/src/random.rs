//! SplitMix64 (Steele, Lea & Flood 2014), the generator of everything that must be the same for a seed for ever:
//! random mappings, the seeds of a run, what an unshared part starts as, the numbers of tests.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The generator, at a state.
#[derive(Clone, Debug)]
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next number, uniform over all.
    pub fn draw(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        number
    }

    /// The next number as a fraction of one, in steps of 2^-53.
    pub fn fraction(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The number that the generator draws at this state: a bijection whose outputs look unrelated.
pub fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{SplitMix64, mix};

    /// The first numbers from the seed 1234567, which the reference implementation
    /// (prng.di.unimi.it/splitmix64.c) gives.
    #[test]
    fn draws_the_reference_numbers() {
        let mut generator = SplitMix64(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| generator.draw()).collect();
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, expected);
    }

    /// From state 0, whose state grows by the golden ratio: `e220a8397b1dcdaf 6e789e6aa1b965f4` (as in the tests of
    /// Java's and NumPy's).
    #[test]
    fn mixes_as_the_reference_does() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(super::GOLDEN), 0x6e78_9e6a_a1b9_65f4);
    }

    /// 0x6e789e6aa1b965f4 >> 11 = 0xdcf13cd54372c, over 2^53 (in Python).
    #[test]
    fn fractions_are_the_upper_bits() {
        assert_eq!(
            SplitMix64(super::GOLDEN).fraction(),
            0xd_cf13_cd54_372c_u64 as f64 / 2f64.powi(53)
        );
    }
}
