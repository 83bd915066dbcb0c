"""Train a vision-language model on LoMo's images in a plain PyTorch loop: python examples/train_torch.py

Half of the records have a part of their prompt replaced by its picture, drawn and distorted on the training device in
the moment it is needed, and others in each epoch. Ctrl-C ends it with a checkpoint; --resume goes on from there, with
the same batches as if nothing had happened.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from common import Interrupt, Meter, learning_rate, load, make_collator, make_feed, parser, read_records, write


def main() -> None:
    """Read the arguments, and train."""
    arguments = parser(__doc__)
    arguments.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out, if there is one")
    args = arguments.parse_args()
    torch.manual_seed(args.seed)

    records = read_records(args.data)
    tokenizer, model = load(args, records)
    model.to(args.device).train()
    feed = make_feed(args, records, make_collator(args, tokenizer, model))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate(args))

    checkpoint = args.out / "checkpoint.pt"
    epoch = step = 0
    if args.resume and checkpoint.is_file():
        state = torch.load(checkpoint, map_location=args.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        feed.load_state_dict(state["feed"])
        epoch, step = state["epoch"], state["step"]
        print(f"resumed after step {step}")

    meter, interrupt = Meter(feed, args.log_every, done=step), Interrupt()
    while step < args.steps and not interrupt.asked:
        # What LoMo draws, and the order of the records, are others in each epoch.
        feed.set_epoch(epoch)
        for batch in feed:
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            meter.step(loss)
            if step == args.steps or interrupt.asked:
                break
        else:
            epoch += 1
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "feed": feed.state_dict(),
        "epoch": epoch,
        "step": step,
    }
    write(checkpoint, partial(torch.save, state))
    meter.finish(args.out / "train_torch.png")


if __name__ == "__main__":
    main()
