//! The kernels' source and signatures.

use super::gather::{Finish, Gather};
use cudarc::driver::sys::CUdeviceptr;
use ksdsl_engine::size::{ConvSize, MapSize, PoolSize, Window};
use std::ffi::c_void;

/// All sources, in the order they are compiled in.
const SOURCES: [&str; 11] = [
    include_str!("kernels/prelude.cuh"),
    include_str!("kernels/elementwise.cu"),
    include_str!("kernels/norm.cu"),
    include_str!("kernels/rows.cu"),
    include_str!("kernels/window.cu"),
    include_str!("kernels/gather.cu"),
    include_str!("kernels/gather_weight.cu"),
    include_str!("kernels/tensor.cu"),
    include_str!("kernels/attention.cu"),
    include_str!("kernels/table.cu"),
    include_str!("kernels/update.cu"),
];

/// What nvrtc compiles for the element type `real`.
pub(super) fn text(real: &str) -> String {
    format!("#define REAL {real}\n#define REAL_IS_{real}\n{}", SOURCES.join("\n"))
}

/// The type of a kernel's parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `idx`, 64 bits.
    Long,
    Int,
    Real,
    Double,
    Word,
    Pointer,
    Sizes,
    Gather,
    Finish,
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg<E> {
    Long(i64),
    Int(i32),
    Real(E),
    Double(f64),
    Word(u64),
    Pointer(CUdeviceptr),
    Sizes(Sizes),
    Gather(Gather),
    Finish(Finish),
}

impl<E> Arg<E> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Long(_) => Kind::Long,
            Self::Int(_) => Kind::Int,
            Self::Real(_) => Kind::Real,
            Self::Double(_) => Kind::Double,
            Self::Word(_) => Kind::Word,
            Self::Pointer(_) => Kind::Pointer,
            Self::Sizes(_) => Kind::Sizes,
            Self::Gather(_) => Kind::Gather,
            Self::Finish(_) => Kind::Finish,
        }
    }

    /// Where the value lies.
    pub(super) fn pointer(&self) -> *mut c_void {
        match self {
            Self::Long(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Int(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Real(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Double(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Word(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Pointer(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Sizes(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Gather(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Finish(value) => std::ptr::from_ref(value).cast_mut().cast(),
        }
    }
}

/// Sizes as the kernels take them: `Sizes` of prelude.cuh, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Sizes {
    batch: i32,
    input: [i32; 3],
    output: [i32; 3],
    kernel: [i32; 2],
    stride: [i32; 2],
    pad: [i32; 2],
    dilation: [i32; 2],
    groups: i32,
}

impl Sizes {
    fn new(input: MapSize, output: MapSize, window: Window, groups: usize) -> Self {
        let map = |map: MapSize| [map.height, map.width, map.channels].map(|value| value as i32);
        let pair = |pair: [usize; 2]| pair.map(|value| value as i32);
        Self {
            batch: input.batch as i32,
            input: map(input),
            output: map(output),
            kernel: pair(window.kernel),
            stride: pair(window.stride),
            pad: pair(window.pad),
            dilation: pair(window.dilation),
            groups: groups as i32,
        }
    }

    /// Those of the convolution with the rotated kernel that is the data gradient of this one, which
    /// must have stride and dilation 1. Its padding may be negative.
    pub(super) fn rotated(self) -> Self {
        Self {
            input: self.output,
            output: self.input,
            pad: [0, 1].map(|axis| self.kernel[axis] - 1 - self.pad[axis]),
            ..self
        }
    }
}

impl From<ConvSize> for Sizes {
    fn from(size: ConvSize) -> Self {
        Self::new(size.input, size.output, size.window, size.groups)
    }
}

impl From<PoolSize> for Sizes {
    fn from(size: PoolSize) -> Self {
        Self::new(size.input, size.output, size.window, 1)
    }
}

/// The names of all kernels with their parameters, as the sources have them.
pub(super) fn signatures() -> Vec<(&'static str, Vec<Kind>)> {
    let mut signatures = Vec::new();
    for source in SOURCES {
        for declaration in source.split("__global__ void ").skip(1) {
            let Some((name, rest)) = declaration.split_once('(') else {
                continue;
            };
            let parameters = rest.split_once(')').map_or(rest, |(parameters, _)| parameters);
            signatures.push((name, parameters.split(',').map(kind).collect()));
        }
    }
    signatures
}

fn kind(parameter: &str) -> Kind {
    let words: Vec<&str> = parameter.split_whitespace().collect();
    match words.first() {
        _ if parameter.contains('*') => Kind::Pointer,
        Some(&"idx") => Kind::Long,
        Some(&"int") => Kind::Int,
        Some(&"real") => Kind::Real,
        Some(&"double") => Kind::Double,
        Some(&"Sizes") => Kind::Sizes,
        Some(&"Gather") => Kind::Gather,
        Some(&"Finish") => Kind::Finish,
        _ => Kind::Word,
    }
}
