"""A planned batch: what crosses from a worker to the trainer, and the model's inputs that it becomes there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpurender.distort import Params, transform
from gpurender.feed.profile import Profile
from gpurender.kernels.arrays import copy_to
from gpurender.raster import Renderer
from gpurender.typeset.layout import FontKey, Layout

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Planned", "Problem"]

ALIGNMENT = 16  # bytes; of an array's place, so that a device can read it as numbers of any size
# What a layout is painted from. Word boxes stay in the worker.
LAYOUT = (
    "sizes",
    "colors",
    "glyph_fonts",
    "glyph_ids",
    "glyph_xy",
    "glyph_colors",
    "glyph_offsets",
    "rules",
    "rule_colors",
    "rule_offsets",
    "pictures",
    "picture_pixels",
    "picture_offsets",
)
PARAMS = ("kinds", "values", "offsets", "sizes")
# What is needed on the device as it is: it lies first, and is copied at once.
ON_DEVICE = ("input_ids", "lengths", "answers", "grids", "own_rows", "positions")


class Problem(NamedTuple):
    """A record that was left out, or left as text because something about it could not be handled."""

    record: str  # its id
    status: str  # "skipped" or "kept"
    reason: str


class Planned:
    """B rows as a model will see them: token ids, and pages that are set but not yet painted. Picklable, no pixels.

    A row is a record, or several that were packed.

    Everything lies in one flat buffer, so that it crosses to another process, is pinned, and is copied at once.

    Attributes:
        data: [bytes] uint8 tensor on the CPU.
        counts: What became of the records: `read`, `rewritten`, `kept`, `skipped`, `images` (rendered), `own_images`,
            `cuts` (of spans too large for one image), `tokens`, `image_tokens`, `apart` (special tokens spelled in
            texts, set apart), `missing` (images with a character that no font has), `formulas_as_source`, `left_clean`.
        problems: Records that were left out or as text, and why.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        fonts: tuple[FontKey, ...],
        profile: Profile,
        image_id: int,
        counts: Counter[str],
        problems: tuple[Problem, ...],
    ) -> None:
        """Lay out arrays; those of a layout and of params are named `"layout.sizes"`, `"params.kinds"`.

        The others are `input_ids` [B, L] int32, padded; `lengths` [B] int32; `answers` [B, L] bool; `grids` [I, 3]
        int64, `image_grid_thw` of all images in reading order; `is_page` [I] bool, whether each is a page or came with
        its record; `own_rows` [R, bytes] uint8, patches of the latter, of one frame, in the profile's dtype. If
        records are packed there is `positions` int32: [4, B, L], each token's place in its record, and in time, height
        and width; [B, L] for models of one axis.
        """
        import torch

        self._fields: dict[str, tuple[int, str, tuple[int, ...]]] = {}
        order = sorted(arrays, key=lambda name: name not in ON_DEVICE)
        at = 0
        for name in order:
            array = arrays[name]
            self._fields[name] = at, array.dtype.name, array.shape
            at += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
            if name in ON_DEVICE:
                self._device_bytes = at
        self.data = torch.empty(at, dtype=torch.uint8)
        for name in order:
            self._view(name)[...] = arrays[name]
        self._fonts = fonts
        self._profile = profile
        self._image_id = image_id
        self.counts = counts
        self.problems = problems

    def __len__(self) -> int:
        """The number of rows; 0 if no record could be used."""
        return self._fields["lengths"][2][0]

    def __repr__(self) -> str:
        return f"Planned({len(self)} records, {self._fields['grids'][2][0]} images, {len(self.data)} bytes)"

    def pin_memory(self) -> Planned:
        """It in pinned memory, as `DataLoader(pin_memory=True)` asks for it."""
        done = object.__new__(Planned)
        done.__dict__ = self.__dict__ | {"data": self.data.pin_memory()}
        return done

    @property
    def layout(self) -> Layout:
        """The pages, without word boxes."""
        arrays: dict[str, Any] = {name: self._view(f"layout.{name}") for name in LAYOUT}
        return Layout(**arrays, fonts=self._fonts)

    @property
    def params(self) -> Params:
        """What is to be done to the pages."""
        return Params(*(self._view(f"params.{name}") for name in PARAMS))

    def render(self, renderer: Renderer) -> dict[str, Any]:
        """Paint, distort and cut into patches, on the renderer's device and by its backend; no value there is read.

        Returns:
            What the family's `forward` takes, on the device: `input_ids`, `attention_mask`, `labels` (-100 but for
            answers), and `mm_token_type_ids` where the family wants it, [B, L] int64; for records with images
            `pixel_values` and what comes with it, in reading order. Where records are packed, `position_ids` stands in
            place of `attention_mask`, and `use_cache` is False: transformers lets a token see its own record alone
            then (FlashAttention in batches of one row).
        """
        import torch

        fixed = self.data[: self._device_bytes]
        # Pinned memory is torch's own here, which it does not use again before the copy is done.
        pinned = fixed.is_pinned()
        on_device = fixed.to(renderer.device, non_blocking=True) if pinned else copy_to(fixed, renderer.device)
        ids = self._tensor("input_ids", on_device).long()
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "labels": ids.masked_fill(~self._tensor("answers", on_device), -100),
        }
        if "positions" in self._fields:
            inputs |= {"position_ids": self._tensor("positions", on_device).long(), "use_cache": False}
        else:
            places = torch.arange(ids.shape[1], device=ids.device)
            inputs["attention_mask"] = (places < self._tensor("lengths", on_device)[:, None]).long()
        if self._profile.axes == 3:
            inputs["mm_token_type_ids"] = (ids == self._image_id).long()
        if len(self._view("grids")):
            inputs |= self._pixels(renderer, on_device)
        return inputs

    def _pixels(self, renderer: Renderer, on_device: Tensor) -> dict[str, Tensor]:
        profile, params, is_page = self._profile, self.params, self._view("is_page")
        rows = self._view("grids").prod(1)
        starts = np.cumsum(rows) - rows
        canvases = profile.canvases(params.sizes_after())
        out = profile.new(int(rows.sum()), canvases, renderer.device)
        if is_page.any():
            pages = transform(renderer(self.layout), params, backend=renderer.backend)
            profile.write(out, starts[is_page], pages, canvases, renderer.backend)
        if not is_page.all():
            own = self._tensor("own_rows", on_device).view(out.dtype)  # [R, 3 * patch * patch]
            own = own.view(len(own), 3, 1, -1)
            at = 0
            for start, count in zip(starts[~is_page].tolist(), rows[~is_page].tolist(), strict=True):
                # Every frame of a still is the same.
                out[start : start + count].view(count, 3, -1, own.shape[3])[:] = own[at : at + count]
                at += count
        # Not a part of what was copied, most of which is done with.
        return profile.inputs(out, self._tensor("grids", on_device).clone())

    def _view(self, name: str) -> np.ndarray:
        """An array, in the buffer."""
        at, dtype, shape = self._fields[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        found: np.ndarray = self.data.numpy()[at : at + size].view(dtype).reshape(shape)
        return found

    def _tensor(self, name: str, on_device: Tensor) -> Tensor:
        """An array in the buffer's copy on the device."""
        import torch

        at, dtype, shape = self._fields[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return on_device[at : at + size].view(getattr(torch, dtype)).view(shape)


def layout_arrays(layout: Layout, params: Params) -> dict[str, Any]:
    """A layout's and params' arrays, named as :class:`Planned` wants them."""
    arrays = {f"layout.{name}": getattr(layout, name) for name in LAYOUT}
    return arrays | {f"params.{name}": array for name, array in zip(PARAMS, params.program(), strict=True)}
