//! Specifications for tests and tools: read a file, select a network, set parameters, summarise.
//!
//! Pin an architecture in a test with a snapshot of its [`Summary`], which displays as one line per layer
//! and implements `Serialize`:
//!
//! ```
//! # fn main() -> Result<(), ksdsl::spec::SpecError> {
//! use ksdsl::spec::Spec;
//!
//! let text = "net tiny(width = 8) {
//!     input 3 x 32 x 32
//!     repeat 3 { conv(width, kernel = 3, pad = 1) }
//!     share isomorphic conv as body
//! }";
//! let summary = Spec::parse("tiny.ksn", text).set("width", 4).summary()?;
//! // The first convolution sees 3 channels; the other two share one kernel of 4 * 4 * 3 * 3.
//! assert_eq!(summary.parameters.trainable, 4 * 3 * 9 + 4 * 4 * 9);
//! assert_eq!(summary.groups[0].visits, ["[1].conv", "[2].conv"]);
//! // In your test: insta::assert_snapshot!(summary) or insta::assert_yaml_snapshot!(summary).
//! assert!(summary.to_string().starts_with("net tiny(width = 4)\n3x32x32 -> 4x32x32\n"));
//! # Ok(())
//! # }
//! ```

mod error;
mod read;

use crate::ast::{Arg, File, Net, NetKind, Param};
use crate::compile::{Compilation, Options, compile};
use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::Network;
use crate::parse;
use crate::source::Source;
use crate::summary::Summary;
#[cfg(feature = "memory")]
use crate::summary::WeightType;
use crate::value::Value;
use std::path::Path;

pub use error::{Invalid, SpecError};
pub(crate) use read::read_text;
pub use read::{ReadError, read_source, read_source_as};

/// A specification, with a selected network and values for its parameters.
#[derive(Clone, Debug)]
pub struct Spec {
    source: Source,
    options: Options,
    batch: u64,
    threads: u64,
    #[cfg(feature = "memory")]
    weight_type: WeightType,
}

impl Spec {
    /// Reads a `.ksn` file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SpecError> {
        Ok(Self::new(read_source(path)?))
    }

    /// Creates a specification from text; messages refer to it as `name`.
    pub fn parse(name: &str, text: &str) -> Self {
        Self::new(Source::new(name, text))
    }

    /// Creates a specification from a source.
    pub fn new(source: Source) -> Self {
        Spec {
            source,
            options: Options::default(),
            batch: 1,
            threads: 1,
            #[cfg(feature = "memory")]
            weight_type: WeightType::F32,
        }
    }

    /// Selects a network; required if the source defines several.
    pub fn network(mut self, name: &str) -> Self {
        self.options.net = Some(name.to_owned());
        self
    }

    /// Sets a parameter of the network; the last value wins.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.options.set.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the batch size of the memory estimate; 1 by default.
    pub fn batch(mut self, images: u64) -> Self {
        self.batch = images;
        self
    }

    /// Sets the number of threads of the memory estimate; 1 by default.
    pub fn threads(mut self, threads: u64) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the type of the kernels of linear layers that a generated token reads; `f32` by default. With the feature
    /// `memory`.
    #[cfg(feature = "memory")]
    pub fn weight_type(mut self, kernels: WeightType) -> Self {
        self.weight_type = kernels;
        self
    }

    /// The source, for messages.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Summarises the selected network, or the only one.
    pub fn summary(&self) -> Result<Summary, SpecError> {
        let (network, _) = self.compile_one()?;
        Ok(self.summarise(&network))
    }

    /// The summary of a network of this specification.
    pub fn summarise(&self, network: &Network) -> Summary {
        let summary = Summary::on_threads(network, self.batch, self.threads);
        #[cfg(feature = "memory")]
        let summary = match self.weight_type {
            WeightType::F32 => summary,
            kernels => summary.with_weight_type(network, kernels),
        };
        summary
    }

    /// Compiles the selected network, or the only one; also returns the warnings.
    pub fn compile_one(&self) -> Result<(Network, Vec<Diagnostic>), SpecError> {
        if self.leaves_all_open() {
            let mut compilation = self.without_errors(&self.options)?;
            if let (Some(network), true) = (compilation.networks.pop(), compilation.networks.is_empty()) {
                return Ok((network, compilation.diagnostics));
            }
        }
        let Some(file) = self.tree() else {
            return Err(self.invalid(compile(&self.source, &Options::default()).diagnostics));
        };
        let net = self.choose(&file)?;
        self.check_settings(&file, net)?;
        let options = Options {
            net: Some(net.name.value.clone()),
            ..self.options.clone()
        };
        let mut compilation = self.without_errors(&options)?;
        match compilation.networks.pop() {
            Some(network) => Ok((network, compilation.diagnostics)),
            None => Err(self.missing(&file, net)),
        }
    }

    /// Compiles the chosen network, or all; what comes back has warnings at most.
    pub fn compile_all(&self) -> Result<Compilation, SpecError> {
        if self.leaves_all_open() {
            return self.without_errors(&self.options);
        }
        let Some(file) = self.tree() else {
            return Err(self.invalid(compile(&self.source, &Options::default()).diagnostics));
        };
        if self.options.net.is_some() {
            self.check_settings(&file, self.choose(&file)?)?;
        } else {
            file.nets.iter().try_for_each(|net| self.check_settings(&file, net))?;
        }
        self.without_errors(&self.options)
    }

    /// Whether there is nothing to look up in the syntax tree before compiling.
    fn leaves_all_open(&self) -> bool {
        self.options.net.is_none() && self.options.set.is_empty()
    }

    /// The syntax tree; `None` where there are syntax errors.
    fn tree(&self) -> Option<File> {
        let mut diagnostics = Diagnostics::default();
        let file = parse::parse(&self.source, &mut diagnostics);
        (!diagnostics.has_errors()).then_some(file)
    }

    fn without_errors(&self, options: &Options) -> Result<Compilation, SpecError> {
        let compilation = compile(&self.source, options);
        match compilation.has_errors() {
            true => Err(self.invalid(compilation.diagnostics)),
            false => Ok(compilation),
        }
    }

    fn invalid(&self, diagnostics: Vec<Diagnostic>) -> SpecError {
        SpecError::Invalid(Box::new(Invalid {
            source: self.source.clone(),
            diagnostics,
        }))
    }

    /// The network that is meant: the one named, or the only one that has all its values.
    fn choose<'f>(&self, file: &'f File) -> Result<&'f Net, SpecError> {
        let source = || self.source.name().to_owned();
        let names = || file.nets.iter().map(|net| net.name.value.clone()).collect();
        if let Some(wanted) = &self.options.net {
            let found = file.nets.iter().find(|net| net.name.value == *wanted);
            return found.ok_or_else(|| SpecError::UnknownNetwork {
                source_name: source(),
                network: wanted.clone(),
                networks: names(),
            });
        }
        let complete = |net: &&Net| self.missing_values(file, net).is_empty();
        let mut candidates = file.nets.iter().filter(complete);
        match (candidates.next(), candidates.next(), file.nets.as_slice()) {
            (Some(net), None, _) | (None, None, [net]) => Ok(net),
            (_, _, []) => Err(SpecError::NoNetwork { source_name: source() }),
            _ => Err(SpecError::SeveralNetworks {
                source_name: source(),
                networks: names(),
            }),
        }
    }

    fn check_settings(&self, file: &File, net: &Net) -> Result<(), SpecError> {
        let Some((params, _)) = family(file, net) else {
            return Ok(());
        };
        let known = |name: &str| params.iter().any(|param| param.name.value == name);
        match self.options.set.iter().find(|(name, _)| !known(name)) {
            None => Ok(()),
            Some((name, _)) => Err(SpecError::UnknownSetting {
                network: net.name.value.clone(),
                parameter: name.clone(),
                parameters: params.iter().map(|param| param.name.value.clone()).collect(),
            }),
        }
    }

    fn missing(&self, file: &File, net: &Net) -> SpecError {
        SpecError::MissingValues {
            network: net.name.value.clone(),
            parameters: self.missing_values(file, net),
        }
    }

    /// The parameters of a network that have no value.
    fn missing_values(&self, file: &File, net: &Net) -> Vec<String> {
        let Some((params, args)) = family(file, net) else {
            return Vec::new();
        };
        let given = |position: usize, name: &str| {
            self.options.set.iter().any(|(set, _)| set == name)
                || args.iter().enumerate().any(|(at, arg)| match &arg.name {
                    Some(arg) => arg.value == name,
                    None => at == position,
                })
        };
        let missing = params.iter().enumerate().filter(|(position, param)| {
            let name = &param.name.value;
            param.default.is_none() && !given(*position, name)
        });
        missing.map(|(_, param)| param.name.value.clone()).collect()
    }
}

/// The parameters of a network's family and the arguments the network gives it; `None` for an
/// instance of something that is not a family, which compiling reports.
fn family<'f>(file: &'f File, net: &'f Net) -> Option<(&'f [Param], &'f [Arg])> {
    match &net.kind {
        NetKind::Family { params, .. } => Some((params, &[])),
        NetKind::Instance { base, args } => {
            let family = file.all_nets().find(|net| net.name.value == base.value)?;
            match &family.kind {
                NetKind::Family { params, .. } => Some((params, args)),
                NetKind::Instance { .. } => None,
            }
        }
    }
}

macro_rules! values {
    ($($type:ty => $variant:ident),+) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::$variant(value.into())
            }
        }
    )+};
}

/// A word.
impl From<&str> for Value {
    fn from(word: &str) -> Self {
        Value::word(word)
    }
}

values! { i64 => Int, i32 => Int, u32 => Int, f64 => Float, bool => Bool }
