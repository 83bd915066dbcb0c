"""Train a vision-language model on LoMo's images with transformers' Trainer: python examples/train_hf_trainer.py

The Trainer is told where its batches come from, and nothing else: they are on its device already, so it neither wraps
the feed nor moves a tensor. It calls `set_epoch` by itself. Checkpoints hold the feed's position; --resume goes on from
the last one, with the batches that would have come.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Interrupt, Meter, learning_rate, load, make_collator, make_feed, parser, read_records, write
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

FEED = "feed.pt"


class FeedTrainer(Trainer):
    """A Trainer that trains on a feed."""

    def __init__(self, *args: Any, feed: Any, **kwargs: Any) -> None:
        self.feed = feed
        super().__init__(*args, **kwargs)

    def get_train_dataloader(self) -> Any:
        """The feed itself: `accelerator.prepare` would wrap it in a loader that copies batches."""
        return self.feed

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # Some models, Qwen2.5-VL among them, are saved under the hub's names of their weights, and the Trainer of
        # transformers 5 looks for its own, finds none, and goes on (QwenLM/Qwen3-VL#1763). This knows both.
        saved = type(self.model).from_pretrained(resume_from_checkpoint, dtype=self.model.dtype)
        (self.model if model is None else model).load_state_dict(saved.state_dict())


class Watch(TrainerCallback):
    """Measures, saves the feed's position with every checkpoint, and stops at Ctrl-C with one."""

    def __init__(self, meter: Meter, interrupt: Interrupt) -> None:
        self.meter, self.interrupt = meter, interrupt

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin to measure."""
        self.meter.done = state.global_step
        self.meter.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint, and the end, where Ctrl-C was pressed."""
        if self.interrupt.asked:
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the feed's position beside the Trainer's own state."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        write(folder / FEED, partial(torch.save, self.meter.feed.state_dict()))


class MeteredTrainer(FeedTrainer):
    """What measures, which training does not need."""

    meter: Meter

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """A step as it is, counted."""
        loss = super().training_step(*args, **kwargs)
        self.meter.step(loss)
        return loss


def main() -> None:
    """Read the arguments, and train."""
    arguments = parser(__doc__)
    arguments.add_argument("--save-steps", type=int, default=100, metavar="N", help="steps between checkpoints")
    arguments.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out, if any")
    args = arguments.parse_args()

    options = TrainingArguments(
        output_dir=str(args.out),
        max_steps=args.steps,
        per_device_train_batch_size=args.batch_size,
        learning_rate=learning_rate(args),
        lr_scheduler_type="constant",
        use_cpu=args.device == "cpu",
        save_steps=args.save_steps,
        save_total_limit=2,
        seed=args.seed,
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        # Else it asks the device after every step whether the loss is a number.
        logging_nan_inf_filter=False,
        # The feed goes on where it was; nothing is to be made and thrown away.
        ignore_data_skip=True,
    )
    # The Trainer chooses: the first GPU, or that of its rank. Else it would split each batch among all GPUs.
    args.device = str(options.device)
    options._n_gpu = min(options.n_gpu, 1)

    records = read_records(args.data)
    tokenizer, model = load(args, records)
    feed = make_feed(args, records, make_collator(args, tokenizer, model))
    meter = Meter(feed, args.log_every)
    # The records are for what the Trainer counts; it reads none of them.
    trainer = MeteredTrainer(
        model=model, feed=feed, train_dataset=records, callbacks=[Watch(meter, Interrupt())], args=options
    )
    trainer.meter = meter
    checkpoint = get_last_checkpoint(args.out) if args.resume and args.out.is_dir() else None
    if checkpoint is not None:
        feed.load_state_dict(torch.load(Path(checkpoint, FEED), weights_only=True))
        print(f"resumed from {checkpoint}")
    trainer.train(resume_from_checkpoint=checkpoint)
    meter.finish(args.out / "train_hf_trainer.png")


if __name__ == "__main__":
    main()
