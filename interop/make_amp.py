"""Makes files of guitar amplifiers for tests.

    python interop/make_amp.py             tests/import/lstm.nam, stack.nam: by neural-amp-modeler 0.13.0, with outputs of its model in double
                                           precision; lstm.aidax.json, gru.rtneural.json: the format that RTNeural reads, with outputs of
                                           formulas in numpy. Expected outputs: tests/import/amp.json

Needs torch and neural-amp-modeler.
"""

import json
from pathlib import Path

import numpy as np
import torch
from nam.models.recurrent import LSTM

out = Path(__file__).parent.parent / "tests" / "import"
rng = np.random.default_rng(7)
expected = {}


def samples(n=200):
    """A plucked string that fades, with noise."""
    t = np.arange(n)
    return (0.7 * np.sin(0.2 * t) * np.exp(-t / 150) + 0.05 * rng.standard_normal(n)).astype(np.float32)


def nam(name, hidden, layers):
    torch.manual_seed(hidden + layers)
    model = LSTM(hidden_size=hidden, num_layers=layers, train_burn_in=None, sample_rate=48_000)
    model.eval()
    model._get_initial_state_burn_in = 4000
    model.export(out, basename=name)
    # what the file says: with the state that the export computed
    weights = json.loads((out / f"{name}.nam").read_text())["weights"]
    loaded = LSTM(hidden_size=hidden, num_layers=layers).double()
    loaded.import_weights(np.array(weights, dtype=np.float64))
    loaded = loaded.double().eval()
    x = samples()
    with torch.no_grad():
        y = loaded._forward(torch.from_numpy(x.astype(np.float64))[None])
    expected[f"{name}.nam"] = {"input": x.tolist(), "output": y[0].tolist()}


sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731


def lstm(x, kernel, recurrent, bias):
    h = c = np.zeros(recurrent.shape[0])
    rows = []
    for step in x:
        i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        rows.append(h)
    return np.array(rows)


def gru(x, kernel, recurrent, bias):
    h = np.zeros(recurrent.shape[0])
    rows = []
    for step in x:
        xz, xr, xn = np.split(step @ kernel + bias[0], 3)
        hz, hr, hn = np.split(h @ recurrent + bias[1], 3)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        h = z * h + (1 - z) * np.tanh(xn + r * hn)
        rows.append(h)
    return np.array(rows)


def rtneural(name, kind, hidden, skip):
    gates = {"lstm": 4, "gru": 3}[kind]
    draw = lambda *shape: rng.uniform(-0.4, 0.4, shape).astype(np.float32)  # noqa: E731
    weights = [draw(1, gates * hidden), draw(hidden, gates * hidden)]
    weights.append(draw(4 * hidden) if kind == "lstm" else draw(2, 3 * hidden))
    dense = [draw(hidden, 4), draw(4)], [draw(4, 1), draw(1)]
    layers = [
        {"type": kind, "activation": "", "shape": [None, None, hidden], "weights": [w.tolist() for w in weights]},
        {"type": "dense", "activation": "tanh", "shape": [None, None, 4], "weights": [w.tolist() for w in dense[0]]},
        {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [w.tolist() for w in dense[1]]},
    ]
    file = {"in_shape": [None, None, 1], "layers": layers}
    if skip:
        file |= {"in_skip": 1, "in_gain": 0, "out_gain": 0}
    (out / name).write_text(json.dumps(file))
    x = samples()
    rows = {"lstm": lstm, "gru": gru}[kind](x.astype(np.float64)[:, None], *(w.astype(np.float64) for w in weights))
    y = np.tanh(rows @ dense[0][0].astype(np.float64) + dense[0][1]) @ dense[1][0].astype(np.float64) + dense[1][1]
    expected[name] = {"input": x.tolist(), "output": (y[:, 0] + (x if skip else 0)).tolist()}


nam("lstm", 8, 1)
nam("stack", 6, 2)
rtneural("lstm.aidax.json", "lstm", 8, True)
rtneural("gru.rtneural.json", "gru", 6, False)
(out / "amp.json").write_text(json.dumps(expected))
