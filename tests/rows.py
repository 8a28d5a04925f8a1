"""Rows of a view, one by one or in columns."""

from array import array

from shoal.snapshot import Snapshot
from shoal.state.precedence import incarnation_of, pack, state_of
from shoal.wire.messages import SyncRecord
from shoal.wire.records import NativeRecords

__all__ = ["records_of", "rows"]

_RECORDS = NativeRecords()


def rows(*records: SyncRecord) -> Snapshot:
    """Records in columns."""
    return Snapshot(
        array("Q", [pack(record.incarnation, record.state) for record in records]),
        array("d", [record.age for record in records]),
        [_RECORDS.pack(record.info) for record in records],
        {number: record.testimony for number, record in enumerate(records) if record.testimony},
    )


def records_of(rows: Snapshot) -> list[SyncRecord]:
    """Columns as records."""
    return [
        SyncRecord(
            _RECORDS.unpack(record), state_of(belief), incarnation_of(belief), age, rows.testimonies.get(number, b"")
        )
        for number, (belief, age, record) in enumerate(zip(rows.beliefs, rows.ages, rows.records, strict=True))
    ]
