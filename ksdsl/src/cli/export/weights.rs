//! The weights of a network in single precision, from a checkpoint.

use crate::checkpoint::Entry;
use crate::cli::Status;
use crate::cli::convert::{self, Layout};
use crate::cli::output::Terminal;
use ksdsl_checkpoint::{Kind, Unstated, View, resolve};
use std::path::Path;

/// The elements of these tensors, in their order.
pub(in crate::cli) fn read(path: &Path, tensors: &[Entry], terminal: &Terminal) -> Result<Vec<Vec<f32>>, Status> {
    let (file, path) = (convert::read(path, terminal)?, path.display());
    let layout = Layout::new(tensors.to_vec());
    let views = resolve(&file, &layout.expected, &layout.shared).map_err(|problems| {
        terminal.complain(&format!("{path}: {problems}"), None);
        Status::Invalid
    })?;
    if let Some(unstated) = Unstated::of(&file, &layout.shared) {
        terminal.warn(&format!("{path}: {unstated}"));
    }
    let singles = views.iter().zip(tensors).map(|(view, entry)| {
        single(view).ok_or_else(|| {
            let (key, kind) = (&entry.key, view.kind);
            terminal.complain(
                &format!("{path}: `{key}` has elements of type {kind}, which cannot be exported"),
                Some("export takes F32, F64, F16 and BF16"),
            );
            Status::Invalid
        })
    });
    singles.collect()
}

/// The elements in single precision; none for other kinds than these.
fn single(view: &View<'_>) -> Option<Vec<f32>> {
    Some(match view.kind {
        Kind::F32 => converted(view.data, f32::from_le_bytes),
        Kind::F64 => converted(view.data, |bytes: [u8; 8]| f64::from_le_bytes(bytes) as f32),
        Kind::BF16 => converted(view.data, |[low, high]: [u8; 2]| f32::from_le_bytes([0, 0, low, high])),
        Kind::F16 => converted(view.data, |bytes: [u8; 2]| of_half(u16::from_le_bytes(bytes))),
        _ => return None,
    })
}

fn converted<const N: usize>(data: &[u8], of: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (elements, _) = data.as_chunks::<N>();
    elements.iter().map(|bytes| of(*bytes)).collect()
}

/// A number in half precision: a sign, 5 bits of exponent, 10 of fraction (IEEE 754).
fn of_half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::of_half;

    /// `torch.tensor([...], dtype=torch.float16).view(torch.int16)` of the right side.
    #[test]
    fn halves_are_those_of_pytorch() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(of_half(bits), value, "{bits:x}");
        }
        assert!(of_half(0x7e00).is_nan());
    }
}
