//! Group normalisation.

use super::prelude::*;

/// PyTorch's default.
const EPS: Real = Real(1e-5);

pub(super) const LAYERS: &[LayerDef] = &[LayerDef {
    name: "group_norm",
    doc: "group normalisation (Wu & He 2018): over groups of channels of an image",
    params: &[
        param("groups", ParamKind::Size, true),
        param("eps", ParamKind::Number { min: 0.0, max: 1.0 }, false),
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
        Ok(Some(Op::new(GroupNorm {
            channels,
            groups,
            eps: Real(args.number("eps", EPS.0)),
        })))
    }),
}];

/// Normalisation over groups of consecutive channels of an image, with scale and shift per channel.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    channels: u64,
    groups: u64,
    eps: Real,
}

impl Operation for GroupNorm {
    fn call(&self) -> Call {
        Call::new("group_norm")
            .with("channels", self.channels)
            .with("groups", self.groups)
            .with("eps", self.eps)
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![
            Tensor::of_norm("weight", self.channels, 1.0),
            Tensor::of_norm("bias", self.channels, 0.0),
        ]
    }

    /// Groups may differ: scale and shift are per channel.
    fn sharing(&self) -> Option<Sharing> {
        Sharing::of_norm("group norm", self.channels)
    }

    fn details(&self) -> Vec<String> {
        let mut words = vec![format!("groups {}", self.groups)];
        words.extend((self.eps != EPS).then(|| format!("eps {}", self.eps.0)));
        words
    }

    fn rust(&self, to: &mut Rust) {
        let (groups, eps) = (rust::size(self.groups), rust::real(self.eps.0));
        to.composed(
            quote!(rt::op::GroupNorm { groups: #groups, eps: #eps }),
            &["weight", "bias"],
        );
    }

    fn python(&self, to: &mut Python) {
        let mut args = vec![self.groups.to_string()];
        args.extend(to.tensors(&["weight", "bias"]));
        args.extend((self.eps != EPS).then(|| format!("eps={:?}", self.eps.0)));
        to.call("F.group_norm", args);
    }
}
