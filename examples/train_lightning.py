"""Train a vision-language model on LoMo's images with Lightning: python examples/train_lightning.py

The feed goes where a DataLoader would. Its batches are on the device already, which Lightning finds and leaves; its
position is in Lightning's checkpoints, since Lightning asks a loader for `state_dict`. --resume goes on from the last.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from common import Interrupt, Meter, learning_rate, load, make_collator, make_feed, parser, read_records, write
from lightning.pytorch.callbacks import Callback


class Finetune(lightning.LightningModule):
    """A model of transformers, which computes its own loss."""

    def __init__(self, model: Any, feed: Any, rate: float) -> None:
        super().__init__()
        self.model, self.feed, self.rate = model, feed, rate

    def train_dataloader(self) -> Any:
        """The feed."""
        return self.feed

    def on_train_epoch_start(self) -> None:
        """What LoMo draws, and the order of the records, are others in each epoch."""
        self.feed.set_epoch(self.current_epoch)

    def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        """The loss of a batch."""
        return self.model(**batch).loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, at one rate."""
        return torch.optim.AdamW(self.model.parameters(), lr=self.rate)


class Watch(Callback):
    """Measures; saves after the last step, and stops at Ctrl-C after the step that runs."""

    def __init__(self, meter: Meter, interrupt: Interrupt, checkpoint: Path) -> None:
        self.meter, self.interrupt, self.checkpoint = meter, interrupt, checkpoint

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Begin to measure."""
        self.meter.done = trainer.global_step
        self.meter.begin()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count a step; a tensor that is added to another is not waited for."""
        self.meter.step(outputs["loss"])
        if self.interrupt.asked or trainer.global_step == trainer.max_steps:
            # Not after `fit`, which counts an epoch that was cut short as done.
            write(self.checkpoint, trainer.save_checkpoint)
            trainer.should_stop = True


def main() -> None:
    """Read the arguments, and train."""
    arguments = parser(__doc__)
    arguments.add_argument("--resume", action="store_true", help="go on from --out/last.ckpt, if there is one")
    args = arguments.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Lightning 2.6 itself uses what PyTorch 2.13 calls old.
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    lightning.seed_everything(args.seed, verbose=False)

    records = read_records(args.data)
    tokenizer, model = load(args, records)
    model.train()
    feed = make_feed(args, records, make_collator(args, tokenizer, model))
    checkpoint = args.out / "last.ckpt"
    watch = Watch(Meter(feed, args.log_every), Interrupt(), checkpoint)
    kind, _, number = args.device.partition(":")
    trainer = lightning.Trainer(
        accelerator="gpu" if kind == "cuda" else kind,
        devices=[int(number or 0)] if kind == "cuda" else 1,
        # The weights are what they are.
        precision="bf16-true" if model.dtype == torch.bfloat16 else "32-true",
        max_steps=args.steps,
        gradient_clip_val=1.0,
        default_root_dir=args.out,
        callbacks=[watch],
        # Watch writes one at the end; Lightning's ModelCheckpoint writes them along the way.
        enable_checkpointing=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    found = args.resume and checkpoint.is_file()
    if found:
        print(f"resumed from {checkpoint}")
    trainer.fit(Finetune(model, feed, learning_rate(args)), ckpt_path=checkpoint if found else None)
    watch.meter.finish(args.out / "train_lightning.png")


if __name__ == "__main__":
    main()
