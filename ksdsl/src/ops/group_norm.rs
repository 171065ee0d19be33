//! Group normalisation.

use super::prelude::*;
use crate::steps::Kind;

/// PyTorch's default.
const EPS: Real = Real(1e-5);

const NUMBER: ParamKind = ParamKind::Number { min: 0.0, max: 1.0 };

pub(super) const LAYERS: &[LayerDef] = &[
    LayerDef {
        name: "group_norm",
        doc: "group normalisation (Wu & He 2018): over groups of channels of an image",
        params: &[
            param("groups", ParamKind::Size, true),
            param("eps", NUMBER, false),
            param("affine", ParamKind::Flag, false),
        ],
        family: Family::Norm,
        resolve: Resolve::One(|args, input| {
            let (channels, groups) = (input.channels(), args.size("groups", 1));
            if channels % groups != 0 {
                let text = format!("{channels} channels cannot be split into {groups} groups");
                return Err(Problem::new(Code::GroupsDoNotDivide, text)
                    .at("groups")
                    .help("choose a number of groups that divides the channels"));
            }
            Ok(Some(norm(args, channels, groups, true)))
        }),
    },
    LayerDef {
        name: "instance_norm",
        doc: "instance normalisation (Ulyanov et al. 2016): over each channel of an image",
        params: &[param("eps", NUMBER, false), param("affine", ParamKind::Flag, false)],
        family: Family::Norm,
        resolve: Resolve::One(|args, input| {
            let (channels, ..) = map_of("instance_norm", input)?;
            Ok(Some(norm(args, channels, channels, false)))
        }),
    },
];

fn norm(args: &Args, channels: u64, groups: u64, affine: bool) -> Op {
    Op::new(GroupNorm {
        channels,
        groups,
        eps: Real(args.number("eps", EPS.0)),
        affine: args.flag("affine", affine),
    })
}

/// Normalisation over groups of consecutive channels of an image, with scale and shift per channel or without.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    channels: u64,
    groups: u64,
    eps: Real,
    affine: bool,
}

impl Operation for GroupNorm {
    fn call(&self) -> Call {
        Call::new("group_norm")
            .with("channels", self.channels)
            .with("groups", self.groups)
            .with("eps", self.eps)
            .with("affine", self.affine)
    }

    /// With a group for each channel it is instance normalisation.
    fn is_kind(&self, kind: &str) -> bool {
        match kind {
            "group_norm" => true,
            "instance_norm" => self.groups == self.channels,
            _ => false,
        }
    }

    fn tensors(&self) -> Vec<Tensor> {
        if !self.affine {
            return Vec::new();
        }
        vec![
            Tensor::of_norm("weight", self.channels, 1.0),
            Tensor::of_norm("bias", self.channels, 0.0),
        ]
    }

    /// Groups may differ: scale and shift are per channel.
    fn sharing(&self) -> Option<Sharing> {
        Sharing::of_norm("group norm", self.channels).filter(|_| self.affine)
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![format!("groups {}", self.groups)];
        words.extend((self.eps != EPS).then(|| format!("eps {}", self.eps.0)));
        words.extend((!self.affine).then(|| "no affine".to_owned()));
        words
    }

    fn decodes(&self, _: &[Shape]) -> Result<(), &'static str> {
        Err("its statistics are those of all positions, later ones included")
    }

    fn rust(&self, to: &mut Rust) {
        let (groups, eps) = (rust::size(self.groups), rust::real(self.eps.0));
        let tensors: &[&str] = if self.affine { &["weight", "bias"] } else { &[] };
        to.composed(quote!(rt::op::GroupNorm { groups: #groups, eps: #eps }), tensors);
    }

    fn onnx(&self, to: &mut Onnx<'_>) -> String {
        let (x, shape) = (to.x(), to.shape());
        let groups = self.groups as usize;
        let x = to.reshape(&x, &[0, onnx::long(self.groups), -1]);
        let [ones, zeros] = [1.0, 0.0].map(|value| to.reals(&[self.groups], vec![value; groups]));
        let epsilon = vec![onnx::real("epsilon", self.eps)];
        let y = to.node("InstanceNormalization", &[&x, &ones, &zeros], epsilon);
        let sizes: Vec<i64> = shape.sizes().into_iter().map(onnx::long).collect();
        let mut y = to.reshape(&y, &[&[0], sizes.as_slice()].concat());
        for (op, name) in [("Mul", "weight"), ("Add", "bias")] {
            if let Some(numbers) = to.tensor(name) {
                let numbers = to.over_channels(&numbers, shape);
                y = to.apply(op, &[&y, &numbers]);
            }
        }
        y
    }

    fn lower(&self, to: &mut Lower<'_, '_>) -> Lowered {
        let affine = match self.affine {
            true => Some([to.needed("weight")?, to.needed("bias")?]),
            false => None,
        };
        let (x, groups, eps) = (to.x(), lower::count(self.groups), self.eps.0 as f32);
        Ok(to.step(Kind::GroupNorm { affine, groups, eps }, &[x]))
    }

    fn python(&self, to: &mut Python) {
        let mut args = vec![self.groups.to_string()];
        args.extend(to.tensors(&["weight", "bias"]));
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        to.call("F.group_norm", args);
    }
}
