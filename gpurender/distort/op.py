"""What an operation is, and how operations are put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from gpurender.distort import steps
from gpurender.distort.checks import check_sizes, number, whole
from gpurender.distort.draw import Draw
from gpurender.distort.params import Params
from gpurender.distort.steps import KINDS, WIDTH
from gpurender.distort.transform import transform, transform_dense
from gpurender.kernels import Backend
from gpurender.kernels.images import MAX_SIDE
from gpurender.raster import Pages

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Clean", "Compose", "OneOf", "Op", "Step"]

MAX_PIXELS = 2**24


class Steps(NamedTuple):
    """Steps of some images, in the order in which they are done to each."""

    images: np.ndarray  # [S] int64
    kinds: np.ndarray  # [S] int64
    values: np.ndarray  # [S, 8] float64


class Op:
    """A distortion of images: draws parameters for each image, on the CPU, and carries them out where the pixels are.

    Operations keep nothing but what they were made with. Two with the same arguments draw the same numbers.
    """

    def make_params(
        self,
        keys: Sequence[Any],
        sizes: Any,
        *,
        seed: int = 0,
        epoch: int = 0,
        max_pixels: int = MAX_PIXELS,
    ) -> Params:
        """Draw what is to be done to N images: a function of (seed, epoch, key), not of the batch.

        Args:
            keys: For each image a record id (str or int), or `(record id, number of the image in the record)`.
            sizes: [N, 2] int: height and width in px; an array, a CPU tensor, or a list.
            seed: Any integer.
            epoch: The pass over the data, from 0.
            max_pixels: An image whose canvas would grow beyond is left clean, and `Params.left_clean` says so.

        Raises:
            TypeError: Keys, sizes, seed, epoch or max_pixels are not as above.
            ValueError: As many keys as sizes are needed, and sizes of at least 1 x 1.
        """
        sizes, max_pixels = check_sizes(sizes), whole("max_pixels", max_pixels)
        if not hasattr(keys, "__len__"):
            raise TypeError(f"keys must be a sequence, not {type(keys).__name__}")
        if len(keys) != len(sizes):
            raise ValueError(f"keys has {len(keys)} items for {len(sizes)} sizes")
        draw = Draw(keys, seed, epoch)
        found = self._steps(draw, np.arange(len(sizes)))
        order = np.argsort(found.images, kind="stable")
        offsets = np.searchsorted(found.images[order], np.arange(len(sizes) + 1))
        kinds, values = found.kinds[order], found.values[order]
        after = steps.sizes_after(kinds, values, offsets, sizes)
        areas = after.prod(1)
        # An image that is over the limit already is so whatever is done to it.
        over = (areas > max_pixels) & (areas > sizes.astype(np.float64).prod(1)) | (after > MAX_SIDE).any(1)
        left = {}
        for n in np.flatnonzero(over).tolist():
            told = f"max_pixels={max_pixels}" if areas[n] > max_pixels else f"{MAX_SIDE} px in a side"
            left[n] = f"left clean: its canvas would have {areas[n]:,.0f} pixels, more than {told}"
        if left:
            stays = ~np.isin(found.images[order], list(left))
            kinds, values = kinds[stays], values[stays]
            offsets = np.searchsorted(found.images[order][stays], np.arange(len(sizes) + 1))
        return Params(kinds, values, offsets, sizes, left_clean=left)

    def transform(self, pages: Pages, params: Params, *, backend: Backend = "auto") -> Pages:
        """Carry out what was drawn; see :func:`gpurender.distort.transform`."""
        return transform(pages, params, backend=backend)

    @overload
    def __call__(self, x: Pages) -> Pages: ...
    @overload
    def __call__(self, x: Tensor) -> Tensor: ...
    def __call__(self, x: Any) -> Any:
        """Distort images by numbers drawn afresh, from a seed that torch's generator gives (`torch.manual_seed`).

        Args:
            x: `Pages`, or a tensor [N, C, H, W] or [C, H, W], uint8 or floating point (0 to 1; differentiable), on any
                device; its paper is white. Channels are colours, of any number; none is transparency.

        Returns:
            `Pages`, or a tensor of x's dtype: a batch at the size of its largest canvas, each image at the top left of
            its own, the rest white.

        Raises:
            TypeError: x is something else.
            ValueError: x has a side of length 0, or a canvas would have a side of more than 2**28 px.
        """
        import torch

        seed = int(torch.randint(2**62, ()))

        def make_params(sizes: np.ndarray) -> Params:
            params = self.make_params(range(len(sizes)), sizes, seed=seed, max_pixels=2**62)
            for image, told in params.left_clean.items():
                raise ValueError(f"image {image}: {told}")
            return params

        return transform(x, make_params(x.sizes)) if isinstance(x, Pages) else transform_dense(x, make_params)

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        """The steps for some images. Draws as many numbers an image whatever the batch."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Step(Op):
    """An operation that is one step, named after its kind."""

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        values = np.zeros((len(images), WIDTH))
        columns = self._values(draw, images)
        values[:, : len(columns)] = np.stack(columns, 1) if len(images) else 0
        return Steps(images, np.full(len(images), KINDS.index(type(self).__name__)), values)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        """The numbers of the step, by `FIELDS`, [len(images)] each."""
        raise NotImplementedError


class Clean(Op):
    """Leaves images as they are."""

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        return Steps(images[:0], images[:0], np.empty((0, WIDTH)))


class OneOf(Op):
    """Does one of several operations to each image.

    Args:
        ops: What to choose from.
        weights: How often each is chosen, in proportion; equal by default.

    Raises:
        TypeError: One of `ops` is no operation.
        ValueError: No operation, or weights that are negative, not finite, too few, or sum to zero.
    """

    def __init__(self, ops: Sequence[Op], weights: Sequence[float] | None = None) -> None:
        self.ops = _ops(ops)
        if not self.ops:
            raise ValueError("ops must hold an operation at least")
        if weights is not None and not isinstance(weights, (list, tuple)):
            raise TypeError(f"weights must be a list of numbers, not {weights!r}")
        self.weights = [1.0] * len(self.ops) if weights is None else [number("weights", w) for w in weights]
        if len(self.weights) != len(self.ops):
            raise ValueError(f"weights has {len(self.weights)} items for {len(self.ops)} ops")
        if min(self.weights) < 0 or not 0 < sum(self.weights) < math.inf:
            raise ValueError(f"weights must be finite, not negative, and sum to more than 0, not {self.weights}")

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        bounds = np.cumsum(self.weights) / sum(self.weights)
        choice = np.searchsorted(bounds[:-1], draw.uniform(images, (0, 1)), side="right")
        return _joined([op._steps(draw, images[choice == k]) for k, op in enumerate(self.ops)])


class Compose(Op):
    """Does operations one after another. Rotations and a wave that follow one another are one pass over the pixels.

    Args:
        ops: In their order.

    Raises:
        TypeError: One of them is no operation.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = _ops(ops)

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        return _joined([Clean()._steps(draw, images), *(op._steps(draw, images) for op in self.ops)])


def _joined(parts: list[Steps]) -> Steps:
    return Steps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _ops(ops: Sequence[Op]) -> list[Op]:
    if not isinstance(ops, (list, tuple)):
        raise TypeError(f"ops must be a list of operations, not {ops!r}")
    for k, op in enumerate(ops):
        if not isinstance(op, Op):
            raise TypeError(f"ops[{k}] must be an operation of gpurender.distort, not {type(op).__name__}")
    return list(ops)
