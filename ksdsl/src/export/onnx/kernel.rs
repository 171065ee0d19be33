//! What a layer makes of a kernel: a combination of those of a bank, a view of it, with an addition. Its own factors come
//! after it, so that they make no copy.

use super::walk::Walk;
use crate::ir::{COEFFICIENTS, LOW_RANK_A, LOW_RANK_B, LayerId, Part, SCALE};
use crate::ops::linear::Linear;
use crate::ops::{After, Onnx};

/// The tensors of a layer as its operation takes them.
pub(super) struct Kernel {
    pub(super) tensors: Vec<(&'static str, String)>,
    /// Whether the kernel is stored with rows and columns exchanged.
    pub(super) exchanged: bool,
    pub(super) after: After,
}

impl Walk<'_> {
    /// The tensors of a layer, its kernel as it makes it of what is stored.
    pub(super) fn kernel(&mut self, id: LayerId, mut tensors: Vec<(&'static str, String)>) -> Kernel {
        let layer = &self.network.layers[id];
        let own = |name: &str| {
            let mut tensors = tensors.iter();
            tensors.find(|(of, _)| *of == name).map(|(_, value)| value.clone())
        };
        let [scale, a, b, coefficients] = [SCALE, LOW_RANK_A, LOW_RANK_B, COEFFICIENTS].map(own);
        let mut kernel = Kernel {
            tensors: Vec::new(),
            exchanged: false,
            after: After {
                scale: scale.filter(|_| layer.scaled),
            },
        };
        let of_kernel = layer
            .op
            .tensors()
            .into_iter()
            .find(|tensor| tensor.part == Part::Kernel);
        if let Some((tensor, at)) = of_kernel.and_then(|tensor| {
            let at = tensors.iter().position(|(name, _)| *name == tensor.name)?;
            Some((tensor, at))
        }) {
            let mut made = Made {
                value: tensors[at].1.clone(),
                shape: tensor.shape,
                to: Onnx::new(
                    &mut self.graph,
                    crate::ir::key(layer.path.0.get(self.depth..).unwrap_or_default()),
                    Vec::new(),
                    layer.output,
                ),
            };
            if let (Some(coefficients), true) = (coefficients, layer.combined.is_some()) {
                let stored = layer
                    .kernel
                    .and_then(|visit| self.network.groups[visit.group].op.kernel_shape());
                made.combine(&coefficients, &stored.unwrap_or_default());
            }
            let as_it_is = !layer.view.slice && layer.rank.is_none();
            match layer.view.transposed && as_it_is && layer.op.downcast::<Linear>().is_some() {
                true => kernel.exchanged = true,
                false => made.view(layer.view.transposed, layer.view.slice),
            }
            if let (Some(a), Some(b), Some(_)) = (a, b, layer.rank) {
                made.add(&a, &b);
            }
            tensors[at].1 = made.value;
        }
        kernel.tensors = tensors;
        kernel
    }
}

/// A kernel in the making.
struct Made<'g> {
    value: String,
    /// The sizes that it has in the end.
    shape: Vec<u64>,
    to: Onnx<'g>,
}

impl Made<'_> {
    fn sizes(sizes: &[u64]) -> Vec<i64> {
        sizes
            .iter()
            .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
            .collect()
    }

    /// The sum of the kernels of a bank, each times its coefficient.
    fn combine(&mut self, coefficients: &str, stored: &[u64]) {
        let rows = self.to.reshape(coefficients, &[1, -1]);
        let flat: u64 = stored.iter().product();
        let bank = self.to.reshape(&self.value, &[-1, Self::sizes(&[flat])[0]]);
        let sum = self.to.node("MatMul", &[&rows, &bank], Vec::new());
        self.value = self.to.reshape(&sum, &Self::sizes(stored));
    }

    /// Rows and columns exchanged, and the first of them.
    fn view(&mut self, transposed: bool, slice: bool) {
        if transposed {
            let rest = 2..self.shape.len() as i64;
            let axes: Vec<i64> = [1, 0].into_iter().chain(rest).collect();
            self.value = self.to.transpose(&self.value, &axes);
        }
        if let ([rows, columns, ..], true) = (self.shape.as_slice(), slice) {
            let (rows, columns) = (*rows, *columns);
            self.value = self.to.slice(&self.value, 0, [0, rows]);
            self.value = self.to.slice(&self.value, 1, [0, columns]);
        }
    }

    /// The product of two factors, added.
    fn add(&mut self, a: &str, b: &str) {
        let product = self.to.node("MatMul", &[b, a], Vec::new());
        let product = self.to.reshape(&product, &Self::sizes(&self.shape));
        self.value = self.to.node("Add", &[&self.value, &product], Vec::new());
    }
}
