"""Posteriors on disk: what was written comes back, padded in batches, and a damaged folder is none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.recover.top_k import NONE, Posteriors, TopK, write_posteriors

LENGTHS = [3, 1, 2]


def _write(folder: Path, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    ids = [generator.integers(0, 9, (length, 4)).astype(np.int16) for length in LENGTHS]
    logs = [generator.normal(-3, 1, (length, 4)).astype(np.float16) for length in LENGTHS]
    write_posteriors(folder, np.concatenate(ids), np.concatenate(logs), [[1, 2], [], [3]], LENGTHS)
    return ids, logs


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    ids, logs = _write(tmp_path / "a")
    found = Posteriors.load(tmp_path / "a", 3)
    assert len(found) == 3
    for number in range(3):
        for expected, array in zip((ids[number], logs[number]), found.top_k(number), strict=True):
            assert np.array_equal(expected, array)
    assert [found.heard(number) for number in range(3)] == [(1, 2), (), (3,)]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_folders_join_and_number_through(tmp_path: Path) -> None:
    _write(tmp_path / "a")
    ids, _ = _write(tmp_path / "b", seed=1)
    parts = [Posteriors.load(tmp_path / name, 3) for name in "ab"]
    joined = Posteriors.join(parts)
    assert len(joined) == 6
    assert np.array_equal(joined.top_k(5)[0], ids[2])
    assert joined.heard(3) == (1, 2)
    with pytest.raises(IndexError, match="posteriors hold 6 targets"):
        joined.top_k(6)


def test_a_batch_is_padded(tmp_path: Path) -> None:
    ids, logs = _write(tmp_path / "a")
    batch = Posteriors.load(tmp_path / "a", 3).batch([1, 0])
    assert (batch.ids.dtype, batch.logs.dtype, batch.ids.shape) == (torch.int64, torch.float32, (2, 3, 4))
    assert batch.ids[0].tolist() == [ids[1][0].tolist(), [NONE] * 4, [NONE] * 4]
    assert torch.equal(batch.logs[1], torch.from_numpy(logs[0].astype(np.float32)))
    assert not batch.logs[0, 1:].any()
    assert isinstance(batch.to(torch.device("meta")), TopK)


@pytest.mark.parametrize("fault", ["missing", "cut", "count", "empty"])
def test_a_damaged_folder_is_none(tmp_path: Path, fault: str) -> None:
    _write(tmp_path / "a")
    if fault == "missing":
        (tmp_path / "a" / "logs.npy").unlink()
    if fault == "cut":
        file = tmp_path / "a" / "ids.npy"
        file.write_bytes(file.read_bytes()[:-4])
    if fault == "empty":
        (tmp_path / "a" / "ends.npy").write_bytes(b"")
    with pytest.raises(ValueError, match="a folder of posteriors must"):
        Posteriors.load(tmp_path / "a", 4 if fault == "count" else 3)
