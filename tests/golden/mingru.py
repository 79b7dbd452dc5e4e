"""Writes mingru.json: minGRU and minLSTM of minGRU-pytorch in double precision. Needs PyTorch and minGRU-pytorch 0.2.1.

Its modules scan in log space, so the candidate is positive. Gradients are those of the sum of outputs times `upstream`.
"""

import importlib.metadata
import json
import pathlib

import torch
from minGRU_pytorch.minGRU import minGRU
from minGRU_pytorch.minLSTM import minLSTM

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = []


def case(cell, size, T, B, scale=1.0, state=False):
    module = (minGRU if cell == "mingru" else minLSTM)(size)
    weight = module.to_hidden_and_gate.weight if cell == "mingru" else module.to_hidden_and_f_i_gate.weight
    # numbers that single precision has, so that all who read them compute with the same
    for parameter in module.parameters():
        parameter.data = (parameter.data * scale).float().double()
    x = (torch.randn(B, T, size) * scale).float().double().requires_grad_()
    upstream = torch.randn(B, T, size).float().double()
    # minLSTM's scan takes g of a state that is given, and its single step does not: only minGRU is asked for one
    start = torch.rand(B, 1, size).float().double() + 0.1 if state else None
    y = module(x, start)
    (y * upstream).sum().backward()
    # its rows are candidate, gate or candidate, f, i; ours are gate, candidate or f, i, candidate
    order = lambda w: torch.cat([w[size:], w[:size]])
    flat = lambda t: t.detach().transpose(0, 1).flatten().tolist()
    cases.append({
        "cell": cell, "H": size, "T": T, "B": B, "x": flat(x), "upstream": flat(upstream),
        "start": None if start is None else start.flatten().tolist(),
        "weight_ih": order(weight).detach().flatten().tolist(), "y": flat(y), "dx": flat(x.grad),
        "dweight_ih": order(weight.grad).flatten().tolist(),
    })


case("mingru", 5, 6, 2)
case("mingru", 5, 6, 2, state=True)
case("mingru", 4, 1, 2, state=True)
case("mingru", 7, 6, 2, scale=3.0)
case("minlstm", 5, 6, 2)
case("minlstm", 4, 1, 2)
case("minlstm", 7, 6, 2, scale=3.0)

path = pathlib.Path(__file__).with_name("mingru.json")
version = importlib.metadata.version("minGRU-pytorch")
with path.open("w") as f:
    json.dump({"minGRU-pytorch": version, "torch": torch.__version__, "cases": cases}, f)
