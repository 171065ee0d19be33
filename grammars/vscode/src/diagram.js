// The picture of a network: what `ksn diagram` is asked, and the page that shows it. Knows nothing of VS Code.

'use strict';

/** The arguments of `ksn` for the picture of a file, of one network if it is given. */
function args(file, net) {
  return ['diagram', file, '--color', 'never', ...(net ? ['--net', net] : [])];
}

/** The networks to choose from, if that is what an error of `ksn` asks for; otherwise none. */
function choices(error) {
  const found = /defines multiple networks: (.+)/.exec(error);
  return found ? found[1].split(',').map((name) => name.trim()).filter(Boolean) : [];
}

function escape(text) {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/**
 * A page with a picture, or with an error and the last picture below it. No script runs in it and nothing is loaded; styles
 * are those of the picture itself.
 */
function page({ svg = '', error = '' }) {
  const problem = error ? `<pre class="error">${escape(error)}</pre>` : '';
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline';">
<style>
body { margin: 0; padding: 1em; }
svg { max-width: 100%; height: auto; }
.error { color: var(--vscode-errorForeground); white-space: pre-wrap; }
</style>
</head>
<body>${problem}${svg}</body>
</html>
`;
}

module.exports = { args, choices, page };
