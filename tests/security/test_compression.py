"""There are no compression bombs, because nothing is compressed, and what is read is never larger than what came."""

import ast
import tracemalloc
from pathlib import Path

import pytest

import shoal
from shoal.wire.dialect import DecodeError
from shoal.wire.messages import Compare, SyncRequest
from shoal.wire.native import NativeDialect
from shoal.wire.varint import write_varint
from tests.swim.harness import node_id

COMPRESSORS = {"zlib", "gzip", "bz2", "lzma", "zipfile", "lz4", "snappy", "zstandard", "brotli", "compression"}
DIALECT = NativeDialect("shoal")


def test_nothing_that_talks_to_peers_can_decompress() -> None:
    root = Path(shoal.__file__).parent
    for floor in ("wire", "swim", "state", "net"):
        for path in (root / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not {name.partition(".")[0] for name in names} & COMPRESSORS, path


@pytest.mark.parametrize("kind", [SyncRequest, Compare])
def test_a_number_that_announces_much_reserves_nothing(kind: type) -> None:
    if kind is SyncRequest:
        data = DIALECT.encode(SyncRequest(0, 0, node_id(1), [], []))[:-1] + write_varint((1 << 32) - 1)
    else:
        data = DIALECT.encode(Compare(0, 0, node_id(1), 0, 0, []))[:-1] + write_varint((1 << 32) - 1)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            DIALECT.decode(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
