"""A mirror of a growing host buffer on a device, safe to read on several streams."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from gpurender.kernels.arrays import copy_to

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DeviceMirror"]


class DeviceMirror:
    """Copies bytes that are appended to a host buffer to a device, once each.

    Bytes on the device never change, and the tensor only grows. A copy is enqueued on the stream of the call that needs
    it and recorded as an event; every other stream waits for that event before its first read. A tensor that is
    replaced stays allocated until all streams that read it are done (`record_stream`).

    Args:
        device: `"cuda"`, `"cuda:1"`.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._copied = 0
        self._tensor: Tensor | None = None
        self._written: Any = None  # event behind the newest copy
        self._ready: set[int] = set()  # handles of the streams that are ordered behind it
        self._users: dict[int, Any] = {}  # streams that may read the present tensor, by handle
        self._lock = Lock()

    def read(self, host: np.ndarray, used: int) -> Tensor:
        """Return `host[:used]` on the device, for use on the current stream.

        Args:
            host: [at least used] uint8; its first bytes are those of earlier calls.
            used: How many bytes are needed.

        Returns:
            [at least used] uint8.
        """
        import torch

        with self._lock:
            stream = self._current_stream()
            if stream is not None and self._written is not None and stream.cuda_stream not in self._ready:
                stream.wait_event(self._written)
                self._ready.add(stream.cuda_stream)
            if self._tensor is None or len(self._tensor) < used:
                if self._tensor is not None:
                    for user in self._users.values():
                        self._tensor.record_stream(user)
                self._tensor = torch.empty(len(host), dtype=torch.uint8, device=self.device)
                self._copied, self._users = 0, {}
            if self._copied < used:
                new = copy_to(torch.from_numpy(host[self._copied : used]), self.device)
                self._tensor[self._copied : used].copy_(new)
                self._copied = used
                if stream is not None:
                    # This stream waited for the event before, so the new one stands for all earlier copies too.
                    self._written = self._record(stream)
                    self._ready = {stream.cuda_stream}
            if stream is not None:
                self._users[stream.cuda_stream] = stream
            return self._tensor

    def _current_stream(self) -> Any:
        """The current CUDA stream of the device; None for a device without streams."""
        import torch

        return torch.cuda.current_stream(self.device) if self.device.startswith("cuda") else None

    def _record(self, stream: Any) -> Any:
        import torch

        event = torch.cuda.Event()
        event.record(stream)
        return event
