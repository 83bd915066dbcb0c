"""Params: what is to be done to each image of a batch, drawn, before there is a pixel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpurender.distort import steps
from gpurender.distort.checks import check_sizes, on_cpu
from gpurender.distort.steps import FIELDS, KINDS, WIDTH
from gpurender.kernels.images import MAX_SIDE

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray | Tensor

__all__ = ["Params"]


class Params:
    """The programs of N images: for each a sequence of steps, of a kind and up to eight numbers.

    Plain data on the CPU: it pickles, stores as JSON (:meth:`to_json`), and gives the same pixels whenever it is used.
    It never changes: what goes in and what comes out are copies.

    Args:
        kinds: [S] int64: rows of :data:`gpurender.distort.steps.KINDS`.
        values: [S, 8] float64: each step's numbers, named by `gpurender.distort.steps.FIELDS`.
        offsets: [N + 1] int64: each image's first step.
        sizes: [N, 2] int32: height and width in px of the images to be distorted.
        left_clean: Why images are left as they are though something else was drawn, by image.

    Raises:
        TypeError: A wrong dtype, or a tensor that does not lie on the CPU.
        ValueError: A wrong shape, sizes below 1, offsets that do not rise from 0 to S, numbers that no step has, or a
            canvas with a side of more than 2**28 px.
    """

    def __init__(
        self,
        kinds: Array,
        values: Array,
        offsets: Array,
        sizes: Array,
        *,
        left_clean: Mapping[int, str] | None = None,
    ) -> None:
        self._kinds = on_cpu("kinds", kinds, np.int64, (None,))
        self._values = on_cpu("values", values, np.float64, (len(self._kinds), WIDTH))
        self._sizes = check_sizes(sizes)
        self._offsets = on_cpu("offsets", offsets, np.int64, (len(self._sizes) + 1,))
        if self._offsets[0] != 0 or self._offsets[-1] != len(self._kinds) or (np.diff(self._offsets) < 0).any():
            raise ValueError(f"offsets must rise from 0 to {len(self._kinds)}")
        if len(self._kinds) and not 0 <= self._kinds.min() <= self._kinds.max() < len(KINDS):
            raise ValueError(f"kinds must lie in [0, {len(KINDS)})")
        fault = steps.find_fault(self._kinds, self._values)
        if fault:
            raise ValueError(fault)
        after: np.ndarray = steps.sizes_after(*self.program())
        wrong = np.flatnonzero((after > MAX_SIDE).any(1))
        if len(wrong):
            n = int(wrong[0])
            raise ValueError(f"image {n}: its canvas would have {after[n, 0]:,.0f} x {after[n, 1]:,.0f} px")
        self._after: np.ndarray = after.astype(np.int32)
        self.left_clean = dict(left_clean or {})

    @property
    def kinds(self) -> Tensor:
        """[S] int64."""
        return _tensor(self._kinds)

    @property
    def values(self) -> Tensor:
        """[S, 8] float64."""
        return _tensor(self._values)

    @property
    def offsets(self) -> Tensor:
        """[N + 1] int64."""
        return _tensor(self._offsets)

    @property
    def sizes(self) -> Tensor:
        """[N, 2] int32: height and width in px before."""
        return _tensor(self._sizes)

    @property
    def out_sizes(self) -> Tensor:
        """[N, 2] int32: height and width in px after."""
        return _tensor(self.sizes_after())

    def sizes_after(self) -> np.ndarray:
        """`out_sizes` as a numpy array, which is not to be changed."""
        return self._after

    def program(self) -> tuple[np.ndarray, ...]:
        """Kinds, values, offsets, sizes as numpy arrays, as the functions in `gpurender.distort.steps` take them."""
        return self._kinds, self._values, self._offsets, self._sizes

    def __len__(self) -> int:
        """The number of images."""
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"Params({len(self)} images, {len(self._kinds)} steps)"

    def select(self, images: Sequence[int] | np.ndarray) -> Params:
        """The programs of some images, in the order given, or of those where a mask [N] is true.

        Raises:
            TypeError: Neither integers nor a mask.
            ValueError: An image that is not there.
        """
        images = self._images(images)
        counts = np.diff(self._offsets)[images]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        at = np.arange(offsets[-1]) + np.repeat(self._offsets[images] - offsets[:-1], counts)
        left = {k: self.left_clean[n] for k, n in enumerate(images.tolist()) if n in self.left_clean}
        return Params(self._kinds[at], self._values[at], offsets, self._sizes[images], left_clean=left)

    def describe(self, image: int) -> list[dict[str, Any]]:
        """What is done to an image: `[{"op": "Rotate", "degrees": 3.1, "expand": True}]`; empty if nothing is."""
        if not 0 <= image < len(self):
            raise IndexError(f"image {image} of {len(self)}")
        found = []
        for s in range(self._offsets[image], self._offsets[image + 1]):
            kind = KINDS[self._kinds[s]]
            numbers = zip(FIELDS[kind], self._values[s].tolist(), strict=False)
            found.append({"op": kind} | {name: _plain(name, value) for name, value in numbers})
        return found

    def to_json(self, image: int) -> str:
        """:meth:`describe` in JSON, every number in full: :meth:`from_json` makes the same program of it."""
        return json.dumps(self.describe(image))

    @staticmethod
    def from_json(texts: Sequence[str], sizes: Array) -> Params:
        """The programs that :meth:`to_json` wrote, for images of the sizes [N, 2] that it wrote them for.

        Raises:
            ValueError: Not such a text, named by its place, or another number of texts than of sizes.
        """
        sizes = check_sizes(sizes)
        if len(texts) != len(sizes):
            raise ValueError(f"texts has {len(texts)} items for {len(sizes)} sizes")
        kinds, values, offsets = [], [], [0]
        for n, text in enumerate(texts):
            try:
                for step in _steps_of(json.loads(text)):
                    kinds.append(KINDS.index(step.pop("op")))
                    values.append([*step.values(), *[0.0] * (WIDTH - len(step))])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                raise ValueError(f"texts[{n}] is not the JSON of a program: {error!r}") from None
            offsets.append(len(kinds))
        numbers = np.array(values, np.float64).reshape(-1, WIDTH)
        return Params(np.array(kinds, np.int64), numbers, np.array(offsets), sizes)

    def map_points(self, points: Any, images: Any) -> np.ndarray:
        """Where points of the images come to lie.

        Args:
            points: [K, 2] float: x, y in px from the image's top left corner, so that the first pixel's middle is
                (0.5, 0.5).
            images: [K] int: the image each is on; one number for all.

        Returns:
            [K, 2] float64, in px of the distorted images; exact up to rounding.

        Raises:
            TypeError: `images` are no integers.
            ValueError: A wrong shape, or an image that is not there.
        """
        points = on_cpu("points", points, np.float64, (None, 2))
        mapped: np.ndarray = steps.map_points(points, self._images(images, len(points)), *self.program())
        return mapped

    def map_boxes(self, boxes: Any, images: Any) -> np.ndarray:
        """The upright boxes around what boxes become.

        Args:
            boxes: [K, 4]: left, top, right, bottom in px, as `Layout.words`.
            images: As of :meth:`map_points`.

        Returns:
            [K, 4] float64, within half a pixel.
        """
        boxes = on_cpu("boxes", boxes, np.float64, (None, 4))
        if not np.isfinite(boxes).all():
            raise ValueError("boxes must be finite")
        mapped: np.ndarray = steps.map_boxes(boxes, self._images(images, len(boxes)), *self.program())
        return mapped

    def _images(self, images: Any, count: int | None = None) -> np.ndarray:
        """Numbers of images, [count] int64; one number stands for all."""
        found = np.asarray(images)
        if found.dtype == bool and count is None and found.shape == (len(self),):
            found = np.flatnonzero(found)
        if found.dtype.kind not in "iu" and found.size:
            raise TypeError(f"images must be integers, not {found.dtype}")
        if count is not None and found.shape not in ((), (count,)):
            raise ValueError(f"images must have shape [{count}], or be one number, not {list(found.shape)}")
        if found.size and not 0 <= found.min() <= found.max() < len(self):
            raise ValueError(f"images must lie in [0, {len(self)})")
        return np.array(np.broadcast_to(found, found.shape if count is None else (count,)), np.int64)


def _steps_of(program: Any) -> list[dict[str, Any]]:
    """What JSON holds, as steps whose numbers stand in their order."""
    if not isinstance(program, list):
        raise ValueError(f"a program is a list of steps, not {type(program).__name__}")
    found = []
    for step in program:
        fields = FIELDS[step["op"]]
        if step.keys() != {"op", *fields}:
            raise ValueError(f"{step['op']} has {', '.join(fields)}")
        if not all(isinstance(step[name], (int, float)) for name in fields):
            raise ValueError(f"{step['op']} has numbers alone")
        found.append({"op": step["op"]} | {name: float(step[name]) for name in fields})
    return found


def _plain(name: str, value: float) -> Any:
    if name == "expand":
        return bool(value)
    return int(value) if value.is_integer() else value


def _tensor(array: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(array.copy())
