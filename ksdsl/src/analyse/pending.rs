//! Values that are deferred until their consumer is known, and what the backward pass needs of them: the runtime's
//! rules (`pending` and `saved` of `ksdsl-runtime`), on buffers that hold nothing.

use super::buffer::{Buffer, Gradient, Meter};
use super::kernel::{Convolution, Remade};
use super::param::Param;
use super::weight::Weight;
use std::cell::OnceCell;
use std::rc::Rc;

/// Most passes in which an output is recomputed; one that needs more is kept.
const DEEPEST: usize = 2;

/// What the backward pass needs of an activation.
#[derive(Clone, Debug)]
pub(super) enum Saved {
    Kept(Rc<Buffer>),
    Recompute(Rc<Recompute>),
}

/// A norm's output, to be recomputed.
#[derive(Debug)]
pub(super) struct Recompute {
    input: Saved,
    _statistics: Rc<Buffer>,
    residual: Option<Saved>,
    /// Whether it is a batch norm's and nothing but a residual follows.
    open: bool,
    /// The values, once made for one of several uses.
    made: OnceCell<Rc<Buffer>>,
}

impl Saved {
    /// The output `y` of a norm, recomputed where that is cheap enough, and kept otherwise. `open`: it
    /// is a batch norm's, and nothing but a residual follows.
    pub(super) fn output(
        input: Saved,
        statistics: Rc<Buffer>,
        residual: Option<Saved>,
        y: &Rc<Buffer>,
        open: bool,
    ) -> Saved {
        let recompute = Recompute {
            input,
            _statistics: statistics,
            residual,
            open,
            made: OnceCell::new(),
        };
        match recompute.depth() <= DEEPEST {
            true => Saved::Recompute(Rc::new(recompute)),
            false => Saved::Kept(y.clone()),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Kept(_) => 0,
            Self::Recompute(recompute) => recompute.depth(),
        }
    }

    pub(super) fn get(&self) -> Rc<Buffer> {
        match self {
            Self::Kept(data) => data.clone(),
            Self::Recompute(recompute) => match recompute.made.get() {
                Some(made) => made.clone(),
                None => {
                    let input = recompute.input.keep();
                    let _residual = recompute.residual.as_ref().map(Saved::keep);
                    Rc::new(input.alike())
                }
            },
        }
    }

    /// The values, kept for the other uses if there are any.
    fn keep(&self) -> Rc<Buffer> {
        let values = self.get();
        match self {
            Self::Recompute(recompute) if Rc::strong_count(recompute) > 1 => {
                recompute.made.get_or_init(|| values).clone()
            }
            _ => values,
        }
    }

    /// How the values are recomputed piece by piece, if they are not there; what has other uses is
    /// made for all of them now.
    fn remade(&self) -> Option<Remade> {
        let Self::Recompute(recompute) = self else { return None };
        if Rc::strong_count(recompute) > 1 {
            self.keep();
        }
        if recompute.made.get().is_some() {
            return None;
        }
        let residual = recompute.residual.as_ref().and_then(Saved::remade);
        let _ = recompute.input.remade();
        Some(Remade {
            open: recompute.open,
            scratch: residual.is_some(),
        })
    }
}

impl Recompute {
    fn depth(&self) -> usize {
        1 + self.input.depth().max(self.residual.as_ref().map_or(0, Saved::depth))
    }
}

/// The tape: what the backward pass does, last first.
#[derive(Default)]
pub(super) struct Tape(Vec<Box<dyn FnOnce()>>);

impl Tape {
    /// Records something to be done for sure.
    pub(super) fn push(&mut self, f: impl FnOnce() + 'static) {
        self.0.push(Box::new(f));
    }

    /// Records the backward pass of an operation, for the gradient of its output.
    fn record(&mut self, gradient: &Gradient, f: impl FnOnce(Buffer) + 'static) {
        let gradient = gradient.clone();
        self.push(move || {
            if let Some(dy) = gradient.take() {
                f(dy);
            }
        });
    }

    /// Runs and empties it.
    pub(super) fn run(&mut self) {
        while let Some(f) = self.0.pop() {
            f();
        }
    }
}

/// What a pass needs everywhere.
pub(super) struct Context {
    pub(super) meter: Rc<Meter>,
    pub(super) training: bool,
    pub(super) tape: Tape,
}

impl Context {
    /// Records the backward pass of an operation; in inference what it holds is let go.
    pub(super) fn record(&mut self, gradient: &Gradient, f: impl FnOnce(Buffer) + 'static) {
        if self.training {
            self.tape.record(gradient, f);
        }
    }
}

/// An activation's values, there or to come.
pub(super) enum Value {
    Ready(Rc<Buffer>, Saved),
    Conv(Box<ConvStep>),
    Norm(Box<NormStep>),
    Gate(Box<GateStep>),
}

/// A convolution with what follows it.
pub(super) struct ConvStep {
    pub(super) size: Convolution,
    /// The input, until the convolution ran; that of the one behind if there is one.
    pub(super) x: Rc<Buffer>,
    /// A convolution before it that runs with it.
    pub(super) behind: Option<Box<ConvStep>>,
    pub(super) saved: Saved,
    pub(super) gradient: Gradient,
    pub(super) weight: Weight,
    pub(super) bias: Option<Param>,
    pub(super) before: Option<&'static str>,
    /// Of a norm with running statistics.
    pub(super) affine: Option<Buffer>,
    pub(super) residual: Option<Rc<Buffer>>,
    pub(super) after: bool,
}

/// A norm whose statistics are known.
pub(super) struct NormStep {
    pub(super) input: Rc<Buffer>,
    pub(super) saved: Saved,
    /// The input after an activation.
    pub(super) activated: Option<Buffer>,
    pub(super) source: Source,
    pub(super) parameters: Vec<Param>,
    pub(super) statistics: Rc<Buffer>,
    pub(super) residual: Option<Branch>,
    pub(super) after: bool,
}

/// A gate with what follows it.
pub(super) struct GateStep {
    pub(super) input: Branch,
    pub(super) gate: Branch,
    pub(super) residual: Option<Branch>,
    pub(super) after: bool,
}

/// One of the inputs of an operation.
pub(super) struct Branch {
    pub(super) data: Rc<Buffer>,
    pub(super) saved: Saved,
    pub(super) gradient: Gradient,
}

/// Where a norm's input comes from.
pub(super) enum Source {
    Conv(Box<ConvBackward>),
    Other(Gradient),
}

/// What a convolution's backward pass needs.
pub(super) struct ConvBackward {
    size: Convolution,
    saved: Saved,
    gradient: Gradient,
    weight: Weight,
    bias: Option<Param>,
}

impl ConvBackward {
    /// Together with the norm after it, whose output's gradient is `dy`.
    fn run_with_norm(self, meter: &Rc<Meter>, dy: Buffer) {
        let x = self.saved.remade();
        let others = self.gradient.take();
        if let Some(bias) = &self.bias {
            bias.accumulate(meter);
        }
        let kernel = self.weight.kernel(meter);
        let dx = self.weight.gather(meter, |sums| {
            self.size.joined(meter, &kernel, sums, x, dy, others.is_some())
        });
        drop(others);
        self.gradient.add(dx);
    }

    fn run(self, meter: &Rc<Meter>, _dy: &Buffer) {
        let x = self.saved.get();
        self.weight.accumulate(meter, &self.size);
        drop(x);
        if let Some(bias) = &self.bias {
            bias.accumulate(meter);
        }
        let others = self.gradient.take();
        let dx = self.size.backward_data(meter, &self.weight.kernel(meter));
        drop(others);
        self.gradient.add(dx);
    }
}

impl ConvStep {
    fn is_open(&self) -> bool {
        self.residual.is_none() && !self.after
    }

    /// Whether nothing but an activation follows yet.
    pub(super) fn is_plain(&self) -> bool {
        self.is_open() && self.affine.is_none()
    }

    pub(super) fn forward(&self, meter: &Rc<Meter>) -> Buffer {
        let kernel = self.weight.kernel(meter);
        match &self.behind {
            Some(behind) => behind
                .size
                .chain(meter, &behind.weight.kernel(meter), &self.size, &kernel),
            None => self.size.forward(meter, &kernel),
        }
    }

    /// The input itself is let go.
    pub(super) fn into_backward(self) -> ConvBackward {
        ConvBackward {
            size: self.size,
            saved: self.saved,
            gradient: self.gradient,
            weight: self.weight,
            bias: self.bias,
        }
    }

    fn compute(self, context: &mut Context, gradient: &Gradient) -> Rc<Buffer> {
        let y = Rc::new(self.forward(&context.meter));
        if !context.training {
            return y;
        }
        let (before, meter) = (self.before, context.meter.clone());
        let backward = self.into_backward();
        let Some(kind) = before else {
            context.record(gradient, move |dy| backward.run(&meter, &dy));
            return y;
        };
        let inner = Gradient::default();
        context.record(&inner, move |dy| backward.run(&meter, &dy));
        activate(kind, y, inner, context, gradient)
    }
}

/// An activation function as a pass of its own.
pub(super) fn activate(
    kind: &'static str,
    x: Rc<Buffer>,
    input: Gradient,
    context: &mut Context,
    gradient: &Gradient,
) -> Rc<Buffer> {
    // Of these two the gradient depends on the output alone.
    let saves_output = matches!(kind, "relu" | "sigmoid");
    let before = (context.training && !saves_output).then(|| x.clone());
    let y = Rc::new(Buffer::owned(x));
    let saved = before.unwrap_or_else(|| y.clone());
    context.record(gradient, move |dy| {
        input.add(dy);
        drop(saved);
    });
    y
}

impl NormStep {
    fn compute(self, context: &mut Context, gradient: &Gradient) -> (Rc<Buffer>, Saved) {
        let y = Rc::new(self.activated.unwrap_or_else(|| self.input.alike()));
        if !context.training {
            return (y.clone(), Saved::Kept(y));
        }
        let masked = self.after && self.residual.is_some();
        let saved = if masked {
            Saved::Kept(y.clone())
        } else {
            let residual = self.residual.as_ref().map(|residual| residual.saved.clone());
            Saved::output(self.saved.clone(), self.statistics.clone(), residual, &y, !self.after)
        };
        let backward = NormBackward {
            input: self.saved,
            output: masked.then(|| y.clone()),
            source: self.source,
            parameters: self.parameters,
            _statistics: self.statistics,
            residual: self.residual.map(|residual| residual.gradient),
        };
        let meter = context.meter.clone();
        context.record(gradient, move |dy| backward.run(&meter, dy));
        (y, saved)
    }
}

impl GateStep {
    fn compute(self, context: &mut Context, gradient: &Gradient) -> (Rc<Buffer>, Saved) {
        let Self {
            input,
            gate,
            residual,
            after,
        } = self;
        let y = Rc::new(input.data.alike());
        let saved = Saved::Kept(y.clone());
        if !context.training {
            return (y, saved);
        }
        let output = after.then(|| y.clone());
        let (x, dx, scale, dscale) = (input.saved, input.gradient, gate.saved, gate.gradient);
        let residual = residual.map(|residual| residual.gradient);
        context.record(gradient, move |dy| {
            let (input, factors) = (x.get(), scale.get());
            let gradient = input.alike();
            let dfactors = factors.alike();
            // What is not the residual's is let go.
            let dresidual = residual.is_some().then_some(dy);
            if let (Some(residual), Some(dresidual)) = (residual, dresidual) {
                residual.add(dresidual);
            }
            dx.add(gradient);
            dscale.add(dfactors);
            drop((input, factors, output));
        });
        (y, saved)
    }
}

struct NormBackward {
    input: Saved,
    output: Option<Rc<Buffer>>,
    source: Source,
    parameters: Vec<Param>,
    _statistics: Rc<Buffer>,
    residual: Option<Gradient>,
}

impl NormBackward {
    fn run(self, meter: &Rc<Meter>, dy: Buffer) {
        let input = self.input.get();
        for param in &self.parameters {
            param.accumulate(meter);
        }
        let source = match self.source {
            Source::Conv(conv) if self.residual.is_none() && conv.size.joins_norm() => {
                return conv.run_with_norm(meter, dy);
            }
            source => source,
        };
        let (dz, dresidual) = match &self.residual {
            // Written over the gradient of the output.
            None => (dy, None),
            Some(_) => (dy.alike(), Some(dy)),
        };
        drop((input, self.input, self.output));
        if let (Some(residual), Some(dresidual)) = (&self.residual, dresidual) {
            residual.add(dresidual);
        }
        match source {
            Source::Conv(conv) => conv.run(meter, &dz),
            Source::Other(gradient) => gradient.add(dz),
        }
    }
}

impl Value {
    /// Values that are there and kept for the backward pass.
    pub(super) fn ready(data: Rc<Buffer>) -> Self {
        Self::Ready(data.clone(), Saved::Kept(data))
    }

    /// Computes the values, if that has not been done.
    pub(super) fn compute(self, context: &mut Context, gradient: &Gradient) -> (Rc<Buffer>, Saved) {
        match self {
            Self::Ready(data, saved) => (data, saved),
            Self::Conv(step) => {
                let y = step.compute(context, gradient);
                (y.clone(), Saved::Kept(y))
            }
            Self::Norm(step) => step.compute(context, gradient),
            Self::Gate(step) => step.compute(context, gradient),
        }
    }

    /// Takes up an activation. `false`: it must be a pass of its own.
    pub(super) fn take_activation(&mut self, kind: &'static str, training: bool) -> bool {
        let relu = kind == "relu";
        match self {
            Self::Conv(step) if step.before.is_none() && step.is_plain() => step.before = Some(kind),
            Self::Conv(step) if !training && !step.after && relu => step.after = true,
            Self::Norm(step) if !step.after && relu => step.after = true,
            Self::Gate(step) if !step.after && relu => step.after = true,
            _ => return false,
        }
        true
    }

    /// Whether a residual can be taken up.
    pub(super) fn takes_residual(&self, training: bool) -> bool {
        match self {
            Self::Ready(..) => false,
            Self::Conv(step) => !training && step.is_open(),
            Self::Norm(step) => !step.after && step.residual.is_none(),
            Self::Gate(step) => !step.after && step.residual.is_none(),
        }
    }

    /// Takes up a residual, if it [can](Self::takes_residual).
    pub(super) fn take_residual(&mut self, residual: Branch) {
        match self {
            Self::Ready(..) => {}
            Self::Conv(step) => step.residual = Some(residual.data),
            Self::Norm(step) => step.residual = Some(residual),
            Self::Gate(step) => step.residual = Some(residual),
        }
    }
}
