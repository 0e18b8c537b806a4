"""Utterances with their references: JSONL and TSV manifests, Kaldi-style folders, and the splits that come with paredown."""

from paredown.data.bundled import bundled_folder, bundled_split
from paredown.data.split import Split, Utterance, load_split

__all__ = ["Split", "Utterance", "bundled_folder", "bundled_split", "load_split"]
