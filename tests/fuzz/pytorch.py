"""Reads a configuration of a recurrent network a line, computes it in PyTorch in double precision, and writes what came out."""

import json
import sys

import torch

torch.set_default_dtype(torch.float64)

for line in sys.stdin:
    c = json.loads(line)
    kinds = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    own = {"proj_size": c["P"]} if c["P"] else {}
    if c["cell"] == "rnn":
        own["nonlinearity"] = c["activation"]
    net = kinds[c["cell"]](c["I"], c["H"], c["layers"], bias=c["bias"], bidirectional=c["bidirectional"], **own)
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.tensor(c["weights"][name]).reshape(parameter.shape))
    T, B = c["T"], c["B"]
    x = torch.tensor(c["x"]).reshape(T, B, c["I"]).requires_grad_()
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, c["lengths"], enforce_sorted=False)
    states = None
    if c["h"]:
        states = torch.tensor(c["h"])
        if c["cell"] == "lstm":
            states = (states, torch.tensor(c["c"]))
    output, last = net(packed, states)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=T)
    up = torch.tensor(c["up"]).reshape(y.shape)
    (y * up).sum().backward()
    h = last[0] if c["cell"] == "lstm" else last
    result = {
        "y": y.flatten().tolist(),
        "h": h.flatten().tolist(),
        "c": last[1].flatten().tolist() if c["cell"] == "lstm" else [],
        "dx": x.grad.flatten().tolist(),
        "gradients": {name: p.grad.flatten().tolist() for name, p in parameters.items()},
    }
    print(json.dumps(result), flush=True)
