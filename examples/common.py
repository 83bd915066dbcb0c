"""What the training examples share: their arguments, records, model and feed, and a meter of loss and speed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny
import torch

from gpurender import LoMo, distort
from gpurender.feed import Collator, PrefetchLoader, profiles

DATA = Path(__file__).with_name("arithmetic.jsonl")
PROFILES = {
    "qwen2_5_vl": profiles.qwen2_5_vl,
    "qwen3_vl": profiles.qwen3_vl,
    "qwen3_5": profiles.qwen3_5,
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every training example."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = found.add_argument
    add("--data", type=Path, default=DATA, metavar="FILE", help="JSONL of records with `messages`")
    add("--model", default="tiny", help="'tiny', made on the spot, or a checkpoint's folder or name on the hub")
    add("--family", choices=PROFILES, default="qwen2_5_vl", help="of the tiny model; a checkpoint says its own")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where it trains")
    add("--steps", type=positive, default=200, metavar="N", help="optimizer steps")
    add("--batch-size", type=positive, default=8, metavar="N", help="records a step")
    add("--workers", type=int, default=1, metavar="N", help="processes that plan batches; 0 plans in this one")
    add("--lr", type=float, metavar="RATE", help="learning rate; by default 3e-3 for the tiny model, else 1e-5")
    add("--log-every", type=positive, default=10, metavar="N", help="steps between readings of the loss")
    add("--out", type=Path, default=Path("out"), metavar="DIR", help="where curves and checkpoints go")
    add("--seed", type=int, default=0, help="of weights, order, LoMo's draw and its distortions")
    return found


def positive(text: str) -> int:
    """An argument that is a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a JSONL file; a record without an `id` gets its line's number.

    Raises:
        SystemExit: There is no such file, or a line that is no JSON object.
    """
    records = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        raise ValueError("it is not a JSON object")
                    records.append({"id": f"line-{number}"} | record)
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"{path}, line {number}: {error}") from None
    if not records:
        raise SystemExit(f"{path} has no records")
    return records


def load(args: argparse.Namespace, records: list[dict[str, Any]]) -> tuple[Any, Any]:
    """The tokenizer, and the model on the CPU: tiny ones, or a checkpoint's; a GPU trains a checkpoint in bfloat16."""
    if args.model == "tiny":
        tokenizer = tiny.tokenizer(text for record in records for text in tiny.texts(record))
        return tokenizer, tiny.model(tokenizer, args.family, seed=args.seed)
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    dtype = torch.bfloat16 if args.device.startswith("cuda") else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForImageTextToText.from_pretrained(args.model, dtype=dtype)
    model.config.use_cache = False
    return tokenizer, model


def learning_rate(args: argparse.Namespace) -> float:
    """What was asked for, or what suits the model."""
    return args.lr if args.lr is not None else 3e-3 if args.model == "tiny" else 1e-5


def make_collator(args: argparse.Namespace, tokenizer: Any, model: Any) -> Collator:
    """LoMo with its distortions, for the model's family: runs in workers, and makes no pixels."""
    kind = model.config.model_type
    if kind not in PROFILES:
        raise SystemExit(f"{args.model} is a {kind}; these examples know {', '.join(PROFILES)}")
    profile = PROFILES[kind](dtype=str(model.dtype).removeprefix("torch."))
    lomo = LoMo(ratio=0.5, seed=args.seed, distort=distort.presets.lomo())
    return Collator(tokenizer, profile, lomo=lomo, on_error="skip")


def make_feed(args: argparse.Namespace, records: list[dict[str, Any]], collator: Collator) -> PrefetchLoader:
    """A plain DataLoader, whose batches become pixels on the device.

    Its sampler's order follows from the seed and the epoch, which the feed tells it, so that a resumed run sees what
    it would have seen; and each process of a distributed run has its part.

    Raises:
        SystemExit: None of the first records can be used.
    """
    first = collator(records[:64])
    if not len(first):
        raise SystemExit(f"{args.data}: record {first.problems[0].record}: {first.problems[0].reason}")
    # A core for each worker: threads that share one with it keep all others waiting.
    torch.set_num_threads(max(1, torch.get_num_threads() - args.workers))
    processes, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    sampler = torch.utils.data.DistributedSampler(records, processes, rank, shuffle=True, seed=args.seed)
    loader = torch.utils.data.DataLoader(
        records,
        batch_size=args.batch_size,
        sampler=sampler,
        drop_last=len(sampler) >= args.batch_size,
        num_workers=args.workers,
        collate_fn=collator,
        pin_memory=args.device.startswith("cuda"),
        persistent_workers=args.workers > 0,
        worker_init_fn=ignore_interrupts,
    )
    return PrefetchLoader(loader, device=args.device)


def ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the trainer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Interrupt:
    """Ctrl-C asks for a stop after the step that runs, so that what is saved is of one step; a second one is rude."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self.ask)

    def ask(self, *_: Any) -> None:
        """What Ctrl-C does the first time."""
        self.asked = True
        print("stopping after this step", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Meter:
    """Loss, tokens/s, images/s and the share of time spent waiting, over windows of `every` steps.

    Losses are added up on the device and read once a window, so that the device is never waited for in between.
    """

    def __init__(self, feed: PrefetchLoader, every: int, *, done: int = 0) -> None:
        self.feed, self.every, self.done = feed, every, done
        self.rows: list[dict[str, float]] = []
        self.begin()

    def begin(self) -> None:
        """Begin a window now."""
        self.total: Any = 0
        self.steps = 0
        self.before = dict(self.feed.report)
        self.waited, self.clock = self.feed.waited, time.perf_counter()

    def step(self, loss: torch.Tensor) -> None:
        """Count a step that is done."""
        self.total = self.total + loss.detach()
        self.steps += 1
        self.done += 1
        if self.steps == self.every:
            self.read()

    def read(self) -> None:
        """End a window and print it; does nothing where none has begun."""
        if not self.steps:
            return
        loss = float(self.total) / self.steps
        seconds = time.perf_counter() - self.clock
        count = {name: self.feed.report[name] - self.before.get(name, 0) for name in ("tokens", "images")}
        row = {"step": self.done, "loss": loss, "seconds": seconds, **count, "waited": self.feed.waited - self.waited}
        self.rows.append(row)
        print(f"step {self.done:5}  loss {loss:6.3f}  {told([row])}", flush=True)
        self.begin()

    def finish(self, path: Path) -> None:
        """Print the sum, and draw loss and speed into a PNG."""
        self.read()
        # The first window has what runs once: compilation, the first glyphs, workers that start.
        print(f"after the first {self.every} steps: {told(self.rows[1:] or self.rows)}")
        write(path, self.draw)
        print(f"curves: {path}")

    def draw(self, path: Path) -> None:
        """Two plots over the steps: loss; tokens and images a second."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        steps = [row["step"] for row in self.rows]
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
        left.plot(steps, [row["loss"] for row in self.rows], color="tab:blue", marker=".")
        left.set(xlabel="step", ylabel=f"loss, mean of {self.every} steps", ylim=(0, None))
        rates = {name: [row[name] / row["seconds"] for row in self.rows] for name in ("tokens", "images")}
        right.plot(steps, rates["tokens"], color="tab:green", marker=".", label="tokens/s")
        right.set(xlabel="step", ylabel="tokens/s", ylim=(0, None))
        images = right.twinx()
        images.plot(steps, rates["images"], color="tab:orange", linestyle="--", marker=".", label="images/s")
        images.set(ylabel="images/s", ylim=(0, None))
        right.legend(handles=[*right.lines, *images.lines], loc="lower right")
        waited = 100 * sum(row["waited"] for row in self.rows[1:]) / max(sum(r["seconds"] for r in self.rows[1:]), 1e-9)
        right.set_title(f"{waited:.1f} % of the time spent waiting for data", fontsize="medium")
        for axes in (left, right):
            axes.grid(alpha=0.3)
        figure.savefig(path, dpi=110, format="png")
        pyplot.close(figure)


def told(rows: list[dict[str, float]]) -> str:
    """The speed over some windows, in words."""
    total = {name: sum(row[name] for row in rows) for name in ("tokens", "images", "waited", "seconds")}
    seconds = max(total["seconds"], 1e-9)
    rates = f"{total['tokens'] / seconds:8,.0f} tokens/s  {total['images'] / seconds:6,.1f} images/s"
    return f"{rates}  {total['waited'] / seconds:5.1%} of the time waiting for data"


def write(path: Path, save: Callable[[Path], Any]) -> None:
    """Write a file as a whole or not at all: `save` writes another one beside it, which takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        save(Path(name))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
