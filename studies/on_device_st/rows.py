"""A row that is measured: quality on test in three ways, bytes, work, latency and the tokens that drive it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from paredown.data import Split
from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from studies.on_device_st.first_utterance import first_utterance_bleu
from studies.on_device_st.paper import ORIGINAL, Printed
from studies.reproduction.bench import FIXED_TOKENS, Bench
from studies.reproduction.result import Column, Figure, Row

FEW_UTTERANCES = 200  # where a loss is large, or only latency is the point

FIRST = Column('its "BLEU"')  # of the first utterance
SIZE = Column("size, MiB")
LATENCY = Column("latency, s", 3)
RATIO = Column("latency ratio", 2)
FIXED = Column(f"ratio at {FIXED_TOKENS} tokens", 2, ours_only=True)
TOKENS = Column("tokens", ours_only=True)
CAPS = Column("cut off, %", ours_only=True)
BLEU = Column("BLEU", ours_only=True)
CHRF = Column("chrF", ours_only=True)
LOSS = Column("chrF to original", sign=True, ours_only=True)
WORK = Column("GMACs", 2, ours_only=True)


def few(bench: Bench) -> Split:
    """The first utterances of test."""
    return bench.test.first(FEW_UTTERANCES)


def printed(row: Printed) -> dict[str, Figure]:
    """The paper's figures of a row by column; the ratio of latencies is worked out from the two that are printed."""
    ratio = round(row.latency_s / ORIGINAL.latency_s, 2)
    found: dict[str, Figure] = {FIRST.name: row.bleu, LATENCY.name: row.latency_s, RATIO.name: ratio}
    return found if row.size_mib is None else found | {SIZE.name: row.size_mib}


def measured(
    bench: Bench,
    name: str,
    configuration: Configuration,
    latency: Mapping[str, Any] | None = None,
    paper: Mapping[str, Figure] | None = None,
    split: Split | None = None,
) -> Row:
    """All figures of a configuration, on test or another split. `latency`: of `timing.time_together`, None where it is not timed."""
    began = time.monotonic()
    ours, intervals = _quality(bench, configuration, split)
    tokens, hits = bench.tokens(configuration, split)
    ours |= {TOKENS.name: tokens, CAPS.name: 100.0 * hits / len(bench.test if split is None else split)}
    ours |= {SIZE.name: bench.size(configuration)[0] / 2**20, WORK.name: bench.macs(configuration) / 1e9}
    if latency is not None:
        timed, around = latencies(latency)
        ours, intervals = ours | timed, intervals | around
    return Row(name, paper or {}, ours, intervals, seconds=time.monotonic() - began)


def latencies(latency: Mapping[str, Any]) -> tuple[dict[str, Figure], dict[str, tuple[float, float]]]:
    """Figures and intervals of a timed candidate: its stable JSON, as bench and `timing` give it."""
    ours: dict[str, Figure] = {LATENCY.name: latency["median"] / 1000.0, RATIO.name: latency["ratio"]["value"]}
    intervals = {RATIO.name: tuple(latency["ratio"]["ci95"])}
    if latency["fixed_tokens_ratio"] is not None:
        ours[FIXED.name] = latency["fixed_tokens_ratio"]["value"]
        intervals[FIXED.name] = tuple(latency["fixed_tokens_ratio"]["ci95"])
    return ours, intervals


def tried(name: str, paper: Mapping[str, Figure], make: Callable[[], Row]) -> Row:
    """The row, or why it cannot be: what the model, the machine or the data does not have."""
    try:
        return make()
    except BadInput as error:
        return Row(name, paper, not_run=str(error))


def _quality(bench: Bench, configuration: Configuration, split: Split | None) -> tuple[dict[str, Figure], dict[str, tuple[float, float]]]:
    texts, references = bench.texts(configuration, split), bench.references(split)
    bleu, chrf = (bench.score(metric, configuration, split) for metric in ("bleu", "chrf"))
    ours: dict[str, Figure] = {FIRST.name: first_utterance_bleu(texts, references), BLEU.name: bleu.value, CHRF.name: chrf.value}
    intervals = {one.name: found.ci95 for one, found in ((BLEU, bleu), (CHRF, chrf)) if found.ci95 is not None}
    loss = bench.beside("chrf", configuration, bench.whole, split)
    return ours | {LOSS.name: loss.value}, intervals | {LOSS.name: loss.ci95}
