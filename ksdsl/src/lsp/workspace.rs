//! The texts that are open in the editor, saved or not.

use super::analysis::Analysis;
use super::position::Lines;
use super::uri;
use crate::imports::{self, Files};
use crate::source::Source;
use crate::spec::{ReadError, read_text};
use lsp_types::{TextDocumentContentChangeEvent, Uri};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// An open text.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) uri: Uri,
    path: Option<PathBuf>,
    /// What its file is known by.
    key: Option<PathBuf>,
    pub(super) version: i32,
    pub(super) text: Arc<str>,
    pub(super) lines: Lines,
    analysis: OnceCell<Rc<Analysis>>,
    /// Whether its diagnostics are not those that the editor shows.
    pub(super) stale: bool,
}

impl Document {
    fn replace(&mut self, text: String) {
        self.lines = Lines::new(&text);
        self.text = text.into();
    }
}

/// All open texts.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    documents: BTreeMap<String, Document>,
}

/// The open texts as the files that imports find.
struct Open<'w>(&'w Workspace);

impl Files for Open<'_> {
    fn key(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize().or_else(|error| {
            let key = uri::clean(path);
            let is_open = self.0.by_key(&key).is_some();
            if is_open { Ok(key) } else { Err(error) }
        })
    }

    fn text(&self, path: &Path, key: &Path) -> Result<String, ReadError> {
        match self.0.by_key(key) {
            Some(document) => Ok(document.text.to_string()),
            None => read_text(path),
        }
    }
}

/// What the file of a path is known by.
fn key(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| uri::clean(path))
}

impl Workspace {
    /// Opens a text, or replaces it.
    pub(super) fn open(&mut self, uri: Uri, version: i32, text: String) {
        let path = uri::path(&uri);
        let document = Document {
            key: path.as_deref().map(key),
            path,
            version,
            lines: Lines::new(&text),
            text: text.into(),
            analysis: OnceCell::new(),
            stale: true,
            uri,
        };
        let name = document.uri.as_str().to_owned();
        self.documents.insert(name.clone(), document);
        self.changed(&name);
    }

    /// Closes a text; those that import it go back to its file.
    pub(super) fn close(&mut self, uri: &Uri) {
        self.documents.remove(uri.as_str());
        self.changed(uri.as_str());
    }

    /// Changes a text.
    pub(super) fn change(&mut self, uri: &Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        let Some(document) = self.documents.get_mut(uri.as_str()) else {
            return;
        };
        document.version = version;
        for change in changes {
            let text = match change.range {
                None => change.text,
                Some(range) => {
                    let mut text = document.text.to_string();
                    text.replace_range(document.lines.bytes(&text, range), &change.text);
                    text
                }
            };
            document.replace(text);
        }
        self.changed(uri.as_str());
    }

    /// Something may have changed on the disk.
    pub(super) fn saved(&mut self) {
        for document in self.documents.values_mut() {
            document.key = document.path.as_deref().map(key);
        }
        self.changed("");
    }

    /// Forgets what is known of a text and of those that import something.
    fn changed(&mut self, name: &str) {
        for (of, document) in &mut self.documents {
            let imports = document.analysis.get().is_some_and(|analysis| analysis.has_imports());
            if of == name || imports {
                document.analysis = OnceCell::new();
                document.stale = true;
            }
        }
    }

    /// The open texts, by URI.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values()
    }

    /// Whether the editor does not show the diagnostics of all texts.
    pub(super) fn is_stale(&self) -> bool {
        self.documents().any(|document| document.stale)
    }

    /// Takes note that the editor shows the diagnostics of all texts; those that it did not.
    pub(super) fn take_stale(&mut self) -> Vec<Uri> {
        let stale = self.documents.values_mut().filter(|document| document.stale);
        stale
            .map(|document| {
                document.stale = false;
                document.uri.clone()
            })
            .collect()
    }

    pub(super) fn get(&self, uri: &Uri) -> Option<&Document> {
        self.documents.get(uri.as_str())
    }

    fn by_key(&self, key: &Path) -> Option<&Document> {
        let mut documents = self.documents.values();
        documents.find(|document| document.key.as_deref() == Some(key))
    }

    /// The URI of a file: as the editor writes it, where the file is open.
    pub(super) fn uri_of(&self, path: &Path) -> Option<Uri> {
        match self.by_key(&key(path)) {
            Some(document) => Some(document.uri.clone()),
            None => uri::of(path),
        }
    }

    /// What the compiler knows of a text.
    pub(super) fn analysis(&self, document: &Document) -> Rc<Analysis> {
        let new = || Rc::new(Analysis::new(self.source(document, &document.text)));
        Rc::clone(document.analysis.get_or_init(new))
    }

    /// A text in the place of a document's, with what it imports.
    pub(super) fn source(&self, document: &Document, text: &str) -> Source {
        match &document.path {
            Some(path) => {
                let name = path.display().to_string();
                imports::linked_from(&name, text.to_owned(), path, &Open(self))
            }
            None => imports::linked(document.uri.as_str().into(), text, None),
        }
    }
}
