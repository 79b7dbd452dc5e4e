"""The server hands out the weights and averages what comes back: FedAvg, McMahan et al. 2017, arXiv:1602.05629v4."""

from __future__ import annotations

from pathlib import Path

from flwr.app import ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from .records import read, write

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    run = context.run_config
    arrays, description = read(Path(str(run["model"])))
    # one client is enough: both are 2 by default, and a server with a single client would wait for ever
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
    orders = {key: run[key] for key in ("steps", "batch-size", "window", "learning-rate")}
    result = strategy.start(
        grid=grid,
        initial_arrays=arrays,
        num_rounds=int(run["rounds"]),
        timeout=float(run["timeout"]),
        train_config=ConfigRecord({"gatewise": description, **orders}),
    )
    write(Path(str(run["output"])), result.arrays, description)
