"""Utterances with their references: JSONL and TSV manifests, Kaldi-style folders, and the splits that come with paredown."""

from paredown.data.audio_check import check_audio
from paredown.data.bundled import PREFIX, bundled_folder, open_data
from paredown.data.split import Split, Utterance, load_split

__all__ = ["PREFIX", "Split", "Utterance", "bundled_folder", "check_audio", "load_split", "open_data"]
