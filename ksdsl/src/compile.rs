//! The facade that macros, build helper and command call.

#[doc(inline)]
pub use crate::ir::Network;
#[doc(inline)]
pub use crate::value::Value;

use crate::ast::{Arg, File, Net, NetKind, Statement};
use crate::diag::{Code, Diagnostic, Diagnostics, nearest};
use crate::elaborate::{Budget, Head, elaborate};
use crate::source::{Source, Span};
use crate::value::{Env, eval};
use crate::{check, limits, ops, parse, plan, share};
use std::collections::HashMap;
use std::rc::Rc;

/// Which network of a source to compile, and the values of its parameters.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Compile only this network.
    pub net: Option<String>,
    /// Values for its parameters.
    pub set: Vec<(String, Value)>,
}

/// The outcome of compiling.
#[derive(Debug)]
pub struct Compilation {
    /// The networks that could be resolved, in source order, without families whose parameters have no values.
    pub networks: Vec<Network>,
    /// The names of all networks in the source, including those with errors.
    pub names: Vec<String>,
    /// The diagnostics, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compilation {
    /// Whether there are errors.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == crate::diag::Severity::Error)
    }
}

/// Compiles a source: parse, check, elaborate, share; each pass says in its module what holds
/// after it.
pub fn compile(source: &Source, options: &Options) -> Compilation {
    let mut diagnostics = Diagnostics::default();
    let file = parse::parse(source, &mut diagnostics);
    resolve(source, &file, options, diagnostics)
}

/// Compiles a parsed source; takes the diagnostics of its parsing.
pub(crate) fn resolve(source: &Source, file: &File, options: &Options, mut diagnostics: Diagnostics) -> Compilation {
    check::check(file, &mut diagnostics);
    // Blocks that contain themselves have no end.
    let networks = if diagnostics.has(Code::Recursion) {
        Vec::new()
    } else {
        networks(source, file, options, &mut diagnostics)
    };
    Compilation {
        networks,
        names: parse::net_names(source.own_text()),
        diagnostics: diagnostics.into_sorted(),
    }
}

fn networks(source: &Source, file: &File, options: &Options, diagnostics: &mut Diagnostics) -> Vec<Network> {
    let chosen: Vec<&Net> = match &options.net {
        Some(wanted) => match file.nets.iter().find(|net| net.name.value == *wanted) {
            Some(net) => vec![net],
            None => {
                if !diagnostics.has_errors() {
                    diagnostics.push(unknown_net(source, file, wanted));
                }
                return Vec::new();
            }
        },
        None => file.nets.iter().collect(),
    };
    let mut budget = Budget::default();
    let mut families: HashMap<&str, &Net> = HashMap::new();
    for net in file.all_nets() {
        families.entry(&net.name.value).or_insert(net);
    }
    let words = words(file);
    let mut networks = Vec::new();
    for net in chosen {
        let family = match &net.kind {
            NetKind::Family { .. } => Some(&net),
            NetKind::Instance { base, .. } => families.get(base.value.as_str()),
        };
        if let Some(family) = family
            && let Some(network) = network(
                source,
                file,
                (net, family),
                (&options.set, &words),
                &mut budget,
                diagnostics,
            )
        {
            pay_for_code(net, &network, &mut budget, diagnostics);
            networks.push(network);
        }
        if budget.is_spent() {
            break;
        }
    }
    networks
}

/// The names that are values of their own, in all networks of a file.
fn words(file: &File) -> Rc<Env> {
    let blocks = file.blocks.iter().map(|block| block.name.value.as_str());
    let mut env = Env::default();
    env.bind_words(ops::language_words().chain(ops::init_functions()));
    env.bind_words(blocks);
    Rc::new(env)
}

/// What specifies a network, as written.
fn specification(source: &Source, file: &File, net: &Net, family: &Net) -> String {
    let instance = matches!(net.kind, NetKind::Instance { .. }).then_some(net.span);
    let blocks = file.blocks.iter().map(|block| block.span);
    let spans = blocks.chain([family.span]).chain(instance);
    let texts: Vec<&str> = spans.map(|span| &source.text()[span.range()]).collect();
    texts.join("\n\n").replace("\r\n", "\n")
}

fn unknown_net(source: &Source, file: &File, wanted: &str) -> Diagnostic {
    let names: Vec<&str> = file.nets.iter().map(|net| net.name.value.as_str()).collect();
    let near = nearest(wanted, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let all = match names.as_slice() {
        [] => "it defines no networks".to_owned(),
        names if names.len() > 12 => format!("it defines {}, ...", names[..12].join(", ")),
        names => format!("it defines {}", names.join(", ")),
    };
    Diagnostic::error(
        Code::UnknownNet,
        Span::default(),
        format!("{} has no network `{wanted}`", source.name()),
    )
    .maybe_help(near.or(Some(all)))
}

/// Resolves one network, an instance with its family's body. `None` for a family that needs values
/// nobody gives, and where errors leave nothing to look at.
fn network(
    source: &Source,
    file: &File,
    (net, family): (&Net, &Net),
    (set, words): (&[(String, Value)], &Rc<Env>),
    budget: &mut Budget,
    diagnostics: &mut Diagnostics,
) -> Option<Network> {
    let args = match &net.kind {
        NetKind::Family { .. } => &[][..],
        NetKind::Instance { args, .. } => args.as_slice(),
    };
    let NetKind::Family { params, .. } = &family.kind else {
        return None;
    };
    let mut values = instance_values(params, args, words, diagnostics);
    for (name, value) in set {
        if let Some(word) = value.unknown_word(&|word| words.knows(word) || defines(family, word)) {
            diagnostics.push(unknown_word(net, name, word));
        } else if params.iter().any(|param| param.name.value == *name) {
            values.insert(name.clone(), Some(value.clone()));
        } else {
            diagnostics.push(unknown_setting(net, params, name));
        }
    }
    if params
        .iter()
        .any(|param| param.default.is_none() && !values.contains_key(&param.name.value))
    {
        return None;
    }
    let docs = if net.docs.is_empty() { &family.docs } else { &net.docs };
    let head = Head {
        name: &net.name.value,
        docs,
        text: specification(source, file, net, family),
    };
    let elaborated = elaborate(head, family, (&file.blocks, words), &values, budget, diagnostics)?;
    let network = share::resolve(elaborated, diagnostics);
    if network.macs() > limits::MULTIPLY_ADDS.into() {
        diagnostics.push(too_much_work(net, &network));
    }
    Some(network)
}

/// Pays for the code of a network, which one with errors does not have, and for its text.
fn pay_for_code(net: &Net, network: &Network, budget: &mut Budget, diagnostics: &mut Diagnostics) {
    let code = match diagnostics.has_errors() {
        true => 0,
        false => plan::plan(network).tokens(),
    };
    if let Err(text) = budget.spend_code(code + network.text.len() / limits::STEP_BYTES) {
        let diagnostic = Diagnostic::error(Code::NetworkTooLarge, net.name.span, text);
        diagnostics.push(diagnostic.help("write fewer networks into one source"));
    }
}

fn too_much_work(net: &Net, network: &Network) -> Diagnostic {
    let text = format!(
        "network `{}` takes {} multiply-adds per {}",
        net.name.value,
        network.macs(),
        network.input().item()
    );
    Diagnostic::error(Code::NetworkTooLarge, net.name.span, text)
        .label(format!("must be at most {}", limits::MULTIPLY_ADDS))
        .help("make the network smaller")
}

fn instance_values(
    params: &[crate::ast::Param],
    args: &[Arg],
    words: &Env,
    diagnostics: &mut Diagnostics,
) -> HashMap<String, Option<Value>> {
    let mut values = HashMap::new();
    for (position, arg) in args.iter().enumerate() {
        let name = match &arg.name {
            Some(name) => Some(&name.value),
            None => params.get(position).map(|param| &param.name.value),
        };
        let value = match arg.value.sizes.as_slice() {
            [value] => eval(value, words, diagnostics),
            _ => {
                let text = "a network's parameter takes one value";
                diagnostics.push(Diagnostic::error(Code::WrongType, arg.value.span, text));
                None
            }
        };
        if let Some(name) = name {
            values.insert(name.clone(), value);
        }
    }
    values
}

/// Whether a network defines a block of this name in its body.
fn defines(family: &Net, name: &str) -> bool {
    let NetKind::Family { body, .. } = &family.kind else {
        return false;
    };
    body.statements.iter().any(|statement| match statement {
        Statement::Block(block) => block.name.value == name,
        _ => false,
    })
}

fn unknown_word(net: &Net, name: &str, word: &str) -> Diagnostic {
    let text = format!("`{name}` is set to `{word}`, which is no word of the language and no block");
    let near = nearest(word, ops::language_words()).map(|near| format!("did you mean `{near}`?"));
    Diagnostic::error(Code::UnknownName, net.name.span, text).maybe_help(near)
}

fn unknown_setting(net: &Net, params: &[crate::ast::Param], name: &str) -> Diagnostic {
    let names: Vec<&str> = params.iter().map(|param| param.name.value.as_str()).collect();
    let near = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let all = match names.as_slice() {
        [] => "it has no parameters".to_owned(),
        names => format!("its parameters are {}", names.join(", ")),
    };
    let text = format!("network `{}` has no parameter `{name}`", net.name.value);
    Diagnostic::error(Code::UnknownArgument, net.name.span, text).maybe_help(near.or(Some(all)))
}
