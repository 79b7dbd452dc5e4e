"""The half of predictions.part.mjs that runs in Python: python predictions.py FOLDER.

Reads the files and what gatewise makes of them, and compares; then changes the weights, writes files, and what PyTorch
makes of them.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

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
        future = torch.tensor(data["future"]) if "future" in data else None
        y = module(torch.tensor(data["windows"]).transpose(0, 1), future=future)
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
    sets = zip(module.sets.items(), tags, strict=True)
    return {name: [[names[t] for t in own] for own in of] for (name, names), of in sets}


def report(name: str, detail: str, good: bool) -> None:
    print(json.dumps([name, detail, good]))


def trains(module, data, title):
    """In training mode, with all that is dropped at random, every parameter has a gradient."""
    idle = {id(p) for chain in getattr(module, "chains", None) or () for p in chain.parameters()}
    module.train()
    with torch.enable_grad():
        sum(own.square().sum() for own in network(module, data).values()).backward()
    module.eval()
    bad = [
        n for n, p in module.tensors().items() if id(p) not in idle and (p.grad is None or not p.grad.isfinite().all())
    ]
    report(f"{title}: gradients in training mode", ", ".join(bad), not bad)


@torch.no_grad()
def compare(folder: Path) -> None:
    for path in sorted(folder.glob("*.safetensors"), key=lambda p: int(p.stem)):
        case = json.loads(path.with_suffix(".json").read_text())
        title = f"gatewise to PyTorch, {case['task']}, {case['name']}"
        module = gatewise.load(path).eval()
        found = network(module, case["data"])
        for name, expected in case["expected"].items():
            want = torch.tensor(expected["values"])
            d = float((found[name].flatten() - want).abs().max() / want.abs().max())
            report(f"{title}, {name}", f"{d:.1e}", d <= 1e-6)
        if case["said"]:
            for name, said in labels(module, case["data"]).items():
                truth = [one[name] for one in case["said"]]
                report(f"{title}, labels {name}", "", said == truth)
        trains(module, case["data"], title.replace("gatewise to PyTorch", "PyTorch"))
        for parameter in module.tensors().values():
            parameter += 0.2 * torch.randn_like(parameter)
        gatewise.save(module, None, path.with_suffix(".written"))
        written = {name: own.flatten().tolist() for name, own in network(module, case["data"]).items()}
        path.with_suffix(".written.json").write_text(json.dumps(written))


def refuse(folder: Path) -> None:
    """Files that do not fit are errors that name what is wrong, and the file that is overwritten is whole."""
    path, bad = folder / "1.safetensors", folder / "bad"
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["gatewise"])

    def says(title: str, words: list[str], own: dict, description: object) -> None:
        text = description if isinstance(description, str) else json.dumps(description)
        save_file({n: t.contiguous() for n, t in own.items()}, bad, {"gatewise": text} if description else None)
        try:
            gatewise.load(bad)
        except gatewise.FormatError as error:
            report(f"refused: {title}", str(error), all(word in str(error) for word in words))
        else:
            report(f"refused: {title}", "it was loaded", False)

    def without(name: str) -> dict:
        return {key: value for key, value in tensors.items() if key != name}

    weight = tensors["head.weight"]
    says("a missing tensor", ["missing", "head.weight"], without("head.weight"), about)
    says("an unknown tensor", ["not expected", "extra"], {**tensors, "extra": weight.clone()}, about)
    says("a misshapen tensor", ["misshapen", "head.weight", "[3, 12]"], {**tensors, "head.weight": weight[:1]}, about)
    says("numbers that are not finite", ["not finite", "head.weight"], {**tensors, "head.weight": weight / 0}, about)
    says("another type", ["mistyped", "float64"], {**tensors, "head.weight": weight.double()}, about)
    says(
        "a moment without its parameter",
        ["optimizer.exp_avg.x"],
        {**tensors, "optimizer.exp_avg.x": weight.clone()},
        about,
    )
    says("an unknown cell", ["cell", "'mamba'"], tensors, {**about, "config": {**about["config"], "cell": "mamba"}})
    says("an unknown option", ["'depth'"], tensors, {**about, "config": {**about["config"], "depth": 3}})
    says("an unknown task", ["'painter'"], tensors, {**about, "task": "painter"})
    says("another format", ["format 3"], tensors, {**about, "format": 3})
    says("no description", ["no description"], tensors, None)
    says("a broken description", ["not valid JSON"], tensors, "{")
    bad.write_bytes(path.read_bytes()[:-8])
    try:
        gatewise.load(bad)
    except gatewise.FormatError as error:
        report("refused: a file that was cut off", str(error), True)


def convert(source: Path, folder: Path) -> None:
    """Files of format 1, as PyTorch writes them again."""
    for path in source.glob("*.safetensors"):
        module = gatewise.load(path)
        optimizer = gatewise.load_optimizer(module) if "optimizer" in module.description else None
        own = {"position": module.description.get("position"), "state": module.carried} if optimizer else {}
        gatewise.save(module, optimizer, folder / f"{path.stem}.format2", **own)


def main() -> None:
    torch.manual_seed(1)
    folder, format1 = map(Path, sys.argv[1:])
    compare(folder)
    refuse(folder)
    convert(format1, folder)


main()
