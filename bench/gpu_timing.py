"""Times of GPU work: calls between CUDA events, kernels launched again with recorded arguments, copy rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

__all__ = ["copy_rate", "device_seconds", "host_seconds", "profile_kernels", "record_launches", "upload_rate"]


def device_seconds(run: Callable[[], Any], rounds: int = 11, calls: int = 5) -> float:
    """Return the seconds a call takes on the device: the median over rounds of calls between two events.

    The host runs ahead of the device, so a call counts as the longer of its host time and its device time.
    """
    import torch

    for _ in range(3):
        run()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        times.append(float(begin.elapsed_time(end)) / calls / 1e3)
    return median(times)


def host_seconds(run: Callable[[], Any], rounds: int = 25, *, synchronize: bool = True) -> float:
    """Return the seconds until a call returns on the host, the device idle when it starts: the median over rounds."""
    import torch

    for _ in range(3):
        run()
    times = []
    for _ in range(rounds):
        if synchronize:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return median(times)


def copy_rate(size: int = 2**31) -> float:
    """Return bytes a second, read and written, of a copy of `size` bytes from device to device."""
    import torch

    # Random bytes: some memory systems move constant ones faster.
    source = torch.randint(0, 256, (size,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * size / device_seconds(lambda: target.copy_(source))


def upload_rate(size: int = 2**28) -> float:
    """Return bytes a second of a copy from pinned host memory to the device."""
    import torch

    source = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    target = torch.empty(size, dtype=torch.uint8, device="cuda")
    return size / device_seconds(lambda: target.copy_(source, non_blocking=True))


class _Recorder:
    """Stand-in for a Triton kernel that launches it and keeps the grid and the arguments."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.launches: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def __getitem__(self, grid: Any) -> Callable[..., Any]:
        def launch(*arguments: Any, **options: Any) -> Any:
            self.launches.append((grid, arguments, options))
            return self.kernel[grid](*arguments, **options)

        return launch


def record_launches(module: Any, name: str, run: Callable[[], Any]) -> Callable[[], None]:
    """Record the launches of the kernel `module.name` during a call.

    Returns:
        A function that launches the kernel again with the same arguments, whose memory it keeps.

    Raises:
        RuntimeError: The call launched no such kernel.
    """
    kernel = getattr(module, name)
    recorder = _Recorder(kernel)
    setattr(module, name, recorder)
    try:
        run()
    finally:
        setattr(module, name, kernel)
    if not recorder.launches:
        raise RuntimeError(f"the call did not launch {module.__name__}.{name}")

    def launch_again() -> None:
        for grid, arguments, options in recorder.launches:
            kernel[grid](*arguments, **options)

    return launch_again


def profile_kernels(run: Callable[[], Any]) -> list[tuple[str, int, float]]:
    """Return name, count and microseconds of everything that a call runs on the device, longest first."""
    import torch

    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    on_device = [e for e in profile.key_averages() if e.device_type.name == "CUDA"]
    rows = [(str(e.key), int(e.count), float(e.self_device_time_total)) for e in on_device]
    return sorted(rows, key=lambda row: -row[2])
