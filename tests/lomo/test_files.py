"""Input files: told by content, read in order; a broken element costs itself, a broken file says what it should be."""

import gzip
import io
import json
import sys

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from gpurender.lomo.files import InputError, check_file, read_records
from gpurender.lomo.records import RecordError, parse_line

RECORDS = [{"id": f"r{i}", "messages": [{"role": "user", "content": f"{i} é \u2028 $x$"}]} for i in range(300)]


def as_jsonl(records):
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def as_json(records):
    return json.dumps(records, ensure_ascii=False, indent=1).encode()


def as_parquet(records):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), file, row_group_size=70)
    return file.getvalue()


def zstd(data):
    """Two frames and one to be skipped, as parallel writers leave them."""
    half, compress = len(data) // 2, zstandard.ZstdCompressor().compress
    return b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + compress(data[:half]) + compress(data[half:])


CONTAINERS = {
    "jsonl": as_jsonl,
    "json": as_json,
    "parquet": as_parquet,
    "jsonl.gz": lambda records: gzip.compress(as_jsonl(records)),
    "json.gz": lambda records: gzip.compress(as_json(records)),
    "jsonl.zst": lambda records: zstd(as_jsonl(records)),
    "json.zst": lambda records: zstd(as_json(records)),
}


def values(path):
    found = list(read_records(path))
    return [parse_line(r.data) if isinstance(r.data, bytes) else r.data for r in found], found


@pytest.mark.parametrize("container", CONTAINERS)
def test_records_are_told_by_content(tmp_path, container):
    path = tmp_path / "no-name-tells"
    path.write_bytes(CONTAINERS[container](RECORDS))
    check_file(path)
    records, found = values(path)
    assert records == RECORDS
    assert [r.number for r in found] == list(range(1, 301))
    positions = [r.position for r in found]
    assert positions == sorted(positions)
    assert path.stat().st_size * 0.9 < positions[-1] <= path.stat().st_size


def test_lines_are_numbered_and_blank_ones_left_out(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \r\n{"b": "\xe2\x80\xa8"}\n{"c": 3}')
    records, found = values(path)
    assert [r.number for r in found] == [1, 4, 5]
    assert records == [{"a": 1}, {"b": "\u2028"}, {"c": 3}]


@pytest.mark.parametrize("text", ["[]", "\ufeff [ ]\n", '[{"a": 1},\n\t{"b": [{}]}]  ', '[1, "x", null]'])
def test_arrays(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    assert values(path)[0] == json.loads(text.lstrip("\ufeff"))


def test_a_broken_first_line_makes_no_other_file_of_it(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'broken\n{"a": 1}\n{"a": \n')
    lines = [record.data for record in read_records(path)]
    assert lines == [b"broken\n", b'{"a": 1}\n', b'{"a": \n']


def test_a_bad_element_costs_itself_alone(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"a": NaN}, {"a": %s}, 3, {"a": 1}]' % (b"1" * 5000))
    found = list(read_records(path))
    for record in found[:2]:
        with pytest.raises(RecordError, match="not JSON"):
            parse_line(record.data)
    assert [parse_line(record.data) for record in found[2:]] == [3, {"a": 1}]


BROKEN = {
    "nothing": (b"", "input is empty"),
    "blanks": (b" \n\n\t", "input is empty"),
    "no content": (gzip.compress(b""), "input is empty in gzip"),
    "text": (b"a,b\n1,2\n", r"input is no file of records: it begins with b'a,b\n1,2\n'; expected JSONL (one object a"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\n{", "it begins with b'\\x89PNG"),
    "UTF-16": ('{"a": 1}\n'.encode("utf-16"), "it begins with b'\\xff\\xfe{"),
    "picture in gzip": (gzip.compress(b"\x89PNG\0"), "is no file of records in gzip: it begins with b'\\x89PNG"),
    "parquet in gzip": (gzip.compress(as_parquet(RECORDS)), "is no file of records in gzip: it begins with b'PAR1"),
    "short gzip": (gzip.compress(as_jsonl(RECORDS))[:-9], "input is broken: Compressed file ended before"),
    "shorter gzip": (gzip.compress(as_jsonl(RECORDS))[:12], "input is broken: Compressed file ended before"),
    "damaged gzip": (gzip.compress(as_jsonl(RECORDS))[:-8] + b"\0" * 8, "input is broken: CRC check failed"),
    "damaged gzip data": (b"\x1f\x8b\x08" + b"\xff" * 90, "input is broken: "),
    "short zstandard": (zstd(as_jsonl(RECORDS))[:-3], "input is broken: Compressed file ended before"),
    "damaged zstandard": (zstd(as_jsonl(RECORDS)) + b"\xff" * 90, "input is broken: zstd decompress"),
    "short parquet": (as_parquet(RECORDS)[:-100], "input is broken parquet: "),
    "damaged parquet": (b"PAR1" + b"\0" * 3000 + as_parquet(RECORDS)[3000:], "input is broken parquet: "),
    "short array": (as_json(RECORDS)[:-4], "input is not a JSON array, element 300: "),
    "two arrays": (b"[{}] [{}]", "input is not a JSON array, element 1: Expecting ',' or ']', and nothing after"),
    "comma at the end": (b"[{},]", "input is not a JSON array, element 2: "),
    "deep array": (b"[" * 100_000, "input is not a JSON array, element 1: "),
    "array not in UTF-8": (b'[{"a": "\xff"}]', "input is not UTF-8 at byte 8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named(tmp_path, case):
    data, message = BROKEN[case]
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        list(read_records(path))
    assert message in raised.value.strerror
    assert raised.value.filename == str(path)


@pytest.mark.parametrize(("container", "library"), [("parquet", "pyarrow"), ("jsonl.zst", "zstandard")])
def test_what_is_not_installed_is_named_with_its_command(tmp_path, monkeypatch, container, library):
    path = tmp_path / "a"
    path.write_bytes(CONTAINERS[container](RECORDS))
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r'pip install "gpurender\[data\]"'):
        check_file(path)


def test_a_highly_compressed_file_is_read_in_pieces(tmp_path):
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b'{"a": 1}' + b" " * 30_000_000 + b"\n" + b'{"a": 2}'))
    assert values(path)[0] == [{"a": 1}, {"a": 2}]
