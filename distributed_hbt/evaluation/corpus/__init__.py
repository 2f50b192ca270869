"""Corpora on disk: reading, checking, cutting into shards. Nothing here holds a corpus in memory."""
