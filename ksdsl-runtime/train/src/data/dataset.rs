//! Labelled images whose sizes are part of their type.

use super::DataError;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;
use std::sync::Arc;

/// Labelled images of `C` channels, `H` rows and `W` columns in `K` classes. A network takes them
/// whose input is `C x H x W` and whose output has `K` values, which the compiler checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset<const C: usize, const H: usize, const W: usize, const K: usize> {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    names: Arc<[String]>,
}

/// An image and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example<'d> {
    /// The values, channel by channel, each row by row.
    pub pixels: &'d [u8],
    /// The class, from 0.
    pub label: usize,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> Dataset<C, H, W, K> {
    /// Values of an image.
    pub const PIXELS: usize = C * H * W;
    /// How many classes there are.
    pub const CLASSES: usize = K;

    /// Images of `pixels`, one after the other as in [`Example`], with a label for each.
    ///
    /// # Errors
    /// If there are not as many images as labels, or a label is no class.
    pub fn new(pixels: Vec<u8>, labels: Vec<u16>) -> Result<Self, DataError> {
        if pixels.len() != labels.len() * Self::PIXELS {
            return Err(DataError::Pixels {
                found: pixels.len(),
                images: labels.len(),
                expected: Self::PIXELS,
            });
        }
        if let Some(image) = labels.iter().position(|&label| usize::from(label) >= K) {
            return Err(DataError::Label {
                image,
                found: labels[image],
                classes: K,
            });
        }
        Ok(Self {
            pixels,
            labels,
            names: (0..K).map(|class| class.to_string()).collect(),
        })
    }

    /// The same images, with classes of these names. Without, a class is called by its number.
    ///
    /// # Errors
    /// If there are not as many names as classes, two are equal, or one is empty or has a control character (a line
    /// break, an escape), which no table or picture can show.
    pub fn with_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, DataError> {
        self.names = names.into_iter().map(Into::into).collect();
        check_names::<K>(&self.names)?;
        Ok(self)
    }

    /// The names of the classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The image of this index.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn get(&self, index: usize) -> Example<'_> {
        Example {
            pixels: &self.pixels[index * Self::PIXELS..][..Self::PIXELS],
            label: usize::from(self.labels[index]),
        }
    }

    /// The images in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Example<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// A part to train with and a part to hold out: of every class, `held_out` of its images,
    /// rounded, chosen at random by `seed`. Both parts keep the order of the whole.
    ///
    /// # Panics
    /// If `held_out` is not within 0 to 1.
    pub fn split(&self, held_out: f64, seed: u64) -> (Self, Self) {
        assert!(
            (0.0..=1.0).contains(&held_out),
            "a share is within 0 to 1, not {held_out}"
        );
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut members = vec![Vec::new(); K];
        for (index, &label) in self.labels.iter().enumerate() {
            members[usize::from(label)].push(index);
        }
        let mut is_held_out = vec![false; self.len()];
        for mut members in members {
            members.shuffle(&mut rng);
            members.truncate((held_out * members.len() as f64).round() as usize);
            members.into_iter().for_each(|index| is_held_out[index] = true);
        }
        (self.part(|i| !is_held_out[i]), self.part(|i| is_held_out[i]))
    }

    /// The images whose index `belongs`, in order.
    pub fn part(&self, belongs: impl Fn(usize) -> bool) -> Self {
        let mut part = Self {
            pixels: Vec::new(),
            labels: Vec::new(),
            names: Arc::clone(&self.names),
        };
        for index in (0..self.len()).filter(|&index| belongs(index)) {
            part.pixels.extend(self.get(index).pixels);
            part.labels.push(self.labels[index]);
        }
        part
    }
}

/// Whether there is a name for each of `K` classes, and each has its own.
pub(super) fn check_names<const K: usize>(names: &[String]) -> Result<(), DataError> {
    if names.len() != K {
        return Err(DataError::Names {
            found: names.len(),
            classes: K,
        });
    }
    let usable = |name: &&String| !name.is_empty() && !name.contains(char::is_control);
    if let Some(name) = names.iter().find(|name| !usable(name)) {
        return Err(DataError::Name { name: name.clone() });
    }
    let mut known = HashSet::new();
    match names.iter().find(|name| !known.insert(*name)) {
        Some(name) => Err(DataError::SameName { name: name.clone() }),
        None => Ok(()),
    }
}
