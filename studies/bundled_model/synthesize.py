"""Synthesises the train corpus into `cache/`: shards of a random plan, each written whole, so that any shards are a random sample.

`python -m studies.bundled_model.synthesize` continues where it stopped. A shard is `shard-0007.npy` (int16, all segments end to end)
and `shard-0007.json` (one row a segment), which is written last: it being there means that the shard is complete.
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studies.bundled_model.engines import RATE_HZ, Samples, Speaker
from studies.bundled_model.partition import SEED, load_partition
from studies.bundled_model.voices import Voice, draw_distinct_voices

CACHE = Path(__file__).parent / "cache"
VOICES_PER_SENTENCE = 2
SEGMENTS_PER_SHARD = 1500


@dataclass(frozen=True)
class Job:
    """One segment to make: the English line, the ids of its pairs, the voice."""

    english: str
    pair_ids: tuple[int, ...]
    voice: Voice


def plan_jobs(seed: int = SEED) -> tuple[Job, ...]:
    """Every train sentence with two voices of different speakers, in random order; equal seeds give equal plans."""
    rng = np.random.default_rng([seed, 1])
    jobs = [
        Job(sentence.english, sentence.pair_ids, voice)
        for sentence in load_partition().train
        for voice in draw_distinct_voices(VOICES_PER_SENTENCE, rng)
    ]
    return tuple(jobs[index] for index in rng.permutation(len(jobs)))


def write_shard(number: int, jobs: tuple[Job, ...], speaker: Speaker, cache: Path) -> float:
    """Makes one shard and gives its seconds of audio; engines and voices are taken in turn, the plan's order is stored."""
    waveforms: list[Samples] = [np.empty(0, np.int16)] * len(jobs)
    for index in sorted(range(len(jobs)), key=lambda index: (jobs[index].voice.engine, jobs[index].voice.name)):
        waveforms[index] = speaker.say(jobs[index].english, jobs[index].voice)
    rows, offset = [], 0
    for job, waveform in zip(jobs, waveforms, strict=True):
        if len(waveform):
            rows.append({"pairs": job.pair_ids, "voice": str(job.voice), "offset": offset, "samples": len(waveform)})
            offset += len(waveform)
    stem = cache / f"shard-{number:04d}"
    with open(f"{stem}.npy.part", "wb") as stream:
        np.save(stream, np.concatenate(waveforms))
    os.replace(f"{stem}.npy.part", f"{stem}.npy")
    Path(f"{stem}.json.part").write_text(json.dumps(rows))
    os.replace(f"{stem}.json.part", f"{stem}.json")
    return offset / RATE_HZ


def _work(worker: int, workers: int, cache: Path) -> None:
    """Makes every shard of this worker that is not there yet."""
    jobs = plan_jobs()
    shards = range(worker, -(-len(jobs) // SEGMENTS_PER_SHARD), workers)
    for number in shards:
        if (cache / f"shard-{number:04d}.json").exists():
            continue
        start_s = time.perf_counter()
        chosen = jobs[number * SEGMENTS_PER_SHARD : (number + 1) * SEGMENTS_PER_SHARD]
        audio_s = write_shard(number, chosen, Speaker(), cache)
        print(f"shard {number} of {shards.stop}: {audio_s:.0f} s of audio in {time.perf_counter() - start_s:.0f} s", flush=True)


def main() -> None:
    """Synthesises all shards with the given number of processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.workers) as pool:
        for future in [pool.submit(_work, worker, options.workers, options.cache) for worker in range(options.workers)]:
            future.result()


if __name__ == "__main__":
    main()
