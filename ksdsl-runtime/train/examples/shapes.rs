//! Writes the made set of textured shapes as a folder in CIFAR-10's format, and with a third argument a sheet of
//! its images as PNG: `cargo run -p ksdsl-train --example shapes -- FOLDER [SEED [SHEET.png]]`.

use image::{Rgb, RgbImage};
use ksdsl_train::data::{Cifar10, Dataset, Shapes};
use std::error::Error;
use std::path::Path;

/// Images of a class on the sheet.
const COLUMNS: u32 = 20;
/// Rows and columns of an image with the border around it.
const CELL: u32 = 34;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("expected a folder to write to, then perhaps a seed and a PNG file")?;
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    let shapes = Shapes {
        seed,
        ..Shapes::default()
    };
    shapes.write(&folder)?;
    println!(
        "{folder}: {} images to train with, {} to test with",
        shapes.training, shapes.test
    );
    if let Some(file) = arguments.next() {
        sheet(&Cifar10::open(folder)?.1, Path::new(&file))?;
    }
    Ok(())
}

/// A row of images for each class.
fn sheet(data: &Dataset, file: &Path) -> image::ImageResult<()> {
    let mut sheet = RgbImage::new(COLUMNS * CELL, 10 * CELL);
    for class in 0..10 {
        let of_class = data.iter().filter(|example| example.label == class);
        for (example, column) in of_class.zip(0..COLUMNS) {
            for place in 0..1024 {
                let color = [0, 1, 2].map(|channel| example.pixels[channel * 1024 + place]);
                let (x, y) = (place as u32 % 32, place as u32 / 32);
                sheet.put_pixel(column * CELL + x, class as u32 * CELL + y, Rgb(color));
            }
        }
    }
    sheet.save(file)
}
