"""Readers of published image-text corpora, one corpus a file: each yields the records of a shard set."""
