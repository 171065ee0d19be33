//! Python names for what the writer named. The names of parts are the segments of checkpoint keys,
//! so they stay as they are; only the way to reach a part changes.

use crate::plan::camel;
use std::collections::HashSet;

/// Words of Python's, soft ones included.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "match",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Attributes of `torch.nn.Module` (PyTorch 2.15): `dir(torch.nn.Module())`.
const ATTRIBUTES: &[&str] = &[
    "T_destination",
    "add_module",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "compile",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "ipu",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "xpu",
    "zero_grad",
];

/// The attribute of networks that says which layers each shared tensor serves.
pub(super) const TIES: &str = "ties";

/// Names of the file's own, and `F` and `nn` of its imports.
const OWN: &[&str] = &[
    "BatchNorm",
    "F",
    "Layer",
    "LayerNorm",
    "Part",
    "PlainBatchNorm",
    "Shared",
];

/// Whether a part of this name can be an attribute: it is not a word of Python's, hides nothing of a
/// module's and is not mangled as names with two leading underscores are.
fn is_attribute(name: &str) -> bool {
    let taken = [KEYWORDS, ATTRIBUTES, &[TIES]];
    !name.starts_with('_') && !taken.iter().any(|taken| taken.contains(&name))
}

/// A name of the writer's as one of a parameter.
pub(super) fn variable(name: &str) -> String {
    match KEYWORDS.contains(&name) {
        true => format!("{name}_"),
        false => name.to_owned(),
    }
}

/// How to reach the part of a key: `.squeeze_excite.reduce`, `[2]`, `["train"]`.
pub(super) fn access(key: &str) -> String {
    let segment = |segment: &str| {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("[{segment}]")
        } else if is_attribute(segment) {
            format!(".{segment}")
        } else {
            format!("[\"{segment}\"]")
        }
    };
    key.split('.').filter(|part| !part.is_empty()).map(segment).collect()
}

/// The expression that reads the part of a key below `base`: `self.squeeze_excite.reduce`, `self["train"]`, and
/// `getattr(self, "2")`, since TorchScript does not understand `self[2]`.
pub(super) fn reach(base: &str, key: &str) -> String {
    let parts = key.split('.').filter(|part| !part.is_empty());
    parts.fold(base.to_owned(), |base, part| match part.parse::<u32>() {
        Ok(index) => format!("getattr({base}, \"{index}\")"),
        Err(_) => format!("{base}{}", access(part)),
    })
}

/// The class of a network: `SeResnet` of `se_resnet`; none of `taken`.
pub(super) fn class<'t>(network: &str, taken: impl Iterator<Item = &'t str>) -> String {
    let taken: HashSet<&str> = taken.chain(OWN.iter().copied()).collect();
    let name = camel(network);
    let candidates = [name.clone(), format!("{name}Network"), format!("Network{name}")];
    let free = |name: &String| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        starts && !KEYWORDS.contains(&name.as_str()) && !taken.contains(name.as_str())
    };
    // The endings of all other classes are `Stage` and `Block`.
    candidates
        .into_iter()
        .find(free)
        .unwrap_or_else(|| format!("Network{name}Network"))
}

/// Hands out names of attributes or variables, each once.
#[derive(Default)]
pub(super) struct Fresh {
    taken: HashSet<String>,
}

impl Fresh {
    /// Keeps clear of a name.
    pub(super) fn reserve(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// `name`, or `name_2` and so on.
    pub(super) fn name(&mut self, name: &str) -> String {
        let numbered = (2u32..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|candidate| self.taken.insert(candidate.clone()))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{access, class};

    #[test]
    fn only_names_that_are_free_become_attributes() {
        assert_eq!(access("squeeze_excite.reduce"), ".squeeze_excite.reduce");
        assert_eq!(access("blocks.2.conv"), ".blocks[2].conv");
        assert_eq!(
            access("train.lambda.__x._modules"),
            "[\"train\"][\"lambda\"][\"__x\"][\"_modules\"]"
        );
    }

    #[test]
    fn classes_hide_nothing() {
        assert_eq!(class("se_resnet", [].into_iter()), "SeResnet");
        assert_eq!(class("none", [].into_iter()), "NoneNetwork");
        assert_eq!(class("f", [].into_iter()), "FNetwork");
        assert_eq!(class("_1", [].into_iter()), "Network1");
        assert_eq!(class("__", [].into_iter()), "Network");
        assert_eq!(class("s1_stage", ["S1Stage"].into_iter()), "S1StageNetwork");
    }
}
