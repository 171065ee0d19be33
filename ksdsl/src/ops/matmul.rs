//! Matrix products of two sequences.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "matmul",
    doc: "the matrix product of two sequences, tokens x features each",
    params: &[
        param("transpose_first", ParamKind::Flag, false),
        param("transpose_second", ParamKind::Flag, false),
    ],
    family: Family::Other,
    resolve: Resolve::Join {
        paths: [2, 2],
        resolve: |args, inputs| {
            let [first, second] = ["transpose_first", "transpose_second"].map(|param| args.flag(param, false));
            if first && second {
                let text = "one of the two sequences is transposed, not both";
                return Err(Problem::new(Code::OutOfRange, text)
                    .at("transpose_second")
                    .help("the product of both transposed is that of the two in the other order, transposed"));
            }
            let sums = rows_and_columns(inputs[0], first)[1];
            Ok(Op::new(Matmul { first, second, sums }))
        },
    },
}];

/// The matrix product of two sequences, of which one may be transposed.
#[derive(Clone, Copy, Debug)]
pub struct Matmul {
    first: bool,
    second: bool,
    /// Products of a sum.
    sums: u64,
}

fn rows_and_columns(of: Shape, transposed: bool) -> [u64; 2] {
    let (rows, columns) = (of.pixels(), of.channels());
    if transposed { [columns, rows] } else { [rows, columns] }
}

impl Operation for Matmul {
    fn call(&self) -> Call {
        Call::new("matmul")
            .with("first", self.first)
            .with("second", self.second)
    }

    fn takes(&self, input: Shape) -> bool {
        matches!(input, Shape::Tokens { .. })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        let [first, second] =
            [(inputs[0], self.first), (inputs[1], self.second)].map(|(of, t)| rows_and_columns(of, t));
        if first[1] == second[0] {
            return Ok(Shape::Tokens {
                length: first[0],
                features: second[1],
            });
        }
        let text = format!(
            "matrices of {} x {} and {} x {} cannot be multiplied",
            first[0], first[1], second[0], second[1]
        );
        Err(Problem::new(Code::ShapesDiffer, text).help(
            "the columns of the first must be as many as the rows of the second: `transpose_first = true` or `transpose_second = true`",
        ))
    }

    fn macs(&self, output: Shape) -> u128 {
        u128::from(self.sums) * u128::from(output.elements())
    }

    fn details(&self) -> Vec<String> {
        let words = [(self.first, "transpose_first"), (self.second, "transpose_second")];
        let words = words.into_iter().filter(|(is, _)| *is);
        words.map(|(_, word)| word.to_owned()).collect()
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Err("its product is of all positions, later ones included")
    }

    fn rust(&self, to: &mut Rust) {
        let (first, second) = (self.first, self.second);
        to.composed_pair(quote!(rt::op::Matmul { first: #first, second: #second }));
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let inputs = to.inputs();
        let [first, second] = [(0, self.first), (1, self.second)].map(|(at, transposed): (usize, bool)| {
            let (name, _) = &inputs[at];
            if transposed {
                to.transpose(name, &[0, 2, 1])
            } else {
                name.clone()
            }
        });
        to.apply("MatMul", &[&first, &second])
    }

    fn python(&self, to: &mut Python) {
        let inputs = to.inputs();
        let transpose = |transposed| if transposed { ".transpose(1, 2)" } else { "" };
        let of = |at: usize, transposed| format!("{}{}", inputs[at].0, transpose(transposed));
        to.call_of("torch.matmul", vec![of(0, self.first), of(1, self.second)], "");
    }
}
