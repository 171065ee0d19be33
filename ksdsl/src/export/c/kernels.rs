//! The functions that calls name, as texts of C.
//!
//! A file has parts, each after a line `//! name`: a function, with `math` where it needs `math.h`, or `struct name bytes`.

use crate::steps::Known;

const SINGLE: &str = include_str!("kernels/f32.c");
const INTEGER: &str = include_str!("kernels/int8.c");

/// A part of a file.
pub(super) struct Part {
    /// The function, or the struct.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) text: String,
    /// Whether it needs `math.h`.
    pub(super) math: bool,
    /// The bytes of a struct.
    bytes: usize,
}

fn parts(file: &'static str) -> impl Iterator<Item = Part> {
    let parts = file.split("//! ").skip(1);
    parts.filter_map(|part| {
        let (head, text) = part.split_once('\n')?;
        let words: Vec<&str> = head.split(' ').collect();
        let (name, bytes) = match words.as_slice() {
            ["struct", name, bytes] => (*name, bytes.parse().unwrap_or(0)),
            [name, ..] => (*name, 0),
            [] => return None,
        };
        Some(Part {
            name,
            text: text.to_owned(),
            math: words.contains(&"math"),
            bytes,
        })
    })
}

/// The structs of these names.
pub(super) fn structs(names: &[&str]) -> Vec<Part> {
    let is = |part: &Part| part.bytes > 0 && names.contains(&part.name);
    parts(SINGLE).chain(parts(INTEGER)).filter(is).collect()
}

/// The bytes of a struct.
pub(super) fn size_bytes(name: &str) -> usize {
    structs(&[name]).first().map_or(0, |part| part.bytes)
}

/// The functions of one value, and those of these names.
pub(super) fn functions<'a>(
    element: &str,
    of_value: impl Iterator<Item = &'a &'static Known>,
    names: &[&str],
) -> Vec<Part> {
    let file = if element == "float" { SINGLE } else { INTEGER };
    let of_value = of_value.map(|known| {
        let numbers = [", float a", ", float b"][..known.numbers].concat();
        let text = format!(
            "static void ksn_{}(const float *x, float *y, uint32_t n{numbers})\n{{\n    uint32_t i;\n    for (i = 0; i < n; \
             i++) {{\n        const float v = x[i];\n        y[i] = {};\n    }}\n}}\n",
            known.name, known.c
        );
        Part {
            name: known.name,
            math: known.c.contains("f("),
            text,
            bytes: 0,
        }
    });
    let is = |part: &Part| part.bytes == 0 && names.contains(&part.name);
    of_value.chain(parts(file).filter(is)).collect()
}
