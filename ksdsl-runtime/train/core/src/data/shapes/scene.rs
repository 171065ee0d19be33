//! What is in a picture, and how it is drawn.

use super::draw::Draw;

/// Rows and columns of a picture.
const SIDE: usize = 32;
/// Samples of a pixel in each direction.
const SAMPLES: usize = 3;

/// Red, green and blue, 0 to 255.
type Color = [f32; 3];

/// The outline of a thing. With its texture it makes the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outline {
    Disc,
    Square,
    Triangle,
    Cross,
    Ring,
}

impl Outline {
    pub(super) const ALL: [Self; 5] = [Self::Disc, Self::Square, Self::Triangle, Self::Cross, Self::Ring];

    /// Whether a place lies within, in a system in which the thing's radius is 1.
    fn contains(self, x: f32, y: f32) -> bool {
        let (side, up) = (x.abs(), y.abs());
        match self {
            Self::Disc => x * x + y * y < 0.85,
            Self::Square => side.max(up) < 0.8,
            Self::Triangle => y > -0.6 && 1.732 * side + y < 1.1,
            Self::Cross => side.min(up) < 0.36 && side.max(up) < 1.0,
            Self::Ring => (0.22..1.0).contains(&(x * x + y * y)),
        }
    }
}

/// A pattern of two colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    Stripes,
    Checks,
}

/// A texture somewhere: its direction, where it begins, the width of a stripe or check in pixels.
struct Pattern {
    texture: Texture,
    direction: (f32, f32),
    start: (f32, f32),
    width: f32,
    colors: [Color; 2],
}

impl Pattern {
    fn color(&self, x: f32, y: f32) -> Color {
        let (cos, sin) = self.direction;
        let along = (cos * x + sin * y) / self.width + self.start.0;
        let across = (cos * y - sin * x) / self.width + self.start.1;
        let cell = match self.texture {
            Texture::Stripes => along.floor(),
            Texture::Checks => along.floor() + across.floor(),
        };
        self.colors[(cell as i32).rem_euclid(2) as usize]
    }
}

/// An outline somewhere, turned and stretched.
struct Thing {
    outline: Outline,
    centre: (f32, f32),
    direction: (f32, f32),
    /// Half the extent along its two axes, in pixels.
    radius: (f32, f32),
}

impl Thing {
    fn contains(&self, x: f32, y: f32) -> bool {
        let (x, y) = (x - self.centre.0, y - self.centre.1);
        let (cos, sin) = self.direction;
        self.outline
            .contains((cos * x + sin * y) / self.radius.0, (cos * y - sin * x) / self.radius.1)
    }
}

/// A bar across the picture: the places whose distance from a line is below half its width.
struct Bar {
    through: (f32, f32),
    direction: (f32, f32),
    width: f32,
    color: Color,
}

impl Bar {
    fn contains(&self, x: f32, y: f32) -> bool {
        let (x, y) = (x - self.through.0, y - self.through.1);
        let distance = self.direction.0 * y - self.direction.1 * x;
        distance.abs() < 0.5 * self.width
    }
}

/// All that is in a picture, the hindmost first.
pub(super) struct Scene {
    /// The ground passes from one colour to the other along a direction, or has a pattern.
    ground: Pattern,
    smooth: bool,
    clutter: Vec<(Thing, Color)>,
    thing: Thing,
    pattern: Pattern,
    bar: Option<Bar>,
    /// The most that noise adds to a value, or takes.
    noise: f32,
}

fn color(draw: &mut Draw) -> Color {
    std::array::from_fn(|_| draw.between(0.0, 255.0))
}

fn distance(a: Color, b: Color) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

/// A colour that differs from others by at least so much, summed over the channels; after some tries, any.
fn unlike(draw: &mut Draw, others: &[Color], least: f32) -> Color {
    let mut last = color(draw);
    for _ in 0..16 {
        if others.iter().all(|&other| distance(last, other) >= least) {
            break;
        }
        last = color(draw);
    }
    last
}

fn pattern(draw: &mut Draw, texture: Texture, colors: [Color; 2]) -> Pattern {
    Pattern {
        texture,
        direction: draw.direction(),
        start: (draw.between(0.0, 2.0), draw.between(0.0, 2.0)),
        width: draw.between(1.8, 3.2),
        colors,
    }
}

fn thing(draw: &mut Draw, outline: Outline, spread: f32, (least, most): (f32, f32)) -> Thing {
    let middle = 0.5 * SIDE as f32;
    let radius = draw.between(least, most);
    let stretch = draw.between(0.85, 1.15);
    Thing {
        outline,
        centre: (
            middle + draw.between(-spread, spread),
            middle + draw.between(-spread, spread),
        ),
        direction: draw.tilt(),
        radius: (radius * stretch, radius / stretch),
    }
}

fn texture(draw: &mut Draw) -> Texture {
    if draw.chance(0.5) {
        Texture::Stripes
    } else {
        Texture::Checks
    }
}

impl Scene {
    /// A scene around a thing of this outline and texture.
    pub(super) fn new(draw: &mut Draw, outline: Outline, own: Texture) -> Self {
        let first = color(draw);
        let second = unlike(draw, &[first], 130.0);
        let behind = unlike(draw, &[first, second], 120.0);
        let farther: Color = std::array::from_fn(|i| (behind[i] + draw.between(-60.0, 60.0)).clamp(0.0, 255.0));
        let kind = texture(draw);
        Self {
            ground: pattern(draw, kind, [behind, farther]),
            smooth: draw.chance(0.5),
            clutter: (0..draw.below(4)).map(|_| clutter(draw)).collect(),
            thing: thing(draw, outline, 4.0, (9.0, 13.0)),
            pattern: pattern(draw, own, [first, second]),
            bar: draw.chance(0.4).then(|| bar(draw)),
            noise: draw.between(5.0, 35.0),
        }
    }

    /// What is seen at a place.
    fn color(&self, x: f32, y: f32) -> Color {
        if let Some(bar) = self.bar.as_ref().filter(|bar| bar.contains(x, y)) {
            return bar.color;
        }
        if self.thing.contains(x, y) {
            return self.pattern.color(x, y);
        }
        let clutter = self.clutter.iter().rev().find(|(thing, _)| thing.contains(x, y));
        match clutter {
            Some(&(_, color)) => color,
            None if self.smooth => self.gradient(x, y),
            None => self.ground.color(x, y),
        }
    }

    fn gradient(&self, x: f32, y: f32) -> Color {
        let middle = 0.5 * SIDE as f32;
        let (cos, sin) = self.ground.direction;
        let part = 0.5 + (cos * (x - middle) + sin * (y - middle)) / (1.5 * SIDE as f32);
        let [from, to] = self.ground.colors;
        std::array::from_fn(|i| from[i] + part * (to[i] - from[i]))
    }

    /// The picture: red, green and blue planes, each row by row.
    pub(super) fn paint(&self, draw: &mut Draw) -> Vec<u8> {
        let mut pixels = vec![0; 3 * SIDE * SIDE];
        for place in 0..SIDE * SIDE {
            let (row, column) = (place / SIDE, place % SIDE);
            let mut sum = [0.0; 3];
            for sample in 0..SAMPLES * SAMPLES {
                let within = |index: usize| (index as f32 + 0.5) / SAMPLES as f32;
                let x = column as f32 + within(sample % SAMPLES);
                let y = row as f32 + within(sample / SAMPLES);
                let color = self.color(x, y);
                (0..3).for_each(|i| sum[i] += color[i]);
            }
            for (channel, sum) in sum.into_iter().enumerate() {
                // Two draws: noise near 0 is likelier than far from it.
                let noise = self.noise * (draw.unit() - draw.unit());
                let value = sum / (SAMPLES * SAMPLES) as f32 + noise;
                pixels[channel * SIDE * SIDE + place] = value.clamp(0.0, 255.0) as u8;
            }
        }
        pixels
    }
}

/// A small plain thing behind the one that matters.
fn clutter(draw: &mut Draw) -> (Thing, Color) {
    let outline = Outline::ALL[draw.below(5) as usize];
    (thing(draw, outline, 15.0, (2.5, 5.0)), color(draw))
}

/// A bar before the thing that matters.
fn bar(draw: &mut Draw) -> Bar {
    let middle = 0.5 * SIDE as f32;
    Bar {
        through: (middle + draw.between(-10.0, 10.0), middle + draw.between(-10.0, 10.0)),
        direction: draw.direction(),
        width: draw.between(2.0, 5.0),
        color: color(draw),
    }
}
