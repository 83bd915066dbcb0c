"""Records: lines of JSON in, LLaMA-Factory's form out."""

import json

import pytest

from gpurender.lomo.records import RecordError, encode_line, holds_media, parse_line, read_lines, to_sharegpt


def test_lines_are_numbered_and_blank_ones_left_out(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \r\n{"b": "\xe2\x80\xa8"}\n{"c": 3}')
    lines = list(read_lines(path))
    assert [number for number, _ in lines] == [1, 4, 5]
    assert [parse_line(line) for _, line in lines] == [{"a": 1}, {"b": "\u2028"}, {"c": 3}]


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
    record, apart = to_sharegpt(rewritten("answer", *parts), tmp_path, tmp_path)
    assert record["messages"][0]["content"] == "before <image> between <image>"
    assert record["images"] == ["images/a.png", "images/b.png"]
    assert (apart, record["id"]) == (0, 1)


def test_literal_placeholders_are_written_apart(tmp_path):
    text = "<image> <video> <audio> <|image_pad|> <images> < image> <Image>"
    parts = [{"type": "text", "text": text}, {"type": "image", "image": tmp_path / "images/a.png"}]
    record, apart = to_sharegpt(rewritten(text, *parts), tmp_path, tmp_path)
    told = "< image> < video> < audio> < |image_pad|> <images> < image> <Image>"
    assert record["messages"][0]["content"] == told + "<image>"
    assert record["messages"][1]["content"] == told
    assert apart == 8
    parts = [{"type": "text", "text": "<vid"}, {"type": "text", "text": "eo> hello"}]
    record, apart = to_sharegpt(rewritten("a", *parts), tmp_path, tmp_path)
    assert (record["messages"][0]["content"], apart) == ("< video> hello", 1)


def test_images_are_named_in_reading_order(tmp_path):
    messages = [
        {"role": "user", "content": [{"type": "image", "image": "b.png"}]},
        {"role": "assistant", "content": "<image>"},
    ]
    record, _ = to_sharegpt({"messages": messages, "images": ["a.png"]}, tmp_path, tmp_path)
    assert record["images"] == ["b.png", "a.png"]


def test_images_that_were_there_keep_their_files(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "cat.png").touch()
    record = {
        "messages": [{"role": "user", "content": "<image><image> <video>?"}],
        "images": ["cat.png", "/far/dog.png"],
    }
    done, apart = to_sharegpt(record, source, out)
    assert done["images"] == ["../in/cat.png", "/far/dog.png"]
    assert done["messages"][0]["content"] == "<image><image> < video>?"
    assert apart == 1
    parts = [{"type": "image_url", "image_url": {"url": "cat.png"}}, {"type": "text", "text": "<image>?"}]
    done, _ = to_sharegpt({"messages": [{"role": "user", "content": parts}]}, source, out)
    assert done["images"] == ["../in/cat.png"]
    assert done["messages"][0]["content"] == "<image>< image>?"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": ["a.png"]}, "0 <image> markers but 1 images"),
        ({"videos": ["a.mp4"]}, "'videos' cannot be carried"),
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
        to_sharegpt(record, tmp_path, tmp_path)


def test_other_fields_are_kept(tmp_path):
    record = json.loads('{"messages": [{"role": "user", "content": "a", "name": "x"}], "z": {"deep": [1.5, null]}}')
    done, _ = to_sharegpt(record, tmp_path, tmp_path)
    assert done == {**record, "images": []}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "\ud800"}, r"lone surrogate \(U\+D800\)"),
        ({"x": float("inf")}, "cannot be written as JSON"),
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
