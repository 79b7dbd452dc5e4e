"""Makes files of ONNX for tests.

    python interop/make_onnx.py            tests/import/onnx-*.onnx and onnx.json: models that PyTorch exports, nodes with the
                                           attributes that ONNX's own tests lack. Needs torch, onnx, onnxscript, onnxruntime
    python interop/make_onnx.py keras      tests/import/onnx-keras-*.onnx and onnx-keras.json: models that tf2onnx converts. Needs
                                           tensorflow, tf_keras, tf2onnx and onnxruntime
    python interop/make_onnx.py functions  tests/import/onnx-functions*.onnx and onnx-functions.json: nodes with other functions,
                                           different ones per direction, and clip. Needs onnx and onnxruntime
    python interop/make_onnx.py nodes      build/onnx-node: ONNX's own tests of RNN, GRU and LSTM, out of the generators in the
                                           package onnx. They are not part of this repository
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

root = Path(__file__).parent.parent
out = root / "tests" / "import"


def nodes():
    """The operator tests, in the form in which ONNX used to publish them."""
    # importing a module of generators fills the list; collect_testcases would import hundreds
    from onnx.backend.test.case import node as cases
    from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401

    folder = root / "build" / "onnx-node"
    count = 0
    for case in cases._NodeTestCases:
        if case.model.graph.node[0].op_type in ("RNN", "GRU", "LSTM"):
            data = folder / case.name / "test_data_set_0"
            data.mkdir(parents=True, exist_ok=True)
            (folder / case.name / "model.onnx").write_bytes(case.model.SerializeToString())
            for kind, values, infos in (
                ("input", case.data_sets[0][0], case.model.graph.input),
                ("output", case.data_sets[0][1], case.model.graph.output),
            ):
                for i, (value, info) in enumerate(zip(values, infos)):
                    tensor = numpy_helper.from_array(np.asarray(value), info.name)
                    (data / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())
            count += 1
    print(f"{count} operator tests in {folder}")


expected = {}
rng = np.random.default_rng(1)


def numbers(array):
    return [float(f"{v:.9g}") for v in np.asarray(array, "float64").flatten()]


def keep(name, model, inputs):
    """Saves a model, what onnxruntime reads and what it gives."""
    import onnxruntime

    onnx.save(model, out / f"{name}.onnx")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    results = session.run(None, inputs)
    record(name, inputs, {o.name: r for o, r in zip(session.get_outputs(), results)})


def record(name, inputs, outputs):
    describe = lambda values: {k: {"shape": list(v.shape), "data": numbers(v)} for k, v in values.items()}
    expected[name] = {"inputs": describe(inputs), "outputs": describe(outputs)}


def node(name, op, inputs, outputs, weights, T, B, I, reference=False, **attributes):
    """A model of one node whose weights are constants."""
    H = attributes["hidden_size"]
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    used = [n if n in weights or n in inputs else "" for n in names]
    while used and not used[-1]:
        used.pop()
    dtype = lambda v: TensorProto.INT32 if v.dtype == np.int32 else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, used, outputs, name=name, **attributes)],
        name,
        [helper.make_tensor_value_info(k, dtype(v), v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(v.astype("float32"), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    if not reference:
        return keep(f"onnx-{name}", model, inputs)
    # onnxruntime has no layout 1; ONNX's own reference has
    from onnx.reference import ReferenceEvaluator

    onnx.save(model, out / f"onnx-{name}.onnx")
    results = ReferenceEvaluator(model).run(None, inputs)
    record(f"onnx-{name}", inputs, dict(zip(outputs, results)))


def weights(op, D, H, I, P=False):
    G = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    draw = lambda *shape: rng.normal(0, 0.5, shape)
    made = {"W": draw(D, G * H, I), "R": draw(D, G * H, H), "B": draw(D, 2 * G * H)}
    return {**made, "P": draw(D, 3 * H)} if P else made


def floats(*shape):
    return rng.normal(size=shape).astype("float32")


def single():
    T, B, I, H = 4, 3, 2, 3
    lens = np.array([4, 1, 3], "int32")
    every = ["Y", "Y_h", "Y_c"]
    states = lambda D: {"initial_h": floats(D, B, H), "initial_c": floats(D, B, H)}
    x = {"X": floats(T, B, I)}
    node(
        "lstm-peepholes", "LSTM", {**x, "sequence_lens": lens, **states(2)}, every, weights("LSTM", 2, H, I, P=True),
        T, B, I, hidden_size=H, direction="bidirectional",
    )
    node(
        "lstm-coupled", "LSTM", {**x, **states(1)}, every, weights("LSTM", 1, H, I, P=True),
        T, B, I, hidden_size=H, input_forget=1, direction="reverse",
    )
    node(
        "gru-relu", "GRU", {**x, "sequence_lens": lens, "initial_h": floats(2, B, H)}, every[:2], weights("GRU", 2, H, I),
        T, B, I, hidden_size=H, direction="bidirectional", activations=["Sigmoid", "Relu"] * 2, linear_before_reset=1,
    )
    node(
        "rnn-sigmoid", "RNN", x, every[:2], weights("RNN", 1, H, I),
        T, B, I, hidden_size=H, activations=["Sigmoid"],
    )
    x = {"X": floats(B, T, I)}
    node(
        "lstm-layout", "LSTM", {**x, "initial_h": floats(B, 1, H), "initial_c": floats(B, 1, H)}, every[:2],
        weights("LSTM", 1, H, I, P=True), T, B, I, reference=True, hidden_size=H, layout=1,
    )


def functions():
    T, B, I, H = 4, 3, 2, 3
    x = {"X": 2 * floats(T, B, I)}
    every = ["Y", "Y_h", "Y_c"]
    both = {"direction": "bidirectional"}
    cases = {
        "lstm-hard": ("LSTM", {"activations": ["HardSigmoid", "Softsign", "Tanh"]}),
        "lstm-both": ("LSTM", {
            **both, "activations": ["Sigmoid", "ScaledTanh", "Elu", "HardSigmoid", "Tanh", "LeakyRelu"],
            "activation_alpha": [1.5, 0.5, 0.3, 0.1], "activation_beta": [0.7, 0.4],
        }),
        "lstm-clip": ("LSTM", {"clip": 0.6, "direction": "reverse"}),
        "gru-clip": ("GRU", {"clip": 0.4, **both, "linear_before_reset": 1}),
        "gru-functions": ("GRU", {"activations": ["HardSigmoid", "Softplus"], "activation_alpha": [0.3], "activation_beta": [0.4]}),
        "rnn-both": ("RNN", {
            **both, "activations": ["Affine", "ThresholdedRelu"], "activation_alpha": [-0.5, 0.2], "activation_beta": [0.1],
        }),
        "rnn-clip": ("RNN", {"clip": 0.5, "activations": ["Relu"]}),
    }
    for name, (op, attributes) in cases.items():
        D = 2 if attributes.get("direction") == "bidirectional" else 1
        own = weights(op, D, H, I, P=op == "LSTM")
        node(f"functions-{name}", op, x, every if op == "LSTM" else every[:2], own, T, B, I, hidden_size=H, **attributes)


def exported():
    import torch
    from torch import nn

    torch.manual_seed(1)

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 3)
            self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
            self.norm = nn.LayerNorm(8)
            self.fc = nn.Linear(8, 3)

        def forward(self, tokens):
            return torch.log_softmax(self.fc(torch.relu(self.norm(self.lstm(self.embedding(tokens))[0]))), -1)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(2, 4, num_layers=2, bidirectional=True)
            self.fc = nn.Linear(8, 3)

        def forward(self, x):
            h = self.gru(x)[1]
            return torch.softmax(self.fc(torch.cat([h[-2], h[-1]], dim=1)), -1)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(2, 4, batch_first=True, bias=False)
            self.fc = nn.Linear(4, 2, bias=False)

        def forward(self, x):
            return torch.tanh(self.fc(self.rnn(x)[0][:, -1]))

    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(2, 4)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return torch.sigmoid(self.fc(self.rnn(x)[0].mean(0)))

    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 3)
            self.lstm = nn.LSTM(3, 4, num_layers=2)
            self.fc = nn.Linear(4, 7)

        def forward(self, tokens, h0, c0):
            output, (h1, c1) = self.lstm(self.embedding(tokens), (h0, c0))
            return self.fc(output), h1, c1

    tokens = torch.randint(0, 7, (2, 5))
    x = torch.randn(5, 2, 2)
    one = torch.randint(0, 7, (1, 5))
    for name, module, inputs, dynamic in [
        ("tagger", Tagger(), (tokens,), {"tokens": {0: "batch", 1: "time"}}),
        ("static", Tagger(), (one,), {"tokens": {}}),
        ("classifier", Classifier(), (x,), {"x": {0: "time", 1: "batch"}}),
        ("last", Last(), (x.transpose(0, 1).contiguous(),), {"x": {0: "batch", 1: "time"}}),
        ("mean", Mean(), (x,), {"x": {0: "time", 1: "batch"}}),
        (
            "stateful",
            Stateful(),
            (tokens.t().contiguous(), torch.randn(2, 2, 4), torch.randn(2, 2, 4)),
            {"tokens": {0: "time", 1: "batch"}, "h0": {1: "batch"}, "c0": {1: "batch"}},
        ),
    ]:
        module.eval()
        outputs = ["y", "h1", "c1"] if name == "stateful" else ["y"]
        values = {k: v.numpy() for k, v in zip(dynamic, inputs)}
        for kind in ("torchscript", "dynamo"):
            path = out / f"onnx-{name}-{kind}.onnx"
            try:
                if kind == "dynamo":
                    shapes = tuple({d: torch.export.Dim.DYNAMIC for d in axes} for axes in dynamic.values())
                    dynamic_shapes = shapes if any(dynamic.values()) else None
                    program = torch.onnx.export(module, inputs, dynamo=True, dynamic_shapes=dynamic_shapes, verbose=False)
                    model = program.model_proto
                    for i, value in enumerate(model.graph.input):
                        assert value.name == list(dynamic)[i], value.name
                    model.graph.ClearField("value_info")
                    for n in model.graph.node:
                        n.ClearField("metadata_props")
                        n.ClearField("doc_string")
                    onnx.save(model, path)
                else:
                    torch.onnx.export(
                        module, inputs, path, input_names=list(dynamic), output_names=outputs,
                        dynamic_axes=dynamic, opset_version=17, dynamo=False,
                    )
            except Exception as error:  # an exporter that cannot is told, and not tested
                path.unlink(missing_ok=True)
                print(f"{name}, {kind}: {type(error).__name__}: {str(error)[:200]}")
                continue
            keep(f"onnx-{name}-{kind}", onnx.load(path), values)


def converted():
    import tensorflow as tf
    import tf2onnx
    import tf_keras as keras

    L = keras.layers
    for name, layers, x in [
        (
            "tagger",
            [
                L.Embedding(7, 3, input_length=5),
                L.Bidirectional(L.LSTM(3, return_sequences=True)),
                L.TimeDistributed(L.Dense(4, activation="relu")),
                L.GRU(3, return_sequences=True),
                L.Dense(5, activation="softmax"),
            ],
            rng.integers(0, 7, (2, 5)).astype("float32"),
        ),
        ("last", [L.InputLayer((4, 2)), L.GRU(4, return_sequences=True), L.LSTM(3), L.Dense(2)], floats(3, 4, 2)),
    ]:
        model = keras.Sequential(layers)
        model(x)
        model.set_weights([rng.normal(0, 0.6, w.shape).astype("float32") for w in model.get_weights()])
        signature = [tf.TensorSpec((None, *x.shape[1:]), tf.float32, name="x")]
        graph, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=13)
        keep(f"onnx-keras-{name}", graph, {"x": x})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["nodes"]:
        nodes()
    elif sys.argv[1:] == ["functions"]:
        functions()
        (out / "onnx-functions.json").write_text(json.dumps(expected) + "\n")
    elif sys.argv[1:] == ["keras"]:
        # removed from NumPy, used by tf2onnx
        np.bool, np.object = bool, object
        converted()
        (out / "onnx-keras.json").write_text(json.dumps(expected) + "\n")
    else:
        single()
        exported()
        (out / "onnx.json").write_text(json.dumps(expected) + "\n")
