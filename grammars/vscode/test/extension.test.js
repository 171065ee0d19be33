// Tests of the extension without VS Code, which is replaced by what it uses of it: `node --test test/`.

'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const Module = require('node:module');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const diagram = require('../src/diagram');

const root = path.join(__dirname, '..');
const read = (name) => JSON.parse(fs.readFileSync(path.join(root, name), 'utf8'));

test('the manifest names files and commands that exist', () => {
  const { contributes, main } = read('package.json');
  const files = [main, contributes.languages[0].configuration, contributes.grammars[0].path];
  for (const file of files) {
    assert.ok(fs.existsSync(path.join(root, file)), file);
  }
  const source = fs.readFileSync(path.join(root, main), 'utf8');
  for (const { command } of contributes.commands) {
    assert.ok(source.includes(`registerCommand('${command}'`), command);
  }
  assert.deepStrictEqual(contributes.languages[0].extensions, ['.ksn']);
});

test('every pattern of the grammar is a regular expression, and its includes exist', () => {
  const grammar = read('syntaxes/ksn.tmLanguage.json');
  const visit = (rule) => {
    for (const key of ['match', 'begin', 'end']) {
      if (rule[key]) new RegExp(rule[key], 'u');
    }
    if (rule.include) assert.ok(grammar.repository[rule.include.slice(1)], rule.include);
    (rule.patterns || []).forEach(visit);
  };
  [grammar, ...Object.values(grammar.repository)].forEach(visit);
});

test('networks are chosen where there are several', () => {
  const error = 'error: nets.ksn defines multiple networks: family, two, three\n |\n = help: choose one\n';
  assert.deepStrictEqual(diagram.choices(error), ['family', 'two', 'three']);
  assert.deepStrictEqual(diagram.choices('error: no such file'), []);
  assert.deepStrictEqual(diagram.args('a b.ksn', 'two').slice(-2), ['--net', 'two']);
  assert.strictEqual(diagram.args('a.ksn').includes('--net'), false);
});

test('pages run no scripts and show errors as text', () => {
  const page = diagram.page({ svg: '<svg></svg>', error: '<script>alert(1)</script> "&"' });
  assert.ok(page.includes('<svg></svg>') && page.includes("default-src 'none'"));
  assert.ok(!page.includes('<script>'));
  assert.ok(page.includes('&#60;script&#62;alert(1)&#60;/script&#62; &#34;&#38;&#34;'));
});

/** What the extension uses of VS Code. */
function editor(command, document) {
  const state = { panels: [], commands: {}, saved: [], errors: [], clients: [] };
  const vscode = {
    ViewColumn: { Beside: 2 },
    commands: {
      registerCommand: (name, run) => ((state.commands[name] = run), { dispose() {} }),
    },
    window: {
      activeTextEditor: { document },
      showErrorMessage: (text) => state.errors.push(text),
      showInformationMessage: (text) => state.errors.push(text),
      showQuickPick: async (names) => names[1],
      createWebviewPanel: () => {
        const panel = { webview: { html: '' }, onDidDispose() {} };
        state.panels.push(panel);
        return panel;
      },
    },
    workspace: {
      getConfiguration: () => ({ get: () => command }),
      createFileSystemWatcher: (pattern) => pattern,
      onDidSaveTextDocument: (listener) => (state.saved.push(listener), { dispose() {} }),
    },
  };
  class LanguageClient {
    constructor(id, name, server, options) {
      state.clients.push(this);
      Object.assign(this, { server, options, running: false });
    }
    async start() {
      // As the client does where a command does not exist.
      if (this.server.command === 'absent') throw 'spawn absent ENOENT';
      this.running = true;
    }
    isRunning() {
      return this.running;
    }
    async stop() {
      this.running = false;
    }
  }
  const load = Module._load;
  Module._load = (name, ...rest) => {
    if (name === 'vscode') return vscode;
    if (name === 'vscode-languageclient/node') return { LanguageClient };
    return load(name, ...rest);
  };
  const main = require.resolve('../src/extension');
  delete require.cache[main];
  const extension = require(main);
  Module._load = load;
  return { state, extension };
}

test('the extension starts the server and draws what is saved', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ksn-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  // In the place of ksn: asks for a network, then draws it with a number that grows.
  const command = path.join(folder, 'ksn');
  fs.writeFileSync(
    command,
    `#!/bin/sh
case "$*" in *--net*) ;; *) echo "error: a.ksn defines multiple networks: one, two" >&2; exit 2;; esac
echo x >> "${folder}/count"
echo "<svg>$5 $6 $(wc -l < "${folder}/count" | tr -d ' ')</svg>"
`,
    { mode: 0o755 },
  );
  const document = { isUntitled: false, languageId: 'ksn', uri: { fsPath: 'a.ksn' }, save: async () => true };
  const { state, extension } = editor(command, document);
  await extension.activate({ subscriptions: [] });
  assert.deepStrictEqual(state.clients[0].server, { command, args: ['lsp'] });
  assert.ok(state.clients[0].running);
  await state.commands['ksn.diagram']();
  assert.ok(state.panels[0].webview.html.includes('<svg>--net two 1</svg>'), state.panels[0].webview.html);
  state.saved[0](document);
  for (let wait = 0; wait < 200 && !state.panels[0].webview.html.includes('two 2'); wait++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(state.panels[0].webview.html.includes('<svg>--net two 2</svg>'));
  await state.commands['ksn.restart']();
  assert.deepStrictEqual(state.clients.map((client) => client.running), [false, true]);
  await extension.deactivate();
  assert.strictEqual(state.clients[1].running, false);
});

test('a server that does not start is reported with the reason', async () => {
  const { state, extension } = editor('absent', undefined);
  await extension.activate({ subscriptions: [] });
  assert.match(state.errors[0], /^The command absent does not start: spawn absent ENOENT\. Install it/);
});

test('tokens have the scopes of what they are', async (t) => {
  let textmate, oniguruma;
  try {
    textmate = require('vscode-textmate');
    oniguruma = require('vscode-oniguruma');
  } catch {
    t.skip('vscode-textmate is not installed (npm install)');
    return;
  }
  const wasm = fs.readFileSync(require.resolve('vscode-oniguruma/release/onig.wasm'));
  await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => read('syntaxes/ksn.tmLanguage.json'),
  });
  const grammar = await registry.loadGrammar('source.ksn');
  const scopes = (line, word) => {
    const at = line.indexOf(word);
    const token = grammar.tokenizeLine(line, null).tokens.find((token) => token.startIndex <= at && at < token.endIndex);
    return token.scopes[token.scopes.length - 1];
  };
  const cases = [
    ['net tiny(k = 3) {', 'net', 'keyword.ksn'],
    ['net tiny(k = 3) {', 'tiny', 'entity.name.type.ksn'],
    ['net tiny(k = 3) {', 'k', 'variable.parameter.ksn'],
    ['c: conv(4, kernel = 3)', 'c', 'entity.name.label.ksn'],
    ['c: conv(4, kernel = 3)', 'conv', 'support.function.layer.ksn'],
    ['c: conv(4, kernel = 3)', 'kernel', 'variable.parameter.ksn'],
    ['share kernel of isomorphic conv', 'kernel', 'keyword.ksn'],
    ['into cycle(3)', 'cycle', 'support.function.clause.ksn'],
    ['input 1x8x8', '1x8x8', 'constant.numeric.ksn'],
    ['when k == 2 { relu }', '==', 'keyword.operator.ksn'],
    ['use "std/gates.ksn"', 'std', 'string.quoted.double.ksn'],
    ['/* a /* b */ conv */ relu', 'conv', 'comment.block.ksn'],
    ['/* a /* b */ conv */ relu', 'relu', 'support.function.layer.ksn'],
  ];
  for (const [line, word, scope] of cases) {
    assert.strictEqual(scopes(line, word), scope, `${word} in ${line}`);
  }
});
