/** The page of `npm run bench:page`: `gatewise` is what the build has put into dist. */
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export default {
  cacheDir: `${root}build/vite`,
  resolve: {
    alias: {
      'gatewise/tasks': `${root}dist/bindings/tasks/index.js`,
      gatewise: `${root}dist/bindings/index.js`,
    },
  },
  server: { fs: { allow: [root] } },
  build: { outDir: `${root}build/page`, emptyOutDir: true },
};
