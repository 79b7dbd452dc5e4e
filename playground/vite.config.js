/** The playground: `gatewise` is the package that the build has put into dist. */
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Without notes about how long plugins of Vite take. */
const rolldownOptions = { checks: { pluginTimings: false } };

export default {
  root: `${root}playground`,
  base: './',
  cacheDir: `${root}build/vite-playground`,
  publicDir: `${root}build/playground-samples`,
  resolve: {
    alias: [
      { find: /^gatewise\/(tasks|quantized|dynamics|worker)$/, replacement: `${root}dist/$1.js` },
      { find: /^gatewise$/, replacement: `${root}dist/index.js` },
    ],
  },
  worker: { format: 'es', rolldownOptions },
  server: { fs: { allow: [root] } },
  build: {
    outDir: `${root}build/playground`,
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 2000,
    rolldownOptions,
  },
};
