"""From what a server wrote to boxes: fonts are loaded as they come up, colours and a table's cells told by specials."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex import dvi
from gpurender.typeset.latex.box import (
    BOTTOM,
    COLOR,
    FOREGROUND,
    LEFT,
    RIGHT,
    TOP,
    XMAX,
    YMAX,
    YMIN,
    Box,
    X,
    Y,
    make_boxes,
)
from gpurender.typeset.latex.scripts import Run, Shaper
from gpurender.typeset.latex.texfonts import load_font, prefetch, read_metrics
from gpurender.typeset.layout import FontKey

__all__ = ["Assembler", "Pages"]

SENTINEL, FLUSH = -2, -1  # in place of an item's number
STYLE, OWNER = 4, 5  # counts of a page, beside its number, width, height and depth
TABLE, BROKEN = 1, 2  # styles: a table; a formula broken into lines
_TEX_FONTS = 10_000  # a pdfTeX has at most 9,000
RULE_COLOR = 4  # column of Box.rules
_SPARE = 64  # bytes that a reader may look beyond the end


class Pages(NamedTuple):
    """The pages of a batch."""

    boxes: dict[int, Box | str]  # by the item's number: its box, or why it cannot be placed
    sentinel: bytes  # what the sentinel formula looked like; empty if it did not come


class Assembler:
    """Reads what the servers of one engine write, one after another.

    Attributes:
        fonts: What glyphs of the boxes are numbered by; it grows.
    """

    def __init__(self, size: float, shaper: Shaper | None) -> None:
        self._size = size
        self._shaper = shaper
        self._run_fonts: dict[tuple[int, float], int] = {}
        self._scale = size * 64 / 10 / 65536  # 1/64 px in a scaled point
        self.fonts: list[Outlines] = []
        self._numbers: dict[FontKey, int] = {}
        self._known: dict[tuple[str, int], int] = {}  # TeX's name and size to a row of the following
        self._metrics = np.zeros((64, 3, 256), np.int32)
        self._ids = np.full((64, 256), -1, np.int32)
        self._owners = np.zeros(64, np.int32)
        self._reasons: list[str] = []
        self._room = 0
        self.begin()

    def begin(self) -> None:
        """A new server: its fonts have numbers of their own."""
        self._rows = np.full(_TEX_FONTS, -1, np.int32)
        self._rest = b""

    def read(self, data: bytes, owner: int, runs: Sequence[Run] = ()) -> Pages:
        """Read the pages that a server wrote since the last time.

        Args:
            data: DVI, up to somewhere in a page.
            owner: The number by which the server signs its pages.
            runs: The runs that its specials number.
        """
        data = self._rest + data
        padded = np.frombuffer(data + bytes(_SPARE), np.uint8)
        if len(data) > self._room:
            # Each glyph, rule and page takes a byte or more; what is not touched costs nothing.
            self._room = 2 * len(data)
            self._pages = np.empty((self._room // 45 + 2, dvi.COUNTS + 4), np.int64)
            self._glyphs = np.empty((self._room, 9), np.int32)
            self._rules = np.empty((self._room // 8, 5), np.int32)
            self._specials = np.empty((self._room // 2, 7), np.int64)
        unknown = np.empty(256, np.int64)
        while True:
            found = dvi.read_pages(
                padded,
                len(data),
                self._rows,
                self._metrics,
                self._ids,
                self._owners,
                self._scale,
                STYLE,
                self._pages,
                self._glyphs,
                self._rules,
                self._specials,
                unknown,
            )
            pages, glyphs, rules, specials, fonts, begun = found
            if not fonts:
                break
            self._load([_definition(data, at) for at in unknown[:fonts].tolist()])
        self._rest = data[begun:]
        return self._assemble(
            data, pages, self._glyphs[:glyphs].copy(), self._rules[:rules].copy(), specials, owner, runs
        )

    def _load(self, definitions: list[tuple[int, str, int]]) -> None:
        prefetch([name for _, name, _ in definitions])
        for number, name, scale in definitions:
            row = self._known.get((name, scale))
            if row is None:
                row = self._known[name, scale] = len(self._reasons)
                if row == len(self._ids):
                    self._metrics = np.concatenate([self._metrics, self._metrics])
                    self._ids = np.concatenate([self._ids, self._ids])
                    self._owners = np.concatenate([self._owners, self._owners])
                font = load_font(name)
                reason = font.reason
                self._ids[row] = font.ids
                self._metrics[row] = 0
                if font.file:
                    self._metrics[row] = read_metrics(name, scale)
                    key = FontKey(font.file, 0, scale / 65536 * self._size / 10)
                    if key not in self._numbers:
                        self._numbers[key] = len(self.fonts)
                        self.fonts.append(Outlines(key))
                    self._owners[row] = self._numbers[key]
                    reason = f"the font {name} lacks a glyph"
                self._reasons.append(reason)
            self._rows[number] = row

    def _assemble(
        self,
        data: bytes,
        count: int,
        glyphs: np.ndarray,
        rules: np.ndarray,
        specials: int,
        owner: int,
        runs: Sequence[Run],
    ) -> Pages:
        pages = self._pages[:count]
        offsets = [
            np.append(pages[:, column], end) for column, end in ((dvi.GLYPHS, len(glyphs)), (dvi.RULES, len(rules)))
        ]
        troubles = {p: self._trouble(code) for p, code in enumerate(pages[:, dvi.TROUBLE].tolist()) if code}
        cells: dict[int, list[list[int]]] = {}
        if specials:
            placed = _follow(
                data, self._specials[:specials], glyphs, rules, offsets, troubles, cells, pages, self._run, runs
            )
            if placed:
                before = np.repeat([glyph for _, glyph, _ in placed], [len(rows) for *_, rows in placed])
                glyphs = np.insert(glyphs, before, np.concatenate([rows for *_, rows in placed]), axis=0)
                for page, _, rows in placed:
                    offsets[0][page + 1 :] += len(rows)
        metrics = np.rint(pages[:, 1:4] * self._scale).astype(np.int64)
        for p in np.flatnonzero(pages[:, STYLE] == BROKEN).tolist():
            # As wide as its widest line.
            mine = glyphs[offsets[0][p] : offsets[0][p + 1]]
            bars = rules[offsets[1][p] : offsets[1][p + 1]]
            metrics[p, 0] = max((mine[:, X] + mine[:, XMAX]).max(initial=0), bars[:, RIGHT].max(initial=0))
        signed = pages[:, OWNER] == owner
        numbers = pages[:, 0].tolist()
        sentinel = b""
        for p in np.flatnonzero(signed & (pages[:, 0] == SENTINEL)).tolist():
            parts = glyphs[offsets[0][p] : offsets[0][p + 1]], rules[offsets[1][p] : offsets[1][p + 1]]
            sentinel = metrics[p].tobytes() + b"".join(part.tobytes() for part in parts)
        boxes: dict[int, Box | str] = {}
        for p, box in enumerate(make_boxes(self.fonts, metrics, glyphs, offsets[0], rules, offsets[1])):
            if not signed[p] or numbers[p] < 0:
                continue
            if numbers[p] in boxes:
                boxes[numbers[p]] = "it ships out more than itself"
            else:
                boxes[numbers[p]] = troubles.get(p) or box
        for p, bounds in cells.items():
            box_ = boxes.get(numbers[p])
            if isinstance(box_, Box):
                boxes[numbers[p]] = box_._replace(cells=np.array(bounds, np.int32))
        return Pages(boxes, sentinel)

    def _run(self, run: Run, size: float, x: int, y: int, color: int) -> np.ndarray:
        """The rows of `Box.glyphs` of a run whose origin is there, at a size in pt."""
        assert self._shaper is not None
        rows = np.empty((len(run.glyphs), 9), np.int32)
        for row, (font, glyph, right, down) in zip(rows, run.glyphs.tolist(), strict=True):
            number = self._run_fonts.get((font, size))
            if number is None:
                number = self._run_fonts[font, size] = len(self.fonts)
                self.fonts.append(self._shaper.open(font, self._shaper.size * size / 10))
            place = round(right * size / 10), round(down * size / 10)
            row[:] = number, glyph, x + place[0], y + place[1], color, 0, 0, 0, 0
        if len(rows):
            # In sum the glyphs take the room of the run.
            rows[:, XMAX] = x + round(run.width * size / 10) - rows[:, X]
            rows[:, YMAX], rows[:, YMIN] = round(run.height * size / 10), -round(run.depth * size / 10)
        return rows

    def _trouble(self, code: int) -> str:
        return "boxes too deep in each other" if code == dvi.TOO_DEEP else self._reasons[code - dvi.NO_GLYPH]


def _definition(data: bytes, at: int) -> tuple[int, str, int]:
    """A font definition: its number, name and size in sp."""
    size = data[at] - 242
    number = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    at += 1 + size
    scale = int.from_bytes(data[at + 4 : at + 8], "big")
    length = data[at + 12] + data[at + 13]
    return number, data[at + 14 : at + 14 + length].decode("latin-1"), scale


def _follow(
    data: bytes,
    specials: np.ndarray,
    glyphs: np.ndarray,
    rules: np.ndarray,
    offsets: list[np.ndarray],
    troubles: dict[int, str],
    cells: dict[int, list[list[int]]],
    pages: np.ndarray,
    place: Callable[[Run, float, int, int, int], np.ndarray],
    runs: Sequence[Run],
) -> list[tuple[int, int, np.ndarray]]:
    """Do as the specials say: paint glyphs and rules, collect cells, and note what cannot be placed.

    Returns:
        The rows of each run, with its page and the number of the glyph that they are to be put before.
    """
    page = -1
    placed: list[tuple[int, int, np.ndarray]] = []
    colors: list[int] = []
    open_: list[tuple[int, int, int, int, int]] = []
    color, from_glyph, from_rule = FOREGROUND, 0, 0

    def paint(glyph: int, rule: int) -> None:
        if color != FOREGROUND:
            glyphs[from_glyph:glyph, COLOR] = color
            rules[from_rule:rule, RULE_COLOR] = color

    for number, glyph, rule, at, length, left, base in specials.tolist():
        if number != page:
            if page >= 0:
                paint(int(offsets[0][page + 1]), int(offsets[1][page + 1]))
            page, color = number, FOREGROUND
            colors.clear()
            open_.clear()
        text = data[at : at + length].decode("latin-1")
        if text.startswith("color "):
            paint(glyph, rule)
            from_glyph, from_rule = glyph, rule
            if text.startswith("color push"):
                colors.append(color)
                new = _color(text[10:])
                if new is None:
                    troubles[page] = f"the colour {text[10:].strip()!r} is not known"
                else:
                    color = new
            elif colors:
                color = colors.pop()
        elif text.startswith("gpr:cell "):
            row, column = text[9:].split()
            open_.append((int(row), int(column), glyph, rule, len(placed)))
        elif text.startswith("gpr:end"):
            if open_:
                row_, column_, first, first_rule, first_run = open_.pop()
                mine = np.concatenate([glyphs[first:glyph], *(rows for *_, rows in placed[first_run:])])
                if bounds := _bounds(mine, rules[first_rule:rule]):
                    cells.setdefault(page, []).append([row_, column_, *bounds])
        elif text.startswith("gpr:run "):
            run, size = text[8:].split()
            if int(run) < len(runs):
                placed.append((page, glyph, place(runs[int(run)], float(size), left, base, color)))
        elif pages[page, 0] != FLUSH:
            troubles[page] = f"it draws by a special, {text[:60]!r}"
    if page >= 0:
        paint(int(offsets[0][page + 1]), int(offsets[1][page + 1]))
    return placed


def _bounds(glyphs: np.ndarray, rules: np.ndarray) -> list[int]:
    """Left, top, right and bottom of glyphs, as TeX measures them, and rules; nothing where there are none."""
    if not len(glyphs) and not len(rules):
        return []
    left = np.concatenate([glyphs[:, X], rules[:, LEFT]])
    top = np.concatenate([glyphs[:, Y] - glyphs[:, YMAX], rules[:, TOP]])
    right = np.concatenate([glyphs[:, X] + glyphs[:, XMAX], rules[:, RIGHT]])
    bottom = np.concatenate([glyphs[:, Y] - glyphs[:, YMIN], rules[:, BOTTOM]])
    return [int(left.min()), int(top.min()), int(right.max()), int(bottom.max())]


def _color(text: str) -> int | None:
    """A colour as dvips understands it, 0xRRGGBB; None if it is not known."""
    model, *values = text.split() or [""]
    if model == "foreground":
        return FOREGROUND
    try:
        parts = [min(1.0, max(0.0, float(value))) for value in values]
    except ValueError:
        return None
    if model == "gray" and len(parts) == 1:
        parts *= 3
    elif model == "cmyk" and len(parts) == 4:
        parts = [1.0 - min(1.0, part + parts[3]) for part in parts[:3]]
    elif model == "hsb" and len(parts) == 3:
        parts = list(colorsys.hsv_to_rgb(*parts))
    elif model != "rgb" or len(parts) != 3:
        return None
    red, green, blue = (round(255 * part) for part in parts)
    return red << 16 | green << 8 | blue
