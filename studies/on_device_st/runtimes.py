"""ESPnet in torch beside bundles: everything that Figure 5 combines, timed in one session, utterance by utterance in random order.

ESPnet is slow, so it decodes the first utterances of test only; its fp32 text is the fp32 bundle's but for one utterance in a thousand.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paredown.data import Split
from paredown.errors import BadInput
from paredown.models import Model
from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.latency import Effort
from paredown.profilers.latency.session import Loaded, Subject, measure_latency
from paredown.profilers.machine_lock import machine_lock, machine_share
from paredown.profilers.pinning import pinned
from paredown.quality import Difference, paired_difference
from paredown.runtime import Translator
from paredown.runtime.audio import read_audio
from paredown.runtime.tokens import detokenize
from paredown.space.configuration import Configuration
from paredown.trials.evaluation import spread_by_length
from studies.on_device_st.espnet import Espnet, pruned, quantized
from studies.on_device_st.strategies import table_4
from studies.on_device_st.torch_files import saved_mib
from studies.reproduction.bench import FIXED_TOKENS, Bench

ESPNET, ESPNET_INT8, ESPNET_HALF = "torch float32", "torch qint8", "torch float16"
ESPNET_PRUNED, ESPNET_PRUNED_INT8 = "torch float32, pruned", "torch qint8, pruned"
BUNDLE, BUNDLE_INT8, BUNDLE_PRUNED, BUNDLE_PRUNED_INT8 = "runtime fp32", "runtime int8", "runtime fp32, pruned", "runtime int8, pruned"
IN_TORCH = (ESPNET, ESPNET_INT8, ESPNET_HALF, ESPNET_PRUNED, ESPNET_PRUNED_INT8)
IN_RUNTIME = (BUNDLE, BUNDLE_INT8, BUNDLE_PRUNED, BUNDLE_PRUNED_INT8)
DECODED_UTTERANCES, TIMED_UTTERANCES = 20, 12
EFFORT, TOY_EFFORT = Effort(repeats=2, seconds=180.0, warmup=6), Effort(warmup=0)


@dataclass(frozen=True)
class Runtimes:
    """`refused`: why a torch variant cannot be made, by name; `latency`: stable JSON by name, ratios to ESPnet's float32;
    `texts`: what the torch variants say of `split`; `sizes_mib`: of their weights as torch saves them.
    """

    split: Split
    refused: Mapping[str, str]
    latency: Mapping[str, Mapping[str, Any]]
    texts: Mapping[str, list[str]]
    tokens: Mapping[str, float]
    sizes_mib: Mapping[str, float]

    def beside(self, bench: Bench, name: str, other: str) -> Difference:
        """chrF of one minus another's, paired, on `split`: torch or bundle."""
        both = (self.texts_of(bench, each) for each in (name, other))
        return paired_difference("chrf", *both, bench.references(self.split))

    def texts_of(self, bench: Bench, name: str) -> list[str]:
        """What it says of `split`."""
        return self.texts[name] if name in self.texts else bench.texts(bundles(bench)[name])[: len(self.split)]


def bundles(bench: Bench) -> dict[str, Configuration]:
    """The four of this runtime."""
    return {
        BUNDLE: bench.whole,
        BUNDLE_INT8: bench.uniform(8),
        BUNDLE_PRUNED: table_4(bench, bench.whole),
        BUNDLE_PRUNED_INT8: table_4(bench, bench.uniform(8)),
    }


def compare_runtimes(bench: Bench) -> Runtimes:
    """All of them; kept by digest. Raises BadInput for a model that ESPnet's decoder alone does not decode."""
    if bench.whole.decode.ctc_weight:
        raise BadInput(f"ESPnet is run without a CTC here, the model decodes with a weight of {bench.whole.decode.ctc_weight:g}")
    split = bench.test.first(DECODED_UTTERANCES)
    made = [one.digest for one in bundles(bench).values()]
    machine = read_fingerprint(bench.threads).digest
    make = cache(lambda: _torch_models(bench))  # not where everything is known
    said = bench.remember("espnet", lambda: _decode(bench, *make(), split), made, split.digest, torch.__version__)
    parts = (made, spread_by_length(bench.test, TIMED_UTTERANCES).digest, machine, torch.__version__, bench.threads, bench.toy)
    latency = bench.remember("runtimes", lambda: _time(bench, make()[0]), *parts)
    return Runtimes(split, said["refused"], latency, said["texts"], said["tokens"], said["sizes_mib"])


def _torch_models(bench: Bench) -> tuple[dict[str, Model], dict[str, str]]:
    sparse = pruned(bench.model, table_4(bench, bench.whole))
    models, refused = {ESPNET: bench.model, ESPNET_PRUNED: sparse}, {}
    wanted = ((ESPNET_INT8, bench.model, torch.qint8), (ESPNET_HALF, bench.model, torch.float16), (ESPNET_PRUNED_INT8, sparse, torch.qint8))
    for name, model, dtype in wanted:
        try:
            models[name] = quantized(model, dtype)
        except BadInput as error:
            refused[name] = str(error)
    return models, refused


def _decode(bench: Bench, models: Mapping[str, Model], refused: Mapping[str, str], split: Split) -> dict[str, Any]:
    """Texts and mean tokens of the split, and bytes, of every torch variant."""
    texts, tokens, sizes = {}, {}, {}
    for name, model in models.items():
        espnet, found = Espnet.of(model, bench.whole.decode.beam_size), []
        for done, utterance in enumerate(split.utterances):
            bench.tell.progress(name, done, len(split))
            with machine_share():
                found.append(espnet.ids(read_audio(utterance.audio, model.frontend.sample_rate_hz)))
        texts[name] = [detokenize([model.tokens[token] for token in ids], model.token_type) for ids in found]
        tokens[name] = sum(map(len, found)) / len(found)
        sizes[name] = saved_mib(model.network.state_dict())
    return {"refused": dict(refused), "texts": texts, "tokens": tokens, "sizes_mib": sizes}


def _time(bench: Bench, models: Mapping[str, Model]) -> dict[str, Any]:
    """Free and at a fixed number of tokens; features and the whole search inside, reading the file is not."""
    split, rate_hz = spread_by_length(bench.test, TIMED_UTTERANCES), bench.model.frontend.sample_rate_hz
    waveforms = [read_audio(utterance.audio, rate_hz) for utterance in split.utterances]
    with ExitStack() as stack:
        folders = {name: stack.enter_context(bench.built(one)) for name, one in bundles(bench).items()}
        for hold in (machine_lock(), _threads(bench.threads), pinned(bench.threads)):
            stack.enter_context(hold)
        loads = {name: _load_torch(model, bench.whole.decode.beam_size, waveforms) for name, model in models.items()}
        loads |= {name: _load_bundle(folder, bench.threads, waveforms) for name, folder in folders.items()}
        seconds = [len(waveform) / rate_hz for waveform in waveforms]
        subject = Subject(loads, ESPNET, len(waveforms), seconds, FIXED_TOKENS)
        found = measure_latency(subject, TOY_EFFORT if bench.toy else EFFORT, np.random.default_rng(0))
    return {name: latency.to_dict() for name, latency in found.items()}


def _load_torch(model: Model, beam_size: int, waveforms: list[Any]) -> Any:
    espnet = Espnet.of(model, beam_size)
    free, fixed = (lambda item: len(espnet.ids(waveforms[item]))), (lambda item: len(espnet.ids(waveforms[item], FIXED_TOKENS)))
    return lambda: Loaded(free, fixed)


def _load_bundle(folder: Path, threads: int, waveforms: list[Any]) -> Any:
    def load() -> Loaded:
        translator = Translator.from_bundle(folder, threads=threads)
        return Loaded(
            lambda item: len(translator.translate(waveforms[item]).ids),
            lambda item: len(translator.translate(waveforms[item], fixed_tokens=FIXED_TOKENS).ids),
        )

    return load


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """How many torch takes until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
