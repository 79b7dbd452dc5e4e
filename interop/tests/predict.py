"""Half of the comparison that runs in Python: python predict.py FOLDER.

Reads the files that predict.mjs wrote and compares; then changes the weights, writes files, and what PyTorch makes of them.
"""

import json
import sys
from pathlib import Path

import torch

import gatewise_torch as gatewise


def network(module, data):
    """What the network gives, by name, with zeros past the ends of sequences."""
    if isinstance(module, gatewise.LanguageModel):
        logits, _ = module(module.vocabulary.encode("text", data["text"])[:, None])
        return {"logits": logits}
    if isinstance(module, gatewise.Seq2Seq):
        B = len(data["tokens"][0])
        batches = []
        for k, reader in enumerate(module.inputs):
            batches.append(gatewise.pad([reader.encode("source", pair[k]) for pair in data["sources"][:B]]))
        memory = module.encode([x for x, _ in batches], [n for _, n in batches])
        logits, _, weights = module.decode(torch.tensor(data["tokens"]), memory)
        return {"logits": logits, **{f"weights{k or ''}": own for k, own in enumerate(weights)}}
    if isinstance(module, gatewise.SequenceGenerator):
        before = torch.tensor(data["before"])
        if module.embedding is None:
            before = before.float().reshape(len(before), -1, module.head.out_features)
        logits, over = module(torch.tensor(data["X"]), before)
        return {"logits": logits, **({} if over is None else {"over": over})}
    if isinstance(module, gatewise.Forecaster):
        y = module(torch.tensor(data["windows"]).transpose(0, 1))
        return {f"step{k}": y[:, k] for k in range(y.shape[1])} if module.recursive else {"step0": y}
    x, lengths = gatewise.pad([module.input.encode(f"inputs[{i}]", s) for i, s in enumerate(data["inputs"])])
    y = module(x, lengths)
    if not isinstance(y, list):
        y = [y]
    if y[0].dim() == 3:
        live = torch.arange(len(x))[:, None] < lengths
        y = [torch.where(live[..., None], rows, 0.0) for rows in y]
    return {f"logits{k or ''}": rows for k, rows in enumerate(y)}


def labels(module, data):
    x, lengths = gatewise.pad([module.input.encode("input", s) for s in data["inputs"]])
    tags = [chain.decode(rows, lengths) for chain, rows in zip(module.chains, module(x, lengths), strict=True)]
    return [[[names[t] for t in own] for own in of] for names, of in zip(module.sets.values(), tags, strict=True)]


@torch.no_grad()
def main(folder: Path) -> None:
    torch.manual_seed(1)
    for path in sorted(folder.glob("*.safetensors"), key=lambda p: int(p.name.split(".")[0])):
        case = json.loads(path.with_suffix(".json").read_text())
        module = gatewise.load(path).eval()
        found = network(module, case["data"])
        for name, expected in case["expected"].items():
            want = torch.tensor(expected["values"])
            d = float((found[name].flatten() - want).abs().max() / want.abs().max())
            print(f"{'ok' if d <= 1e-6 else 'FAILED'} gatewise to PyTorch: {case['task']}, {case['name']}: {name} {d:.1e}")
        if case.get("tags"):
            said = labels(module, case["data"])
            for k, name in enumerate(module.sets):
                truth = [own[name] if isinstance(own := one.get("sets", one["labels"]), dict) and name in own else own for one in case["tags"]]
                print(f"{'ok' if said[k] == truth else 'FAILED'} gatewise to PyTorch: {case['task']}, {case['name']}: labels {name}")
        for parameter in module.tensors().values():
            parameter += 0.2 * torch.randn_like(parameter)
        gatewise.save(module, None, path.with_suffix(".out.safetensors"))
        written = {name: own.flatten().tolist() for name, own in network(module, case["data"]).items()}
        path.with_suffix(".out.json").write_text(json.dumps(written))


main(Path(sys.argv[1]))
