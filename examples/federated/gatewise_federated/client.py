"""A client: for each message of the server it starts Node, which trains on the client's own text."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from .records import read, write

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    node = context.node_config
    orders = message.content["config"]
    options = {
        "data": node["data"],
        "part": node["partition-id"],
        "parts": node["num-partitions"],
        "round": orders["server-round"],
        **{key: orders[key] for key in ("steps", "batch-size", "window", "learning-rate")},
    }
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.safetensors"), Path(folder, "after.safetensors")
        write(before, message.content["arrays"], orders["gatewise"])
        arguments = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        command = [str(node.get("node", "node")), str(node["learner"]), "train", str(before), str(after), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the learner failed: {done.stderr}")
        report = json.loads(done.stdout)
        arrays, _ = read(after)
    metrics = MetricRecord({"loss": report["loss"], "num-examples": report["tokens"]})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
