"""Operations from a YAML file, in the grammar of the field: names, `[min, max]`, `weights`.

    OneOf:
      weights: [1, 2, 1]
      ops:
        - Clean
        - Rotate: {degrees: [-5, 5]}
        - Compose: [{GaussianBlur: {sigma: [0.5, 1.5]}}, {Stain: {blots: [1, 3]}}]

A preset's name stands for the preset, here too: `- lomo`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gpurender.distort.op import Clean, Compose, OneOf, Op
from gpurender.distort.ops import BoxBlur, EdgeShadow, GaussianBlur, MotionBlur, Rotate, Stain, Wave
from gpurender.distort.presets import PRESETS

__all__ = ["from_config", "load"]

_OPS = {
    op.__name__: op
    for op in (
        *(Clean, Compose, OneOf),
        *(BoxBlur, EdgeShadow, GaussianBlur, MotionBlur, Rotate, Stain, Wave),
    )
}


def load(name: str | os.PathLike[str]) -> Op | None:
    """The operation of that name: a preset (`"lomo"`, `"mild"`, `"harsh"`), `"none"` (None), or a YAML file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no YAML, or says what is not understood; the message names the file and the place.
    """
    if name == "none":
        return None
    if name in PRESETS:
        return PRESETS[str(name)]()
    path = Path(name)
    if not path.is_file() and not path.suffix:
        raise ValueError(f"distort must be {', '.join(PRESETS)}, none, or a YAML file that exists, not {str(name)!r}")
    import yaml

    try:
        return from_config(yaml.safe_load(path.read_text(encoding="utf-8")))
    except RecursionError:
        raise ValueError(f"{path}: it holds itself") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def from_config(value: Any) -> Op:
    """An operation from what YAML or JSON holds: a name, or a mapping of one name to its arguments, or to the first.

    Raises:
        TypeError: Something that is neither.
        ValueError: An unknown name or argument, or one out of its range; the message names the operation.
    """
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise TypeError(f"an operation must be a name, or one name with its arguments, not {value!r}")
    ((name, arguments),) = value.items()
    if name in PRESETS:
        make: Any = PRESETS[name]
    elif name in _OPS:
        make = _OPS[name]
    else:
        raise ValueError(f"no operation {name!r}; there are {', '.join([*_OPS, *PRESETS])}")
    if arguments is None:
        arguments = {}
    # Without names it is the first: `Rotate: [-5, 5]`, `Compose: [Rotate, Stain]`.
    first = [] if isinstance(arguments, dict) else [arguments]
    named = dict(arguments) if isinstance(arguments, dict) else {}
    if make in (OneOf, Compose):
        if first:
            named["ops"] = first.pop()
        if isinstance(named.get("ops"), list):
            named["ops"] = [from_config(op) for op in named["ops"]]
    try:
        return make(*first, **named)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        told = str(error).removeprefix(f"{make.__name__}.__init__() ").removeprefix(f"{make.__name__}() ")
        raise type(error)(f"{name}: {told}") from None
