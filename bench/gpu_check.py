"""Check and measure everything that needs a GPU, in one command of under ten minutes.

    python -m gpurender.bench.gpu_check --out DIR          # on a machine with a GPU
    python -m gpurender.bench.gpu_check --out DIR --dry    # anywhere: only the steps that need no GPU

Each step is a process with a time limit, so a step that fails, hangs or corrupts its CUDA context costs no other.
`results.jsonl` gets every result at once, `results.md` is written after each step with failures first and the slowest
kernels next, `log.txt` has all output. A run that is interrupted keeps them. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gpurender.bench import gpu_kernels, gpu_steps
from gpurender.bench.gpu_report import Tell, append, read_results, write_summary

GRACE = 5  # seconds between the request to stop a step and its end


class Step(NamedTuple):
    """A step and its time limit in seconds."""

    run: Callable[[Tell], None]
    limit: int
    needs_gpu: bool = True


# In the order of their worth, since the last ones are left out when time is short.
STEPS = {
    "versions": Step(gpu_steps.versions, 30, False),
    "plans": Step(gpu_steps.plans, 75, False),
    "composite": Step(gpu_kernels.composite, 40),
    "warp": Step(gpu_kernels.warp, 40),
    "blur": Step(gpu_kernels.blur, 50),
    "shade": Step(gpu_kernels.shade, 40),
    "patchify": Step(gpu_kernels.patchify, 50),
    "tests": Step(gpu_steps.tests, 120),
    "host": Step(gpu_steps.host, 60),
    "million": Step(gpu_steps.million, 60),
    "step": Step(gpu_steps.train_step, 80),
    "sanitize": Step(gpu_steps.sanitize, 90),
    "counts": Step(gpu_steps.counts, 120, False),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, or in a process of its own one of them, and return an exit status."""
    parser = argparse.ArgumentParser(prog="python -m gpurender.bench.gpu_check", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="write the results there")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="NAME", help=", ".join(STEPS))
    parser.add_argument("--limit", type=float, default=570, metavar="SECONDS", help="for all steps (default: 570)")
    parser.add_argument("--dry", action="store_true", help="run only steps that need no GPU")
    parser.add_argument("--only", choices=[*STEPS, "every_kernel"], help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.only:
        return run_step(given.only, given.out)

    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu and os.environ.get("TRITON_INTERPRET"):
        parser.error("TRITON_INTERPRET is set, so no kernel would run on the GPU: unset it")
    if not on_gpu and not given.dry:
        parser.error("torch finds no CUDA GPU; --dry runs the steps that need none")
    given.out.mkdir(parents=True, exist_ok=True)
    for name in ("results.jsonl", "log.txt"):
        (given.out / name).write_text("", encoding="utf-8")
    # SIGTERM ends a run as Ctrl-C does. In the background of a shell SIGINT is ignored, and by steps too, unless set.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    deadline = time.monotonic() + given.limit
    stopped = False
    for name in (n for n in STEPS if n in given.steps):
        left = deadline - time.monotonic()
        if given.dry and STEPS[name].needs_gpu:
            append(given.out, name, what="step", skipped="needs a GPU")
        elif stopped or left < 10:
            append(given.out, name, what="step", skipped="interrupted" if stopped else "no time was left")
        else:
            stopped = not start_step(name, given.out, min(STEPS[name].limit, left))
        write_summary(given.out)
    print((given.out / "results.md").read_text(encoding="utf-8"))
    failed = any(r.get("ok") is False for r in read_results(given.out))
    return 130 if stopped else int(failed)


def start_step(name: str, out: Path, limit: float) -> bool:
    """Run a step in another process for at most `limit` seconds; returns whether the run may go on."""
    command = [sys.executable, "-u", "-m", "gpurender.bench.gpu_check", "--out", str(out.resolve()), "--only", name]
    begin = time.monotonic()
    print(f"{name}: at most {limit:.0f} s", flush=True)
    with open(out / "log.txt", "a+", encoding="utf-8", errors="replace") as log:
        start = log.seek(0, os.SEEK_END)
        # A group, so that workers end with the step.
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, process_group=0)
        why, interrupted = "", False
        try:
            process.wait(max(limit - GRACE, 1))
        except subprocess.TimeoutExpired:
            why = f"stopped at its limit of {limit:.0f} s"
        except KeyboardInterrupt:
            why, interrupted = "interrupted", True
        stop(process)
        log.seek(start)
        text = log.read()
    code = process.returncode
    result: dict[str, Any] = {"seconds": round(time.monotonic() - begin, 1), "ok": code == 0 and not why}
    if not result["ok"]:
        result |= {"why": why or f"exit status {code}", "log": text[-1500:]}
    append(out, name, what="step", **result)
    return not interrupted


def stop(process: subprocess.Popen[Any]) -> None:
    """End a step's whole process group: by SIGINT, so that it reports the results so far, then by SIGKILL."""
    for number in (signal.SIGINT, signal.SIGKILL):
        # A worker that hangs outlives the first process of its group. One that hangs in the driver cannot be killed.
        if process.poll() is None or number == signal.SIGKILL:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)


def run_step(name: str, out: Path) -> int:
    """Run a step in this process; an exception becomes a result with its traceback."""

    def tell(what: str, **values: Any) -> None:
        append(out, name, what=what, **values)
        print(json.dumps({"what": what} | values), flush=True)

    run = gpu_kernels.every_kernel if name == "every_kernel" else STEPS[name].run
    try:
        run(tell)
    except KeyboardInterrupt:
        return 124
    except BaseException:
        traceback.print_exc()
        tell(f"{name} raised", ok=False, log=traceback.format_exc()[-1500:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
