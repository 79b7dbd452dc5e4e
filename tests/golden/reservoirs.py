"""Writes reservoirs.json: errors of reservoirpy on two chaotic series: of ten networks whose weights are given, and of ten drawn ones.

    python tests/golden/reservoirs.py      needs reservoirpy 0.4.2

The series are made by additions, multiplications and divisions alone, in the same order as in tests/support/chaos.ts, so both are the
same numbers. Each error is that of another seed: √(mean squared error / variance) on the last 2000 of 4000 steps.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
from reservoirpy.nodes import Reservoir, Ridge


def mackey_glass(n):
    """dx/dt = 0.2 x(t-17) / (1 + x(t-17)^10) - 0.1 x, Euler steps of 0.1, one of ten is kept."""
    x = [1.2] * 171
    out = []
    for k in range((n + 200) * 10):
        p = x[-171]
        q = p * p
        q = q * q
        q = q * q * p * p
        x.append(x[-1] + 0.1 * (0.2 * p / (1 + q) - 0.1 * x[-1]))
        if k % 10 == 9:
            out.append([x[-1]])
    return np.array(out[200:])


def lorenz(n):
    """Lorenz' system with 10, 28, 8/3, Runge-Kutta steps of 0.005, one of four is kept."""
    h = 0.005
    s = [1.0, 1.0, 1.0]
    out = []

    def slope(x, y, z):
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    for k in range((n + 500) * 4):
        a = slope(*s)
        b = slope(*[s[i] + h / 2 * a[i] for i in range(3)])
        c = slope(*[s[i] + h / 2 * b[i] for i in range(3)])
        d = slope(*[s[i] + h * c[i] for i in range(3)])
        s = [s[i] + h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) for i in range(3)]
        if k % 4 == 3:
            out.append(s)
    return np.array(out[500:])


TASKS = [
    {"name": "Mackey-Glass", "horizon": 10, "units": 300, "leak": 0.3, "spectralRadius": 0.9, "inputScale": 0.5, "ridge": 0.01},
    {"name": "Lorenz", "horizon": 10, "units": 300, "leak": 0.5, "spectralRadius": 0.9, "inputScale": 0.3, "ridge": 0.01},
]
TRAIN, WASHOUT = 2000, 100
series = {"Mackey-Glass": mackey_glass(4000), "Lorenz": lorenz(4000)}


UNITS = 40


def matrices(task, seed):
    """The weights of a reservoir that reservoirpy draws, in single precision, so that all who read them compute with the same."""
    x = series[task["name"]]
    drawn = Reservoir(
        UNITS, sr=task["spectralRadius"], input_scaling=task["inputScale"], rc_connectivity=0.1, input_connectivity=1.0, seed=seed
    )
    drawn.run(x[:1])
    dense = lambda m: np.asarray(m.toarray() if hasattr(m, "toarray") else m).astype(np.float32).astype(np.float64)
    return dense(drawn.W), dense(drawn.Win)


def run(task, reservoir):
    x = series[task["name"]]
    x = (x - x[:TRAIN].mean(0)) / x[:TRAIN].std(0)
    states = reservoir.run(x)
    target = x[task["horizon"]:]
    states = states[: len(target)]
    readout = Ridge(ridge=task["ridge"])
    readout.fit(states[WASHOUT:TRAIN], target[WASHOUT:TRAIN])
    got = readout.run(states[TRAIN:])
    want = target[TRAIN:]
    return float(np.sqrt(((got - want) ** 2).mean() / want.var(0).mean())), got


tasks = []
for task in TASKS:
    settings = dict(lr=task["leak"], sr=task["spectralRadius"], input_scaling=task["inputScale"], rc_connectivity=0.1, input_connectivity=1.0)
    drawn = [run(task, Reservoir(task["units"], seed=seed, **settings))[0] for seed in range(10)]
    given = []
    for seed in range(10):
        W, Win = matrices(task, seed)
        error, got = run(task, Reservoir(W=W, Win=Win, lr=task["leak"]))
        at = np.flatnonzero(W)
        given.append({
            "at": at.tolist(), "W": [float(f"{v:.9g}") for v in W.flatten()[at]], "Win": [float(f"{v:.9g}") for v in Win.flatten()],
            "error": error, "outputs": [float(f"{v:.9g}") for v in got[:20].flatten()],
        })
    tasks.append({**task, "last": series[task["name"]][-1].tolist(), "drawn": drawn, "given": {"units": UNITS, "networks": given}})

path = pathlib.Path(__file__).with_name("reservoirs.json")
with path.open("w") as f:
    json.dump({"reservoirpy": importlib.metadata.version("reservoirpy"), "tasks": tasks}, f)
