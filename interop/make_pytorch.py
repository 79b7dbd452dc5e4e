"""Makes tests/import/*.pt and pytorch.json: small models saved by PyTorch, and what they compute.

    python interop/make_pytorch.py        needs torch and safetensors
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

out = Path(__file__).parent.parent / "tests" / "import"
out.mkdir(exist_ok=True)
torch.manual_seed(1)


def numbers(t):
    return [float(f"{x:.9g}") for x in t.detach().double().flatten().tolist()]


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 3)

    def forward(self, tokens):
        return self.fc(self.norm(self.lstm(self.embedding(tokens))[0]))


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(2, 5)
        self.fc = nn.Linear(5, 1)

    def forward(self, x):
        return self.fc(self.gru(x)[1][-1])


expected = {"torch": torch.__version__.split("+")[0]}

tagger = Tagger()
tokens = torch.randint(0, 7, (5, 2))
torch.save(tagger.state_dict(), out / "tagger.pt")
expected["tagger"] = {"tokens": tokens.flatten().tolist(), "T": 5, "B": 2, "logits": numbers(tagger(tokens))}

# a checkpoint of a training: nested dicts, numbers, an optimizer with its moments
regressor = Regressor()
optimizer = torch.optim.Adam(regressor.parameters())
x = torch.randn(4, 3, 2)
regressor(x).square().mean().backward()
optimizer.step()
torch.save(
    {"epoch": 3, "loss": 0.25, "note": None, "model": regressor.state_dict(), "optimizer": optimizer.state_dict()},
    out / "checkpoint.pth",
)
torch.jit.script(regressor).save(out / "script.jit")
expected["checkpoint"] = {"x": numbers(x), "T": 4, "B": 3, "output": numbers(regressor(x))}

# every type, strides of all kinds, views that share a storage, parameters
base = torch.randn(4, 6)
kinds = {
    "f64": torch.randn(3, 2, dtype=torch.float64),
    "f16": torch.cat([torch.randn(5), torch.tensor([0.0, -0.0, 6.1e-5, 5.97e-8, 65504.0])]).half(),
    "bf16": torch.cat([torch.randn(5), torch.tensor([1e30, -1e-30])]).bfloat16(),
    "transposed": base.t(),
    "sliced": base[1:3, ::2],
    "expanded": torch.randn(3, 1).expand(3, 4),
    "cube": torch.randn(2, 3, 4).permute(2, 0, 1),
    "scalar": torch.tensor(0.5),
    "empty": torch.zeros(0, 3),
    "parameter": nn.Parameter(torch.randn(2, 2)),
    "num_batches_tracked": torch.tensor(12),
    "i32": torch.tensor([1, -2], dtype=torch.int32),
    "i16": torch.tensor([300, -2], dtype=torch.int16),
    "i8": torch.tensor([1, -2], dtype=torch.int8),
    "u8": torch.tensor([255, 2], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "list": [torch.ones(2), torch.zeros(1)],
}
torch.save(kinds, out / "kinds.pt")
del kinds["list"]
expected["kinds"] = {name: {"shape": list(t.shape), "data": numbers(t.float())} for name, t in kinds.items()}

floating = {name: kinds[name].contiguous() for name in ("f64", "f16", "bf16", "i32", "bool")}
save_file({**floating, "f32": base.clone()}, out / "kinds.safetensors", {"format": "pt"})
expected["kinds"]["f32"] = {"shape": list(base.shape), "data": numbers(base)}

torch.save(nn.Linear(2, 1), out / "module.pt")
torch.save({"ids": torch.tensor([2**24 + 1])}, out / "long.pt")
torch.save({"w": torch.tensor([1.0, float("nan")])}, out / "nan.pt")
torch.save({"w": torch.ones(2), "dtype": torch.float32}, out / "dtype.pt")

(out / "pytorch.json").write_text(json.dumps(expected) + "\n")
