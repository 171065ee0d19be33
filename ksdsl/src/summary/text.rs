//! The text forms of a summary.

use super::{LoopSummary, MappingSummary, Setting, Summary};
use crate::ir::join_sizes;
use std::fmt;

/// Visits shown in the text form of a mapping before the rest is only counted.
const VISITS: usize = 64;

/// `s_conv by cycle(groups = 3) at sandwich: _ 0 1 2 0 _`.
impl fmt::Display for MappingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}:", self.group, self.mapping)?;
        for kernel in self.kernels.iter().take(VISITS) {
            match kernel {
                Some(kernel) => write!(f, " {kernel}")?,
                None => write!(f, " _")?,
            }
        }
        match self.kernels.len().saturating_sub(VISITS) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// As the language writes it.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Int(value) => write!(f, "{value}"),
            Setting::Float(value) => write!(f, "{value:?}"),
            Setting::Bool(value) => write!(f, "{value}"),
            Setting::Text(text) => f.write_str(text),
            Setting::List(items) => {
                let items: Vec<String> = items.iter().map(Setting::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// A diff-friendly text form: one line per layer and per shared kernel.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        writeln!(f, "net {}({})", self.name, settings.join(", "))?;
        writeln!(f, "{} -> {}", self.input_in_words(), self.output_in_words())?;
        writeln!(
            f,
            "parameters {} of {} unshared, buffers {}",
            self.parameters.trainable, self.parameters.unshared, self.parameters.buffers
        )?;
        write!(f, "multiply-adds {}", self.macs)?;
        for LoopSummary { name, most } in &self.loops {
            write!(f, ", `{name}` up to {most} times")?;
        }
        writeln!(f)?;
        writeln!(f, "\nshared kernels: {}", self.groups.len())?;
        for group in &self.groups {
            writeln!(
                f,
                "  {} {} ({}): {}",
                group.name,
                join_sizes(&group.shape),
                group.parts.join(", "),
                group.visits.join(" ")
            )?;
        }
        if !self.mappings.is_empty() {
            writeln!(f, "\nmappings: {}", self.mappings.len())?;
        }
        for mapping in &self.mappings {
            writeln!(f, "  {mapping}")?;
        }
        writeln!(f, "\nlayers: {}", self.layers.len())?;
        for layer in &self.layers {
            write!(f, "  {}: {}", layer.path, layer.op)?;
            if !layer.details.is_empty() {
                write!(f, " ({})", layer.details)?;
            }
            write!(f, " {} -> {}", join_sizes(&layer.input), join_sizes(&layer.output))?;
            if let Some(group) = &layer.group {
                write!(f, " [{group}]")?;
            }
            if let Some(group) = &layer.bias_group {
                write!(f, " [bias: {group}]")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
