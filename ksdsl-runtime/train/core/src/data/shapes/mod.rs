//! A synthetic data set of 32x32 colour images in ten classes, for tests and benchmarks without a download.

mod draw;
mod scene;
mod write;

use super::{Cifar10, Dataset};
use draw::Draw;
use scene::{Outline, Scene, Texture};

/// Images of textured shapes: ten classes, each an outline (disc, square, triangle, cross, ring) with a texture
/// (stripes, checks). Neither outline nor texture alone determines the class. Position, size, orientation, aspect ratio
/// and colours are independent of the class; the background is smooth or patterned, with up to three small plain
/// shapes; some images have an occluding bar; noise is added to all.
///
/// The same settings give the same bytes on every machine: only integers and single-precision addition, multiplication,
/// division and rounding are used. Every ten consecutive images contain all classes.
///
/// ```
/// # extern crate ksdsl_train_core as ksdsl_train;
/// use ksdsl_train::data::Shapes;
///
/// let (training, test) = Shapes { training: 50, test: 10, seed: 0 }.generate();
/// assert_eq!((training.len(), test.len()), (50, 10));
/// assert_eq!(training.names()[9], "checked ring");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shapes {
    /// The number of training images.
    pub training: u32,
    /// The number of test images.
    pub test: u32,
    /// The seed.
    pub seed: u64,
}

impl Default for Shapes {
    /// 10,000 training images, 2,000 test images, seed 0.
    fn default() -> Self {
        Self {
            training: 10_000,
            test: 2_000,
            seed: 0,
        }
    }
}

impl Shapes {
    /// The names of the classes.
    pub const NAMES: [&str; 10] = [
        "striped disc",
        "checked disc",
        "striped square",
        "checked square",
        "striped triangle",
        "checked triangle",
        "striped cross",
        "checked cross",
        "striped ring",
        "checked ring",
    ];

    /// Generates the training and the test set.
    pub fn generate(&self) -> (Dataset, Dataset) {
        let data = |part, images| {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            for index in 0..images {
                let (label, image) = self.image(part, index);
                labels.push(u16::from(label));
                pixels.extend(image);
            }
            let data = Dataset::new(Cifar10::SIZES, pixels, labels).and_then(|data| data.with_names(Self::NAMES));
            data.expect("ten classes of 32x32 colour images")
        };
        (data(0, self.training), data(1, self.test))
    }

    /// The class and the values of an image: a function of the seed, the part (0 to train, 1 to test) and the
    /// index alone.
    fn image(&self, part: u32, index: u32) -> (u8, Vec<u8>) {
        let label = self.label(part, index);
        let mut draw = Draw::new(self.seed, part, index);
        let texture = [Texture::Stripes, Texture::Checks][usize::from(label % 2)];
        let scene = Scene::new(&mut draw, Outline::ALL[usize::from(label / 2)], texture);
        (label, scene.paint(&mut draw))
    }

    /// The class of an image: those of each ten in a row are a permutation of all.
    fn label(&self, part: u32, index: u32) -> u8 {
        // Parts of their own, so that these numbers are not those of an image.
        let mut draw = Draw::new(self.seed, part + 2, index / 10);
        let mut labels: [u8; 10] = std::array::from_fn(|label| label as u8);
        for last in (1..10).rev() {
            labels.swap(last, draw.below(last as u32 + 1) as usize);
        }
        labels[(index % 10) as usize]
    }
}

#[cfg(test)]
mod tests;
