//! Why there is no summary.

use super::ReadError;
use crate::diag::{Diagnostic, nearest};
use crate::render::render;
use crate::source::Source;
use std::fmt;

/// Why a specification gives no network.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpecError {
    /// The file could not be read.
    Read(ReadError),
    /// The source has errors.
    Invalid(Box<Invalid>),
    /// The source defines no network.
    NoNetwork {
        /// The name of the source.
        source_name: String,
    },
    /// The source defines several networks and none was chosen.
    SeveralNetworks {
        /// The name of the source.
        source_name: String,
        /// The networks.
        networks: Vec<String>,
    },
    /// The source does not define the network that was chosen.
    UnknownNetwork {
        /// The name of the source.
        source_name: String,
        /// What was chosen.
        network: String,
        /// The networks there are.
        networks: Vec<String>,
    },
    /// The network has no such parameter.
    UnknownSetting {
        /// The network.
        network: String,
        /// What was set.
        parameter: String,
        /// The parameters there are.
        parameters: Vec<String>,
    },
    /// Parameters without default have no value.
    MissingValues {
        /// The network.
        network: String,
        /// The parameters.
        parameters: Vec<String>,
    },
}

/// A source with errors.
#[derive(Debug)]
pub struct Invalid {
    /// The source.
    pub source: Source,
    /// What was found in it, warnings included.
    pub diagnostics: Vec<Diagnostic>,
}

impl SpecError {
    /// What was found in the source, if that is the reason.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            SpecError::Invalid(invalid) => &invalid.diagnostics,
            _ => &[],
        }
    }
}

impl From<ReadError> for SpecError {
    fn from(error: ReadError) -> Self {
        SpecError::Read(error)
    }
}

/// Rendered diagnostics, or a sentence.
impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpecError::Read(error) => error.fmt(f),
            SpecError::Invalid(invalid) => f.write_str(&render(&invalid.source, &invalid.diagnostics, false)),
            SpecError::NoNetwork { source_name } => write!(f, "{source_name} defines no networks"),
            SpecError::SeveralNetworks { source_name, networks } => {
                write!(f, "{source_name} defines multiple networks: {}", networks.join(", "))
            }
            SpecError::UnknownNetwork {
                source_name,
                network,
                networks,
            } => {
                write!(f, "{source_name} has no network `{network}`; ")?;
                suggest(f, network, networks, "it defines ")
            }
            SpecError::UnknownSetting {
                network,
                parameter,
                parameters,
            } => {
                write!(f, "network `{network}` has no parameter `{parameter}`; ")?;
                suggest(f, parameter, parameters, "its parameters are ")
            }
            SpecError::MissingValues { network, parameters } => {
                write!(f, "network `{network}` needs a value for {}", parameters.join(", "))
            }
        }
    }
}

fn suggest(f: &mut fmt::Formatter<'_>, word: &str, names: &[String], all: &str) -> fmt::Result {
    match (nearest(word, names.iter().map(String::as_str)), names) {
        (Some(near), _) => write!(f, "did you mean `{near}`?"),
        (None, []) => f.write_str("there are none"),
        (None, names) => write!(f, "{all}{}", names.join(", ")),
    }
}

impl std::error::Error for SpecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SpecError::Read(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}
