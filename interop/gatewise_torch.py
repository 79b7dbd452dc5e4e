"""Gatewise's models in PyTorch: read from a file of gatewise, trained on, written back.

    import gatewise_torch

    module = gatewise_torch.load("model.safetensors")   # the nn.Module of the file's task
    optimizer = gatewise_torch.load_optimizer(module)   # with the moments and the steps of the file
    ...                                                 # training as usual
    gatewise_torch.save(module, optimizer, "model.safetensors")

Shapes are time-major, as in gatewise: T steps, B sequences, F features. Sequences of one batch may differ in length;
`lengths` [B] says where each ends, and what lies past an end does not count. Needs torch and safetensors.

This is one long file on purpose: it is copied next to a training script, without an installation.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

__version__ = "0.1.0"

FORMAT = 2

Config = Mapping[str, Any]
Description = dict[str, Any]


class FormatError(ValueError):
    """A file that is damaged, is not of gatewise, or needs something that is missing here."""


class State(NamedTuple):
    """Where recurrent layers stand: h [B,P] of each layer and direction, and c [B,H] of cells that have one."""

    h: list[Tensor]
    c: list[Tensor]

    def detach(self) -> State:
        return State([h.detach() for h in self.h], [c.detach() for c in self.c])


def _live(lengths: Tensor | None, T: int) -> Tensor | None:
    """[T,B] whether a step comes before its sequence's end."""
    if lengths is None:
        return None
    return torch.arange(T, device=lengths.device)[:, None] < lengths[None, :]


def _one_of(name: str, value: Any, known: Iterable[str]) -> Any:
    if value not in known:
        raise FormatError(f"{name}: {value!r} is not known to gatewise_torch, which has {', '.join(known)}")
    return value


def _known(place: str, config: Config, known: Iterable[str]) -> dict[str, Any]:
    """The options that are given, all of which have to be known: one that is not might change what a model computes."""
    given = {key: value for key, value in config.items() if value is not None}
    strange = ", ".join(repr(key) for key in given if key not in known)
    if strange:
        raise FormatError(f"{place}: not known to gatewise_torch {__version__}: the option {strange}")
    return given


# The options of recurrent layers and their defaults.
_STACK: dict[str, Any] = {
    "numLayers": None,
    "bias": True,
    "bidirectional": False,
    "merge": "concat",
    "reverse": False,
    "initialState": "zero",
    "dropout": 0.0,
    "variationalDropout": 0.0,
    "zoneoutHidden": 0.0,
    "zoneoutCell": 0.0,
    "weightDrop": 0.0,
    "layerNorm": False,
    "initializers": None,
    "activation": "tanh",
    "reset": "after",
    "projectionSize": 0,
    "peepholes": False,
    "coupled": False,
    "cellClip": 0.0,
    "forgetBias": 0.0,
    "gateActivation": "sigmoid",
    "outputActivation": None,
    "activationClip": 0.0,
    "feedback": True,
    "positive": False,
}
_GATES = {"rnn": 1, "gru": 3, "lstm": 4, "residual": 1, "mingru": 2, "minlstm": 3, "lru": 2}
# Functions of x and their numbers, alpha and beta, with the defaults of these.
_ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], tuple[float, ...]]] = {
    "tanh": (torch.tanh, ()),
    "sigmoid": (torch.sigmoid, ()),
    "relu": (torch.relu, ()),
    "identity": (lambda x: x, ()),
    "softsign": (F.softsign, ()),
    "softplus": (F.softplus, ()),
    "hardSigmoid": (lambda x, a, b: torch.clamp(a * x + b, 0, 1), (1 / 6, 0.5)),
    "affine": (lambda x, a, b: a * x + b, (1.0, 0.0)),
    "scaledTanh": (lambda x, a, b: a * torch.tanh(b * x), (1.0, 1.0)),
    "elu": (lambda x, a: torch.where(x > 0, x, a * torch.expm1(x.clamp(max=0.0))), (1.0,)),
    "leakyRelu": (lambda x, a: torch.where(x > 0, x, a * x), (0.01,)),
    "thresholdedRelu": (lambda x, a: torch.where(x > a, x, 0.0), (1.0,)),
}


def _activation(name: str, option: Any, clip: float = 0.0) -> Callable[[Tensor], Tensor]:
    """A function of gatewise's: its name, or its kind and numbers; its input is clamped where `clip` is not 0."""
    given = {"kind": option} if isinstance(option, str) else _known(name, option, ("kind", "alpha", "beta"))
    f, numbers = _ACTIVATIONS[_one_of(name, given.get("kind"), _ACTIVATIONS)]
    own = [given.get(key, number) for key, number in zip(("alpha", "beta"), numbers)]
    return (lambda x: f(x.clamp(-clip, clip), *own)) if clip else lambda x: f(x, *own)


class Recurrent(nn.Module):
    """A stack of recurrent layers.

    Where PyTorch has the cell, `native` is its nn.RNN, nn.LSTM or nn.GRU. Everything else runs as a loop over the
    steps: peepholes, coupled gates, clipped cells, layer normalization, zoneout, variational dropout, weight drop, the
    residual cell, minGRU, minLSTM and LRU, layers of different widths, the reset gate before the product, other activations, clamped inputs of activations.
    """

    def __init__(self, config: Config, input_size: int) -> None:
        super().__init__()
        o = {key: config.get(key, default) for key, default in _STACK.items()}
        self.options = o
        self.cell: str = _one_of("cell", config["cell"], _GATES)
        _one_of("reset", o["reset"], ("after", "before"))
        _one_of("merge", o["merge"], ("concat", "sum", "mean", "mul"))
        _one_of("initialState", o["initialState"], ("zero", "learned"))
        size = config["hiddenSize"]
        widths = list(size) if isinstance(size, Sequence) else [size] * (o["numLayers"] or 1)
        self.widths: list[int] = widths
        self.has_c = self.cell in ("lstm", "lru")
        if self.cell == "lru":
            o["activation"] = config.get("activation") or "identity"
        o["outputActivation"] = o["outputActivation"] or o["activation"]
        self.suffixes = ["", "_reverse"] if o["bidirectional"] else ["_reverse"] if o["reverse"] else [""]
        self.functions = [self._functions(d) for d in range(len(self.suffixes))]
        self.input_size = input_size
        D = len(self.suffixes)
        outputs = [o["projectionSize"] or H for H in widths]
        concat = o["bidirectional"] and o["merge"] == "concat"
        self.output_size = outputs[-1] * (2 if concat else 1)
        self.final_size = outputs[-1] * D
        self.h_sizes = [P for P in outputs for _ in self.suffixes]
        self.c_sizes = [H for H in widths for _ in self.suffixes] if self.has_c else []
        self.native: nn.RNNBase | None = self._make_native() if self._fits_pytorch() else None
        self.own = nn.ParameterDict()
        for layer, H in enumerate(widths):
            inputs = input_size if layer == 0 else outputs[layer - 1] * (2 if concat else 1)
            for suffix in self.suffixes:
                for name, shape in self._shapes(inputs, H, outputs[layer]).items():
                    self.own[f"{name}_l{layer}{suffix}"] = nn.Parameter(torch.zeros(shape))

    def _functions(self, d: int) -> dict[str, Callable[[Tensor], Tensor]]:
        """The functions of a direction by their options: each may be a pair."""
        made = {}
        for name in ("activation", "gateActivation", "outputActivation"):
            option = self.options[name]
            own = option[d] if isinstance(option, (list, tuple)) else option
            made[name] = _activation(name, own, self.options["activationClip"] if name != "outputActivation" else 0.0)
        return made

    def _fits_pytorch(self) -> bool:
        o = self.options
        plain = (
            "variationalDropout",
            "zoneoutHidden",
            "zoneoutCell",
            "weightDrop",
            "layerNorm",
            "peepholes",
            "coupled",
            "cellClip",
            "activationClip",
        )
        activations = {"rnn": ("tanh", "relu"), "gru": ("tanh",), "lstm": ("tanh",)}.get(self.cell, ())
        return (
            not any(o[key] for key in plain)
            and len(set(self.widths)) == 1
            and self.suffixes != ["_reverse"]
            and (o["merge"] == "concat" or not o["bidirectional"])
            and o["reset"] == "after"
            and o["activation"] in activations
            and o["gateActivation"] == "sigmoid"
            and o["outputActivation"] == o["activation"]
        )

    def _make_native(self) -> nn.RNNBase:
        o = self.options
        kinds: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
        extra: dict[str, Any] = {"nonlinearity": o["activation"]} if self.cell == "rnn" else {}
        if o["projectionSize"]:
            extra["proj_size"] = o["projectionSize"]
        made: nn.RNNBase = kinds[self.cell](
            self.input_size,
            self.widths[0],
            num_layers=len(self.widths),
            bias=o["bias"],
            bidirectional=o["bidirectional"],
            dropout=o["dropout"] or 0.0,
            **extra,
        )
        return made

    def _shapes(self, inputs: int, H: int, P: int) -> dict[str, tuple[int, ...]]:
        """The parameters of a layer in one direction, but for those that `native` has."""
        o = self.options
        shapes: dict[str, tuple[int, ...]] = {}
        if self.native is None:
            G = 3 if o["coupled"] else _GATES[self.cell]
            fed = o["feedback"] if self.cell == "residual" else self.cell not in ("mingru", "minlstm", "lru")
            shapes["weight_ih"] = (G * H, inputs)
            if fed:
                shapes["weight_hh"] = (G * H, P)
            if o["bias"]:
                shapes["bias_ih"] = (G * H,)
                if fed:
                    shapes["bias_hh"] = (G * H,)
            if o["projectionSize"]:
                shapes["weight_hr"] = (P, H)
            if self.cell == "lru":
                shapes["weight_hr"] = (H, H)
                shapes["lambda"] = (H,)
            if o["peepholes"]:
                shapes["weight_peephole"] = ((G - 1) * H,)
            if o["layerNorm"]:
                shapes["norm_ih"] = (G * H,)
                if fed:
                    shapes["norm_hh"] = (G * H,)
                if self.cell == "lstm":
                    shapes["norm_c"] = (H,)
                    shapes["norm_c_bias"] = (H,)
        if o["initialState"] == "learned":
            shapes["h0"] = (P,)
            if self.has_c:
                shapes["c0"] = (H,)
        return shapes

    def tensors(self, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
        if self.native is not None:
            for name, parameter in self.native.named_parameters():
                yield f"{prefix}.{name}", parameter
        for name, parameter in self.own.items():
            yield f"{prefix}.{name}", parameter

    def state(self, batch: int) -> State:
        """The initial state of B sequences: zeros, or what is learned."""
        where = next(self.parameters())

        def start(kind: str, sizes: list[int]) -> list[Tensor]:
            if self.options["initialState"] != "learned":
                return [where.new_zeros(batch, n) for n in sizes]
            names = [f"{kind}_l{layer}{suffix}" for layer in range(len(self.widths)) for suffix in self.suffixes]
            return [self.own[name].expand(batch, -1) for name in names[: len(sizes)]]

        return State(start("h0", self.h_sizes), start("c0", self.c_sizes))

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """x [T,B,I] to the output [T,B,O], which is zero past the ends, and the states at the ends."""
        state = state or self.state(x.shape[1])
        return self._run_native(x, state, lengths) if self.native is not None else self._run_loop(x, state, lengths)

    def _run_native(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        native = cast(nn.RNNBase, self.native)
        h = torch.stack(state.h)
        start: Any = (h, torch.stack(state.c)) if self.has_c else h
        if lengths is None:
            output, end = native(x, start)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            packed, end = native(packed, start)
            output, _ = pad_packed_sequence(packed, total_length=x.shape[0])
        ends = end if self.has_c else (end,)
        return output, State(*[list(e.unbind(0)) for e in ends], *([] if self.has_c else [[]]))

    def _run_loop(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        o = self.options
        T, B, _ = x.shape
        live = _live(lengths, T)
        if live is not None:
            x = torch.where(live[..., None], x, 0.0)
        end = State([], [])
        variational = o["variationalDropout"] if self.training else 0.0
        for layer in range(len(self.widths)):
            if layer > 0:
                x = F.dropout(x, o["dropout"], self.training)
            if variational:
                x = x * F.dropout(x.new_ones(1, B, x.shape[2]), variational)
            outputs = []
            for d, suffix in enumerate(self.suffixes):
                i = layer * len(self.suffixes) + d
                c = state.c[i] if self.has_c else state.h[i]
                y, h, c = self._run_direction(x, state.h[i], c, f"_l{layer}{suffix}", d, variational, live)
                outputs.append(y)
                end.h.append(h)
                if self.has_c:
                    end.c.append(c)
            x = outputs[0] if len(outputs) == 1 else _merged(outputs[0], outputs[1], o["merge"])
        return x, end

    def _run_direction(
        self, x: Tensor, h: Tensor, c: Tensor, suffix: str, d: int, variational: float, live: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        o = self.options
        w = {name[: -len(suffix)]: p for name, p in self.own.items() if name.endswith(suffix)}
        mask = F.dropout(torch.ones_like(h), variational) if variational and "weight_hh" in w else None
        if "weight_hh" in w and o["weightDrop"] and self.training:
            w["weight_hh"] = F.dropout(w["weight_hh"], o["weightDrop"])
        from_x = _product(x, w["weight_ih"], w.get("bias_ih"), w.get("norm_ih"))
        T = x.shape[0]
        steps = range(T - 1, -1, -1) if suffix.endswith("_reverse") else range(T)
        outputs: list[Tensor] = [h] * T
        for t in steps:
            u = h if mask is None else h * mask
            new_h, new_c = self._step(self.functions[d], w, from_x[t], u, h, c)
            new_h = self._zoneout(new_h, h, o["zoneoutHidden"])
            if self.has_c:
                new_c = self._zoneout(new_c, c, o["zoneoutCell"])
            if live is None:
                h, c = new_h, new_c
                outputs[t] = h
            else:
                now = live[t][:, None]
                h, c = torch.where(now, new_h, h), torch.where(now, new_c, c)
                outputs[t] = torch.where(now, h, 0.0)
        return torch.stack(outputs), h, c

    def _zoneout(self, new: Tensor, old: Tensor, rate: float) -> Tensor:
        if not rate:
            return new
        if not self.training:
            return new + rate * (old - new)
        return torch.where(torch.rand_like(new) < rate, old, new)

    def _step(
        self,
        functions: Mapping[str, Callable[[Tensor], Tensor]],
        w: Mapping[str, Tensor],
        from_x: Tensor,
        u: Tensor,
        h: Tensor,
        c: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One step of one layer: from W x + b, the state u that the product takes, h and c."""
        o = self.options
        f, sigma = functions["activation"], functions["gateActivation"]
        if self.cell == "gru":
            H = h.shape[1]
            if o["reset"] == "before":
                bias = w.get("bias_hh")
                from_u = F.linear(u, w["weight_hh"][: 2 * H], None if bias is None else bias[: 2 * H])
                r, z = sigma(from_x[:, : 2 * H] + from_u).chunk(2, 1)
                candidate = F.linear(r * u, w["weight_hh"][2 * H :], None if bias is None else bias[2 * H :])
            else:
                from_u = _product(u, w["weight_hh"], w.get("bias_hh"), w.get("norm_hh"))
                r, z = sigma(from_x[:, : 2 * H] + from_u[:, : 2 * H]).chunk(2, 1)
                candidate = r * from_u[:, 2 * H :]
            n = f(from_x[:, 2 * H :] + candidate)
            return n + z * (h - n), c
        a = from_x
        if "weight_hh" in w:
            a = a + _product(u, w["weight_hh"], w.get("bias_hh"), w.get("norm_hh"))
        if self.cell == "rnn":
            return f(a), c
        if self.cell == "residual":
            return h + torch.tanh(a), c
        if self.cell in ("mingru", "minlstm"):
            *logits, n = a.chunk(_GATES[self.cell], 1)
            if o["positive"]:
                n = torch.where(n >= 0, n + 0.5, torch.sigmoid(n))
            # minLSTM: i / (f + i) = sigmoid(ln i - ln f)
            share = logits[0] if self.cell == "mingru" else F.logsigmoid(logits[1]) - F.logsigmoid(logits[0])
            return torch.sigmoid(-share) * h + torch.sigmoid(share) * n, c
        if self.cell == "lru":
            net, out = a.chunk(2, 1)
            # complex numbers are pairs of columns
            r, phase = w["lambda"].exp().view(-1, 2).unbind(1)
            turn = torch.polar((-r).exp(), phase)
            fade = torch.sqrt(-torch.expm1(-2 * r))
            pairs = turn * torch.view_as_complex(c.reshape(len(c), -1, 2).contiguous())
            pairs = torch.view_as_real(pairs) + fade[:, None] * net.reshape(len(c), -1, 2)
            c = pairs.reshape(c.shape)
            return f(F.linear(c, w["weight_hr"]) + out), c
        gates = list(a.chunk(3 if o["coupled"] else 4, 1))
        peep = [None] * 3 if "weight_peephole" not in w else list(w["weight_peephole"].chunk(2 if o["coupled"] else 3))

        def gate(net: Tensor, p: Tensor | None, cell: Tensor) -> Tensor:
            return sigma(net if p is None else net + cell * p)

        i = gate(gates[0], peep[0], c)
        forget = 1 - i if o["coupled"] else gate(gates[1], peep[1], c)
        c = forget * c + i * f(gates[-2])
        if o["cellClip"]:
            c = c.clamp(-o["cellClip"], o["cellClip"])
        out = gate(gates[-1], peep[1 if o["coupled"] else 2], c)
        shown = c if "norm_c" not in w else _normalized(c, w["norm_c"]) + w["norm_c_bias"]
        h = out * functions["outputActivation"](shown)
        return (h if "weight_hr" not in w else F.linear(h, w["weight_hr"])), c


def _merged(a: Tensor, b: Tensor, how: str) -> Tensor:
    if how == "concat":
        return torch.cat([a, b], -1)
    return a * b if how == "mul" else (a + b) / (2 if how == "mean" else 1)


def _normalized(x: Tensor, gain: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], gain, None, 1e-5)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None) -> Tensor:
    if gain is None:
        return F.linear(x, weight, bias)
    y = _normalized(F.linear(x, weight), gain)
    return y if bias is None else y + bias


def _parameters(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of one of PyTorch's own layers under gatewise's names."""
    for name, parameter in module.named_parameters():
        yield f"{prefix}.{name}", parameter


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if name else prefix


def _tokens(source: Any) -> list[str]:
    """The tokens of a vocabulary: a list, or the characters of a text in the order of their code points."""
    return sorted(set(source)) if isinstance(source, str) else list(source)


class Vocabulary:
    """Tokens and their numbers."""

    def __init__(self, source: Any, unknown: str | None = None) -> None:
        self.tokens = _tokens(source)
        self.characters = all(len(token) == 1 for token in self.tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        self._unknown = -1 if unknown is None else self._ids[unknown]
        #: The number of each code point, where tokens are characters: long texts are looked up at once.
        self._table = torch.full((max(map(ord, self.tokens)) + 2 if self.characters else 1,), self._unknown)
        if self.characters:
            self._table[[ord(token) for token in self.tokens]] = torch.arange(len(self.tokens))

    def encode(self, place: str, sequence: str | Sequence[str]) -> Tensor:
        """Numbers of the tokens of a text or list [T]; `place` is what errors call it."""
        if isinstance(sequence, str) and not self.characters:
            raise TypeError(f"{place}: expected a list of tokens; those of the vocabulary are not single characters")
        if not sequence:
            return torch.empty(0, dtype=torch.long)
        if isinstance(sequence, str):
            codes = torch.frombuffer(bytearray(sequence.encode("utf-32-le")), dtype=torch.int32)
            ids = self._table[codes.long().clamp(max=len(self._table) - 1)]
        else:
            ids = torch.tensor([self._ids.get(token, self._unknown) for token in sequence], dtype=torch.long)
        if (ids < 0).any():
            strange = sorted({token for token in sequence if token not in self._ids})[:10]
            raise ValueError(f"{place}: not in the vocabulary: {', '.join(map(repr, strange))}")
        return ids


class Input(nn.Module):
    """What a task reads at each step: a token, several features of a token, or a vector."""

    def __init__(self, config: Config, place: str) -> None:
        super().__init__()
        given = [key for key in ("vocabulary", "features", "inputSize") if config.get(key) is not None]
        if len(given) != 1:
            raise FormatError(
                f"{place}: expected one of vocabulary, features and inputSize, got {', '.join(given) or 'none'}"
            )
        single = {"": {"embeddingSize": 64, **config}}
        features = single if given[0] == "vocabulary" else config.get("features") or {}
        self.names = list(features)
        self.vocabularies = [Vocabulary(f["vocabulary"], f.get("unknown")) for f in features.values()]
        widths = [f["embeddingSize"] for f in features.values()]
        self.tables = nn.ModuleList(
            nn.Embedding(len(v.tokens), w) for v, w in zip(self.vocabularies, widths, strict=True)
        )
        self.size: int = sum(widths) if features else config["inputSize"]

    def tensors(self, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
        for name, table in zip(self.names, self.tables, strict=True):
            yield from _parameters(table, _joined(prefix, name))

    def encode(self, place: str, sequence: Any) -> Tensor:
        """A sequence as numbers: tokens [T], features of tokens [T,K] in the order of the file, or vectors [T,F]."""
        if not self.names:
            values = torch.as_tensor(sequence, dtype=torch.float32).reshape(-1, self.size)
            encoded = values
        elif self.names == [""]:
            encoded = self.vocabularies[0].encode(place, sequence)
        else:
            columns = [
                v.encode(f"{place}.{n}", sequence[n]) for n, v in zip(self.names, self.vocabularies, strict=True)
            ]
            if len({len(column) for column in columns}) > 1:
                raise ValueError(f"{place}: its features differ in length: {[len(column) for column in columns]}")
            encoded = torch.stack(columns, -1)
        if len(encoded) == 0:
            raise ValueError(f"{place}: is empty")
        return encoded

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [T,B], features [T,B,K] or vectors [T,B,F] to [T,B,size]."""
        if not self.names:
            return x
        if self.names == [""]:
            return cast(Tensor, self.tables[0](x))
        return torch.cat([table(x[..., k]) for k, table in enumerate(self.tables)], -1)


def pad(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Encoded sequences as one batch [T,B,…], and their lengths [B]."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return nn.utils.rnn.pad_sequence(list(sequences)), lengths


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        widths = [inputs, *hidden, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = dropout

    def tensors(self, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
        for i, layer in enumerate(self.layers):
            yield from _parameters(layer, f"{prefix}.{i}" if len(self.layers) > 1 else prefix)

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(F.dropout(x if i == 0 else torch.relu(x), self.dropout, self.training))
        return x


class Attention(nn.Module):
    """Queries look at keys: 'dot' q·k, 'general' q·(Wa k), 'additive' v·tanh(Wq q + Wk k + b)."""

    def __init__(self, score: str, query_size: int, key_size: int) -> None:
        super().__init__()
        self.score: str = _one_of("attention", score, ("dot", "general", "additive"))
        A = query_size
        if score == "general":
            self.Wa = nn.Parameter(torch.zeros(query_size, key_size))
        if score == "additive":
            self.Wq = nn.Parameter(torch.zeros(A, query_size))
            self.Wk = nn.Parameter(torch.zeros(A, key_size))
            self.b = nn.Parameter(torch.zeros(A))
            self.v = nn.Parameter(torch.zeros(A))

    def prepare(self, keys: Tensor) -> Tensor:
        """What does not depend on the query: keys [S,B,Fk] as they are compared."""
        if self.score == "general":
            return F.linear(keys, self.Wa)
        return F.linear(keys, self.Wk, self.b) if self.score == "additive" else keys

    def forward(
        self, query: Tensor, projected: Tensor, values: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """query [T,B,Fq], values [S,B,Fv] to the context [T,B,Fv] and the weights [T,B,S]."""
        if self.score == "additive":
            pairs = torch.tanh(F.linear(query, self.Wq)[:, :, None] + projected.transpose(0, 1)[None])
            scores = pairs @ self.v
        else:
            scores = torch.einsum("tbf,sbf->tbs", query, projected)
        weights = _masked_softmax(scores, lengths, values.shape[0])
        return torch.einsum("tbs,sbf->tbf", weights, values), weights


def _masked_softmax(scores: Tensor, lengths: Tensor | None, S: int) -> Tensor:
    """Over the last axis of [T,B,S], of steps before the ends only."""
    live = _live(lengths, S)
    if live is not None:
        scores = scores.masked_fill(~live.t(), -torch.inf)
    return torch.softmax(scores, -1)


class AttentionPool(nn.Module):
    """The mean of the steps by softmax(v·tanh(W h + b))."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(size, size)
        self.v = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        scores = torch.tanh(self.proj(x)) @ self.v
        weights = _masked_softmax(scores.t()[None], lengths, x.shape[0])[0]
        return torch.einsum("bs,sbf->bf", weights, x)


class Crf(nn.Module):
    """A linear-chain conditional random field over K classes."""

    def __init__(self, K: int) -> None:
        super().__init__()
        self.start_transitions = nn.Parameter(torch.zeros(K))
        self.end_transitions = nn.Parameter(torch.zeros(K))
        self.transitions = nn.Parameter(torch.zeros(K, K))

    def loss(self, emissions: Tensor, tags: Tensor, lengths: Tensor | None = None) -> Tensor:
        """-ln of the probability of the tags [T,B], summed over the batch; emissions [T,B,K]."""
        T, B, _ = emissions.shape
        live = _live(lengths, T)
        rows = torch.arange(B, device=tags.device)
        alpha = self.start_transitions + emissions[0]
        score = self.start_transitions[tags[0]] + emissions[0, rows, tags[0]]
        last = tags[0]
        for t in range(1, T):
            now = torch.ones_like(rows, dtype=torch.bool) if live is None else live[t]
            following = torch.logsumexp(alpha[:, :, None] + self.transitions, 1) + emissions[t]
            move = self.transitions[last, tags[t]] + emissions[t, rows, tags[t]]
            alpha = torch.where(now[:, None], following, alpha)
            score = torch.where(now, score + move, score)
            last = torch.where(now, tags[t], last)
        return (torch.logsumexp(alpha + self.end_transitions, 1) - score - self.end_transitions[last]).sum()

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor | None = None) -> list[list[int]]:
        """The classes with the largest score, sequence by sequence; of equal ones the lowest."""
        T, B, _ = emissions.shape
        result = []
        for b in range(B):
            n = T if lengths is None else int(lengths[b])
            best = self.start_transitions + emissions[0, b]
            back = []
            for t in range(1, n):
                best, origin = (best[:, None] + self.transitions).max(0)
                best = best + emissions[t, b]
                back.append(origin)
            tag = int((best + self.end_transitions).argmax())
            tags = [tag]
            for origin in reversed(back):
                tag = int(origin[tag])
                tags.append(tag)
            result.append(tags[::-1])
        return result


class Bridge(nn.Module):
    """c to the initial state of a stack: for each state a linear map, and with 'tanh' a tanh of it.

    With 'none', c itself is h of each layer, and cell states start from zeros.
    """

    def __init__(self, inputs: int, h_sizes: Sequence[int], c_sizes: Sequence[int], kind: str = "tanh") -> None:
        super().__init__()
        self.kind: str = _one_of("bridge", kind, ("none", "affine", "tanh"))
        self.h_sizes, self.c_sizes = h_sizes, c_sizes
        mapped = kind != "none"
        self.h = nn.ModuleList(nn.Linear(inputs, n) for n in (h_sizes if mapped else ()))
        self.c = nn.ModuleList(nn.Linear(inputs, n) for n in (c_sizes if mapped else ()))

    def tensors(self, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
        for kind in ("h", "c"):
            for i, layer in enumerate(getattr(self, kind)):
                yield from _parameters(layer, f"{prefix}.{kind}{i}")

    def forward(self, context: Tensor) -> State:
        if self.kind == "none":
            zeros = [context.new_zeros(len(context), n) for n in self.c_sizes]
            return State([context for _ in self.h_sizes], zeros)

        def start(layer: nn.Module) -> Tensor:
            y: Tensor = layer(context)
            return torch.tanh(y) if self.kind == "tanh" else y

        return State([start(layer) for layer in self.h], [start(layer) for layer in self.c])


class Task(nn.Module):
    """A model of gatewise.

    `config` are the options that it was created with and their defaults; `description` is the whole entry of the file.
    """

    task: ClassVar[str]
    #: Its options but for those of the recurrent layers, and their defaults.
    options: ClassVar[dict[str, Any]] = {}
    #: Defaults of the recurrent layers.
    cell: ClassVar[str] = "lstm"
    hidden_size: ClassVar[int] = 128

    description: Description
    #: Of the file: an optimizer's moments by the parameters' names, and the state that training carries along.
    moments: dict[str, dict[str, Tensor]]
    carried: State | None

    def __init__(self, config: Config) -> None:
        super().__init__()
        given = _known(self.task, config, {*self.options, *_STACK, "cell", "hiddenSize"})
        self.config: Config = {"cell": self.cell, "hiddenSize": self.hidden_size, **self.options, **given}
        self.description = {"format": FORMAT, "build": "simd", "seed": 0, "task": self.task, "config": dict(given)}
        self.moments = {}
        self.carried = None

    def tensors(self) -> dict[str, nn.Parameter]:
        """The parameters by gatewise's names, each once."""
        found: dict[str, nn.Parameter] = {}
        for name, parameter in self._tensors():
            if not any(parameter is other for other in found.values()):
                found[name] = parameter
        return found

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        raise NotImplementedError

    def _dropped(self, x: Tensor, option: str) -> Tensor:
        return F.dropout(x, self.config[option], self.training)


_INPUT: dict[str, Any] = {"vocabulary": None, "embeddingSize": 64, "unknown": None, "features": None, "inputSize": None}
_HEAD: dict[str, Any] = {"hiddenLayers": (), "inputDropout": 0.0, "outputDropout": 0.0}


class LanguageModel(Task):
    task = "language-model"
    options = {"vocabulary": None, "embeddingSize": 64, "tieWeights": False}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        self.vocabulary = Vocabulary(c["vocabulary"])
        V = len(self.vocabulary.tokens)
        self.embedding = nn.Embedding(V, c["embeddingSize"])
        self.rnn = Recurrent(c, c["embeddingSize"])
        self.head = nn.Linear(self.rnn.output_size, V)
        if c["tieWeights"]:
            self.head.weight = self.embedding.weight

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from _parameters(self.embedding, "embedding")
        yield from self.rnn.tensors("rnn")
        yield from _parameters(self.head, "head")

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Tokens [T,B] to the logits of what comes after each [T,B,V], and the state after the last."""
        output, state = self.rnn(self.embedding(tokens), state)
        return self.head(output), state


class _Pooled(Task):
    """A sequence as one vector, and a linear map or an MLP of it."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        self.input = Input(c, self.task)
        self.rnn = Recurrent(c, self.input.size)
        _one_of("pooling", c["pooling"], ("last", "mean", "max", "attention"))
        size = self.rnn.final_size if c["pooling"] == "last" else self.rnn.output_size
        self.pool = AttentionPool(size) if c["pooling"] == "attention" else None
        self.head = MLP(size, self.outputs, c["hiddenLayers"], c["outputDropout"])

    @property
    def outputs(self) -> int:
        raise NotImplementedError

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.input.tensors("embedding")
        yield from self.rnn.tensors("rnn")
        if self.pool is not None:
            yield from _parameters(self.pool, "pool")
        yield from self.head.tensors("head")

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Tokens [T,B], features [T,B,K] or vectors [T,B,F] to [B,outputs]: logits of the classes, or the numbers."""
        output, state = self.rnn(self._dropped(self.input(x), "inputDropout"), None, lengths)
        return cast(Tensor, self.head(self._pooled(output, state, lengths)))

    def _pooled(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        how = self.config["pooling"]
        if self.pool is not None:
            return cast(Tensor, self.pool(output, lengths))
        if how == "last":
            return torch.cat(state.h[-len(self.rnn.suffixes) :], -1)
        if how == "mean":
            return output.mean(0) if lengths is None else output.sum(0) / lengths[:, None]
        live = _live(lengths, output.shape[0])
        return (output if live is None else output.masked_fill(~live[..., None], -torch.inf)).amax(0)


class SequenceClassifier(_Pooled):
    task = "sequence-classifier"
    options = {**_INPUT, **_HEAD, "classes": None, "multiLabel": False, "pooling": "last"}

    @property
    def outputs(self) -> int:
        return len(self.config["classes"])


class SequenceRegressor(_Pooled):
    task = "sequence-regressor"
    options = {**_INPUT, **_HEAD, "outputSize": 1, "pooling": "last"}

    @property
    def outputs(self) -> int:
        return int(self.config["outputSize"])


class SequenceTagger(Task):
    task = "sequence-tagger"
    options = {**_INPUT, **_HEAD, "classes": None, "crf": False, "multiLabel": False}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        sets = c["classes"] if isinstance(c["classes"], Mapping) else {"": c["classes"]}
        #: The classes of each set; the only one has the name ''.
        self.sets: dict[str, list[str]] = {name: list(names) for name, names in sets.items()}
        self.input = Input(c, self.task)
        self.rnn = Recurrent(c, self.input.size)
        size = self.rnn.output_size
        self.heads = nn.ModuleList(MLP(size, len(n), c["hiddenLayers"], c["outputDropout"]) for n in self.sets.values())
        self.chains = nn.ModuleList(Crf(len(names)) for names in self.sets.values()) if c["crf"] else None

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.input.tensors("embedding")
        yield from self.rnn.tensors("rnn")
        for name, head in zip(self.sets, self.heads, strict=True):
            yield from cast(MLP, head).tensors(_joined("head", name))
        for name, chain in zip(self.sets, self.chains or (), strict=self.chains is not None):
            yield from _parameters(chain, _joined("crf", name))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Tokens [T,B], features [T,B,K] or vectors [T,B,F] to the logits [T,B,classes] of each set."""
        output, _ = self.rnn(self._dropped(self.input(x), "inputDropout"), None, lengths)
        return [head(output) for head in self.heads]


class Transcriber(Task):
    task = "transcriber"
    options = {**_INPUT, **_HEAD, "target": None}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        self.vocabulary = Vocabulary(c["target"])
        self.input = Input(c, self.task)
        self.rnn = Recurrent(c, self.input.size)
        outputs = len(self.vocabulary.tokens) + 1
        self.head = MLP(self.rnn.output_size, outputs, c["hiddenLayers"], c["outputDropout"])

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.input.tensors("embedding")
        yield from self.rnn.tensors("rnn")
        yield from self.head.tensors("head")

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """To the logits [T,B,V+1]: class 0 is the blank of CTC, class v + 1 is token v."""
        output, _ = self.rnn(self._dropped(self.input(x), "inputDropout"), None, lengths)
        return cast(Tensor, self.head(output))


class Memory(NamedTuple):
    """What a decoder sees: a context [B,C], keys and values [S,B,F] of each encoder, and where it starts."""

    context: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    lengths: list[Tensor | None]
    state: State | None


class Seq2Seq(Task):
    task = "seq2seq"
    cell = "gru"
    options = {
        "source": None,
        "target": None,
        "embeddingSize": 64,
        "context": "last",
        "pass": "state",
        "bridge": "tanh",
        "encoder": None,
        "attention": None,
        "inputDropout": 0.0,
        "outputDropout": 0.0,
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        source = c["source"]
        single = any(key in source for key in ("vocabulary", "features", "inputSize"))
        #: What each encoder reads; the only one has the name ''.
        self.sources: dict[str, Config] = {"": source} if single else dict(source)
        self.vocabulary = Vocabulary(c["target"])
        V = len(self.vocabulary.tokens)
        self.end, self.start = V, V + 1
        self.inputs = nn.ModuleList(Input(own, _joined("source", name)) for name, own in self.sources.items())
        reading = {**c, **_known(self.task, c["encoder"] or {}, {*_STACK, "cell", "hiddenSize"})}
        self.encoders = nn.ModuleList(Recurrent(reading, cast(Input, i).size) for i in self.inputs)
        one_way = {key: value for key, value in c.items() if key not in ("bidirectional", "merge", "initialState")}
        if c["pass"] == "input" and "initialState" in c:
            one_way["initialState"] = c["initialState"]
        widths = c["hiddenSize"]
        size = widths[-1] if isinstance(widths, Sequence) else widths
        encoders = [cast(Recurrent, encoder) for encoder in self.encoders]
        last = [encoder.final_size for encoder in encoders]
        outputs = [encoder.output_size for encoder in encoders]
        kind: str = _one_of("context", c["context"], ("last", "affine", "mean"))
        self.affine = nn.ModuleList(nn.Linear(n, size) for n in last) if kind == "affine" else None
        contexts = {"last": last, "affine": [size] * len(last), "mean": outputs}
        context_size = sum(contexts[kind])
        self.embedding = nn.Embedding(V + 2, c["embeddingSize"])
        self.decoder = Recurrent(one_way, c["embeddingSize"] + (0 if c["pass"] == "state" else context_size))
        bridged = c["pass"] != "input"
        sizes = (self.decoder.h_sizes, self.decoder.c_sizes)
        self.bridge = Bridge(context_size, *sizes, c["bridge"]) if bridged else None
        query = self.decoder.output_size
        score = c["attention"]
        self.attentions = nn.ModuleList(Attention(score, query, n) for n in outputs) if score else None
        self.combine = nn.Linear(sum(outputs) + query, query, bias=False) if score else None
        self.head = nn.Linear(query, V + 1)

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        for i, name in enumerate(self.sources):
            yield from cast(Input, self.inputs[i]).tensors(_joined("source", name))
            yield from cast(Recurrent, self.encoders[i]).tensors(_joined("encoder", name))
            if self.affine is not None:
                yield from _parameters(self.affine[i], _joined("context", name))
            if self.attentions is not None:
                yield from _parameters(self.attentions[i], _joined("attention", name))
        yield from _parameters(self.embedding, "embedding")
        yield from self.decoder.tensors("decoder")
        if self.bridge is not None:
            yield from self.bridge.tensors("bridge")
        if self.combine is not None:
            yield from _parameters(self.combine, "combine")
        yield from _parameters(self.head, "head")

    def encode(self, sources: Sequence[Tensor], lengths: Sequence[Tensor | None] | None = None) -> Memory:
        """Reads a batch for each encoder, tokens [S,B], features [S,B,K] or vectors [S,B,F]."""
        ends = list(lengths or [None] * len(sources))
        contexts, keys, values = [], [], []
        for i, (x, n) in enumerate(zip(sources, ends, strict=True)):
            encoder = cast(Recurrent, self.encoders[i])
            output, state = encoder(self._dropped(self.inputs[i](x), "inputDropout"), None, n)
            if self.config["context"] == "mean":
                contexts.append(output.mean(0) if n is None else output.sum(0) / n[:, None])
            else:
                final = torch.cat(state.h[-len(encoder.suffixes) :], -1)
                contexts.append(final if self.affine is None else torch.tanh(self.affine[i](final)))
            values.append(output)
            if self.attentions is not None:
                keys.append(cast(Attention, self.attentions[i]).prepare(output))
        context = torch.cat(contexts, -1)
        return Memory(context, keys, values, ends, self.bridge(context) if self.bridge is not None else None)

    def decode(
        self, tokens: Tensor, memory: Memory, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State, list[Tensor]]:
        """Tokens [T,B] that were written, the first `start`, to logits of what comes after each [T,B,V+1].

        Class V is the end. Gives the state after the last step, and the attention weights [T,B,S] of each encoder.
        """
        x = self._dropped(self.embedding(tokens), "inputDropout")
        if self.config["pass"] != "state":
            x = torch.cat([x, memory.context.expand(x.shape[0], -1, -1)], -1)
        y, state = self.decoder(x, state or memory.state, lengths)
        weights = []
        if self.combine is not None:
            parts = []
            for i, attention in enumerate(self.attentions or ()):
                seen, own = attention(y, memory.keys[i], memory.values[i], memory.lengths[i])
                parts.append(seen)
                weights.append(own)
            y = torch.tanh(self.combine(torch.cat([*parts, y], -1)))
        return self.head(self._dropped(y, "outputDropout")), state, weights

    def forward(
        self,
        sources: Sequence[Tensor],
        tokens: Tensor,
        source_lengths: Sequence[Tensor | None] | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Logits [T,B,V+1], what was written before being given."""
        return self.decode(tokens, self.encode(sources, source_lengths), None, lengths)[0]


class SequenceGenerator(Task):
    task = "sequence-generator"
    cell = "gru"
    options = {
        "inputSize": None,
        "classes": None,
        "target": None,
        "embeddingSize": 64,
        "hiddenLayers": (),
        "pass": "state",
        "inputDropout": 0.0,
        "outputDropout": 0.0,
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        target = c["target"]
        #: 'tokens', 'vectors' or 'bits'.
        self.kind = next(iter(target)) if isinstance(target, Mapping) else "tokens"
        self.vocabulary = Vocabulary(target) if self.kind == "tokens" else None
        V = len(self.vocabulary.tokens) if self.vocabulary else 0
        self.end, self.start = V, V + 1
        outputs = V + 1 if self.vocabulary else target[self.kind]
        width = (c["inputSize"] or 0) + len(c["classes"] or ())
        hidden = list(c["hiddenLayers"])
        self.encoder = MLP(width, hidden[-1], hidden[:-1], 0.0) if hidden else None
        size = hidden[-1] if hidden else width
        self.embedding = nn.Embedding(V + 2, c["embeddingSize"]) if self.vocabulary else None
        read = c["embeddingSize"] if self.vocabulary else outputs
        self.decoder = Recurrent(c, read + (0 if c["pass"] == "state" else size))
        bridged = c["pass"] != "input" and width > 0
        self.bridge = Bridge(size, self.decoder.h_sizes, self.decoder.c_sizes) if bridged else None
        self.head = nn.Linear(self.decoder.output_size, outputs)
        self.over = None if self.vocabulary else nn.Linear(self.decoder.output_size, 1)

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        if self.encoder is not None:
            yield from self.encoder.tensors("encoder")
        if self.embedding is not None:
            yield from _parameters(self.embedding, "embedding")
        yield from self.decoder.tensors("decoder")
        if self.bridge is not None:
            yield from self.bridge.tensors("bridge")
        yield from _parameters(self.head, "head")
        if self.over is not None:
            yield from _parameters(self.over, "over")

    def encode(self, x: Tensor) -> Memory:
        """Reads X [B,inputSize + classes]: its numbers, and then a one for each class that it is of; [B,0] without a condition."""
        context = x if self.encoder is None else torch.relu(self.encoder(x))
        return Memory(context, [], [], [], self.bridge(context) if self.bridge is not None else None)

    def decode(
        self, before: Tensor, memory: Memory, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, State]:
        """What was written before each step, tokens [T,B] or vectors [T,B,F], the first `start` or zeros.

        Gives what comes next: logits [T,B,V+1], vectors or logits of bits [T,B,F]; with vectors and bits the logits
        [T,B,1] of the sequence being over; and the state.
        """
        x = self._dropped(before if self.embedding is None else self.embedding(before), "inputDropout")
        if self.config["pass"] != "state":
            x = torch.cat([x, memory.context.expand(x.shape[0], -1, -1)], -1)
        y, state = self.decoder(x, state or memory.state, lengths)
        y = self._dropped(y, "outputDropout")
        return self.head(y), None if self.over is None else self.over(y), state

    def forward(self, x: Tensor, before: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        return self.decode(before, self.encode(x), None, lengths)[:2]


class Forecaster(Task):
    """Windows of a series to forecasts, both differenced and scaled by `description["data"]["scaling"]`, then normalized.

    Covariates are scaled by `description["data"]["covariates"]`; those of the calendar are a sine and a cosine each. gatewise does not train `linear`, which is solved for.
    """

    task = "forecaster"
    cell = "gru"
    hidden_size = 64
    options = {
        "window": None,
        "horizon": 1,
        "variables": ("value",),
        "targets": None,
        "futureCovariates": (),
        "calendar": (),
        "method": "direct",
        "loss": None,
        "quantiles": None,
        "difference": 0,
        "trend": "none",
        "normalization": "none",
        "linear": None,
        "missing": "error",
        "outputDropout": 0.0,
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = self.config
        self.variables: list[str] = list(c["variables"])
        self.targets: list[str] = list(c["targets"] or self.variables)
        given = c["quantiles"]
        wanted = (c["loss"] or ("quantile" if given else "mse")) == "quantile"
        #: Empty where the forecast is a point.
        self.quantiles: list[float] = list(given or (0.1, 0.5, 0.9)) if wanted else []
        self.recursive = c["method"] == "recursive"
        self.Q = len(self.quantiles) or 1
        #: Covariates of a step that are known in the future.
        self.extras = len(c["futureCovariates"]) + 2 * len(c["calendar"])
        V = len(self.variables) + self.extras
        self.rnn = Recurrent(c, V)
        steps = 1 if self.recursive else c["horizon"]
        ahead = 0 if self.recursive else (c["horizon"] - 1) * self.extras
        self.head = nn.Linear(self.rnn.final_size + ahead, len(self.targets) * self.Q * steps)
        #: Steps that the linear path reads.
        self.recent: int = min(c["window"], max(1, 512 // V)) if c["linear"] is None else c["linear"]
        self.linear = nn.Linear(self.recent * V + ahead, self.head.out_features) if self.recent else None
        nearest = min(range(self.Q), key=lambda q: abs(self.quantiles[q] - 0.5)) if self.quantiles else 0
        #: Where the point forecast of each target is among the outputs of a step.
        self.points = [v * self.Q + nearest for v in range(len(self.targets))]

    def _tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.rnn.tensors("rnn")
        yield from _parameters(self.head, "head")
        if self.linear is not None:
            yield from _parameters(self.linear, "linear")

    def forward(self, x: Tensor, steps: int | None = None, future: Tensor | None = None) -> Tensor:
        """Windows [T,B,variables] to forecasts [B,steps,targets,quantiles], both in the units of the model.

        With covariates the windows are [T,B,variables + C], each step with those of the next one. `future` [steps - 1,B,C] are those
        of the steps of the forecast but the first; with method 'direct', of the whole horizon.
        """
        horizon = self.config["horizon"]
        steps = steps or horizon
        if steps > horizon and not self.recursive:
            raise ValueError(f"steps: a model with method 'direct' forecasts {horizon} steps, got {steps}")
        if self.extras and future is None and (steps if self.recursive else horizon) > 1:
            raise ValueError("future: a model with covariates needs those of the later steps of the forecast")
        known = [] if future is None or self.recursive else [future.transpose(0, 1).flatten(1)]
        _, state = self.rnn(x)
        outputs: list[Tensor] = []
        while True:
            y = cast(Tensor, self.head(torch.cat([self._dropped(state.h[-1], "outputDropout"), *known], 1)))
            if self.linear is not None:
                y = y + self.linear(torch.cat([x[-self.recent :].transpose(0, 1).flatten(1), *known], 1))
            if not self.recursive:
                return y.view(x.shape[1], horizon, len(self.targets), self.Q)[:, :steps]
            outputs.append(y.view(x.shape[1], len(self.targets), self.Q))
            if len(outputs) == steps:
                return torch.stack(outputs, 1)
            read = y[:, self.points][None]
            if future is not None:
                read = torch.cat([read, future[len(outputs) - 1][None]], 2)
            x = torch.cat([x, read])
            _, state = self.rnn(read, state)


TASKS: dict[str, type[Task]] = {
    kind.task: kind
    for kind in (
        LanguageModel,
        SequenceClassifier,
        SequenceRegressor,
        SequenceTagger,
        Seq2Seq,
        Transcriber,
        SequenceGenerator,
        Forecaster,
    )
}

# What files of format 1 call differently.
_RENAMED_OPTIONS = {"sequence-regressor": {"outputs": "outputSize"}, "sequence-tagger": {"labels": "classes"}}
_RENAMED_INITIALIZER = {"deviation": "std"}
_RENAMED_SCHEDULE = {"floor": "minLearningRate"}
_RENAMED_POSITION = {"pass": "epoch"}
# What files of format 1 leave out where it was not given; those of format 2 have to have it.
_SCHEDULE_DEFAULTS: dict[str, dict[str, float]] = {
    "constant": {},
    "step": {},
    "cosine": {"minLearningRate": 0},
    "plateau": {"every": 1, "threshold": 1e-4, "minLearningRate": 0},
}


def _renamed(values: Any, names: Mapping[str, str]) -> Any:
    return {names.get(key, key): value for key, value in values.items()} if isinstance(values, dict) else values


def _from_format_1(about: Description) -> Description:
    config = about["config"]
    task = about["task"]
    if task == "sequence-classifier" and config.get("outputs") is not None:
        task = "sequence-regressor"
    config = _renamed(config, _RENAMED_OPTIONS.get(task, {}))
    if isinstance(config.get("initializers"), dict):
        config["initializers"] = {of: _renamed(own, _RENAMED_INITIALIZER) for of, own in config["initializers"].items()}
    about = {**about, "format": FORMAT, "task": task, "config": config}
    if "scaling" in config:
        about["data"] = {"scaling": config.pop("scaling")}
    if isinstance(about.get("schedule"), dict):
        given = _renamed(about["schedule"]["options"], _RENAMED_SCHEDULE)
        own = _SCHEDULE_DEFAULTS.get(given.get("kind"), {})
        about["schedule"] = {**about["schedule"], "options": {**own, "warmup": 0, **given}}
    if "position" in about:
        about["position"] = _renamed(about["position"], _RENAMED_POSITION)
    return about


def _describe(metadata: Mapping[str, str] | None) -> Description:
    text = (metadata or {}).get("gatewise")
    if text is None:
        raise FormatError("the file has no description (metadata, `gatewise`): it was not saved by a task of gatewise")
    try:
        about: Description = json.loads(text)
    except json.JSONDecodeError as error:
        raise FormatError("the file's description (metadata, `gatewise`) is not valid JSON") from error
    if (
        not isinstance(about, dict)
        or not isinstance(about.get("config"), dict)
        or not isinstance(about.get("task"), str)
    ):
        raise FormatError("the file's description has no `task` and `config`")
    if about.get("format") == 1:
        about = _from_format_1(about)
    if about.get("format") != FORMAT:
        raise FormatError(f"the file is of format {about.get('format')!r}; gatewise_torch reads formats 1 and {FORMAT}")
    if about["task"] not in TASKS:
        raise FormatError(f"the file holds {about['task']!r}; gatewise_torch knows {', '.join(TASKS)}")
    return about


def _match(found: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> None:
    """That the tensors are the wanted ones: those missing, unknown, misshapen or not finite are all named."""

    def some(names: list[str]) -> str:
        return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")

    missing = [name for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted]
    both = [name for name in wanted if name in found]
    shapes = [f"{n} is {list(found[n].shape)} and not {list(wanted[n])}" for n in both if found[n].shape != wanted[n]]
    types = [f"{n} is {found[n].dtype} and not torch.float32" for n in both if found[n].dtype != torch.float32]
    infinite = [n for n in both if not torch.isfinite(found[n]).all()]
    faults = [
        f"{what} {some(names)}"
        for what, names in (
            ("missing", missing),
            ("not expected", unknown),
            ("misshapen:", shapes),
            ("mistyped:", types),
            ("not finite:", infinite),
        )
        if names
    ]
    if faults:
        raise FormatError(f"the tensors do not fit the model: {'; '.join(faults)}")


class Schedule:
    """A learning rate that changes, as gatewise's schedules do; `load_schedule` makes it from a file."""

    def __init__(self, options: Mapping[str, Any], memory: Mapping[str, Any]) -> None:
        self.options = dict(options)
        _one_of("schedule", self.options["kind"], ("constant", "step", "cosine", "plateau"))
        self.memory: dict[str, Any] = {"made": 0, "scale": 1, "best": None, "bad": 0, "sum": 0, "count": 0, **memory}

    def rate(self, base: float) -> float:
        """The rate of the step that comes next."""
        o, made = self.options, int(self.memory["made"])
        warmup = int(o.get("warmup", 0))
        if made < warmup:
            return base * (made + 1) / warmup
        n = made - warmup
        least = float(o.get("minLearningRate", 0))
        if o["kind"] == "step":
            return base * float(o["factor"]) ** (n // int(o["every"]))
        if o["kind"] == "cosine":
            return least + (base - least) * (1 + math.cos(math.pi * min(1, n / int(o["steps"])))) / 2
        if o["kind"] == "plateau":
            return max(base * float(self.memory["scale"]), min(base, least))
        return base

    def done(self, loss: float) -> None:
        """To be called after each step."""
        o, m = self.options, self.memory
        m["made"] += 1
        if o["kind"] != "plateau":
            return
        m["sum"] += loss
        m["count"] += 1
        if m["count"] < o.get("every", 1):
            return
        mean = m["sum"] / m["count"]
        m["sum"] = m["count"] = 0
        if m["best"] is None or mean < m["best"] * (1 - o.get("threshold", 1e-4)):
            m["best"], m["bad"] = mean, 0
        else:
            m["bad"] += 1
            if m["bad"] > o["patience"]:
                m["scale"] *= o["factor"]
                m["bad"] = 0


def load_schedule(module: Task) -> Schedule | None:
    """The schedule of the file that the module was loaded from, where it stands; `save` keeps what it has come to."""
    own = module.description.get("schedule")
    if own is None:
        return None
    schedule = Schedule(own["options"], own.get("memory") or {})
    module.description["schedule"] = {"options": schedule.options, "memory": schedule.memory}
    return schedule


_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "grad_avg", "sum")


def load(path: str | os.PathLike[str]) -> Task:
    """The module of a file that gatewise or `save` has written, on the CPU, in training mode.

    Raises FormatError for a file that is damaged, holds an unknown task, cell or option, or whose tensors do not fit:
    it names those that are missing, not expected or misshapen.
    """
    try:
        with safe_open(path, "pt") as file:
            about = _describe(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FormatError(f"{os.fspath(path)}: {error}") from error
    if about["task"] == "forecaster" and "linear.weight" not in tensors:
        about["config"].setdefault("linear", 0)  # files from before there was one
    module = TASKS[about["task"]](about["config"])
    module.description = about
    parameters = module.tensors()
    shapes = {name: parameter.shape for name, parameter in parameters.items()}
    own = {n: t for n, t in tensors.items() if not n.startswith(("optimizer.", "state."))}
    _match(own, shapes)
    kinds = {name.split(".")[1] for name in tensors if name.startswith("optimizer.")}
    _match(
        {n: t for n, t in tensors.items() if n.startswith("optimizer.")},
        {f"optimizer.{kind}.{name}": shape for kind in sorted(kinds) for name, shape in shapes.items()},
    )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(own[name])
    module.moments = {
        name: {kind: tensors[f"optimizer.{kind}.{name}"] for kind in sorted(kinds)}
        for name in (parameters if kinds else ())
    }
    module.carried = _read_state(tensors)
    return module


def _read_state(tensors: Mapping[str, Tensor]) -> State | None:
    def of(kind: str) -> list[Tensor]:
        count = sum(name.startswith(f"state.{kind}.") for name in tensors)
        return [tensors[f"state.{kind}.{i}"] for i in range(count)]

    h, c = of("h"), of("c")
    return State(h, c) if h else None


def optimizer_options(given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Options of an optimizer in gatewise's words, with every default filled in."""
    given = dict(given or {})
    kind = given.get("optimizer", "adam")
    adam = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "amsgrad": False}
    own: dict[str, dict[str, Any]] = {
        "sgd": {"momentum": 0.0, "dampening": 0.0, "nesterov": False},
        "rmsprop": {"alpha": 0.99, "epsilon": 1e-8, "centered": False, "momentum": 0.0},
        "adam": adam,
        "adamw": adam,
        "adagrad": {"epsilon": 1e-10},
    }
    if kind not in own:
        raise ValueError(f"optimizer: expected one of {', '.join(own)}, got {kind!r}")
    decay = 0.01 if kind == "adamw" else 0.0
    options = {"optimizer": kind, "learningRate": 1e-3, "weightDecay": decay, "l1": 0.0, **own[kind]}
    strange = [key for key in given if key not in options]
    if strange:
        raise ValueError(f"{', '.join(strange)}: not an option of the optimizer {kind!r}")
    if given.get("l1"):
        raise ValueError("l1: optimizers of PyTorch have no L1 penalty; add it to the loss")
    return {**options, **given}


def load_optimizer(module: Task, options: Mapping[str, Any] | None = None) -> torch.optim.Optimizer:
    """The optimizer of a module, with the moments and steps of the file that it was loaded from.

    `options` are in gatewise's words: `{"optimizer": "adamw", "learningRate": 1e-3, "weightDecay": 0.1}`; by default
    those of the file. As in gatewise, the moments start again where an option apart from the learning rate differs.
    """
    saved = module.description.get("optimizer") or {}
    before = optimizer_options(saved.get("options"))
    o = before if options is None else optimizer_options(options)
    parameters = list(module.tensors().values())
    common = {"lr": o["learningRate"], "weight_decay": o["weightDecay"]}
    made: torch.optim.Optimizer
    if o["optimizer"] == "sgd":
        kinds = {key: o[key] for key in ("momentum", "dampening", "nesterov")}
        made = torch.optim.SGD(parameters, **common, **kinds)
    elif o["optimizer"] == "rmsprop":
        kinds = {key: o[key] for key in ("alpha", "centered", "momentum")}
        made = torch.optim.RMSprop(parameters, eps=o["epsilon"], **common, **kinds)
    elif o["optimizer"] == "adagrad":
        made = torch.optim.Adagrad(parameters, eps=o["epsilon"], **common)
    else:
        kind = torch.optim.Adam if o["optimizer"] == "adam" else torch.optim.AdamW
        made = kind(parameters, betas=(o["beta1"], o["beta2"]), eps=o["epsilon"], amsgrad=o["amsgrad"], **common)
    same = all(o.get(key) == before.get(key) for key in {*o, *before} - {"learningRate"})
    module.description["optimizer"] = {"options": o, "step": saved.get("step", 0)}
    if not same:
        module.moments = {}
    if module.moments:
        step = float(saved.get("step", 0))
        for name, parameter in module.tensors().items():
            own = {kind: moment.clone().to(parameter) for kind, moment in module.moments[name].items()}
            made.state[parameter] = own if o["optimizer"] == "sgd" else {"step": torch.tensor(step), **own}
    return made


def _in_order(file: bytes) -> bytes:
    """A safetensors file whose metadata are in the order of their names: safetensors writes them in a random one."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[end:]


def save(
    module: Task,
    optimizer: torch.optim.Optimizer | None,
    path: str | os.PathLike[str],
    *,
    steps: int | None = None,
    position: Mapping[str, Any] | None = None,
    state: State | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a module as a file that gatewise loads: whole, by a temporary name that is renamed.

    With an optimizer that `load_optimizer` made, its moments, options and steps are in it: gatewise resumes where
    PyTorch stopped. Without one, only the weights are.

    steps: how many training has made, default what the optimizer has counted
    position, state: where training stands in its data, in the words of gatewise's file; without them gatewise begins
        at the front
    metadata: more texts for the file
    """
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in module.tensors().items()}
    training = ("optimizer", "schedule", "position", "random")
    about = {key: value for key, value in module.description.items() if key not in training}
    if optimizer is not None:
        known = module.description.get("optimizer")
        if known is None:
            raise ValueError("optimizer: expected one that load_optimizer has made for this module")
        options = known["options"]
        counted = 0
        # where a parameter has had no gradient yet, its moments are zeros
        kinds = [kind for kind in _MOMENTS if any(own.get(kind) is not None for own in optimizer.state.values())]
        for name, parameter in module.tensors().items():
            own = optimizer.state.get(parameter, {})
            if "step" in own:
                counted = int(own["step"])
            for kind in kinds:
                moment = own.get(kind)
                tensors[f"optimizer.{kind}.{name}"] = (
                    torch.zeros_like(tensors[name]) if moment is None else moment.detach().cpu()
                )
        if "random" in module.description:
            about["random"] = module.description["random"]
        if "schedule" in module.description:
            about["schedule"] = module.description["schedule"]
        if position is not None:
            about["position"] = dict(position)
        if steps is None:
            steps = counted or int(known["step"])
        if kinds or not _has_moments(options):
            about["optimizer"] = {"options": options, "step": steps}
    if state is not None:
        for kind, list_ in (("h", state.h), ("c", state.c)):
            for i, values in enumerate(list_):
                tensors[f"state.{kind}.{i}"] = values.detach().cpu().contiguous()
    texts = {**(metadata or {}), "gatewise": json.dumps(about, ensure_ascii=False)}
    temporary = Path(f"{os.fspath(path)}.{os.getpid()}.part")
    try:
        temporary.write_bytes(_in_order(serialize(tensors, texts)))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _has_moments(options: Mapping[str, Any]) -> bool:
    return options["optimizer"] != "sgd" or bool(options["momentum"])
