//! Messages in, messages out.

use super::workspace::{Document, Workspace};
use super::{actions, completion, definition, diagnostics, formatting, hover, inlay, outline, rename};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response, ResponseError};
use lsp_types::notification::{
    DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument,
    Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentSymbolRequest, Formatting, GotoDefinition, HoverRequest, InlayHintRequest,
    PrepareRenameRequest, References, Rename, Request as _, Shutdown,
};
use lsp_types::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With `shutdown` and `exit`.
    Orderly,
    /// With `exit` alone, or because the editor has gone.
    Abrupt,
}

/// Serves an editor until it ends the session.
pub fn run(connection: &Connection) -> End {
    let mut server = Server {
        connection,
        workspace: Workspace::default(),
        state: State::New,
    };
    loop {
        let Some(message) = server.next() else {
            return End::Abrupt;
        };
        match message {
            Message::Notification(message) if message.method == "exit" => {
                return if server.state == State::Ended {
                    End::Orderly
                } else {
                    End::Abrupt
                };
            }
            Message::Notification(message) => server.notified(message),
            Message::Request(request) => server.requested(request),
            // The server asks nothing.
            Message::Response(_) => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Ready,
    /// After `shutdown`.
    Ended,
}

struct Server<'c> {
    connection: &'c Connection,
    workspace: Workspace,
    state: State,
}

/// How long a change waits for the next message before its diagnostics are made.
const PAUSE: Duration = Duration::from_millis(10);

/// The result of a request, or an error with its code.
type Answer = Result<Value, (ErrorCode, String)>;

impl Server<'_> {
    /// The next message; before it, where none comes for a while, the diagnostics of what has changed. So they come after a
    /// burst of changes and after the answers to what an editor asks with a change.
    fn next(&mut self) -> Option<Message> {
        if self.workspace.is_stale() {
            match self.connection.receiver.recv_timeout(PAUSE) {
                Ok(message) => return Some(message),
                Err(_) => self.publish(),
            }
        }
        self.connection.receiver.recv().ok()
    }

    fn send(&self, message: impl Into<Message>) {
        // An editor that has gone needs no answer; the next message that does not come ends the session.
        let _ = self.connection.sender.send(message.into());
    }

    fn requested(&mut self, request: Request) {
        let id = request.id.clone();
        let answer = match (self.state, request.method.as_str()) {
            (State::New, "initialize") => {
                self.state = State::Ready;
                Ok(initialized())
            }
            (State::New, _) => Err((ErrorCode::ServerNotInitialized, "expected `initialize`".to_owned())),
            (State::Ready, Shutdown::METHOD) => {
                self.state = State::Ended;
                Ok(Value::Null)
            }
            (State::Ready, _) => guarded(|| answer(&self.workspace, request)),
            (State::Ended, _) => Err((ErrorCode::InvalidRequest, "the session has ended".to_owned())),
        };
        // `Response::new_ok` would convert the value once more, which takes long for an outline of thousands of layers.
        let response_result = answer.map_err(|(code, message)| ResponseError {
            code: code as i32,
            message,
            data: None,
        });
        self.send(Response { id, response_result });
    }

    fn notified(&mut self, message: Notification) {
        if self.state != State::Ready {
            return;
        }
        // What cannot be read is left out: a notification has no answer.
        let params = message.params;
        match message.method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Ok(DidOpenTextDocumentParams { text_document: opened }) = serde_json::from_value(params) {
                    self.workspace.open(opened.uri, opened.version, opened.text);
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Ok(changed) = serde_json::from_value::<DidChangeTextDocumentParams>(params) {
                    let VersionedTextDocumentIdentifier { uri, version } = changed.text_document;
                    self.workspace.change(&uri, version, changed.content_changes);
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Ok(DidCloseTextDocumentParams { text_document: closed }) = serde_json::from_value(params) {
                    self.workspace.close(&closed.uri);
                    self.show(closed.uri, None, Vec::new());
                }
            }
            DidSaveTextDocument::METHOD | DidChangeWatchedFiles::METHOD => self.workspace.saved(),
            _ => {}
        }
    }

    /// Shows the diagnostics of what has changed.
    fn publish(&mut self) {
        for uri in self.workspace.take_stale() {
            let Some(document) = self.workspace.get(&uri) else {
                continue;
            };
            let found = guarded(|| Ok(diagnostics::diagnostics(&self.workspace, document)));
            self.show(uri, Some(document.version), found.unwrap_or_default());
        }
    }

    fn show(&self, uri: Uri, version: Option<i32>, diagnostics: Vec<Diagnostic>) {
        let params = PublishDiagnosticsParams {
            uri,
            diagnostics,
            version,
        };
        self.send(Notification::new(PublishDiagnostics::METHOD.to_owned(), params));
    }
}

/// A fault of one request does not end the session.
fn guarded<T>(run: impl FnOnce() -> Result<T, (ErrorCode, String)>) -> Result<T, (ErrorCode, String)> {
    let internal = |_| {
        Err((
            ErrorCode::InternalError,
            "this is a fault of `ksn lsp`; please report it".to_owned(),
        ))
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(internal)
}

/// What the server can do.
fn initialized() -> Value {
    let capabilities = ServerCapabilities {
        position_encoding: Some(PositionEncodingKind::UTF16),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        inlay_hint_provider: Some(OneOf::Left(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([".", "(", "\"", "/"].map(str::to_owned).into()),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        document_formatting_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    };
    json!({
        "capabilities": capabilities,
        "serverInfo": { "name": "ksn", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// The answer to a request about an open text.
fn answer(workspace: &Workspace, request: Request) -> Answer {
    let params = request.params;
    match request.method.as_str() {
        HoverRequest::METHOD => {
            let HoverParams {
                text_document_position_params: at,
                ..
            } = read(params)?;
            let (document, offset) = place(workspace, &at)?;
            let analysis = workspace.analysis(document);
            written(hover::hover(&analysis, offset).map(|(value, span)| Hover {
                contents: HoverContents::Markup(MarkupContent {
                    kind: MarkupKind::Markdown,
                    value,
                }),
                range: Some(analysis.own_range(span)),
            }))
        }
        InlayHintRequest::METHOD => {
            let InlayHintParams {
                text_document, range, ..
            } = read(params)?;
            let document = open(workspace, &text_document.uri)?;
            let bytes = document.lines.bytes(&document.text, range);
            written(inlay::hints(&workspace.analysis(document), &bytes))
        }
        Completion::METHOD => {
            let CompletionParams {
                text_document_position: at,
                ..
            } = read(params)?;
            let (document, offset) = place(workspace, &at)?;
            written(completion::completions(workspace, document, offset))
        }
        GotoDefinition::METHOD => {
            let GotoDefinitionParams {
                text_document_position_params: at,
                ..
            } = read(params)?;
            let (document, offset) = place(workspace, &at)?;
            written(definition::definition(workspace, document, offset))
        }
        References::METHOD => {
            let ReferenceParams {
                text_document_position: at,
                context,
                ..
            } = read(params)?;
            let (document, offset) = place(workspace, &at)?;
            written(definition::references(
                workspace,
                document,
                offset,
                context.include_declaration,
            ))
        }
        _ => change(workspace, &request.method, params),
    }
}

/// The answer to a request for a change of a text, or its outline.
fn change(workspace: &Workspace, method: &str, params: Value) -> Answer {
    match method {
        PrepareRenameRequest::METHOD => {
            let at: TextDocumentPositionParams = read(params)?;
            let (document, offset) = place(workspace, &at)?;
            let analysis = workspace.analysis(document);
            written(rename::prepare(&analysis, offset).map(|(span, placeholder)| {
                let range = analysis.own_range(span);
                PrepareRenameResponse::RangeWithPlaceholder { range, placeholder }
            }))
        }
        Rename::METHOD => {
            let RenameParams {
                text_document_position: at,
                new_name,
                ..
            } = read(params)?;
            let (document, offset) = place(workspace, &at)?;
            let refused = |message| (ErrorCode::RequestFailed, message);
            written(rename::rename(workspace, document, offset, &new_name).map_err(refused)?)
        }
        Formatting::METHOD => {
            let DocumentFormattingParams { text_document, .. } = read(params)?;
            written(formatting::formatting(open(workspace, &text_document.uri)?))
        }
        CodeActionRequest::METHOD => {
            let CodeActionParams {
                text_document, range, ..
            } = read(params)?;
            written(actions::actions(workspace, open(workspace, &text_document.uri)?, range))
        }
        DocumentSymbolRequest::METHOD => {
            let DocumentSymbolParams { text_document, .. } = read(params)?;
            written(outline::outline(
                &workspace.analysis(open(workspace, &text_document.uri)?),
            ))
        }
        _ => Err((ErrorCode::MethodNotFound, format!("`{method}` is not supported"))),
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, (ErrorCode, String)> {
    serde_json::from_value(params).map_err(|error| (ErrorCode::InvalidParams, error.to_string()))
}

fn written(result: impl serde::Serialize) -> Answer {
    serde_json::to_value(result).map_err(|error| (ErrorCode::InternalError, error.to_string()))
}

fn open<'w>(workspace: &'w Workspace, uri: &Uri) -> Result<&'w Document, (ErrorCode, String)> {
    let missing = || (ErrorCode::InvalidParams, format!("`{}` is not open", uri.as_str()));
    workspace.get(uri).ok_or_else(missing)
}

/// An open text and a byte of it.
fn place<'w>(
    workspace: &'w Workspace,
    at: &TextDocumentPositionParams,
) -> Result<(&'w Document, usize), (ErrorCode, String)> {
    let document = open(workspace, &at.text_document.uri)?;
    Ok((document, document.lines.offset(&document.text, at.position)))
}
