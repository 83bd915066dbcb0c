"""The operations: which numbers each draws, and how they are put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np

from gpurender.distort import steps
from gpurender.distort.draw import Draw
from gpurender.distort.params import Params, check_sizes
from gpurender.distort.steps import KINDS, WIDTH
from gpurender.distort.transform import transform, transform_dense
from gpurender.kernels import Backend
from gpurender.raster import Pages

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PAPER_COLORS",
    "BoxBlur",
    "Clean",
    "Compose",
    "EdgeShadow",
    "GaussianBlur",
    "MotionBlur",
    "OneOf",
    "Op",
    "Rotate",
    "Stain",
    "Wave",
]

Range = float | Sequence[float]
MAX_PIXELS = 2**24
MAX_RADIUS = 24  # px; of a blur

# What stains paper: aged paper, tea, coffee, clay, ash.
PAPER_COLORS = ((222, 205, 164), (201, 174, 124), (163, 124, 82), (190, 163, 140), (176, 176, 168))


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
            TypeError: `sizes` is not of integers.
            ValueError: As many keys as sizes are needed, and sizes of at least 1 x 1.
        """
        sizes = check_sizes(sizes)
        if len(keys) != len(sizes):
            raise ValueError(f"keys has {len(keys)} items for {len(sizes)} sizes")
        draw = Draw(keys, seed, epoch)
        found = self._steps(draw, np.arange(len(sizes)))
        order = np.argsort(found.images, kind="stable")
        offsets = np.searchsorted(found.images[order], np.arange(len(sizes) + 1))
        kinds, values = found.kinds[order], found.values[order]
        areas = steps.sizes_after(kinds, values, offsets, sizes).prod(1)
        left = {}
        for n in np.flatnonzero(areas > np.maximum(max_pixels, sizes.astype(np.float64).prod(1))).tolist():
            told = f"its canvas would have {areas[n]:,.0f} pixels, more than max_pixels={max_pixels}"
            left[n] = f"left clean: {told}"
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
                device; its paper is white.

        Returns:
            `Pages`, or a tensor of x's dtype: a batch at the size of its largest canvas, each image at the top left of
            its own, the rest white.

        Raises:
            TypeError: x is something else.
            ValueError: x has a side of length 0.
        """
        import torch

        seed = int(torch.randint(2**62, ()))
        if isinstance(x, Pages):
            return transform(x, self.make_params(range(len(x)), x.sizes, seed=seed))
        return transform_dense(x, lambda sizes: self.make_params(range(len(sizes)), sizes, seed=seed))

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        """The steps for some images. Draws as many numbers an image whatever the batch."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Clean(Op):
    """Leaves images as they are."""

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        return Steps(images[:0], images[:0], np.empty((0, WIDTH)))


class _Step(Op):
    """An operation that is one step, named after its kind."""

    def _steps(self, draw: Draw, images: np.ndarray) -> Steps:
        values = np.zeros((len(images), WIDTH))
        columns = self._values(draw, images)
        values[:, : len(columns)] = np.stack(columns, 1) if len(images) else 0
        return Steps(images, np.full(len(images), KINDS.index(type(self).__name__)), values)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        """The numbers of the step, by `FIELDS`, [len(images)] each."""
        raise NotImplementedError


class Rotate(_Step):
    """Turns images about their middle, counter-clockwise; around them is paper.

    Args:
        degrees: `(min, max)`, or d for (-d, d).
        expand: Let the canvas grow, so that nothing is lost and its border is paper; else it keeps its size. At right
            angles pixels are only moved.

    Raises:
        ValueError: Not a range of finite numbers.
    """

    def __init__(self, degrees: Range = (-5, 5), *, expand: bool = True) -> None:
        self.degrees = _range("degrees", degrees, symmetric=True)
        self.expand = bool(expand)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.uniform(images, self.degrees), np.full(len(images), self.expand)]


class Wave(_Step):
    """Shifts pixels along sines, as where paper is folded or went through a scanner unevenly; around it is paper.

    A pixel at (x, y) moves to `x + ax sin(2 pi (y / lx + px / 360))`, and then, by its new x, to
    `y + ay sin(2 pi (x / ly + py / 360))`: two shears, which keep areas and have an exact inverse.

    Args:
        amplitude: px, `(min, max)` or a number.
        wavelength: px, `(min, max)` or a number.
        axis: Which way pixels move: `"x"`, `"y"`, `"both"`, or `"any"`, one of these three for each image.
        expand: Let the canvas grow, so that nothing is lost; else it keeps its size.

    Raises:
        ValueError: A negative amplitude, a wavelength that is not positive, no such axis.
    """

    def __init__(
        self,
        amplitude: Range = (1, 3),
        wavelength: Range = (200, 400),
        *,
        axis: Literal["x", "y", "both", "any"] = "any",
        expand: bool = True,
    ) -> None:
        self.amplitude = _range("amplitude", amplitude, low=0)
        self.wavelength = _range("wavelength", wavelength, low=1)
        if axis not in ("x", "y", "both", "any"):
            raise ValueError(f"axis must be 'x', 'y', 'both' or 'any', not {axis!r}")
        self.axis = axis
        self.expand = bool(expand)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        choice = np.floor(draw.uniform(images, (0, 3)))  # 0: x, 1: y, 2: both
        if self.axis != "any":
            choice[:] = ("x", "y", "both").index(self.axis)
        columns = []
        for still in (1, 0):
            amplitude = np.where(choice == still, 0, draw.uniform(images, self.amplitude))
            columns += [amplitude, draw.uniform(images, self.wavelength), draw.uniform(images, (0, 360))]
        return [*columns, np.full(len(images), self.expand)]


class GaussianBlur(_Step):
    """Blurs by a Gaussian, cut off at three sigma; edges replicate.

    Args:
        sigma: px, `(min, max)` or a number, 0 to 8.

    Raises:
        ValueError: Not a range within these.
    """

    def __init__(self, sigma: Range = (0.5, 1.5)) -> None:
        self.sigma = _range("sigma", sigma, low=0, high=MAX_RADIUS / 3)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.uniform(images, self.sigma)]


class BoxBlur(_Step):
    """Blurs by the mean of a square; edges replicate.

    Args:
        kernel_size: The square's side in px, `(min, max)` or a number: one of the odd integers in it is drawn, 1 to 49.

    Raises:
        ValueError: Not a range within these, or without an odd integer.
    """

    def __init__(self, kernel_size: Range = (3, 5)) -> None:
        self.kernel_size = _odd_range("kernel_size", kernel_size)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.odd(images, self.kernel_size)]


class MotionBlur(_Step):
    """Blurs along a line, as if the camera had moved; edges replicate. Kornia's kernel, bilinear.

    Args:
        kernel_size: The line's length in px, as of :class:`BoxBlur`.
        angle: Degrees counter-clockwise, `(min, max)` or a number; 0 is along the lines of text.

    Raises:
        ValueError: Not such ranges.
    """

    def __init__(self, kernel_size: Range = (3, 7), angle: Range = (0, 180)) -> None:
        self.kernel_size = _odd_range("kernel_size", kernel_size)
        self.angle = _range("angle", angle)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.odd(images, self.kernel_size), draw.uniform(images, self.angle)]


class EdgeShadow(_Step):
    """Casts a soft shadow that falls in from a side or a corner.

    Args:
        darkness: What share of its light the darkest edge loses, `(min, max)` or a number, 0 to 1.
        extent: What share of the page, measured away from that edge, the shadow reaches over, 0 to 1.
        angle: Where it comes from: degrees counter-clockwise, 0 the right side, 45 the top right corner, 90 the top.

    Raises:
        ValueError: Not such ranges.
    """

    def __init__(self, darkness: Range = (0.2, 0.5), extent: Range = (0.2, 0.6), angle: Range = (0, 360)) -> None:
        self.darkness = _range("darkness", darkness, low=0, high=1)
        self.extent = _range("extent", extent, low=0, high=1)
        self.angle = _range("angle", angle)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [
            draw.uniform(images, self.darkness),
            draw.uniform(images, self.extent),
            draw.uniform(images, self.angle),
        ]


class Stain(_Step):
    """Stains images with translucent, irregular blots, darker along their edges, of one colour an image.

    Args:
        blots: How many, `(min, max)` or a number, 0 to 32.
        radius: Of a blot, px, `(min, max)` or a number: each blot's is between 0.5 and 1.5 of what is drawn.
        opacity: Of the densest blot at its edge, 0 to 1; every blot's is between 0.5 and 1 of it.
        colors: RGB, 0 to 255; one is drawn. On gray images their luma.

    Raises:
        ValueError: Not such ranges or colours.
    """

    def __init__(
        self,
        blots: Range = (2, 6),
        radius: Range = (20, 60),
        opacity: Range = (0.2, 0.5),
        *,
        colors: Sequence[Sequence[int]] = PAPER_COLORS,
    ) -> None:
        self.blots = _range("blots", blots, low=0, high=32)
        if math.ceil(self.blots[0]) > self.blots[1]:
            raise ValueError(f"blots must hold an integer, not {blots!r}")
        self.radius = _range("radius", radius, low=1)
        self.opacity = _range("opacity", opacity, low=0, high=1)
        self.colors = tuple(tuple(color) for color in colors)
        if not self.colors or any(len(c) != 3 or not all(0 <= v <= 255 for v in c) for c in self.colors):
            raise ValueError(f"colors must be triples of 0 to 255, at least one, not {colors!r}")

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        low, high = math.ceil(self.blots[0]), math.floor(self.blots[1])
        blots = np.floor(draw.uniform(images, (low, high + 1)))
        radius, opacity = draw.uniform(images, self.radius), draw.uniform(images, self.opacity)
        choice = np.floor(draw.uniform(images, (0, len(self.colors)))).astype(np.int64)
        return [blots, radius, opacity, *np.array(self.colors)[choice].T, *draw.key(images)]


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
        self.weights = [1.0] * len(self.ops) if weights is None else [float(w) for w in weights]
        if len(self.weights) != len(self.ops):
            raise ValueError(f"weights has {len(self.weights)} items for {len(self.ops)} ops")
        if any(not math.isfinite(w) or w < 0 for w in self.weights) or not sum(self.weights) > 0:
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
    for k, op in enumerate(ops):
        if not isinstance(op, Op):
            raise TypeError(f"ops[{k}] must be an operation of gpurender.distort, not {type(op).__name__}")
    return list(ops)


def _range(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, symmetric: bool = False
) -> tuple[float, float]:
    """A number or a pair as a pair, within bounds."""
    pair = [value, value] if isinstance(value, (int, float)) else value
    try:
        first, last = (float(v) for v in pair)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or (min, max), not {value!r}") from None
    if symmetric and isinstance(value, (int, float)):
        first = -last
    if not (math.isfinite(first) and math.isfinite(last)):
        raise ValueError(f"{name} must be finite, not {value!r}")
    if not low <= first <= last <= high:
        bounds = " and ".join([f"at least {low:g}"] * (low > -math.inf) + [f"at most {high:g}"] * (high < math.inf))
        raise ValueError(f"{name} must rise from min to max{', ' * bool(bounds)}{bounds}, not {value!r}")
    return first, last


def _odd_range(name: str, value: Any) -> tuple[float, float]:
    first, last = _range(name, value, low=1, high=2 * MAX_RADIUS + 1)
    if 2 * math.ceil((first - 1) / 2) + 1 > last:
        raise ValueError(f"{name} must hold an odd integer, not {value!r}")
    return first, last
