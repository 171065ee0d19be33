//! Arguments in PyTorch's order, which begins with the input channels.

use super::Elaborator;
use crate::ast::{Call, Dims, ExprKind};
use crate::diag::{Code, Diagnostic};
use crate::ir::{Op, Shape};
use crate::ops::{ArgValue, Args, Problem};
use crate::source::Span;

/// The smallest size that is a number of channels rather than of a kernel.
const CHANNELS: u64 = 8;
/// The smallest size that is a kernel's or a number of channels rather than a stride.
const KERNEL: u64 = 3;

impl Elaborator<'_, '_> {
    /// Warns of arguments in PyTorch's order, or says so where they make no layer.
    pub(super) fn check_order(
        &mut self,
        call: &Call,
        args: &Args,
        input: Shape,
        result: Result<(Op, Shape), Problem>,
    ) -> Result<(Op, Shape), Problem> {
        let Some((message, help, fix)) = pytorch_order(call, args, input) else {
            return result;
        };
        match result {
            Ok(layer) => {
                let warning = Diagnostic::warning(Code::Suspicious, fix.0, message).help(help);
                let is_literal = call.args.iter().all(|arg| is_literal(&arg.value));
                self.diagnostics.push(match is_literal {
                    true => warning.fix(fix.0, fix.1),
                    false => warning,
                });
                Ok(layer)
            }
            Err(problem) => Err(Problem {
                help: Some(help),
                ..problem
            }),
        }
    }
}

fn is_literal(dims: &Dims) -> bool {
    dims.sizes.iter().all(|size| matches!(size.kind, ExprKind::Int(_)))
}

/// What is said of a convolution whose first arguments read like input channels, output channels and kernel,
/// and what would stand in their place.
fn pytorch_order(call: &Call, args: &Args, input: Shape) -> Option<(String, String, (Span, String))> {
    let by_position: Vec<_> = call.args.iter().take_while(|arg| arg.name.is_none()).collect();
    let size = |param: &str| match args.get(param) {
        Some(ArgValue::Size(size)) => Some(size),
        Some(ArgValue::Sizes([height, width])) if height == width => Some(height),
        _ => None,
    };
    let params: &[&str] = match call.name.value.as_str() {
        "conv" => &["channels", "kernel", "stride"],
        "pointwise" => &["channels", "stride"],
        "depthwise" => &["kernel", "stride"],
        _ => return None,
    };
    let given = by_position.get(..params.len())?;
    let sizes: Vec<u64> = params.iter().map(|param| size(param)).collect::<Option<_>>()?;
    let is_input = sizes[0] == input.channels();
    let (message, new) = match sizes.as_slice() {
        [channels, kernel, stride]
            if kernel != stride
                && (is_input && *kernel >= CHANNELS
                    || kernel > stride && *stride >= KERNEL && (is_input || channels < kernel)) =>
        {
            (
                format!("this convolution has a {kernel}x{kernel} kernel and stride {stride}"),
                format!("{kernel}, kernel = {stride}"),
            )
        }
        [_, stride] if params[0] == "channels" && *stride >= KERNEL && is_input => {
            (format!("this convolution has stride {stride}"), stride.to_string())
        }
        [kernel, stride] if params[0] == "kernel" && *kernel >= CHANNELS && is_input => (
            format!("this convolution has a {kernel}x{kernel} kernel and stride {stride}"),
            format!("kernel = {stride}"),
        ),
        _ => return None,
    };
    let span = given.first()?.value.span.to(given.last()?.value.span);
    let help = format!(
        "input channels are inferred from the previous layer; if these are PyTorch's arguments, write `{}({new})`",
        call.name.value
    );
    Some((message, help, (span, new)))
}
