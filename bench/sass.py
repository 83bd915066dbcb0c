"""Kernels as a GPU would run them, without one: compiled ahead of time as a launch specialises them, and disassembled.

Ahead-of-time compilation fails where TRITON_INTERPRET is set; use another process there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

__all__ = ["Code", "compile_kernel", "count_loop", "fix_branches", "occupancy"]

_TOOL = next(Path(triton.__file__).parent.rglob("cuobjdump"))

# Instructions by what they keep busy.
PIPES = (
    ("load", r"LDG|LD\b|LD\."),
    ("store", r"STG|ST\b|ST\."),
    ("shared", r"LDS|STS|LDSM"),
    ("shuffle", r"SHFL"),
    ("barrier", r"BAR|WARPSYNC"),
    ("tensor", r"\w*MMA"),
    ("special", r"MUFU|I2F\b|I2F\.|F2I|F2F|FRND|POPC|FLO|BREV"),
    ("double", r"D(ADD|MUL|FMA|SETP)"),
    ("float", r"FFMA|FADD|FMUL|HFMA2|HADD2|HMUL2"),
    ("integer", r"IMAD|IDP"),
)


class Code(NamedTuple):
    """A compiled kernel.

    Attributes:
        lines: Address and text of every SASS instruction.
        registers: A thread's.
        stack: Bytes a thread; what spills lies here.
        shared: Bytes a program.
        warps: Of a program.
    """

    lines: list[tuple[int, str]]
    registers: int
    stack: int
    shared: int
    warps: int


def compile_kernel(
    function: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any],
    warps: int,
    *,
    stages: int | None = None,
    capability: int = 90,
    **options: Any,
) -> Code:
    """Compile a kernel as the JIT would for a launch.

    Args:
        function: A `triton.jit` function.
        signature: The type of every argument that is no constant: `"*u8"`, `"i32"`. Pointers are taken as multiples of
            16, as torch's allocations are; numbers as `do_not_specialize` leaves them.
        constants: The constants.
        warps: `num_warps`.
        stages: `num_stages`.
        capability: 80, 90, 100.
        options: Others of a launch, such as `maxnreg`.

    Raises:
        RuntimeError: Kernels are interpreted in this process.
    """
    if os.environ.get("TRITON_INTERPRET"):
        raise RuntimeError("TRITON_INTERPRET is set, and interpreted kernels cannot be compiled: unset it")
    names = function.arg_names
    types = {name: "constexpr" if name in constants else signature[name] for name in names}
    aligned = {(n,): [["tt.divisibility", 16]] for n, name in enumerate(names) if types[name].startswith("*")}
    source = ASTSource(function, signature=types, constexprs=dict(constants), attrs=aligned)
    options |= {"num_warps": warps} | ({"num_stages": stages} if stages else {})
    kernel = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()

        def dump(option: str) -> str:
            return subprocess.run([_TOOL, option, file.name], capture_output=True, text=True, check=True).stdout

        text, usage = dump("-sass"), dump("--dump-resource-usage")
    lines = [(int(m[1], 16), m[2].strip()) for m in re.finditer(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", text)]
    counts = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    return Code(lines, counts["REG"], counts["STACK"] + counts["LOCAL"], kernel.metadata.shared, warps)


def opcode(text: str) -> str:
    """The name of an instruction, its predicate left out: `"LDG.E.U8"`."""
    return re.sub(r"^@!?U?P\w+\s+", "", text).split()[0]


def find_loops(code: Code) -> list[tuple[int, int]]:
    """First and last instruction of every loop, the shortest first."""
    places = {address: n for n, (address, _) in enumerate(code.lines)}
    ends: dict[int, int] = {}
    for n, (address, text) in enumerate(code.lines):
        match = re.search(r"BRA(?:\.\w+)*\s+(?:`?\(?)?(?:\S+,\s*)?(0x[0-9a-f]+)", text)
        if match and int(match[1], 16) < address and int(match[1], 16) in places:
            begin = places[int(match[1], 16)]
            ends[begin] = max(ends.get(begin, 0), n)
    return sorted(ends.items(), key=lambda loop: loop[1] - loop[0])


def count_loop(code: Code, loop: int = -1) -> Counter[str]:
    """Count a loop's instructions, each once, by pipe; `"all"` is their sum, `"bytes N"` the accesses of N bytes."""
    begin, end = find_loops(code)[loop]
    return count_lines(code.lines[begin : end + 1])


def count_lines(lines: Sequence[tuple[int, str]]) -> Counter[str]:
    """Count instructions by pipe and by the width of accesses to device memory."""
    counts: Counter[str] = Counter()
    for _, text in lines:
        name = opcode(text)
        counts["all"] += 1
        counts[next((pipe for pipe, pattern in PIPES if re.match(pattern, name)), "other")] += 1
        if re.match(r"LDG|STG|LD\b|ST\b|LD\.|ST\.", name):
            width = re.search(r"\.(?:[US](8|16)|(64|128))\b", name)
            counts[f"bytes {int(width[1] or width[2]) // 8 if width else 4}"] += 1
    return counts


def occupancy(code: Code) -> float:
    """The share of an SM's 64 warps that can be resident (sm_90: 65,536 registers, 227 KiB of shared memory)."""
    registers = -(-code.registers // 8) * 8 * 32 * code.warps
    by_shared = 227 * 1024 // (code.shared + 1024)
    return min(65536 // registers, by_shared, 64 // code.warps, 32) * code.warps / 64


def fix_branches(module: Any, branches: Mapping[str, bool]) -> Any:
    """The module again, from its source, with run-time branches fixed: `if NAME:` goes the way of `branches[NAME]`.

    Raises:
        ValueError: The source has no such branch.
    """
    text = Path(module.__file__).read_text(encoding="utf-8")
    for name, value in branches.items():
        if f"if {name}:" not in text:
            raise ValueError(f"{module.__name__} has no branch on {name}")
        text = text.replace(f"if {name}:", f"if tl.constexpr({value}):")
    # Triton reads the source of a kernel from its file, when it is decorated.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"fixed_{Path(module.__file__).name}"
        file.write_text(text, encoding="utf-8")
        specification = importlib.util.spec_from_file_location(f"{file.stem}_{Path(folder).name}", file)
        assert specification is not None
        assert specification.loader is not None
        fixed = importlib.util.module_from_spec(specification)
        sys.modules[fixed.__name__] = fixed
        specification.loader.exec_module(fixed)
    return fixed
