"""The Parquet layout of shards: schema, rows to tables and back."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rc3mm.datasets.shards.record import ImageTextRecord

__all__ = ['open_parquet', 'record_of', 'record_schema', 'relevance_schema', 'row_group_writer', 'table_of']

_UNCOMPRESSED = 'image.bytes'  # encoded images do not shrink


def record_schema() -> pa.Schema:
    """Columns of a shard; the metadata lets the `datasets` library decode the images by itself."""
    text = pa.struct([('language', pa.string()), ('text', pa.string())])
    fields = [
        ('image_id', pa.string()),
        ('image', pa.struct([('bytes', pa.binary()), ('path', pa.string())])),
        ('texts', pa.list_(text)),
        ('relevance', _scores_type()),
        ('source_id', pa.string()),
        ('url', pa.string()),
    ]
    string = {'dtype': 'string', '_type': 'Value'}
    scores = {
        'first': {'dtype': 'int16', '_type': 'Value'},
        'second': {'dtype': 'int16', '_type': 'Value'},
        'score': {'dtype': 'float32', '_type': 'Value'},
    }
    features = {
        'image_id': string,
        'image': {'_type': 'Image'},
        'texts': {'feature': {'language': string, 'text': string}, '_type': 'List'},
        'relevance': {'feature': scores, '_type': 'List'},
        'source_id': string,
        'url': string,
    }
    return pa.schema(fields, metadata={'huggingface': json.dumps({'info': {'features': features}})})


def relevance_schema() -> pa.Schema:
    """Columns of a file of scores."""
    return pa.schema([('relevance', _scores_type())])


def _scores_type() -> pa.DataType:
    return pa.list_(pa.struct([('first', pa.int16()), ('second', pa.int16()), ('score', pa.float32())]))


def table_of(records: Sequence[ImageTextRecord]) -> pa.Table:
    """A table of records."""
    schema = record_schema()
    columns = [
        [record.image_id for record in records],
        [_image_struct(record) for record in records],
        [[{'language': language, 'text': text} for language, text in record.texts] for record in records],
        [_score_structs(record.relevance) for record in records],
        [record.source_id for record in records],
        [record.url for record in records],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _image_struct(record: ImageTextRecord) -> dict[str, Any] | None:
    if record.image_bytes is None and record.image_path is None:
        return None
    return {'bytes': record.image_bytes, 'path': record.image_path}


def _score_structs(scores: Sequence[tuple[int, int, float]] | None) -> list[dict[str, Any]] | None:
    if scores is None:
        return None
    return [{'first': first, 'second': second, 'score': score} for first, second, score in scores]


def record_of(row: Mapping[str, Any]) -> ImageTextRecord:
    """The record of a row as Python objects; columns that were not read are left empty."""
    image = row.get('image') or {}
    scores = row.get('relevance')
    return ImageTextRecord(
        image_id=row['image_id'],
        texts=tuple((text['language'], text['text']) for text in row['texts']),
        image_bytes=image.get('bytes'),
        image_path=image.get('path'),
        relevance=None if scores is None else tuple((s['first'], s['second'], s['score']) for s in scores),
        source_id=row.get('source_id'),
        url=row.get('url'),
    )


def row_group_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A `ParquetWriter`: zstd and checksums of pages; image bytes as they are, without a dictionary."""
    probe = _leaves(schema)
    others = [leaf for leaf in probe if leaf != _UNCOMPRESSED]
    return pq.ParquetWriter(
        path,
        schema,
        compression={leaf: 'none' if leaf == _UNCOMPRESSED else 'zstd' for leaf in probe},
        use_dictionary=others,
        write_statistics=others,
        write_page_checksum=True,
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of the columns in the file, as Parquet names them."""

    def walk(kind: pa.DataType, path: str) -> list[str]:
        types = pa.types
        if types.is_struct(kind):
            return [leaf for field in kind for leaf in walk(field.type, f'{path}.{field.name}')]
        if types.is_list(kind):
            return walk(kind.value_type, f'{path}.list.element')
        return [path]

    return [leaf for field in schema for leaf in walk(field.type, field.name)]


def open_parquet(path: Path) -> pq.ParquetFile:
    """A `ParquetFile` that checks the pages it reads.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read as Parquet.
    """
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'there is no {path}; the shard set is not whole') from error
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise ValueError(f'{path} cannot be read as Parquet, truncated?: {error}') from error
