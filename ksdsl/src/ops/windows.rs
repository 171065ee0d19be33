//! The windows of maps as tokens, window after window.

use super::prelude::*;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "windows",
    doc: "the positions of feature maps as tokens, window after window",
    params: &[param("size", ParamKind::Sizes, true)],
    family: Family::Other,
    resolve: Resolve::One(|args, input| {
        let (_, height, width) = map_of("windows", input)?;
        let size = args.sizes("size", [1, 1]);
        cover([height, width], size)?;
        Ok(Some(Op::new(Windows { size })))
    }),
}];

/// Whether windows of this size cover a map.
pub(super) fn cover([height, width]: [u64; 2], [rows, columns]: [u64; 2]) -> Result<(), Problem> {
    if height.is_multiple_of(rows) && width.is_multiple_of(columns) {
        return Ok(());
    }
    let text = format!("windows of {rows} x {columns} do not cover maps of {height} x {width}");
    Err(Problem::new(Code::InexactDivision, text)
        .at("size")
        .help("choose sizes that divide those of the maps, or write `pad` before"))
}

/// The windows of maps as the tokens of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    size: [u64; 2],
}

impl Operation for Windows {
    fn call(&self) -> Call {
        let [height, width] = self.size;
        Call::new("windows").with("height", height).with("width", width)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, Problem> {
        Ok(Shape::Tokens {
            length: inputs[0].pixels(),
            features: inputs[0].channels(),
        })
    }

    fn details(&self) -> Vec<String> {
        vec![format!("size {}", pair(self.size))]
    }

    fn rust(&self, to: &mut Rust) {
        let [height, width] = self.size.map(rust::size);
        to.composed(quote!(rt::op::Windows { height: #height, width: #width }), &[]);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, [channels, height, width]) = (to.x(), onnx::map_sizes(to.shape()));
        let [rows, columns] = self.size.map(onnx::long);
        let x = to.reshape(
            &x,
            &[0, channels, height / rows.max(1), rows, width / columns.max(1), columns],
        );
        let x = to.transpose(&x, &[0, 2, 4, 3, 5, 1]);
        to.reshape(&x, &[0, height * width, channels])
    }

    fn python(&self, to: &mut Python) {
        to.needs(&FUNCTION);
        to.call("windows", self.size.iter().map(u64::to_string).collect());
    }
}

const FUNCTION: Helper = Helper {
    name: "windows",
    needs: &[],
    text: r#"def windows(x, rows: int, columns: int):
    """The positions of feature maps as tokens, window after window."""
    x = x.unflatten(3, (-1, columns)).unflatten(2, (-1, rows))
    return x.permute(0, 2, 4, 3, 5, 1).flatten(1, 4)
"#,
};
