// The extension: starts the server, and shows pictures of networks.

'use strict';

const { execFile } = require('node:child_process');
const vscode = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');
const diagram = require('./diagram');

/** The largest picture, in bytes. */
const LARGEST = 64 * 1024 * 1024;

let client;

/** Why a server did not start: the client throws texts, too. */
const reason = (error) => error?.message || String(error);

const command = () => vscode.workspace.getConfiguration('ksn').get('path') || 'ksn';

async function start() {
  const server = { command: command(), args: ['lsp'] };
  const options = {
    documentSelector: [{ language: 'ksn' }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher('**/*.ksn') },
  };
  client = new LanguageClient('ksn', 'KSDSL', server, options);
  try {
    await client.start();
  } catch (error) {
    const advice = 'Install it with `cargo install --locked --path ksdsl`, or set `ksn.path`.';
    vscode.window.showErrorMessage(`The command ${server.command} does not start: ${reason(error)}. ${advice}`);
  }
}

async function stop() {
  const running = client;
  client = undefined;
  if (running && running.isRunning()) {
    await running.stop();
  }
}

/** Runs `ksn`: what it prints, or its complaint. */
function run(args) {
  return new Promise((resolve) => {
    execFile(command(), args, { maxBuffer: LARGEST }, (error, stdout, stderr) => {
      resolve(error ? { error: stderr || error.message } : { svg: stdout });
    });
  });
}

/** A panel with the picture of a file, which follows what is saved. */
class Panel {
  constructor(file) {
    this.file = file;
    this.svg = '';
    this.view = vscode.window.createWebviewPanel('ksn.diagram', 'Diagram', vscode.ViewColumn.Beside, {});
    const saved = vscode.workspace.onDidSaveTextDocument((document) => {
      if (document.languageId === 'ksn') {
        this.draw(false);
      }
    });
    this.view.onDidDispose(() => saved.dispose());
  }

  /** Draws the network; asks which, if there are several and that is wanted. */
  async draw(ask) {
    let drawn = await run(diagram.args(this.file, this.net));
    const nets = drawn.error ? diagram.choices(drawn.error) : [];
    if (ask && nets.length > 0) {
      this.net = await vscode.window.showQuickPick(nets, { title: 'Which network?' });
      drawn = this.net ? await run(diagram.args(this.file, this.net)) : drawn;
    }
    this.svg = drawn.svg || this.svg;
    this.view.webview.html = diagram.page({ svg: this.svg, error: drawn.error });
  }
}

async function show() {
  const document = vscode.window.activeTextEditor?.document;
  if (!document || document.isUntitled) {
    vscode.window.showInformationMessage('Save the specification first: the picture is that of a file.');
    return;
  }
  await document.save();
  await new Panel(document.uri.fsPath).draw(true);
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand('ksn.diagram', show),
    vscode.commands.registerCommand('ksn.restart', async () => {
      await stop();
      await start();
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
