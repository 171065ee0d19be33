// Takes the screenshots of the book in Chromium: pages as they are, and VS Code with the extension and `ksn lsp` behind it.
// `screenshots.sh` prepares what it opens.

import { chromium } from 'playwright-core';

const [editor, work, pictures] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

async function page(url, size, colorScheme = 'light') {
  const context = await browser.newContext({ viewport: size, colorScheme });
  const opened = await context.newPage();
  await opened.goto(url);
  return opened;
}

/** A picture of `work` in a browser, as large as it is. */
async function shoot(file, picture, colorScheme) {
  const opened = await page(`file://${work}/${file}`, { width: 1280, height: 800 }, colorScheme);
  const size = await opened.evaluate(() => {
    const { width, height } = document.documentElement;
    return { width: Math.ceil(width.baseVal.value), height: Math.ceil(height.baseVal.value) };
  });
  await opened.setViewportSize(size);
  await opened.screenshot({ path: `${pictures}/${picture}.png` });
  await opened.context().close();
}

/** VS Code with hints, a hover and the picture of the network. */
async function edit() {
  const code = await page(`${editor}/?folder=${work}/digits`, { width: 1280, height: 800 });
  await code.waitForSelector('.explorer-folders-view', { timeout: 120_000 });
  const command = async (text) => {
    await code.keyboard.press('F1');
    await code.waitForSelector('.quick-input-widget input');
    await code.keyboard.type(text);
    await code.waitForTimeout(500);
    await code.keyboard.press('Enter');
    await code.waitForTimeout(800);
  };
  await code.dblclick('.explorer-folders-view >> text=digits.ksn');
  await code.waitForSelector('.view-lines');
  // Hints come from the server.
  await code.waitForFunction(() => document.querySelector('.view-lines')?.textContent.includes('16x8x8'), null, { timeout: 60_000 });
  await command('View: Close Primary Side Bar');
  await command('KSDSL: Show Diagram');
  await code.waitForTimeout(4_000);
  const layers = code.locator('.view-line span span', { hasText: /^\s*conv$/ });
  await layers.nth(1).hover();
  await code.waitForSelector('.monaco-hover:visible', { timeout: 30_000 });
  await code.waitForTimeout(1_500);
  await code.screenshot({ path: `${pictures}/editor.png` });
}

try {
  await edit();
  await shoot('diagram.svg', 'diagram-dark', 'dark');
  await shoot('curves.svg', 'curves', 'light');
  await shoot('confusion.svg', 'confusion', 'light');
} finally {
  await browser.close();
}
