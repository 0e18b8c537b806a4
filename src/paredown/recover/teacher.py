"""The teacher: the uncompressed network's posteriors at every position of every target, once for all training, on disk.

Teacher-forced on the target, on clean features of the model's own frontend (no SpecAugment, no dropout), in batches of like length, with
bfloat16 products where the hardware has them. The most likely k tokens are kept (the 8 of the bundled model hold 86 % of the mass; most of
the rest is the even share that label smoothing gave to every token), and what a source CTC spells greedily, which can stand in for the text
of audio that has none.

Made in shards: after a kill, the shards that are there are not computed again.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from espnet.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from paredown.errors import BadInput
from paredown.models.frontend import FrontendSettings, LogMelFrontend
from paredown.models.model import Model
from paredown.models.network import Network
from paredown.npz import write_npz
from paredown.recover.batch import PADDING, pad_ids
from paredown.recover.cpu_layers import speed_up
from paredown.recover.hearing import count_frames, count_states, hear
from paredown.recover.items import Item, describe_targets
from paredown.recover.precision import has_bfloat16
from paredown.recover.top_k import NONE, Posteriors, write_posteriors
from paredown.user_cache import cache_folder, unwritable

SCHEMA = 1
SHARD_BATCHES = 64
BLANK = 0
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TeacherSettings:
    """`k`: tokens kept a position; `batch_s`: seconds of audio in a batch, padding counted; `autocast`: products in bfloat16."""

    k: int = 8
    batch_s: float = 120.0
    autocast: bool = False

    def __post_init__(self) -> None:
        if self.k < 1 or self.batch_s <= 0:
            raise ValueError(f"a teacher must keep 1 token or more of batches above 0 s, got {self.k} and {self.batch_s:g} s")


def find_posteriors(
    model: Model,
    items: Sequence[Item],
    digests: dict[str, str],
    settings: TeacherSettings | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    unit: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Posteriors:
    """The teacher's posteriors of every item, in their order, from `folder` (default: the user's cache) where they were made before.

    `digests`: of the data that items of each origin are from; items of one origin stand together, and are kept together, so that another
    mixture finds them. `progress(done, total)` counts batches; each batch is computed inside of a `unit`. An utterance too short for the
    model's own frontend gets none (ids of -1). Raises BadInput for audio that cannot be read, or a cache that cannot be written.
    """
    settings = settings or TeacherSettings(autocast=has_bfloat16(next(model.network.parameters()).device))
    root, parts = (cache_folder() if folder is None else folder) / "posteriors", []
    for origin, group in groupby(items, key=lambda item: item.origin):
        some = tuple(group)
        target = root / posteriors_key(model, some, digests[origin], settings)
        found = _load(target, len(some))
        if found is None:
            try:
                root.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{target}.lock"):  # another process waits, and then finds them
                    found = _load(target, len(some)) or _compute(model, some, settings, target, progress, unit)
            except OSError as error:
                raise unwritable(root, error) from error
        parts.append(found)
    return Posteriors.join(parts)


def _load(folder: Path, targets: int) -> Posteriors | None:
    try:
        return Posteriors.load(folder, targets)
    except ValueError:
        return None


def posteriors_key(model: Model, items: Sequence[Item], data_digest: str, settings: TeacherSettings) -> str:
    """SHA-256 of everything that determines the posteriors of items: model, data, targets, settings."""
    targets = hashlib.sha256(describe_targets(items)).hexdigest()
    kept = [settings.k, settings.batch_s, settings.autocast]
    return hashlib.sha256(json.dumps([SCHEMA, model.digest, data_digest, targets, kept]).encode()).hexdigest()


@dataclass(frozen=True)
class _Work:
    """A batch of the teacher: numbers of the items, of one utterance or another, and the file of each distinct utterance."""

    files: tuple[Path, ...]
    items: tuple[int, ...]
    rows: tuple[int, ...]  # the file of each item


def plan_work(items: Sequence[Item], network: Network, settings: TeacherSettings, frontend: FrontendSettings) -> list[_Work]:
    """Batches in the order of length; targets of one utterance share a batch, and its states. What is too short is in none."""
    audible = [number for number, item in enumerate(items) if count_states(count_frames(item.seconds, frontend), network) >= 1]
    order = sorted(audible, key=lambda number: (items[number].seconds, str(items[number].audio), number))
    work: list[_Work] = []
    files: list[Path] = []
    found: list[tuple[int, int]] = []

    def close() -> None:
        if found:
            work.append(_Work(tuple(files), tuple(number for number, _ in found), tuple(row for _, row in found)))
        files.clear()
        found.clear()

    for audio, group in groupby(order, key=lambda number: items[number].audio):
        numbers = tuple(group)
        if (len(files) + 1) * items[numbers[0]].seconds > settings.batch_s:
            close()
        found.extend((number, len(files)) for number in numbers)
        files.append(audio)
    close()
    return work


class _Heard(Dataset[tuple[Tensor, Tensor] | BadInput]):
    """Features of each batch, made in a background process."""

    def __init__(self, work: Sequence[_Work], frontend: FrontendSettings) -> None:
        self._work, self._frontend = work, LogMelFrontend(frontend)

    def __len__(self) -> int:
        return len(self._work)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor] | BadInput:
        try:
            features, frames, _ = hear(self._frontend, self._work[index].files)
        except BadInput as error:
            return error
        return features, frames


def _compute(
    model: Model,
    items: Sequence[Item],
    settings: TeacherSettings,
    target: Path,
    progress: Progress | None,
    unit: Callable[[], AbstractContextManager[object]],
) -> Posteriors:
    """Computes what no shard holds yet, and writes the folder `target`."""
    work = plan_work(items, model.network, settings, model.frontend)
    shards = [work[start : start + SHARD_BATCHES] for start in range(0, len(work), SHARD_BATCHES)]
    draft = target.with_name(f"{target.name}.shards")
    draft.mkdir(parents=True, exist_ok=True)
    todo = [number for number in range(len(shards)) if not (draft / f"{number}.npz").is_file()]  # written in one step each
    reader = _Reader(model, items, settings)
    features = iter(_load_features([batch for number in todo for batch in shards[number]], model.frontend))
    done = sum(len(shard) for number, shard in enumerate(shards) if number not in todo)
    for number in todo:
        found = []
        for batch in shards[number]:
            heard = next(features)
            if isinstance(heard, BadInput):
                raise heard
            with unit():
                found.append(reader.read(batch, *heard))
            done += 1
            if progress is not None:
                progress(done, len(work))
        write_npz(draft / f"{number}.npz", _join(found))
    _assemble(items, settings, [draft / f"{number}.npz" for number in range(len(shards))], target, len(model.tokens))
    shutil.rmtree(draft, ignore_errors=True)
    return Posteriors.load(target, len(items))


def _load_features(work: Sequence[_Work], frontend: FrontendSettings) -> Iterator[tuple[Tensor, Tensor] | BadInput]:
    if not work:
        return iter(())
    quiet = torch.Generator()  # torch's global one is left alone
    loader: DataLoader[tuple[Tensor, Tensor] | BadInput] = DataLoader(
        _Heard(work, frontend), batch_size=None, num_workers=1, prefetch_factor=8, worker_init_fn=_begin, generator=quiet
    )
    return iter(loader)


def _begin(_: int) -> None:
    torch.set_num_threads(1)


class _Reader:
    """A copy of the network in the forms that compute faster, and what it says of a batch."""

    def __init__(self, model: Model, items: Sequence[Item], settings: TeacherSettings) -> None:
        self._network, self._sos = copy.deepcopy(model.network).eval(), model.sos
        self._device = next(self._network.parameters()).device
        if self._device.type == "cpu":
            speed_up(self._network, 0, pool_values=2)  # nothing is dropped in evaluation, so the pool stays unused
        self._items, self._settings = items, settings

    @torch.inference_mode()
    def read(self, work: _Work, features: Tensor, frames: Tensor) -> dict[str, NDArray[np.generic]]:
        """Positions [positions, k] of the batch's items one after the other, and the source that is heard of each."""
        network, device = self._network, self._device
        features, frames = features.to(device), frames.to(device)
        tokens, lengths = pad_ids([self._items[number].tokens for number in work.items])
        with torch.autocast(device.type, torch.bfloat16, enabled=self._settings.autocast):
            states, steps = network.encode(network.normalized(features, frames), frames)
            rows = torch.tensor(work.rows, device=device)
            ys_in, _ = add_sos_eos(tokens.to(device), self._sos, self._sos, PADDING)
            logits, _ = network.decoder(states[rows], steps[rows], ys_in, (lengths + 1).to(device))
        k = min(self._settings.k, logits.size(-1))
        logs, ids = torch.log_softmax(logits.float(), dim=-1).topk(k, dim=-1)
        inside = torch.arange(logits.size(1))[None] <= lengths[:, None]
        heard = self._spell(states.float(), steps)
        spelled = [heard[row] for row in work.rows]
        return {
            "items": np.array(work.items, np.int64),
            "ids": ids.cpu()[inside].numpy().astype(_id_type(logits.size(-1))),
            "logs": logs.cpu()[inside].numpy().astype(np.float16),
            "heard": np.array([token for each in spelled for token in each], np.int32),
            "heard_lengths": np.array([len(each) for each in spelled], np.int64),
        }

    def _spell(self, states: Tensor, steps: Tensor) -> list[list[int]]:
        """The best path of the source CTC, repetitions and blanks taken out; nothing where there is no such CTC."""
        head = self._network.source_ctc
        if head is None:
            return [[] for _ in steps]
        paths = [row[:count].unique_consecutive() for row, count in zip(head.argmax(states).cpu(), steps.tolist(), strict=True)]
        return [path[path != BLANK].tolist() for path in paths]


def _join(found: Sequence[dict[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _assemble(items: Sequence[Item], settings: TeacherSettings, shards: Sequence[Path], target: Path, vocabulary: int) -> None:
    """One folder of all shards, the targets in the order of the items."""
    lengths = np.array([len(item.tokens) + 1 for item in items], np.int64)
    starts, k = np.concatenate([[0], np.cumsum(lengths)]), min(settings.k, vocabulary)
    ids, logs = np.full((starts[-1], k), NONE, _id_type(vocabulary)), np.zeros((starts[-1], k), np.float16)
    heard: list[list[int]] = [[] for _ in items]
    for shard in shards:
        with np.load(shard, allow_pickle=False) as arrays:
            position = spelled = 0
            all_ids, all_logs, all_heard = arrays["ids"], arrays["logs"], arrays["heard"].tolist()
            for number, count in zip(arrays["items"].tolist(), arrays["heard_lengths"].tolist(), strict=True):
                span, there = slice(starts[number], starts[number + 1]), slice(position, position + lengths[number])
                ids[span], logs[span] = all_ids[there], all_logs[there]
                heard[number] = all_heard[spelled : spelled + count]
                position, spelled = there.stop, spelled + count
    write_posteriors(target, ids, logs, heard, lengths.tolist())


def _id_type(vocabulary: int) -> type[np.int16] | type[np.int32]:
    return np.int16 if vocabulary <= np.iinfo(np.int16).max else np.int32
