"""Records: lines of JSON, and messages in which images stand among the text."""

import datetime
from functools import partial

import pytest

from gpurender.lomo.records import (
    RecordError,
    carry_path,
    encode_line,
    holds_media,
    interleave,
    parse_line,
    to_placeholders,
)


def to_strings(record, folder, out):
    """The contents with `<image>`, the paths, and how many literals were written apart."""
    contents, paths = interleave(record, partial(carry_path, folder=folder, out=out))
    told = [to_placeholders(parts) for parts in contents]
    return [text for text, _ in told], paths, sum(count for _, count in told)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', "not JSON: Expecting ',' delimiter"),
        (b'{"a": NaN}', "not JSON: NaN is not JSON"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff at position 7"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
    ],
)
def test_malformed_lines_are_named(line, message):
    with pytest.raises(RecordError, match=message):
        parse_line(line)


def rewritten(text, *parts):
    messages = [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": text}]
    return {"id": 1, "messages": messages}


def test_parts_become_markers_and_paths(tmp_path):
    parts = [
        {"type": "text", "text": "before "},
        {"type": "image", "image": tmp_path / "images/a.png"},
        {"type": "text", "text": " between "},
        {"type": "image", "image": tmp_path / "images/b.png"},
    ]
    contents, paths, apart = to_strings(rewritten("answer", *parts), tmp_path, tmp_path)
    assert contents == ["before <image> between <image>", "answer"]
    assert paths == ["images/a.png", "images/b.png"]
    assert apart == 0
    (parts, _), _ = interleave(rewritten("", *parts), partial(carry_path, folder=tmp_path, out=tmp_path))
    assert parts[0] == {"type": "text", "text": "before "}
    assert parts[1] == {"type": "image", "image": "images/a.png"}


def test_literal_placeholders_are_written_apart(tmp_path):
    text = "<image> <video> <audio> <|image_pad|> <images> < image> <Image>"
    parts = [{"type": "text", "text": text}, {"type": "image", "image": tmp_path / "images/a.png"}]
    contents, _, apart = to_strings(rewritten(text, *parts), tmp_path, tmp_path)
    told = "< image> < video> < audio> < |image_pad|> <images> < image> <Image>"
    assert contents == [told + "<image>", told]
    assert apart == 8
    parts = [{"type": "text", "text": "<vid"}, {"type": "text", "text": "eo> hello"}]
    contents, _, apart = to_strings(rewritten("a", *parts), tmp_path, tmp_path)
    assert (contents[0], apart) == ("< video> hello", 1)


def test_images_are_named_in_reading_order(tmp_path):
    messages = [
        {"role": "user", "content": [{"type": "image", "image": "b.png"}]},
        {"role": "assistant", "content": "<image>"},
    ]
    _, paths, _ = to_strings({"messages": messages, "images": ["a.png"]}, tmp_path, tmp_path)
    assert paths == ["b.png", "a.png"]


def test_images_that_were_there_keep_their_files(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "cat.png").touch()
    record = {
        "messages": [{"role": "user", "content": "<image><image> <video>?"}],
        "images": ["cat.png", "/far/dog.png"],
    }
    contents, paths, apart = to_strings(record, source, out)
    assert paths == ["../in/cat.png", "/far/dog.png"]
    assert contents == ["<image><image> < video>?"]
    assert apart == 1
    parts = [{"type": "image_url", "image_url": {"url": "cat.png"}}, {"type": "text", "text": "<image>?"}]
    contents, paths, _ = to_strings({"messages": [{"role": "user", "content": parts}]}, source, out)
    assert paths == ["../in/cat.png"]
    assert contents == ["<image>< image>?"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": ["a.png"]}, "0 <image> markers but 1 images"),
        ({"images": [None], "messages": [{"role": "user", "content": "<image>"}]}, "a file's path .* not NoneType"),
        ({"videos": ["a.mp4"]}, "'videos' cannot be carried, only images"),
        ({"images": ["a" * 5000], "messages": [{"role": "user", "content": "<image>"}]}, "path cannot be used"),
        ({"images": ["a.png"], "image": "b.png"}, "'image' and 'images' cannot be told apart"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "image": 0}]}]}, "a file's path .* not int"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "image": True}]}]}, "a file's path .* not bool"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "must be a file's path"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
            "a file's path .* not int",
        ),
        (
            {"images": ["data:image/png;base64,AAAA"], "messages": [{"role": "user", "content": "<image>"}]},
            "must be a file's path",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "audio", "audio": "a"}]}]}, "part of type 'audio'"),
    ],
)
def test_what_the_form_cannot_carry_is_named(tmp_path, fields, message):
    record = {"messages": [{"role": "user", "content": "what?"}]} | fields
    assert holds_media(record)
    with pytest.raises(RecordError, match=message):
        interleave(record, partial(carry_path, folder=tmp_path, out=tmp_path))


def test_dates_are_written_in_iso_8601():
    when = datetime.datetime(2026, 1, 2, 3, 4, 5)
    assert encode_line({"at": when, "on": when.date()}) == b'{"at": "2026-01-02T03:04:05", "on": "2026-01-02"}\n'


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "\ud800"}, r"lone surrogate \(U\+D800\)"),
        ({"x": float("inf")}, "cannot be written as JSON"),
        ({"x": b"bytes"}, "cannot be written as JSON: a value of type bytes"),
    ],
)
def test_what_no_reader_could_read_is_named(record, message):
    with pytest.raises(RecordError, match=message):
        encode_line(record)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        encode_line({"x": deep})
