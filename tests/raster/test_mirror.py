"""Coverage on a device: copied once, only growing, and never read by a stream before it is written.

Streams are stood in for by objects that log their calls, so the order is checked without a GPU.
"""

import threading

import numpy as np
import pytest
import torch

from gpurender import Renderer, Typesetter
from gpurender.raster import mirror


class Stream:
    def __init__(self, number, log):
        self.cuda_stream, self.log = number, log

    def wait_event(self, event):
        self.log.append((self.cuda_stream, "waits for", event))


@pytest.fixture
def mirrored(monkeypatch):
    """A mirror whose current stream is `mirrored.stream`, and the log of all streams."""

    class Mirrored(mirror.DeviceMirror):
        def __init__(self):
            super().__init__("cpu")
            self.log, self.stream = [], None
            self.streams = [Stream(n, self.log) for n in range(3)]

        def on(self, number):
            self.stream = self.streams[number]
            return self

        def _current_stream(self):
            return self.stream

        def _record(self, stream):
            event = f"event {sum('records' in entry for entry in self.log)}"
            self.log.append((stream.cuda_stream, "records", event))
            return event

    done = Mirrored()
    monkeypatch.setattr(
        torch.Tensor,
        "record_stream",
        lambda tensor, stream: done.log.append((stream.cuda_stream, "keeps", len(tensor))),
    )
    return done


def test_every_stream_waits_once_for_each_growth(mirrored):
    host = np.arange(100, dtype=np.uint8)
    mirrored.on(0).read(host, 10)
    for stream in (1, 1, 0, 2):
        mirrored.on(stream).read(host, 10)
    mirrored.on(2).read(host, 30)
    for stream in (0, 1, 2, 0):
        assert (mirrored.on(stream).read(host, 30)[:30].numpy() == host[:30]).all()
    assert mirrored.log == [
        (0, "records", "event 0"),
        (1, "waits for", "event 0"),
        (2, "waits for", "event 0"),
        # Stream 2 has waited for the copies before its own.
        (2, "records", "event 1"),
        (0, "waits for", "event 1"),
        (1, "waits for", "event 1"),
    ]


def test_a_growth_waits_for_the_one_before(mirrored):
    """So an event stands for all copies before it."""
    host = np.arange(100, dtype=np.uint8)
    mirrored.on(0).read(host, 10)
    mirrored.on(1).read(host, 20)
    assert mirrored.log == [(0, "records", "event 0"), (1, "waits for", "event 0"), (1, "records", "event 1")]


def test_a_replaced_tensor_is_kept_for_its_readers(mirrored):
    host = np.arange(200, dtype=np.uint8)
    first = mirrored.on(0).read(host[:50], 50)
    mirrored.on(1).read(host[:50], 50)
    second = mirrored.on(2).read(host, 60)
    assert (len(first), len(second)) == (50, 200)
    assert (second[:60].numpy() == host[:60]).all()
    kept = [entry for entry in mirrored.log if entry[1] == "keeps"]
    assert kept == [(0, "keeps", 50), (1, "keeps", 50)]
    mirrored.on(0).read(np.zeros(1000, np.uint8), 300)
    assert [entry for entry in mirrored.log if entry[1] == "keeps"][2:] == [(2, "keeps", 200)]


def test_bytes_never_change_and_are_copied_once(mirrored, monkeypatch):
    copied = []
    monkeypatch.setattr(mirror, "copy_to", lambda tensor, device: copied.append(len(tensor)) or tensor)
    host = np.arange(100, dtype=np.uint8)
    for used in (10, 10, 25, 25, 100):
        tensor = mirrored.on(0).read(host, used)
    assert copied == [10, 15, 75]
    assert (tensor.numpy() == host).all()


def test_threads_that_grow_it_at_once(mirrored):
    host = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8)
    mirrored.stream = None
    wrong = []

    def read(seed):
        for used in np.random.default_rng(seed).integers(1, 4000, 200).tolist():
            if not np.array_equal(mirrored.read(host[: max(used, 2000)], used)[:used].numpy(), host[:used]):
                wrong.append(used)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_two_streams_of_one_renderer_paint_the_same():
    typesetter, renderer = Typesetter(), Renderer(device="cuda")
    texts = ["first words", "and others: \u0416\u03a9", "more, ever more", "0123456789"]
    expected = [page.to_numpy()[0] for page in map(Renderer(), ([typesetter([t]) for t in texts]))]
    streams, got = [torch.cuda.Stream() for _ in range(2)], []
    for n, text in enumerate(texts):
        with torch.cuda.stream(streams[n % 2]):
            got.append(renderer(typesetter([text])))
    torch.cuda.synchronize()
    for page, right in zip(got, expected, strict=True):
        np.testing.assert_array_equal(page.to_numpy()[0], right)
