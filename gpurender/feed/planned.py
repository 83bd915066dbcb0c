"""A planned batch: the data that crosses from a worker to the trainer, and the model's inputs that it becomes there."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import numpy as np

from gpurender.distort import Params, transform
from gpurender.distort.passes import lay_passes
from gpurender.feed.profile import Profile
from gpurender.kernels.arrays import copy_to, to_tensor
from gpurender.kernels.plan import Launch, Plan, spread_colors, unpack_colors
from gpurender.kernels.plan.composite import lay_composite
from gpurender.raster import Renderer
from gpurender.raster.atlas import Atlas
from gpurender.raster.scene import Scene, make_scene
from gpurender.typeset.layout import FontKey, Layout

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Planned", "Problem"]

ALIGNMENT = 16  # bytes; of an array's place, so that a device can read it as numbers of any size
# Arrays that the device needs. They come first, and are copied at once; tokens and grids follow each other.
ON_DEVICE = ("tokens", "grids", "own_rows", "own_places", "plan", "scene.pixels")
PARAMS = ("kinds", "values", "offsets", "sizes")


class Problem(NamedTuple):
    """A record that was left out, or left as text because something about it could not be handled."""

    record: str  # its id
    status: str  # "skipped" or "kept"
    reason: str


class DevicePlan(NamedTuple):
    """The launches that make the pages' pixels and patches; their words are an array of the batch."""

    launches: tuple[Launch, ...]
    units: int  # 16 bytes a channel that the pool must hold
    bitmaps: int  # first word of the bitmaps, which are the renderer's to fill
    glyphs: int  # first word of the glyphs


class Planned:
    """B rows as a model will see them: token ids, and pages that are set but not yet painted. Picklable, no pixels.

    A row is a record, or several that were packed.

    Everything stands in one flat buffer, so that it crosses to another process, is pinned, and is copied at once. It
    holds the device plan (see `gpurender.kernels.plan`), from which a GPU makes the pixels, and what other backends
    read besides.

    Attributes:
        data: [bytes] uint8 tensor on the CPU.
        counts: Totals over the records: `read`, `rewritten`, `kept`, `skipped`, `images` (rendered), `own_images`,
            `cuts` (of spans too large for one image), `tokens`, `image_tokens`, `apart` (special tokens spelled in
            texts, set apart), `missing` (images with a character that no font has), `formulas_as_source`, `left_clean`.
        problems: Records that were left out or as text, and why.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        inputs: tuple[str, ...],
        pages: DevicePlan,
        fonts: tuple[FontKey, ...],
        profile: Profile,
        counts: Counter[str],
        problems: tuple[Problem, ...],
    ) -> None:
        """Lay out arrays in one buffer.

        Args:
            arrays: `tokens` [K, B, L] int32, one table for each of `inputs`; `grids` [I, 3] int32, `image_grid_thw` of
                all images in reading order; `is_page` [I] bool, whether each is a page or came with its record;
                `own_rows` [R, bytes] uint8, patches of the latter, of one frame, in the profile's dtype; `own_places`
                [R] int64, their rows in `pixel_values`; and those of :func:`page_arrays`.
            inputs: Names of the model's inputs in `tokens`. `position_ids` may stand there more than once: for models
                of several axes it is [axes, B, L].
            pages: The launches for the pages.
            fonts: The fonts of the pages.
            profile: The model family.
            counts: See :class:`Planned`.
            problems: See :class:`Planned`.
        """
        import torch

        self._fields: dict[str, tuple[int, str, tuple[int, ...]]] = {}
        order = [*ON_DEVICE, *(name for name in arrays if name not in ON_DEVICE)]
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
        self._inputs = inputs
        self._pages = pages
        self._fonts = fonts
        self._profile = profile
        self.counts = counts
        self.problems = problems
        self._atlas: Any = None  # weak reference to the atlas whose bitmaps the plan names

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_bytes"} | {"_atlas": None}

    @cached_property
    def _bytes(self) -> np.ndarray:
        """`data` as an array of its memory."""
        return self.data.numpy()

    def _with_data(self, data: Tensor) -> Planned:
        """The same batch in other memory."""
        planned = object.__new__(Planned)
        planned.__dict__ = self.__getstate__() | {"data": data}
        return planned

    def __len__(self) -> int:
        """The number of rows; 0 if no record could be used."""
        return self._fields["tokens"][2][1]

    def __repr__(self) -> str:
        return f"Planned({len(self)} records, {self._fields['grids'][2][0]} images, {len(self.data)} bytes)"

    def pin_memory(self) -> Planned:
        """Return a copy in pinned memory, as `DataLoader(pin_memory=True)` asks for it."""
        return self._with_data(self.data.pin_memory())

    @property
    def sizes(self) -> np.ndarray:
        """Height and width of the pages in px before they are distorted, [N, 2] int32."""
        return self._view("params.sizes")

    @property
    def params(self) -> Params:
        """The pages' distortion."""
        return Params(*(self._view(f"params.{name}") for name in PARAMS))

    def render(self, renderer: Renderer) -> dict[str, Any]:
        """Paint, distort and cut into patches, on the renderer's device and by its backend; no value there is read.

        Returns:
            The arguments of the family's `forward`, on the device: `input_ids`, `attention_mask`, `labels` (-100 but
            for answers), and `mm_token_type_ids` if the family takes it, [B, L] int64; for records with images
            `pixel_values` and its companions, in reading order. Where records are packed, `position_ids` stands in
            place of `attention_mask`, and `use_cache` is False: transformers lets a token see its own record alone
            then (FlashAttention in batches of one row).
        """
        by_plan = len(self.sizes) > 0 and renderer.backend == "triton"
        if by_plan and not self._name_bitmaps(renderer.atlas):
            return self._with_data(self.data.clone()).render(renderer)
        on_device = self._copy(renderer.device)
        tokens, grids = self._tokens(on_device)
        inputs: dict[str, Any] = dict(zip(self._inputs, tokens.unbind(), strict=True))
        axes = self._inputs.count("position_ids")
        if axes:
            inputs["use_cache"] = False
        if axes > 1:
            first = self._inputs.index("position_ids")
            inputs["position_ids"] = tokens[first : first + axes]
        if len(grids):
            out = self._render_pages(renderer, on_device) if by_plan else self._paint_pages(renderer)
            if self._fields["own_places"][2][0]:
                self._put_own(out, on_device)
            inputs |= self._profile.inputs(out, grids)
        return inputs

    def _copy(self, device: str) -> Tensor:
        """The arrays that a device needs, on that device."""
        fixed = self.data[: self._device_bytes]
        # Pinned memory is torch's own here, which it does not use again before the copy is done.
        return fixed.to(device, non_blocking=True) if fixed.is_pinned() else copy_to(fixed, device)

    def _tokens(self, on_device: Tensor) -> tuple[Tensor, Tensor]:
        """Return tables [K, B, L] and grids [I, 3], int64, in memory of their own: the copy is freed soon."""
        import torch

        _, _, shape = self._fields["tokens"]
        start, _, images = self._fields["grids"]
        numbers = on_device[: start + 4 * images[0] * images[1]].view(torch.int32).long()
        return numbers[: int(np.prod(shape))].view(shape), numbers[start // 4 :].view(images)

    def _name_bitmaps(self, atlas: Atlas) -> bool:
        """Write into the plan where the atlas has the pages' bitmaps; False if another atlas was written there.

        A copy of that may be under way; for one atlas the words are always the same.
        """
        named = self._atlas and self._atlas()
        if named is not None and named is not atlas:
            return False
        self._atlas = ref(atlas)
        words = atlas.words(atlas.resolve(self._fonts, self._view("scene.bitmaps")))
        self._view("plan")[self._pages.bitmaps :][: words.size] = words.ravel()
        return True

    def _render_pages(self, renderer: Renderer, on_device: Tensor) -> Tensor:
        """`pixel_values` by the device plan; rows of images that are no pages are not written."""
        import torch

        from gpurender.kernels.triton.run import launch_all

        start = self._fields["plan"][0]
        words = on_device.view(torch.int32)
        launches = [launch._replace(at=launch.at + start // 4) for launch in self._pages.launches]
        out = self._new(renderer.device)
        pixels, _, shape = self._fields["scene.pixels"]
        launch_all(
            launches,
            words,
            self._pages.units,
            renderer.channels,
            out=out.view(torch.int32 if out.element_size() == 4 else torch.int16),
            coverage=to_tensor(renderer.atlas.coverage()),
            pictures=on_device[pixels : pixels + shape[0]] if shape[0] else None,
            cut=self._profile.cut_numbers(self._canvases()),
        )
        return out

    def _paint_pages(self, renderer: Renderer) -> Tensor:
        """`pixel_values` by one operation after another."""
        profile, params, is_page = self._profile, self.params, self._view("is_page")
        rows = self._view("grids").astype(np.int64).prod(1)
        out = self._new(renderer.device)
        if len(self.sizes):
            pages = transform(renderer.paint(self._scene(), self.sizes, self._fonts), params, backend=renderer.backend)
            profile.write(out, (np.cumsum(rows) - rows)[is_page], pages, self._canvases(), renderer.backend)
        return out

    def _new(self, device: str) -> Tensor:
        rows = self._view("grids").astype(np.int64).prod(1)
        return self._profile.new(int(rows.sum()), self._canvases(), device)

    def _canvases(self) -> np.ndarray:
        return self._profile.canvases(self._view("after"))

    def _scene(self) -> Scene:
        """The pages' items; glyphs are those of the plan."""
        glyphs = self._view("plan")[self._pages.glyphs :][: 4 * int(self._view("scene.glyph_starts")[-1])]
        parts = {name: self._view(f"scene.{name}") for name in Scene._fields if f"scene.{name}" in self._fields}
        return Scene(**parts, glyphs=glyphs.reshape(-1, 4), extents=np.empty((0, 4), np.int32))

    def _put_own(self, out: Tensor, on_device: Tensor) -> None:
        """Write the patches of records' own images; every frame of a still is the same."""
        own = self._tensor("own_rows", on_device).view(out.dtype)  # [R, 3 * patch * patch]
        frames = out.view(len(out), 3, -1, own.shape[1] // 3)
        frames[self._tensor("own_places", on_device)] = own.view(len(own), 3, 1, -1)

    def _view(self, name: str) -> np.ndarray:
        """An array, in the buffer."""
        at, dtype, shape = self._fields[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        array: np.ndarray = self._bytes[at : at + size].view(dtype).reshape(shape)
        return array

    def _tensor(self, name: str, on_device: Tensor) -> Tensor:
        """An array in the buffer's copy on the device."""
        import torch

        at, dtype, shape = self._fields[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return on_device[at : at + size].view(getattr(torch, dtype)).view(shape)


def plan_pages(
    layout: Layout, params: Params, atlas: Atlas, profile: Profile, first_rows: np.ndarray
) -> tuple[dict[str, np.ndarray], DevicePlan]:
    """Lay out everything that turns pages into patches: the arrays of a batch, and the launches.

    Args:
        layout: N pages.
        params: Their distortion.
        atlas: An atlas on the CPU, which tells how large glyphs are.
        profile: The model family.
        first_rows: [N] int64: each page's first row of `pixel_values`.
    """
    scene = make_scene(layout, atlas)
    plan = Plan()
    pages = plan.reserve(layout.sizes)
    table, bitmaps, glyphs = lay_composite(
        pages, scene.backgrounds, scene.glyphs, scene.glyph_starts, scene.extents, scene.rules, scene.rule_colors,
        scene.rule_starts, scene.pictures, scene.planes, scene.picture_starts,
    )  # fmt: skip
    plan.add(table)
    paper = spread_colors(unpack_colors(scene.backgrounds, 3))
    distorted = lay_passes(plan, params, pages, paper)
    profile.lay(plan, distorted, first_rows, paper)
    arrays = {f"scene.{name}": array for name, array in scene._asdict().items() if name not in ("glyphs", "extents")}
    arrays |= {f"params.{name}": array for name, array in zip(PARAMS, params.program(), strict=True)}
    arrays |= {"plan": plan.words(), "after": params.sizes_after()}
    return arrays, DevicePlan(tuple(plan.launches), plan.units, bitmaps, glyphs)
