"""Files of gatewise as Flower's records, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord
from safetensors import safe_open
from safetensors.numpy import save_file


def read(path: Path) -> tuple[ArrayRecord, str]:
    """The weights of a file, and its description; what only training needs stays behind."""
    with safe_open(path, "np") as file:
        names = [name for name in file.keys() if not name.startswith(("optimizer.", "state."))]  # noqa: SIM118
        return ArrayRecord({name: Array(file.get_tensor(name)) for name in names}), file.metadata()["gatewise"]


def write(path: Path, arrays: ArrayRecord, description: str) -> None:
    tensors = {name: np.ascontiguousarray(array.numpy(), dtype=np.float32) for name, array in arrays.items()}
    save_file(tensors, path, metadata={"gatewise": description})
