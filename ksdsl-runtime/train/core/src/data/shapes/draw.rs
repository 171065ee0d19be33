//! Random numbers whose making is fixed here, so that pictures stay the same when a library changes its ways.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The numbers of one picture.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// Those of picture `index` of part `part` of the set of `seed`.
    pub(super) fn new(seed: u64, part: u32, index: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(part) << 32 | u64::from(index));
        Self(rng)
    }

    /// A number of 0 to below 1 with 24 bits.
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// A number between these.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `end`.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> 32) as u32
    }

    /// True so often.
    pub(super) fn chance(&mut self, often: f32) -> bool {
        self.unit() < often
    }

    /// The cosine and sine of an angle of up to 45 degrees either way, made without trigonometry, whose results differ
    /// between machines: t of the half-angle formulas is uniform, and so the angle nearly.
    pub(super) fn tilt(&mut self) -> (f32, f32) {
        let most = 0.414_213_57; // the tangent of 22.5 degrees
        let t = self.between(-most, most);
        ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t))
    }

    /// The cosine and sine of any angle.
    pub(super) fn direction(&mut self) -> (f32, f32) {
        let (cos, sin) = self.tilt();
        match self.below(4) {
            0 => (cos, sin),
            1 => (-sin, cos),
            2 => (-cos, -sin),
            _ => (sin, -cos),
        }
    }
}
