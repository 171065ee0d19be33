//! Attention within the windows of maps: `attend` between `windows` and `merge_windows`.

use super::attend::split;
use super::prelude::*;
use super::windows::cover;

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "window_attention",
    doc: "self-attention within the windows of maps, which may be shifted (Liu et al. 2021)",
    params: &[
        param("heads", ParamKind::Size, true),
        param("size", ParamKind::Sizes, true),
        param("shift", ParamKind::Zeros, false),
        param("relative", ParamKind::Flag, false),
        param("relative_init", ParamKind::Init, false),
        param("bias", ParamKind::Flag, false),
        param("init", ParamKind::Init, false),
        param("bias_init", ParamKind::Init, false),
    ],
    family: Family::Other,
    resolve: Resolve::Block(Block {
        constants: |args, input| {
            let (channels, height, width) = map_of("window_attention", input)?;
            let heads = args.size("heads", 1);
            split(channels, heads)?;
            let ([rows, columns], [up, left]) = (args.sizes("size", [1, 1]), args.sizes("shift", [0, 0]));
            cover([height, width], [rows, columns])?;
            if up >= rows || left >= columns {
                let text = format!("a shift by {up} x {left} is not less than a window of {rows} x {columns}");
                return Err(Problem::new(Code::OutOfRange, text)
                    .at("shift")
                    .help("half a window is usual"));
            }
            Ok(vec![
                ("channels", size(channels)),
                ("heads", size(heads)),
                ("height", size(height)),
                ("width", size(width)),
                ("rows", size(rows)),
                ("columns", size(columns)),
                ("up", size(up)),
                ("left", size(left)),
                ("relative", Value::Bool(args.flag("relative", true))),
                ("bias", Value::Bool(args.flag("bias", true))),
            ])
        },
        text: "
            when up + left > 0 { roll(up = up, left = left) }
            windows(rows x columns)
            attend(
                heads = heads, chunk = rows * columns, grid = rows x columns, relative = relative,
                map = height x width, shift = up x left
            ) {
                path { q: linear(channels, bias = bias) }
                path { k: linear(channels, bias = bias) }
                path { v: linear(channels, bias = bias) }
            }
            out: linear(channels, bias = bias)
            merge_windows(rows x columns, map = height x width)
            when up + left > 0 { roll(down = up, right = left) }
        ",
    }),
}];
