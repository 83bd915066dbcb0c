"""Params: what is to be done to each image of a batch, drawn, before there is a pixel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpurender.distort import steps
from gpurender.distort.steps import FIELDS, KINDS, WIDTH

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray | Tensor

__all__ = ["Params"]

EDGE = 4  # px between the points of a box's outline that are mapped


class Params:
    """The programs of N images: for each a sequence of steps, of a kind and up to eight numbers.

    Plain data on the CPU: it pickles, stores as JSON (:meth:`to_json`), and gives the same pixels whenever it is used.
    Tensors are views of its memory.

    Args:
        kinds: [S] int64: rows of :data:`gpurender.distort.steps.KINDS`.
        values: [S, 8] float64: each step's numbers, named by `gpurender.distort.steps.FIELDS`.
        offsets: [N + 1] int64: each image's first step.
        sizes: [N, 2] int32: height and width in px of the images to be distorted.
        left_clean: Why images are left as they are though something else was drawn, by image.

    Raises:
        TypeError: A wrong dtype, or a tensor that does not lie on the CPU.
        ValueError: A wrong shape, sizes below 1, offsets that do not rise from 0 to S, or numbers that no step has.
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
        """`out_sizes` as a numpy array."""
        sizes: np.ndarray = steps.sizes_after(*self.program()).astype(np.int32)
        return sizes

    def program(self) -> tuple[np.ndarray, ...]:
        """Kinds, values, offsets, sizes as numpy arrays, as the functions in `gpurender.distort.steps` take them."""
        return self._kinds, self._values, self._offsets, self._sizes

    def __len__(self) -> int:
        """The number of images."""
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"Params({len(self)} images, {len(self._kinds)} steps)"

    def select(self, images: Sequence[int] | np.ndarray) -> Params:
        """The programs of some images, in the order given."""
        images = np.asarray(images, np.int64)
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
            ValueError: Not such a text, named by its place.
        """
        kinds, values, offsets = [], [], [0]
        for n, text in enumerate(texts):
            try:
                for step in json.loads(text):
                    kinds.append(KINDS.index(step["op"]))
                    numbers = [float(step[name]) for name in FIELDS[step["op"]]]
                    values.append(numbers + [0.0] * (WIDTH - len(numbers)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"texts[{n}] is not the JSON of a program: {error!r}") from None
            offsets.append(len(kinds))
        return Params(
            np.array(kinds, np.int64), np.array(values, np.float64).reshape(-1, WIDTH), np.array(offsets), sizes
        )

    def map_points(self, points: Any, images: Any) -> np.ndarray:
        """Where points of the images come to lie.

        Args:
            points: [K, 2] float: x, y in px from the image's top left corner, so that the first pixel's middle is
                (0.5, 0.5).
            images: [K] int: the image each is on; one number for all.

        Returns:
            [K, 2] float64, in px of the distorted images; exact up to rounding.

        Raises:
            ValueError: A wrong shape, or an image that is not there.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points must be [K, 2], not {list(points.shape)}")
        images = np.broadcast_to(np.asarray(images, np.int64), len(points))
        if len(images) and not 0 <= images.min() <= images.max() < len(self):
            raise ValueError(f"images must lie in [0, {len(self)})")
        mapped: np.ndarray = steps.map_points(points, np.ascontiguousarray(images), *self.program())
        return mapped

    def map_boxes(self, boxes: Any, images: Any) -> np.ndarray:
        """The upright boxes around what boxes become.

        Args:
            boxes: [K, 4]: left, top, right, bottom in px, as `Layout.words`.
            images: As of :meth:`map_points`.

        Returns:
            [K, 4] float64.
        """
        boxes = np.asarray(boxes, np.float64)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes must be [K, 4], not {list(boxes.shape)}")
        if not len(boxes):
            return np.empty((0, 4))
        # The outlines, clockwise, as densely as the longest box needs.
        spans = boxes[:, 2:] - boxes[:, :2]
        t = np.linspace(0, 1, 2 + int(max(0, spans.max()) // EDGE))
        zero, one = np.zeros_like(t), np.ones_like(t)
        outline = np.stack([np.concatenate([t, one, t, zero]), np.concatenate([zero, t, one, t])], 1)  # [P, 2]
        points = boxes[:, None, :2] + spans[:, None] * outline  # [K, P, 2]
        images = np.repeat(np.broadcast_to(np.asarray(images, np.int64), len(boxes)), len(outline))
        mapped = self.map_points(points.reshape(-1, 2), images).reshape(points.shape)
        upright: np.ndarray = np.hstack([mapped.min(1), mapped.max(1)])
        return upright


def check_sizes(sizes: Array) -> np.ndarray:
    """Sizes [N, 2] as int32; raise for what no image has."""
    sizes = on_cpu("sizes", sizes, np.int32, (None, 2))
    if (sizes < 1).any():
        n = int(np.flatnonzero((sizes < 1).any(1))[0])
        raise ValueError(f"sizes must be at least 1 x 1; image {n} has {sizes[n, 0]} x {sizes[n, 1]}")
    return sizes


def on_cpu(name: str, array: Any, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array or tensor as contiguous numpy, checked; None in `shape` is any length."""
    if not isinstance(array, np.ndarray):
        if not hasattr(array, "device"):
            array = np.asarray(array, dtype) if isinstance(array, (list, tuple)) else array
        elif array.device.type == "cpu":
            array = array.numpy()
        else:
            raise ValueError(f"{name} must lie on the CPU, not on {array.device}")
    if not isinstance(array, np.ndarray) or array.dtype.kind not in ("iu" if np.dtype(dtype).kind == "i" else "iuf"):
        told = f"{array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, not {told}")
    wanted = tuple(have if want is None else want for want, have in zip(shape, array.shape, strict=False))
    if len(array.shape) != len(shape) or array.shape != wanted:
        told = ", ".join("N" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape [{told}], not {list(array.shape)}")
    return np.ascontiguousarray(array, dtype)


def _plain(name: str, value: float) -> Any:
    if name == "expand":
        return bool(value)
    return int(value) if value.is_integer() else value


def _tensor(array: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(array)
