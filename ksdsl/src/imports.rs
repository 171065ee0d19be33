//! `use "blocks.ksn"`: the files that a source imports become parts of its text.
//!
//! Afterwards a source holds every file once, itself first, and every import that cannot be followed is noted with
//! its place. Only this file reads files for
//! the compiler; `Files` gives it other texts, such as those that editors have not saved yet.

use crate::limits;
use crate::parse;
use crate::source::{BadImport, Part, Source, Span};
use crate::spec::{ReadError, read_text};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of the library that comes with the compiler, imported as `use "std/..."`.
const LIBRARY: &[(&str, &str)] = &[
    ("std/residual.ksn", include_str!("../std/residual.ksn")),
    ("std/mobile.ksn", include_str!("../std/mobile.ksn")),
    ("std/tokens.ksn", include_str!("../std/tokens.ksn")),
    ("std/gates.ksn", include_str!("../std/gates.ksn")),
    ("std/language.ksn", include_str!("../std/language.ksn")),
];

/// The library's files: names and texts.
#[doc(hidden)]
pub fn library() -> &'static [(&'static str, &'static str)] {
    LIBRARY
}

/// The library's file that defines a block.
pub(crate) fn library_file(block: &str) -> Option<&'static str> {
    let defines = |text: &str| {
        let mut blocks = text.lines().filter_map(|line| line.strip_prefix("block "));
        blocks.any(|rest| rest.split('(').next() == Some(block))
    };
    LIBRARY.iter().find(|(_, text)| defines(text)).map(|(name, _)| *name)
}

/// Where imported files come from.
pub(crate) trait Files {
    /// What a file is known by, however its path is written.
    fn key(&self, path: &Path) -> io::Result<PathBuf>;

    /// The text of the file of this path and key.
    fn text(&self, path: &Path, key: &Path) -> Result<String, ReadError>;
}

/// The files as they are stored.
pub(crate) struct Disk;

impl Files for Disk {
    fn key(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn text(&self, path: &Path, _: &Path) -> Result<String, ReadError> {
        read_text(path)
    }
}

/// The source in a file, with the files that it imports.
pub(crate) fn linked_file(name: &str, text: String, path: &Path) -> Source {
    linked_from(name, text, path, &Disk)
}

/// The source in a file, with the files that it imports from somewhere.
pub(crate) fn linked_from(name: &str, text: String, path: &Path, files: &dyn Files) -> Source {
    let main = File {
        name: name.into(),
        path: Some(path.to_owned()),
        folder: Some(path.parent().unwrap_or(Path::new("")).to_owned()),
        key: files.key(path).ok(),
        text,
    };
    link(main, files)
}

/// A source that is in no file, with the files that it imports: from a folder, or from the library alone.
pub(crate) fn linked(name: Arc<str>, text: &str, folder: Option<&Path>) -> Source {
    let main = File {
        name,
        path: None,
        folder: folder.map(Path::to_owned),
        key: None,
        text: text.to_owned(),
    };
    link(main, &Disk)
}

fn link(main: File, files: &dyn Files) -> Source {
    let mut linker = Linker {
        files,
        text: String::new(),
        parts: Vec::new(),
        bad: Vec::new(),
        known: Vec::new(),
        open: Vec::new(),
    };
    linker.add(main, None);
    Source::of_parts(linker.text, linker.parts, linker.bad)
}

/// A file before it becomes a part.
struct File {
    name: Arc<str>,
    /// Where it was read from.
    path: Option<PathBuf>,
    /// Where its imports are looked for.
    folder: Option<PathBuf>,
    /// What it is known by; the library's files are known by their names.
    key: Option<PathBuf>,
    text: String,
}

struct Linker<'l> {
    files: &'l dyn Files,
    text: String,
    parts: Vec<Part>,
    bad: Vec<BadImport>,
    /// The files so far, by their keys.
    known: Vec<PathBuf>,
    /// The files that are being added, from the outside in.
    open: Vec<PathBuf>,
}

impl Linker<'_> {
    /// Adds a file and then what it imports. `site` is the import in the first file that led here.
    fn add(&mut self, file: File, site: Option<Span>) {
        if !self.parts.is_empty() {
            // A blank line, so that no comment goes on in the next file.
            self.text.push_str("\n\n");
        }
        let start = self.text.len();
        self.text.push_str(&file.text);
        self.parts.push(Part {
            name: Arc::clone(&file.name),
            range: start..self.text.len(),
            path: file.path.clone(),
            site,
        });
        self.known.extend(file.key.clone());
        self.open.extend(file.key.clone());
        let is_main = site.is_none();
        for import in parse::imports(&file.text) {
            let span = Span::new(start + import.start, start + import.end);
            let written = file.text[import.start + 1..import.end - 1].to_owned();
            let site = if is_main { Some(span) } else { site };
            match self.find(&file, &written) {
                Ok(Some(next)) => self.add(next, site),
                Ok(None) => {}
                Err((message, help)) => self.bad.push(BadImport { span, message, help }),
            }
        }
        if file.key.is_some() {
            self.open.pop();
        }
    }

    /// The file that a path names; nothing if it is there already.
    fn find(&self, from: &File, written: &str) -> Result<Option<File>, Refused> {
        if written.starts_with("std/") {
            return self.of_library(written);
        }
        let folder = from.folder.as_ref().ok_or_else(|| {
            (
                format!("`{written}` cannot be found: this text is in no file"),
                "paths are relative to the file with the import; files of the library begin with `std/`".to_owned(),
            )
        })?;
        if written.contains('\\') || Path::new(written).is_absolute() || written.starts_with('/') {
            let help = "paths are relative to the file with the import, with `/` between folders";
            return Err((format!("`{written}` is not a relative path"), help.to_owned()));
        }
        let path = folder.join(written);
        let name = match from.name.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{written}"),
            None => written.to_owned(),
        };
        let key = self.files.key(&path).map_err(|error| cannot_read(&name, &error))?;
        if self.open.contains(&key) {
            let help = "move what both need into a third file";
            return Err((
                format!("`{written}` imports itself, directly or through others"),
                help.to_owned(),
            ));
        }
        if self.known.contains(&key) {
            return Ok(None);
        }
        self.room(0)?;
        let text = self.files.text(&path, &key).map_err(|error| match error {
            ReadError::Io { error, .. } => cannot_read(&name, &error),
            other => (
                other.to_string(),
                "import a text file with blocks and networks".to_owned(),
            ),
        })?;
        self.room(text.len())?;
        Ok(Some(File {
            name: name.into(),
            folder: path.parent().map(Path::to_owned),
            path: Some(path),
            key: Some(key),
            text,
        }))
    }

    fn of_library(&self, written: &str) -> Result<Option<File>, Refused> {
        let key = PathBuf::from(written);
        let Some((name, text)) = LIBRARY.iter().find(|(name, _)| *name == written) else {
            let names: Vec<&str> = LIBRARY.iter().map(|(name, _)| *name).collect();
            return Err((
                format!("the library has no file `{written}`"),
                format!("its files are {}", names.join(", ")),
            ));
        };
        if self.known.contains(&key) {
            return Ok(None);
        }
        self.room(text.len())?;
        Ok(Some(File {
            name: (*name).into(),
            path: None,
            folder: None,
            key: Some(key),
            text: (*text).to_owned(),
        }))
    }

    /// Whether one more file of this size may be added.
    fn room(&self, bytes: usize) -> Result<(), Refused> {
        let (files, all) = (self.parts.len(), self.text.len() + bytes);
        if files >= limits::FILES {
            let text = format!("a source may have at most {} files", limits::FILES);
            return Err((text, "put the blocks into fewer files".to_owned()));
        }
        if all > limits::SOURCE_BYTES {
            let text = format!(
                "with this file the source has {all} bytes; at most {} can be compiled",
                limits::SOURCE_BYTES
            );
            return Err((text, "import less".to_owned()));
        }
        Ok(())
    }
}

/// What is wrong with an import, and what to do.
type Refused = (String, String);

fn cannot_read(name: &str, error: &std::io::Error) -> Refused {
    let text = match error.kind() {
        ErrorKind::NotFound => format!("there is no file `{name}`"),
        _ => format!("cannot read `{name}`: {error}"),
    };
    (
        text,
        "paths are relative to the file with the import; text in Rust code, to the crate's folder".to_owned(),
    )
}
