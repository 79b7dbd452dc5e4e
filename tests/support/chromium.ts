/** Chromium without a window. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PATH = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
);

/** Whether there is one; says so where a test has to be skipped. */
export function hasChromium(): boolean {
  if (!PATH)
    console.log('  SKIPPED: there is no Chromium (Debian: apt install chromium; elsewhere name it in CHROMIUM)');
  return PATH !== undefined;
}

export function launch(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: PATH as string,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...more,
    ],
  });
}
