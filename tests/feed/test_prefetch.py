"""The prefetching loader: what models take, the same after a resume, with or without a GPU, and clear about faults."""

import os
import signal
import warnings
import weakref

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from gpurender import Collator, LoMo, MissingGlyphError, PrefetchLoader, Renderer, Typesetter, distort
from gpurender.feed import Planned, profiles

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]


def collator(tokenizer, ops=None, **options):
    lomo = LoMo(ratio=0.5, distort=distort.presets.lomo() if ops is None else ops)
    return Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo, **options)


def feed(tokenizer, records, device="cpu", *, workers=0, loader=DataLoader, depth=2, fixed_epoch=None, **options):
    made = loader(records, batch_size=2, collate_fn=collator(tokenizer), num_workers=workers, **options)
    return PrefetchLoader(made, device=device, depth=depth, fixed_epoch=fixed_epoch)


def taken(batches):
    return [{name: tensor.cpu() for name, tensor in batch.items()} for batch in batches]


def same(one, other):
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("device", DEVICES)
def test_yields_what_the_planned_batches_become(tokenizer, records, device):
    loader = feed(tokenizer, records, device)
    batches = taken(loader)
    plan, renderer = collator(tokenizer), Renderer()
    expected = [plan(records[n : n + 2]).render(renderer) for n in range(0, 16, 2)]
    assert len(loader) == len(batches) == 8
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        for name, tensor in batch.items():
            # Backends may be a level apart.
            torch.testing.assert_close(tensor, other[name], rtol=0, atol=0.016 if name == "pixel_values" else 0)
    assert loader.report["read"] == 16
    assert loader.report["images"] == sum(len(b.get("image_grid_thw", ())) for b in batches)
    assert loader.waited > 0
    assert (loader.dataset, loader.batch_size) == (records, 2)


def test_backends_feed_the_same(tokenizer, chat):
    """All of the device's work in Triton, interpreted where there is no GPU: within a level of the reference."""
    records = [chat(n, "Add 2 and 3.") for n in range(4)]
    lomo = LoMo(ratio=1, distort=distort.presets.lomo(), typesetter=Typesetter(margin=2))
    found = {}
    for backend in ("reference", "cpu", "triton"):
        loader = DataLoader(records, batch_size=4, collate_fn=Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo))
        device = "cuda" if backend == "triton" and torch.cuda.is_available() else "cpu"
        (found[backend],) = taken(PrefetchLoader(loader, device=device, backend=backend))
    for backend in ("cpu", "triton"):
        for name, tensor in found.pop(backend).items():
            atol = 0.016 if name == "pixel_values" else 0
            torch.testing.assert_close(tensor, found["reference"][name], rtol=0, atol=atol)


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_takes_them_and_learns(tokenizer, tiny, records, device):
    for family, profile in (("qwen2_5_vl", profiles.qwen2_5_vl()), ("qwen3_vl", profiles.qwen3_vl())):
        model = tiny.model(tokenizer, family).to(device)
        loader = DataLoader(records[:2], batch_size=2, collate_fn=Collator(tokenizer, profile, lomo=LoMo(ratio=1)))
        (batch,) = PrefetchLoader(loader, device=device)
        assert "pixel_values" in batch
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
        losses = []
        for _ in range(8):
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        assert losses[-1] < losses[0] * 0.7


def test_each_pass_is_an_epoch_unless_it_is_fixed(tokenizer, records):
    loader = feed(tokenizer, records)
    first, second = taken(loader), taken(loader)
    assert not same(first, second)
    loader.set_epoch(0)
    assert same(first, taken(loader))
    assert same(second, taken(loader))
    fixed = feed(tokenizer, records, fixed_epoch=1)
    assert same(second, taken(fixed))
    assert same(second, taken(fixed))


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("device", DEVICES)
def test_resumes_where_it_was(tokenizer, records, workers, depth, device):
    loader = feed(tokenizer, records, device, workers=workers, depth=depth)
    whole = [*taken(loader), *taken(loader)]
    loader = feed(tokenizer, records, device, workers=workers, depth=depth)
    seen, state = [], None
    for passes in range(2):
        for batch in loader:
            seen.append(batch)
            if len(seen) == 11:
                state = loader.state_dict()
                break
        assert passes == 0 or state
    assert state == {"epoch": 1, "batches": 3}
    later = feed(tokenizer, records, device, workers=workers, depth=depth)
    later.load_state_dict(state)
    assert same(whole[11:], taken(later))
    third = taken(later)
    fresh = feed(tokenizer, records, device)
    fresh.set_epoch(2)
    assert same(third, taken(fresh))


@pytest.mark.parametrize("workers", [0, 2])
def test_resumes_with_a_stateful_loader(tokenizer, records, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason='needs torchdata: pip install -e ".[test]"')
    options = {"workers": workers, "loader": stateful.StatefulDataLoader}
    whole = taken(feed(tokenizer, records, **options))
    loader = feed(tokenizer, records, **options)
    for number, _ in enumerate(loader, 1):
        if number == 3:
            break
    state = loader.state_dict()
    later = feed(tokenizer, records, **options)
    later.load_state_dict(state)
    assert same(whole[3:], taken(later))


@pytest.mark.parametrize("stateful", [False, True])
def test_the_end_of_an_epoch_is_the_beginning_of_the_next(tokenizer, records, stateful):
    kind = DataLoader
    if stateful:
        reason = 'needs torchdata: pip install -e ".[test]"'
        kind = pytest.importorskip("torchdata.stateful_dataloader", reason=reason).StatefulDataLoader
    loader = feed(tokenizer, records, loader=kind)
    assert loader.state_dict() == {"epoch": 0, "batches": 0}
    at_the_end = [loader.state_dict() for _ in loader][-1]
    behind = loader.state_dict()
    assert (at_the_end["epoch"], at_the_end["batches"]) == (0, 8)
    assert behind == {"epoch": 1, "batches": 0}
    second = taken(loader)
    for state in (at_the_end, behind):
        later = feed(tokenizer, records, loader=kind)
        later.load_state_dict(state)
        assert later.state_dict() == state
        assert same(second, taken(later))
        assert later.state_dict() == {"epoch": 2, "batches": 0}


class Stream(IterableDataset):
    """Records without a length."""

    def __init__(self, records):
        self.records = records

    def __iter__(self):
        yield from self.records


def test_the_end_of_a_stream_is_found_by_reading(tokenizer, records):
    loader = feed(tokenizer, Stream(records))
    state = [loader.state_dict() for _ in loader][-1]
    second = taken(loader)
    later = feed(tokenizer, Stream(records))
    later.load_state_dict(state)
    assert same(second, taken(later))


def test_states_count_through_resumes(tokenizer, records):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason='needs torchdata: pip install -e ".[test]"')
    loader = feed(tokenizer, records, loader=stateful.StatefulDataLoader)
    states = [loader.state_dict() for _ in loader]
    later = feed(tokenizer, records, loader=stateful.StatefulDataLoader)
    later.load_state_dict(states[2])
    assert later.state_dict()["batches"] == 3
    assert [later.state_dict()["batches"] for _ in later] == [4, 5, 6, 7, 8]


def test_set_epoch_is_a_position(tokenizer, records):
    loader = feed(tokenizer, records)
    loader.set_epoch(3)
    assert loader.state_dict() == {"epoch": 3, "batches": 0}
    iterator = iter(loader)
    next(iterator)
    assert loader.state_dict() == {"epoch": 3, "batches": 1}
    # The same epoch again does not undo a resume; another one does.
    loader.load_state_dict({"epoch": 3, "batches": 2})
    loader.set_epoch(3)
    assert loader.state_dict() == {"epoch": 3, "batches": 2}
    loader.set_epoch(4)
    assert loader.state_dict() == {"epoch": 4, "batches": 0}


def test_a_later_pass_ends_an_earlier_one(tokenizer, records):
    """Of the same loader, or of another with the same Collator, whose epoch is one."""
    loader = feed(tokenizer, records)
    first = iter(loader)
    next(first)
    second = iter(loader)
    next(second)
    with pytest.raises(RuntimeError, match="a later pass has begun"):
        next(first)
    assert len(list(second)) == 7
    other = PrefetchLoader(loader.loader, device="cpu")
    third = iter(loader)
    next(third)
    assert len(taken(other)) == 8
    with pytest.raises(RuntimeError, match=r"a Collator of its own \(copy.copy\)"):
        next(third)


def test_epochs_told_after_a_resume(tokenizer, records):
    """A loop that counts its epochs itself sees nothing twice, and misses nothing."""
    whole = [taken(feed(tokenizer, records)), None]
    loader = feed(tokenizer, records)
    loader.set_epoch(1)
    whole[1] = taken(loader)
    for batches, state in ((8, {"epoch": 0, "batches": 8}), (3, {"epoch": 0, "batches": 3})):
        later = feed(tokenizer, records)
        later.load_state_dict(state)
        seen = []
        for epoch in range(2):
            later.set_epoch(epoch)
            seen += taken(later)
        assert same([*whole[0][batches:], *whole[1]], seen)
    skipping = feed(tokenizer, records)
    skipping.load_state_dict({"epoch": 0, "batches": 8})
    skipping.set_epoch(1)
    assert same(whole[1], taken(skipping))
    # What is told in a pass holds for the next.
    told = feed(tokenizer, records)
    for _ in told:
        told.set_epoch(1)
    assert told.state_dict() == {"epoch": 1, "batches": 0}
    assert same(whole[1], taken(told))


def test_a_resume_whose_rest_is_left_out_ends(tokenizer, records):
    """An epoch is not at its end because none of what is left of it can be used."""
    records[12:] = [{"id": "bad"}] * 4
    loader = feed(tokenizer, records)
    loader.load_state_dict({"epoch": 0, "batches": 6})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert taken(loader) == []
        assert loader.state_dict() == {"epoch": 1, "batches": 0}
        assert len(taken(loader)) == 6


class Approximate(Stream):
    """Two workers' parts, and a length that is less than the batches there are."""

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        yield from self.records[info.id :: 2]

    def __len__(self):
        return len(self.records)


def test_a_streams_length_is_not_trusted(tokenizer, records):
    def made():
        plan = collator(tokenizer)
        loader = DataLoader(Approximate(records[:8]), batch_size=3, collate_fn=plan, num_workers=2)
        return PrefetchLoader(loader, device="cpu")

    whole = taken(made())
    assert len(whole) == 4
    later = made()
    later.load_state_dict({"epoch": 0, "batches": 3})
    assert same(whole[3:], taken(later))


def test_what_was_handed_over_is_not_held(tokenizer, records):
    loader = iter(feed(tokenizer, records))
    batch = next(loader)
    held = weakref.ref(batch["input_ids"])
    del batch
    assert held() is None


class Faulty(torch.utils.data.Dataset):
    """A dataset with errors of its own."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, n):
        raise self.error


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [RuntimeError("my data is broken"), ConnectionResetError("my store is away")])
def test_errors_of_a_dataset_are_not_a_workers_death(tokenizer, error, workers):
    with pytest.raises(type(error), match=f"{error}") as raised:
        list(feed(tokenizer, Faulty(error), workers=workers))
    assert "died" not in str(raised.value)


def test_persistent_workers_see_the_epoch(tokenizer, records):
    here = feed(tokenizer, records)
    there = feed(tokenizer, records, workers=1, persistent_workers=True)
    for _ in range(3):
        assert same(taken(here), taken(there))


def test_what_was_left_out_is_told(tokenizer, records, chat):
    records[3] = {"id": "broken"}
    records[6] = records[7] = {"id": "nothing"}
    loader = feed(tokenizer, records)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        batches = taken(loader)
    assert len(batches) == 7
    assert loader.report["skipped"] == 3
    assert [p.record for p in loader.problems] == ["broken", "nothing", "nothing"]
    assert [str(w.message).partition(":")[0] for w in told] == [
        "record broken was left out",
        "record nothing was left out",
        "record nothing was left out",
    ]
    state = feed(tokenizer, records)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = [state.state_dict()["batches"] for _ in state]
    # A batch of which nothing is left counts for the position.
    assert numbers == [1, 2, 3, 5, 6, 7, 8]


class Deadly(IterableDataset):
    """Kills the worker that reads its third record."""

    def __init__(self, records):
        self.records = records

    def __iter__(self):
        yield from self.records[:2]
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies(tokenizer, records):
    loader = feed(tokenizer, Deadly(records), workers=1)
    with pytest.raises(
        RuntimeError, match=r"a worker of the DataLoader died in epoch 0, behind batch 0 .*DataLoader worker"
    ):
        list(loader)


def test_an_error_in_a_worker_names_the_record(tokenizer, records):
    records[5] = {"id": "broken", "messages": 3}
    made = DataLoader(records, batch_size=2, collate_fn=collator(tokenizer, on_error="raise"), num_workers=1)
    with pytest.raises(ValueError, match="record broken: 'messages' is not a list"):
        list(PrefetchLoader(made, device="cpu"))


def test_a_missing_glyph_in_a_worker_keeps_its_kind(tokenizer, records):
    records[1]["messages"][0]["content"] = "A \u0378."
    lomo = LoMo(ratio=1, typesetter=Typesetter(on_missing="error"))
    made = DataLoader(
        records[:2], batch_size=2, collate_fn=Collator(tokenizer, profiles.qwen2_5_vl(), lomo=lomo), num_workers=1
    )
    with pytest.raises(MissingGlyphError, match=r"record r1: no font has a glyph for U\+0378"):
        list(PrefetchLoader(made, device="cpu"))


def test_a_full_device(tokenizer, records, monkeypatch):
    def full(planned, renderer):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(Planned, "render", full)
    with pytest.raises(torch.OutOfMemoryError, match="no memory on cpu to render batch 1 of epoch 0, of 2 records"):
        list(feed(tokenizer, records))


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"depth": 0}, ValueError, "depth must be a positive integer, not 0"),
        ({"device": "cuda:77"}, ValueError, "device 'cuda:77' is not there: torch finds .* CUDA GPU"),
        ({"backend": "fast"}, ValueError, "backend must be one of"),
        ({"channels": 2}, ValueError, "channels must be 1 or 3"),
        ({"fixed_epoch": "x"}, TypeError, "fixed_epoch must be an integer, not 'x'"),
    ],
)
def test_wrong_arguments(tokenizer, records, options, kind, told):
    made = DataLoader(records, collate_fn=collator(tokenizer))
    with pytest.raises(kind, match=told):
        PrefetchLoader(made, **{"device": "cpu"} | options)


def test_wrong_loaders_and_states(tokenizer, records):
    with pytest.raises(
        TypeError, match=r"loader must be a DataLoader with a gpurender Collator: .* is default_collate|function"
    ):
        PrefetchLoader(DataLoader(records), device="cpu")
    for state in ({"position": 3}, {"epoch": 0, "batches": -1}, {"epoch": "1", "batches": 0}):
        with pytest.raises(ValueError, match="state must be of a PrefetchLoader"):
            feed(tokenizer, records).load_state_dict(state)
    with pytest.raises(ValueError, match="state holds the state of a loader, which a DataLoader cannot take"):
        feed(tokenizer, records).load_state_dict({"epoch": 0, "batches": 1, "loader": {}})


@needs_gpu
def test_nothing_waits_for_the_device(tokenizer, records):
    """Copies, compositing, distortion and patches: no synchronisation, with a growing atlas and pictures too."""
    texts = ["Some words. And \U0001f600 more. " + chr(0x391 + n) * 5 + " last. End." for n in range(16)]
    for record, text in zip(records, texts, strict=True):
        record["messages"][0]["content"] += text
    plan, renderer = collator(tokenizer), Renderer(device="cuda", channels=3)
    batches = [plan(records[n : n + 4]).pin_memory() for n in range(0, 16, 4)]
    batches[0].render(renderer)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for planned in batches:
            planned.render(renderer)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
def test_workers_do_not_touch_the_gpu(tokenizer, records):
    """CUDA is in use here, so a forked worker that touches it fails."""
    torch.zeros(1, device="cuda")
    loader = feed(tokenizer, records, "cuda", workers=2, multiprocessing_context="fork", pin_memory=True)
    assert len(taken(loader)) == 8


@needs_gpu
def test_memory_is_not_used_again_too_early(tokenizer, records):
    """A slow model's batch is whole when the model gets to it, though the loader is ahead."""
    expected = taken(feed(tokenizer, records, "cuda"))
    seen = []
    for batch in feed(tokenizer, records, "cuda", depth=3):
        torch.cuda._sleep(50_000_000)
        seen.append({name: tensor.clone() for name, tensor in batch.items()})
        del batch
    assert same(expected, taken(seen))
