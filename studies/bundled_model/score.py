"""Scores a checkpoint with ESPnet's own beam search: `python -m studies.bundled_model.score MODEL --split test --utterances 1000`.

Set up as `espnet2.bin.st_inference` does it: decoder scores only, no length bonus, maxlenratio 0, one utterance at a time.
Hypotheses go to a JSONL file (`id`, `hypothesis`, `reference`), BLEU and chrF with their sacrebleu signatures to stdout.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sentencepiece
import torch

from paredown.data.bundled import open_data
from paredown.data.split import Utterance
from paredown.models import Model, load_model
from paredown.quality.scores import score
from paredown.runtime.audio import read_audio


@dataclass(frozen=True)
class Hypothesis:
    """One decoded utterance beside its reference; `tokens` counts the pieces without sos and eos."""

    id: str
    hypothesis: str
    reference: str
    tokens: int


def decode(model: Model, utterances: Sequence[Utterance], beam_size: int) -> list[Hypothesis]:
    """The best hypothesis of every utterance."""
    search = build_search(model, beam_size)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model.bpe_model))
    decoded = []
    for utterance in utterances:
        waveform = read_audio(utterance.audio, model.frontend.sample_rate_hz)
        with torch.inference_mode():
            best = search(model.encode(model.features(waveform)), maxlenratio=0.0, minlenratio=0.0)[0]
        pieces = [model.tokens[token] for token in best.yseq[1:-1].tolist() if token != 0]
        decoded.append(Hypothesis(utterance.id, processor.decode_pieces(pieces), utterance.reference(model.task), len(pieces)))
    return decoded


def build_search(model: Model, beam_size: int) -> torch.nn.Module:
    """ESPnet's BatchBeamSearch over a loaded model."""
    from espnet.nets.batch_beam_search import BatchBeamSearch
    from espnet.nets.scorers.length_bonus import LengthBonus

    search = BatchBeamSearch(
        beam_size=beam_size,
        weights={"decoder": 1.0, "length_bonus": 0.0},
        scorers={"decoder": model.network.decoder, "length_bonus": LengthBonus(len(model.tokens))},
        sos=model.sos,
        eos=model.eos,
        vocab_size=len(model.tokens),
        token_list=list(model.tokens),
    )
    return search.eval()


def _decode_share(task: tuple[str, Sequence[Utterance], int, int]) -> list[Hypothesis]:
    path, utterances, beam_size, threads = task
    torch.set_num_threads(threads)
    return decode(load_model(path), utterances, beam_size)


def decode_parallel(path: str, utterances: Sequence[Utterance], beam_size: int, processes: int) -> list[Hypothesis]:
    """The same, shared out to processes (one thread each; two threads if there is one process); in the order of the utterances."""
    if processes == 1:
        return _decode_share((path, utterances, beam_size, 2))
    shares = [(path, utterances[start::processes], beam_size, 1) for start in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = {row.id: row for share in pool.map(_decode_share, shares) for row in share}
    return [found[utterance.id] for utterance in utterances]


def main() -> None:
    """Decodes and scores the first utterances of a split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a checkpoint folder or bundled:NAME")
    parser.add_argument("--split", default="test", help="analysis, search or test of the bundled data")
    parser.add_argument("--utterances", type=int, default=1_000)
    parser.add_argument("--beam-size", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="JSONL file of hypotheses")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1" if arguments.processes > 1 else "2")
    split = open_data(f"bundled:tatoeba-en-de/{arguments.split}")
    rows = decode_parallel(arguments.model, split.utterances[: arguments.utterances], arguments.beam_size, arguments.processes)
    if arguments.output:
        arguments.output.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    hypotheses, references = [row.hypothesis for row in rows], [row.reference for row in rows]
    for metric in ("bleu", "chrf"):
        result = score(metric, hypotheses, references)
        print(f"{metric} {result.value:.2f}  ({result.signature}; {len(rows)} utterances, beam {arguments.beam_size})")


if __name__ == "__main__":
    main()
