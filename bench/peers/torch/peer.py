"""
PyTorch at one workload of `npm run peers`: reads the weights and inputs that all peers get, answers questions on its standard input.

    python peer.py FILE THREADS

FILE is a safetensors file whose metadata has the workload. Each line of the input is an object of JSON, each answer is one, too:

    {"ask": "hello"}                  {"version": ..., "note": ...}
    {"ask": "results", "file": F}     {}    writes the results to F, as safetensors
    {"ask": "run", "n": N}            {"ms": ..., "maxRss": ...}

Time is CPU time with one thread, and wall time with several threads, because their CPU times add up.
"""
import json
import platform
import resource
import struct
import sys
import time
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

import torch
from torch import nn

DTYPES = {"F32": torch.float32, "I32": torch.int32}
CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def read(path):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(data[8 + size + begin : 8 + size + end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"]).clone()
    return json.loads(metadata["workload"]), tensors


def write(path, results):
    header, blobs, at = {}, [], 0
    for name, values in results.items():
        values = values.detach().to(torch.float32).contiguous().flatten()
        blob = struct.pack(f"<{values.numel()}f", *values.tolist())
        header[name] = {"dtype": "F32", "shape": [values.numel()], "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


class Step:
    """One step of a cell, its state handed over; tensors in, tensors out."""

    note = "LSTMCell, GRUCell or RNNCell; tensors in and out"

    def __init__(self, work, tensors):
        cell, I, H = work["cell"], work["I"], work["H"]
        self.steps = work["steps"]
        self.cell = CELLS[cell](I, H)
        with torch.no_grad():
            for name, parameter in self.cell.named_parameters():
                parameter.copy_(tensors[f"rnn.{name}_l0"].reshape(parameter.shape))
        self.inputs = [tensors[f"inputs.{k}"].reshape(1, I) for k in range(work["count"])]
        self.state = (torch.zeros(1, H), torch.zeros(1, H)) if cell == "lstm" else torch.zeros(1, H)
        self.turn = 0

    @torch.inference_mode()
    def run(self):
        x = self.inputs[self.turn % len(self.inputs)]
        self.turn += 1
        self.state = self.cell(x, self.state)
        return self.state[0] if isinstance(self.state, tuple) else self.state

    def results(self):
        return {"outputs": torch.cat([self.run().clone() for _ in range(self.steps)])}


class Sequence:
    """All steps forward; tensors in, tensors out."""

    note = "tensors in and out"

    def __init__(self, work, tensors):
        self.rnn = LAYERS[work["cell"]](work["I"], work["H"])
        load(self.rnn, tensors, "rnn.")
        self.x = tensors["inputs.0"].reshape(work["T"], work["B"], work["I"])

    @torch.inference_mode()
    def run(self):
        return self.rnn(self.x)[0]

    def results(self):
        return {"outputs": self.run()}


class Training:
    """A training step; the loss comes out as a number."""

    note = "fused Adam"

    def __init__(self, work, tensors):
        self.work = work
        T, B, I, H, V = (work[key] for key in "TBIHV")
        self.classes = work["task"] == "classes"
        rnn = LAYERS[work["cell"]](I, H, num_layers=work["L"], bidirectional=self.classes)
        head = nn.Linear(2 * H if self.classes else H, V)
        self.network = nn.ModuleDict({"rnn": rnn, "head": head})
        if self.classes:
            shape = (T, B, I)
        else:
            self.network["embedding"] = nn.Embedding(V, I)
            shape = (T, B)
        load(self.network, tensors, "")
        self.inputs = [tensors[f"inputs.{k}"].reshape(shape) for k in range(work["count"])]
        self.targets = [tensors[f"targets.{k}"].long() for k in range(work["count"])]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=work["learningRate"], fused=True)
        self.loss = nn.CrossEntropyLoss()
        self.turn = 0

    def run(self):
        k = self.turn % len(self.inputs)
        self.turn += 1
        self.optimizer.zero_grad()
        rnn, head = self.network["rnn"], self.network["head"]
        if self.classes:
            _, (h, _) = rnn(self.inputs[k])
            logits = head(torch.cat([h[0], h[1]], 1))
        else:
            logits = head(rnn(self.network["embedding"](self.inputs[k]))[0]).flatten(0, 1)
        loss = self.loss(logits, self.targets[k])
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def results(self):
        loss = self.run()
        return {
            "loss": torch.tensor([loss]),
            "gradient of rnn.weight_hh_l0": self.network["rnn"].weight_hh_l0.grad,
            "gradient of head.weight": self.network["head"].weight.grad,
            "updated head.bias": self.network["head"].bias,
        }


def load(module, tensors, prefix):
    """Every parameter of the module gets the weights of its name."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(tensors[prefix + name].reshape(parameter.shape))


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    work, tensors = read(path)
    kind = {"step": Step, "sequence": Sequence}.get(work["task"], Training)
    task = kind(work, tensors)
    wall = threads > 1 or sys.argv[3:] == ["wall"]
    clock = time.perf_counter if wall else time.process_time
    for line in sys.stdin:
        question = json.loads(line)
        answer = {}
        if question["ask"] == "hello":
            version = f"PyTorch {torch.__version__}, Python {platform.python_version()}"
            answer = {"version": version, "note": task.note}
        elif question["ask"] == "results":
            write(question["file"], task.results())
        else:
            began = clock()
            for _ in range(question["n"]):
                task.run()
            answer["ms"] = 1000 * (clock() - began)
            answer["maxRss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps(answer), flush=True)


main()
