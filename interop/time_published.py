"""Times the published models in their own programs and in gatewise, in turns, and prints a table for docs/examples.md.

    pip install onnxruntime numpy g2p_en
    npm run build && python interop/time_published.py FOLDER

FOLDER holds the files that docs/examples.md lists, and for RNNoise the package of
`npm install --prefix FOLDER @jitsi/rnnoise-wasm@0.2.1`.
ml5.js needs Chromium and `npm install --prefix FOLDER ml5@0.12.2`. What is not there is left out. Each program runs on
one thread; of five turns the fastest counts.
"""

import os
import re
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

# NumPy reads them when it is loaded
os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

ROOT = Path(__file__).resolve().parent.parent
TURNS = 5
FRAMES = 500


def times_of(work: Callable[[], object], count: int) -> list[float]:
    """What each of a number of calls takes, in microseconds."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        times.append(1e6 * (time.perf_counter() - began))
    return times


def session(path: Path):
    """A model in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def silero(folder: Path) -> Callable[[], float]:
    import numpy as np

    model = session(folder / "silero_vad.onnx")
    x = np.random.default_rng(1).normal(0, 0.1, (1, 576)).astype(np.float32)
    inputs = {"input": x, "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000, np.int64)}
    return lambda: statistics.median(times_of(lambda: model.run(None, inputs), FRAMES))


def dtln(folder: Path) -> Callable[[], float]:
    import numpy as np

    first, second = session(folder / "model_1.onnx"), session(folder / "model_2.onnx")
    (name1, state1), (name2, state2) = ([i.name for i in s.get_inputs()] for s in (first, second))
    zeros = np.zeros((1, 2, 128, 2), np.float32)
    block = np.random.default_rng(1).normal(0, 0.1, 512).astype(np.float32)

    def hop() -> object:
        spectrum = np.fft.rfft(block)
        magnitude = np.abs(spectrum).astype(np.float32).reshape(1, 1, -1)
        mask = first.run(None, {name1: magnitude, state1: zeros})[0]
        estimate = np.fft.irfft(mask.reshape(-1) * spectrum).astype(np.float32).reshape(1, 1, -1)
        return second.run(None, {name2: estimate, state2: zeros})

    return lambda: statistics.median(times_of(hop, FRAMES))


def g2p(_: Path) -> Callable[[], float]:
    import nltk

    # the network alone: no tagger, no dictionary
    nltk.download = lambda *_, **__: False
    import g2p_en.g2p as package

    package.cmudict = types.SimpleNamespace(dict=dict)
    model = package.G2p()
    words = ["gatewise", "recurrent", "webassembly", "gradient", "vanishing", "whale", "chaucerian", "typescript"]
    # as the example: the fastest of five
    return lambda: min(times_of(lambda: [model.predict(word) for word in words], 5)) / len(words)


RNNOISE = """
import create from './node_modules/@jitsi/rnnoise-wasm/dist/rnnoise-sync.js';
const module = create();
await module.ready;
const state = module._rnnoise_create();
const at = module._malloc(480 * 4);
let random = 1;
const times = [];
for (let n = 0; n < COUNT; n++) {
  for (let i = 0; i < 480; i++) {
    random = (random * 48271) % 2147483647;
    module.HEAPF32[at / 4 + i] = 3000 * (random / 2147483647 - 0.5);
  }
  const began = performance.now();
  module._rnnoise_process_frame(state, at, at);
  times.push(performance.now() - began);
}
console.log(1000 * times.sort((a, b) => a - b)[COUNT >> 1]);
"""


def rnnoise(folder: Path) -> Callable[[], float]:
    program = ["node", "--input-type=module", "-e", RNNOISE.replace("COUNT", str(FRAMES))]
    return lambda: float(subprocess.run(program, cwd=folder, check=True, capture_output=True, text=True).stdout)


ML5 = """
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'PLAYWRIGHT';
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script src="/ml5.js"></script><script>
  ml5.tf.setBackend('cpu');
  const seed = 'The ';
  const model = ml5.charRNN('/shakespeare/', async () => {
    await model.generate({ seed, length: 50 });
    const began = performance.now();
    await model.generate({ seed, length: COUNT });
    window.milliseconds = (performance.now() - began) / (COUNT + seed.length);
  });
</script>`;
const server = createServer(({ url }, response) => {
  if (url === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
  const path = url === '/ml5.js' ? 'node_modules/ml5/dist/ml5.min.js' : `.${url}`.replace('//', '/');
  if (!existsSync(path)) return response.writeHead(404).end();
  response.end(readFileSync(path));
}).listen(0, '127.0.0.1', async () => {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu'] });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const milliseconds = await page.waitForFunction(() => window.milliseconds);
  console.log(1000 * (await milliseconds.jsonValue()));
  await browser.close();
  server.close();
});
"""


def ml5(folder: Path) -> Callable[[], float]:
    playwright = (ROOT / "node_modules/playwright-core/index.mjs").resolve().as_uri()
    text = ML5.replace("PLAYWRIGHT", playwright).replace("COUNT", "200")
    program = ["node", "--input-type=module", "-e", text]
    return lambda: float(subprocess.run(program, cwd=folder, check=True, capture_output=True, text=True).stdout)


def gatewise(name: str, model: Path, metric: str) -> float:
    """What an example prints for a metric, in microseconds."""
    program = [
        "node",
        str(ROOT / "build/examples/example.js"),
        name,
        "--model",
        str(model),
        "--out",
        str(ROOT / "build/timing"),
    ]
    printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    found = re.search(re.escape(metric) + r"\s+([\d.]+) (µs|ms)", printed)
    if found is None:
        raise ValueError(f"{name} printed no '{metric}': {printed}")
    return float(found[1]) * (1000 if found[2] == "ms" else 1)


MODELS = [
    (
        "Silero VAD, frame of 32 ms",
        "voice-activity",
        "silero_vad.onnx",
        "time of a frame of 32 ms, median",
        "ONNX Runtime",
        silero,
    ),
    ("DTLN, 8 ms", "enhance-speech", "model.h5", "time of 128 samples (8 ms), median", "ONNX Runtime, NumPy", dtln),
    ("g2p_en, word", "pronounce", "checkpoint20.npz", "time of a word", "its NumPy code", g2p),
    (
        "RNNoise, frame of 10 ms",
        "rnnoise",
        "rnn_data.c",
        "time of a frame of 10 ms",
        "WebAssembly, with its signal processing",
        rnnoise,
    ),
    (
        "ml5.js, character",
        "char-rnn",
        "shakespeare",
        "time of a character",
        "TensorFlow.js on the processor, in Chromium",
        ml5,
    ),
]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    print("| model | its own program | µs | gatewise, µs | ratio |\n| --- | --- | --- | --- | --- |")
    for title, name, file, metric, program, prepare in MODELS:
        try:
            theirs = prepare(folder)
            turns = [(theirs(), gatewise(name, folder / file, metric)) for _ in range(TURNS)]
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            print(f"{title}: left out: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
            continue
        own, ours = (min(times) for times in zip(*turns, strict=True))
        print(f"| {title} | {program} | {own:.0f} | {ours:.0f} | {ours / own:.2f} |")


main()
