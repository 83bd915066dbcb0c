"""Packed rows: positions as the models count them, and records that do not see one another."""

import numpy as np
import pytest
import torch

from gpurender import Collator, LoMo, Renderer
from gpurender.feed import profiles
from gpurender.feed.positions import rotary_positions

FAMILIES = {"qwen2_5_vl": profiles.qwen2_5_vl, "qwen3_vl": profiles.qwen3_vl}


def test_positions_by_hand():
    """Two tokens of text, an image of 1 x 3 tokens, one of text, an image of 3 x 2, one of text."""
    is_image = np.array([0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0], bool)
    found = rotary_positions(is_image, np.array([[1, 2, 6], [1, 6, 4]]), 2)
    assert found.tolist() == [
        [0, 1, 2, 2, 2, 5, 6, 6, 6, 6, 6, 6, 9],
        [0, 1, 2, 2, 2, 5, 6, 6, 7, 7, 8, 8, 9],
        [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 6, 7, 9],
    ]
    assert rotary_positions(np.zeros(3, bool), np.empty((0, 3), np.int64), 2).tolist() == [[0, 1, 2]] * 3


def rendered(tokenizer, profile, items):
    return Collator(tokenizer, profile, lomo=LoMo(ratio=0.5))(items).render(Renderer())


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_are_the_models_own(family, tokenizer, tiny, records):
    model = tiny.model(tokenizer, family)
    for record in records:
        alone = rendered(tokenizer, FAMILIES[family](), [record])
        packed = rendered(tokenizer, FAMILIES[family](), [[record]])
        assert "attention_mask" not in packed
        positions = packed["position_ids"]
        assert positions[0, 0].tolist() == list(range(positions.shape[2]))
        if "image_grid_thw" in alone:
            ids, kinds, grids = (alone[k] for k in ("input_ids", "mm_token_type_ids", "image_grid_thw"))
            expected, _ = model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grids)
            assert positions[1:].equal(expected)
        else:
            assert positions[1:].equal(positions[:1].expand(3, -1, -1))


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_records_do_not_see_one_another(family, tokenizer, tiny, records):
    """Each record's logits are those that it has alone, wherever it stands in which row."""
    model = tiny.model(tokenizer, family).eval()
    profile = FAMILIES[family]()
    packs = [records[:3], records[3:4], records[4:9]]
    batch = rendered(tokenizer, profile, packs)
    assert batch["position_ids"].shape == (4, *batch["input_ids"].shape)
    with torch.no_grad():
        logits = model(**batch).logits
        for row, pack in enumerate(packs):
            at = 0
            for record in pack:
                alone = rendered(tokenizer, profile, [record])
                expected = model(**alone).logits[0]
                length = len(expected)
                assert batch["input_ids"][row, at : at + length].equal(alone["input_ids"][0])
                assert batch["labels"][row, at : at + length].equal(alone["labels"][0])
                torch.testing.assert_close(logits[row, at : at + length], expected, rtol=1e-4, atol=1e-4)
                at += length
            assert (batch["labels"][row, at:] == -100).all()
            # What pads a row is a record of its own.
            padding = batch["position_ids"][:, row, at:]
            assert padding.equal(torch.arange(padding.shape[1]).expand(4, -1))


def test_rows_of_models_of_one_axis(tokenizer, records):
    batch = rendered(tokenizer, profiles.llava_ov15(), [records[:2], records[2:3]])
    assert batch["position_ids"].shape == batch["input_ids"].shape
    breaks = np.flatnonzero(np.diff(batch["position_ids"][0].numpy()) != 1)
    assert len(breaks) == 1


def test_what_is_left_out_leaves_its_row(tokenizer, records):
    planned = Collator(tokenizer, profiles.qwen2_5_vl())([[records[0], {"id": "bad"}], [{"id": "worse"}], [records[1]]])
    assert len(planned) == 2
    assert planned.counts["skipped"] == 2
    assert planned.render(Renderer())["position_ids"].shape[1] == 2
