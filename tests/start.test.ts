/** The errors of an engine that does not start the core, as errors that say what to do. */
import type { UnsupportedError } from 'gatewise';
import { test } from 'uvu';
import { is, match } from 'uvu/assert';
import { explained } from '#dist/bindings/core/start.js';

const compile = (message: string, build = 'simd') =>
  explained(new WebAssembly.CompileError(message), build) as UnsupportedError;

test('a refused compilation names the content security policy, in the words of each engine', () => {
  for (const message of [
    // Chromium, Firefox, Safari, workerd
    "WebAssembly.Module(): Compiling or instantiating WebAssembly module violates the following Content Security policy directive because neither 'wasm-eval' nor 'unsafe-eval' is an allowed source of script",
    'call to WebAssembly.Module() blocked by CSP',
    "Refused to create a WebAssembly object because 'unsafe-eval' or 'wasm-unsafe-eval' is not an allowed source of script",
    'WebAssembly.Module(): Wasm code generation disallowed by embedder',
  ]) {
    const { message: said } = compile(message);
    match(said, /content security policy needs 'wasm-unsafe-eval' in script-src/);
    match(said, message.slice(0, 20));
  }
});

test('other failures: no SIMD, no relaxed SIMD, a damaged module, no memory, another module', () => {
  match(
    compile('invalid value type 0x7b').message,
    /this engine has no SIMD; Chrome has it since 91, Firefox since 89/,
  );
  match(compile('invalid opcode', 'relaxed').message, /no relaxed SIMD/);
  match(compile('unexpected end', 'given').message, /are the bytes complete/);
  is((explained(new RangeError('could not allocate memory'), 'simd') as Error).name, 'MemoryError');
  is((explained(new WebAssembly.LinkError('import object'), 'given') as Error).name, 'UnsupportedError');
  const other = new RangeError('other');
  is(explained(other, 'simd'), other);
});

test.run();
