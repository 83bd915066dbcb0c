"""Batches by length, and rows packed full, from token counts that are known before any pixel is: python packing.py

`collator.plan(records)` says how many tokens each record will be in this epoch, images and all. With that:
1. batches of records of like length, which need little padding;
2. rows of at most N tokens that several records share; a model of transformers keeps them apart by `position_ids`.
The two samplers below are for copying: they know counts alone, and plan anew in every epoch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from common import DATA, positive, read_records
from torch.utils.data import DataLoader, Dataset, Sampler

from gpurender import LoMo, distort
from gpurender.feed import Collator, PrefetchLoader, profiles

Record = dict[str, Any]


class BatchesOfLikeLength(Sampler[list[int]]):
    """Batches in random order, of records of about the same length: `DataLoader(records, batch_sampler=..)`.

    Records are shuffled, sorted by length in pools of 50 batches, and cut into batches, which are shuffled. Another
    epoch has other lengths, since LoMo draws other records; `PrefetchLoader` calls `set_epoch`.

    Args:
        records: All of them.
        collator: What plans them.
        batch_size: Records in a batch; some have fewer.
        seed: Any integer.
    """

    POOL = 50

    def __init__(self, records: Sequence[Record], collator: Collator, batch_size: int, *, seed: int = 0) -> None:
        self.records, self.collator, self.batch_size, self.seed = records, collator, batch_size, seed
        self.epoch = -1
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Plan this epoch."""
        if epoch == self.epoch:
            return
        self.epoch = epoch
        self.collator.set_epoch(epoch)
        counts = np.array(self.collator.plan(self.records))
        rng = np.random.default_rng((self.seed, epoch))
        # 0 tokens: it cannot be used, and would be left out.
        order = rng.permutation(np.flatnonzero(counts))
        batches = []
        for start in range(0, len(order), self.POOL * self.batch_size):
            pool = order[start : start + self.POOL * self.batch_size]
            pool = pool[np.argsort(counts[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size].tolist() for i in range(0, len(pool), self.batch_size)]
        self.batches = [batches[n] for n in rng.permutation(len(batches))]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class PackedRows(Sampler[list[int]]):
    """Rows in random order, each the numbers of records that share it: `DataLoader(Rows(records), sampler=..)`.

    Args:
        records: All of them.
        collator: What plans them.
        tokens: The most that a row may have.
        seed: Any integer.
    """

    def __init__(self, records: Sequence[Record], collator: Collator, tokens: int, *, seed: int = 0) -> None:
        self.records, self.collator, self.tokens, self.seed = records, collator, tokens, seed
        self.epoch = -1
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Plan this epoch."""
        if epoch == self.epoch:
            return
        self.epoch = epoch
        self.collator.set_epoch(epoch)
        rows = pack(self.collator.plan(self.records), self.tokens)
        self.rows = [rows[n] for n in np.random.default_rng((self.seed, epoch)).permutation(len(rows))]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Rows(Dataset[list[Record]]):
    """The records of a row; the collator takes a list of records for a row that they share."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records

    def __getitem__(self, members: list[int]) -> list[Record]:
        return [self.records[n] for n in members]

    def __len__(self) -> int:
        return len(self.records)


def pack(counts: Sequence[int], size: int) -> list[list[int]]:
    """Rows of records that have at most `size` tokens together: the longest first, each into the first row with room.

    Args:
        counts: Tokens of each record; those of 0 and of more than `size` are left out.
        size: The most tokens of a row.

    Returns:
        Numbers of records, for each row.
    """
    rows: list[list[int]] = []
    # As if every record had a row of its own from the start: then each finds one.
    room = np.full(len(counts), size)
    for n in np.argsort(counts, kind="stable")[::-1].tolist():
        if 0 < counts[n] <= size:
            first = int(np.argmax(room[: len(rows) + 1] >= counts[n]))
            if first == len(rows):
                rows.append([])
            rows[first].append(n)
            room[first] -= counts[n]
    return rows


def padding(counts: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """The share of padding in batches that are as long as their longest record."""
    used = sum(counts[n] for batch in batches for n in batch)
    return 1 - used / sum(len(batch) * max(counts[n] for n in batch) for batch in batches)


def main() -> None:
    """Plan an epoch, say what it comes to, and show that it does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FILE", help="JSONL of records with `messages`")
    parser.add_argument("--batch-size", type=positive, default=8, metavar="N", help="records a batch (%(default)s)")
    parser.add_argument("--tokens", type=positive, default=2048, metavar="N", help="most tokens a row (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order and LoMo's draw (%(default)s)")
    args = parser.parse_args()

    records = read_records(args.data)
    tokenizer = tiny.tokenizer(text for record in records for text in tiny.texts(record))
    lomo = LoMo(ratio=0.5, seed=args.seed, distort=distort.presets.lomo())
    collator = Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo)

    # What is compiled, is compiled now.
    collator.plan(records[:8])
    began = time.perf_counter()
    counts = collator.plan(records)
    seconds = time.perf_counter() - began
    known = [n for n, count in enumerate(counts) if 0 < count <= args.tokens]
    if not known:
        raise SystemExit(f"{args.data}: no record can be used")
    lengths = [counts[n] for n in known]
    print(f"{len(known)} records planned, {len(records) / seconds:,.0f} a second, no pixel yet")
    print(f"tokens a record: {min(lengths)} to {max(lengths)}, {sum(lengths) / len(lengths):.0f} in the mean")
    long = sum(count > args.tokens for count in counts)
    if long:
        print(f"{long} records have more than {args.tokens} tokens, and are in no row")

    order = np.random.default_rng(args.seed).permutation(known).tolist()
    random = [order[i : i + args.batch_size] for i in range(0, len(order), args.batch_size)]
    alike = BatchesOfLikeLength(records, collator, args.batch_size, seed=args.seed)
    rows = PackedRows(records, collator, args.tokens, seed=args.seed)
    held = [sum(counts[n] for n in row) for row in rows]
    print(f"padding in batches of {args.batch_size}, at random: {padding(counts, random):.1%}")
    print(f"padding in batches of {args.batch_size}, of like length: {padding(counts, alike.batches):.1%}")
    print(f"packed into {len(rows)} rows of {args.tokens} tokens: {sum(held) / (len(rows) * args.tokens):.1%} full")

    # What was planned is what comes.
    feed = PrefetchLoader(DataLoader(records, batch_sampler=alike, collate_fn=collator), device="cpu")
    masks = [batch["attention_mask"] for batch in feed]
    padded = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    print(f"padding in the batches of like length that came, pixels and all: {padded:.1%}")
    # One row a batch, which FlashAttention wants.
    feed = PrefetchLoader(DataLoader(Rows(records), batch_size=1, sampler=rows, collate_fn=collator), device="cpu")
    model = tiny.model(tokenizer)
    with torch.no_grad():
        came = [(batch["input_ids"].shape[1], float(model(**batch).loss)) for batch in feed]
    full = sum(length for length, _ in came) / (len(came) * args.tokens)
    loss = sum(loss for _, loss in came) / len(came)
    print(f"packed rows that came: {full:.1%} full; a tiny model's loss on them: {loss:.2f}")


if __name__ == "__main__":
    main()
