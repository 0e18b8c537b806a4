"""Shards are found once complete, in order, with the texts of train; a sentence outside train is passed over."""

import json
from pathlib import Path

import numpy as np

from studies.bundled_model.partition import Sentence, load_partition
from studies.bundled_model.shards import SegmentStore


def _write(cache: Path, number: int, sentences: list[Sentence]) -> None:
    waveforms = [np.full(100 + index, number * 10 + index, np.int16) for index in range(len(sentences))]
    offsets = np.cumsum([0, *map(len, waveforms)])
    rows = [
        {"pairs": sentence.pair_ids, "voice": "flite:slt", "offset": int(offset), "samples": len(waveform)}
        for sentence, offset, waveform in zip(sentences, offsets, waveforms, strict=False)
    ]
    np.save(cache / f"shard-{number:04d}.npy", np.concatenate(waveforms))
    (cache / f"shard-{number:04d}.json").write_text(json.dumps(rows))


def test_store_grows_by_complete_shards_in_order(tmp_path: Path) -> None:
    parts = load_partition()
    held_out = parts.held_out["test"][0][0]
    _write(tmp_path, 0, [parts.train[0], held_out, parts.train[1]])
    np.save(tmp_path / "shard-0001.npy", np.zeros(5, np.int16))
    store = SegmentStore(tmp_path)
    assert len(store) == 2
    waveform, pair_ids = store.segment(1)
    np.testing.assert_array_equal(waveform, np.full(102, 2, np.int16))
    assert pair_ids == parts.train[1].pair_ids
    assert store.texts(1) == (parts.train[1].english, parts.train[1].germans)
    assert store.duration_s(1) == 102 / 16_000
    _write(tmp_path, 2, [parts.train[3]])
    assert store.refresh() == 2  # shard 1 is not complete: showing shard 2 now would move indices later
    _write(tmp_path, 1, [parts.train[2]])
    assert store.refresh() == 4
    assert [store.texts(index)[0] for index in range(4)] == [sentence.english for sentence in parts.train[:4]]
