"""The prefetching loader: planned batches become the model's inputs on a side stream, ahead of the model."""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from gpurender.feed.collator import Collator
from gpurender.feed.planned import Planned, Problem
from gpurender.kernels import Backend
from gpurender.raster import Renderer

if TYPE_CHECKING:
    import torch

__all__ = ["PrefetchLoader"]

WARNINGS = 10  # records that a loader warns of by name; all are in `problems`
PROBLEMS = 1000  # records that a loader remembers

# The pass that a collator works for: its epoch is one for all its workers.
_working: WeakKeyDictionary[Collator, object] = WeakKeyDictionary()


class _Ready(NamedTuple):
    """A batch that is prepared, or being prepared on the side stream."""

    inputs: dict[str, Any]
    planned: Planned
    state: dict[str, Any]
    done: torch.cuda.Event | None


class PrefetchLoader:
    """Yields what a model's `forward` takes, from a `DataLoader` whose `collate_fn` is a :class:`Collator`.

    On a GPU batches are copied, painted, distorted and cut into patches on a side stream while the model works on an
    earlier one; the host never waits for the device. On the CPU the work is just done.

    Each pass over it is another epoch, counted from 0, so other records are rewritten and other distortions drawn.
    Everything is drawn by (seed, epoch, record id), so its state is a position: :meth:`state_dict`.

    Args:
        loader: Of planned batches; a torchdata `StatefulDataLoader` resumes without reading what was read.
        device: Where the model is: `"cuda"`, `"cuda:1"`, `"cpu"`, or a torch device.
        depth: How many batches are prepared ahead on a GPU; each costs the memory of its pixels. One is painted when
            the model has begun with the batch `depth` before it.
        channels: 1 to render gray, 3 for colours (of emoji, tables, stains). Models get three colours in either case.
        fixed_epoch: Draw every pass as this epoch, for validation.
        backend: See `gpurender.kernels`.

    Attributes:
        report: Counts of what was yielded, those of :class:`Planned` summed up.
        problems: Records that were left out or left as text, and why: the first 1,000.
        waited: Seconds that the loop has spent in this loader, waiting for workers and preparing batches.

    Raises:
        TypeError, ValueError: An argument is not as above.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        *,
        device: Any,
        depth: int = 2,
        channels: int = 1,
        fixed_epoch: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        import torch

        collator = getattr(loader, "collate_fn", None)
        if not isinstance(collator, Collator):
            raise TypeError(
                "loader must be a DataLoader with a gpurender Collator: DataLoader(records, collate_fn=Collator(..)); "
                f"its collate_fn is {type(collator).__name__}"
            )
        if type(depth) is not int or depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        if fixed_epoch is not None and type(fixed_epoch) is not int:
            raise TypeError(f"fixed_epoch must be an integer, not {fixed_epoch!r}")
        device = torch.device(device)
        if device.type == "cuda" and device.index is None and torch.cuda.is_available():
            device = torch.device("cuda", torch.cuda.current_device())
        self.loader: Any = loader
        self.renderer = Renderer(device=str(device), backend=backend, channels=channels)
        self.depth = depth if device.type == "cuda" else 1
        self.fixed_epoch = fixed_epoch
        self.report: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.waited = 0.0
        self._collator = collator
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._handed: torch.cuda.Event | None = None
        self._warned = 0
        self._epoch = 0
        self._state: dict[str, Any] = {"epoch": 0, "batches": 0}
        self._resume: dict[str, Any] | None = None
        self._is_told = False  # whether the epoch was set since a state was loaded

    def __len__(self) -> int:
        """How many batches a pass has."""
        return len(self.loader)

    @property
    def dataset(self) -> Any:
        """The loader's."""
        return self.loader.dataset

    @property
    def batch_size(self) -> Any:
        """The loader's."""
        return self.loader.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass this epoch, and those that follow it count on from there."""
        self._is_told = True
        if self._resume is None or self._resume["epoch"] != epoch:
            self._epoch, self._resume = epoch, None
            self._state = {"epoch": epoch, "batches": 0}

    def state_dict(self) -> dict[str, Any]:
        """The position behind the batch that was yielded last: epoch, batches, and the loader's own state if it has."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind that position in the next pass.

        From the end of an epoch it is the next one; but if :meth:`set_epoch` names the one that has ended, that pass
        gives nothing more. A loader without a state of its own has to give the batches in the same order as then; those
        before the position are planned and passed over.

        Raises:
            ValueError: It is no state of a PrefetchLoader, or one with a `StatefulDataLoader` where this has another.
        """
        numbers = [state.get(name) for name in ("epoch", "batches")]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError(f"state must be of a PrefetchLoader, with epoch and batches, not {state!r}")
        if "loader" in state and not hasattr(self.loader, "load_state_dict"):
            raise ValueError(f"state holds the state of a loader, which a {type(self.loader).__name__} cannot take")
        self._resume, self._state, self._is_told = dict(state), dict(state), False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """A pass over the data. An earlier one that has not ended, of this Collator, cannot go on after it."""
        mine = _working[self._collator] = object()
        goes_on = self._resume is not None and not self._is_told
        if not (yield from self._pass(mine)) and goes_on:
            # The position was the end of its epoch.
            yield from self._pass(mine)

    def _pass(self, mine: object) -> Generator[dict[str, Any], None, int]:
        """The rest of an epoch; returns how many batches were read for it."""
        began = perf_counter()
        resumed, self._resume = self._resume, None
        epoch = self._epoch = resumed["epoch"] if resumed else self._epoch
        self._epoch += 1
        passed = resumed["batches"] if resumed else 0
        self._state = resumed or {"epoch": epoch, "batches": 0}
        self._collator.set_epoch(epoch if self.fixed_epoch is None else self.fixed_epoch)
        for name in ("sampler", "batch_sampler", "dataset"):
            part: Any = getattr(self.loader, name, None)
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        number = 0
        if self._has_ended(passed):
            source: Iterator[Any] = iter(())
            number = passed
        else:
            if resumed and "loader" in resumed:
                self.loader.load_state_dict(resumed["loader"])
                number = passed
            source = iter(self.loader)
        queue: deque[_Ready] = deque()
        is_over = False
        while True:
            while not is_over and len(queue) < self.depth:
                try:
                    planned = self._next(source)
                    if planned is None:
                        is_over = True
                        break
                    number += 1
                    if number > passed:
                        queue.append(self._prepare(planned, epoch, number))
                except (RuntimeError, ConnectionError, EOFError) as error:
                    if not self._is_of_dead_worker(error):
                        raise
                    raise RuntimeError(
                        f"a worker of the DataLoader died in epoch {epoch}, behind batch {self._state['batches']} "
                        f"(its own message stands above; if there is none, memory is the usual cause): {error}"
                    ) from error
            if not queue:
                self._state = {"epoch": self._epoch, "batches": 0}
                self.waited += perf_counter() - began
                return max(number - passed, 0)
            if not len(queue[0].planned):
                # Every record of it was left out.
                self._hand_over(queue.popleft())
                continue
            self.waited += perf_counter() - began
            # Nothing here holds what is handed over.
            yield self._hand_over(queue.popleft())
            began = perf_counter()
            if _working.get(self._collator) is not mine:
                raise RuntimeError(
                    "a later pass has begun, over this PrefetchLoader or another with the same Collator, and taken its "
                    "epoch along: give each loader a Collator of its own (copy.copy)"
                )

    def _has_ended(self, batches: int) -> bool:
        """Whether an epoch has no more; False too where that is found by reading alone."""
        from torch.utils.data import IterableDataset

        if not batches or isinstance(getattr(self.loader, "dataset", None), IterableDataset):
            return False
        try:
            return batches >= len(self.loader)
        except TypeError:
            return False

    def _is_of_dead_worker(self, error: Exception) -> bool:
        """Whether a worker's death shows in an error, wherever its pipe, or its signal, is met."""
        if isinstance(error, RuntimeError):
            return str(error).startswith("DataLoader worker")
        return getattr(self.loader, "num_workers", 0) > 0 and not str(error).startswith("Caught")

    def _next(self, source: Iterator[Any]) -> Planned | None:
        planned = next(source, None)
        if planned is not None and not isinstance(planned, Planned):
            raise TypeError(f"the loader must give batches of its Collator, not {type(planned).__name__}")
        return planned

    def _prepare(self, planned: Planned, epoch: int, number: int) -> _Ready:
        import torch

        state = {"epoch": epoch, "batches": number}
        # Loaders of accelerate have the method whatever they are made of.
        with suppress(AttributeError):
            state["loader"] = self.loader.state_dict()
        if not len(planned):
            return _Ready({}, planned, state, None)
        try:
            if self._stream is None:
                return _Ready(planned.render(self.renderer), planned, state, None)
            with torch.cuda.stream(self._stream):
                if self._handed is not None:
                    # Not before the model has begun with the batch that was handed over: no more are under way.
                    self._stream.wait_event(self._handed)
                inputs = planned.render(self.renderer)
                done = torch.cuda.Event()
                done.record()
            return _Ready(inputs, planned, state, done)
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                f"no memory on {self.renderer.device} to render batch {number} of epoch {epoch}, of {len(planned)} "
                f"records and {planned.counts.get('images', 0)} images: lower the batch size, the profile's "
                f"max_pixels, or depth={self.depth}. {error}"
            ) from error

    def _hand_over(self, ready: _Ready) -> dict[str, Any]:
        """Let the model's stream wait for the side stream, and keep the memory until it is done with it."""
        import torch

        self._state = ready.state
        self._note(ready.planned)
        if ready.done is None:
            return ready.inputs
        stream = torch.cuda.current_stream(self.renderer.device)
        stream.wait_event(ready.done)
        self._handed = torch.cuda.Event()
        self._handed.record(stream)
        for value in ready.inputs.values():
            if isinstance(value, torch.Tensor):
                value.record_stream(stream)
        return ready.inputs

    def _note(self, planned: Planned) -> None:
        self.report.update(planned.counts)
        self.problems += planned.problems[: PROBLEMS - len(self.problems)]
        for problem in planned.problems[: WARNINGS - self._warned]:
            told = "was left out" if problem.status == "skipped" else "stays text"
            warnings.warn(f"record {problem.record} {told}: {problem.reason}", stacklevel=4)
            self._warned += 1
