//! Data sets of labelled images.

use super::DataError;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The size of the images of a data set, and the number of its classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Channels of an image.
    pub channels: usize,
    /// Its height in pixels.
    pub height: usize,
    /// Its width in pixels.
    pub width: usize,
    /// Classes.
    pub classes: usize,
}

impl Sizes {
    /// `[channels, height, width]` and the number of classes.
    pub const fn new([channels, height, width]: [usize; 3], classes: usize) -> Self {
        Self {
            channels,
            height,
            width,
            classes,
        }
    }

    /// Channels, height and width of an image.
    pub const fn image(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Values of an image.
    pub const fn values(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Pixels of a channel of an image.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }
}

impl fmt::Display for Sizes {
    /// `3 x 32 x 32, 10 classes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            channels,
            height,
            width,
            classes,
        } = self;
        write!(f, "{channels} x {height} x {width}, {classes} classes")
    }
}

/// A data set of labelled images, all of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    sizes: Sizes,
    pixels: Vec<u8>,
    labels: Vec<u16>,
    names: Arc<[String]>,
}

/// An image and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example<'d> {
    /// The pixels: channels x height x width.
    pub pixels: &'d [u8],
    /// The class, from 0.
    pub label: usize,
}

impl Dataset {
    /// Creates a data set from the images' pixels (n x channels x height x width) and labels.
    ///
    /// # Errors
    /// If the numbers of images and labels differ, or a label is not below the number of classes.
    pub fn new(sizes: Sizes, pixels: Vec<u8>, labels: Vec<u16>) -> Result<Self, DataError> {
        if pixels.len() != labels.len() * sizes.values() {
            return Err(DataError::Pixels {
                found: pixels.len(),
                images: labels.len(),
                expected: sizes.values(),
            });
        }
        let classes = sizes.classes;
        if let Some(image) = labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(DataError::Label {
                image,
                found: labels[image],
                classes,
            });
        }
        Ok(Self {
            sizes,
            pixels,
            labels,
            names: (0..classes).map(|class| class.to_string()).collect(),
        })
    }

    /// The size of the images, and the number of classes.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Sets the class names; the default is the class indices.
    ///
    /// # Errors
    /// If there is not one distinct name per class, or one is empty or contains control characters.
    pub fn with_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, DataError> {
        self.names = names.into_iter().map(Into::into).collect();
        check_names(&self.names, self.sizes.classes)?;
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
        let values = self.sizes.values();
        Example {
            pixels: &self.pixels[index * values..][..values],
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
        let mut members = vec![Vec::new(); self.sizes.classes];
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
            sizes: self.sizes,
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

/// Whether there is a name for each class, and each has its own.
pub(super) fn check_names(names: &[String], classes: usize) -> Result<(), DataError> {
    if names.len() != classes {
        return Err(DataError::Names {
            found: names.len(),
            classes,
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
