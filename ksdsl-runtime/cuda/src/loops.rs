//! Loops over operands: a kernel is written for each, compiled when it first runs.

use super::buf::CudaBuf;
use super::error::Error;
use super::gpu::Gpu;
use super::real::CudaReal;
use super::source::Arg;
use ksdsl_engine::loops::{Binary, Expr, Loops, Unary, View};
use std::fmt::Write;
use std::sync::Arc;

/// Sums of more addends are made in parts.
const MOST_ADDENDS: usize = 2048;
/// Most parts of a sum.
const MOST_PARTS: usize = 256;

/// What is computed: [`Exec::compute`](ksdsl_engine::Exec::compute).
pub(super) fn compute<E: CudaReal>(
    gpu: &Arc<Gpu>,
    loops: &Loops,
    operands: &[&CudaBuf<E>],
) -> Result<CudaBuf<E>, Error> {
    let reaches = loops.views.iter().map(|view| loops.reach(view));
    let fits = reaches.zip(operands).all(|(reach, operand)| reach <= operand.len());
    if !fits || loops.views.len() != operands.len() {
        return Err(Error::WrongLength);
    }
    let y = gpu.scratch::<E>(loops.len())?;
    if loops.is_empty() {
        return Ok(y);
    }
    let parts = loops.addends().div_ceil(MOST_ADDENDS).clamp(1, MOST_PARTS);
    let [each, join] = gpu.functions(source::<E>(loops, parts), ["each", "join"])?;
    let inputs = operands.iter().map(|operand| operand.arg());
    if parts == 1 {
        let args: Vec<Arg<E>> = std::iter::once(y.arg()).chain(inputs).collect();
        // SAFETY: the arguments are those that `source` declares; the lengths were compared.
        unsafe { gpu.run(each, loops.len(), &args) }?;
        return Ok(y);
    }
    let sums = gpu.scratch::<f64>(parts * loops.len())?;
    let args: Vec<Arg<E>> = std::iter::once(sums.arg()).chain(inputs).collect();
    // SAFETY: as above; there is a sum for each part of each element.
    unsafe { gpu.run(each, parts * loops.len(), &args) }?;
    // SAFETY: as above.
    unsafe { gpu.run(join, loops.len(), &[y.arg::<E>(), sums.arg()]) }?;
    Ok(y)
}

/// The kernels: `each` computes the elements, or the parts of their sums; `join` adds the parts in order.
fn source<E: CudaReal>(loops: &Loops, parts: usize) -> String {
    let real = E::NAME;
    let mut text = format!("typedef {real} real;\ntypedef long long idx;\n");
    for (operand, view) in loops.views.iter().enumerate() {
        for (number, table) in view.tables.iter().enumerate() {
            let offsets: Vec<String> = table.offsets.iter().map(usize::to_string).collect();
            let _ = writeln!(
                text,
                "__device__ const idx table_{operand}_{number}[] = {{{}}};",
                offsets.join(", ")
            );
        }
    }
    let inputs: String = (0..loops.views.len()).map(|n| format!(", const real *p{n}")).collect();
    let (len, addends) = (loops.len(), loops.addends());
    let to = if parts == 1 { "real" } else { "double" };
    let _ = writeln!(text, "extern \"C\" __global__ void each({to} *y{inputs}) {{");
    let _ = writeln!(text, "{}", for_each("at", parts * len));
    let _ = writeln!(text, "{}", indices("at", "rest", &loops.output, 0));
    let value = expression(&loops.value, loops);
    if loops.summed.is_empty() {
        let _ = writeln!(text, "y[at] = {value};\n}}\n}}");
    } else {
        let each = addends.div_ceil(parts);
        let _ = writeln!(text, "const idx first = at / {len} * {each};");
        let _ = writeln!(
            text,
            "const idx end = first + {each} < {addends} ? first + {each} : (idx){addends};"
        );
        let _ = writeln!(
            text,
            "double sum = 0;\nfor (idx addend = first; addend < end; addend++) {{"
        );
        let _ = writeln!(text, "{}", indices("addend", "more", &loops.summed, loops.output.len()));
        let _ = writeln!(text, "sum += (double)({value});\n}}\ny[at] = ({to})sum;\n}}\n}}");
    }
    let _ = writeln!(
        text,
        "extern \"C\" __global__ void join(real *y, const double *sums) {{"
    );
    let _ = writeln!(text, "{}", for_each("at", len));
    let _ = writeln!(
        text,
        "double sum = 0;\nfor (idx part = 0; part < {parts}; part++) sum += sums[part * {len} + at];"
    );
    let _ = writeln!(text, "y[at] = (real)sum;\n}}\n}}");
    text
}

fn for_each(name: &str, len: usize) -> String {
    let step = "(idx)gridDim.x * blockDim.x";
    format!("for (idx {name} = (idx)blockIdx.x * blockDim.x + threadIdx.x; {name} < {len}; {name} += {step}) {{")
}

/// The indices of loops of these sizes, from the `first`-th on, of a number of a combination.
fn indices(of: &str, rest: &str, sizes: &[usize], first: usize) -> String {
    let mut text = format!("idx {rest} = {of};");
    for (at, size) in sizes.iter().enumerate().rev() {
        let _ = write!(text, "\nconst idx i{} = {rest} % {size}; {rest} /= {size};", first + at);
    }
    text
}

fn expression(value: &Expr, loops: &Loops) -> String {
    match value {
        Expr::Operand(n) => format!("p{n}[{}]", place(*n, &loops.views[*n], loops)),
        Expr::Constant(value) => format!("(real)({value:e})"),
        Expr::Unary(function, of) => {
            let name = match function {
                Unary::Exp => "exp",
                Unary::ExpM1 => "expm1",
                Unary::Ln1P => "log1p",
                Unary::Sqrt => "sqrt",
                Unary::Tanh => "tanh",
            };
            format!("{name}({})", expression(of, loops))
        }
        Expr::Binary(function, of) => {
            let sign = match function {
                Binary::Add => "+",
                Binary::Subtract => "-",
                Binary::Multiply => "*",
                Binary::Divide => "/",
            };
            let [a, b] = [expression(&of[0], loops), expression(&of[1], loops)];
            format!("({a} {sign} {b})")
        }
        Expr::IfPositive(of) => {
            let [choice, then, otherwise] = [&of[0], &of[1], &of[2]].map(|of| expression(of, loops));
            format!("({choice} > (real)0 ? {then} : {otherwise})")
        }
    }
}

/// Where an operand's element is.
fn place(operand: usize, view: &View, loops: &Loops) -> String {
    let sizes: Vec<usize> = loops.sizes().collect();
    let steps = view.steps.iter().enumerate().filter(|(_, step)| **step > 0);
    let mut terms: Vec<String> = steps.map(|(at, step)| format!("i{at} * {step}")).collect();
    for (number, table) in view.tables.iter().enumerate() {
        let index = table
            .loops
            .iter()
            .fold("0".to_owned(), |sum, &at| format!("({sum}) * {} + i{at}", sizes[at]));
        terms.push(format!("table_{operand}_{number}[{index}]"));
    }
    match terms.is_empty() {
        true => "0".to_owned(),
        false => terms.join(" + "),
    }
}
