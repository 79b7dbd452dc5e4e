"""The mean loss of a language model on the first characters of a text: python evaluate.py MODEL TEXT LENGTH."""

import sys
from pathlib import Path

import torch
from torch.nn import functional as F

import gatewise_torch as gatewise

model, text, length = sys.argv[1:]
module = gatewise.load(model).eval()
tokens = module.vocabulary.encode("text", Path(text).read_text(encoding="utf-8")[: int(length)])
with torch.no_grad():
    logits, _ = module(tokens[:-1, None])
print(float(F.cross_entropy(logits[:, 0].double(), tokens[1:])))
