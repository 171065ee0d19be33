//! Data sets of labelled images.

use super::DataError;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;
use std::sync::Arc;

/// A data set of labelled `C x H x W` images with `K` classes. The Rust compiler checks that a network has this input
/// size and `K` outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset<const C: usize, const H: usize, const W: usize, const K: usize> {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    names: Arc<[String]>,
}

/// An image and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example<'d> {
    /// The pixels, `C x H x W`.
    pub pixels: &'d [u8],
    /// The class, from 0.
    pub label: usize,
}

impl<const C: usize, const H: usize, const W: usize, const K: usize> Dataset<C, H, W, K> {
    /// Values of an image.
    pub const PIXELS: usize = C * H * W;
    /// The number of classes.
    pub const CLASSES: usize = K;

    /// Creates a data set from the images' pixels (n x C x H x W) and labels.
    ///
    /// # Errors
    /// If the numbers of images and labels differ, or a label is not below `K`.
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

    /// Sets the class names; the default is the class indices.
    ///
    /// # Errors
    /// If there are not `K` distinct names, or one is empty or contains control characters.
    pub fn with_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, DataError> {
        self.names = names.into_iter().map(Into::into).collect();
        check_names::<K>(&self.names)?;
        Ok(self)
    }

    /// The class names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The image at this index.
    ///
    /// # Panics
    /// If the index is out of range.
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

    /// Splits into a training and a validation set, stratified by class: `fraction` of each class's images,
    /// rounded and chosen at random by `seed`, is the validation set. Both keep the original order.
    ///
    /// # Panics
    /// If `fraction` is not from 0 to 1.
    pub fn split(&self, fraction: f64, seed: u64) -> (Self, Self) {
        assert!(
            (0.0..=1.0).contains(&fraction),
            "the fraction must be from 0 to 1, not {fraction}"
        );
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut members = vec![Vec::new(); K];
        for (index, &label) in self.labels.iter().enumerate() {
            members[usize::from(label)].push(index);
        }
        let mut is_validation = vec![false; self.len()];
        for mut members in members {
            members.shuffle(&mut rng);
            members.truncate((fraction * members.len() as f64).round() as usize);
            members.into_iter().for_each(|index| is_validation[index] = true);
        }
        (self.part(|i| !is_validation[i]), self.part(|i| is_validation[i]))
    }

    /// The images whose indices satisfy `belongs`, in order.
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
