"""Makes tests/import/*.keras, *.h5.gz and keras.json: small models saved by Keras, and what they compute.

HDF5 files are mostly zeros: those that are kept are compressed.

    python interop/make_keras.py        needs keras 3 and a backend, torch say (KERAS_BACKEND=torch)
    python interop/make_keras.py 2      the same by Keras 2: keras2-*, keras2.json; needs tf_keras
"""

import gzip
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

old = sys.argv[1:] == ["2"]
if old:
    import tf_keras as keras
else:
    import keras
L = keras.layers

out = Path(__file__).parent.parent / "tests" / "import"
out.mkdir(exist_ok=True)
rng = np.random.default_rng(1)
expected = {"keras": keras.__version__}


def case(name, model, x, kinds=("keras",)):
    """Saves a model with random weights, what it reads and what it gives."""
    model.set_weights([rng.normal(0, 0.6, w.shape).astype("float32") for w in model.get_weights()])
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model.{kind}"
            model.save(path)
            if kind == "h5":
                (out / f"{name}.h5.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            else:
                with zipfile.ZipFile(path) as saved, zipfile.ZipFile(out / f"{name}.keras", "w", zipfile.ZIP_DEFLATED) as kept:
                    for entry in saved.namelist():
                        kept.writestr(entry, saved.read(entry))
    y = np.asarray(model.predict(x, verbose=0), "float64")
    expected[name] = {
        "kinds": list(kinds),
        "shape": list(x.shape),
        "x": [float(f"{v:.9g}") for v in x.flatten()],
        "y": [float(f"{v:.9g}") for v in y.flatten()],
    }


def tokens(B, T, V, low=0):
    return rng.integers(low, V, (B, T)).astype("int32")


def features(B, T, F):
    return rng.normal(size=(B, T, F)).astype("float32")


def cases_of_keras_3():
    # a stack with everything that works at each step
    case(
        "keras-tagger",
        keras.Sequential(
            [
                L.Input((None,), dtype="int32"),
                L.Embedding(7, 3),
                L.SpatialDropout1D(0.1),
                L.Bidirectional(L.LSTM(3, return_sequences=True)),
                L.Dropout(0.2),
                L.TimeDistributed(L.Dense(4, activation="relu")),
                L.LayerNormalization(),
                L.GRU(3, return_sequences=True, dropout=0.1),
                L.Dense(5, activation="softmax"),
            ]
        ),
        tokens(3, 5, 7),
        ("keras", "h5"),
    )

    # masked steps before, between and after those that count
    x = tokens(4, 6, 9, 1)
    x[0, :3] = 0
    x[1, 4:] = 0
    x[2, 2] = x[2, 5] = 0
    i = L.Input((None,), dtype="int32")
    h = L.Embedding(9, 3, mask_zero=True)(i)
    h = L.Bidirectional(L.GRU(2, return_sequences=True, reset_after=False))(h)
    h = L.Bidirectional(L.LSTM(3), merge_mode="sum")(h)
    case("keras-functional", keras.Model(i, L.Dense(1, activation="sigmoid")(h)), x, ("keras", "h5"))

    x = features(3, 5, 2)
    x[1, 3:] = -1
    case(
        "keras-masking",
        keras.Sequential([L.Input((None, 2)), L.Masking(-1.0), L.SimpleRNN(4, activation="relu"), L.Dense(2)]),
        x,
    )

    i = L.Input((None, 2))
    h = L.SimpleRNN(3)(L.Masking(-1.0)(i))
    case("keras-masked", keras.Model(i, L.Dense(2)(h)), x)

    case(
        "keras-reverse",
        keras.Sequential(
            [
                L.Input((4, 2)),
                L.SimpleRNN(3, return_sequences=True, use_bias=False),
                L.Bidirectional(L.GRU(3, return_sequences=True, dropout=0.2, recurrent_dropout=0.2), merge_mode="mul"),
                L.Activation("tanh"),
                L.LSTM(3, go_backwards=True, use_bias=False),
                L.LayerNormalization(center=False, epsilon=1e-5),
                L.Dense(2, use_bias=False, activation="tanh"),
            ]
        ),
        features(2, 4, 2),
    )

    case(
        "keras-pool",
        keras.Sequential(
            [
                L.Input((None, 2)),
                L.Bidirectional(L.SimpleRNN(3, activation="linear", return_sequences=True), merge_mode="ave"),
                L.GRU(2, activation="relu", return_sequences=True),
                L.GlobalAveragePooling1D(),
                L.Dense(2, activation="log_softmax"),
            ]
        ),
        features(2, 4, 2),
    )


def cases_of_keras_2():
    case(
        "keras2-tagger",
        keras.Sequential(
            [
                L.Embedding(7, 3, input_length=5),
                L.Bidirectional(L.LSTM(3, return_sequences=True)),
                L.Dropout(0.2),
                L.TimeDistributed(L.Dense(4, activation="relu")),
                L.LayerNormalization(),
                L.GRU(3, return_sequences=True),
                L.Dense(5, activation="softmax"),
            ]
        ),
        tokens(3, 5, 7),
        ("keras", "h5"),
    )
    x = tokens(3, 5, 7, 1)
    x[0, :2] = x[1, 3:] = 0
    i = L.Input((None,))
    h = L.LSTM(3, return_sequences=True)(L.Embedding(7, 3, mask_zero=True)(i))
    h = L.GRU(2, reset_after=False)(h)
    case("keras2-functional", keras.Model(i, L.Dense(1, activation="sigmoid")(h)), x, ("keras", "h5"))


cases_of_keras_2() if old else cases_of_keras_3()
(out / ("keras2.json" if old else "keras.json")).write_text(json.dumps(expected) + "\n")
