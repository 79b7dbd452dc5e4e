"""Trains a file of gatewise on several processes: distributed data parallel, by torchrun.

    torchrun --standalone --nproc-per-node=2 --max-restarts=0 train_ddp.py \\
        --model start.safetensors --data text.txt --output trained.safetensors --steps 1000 --batch-size 16 --window 64

The file is a LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger or Seq2Seq that gatewise has saved.
So is the output.
Data: for a language model a text, or a JSON list of tokens; else a line of JSON for each example, as gatewise's `fit`
takes them:

    {"input": "…", "label": "…"}      {"input": […], "target": 1.5}
    {"input": […], "labels": […]}     {"source": "…", "target": "…"}

A batch is spread over the processes: what they do together equals one process with the whole batch. Every
`--snapshot-every` steps a snapshot is written, whole, by a temporary name that is renamed. A job that is launched again
with the same arguments resumes from it. Where a process dies, let the whole job end and launch it again (see
docs/cluster.md). All processes have to see the same paths.

`train(config)` is the same as a function, which Ray's TorchTrainer takes as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import gatewise_torch as gatewise

DEFAULTS: dict[str, Any] = {
    "model": None,
    "data": None,
    "output": None,
    "snapshot": None,
    "snapshot_every": 100,
    "steps": 1000,
    "batch_size": 32,
    "window": 64,
    "optimizer": None,
    "learning_rate": None,
    "clip_norm": 1.0,
    "seed": 0,
    "backend": None,
    "losses": None,
}
#: Batches among which examples of similar length are put together.
NEIGHBOURS = 20


class Term(NamedTuple):
    """A part of the loss: the sum over what this process has, and of how many losses it is the sum."""

    total: Tensor
    terms: int


class Data:
    """What is learned. A batch is a function of its number, so that a job resumes where it stopped."""

    #: How many batches make an epoch.
    batches: int

    def terms(self, step: int, rank: int, world: int) -> list[Term]:
        """The loss of this process' share of a batch."""
        raise NotImplementedError

    def done(self, step: int) -> None:
        """After the update: what the step leaves for the next one becomes true."""

    def standing(self, step: int, world: int) -> dict[str, Any]:
        """Arguments of `save`: where training stands in its data."""
        return {}


def fingerprint(tokens: Tensor) -> str:
    """What gatewise tells a text by: its number of tokens and their FNV-1a hash."""
    value = 0x811C9DC5
    for start in range(0, len(tokens), 1 << 20):
        for token in tokens[start : start + (1 << 20)].tolist():
            value = ((value ^ token) * 0x01000193) & 0xFFFFFFFF
    return f"{len(tokens)}-{value:x}"


class Text(Data):
    """A text for a language model, cut as gatewise's `fit` does: B places side by side, read window by window."""

    def __init__(
        self, module: gatewise.LanguageModel, text: str | list[str], o: dict[str, Any], rank: int, world: int
    ) -> None:
        self.module = module
        tokens = module.vocabulary.encode("text", text)
        B, T = o["batch_size"], o["window"]
        if B % world:
            raise ValueError(f"batch_size: expected a multiple of the {world} processes, got {B}")
        if len(tokens) <= B * T:
            raise ValueError(
                f"data: {len(tokens)} tokens are too few for batch_size {B} of window {T}; {B * T + 1} are needed"
            )
        length = (len(tokens) - 1) // B
        self.device = next(module.parameters()).device
        share = range(rank * B // world, (rank + 1) * B // world)
        self.rows = torch.stack([tokens[b * length : (b + 1) * length + 1] for b in share]).to(self.device)
        self.T = T
        self.batches = (length - T) // T + 1
        self.position: dict[str, Any] = {
            "text": fingerprint(tokens),
            "batchSize": B,
            "window": T,
            "stride": T,
            "next": 0,
        }
        self.state: gatewise.State | None = None
        self.following: gatewise.State | None = None
        at = module.description.get("position")
        if at and all(at.get(key) == self.position[key] for key in ("text", "batchSize", "window", "stride")):
            self.position["next"] = at["next"]
            if module.carried:
                own = [[s[share.start : share.stop].to(self.device) for s in kind] for kind in module.carried]
                self.state = gatewise.State(*own)

    def terms(self, step: int, rank: int, world: int) -> list[Term]:
        n = self.position["next"] % self.batches
        window = self.rows[:, n * self.T : n * self.T + self.T + 1].t()
        # a learned state is where a text begins, and takes no gradient: as in gatewise
        start = self.module.rnn.state(window.shape[1]).detach() if n == 0 or self.state is None else self.state
        logits, state = self.module(window[:-1], start)
        self.following = state.detach()
        targets = window[1:].reshape(-1)
        return [Term(F.cross_entropy(logits.flatten(0, 1), targets, reduction="sum"), len(targets))]

    def done(self, step: int) -> None:
        self.state = self.following
        self.position["next"] = self.position["next"] % self.batches + 1

    def standing(self, step: int, world: int) -> dict[str, Any]:
        if self.state is None:
            return {"position": self.position}
        gathered = []
        for kind in self.state:
            parts = []
            for own in kind:
                of_all = [torch.empty_like(own) for _ in range(world)]
                dist.all_gather(of_all, own.contiguous())
                parts.append(torch.cat(of_all))
            gathered.append(parts)
        return {"position": self.position, "state": gatewise.State(*gathered)}


class Examples(Data):
    """Examples, in another order in each epoch, those of similar length together."""

    def __init__(self, lengths: list[int], terms: Callable[[list[int]], list[Term]], o: dict[str, Any]) -> None:
        if not lengths:
            raise ValueError("data: expected at least one example")
        self.lengths, self.of, self.o = lengths, terms, o
        self.batches = -(-len(lengths) // o["batch_size"])
        self.epoch = -1
        self.plan: list[list[int]] = []

    def batch(self, step: int) -> list[int]:
        epoch, n = divmod(step, self.batches)
        if epoch != self.epoch:
            self.epoch = epoch
            B = self.o["batch_size"]
            generator = torch.Generator().manual_seed((self.o["seed"] << 20) + epoch)
            order = torch.randperm(len(self.lengths), generator=generator).tolist()
            plan = []
            for at in range(0, len(order), NEIGHBOURS * B):
                part = sorted(order[at : at + NEIGHBOURS * B], key=lambda i: -self.lengths[i])
                plan += [part[i : i + B] for i in range(0, len(part), B)]
            self.plan = [plan[i] for i in torch.randperm(len(plan), generator=generator).tolist()]
        return self.plan[n]

    def terms(self, step: int, rank: int, world: int) -> list[Term]:
        batch = self.batch(step)
        own = batch[rank::world]
        # a process without examples takes part with one that does not count
        return self.of(own) if own else [Term(0 * total, 0) for total, _ in self.of(batch[:1])]


def labels_of(place: str, names: list[str], given: Any) -> list[int]:
    strange = [name for name in given if name not in names]
    if strange:
        raise ValueError(f"{place}: not among the classes: {', '.join(map(repr, strange[:10]))}")
    return [names.index(name) for name in given]


def pooled_examples(
    module: gatewise.SequenceClassifier | gatewise.SequenceRegressor, lines: list[Any], o: dict[str, Any]
) -> Examples:
    device = next(module.parameters()).device
    inputs = [module.input.encode(f"line {i + 1}: input", line["input"]) for i, line in enumerate(lines)]
    numbers = isinstance(module, gatewise.SequenceRegressor)
    several = module.config.get("multiLabel", False)
    targets = []
    for i, line in enumerate(lines):
        if numbers:
            targets.append(torch.as_tensor(line["target"], dtype=torch.float32).reshape(module.outputs))
            continue
        names = list(module.config["classes"])
        given = line["label"] if several else [line["label"]]
        own = torch.tensor(labels_of(f"line {i + 1}: label", names, given), dtype=torch.long)
        targets.append(torch.zeros(len(names)).index_fill(0, own, 1.0) if several else own[0])

    def terms(batch: list[int]) -> list[Term]:
        x, lengths = gatewise.pad([inputs[i] for i in batch])
        y = torch.stack([targets[i] for i in batch]).to(device)
        logits = module(x.to(device), lengths.to(device))
        if numbers:
            return [Term(F.mse_loss(logits, y, reduction="sum"), y.numel())]
        if several:
            return [Term(F.binary_cross_entropy_with_logits(logits, y, reduction="sum"), y.numel())]
        return [Term(F.cross_entropy(logits, y, reduction="sum"), len(batch))]

    return Examples([len(x) for x in inputs], terms, o)


def tags_of(place: str, names: list[str], given: Any) -> Tensor:
    """The class of each step [T]."""
    return torch.tensor(labels_of(place, names, given))


def frames_of(place: str, names: list[str], given: Any) -> Tensor:
    """Ones for the labels of each step [T,classes]: of lists of labels, or of frames of zeros and ones."""
    frames = torch.zeros(len(given), len(names))
    for t, step in enumerate(given):
        if step and not isinstance(step[0], str):
            frames[t] = torch.tensor(step, dtype=torch.float32)
        else:
            frames[t, labels_of(f"{place}[{t}]", names, step)] = 1.0
    return frames


def tagger_examples(module: gatewise.SequenceTagger, lines: list[Any], o: dict[str, Any]) -> Examples:
    device = next(module.parameters()).device
    inputs = [module.input.encode(f"line {i + 1}: input", line["input"]) for i, line in enumerate(lines)]
    several = module.config["multiLabel"]
    targets = []
    for i, line in enumerate(lines):
        given = line["labels"] if "" not in module.sets else {"": line["labels"]}
        read = frames_of if several else tags_of
        own = [read(f"line {i + 1}: labels", names, given[name]) for name, names in module.sets.items()]
        if any(len(labels) != len(inputs[i]) for labels in own):
            raise ValueError(
                f"line {i + 1}: labels: expected {len(inputs[i])}, one for each step, got {[len(k) for k in own]}"
            )
        targets.append(own)

    def terms(batch: list[int]) -> list[Term]:
        x, lengths = gatewise.pad([inputs[i] for i in batch])
        lengths = lengths.to(device)
        count = int(lengths.sum())
        result = []
        for k, logits in enumerate(module(x.to(device), lengths)):
            tags = nn.utils.rnn.pad_sequence([targets[i][k] for i in batch], padding_value=-1).to(device)
            if several:
                live = tags >= 0
                losses = F.binary_cross_entropy_with_logits(logits, tags.clamp(min=0), reduction="none")
                result.append(Term(losses[live].sum(), count * logits.shape[-1]))
                continue
            if module.chains is not None:
                total = cast(gatewise.Crf, module.chains[k]).loss(logits, tags.clamp(min=0), lengths)
            else:
                total = F.cross_entropy(logits.flatten(0, 1), tags.flatten(), reduction="sum", ignore_index=-1)
            result.append(Term(total, count))
        return result

    return Examples([len(x) for x in inputs], terms, o)


def seq2seq_examples(module: gatewise.Seq2Seq, lines: list[Any], o: dict[str, Any]) -> Examples:
    device = next(module.parameters()).device
    readers = [cast(gatewise.Input, reader) for reader in module.inputs]
    sources, targets = [], []
    for i, line in enumerate(lines):
        given = {"": line["source"]} if "" in module.sources else line["source"]
        place = f"line {i + 1}: source"
        sources.append(
            [reader.encode(place, given[name]) for name, reader in zip(module.sources, readers, strict=True)]
        )
        targets.append(module.vocabulary.encode(f"line {i + 1}: target", line["target"]))

    def terms(batch: list[int]) -> list[Term]:
        padded = [gatewise.pad([sources[i][k] for i in batch]) for k in range(len(readers))]
        first, last = torch.tensor([module.start]), torch.tensor([module.end])
        before, lengths = gatewise.pad([torch.cat([first, targets[i]]) for i in batch])
        after = nn.utils.rnn.pad_sequence([torch.cat([targets[i], last]) for i in batch], padding_value=-1)
        ends = [n.to(device) for _, n in padded]
        logits = module([x.to(device) for x, _ in padded], before.to(device), ends, lengths.to(device))
        total = F.cross_entropy(logits.flatten(0, 1), after.flatten().to(device), reduction="sum", ignore_index=-1)
        return [Term(total, int(lengths.sum()))]

    sizes = [len(target) + sum(map(len, own)) for own, target in zip(sources, targets, strict=True)]
    return Examples(sizes, terms, o)


def read_data(module: gatewise.Task, o: dict[str, Any], rank: int, world: int) -> Data:
    path = Path(o["data"])
    if isinstance(module, gatewise.LanguageModel):
        text = path.read_text(encoding="utf-8")
        return Text(module, json.loads(text) if path.suffix == ".json" else text, o, rank, world)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if isinstance(module, gatewise.SequenceClassifier | gatewise.SequenceRegressor):
        return pooled_examples(module, lines, o)
    if isinstance(module, gatewise.SequenceTagger):
        return tagger_examples(module, lines, o)
    if isinstance(module, gatewise.Seq2Seq):
        return seq2seq_examples(module, lines, o)
    raise gatewise.FormatError(f"{o['model']}: train_ddp.py does not train a {module.task}")


class Step(nn.Module):
    """What the processes do together: the loss of a batch, so that its gradients are those of the whole batch."""

    def __init__(self, module: gatewise.Task, data: Data, rank: int, world: int) -> None:
        super().__init__()
        self.module = module
        self.place = (rank, world)
        self.data = data

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """The loss whose mean over the processes is that of the batch, and the parts of its value."""
        rank, world = self.place
        terms = self.data.terms(step, rank, world)
        device = terms[0].total.device
        counts = torch.tensor([float(n) for _, n in terms], device=device, dtype=torch.float64)
        dist.all_reduce(counts)
        parts = torch.stack([total for total, _ in terms]) / counts.float()
        return parts.sum() * world, parts.detach().sum()


def job_of(o: dict[str, Any]) -> str:
    """What tells jobs apart: a snapshot of another one is not resumed from."""
    own = {
        key: o[key]
        for key in ("model", "data", "batch_size", "window", "optimizer", "learning_rate", "clip_norm", "seed")
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]


def resume_from(o: dict[str, Any]) -> tuple[Path, int]:
    """The file to load, and the steps of this job that have been made."""
    snapshot = Path(o["snapshot"])
    if not snapshot.exists():
        return Path(o["model"]), 0
    with safe_open(snapshot, "pt") as file:
        about = json.loads((file.metadata() or {}).get("train_ddp", "{}"))
    if about.get("job") != job_of(o):
        raise ValueError(
            f"{snapshot}: is a snapshot of a job with other arguments; remove it or give another --snapshot"
        )
    return snapshot, about["done"]


def train(config: dict[str, Any]) -> None:
    """Trains by what `config` says, whose keys are those of DEFAULTS. To be called in every process of the job."""
    strange = [key for key in config if key not in DEFAULTS]
    if strange:
        raise ValueError(f"config: unknown {', '.join(strange)}; expected {', '.join(DEFAULTS)}")
    o = {**DEFAULTS, **config}
    for key in ("model", "data", "output"):
        if o[key] is None:
            raise ValueError(f"{key}: expected a path")
    o["snapshot"] = o["snapshot"] or f"{o['output']}.snapshot"
    cuda = torch.cuda.is_available() and o["backend"] != "gloo"
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    own_group = not dist.is_initialized()
    if own_group:
        dist.init_process_group(o["backend"] or ("nccl" if cuda else "gloo"), timeout=timedelta(minutes=5))
    try:
        _train(o, device)
    finally:
        if own_group:
            dist.destroy_process_group()


def _train(o: dict[str, Any], device: torch.device) -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    path, done = resume_from(o)
    module = gatewise.load(path).to(device).train()
    options = dict((module.description.get("optimizer") or {}).get("options") or {})
    if o["optimizer"] is not None and o["optimizer"] != options.get("optimizer", "adam"):
        options = {"optimizer": o["optimizer"]}
    if o["learning_rate"] is not None:
        options["learningRate"] = o["learning_rate"]
    optimizer = gatewise.load_optimizer(module, options)
    schedule = gatewise.load_schedule(module)
    made = int((module.description.get("optimizer") or {}).get("step", 0))
    data = read_data(module, o, rank, world)
    base = gatewise.optimizer_options(options)["learningRate"]
    together = DistributedDataParallel(
        Step(module, data, rank, world),
        device_ids=[device] if device.type == "cuda" else None,
        # a language model's learned state has no gradient
        find_unused_parameters=isinstance(data, Text) and module.config.get("initialState") == "learned",
    )
    print(f"rank {rank} of {world}, process {os.getpid()}: from step {done} of {o['steps']}, {path}", flush=True)

    def write(to: str) -> None:
        standing = data.standing(done, world)
        if rank == 0:
            about = {"train_ddp": json.dumps({"job": job_of(o), "done": done})}
            gatewise.save(module, optimizer, to, steps=made + done - first, metadata=about, **standing)
        dist.barrier()

    first = done
    while done < o["steps"]:
        # dropout: another mask in each step and process, the same when the step is made again
        torch.manual_seed((o["seed"] << 32) + done * world + rank)
        loss, part = together(done)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), o["clip_norm"] or float("inf"), error_if_nonfinite=True)
        rate = schedule.rate(base) if schedule else base
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        dist.all_reduce(part)
        data.done(done)
        if schedule:
            schedule.done(float(part))
        done += 1
        if o["losses"] and rank == 0:
            with open(o["losses"], "a", encoding="utf-8") as log:
                line = {"step": done, "loss": float(part), "gradientNorm": float(norm), "learningRate": rate}
                log.write(json.dumps(line) + "\n")
        if rank == 0 and (done % 100 == 0 or done == o["steps"]):
            print(f"step {done} of {o['steps']}: loss {float(part):.6f}, gradient norm {float(norm):.4f}", flush=True)
        if done % o["snapshot_every"] == 0 and done < o["steps"]:
            write(o["snapshot"])
    write(o["output"])
    if rank == 0:
        with suppress(FileNotFoundError):
            os.unlink(o["snapshot"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for key, default in DEFAULTS.items():
        kind = {"learning_rate": float}.get(key, str if default is None else type(default))
        needed = key in ("model", "data", "output")
        parser.add_argument(
            f"--{key.replace('_', '-')}", type=kind, default=default, required=needed, help=f"default: {default}"
        )
    train(vars(parser.parse_args()))


if __name__ == "__main__":
    main()
