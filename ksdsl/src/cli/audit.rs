//! `ksn audit FILE...`

use super::output::{Terminal, plural};
use super::{Choice, Status};
use crate::audit::{Content, Finding, audit, read_in};
use crate::checkpoint::{Entry, entries};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The arguments of `ksn audit`.
#[derive(clap::Args)]
pub(super) struct Audit {
    /// Files to check: safetensors, ONNX or GGUF
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Compare with what this specification shares
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Find tensors that are equal in this file and differ in the others
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Audit {
    /// Checks all files; `Invalid` if something is wrong with one.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        match self.reports(terminal) {
            Ok(status) | Err(status) => status,
        }
    }

    fn reports(&self, terminal: &Terminal) -> Result<Status, Status> {
        if self.spec.is_none() && (self.choice.net.is_some() || !self.choice.set.is_empty()) {
            return Err(terminal.fail("`--net` and `--set` are for the network of `--spec`"));
        }
        let expected = self.expected(terminal)?;
        let reference = self
            .reference
            .as_deref()
            .map(|path| content(path, terminal))
            .transpose()?;
        let (mut worst, mut reports) = (Status::Ok, Vec::new());
        for path in &self.files {
            let content = match content(path, terminal) {
                Ok(content) => content,
                Err(status) => {
                    worst = worst.max(status);
                    continue;
                }
            };
            let findings = audit(&content, reference.as_ref(), expected.as_deref());
            if !findings.is_empty() {
                worst = worst.max(Status::Invalid);
            }
            match self.json {
                true => reports.push(as_json(path, &content, &findings)),
                false => worst = worst.max(terminal.print(&as_text(path, &content, &findings))),
            }
        }
        if self.json {
            let text = format!("{:#}\n", Value::Array(reports));
            worst = worst.max(terminal.print(&text));
        }
        Ok(worst)
    }

    fn expected(&self, terminal: &Terminal) -> Result<Option<Vec<Entry>>, Status> {
        let Some(path) = &self.spec else { return Ok(None) };
        let network = self.choice.network(path, terminal);
        let (network, _) = network.map_err(|error| terminal.report(&error))?;
        Ok(Some(entries(&network)))
    }
}

/// Reads a file; `Usage` if it cannot be opened, `Invalid` if it is damaged.
fn content(path: &Path, terminal: &Terminal) -> Result<Content, Status> {
    let file = ksdsl_files::open(path)
        .map_err(|error| terminal.fail(&format!("cannot read `{}`: {error}", path.display())))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    read_in(folder, file).map_err(|what| {
        terminal.fail(&format!("`{}` cannot be read: {what}", path.display()));
        Status::Invalid
    })
}

fn as_text(path: &Path, content: &Content, findings: &[Finding]) -> String {
    let bytes: u64 = content.tensors.iter().map(|tensor| tensor.bytes).sum();
    let saved: u64 = findings.iter().map(|finding| finding.bytes).sum();
    let tensors = plural(content.tensors.len(), "tensor");
    let outcome = match (findings.len(), saved) {
        (0, _) => "nothing is stored twice or untied".to_owned(),
        (count, 0) => plural(count, "finding"),
        (count, saved) => format!("{}, {saved} bytes could be saved", plural(count, "finding")),
    };
    let mut text = format!(
        "{}: {}, {tensors}, {bytes} bytes: {outcome}\n",
        path.display(),
        content.format.name()
    );
    for finding in findings {
        text.push_str(&format!("  {}: {}\n", finding.kind.name(), finding.message));
    }
    text
}

fn as_json(path: &Path, content: &Content, findings: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "kind": finding.kind.name(),
            "tensors": finding.tensors,
            "bytes": finding.bytes,
            "message": finding.message,
        })
    };
    json!({
        "file": path.display().to_string(),
        "format": content.format.name(),
        "tensors": content.tensors.len(),
        "bytes": content.tensors.iter().map(|tensor| tensor.bytes).sum::<u64>(),
        "saved": findings.iter().map(|finding| finding.bytes).sum::<u64>(),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
