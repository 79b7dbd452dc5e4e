/** Serves a folder to a page, with the strict content security policy that the package promises to need no more than. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const TYPES: Record<string, string> = {
  html: 'text/html',
  js: 'text/javascript',
  wasm: 'application/wasm',
  css: 'text/css',
};

/**
 * @param sources what scripts may come from besides the folder: an import map stands in the page itself
 * @param options more of the policy; whether the page is isolated from other origins, as shared memory needs; whether a file that is
 *   missing is answered with a page of HTML, as some servers do; whether the policy allows WebAssembly
 */
export function serve(
  folder: string,
  sources: readonly string[] = [],
  { more = '', isolated = false, html = false, wasm = true } = {},
): Promise<{ url: string; close: () => void }> {
  const policy = `default-src 'self' data:; script-src ${["'self'", ...(wasm ? ["'wasm-unsafe-eval'"] : []), ...sources].join(' ')}${more}`;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const wanted = join(folder, pathname === '/' ? 'index.html' : pathname);
    const found = existsSync(wanted) && !statSync(wanted).isDirectory();
    if (!(found || html)) return void response.writeHead(404).end();
    const path = found ? wanted : join(folder, 'index.html');
    response.writeHead(200, {
      'content-type': TYPES[path.split('.').pop() ?? ''] ?? 'application/octet-stream',
      'content-security-policy': policy,
      ...(isolated
        ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
        : {}),
    });
    response.end(readFileSync(path));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() }),
    );
  });
}
