"""`paredown translate BUNDLE FILE…`: run a bundle. Needs neither torch nor ESPnet."""

import argparse
import sys
from collections.abc import Iterator
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from paredown.commands.printing import add_json, positive, print_json, real, short_notes, table
from paredown.errors import BadInput

if TYPE_CHECKING:
    from paredown.runtime import Translation, Translator
    from paredown.runtime.translation import Alternative

_LARGEST_LIMIT_GB = 1e9


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("translate", help="run a bundle on audio files")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.wav")
    parser.add_argument("--threads", type=positive, default=1, help="threads of onnxruntime (default 1)")
    parser.add_argument("--target", choices=("cpu", "cuda"), default="cpu", help="where to run (cuda: not kernel int8)")
    parser.add_argument("--nbest", type=positive, default=1, metavar="N", help="print the best N hypotheses with their scores")
    parser.add_argument("--beam-size", type=positive, metavar="N", help="hypotheses of the search (default: the bundle's own)")
    parser.add_argument("--ctc-weight", type=real, metavar="W", help="share of the CTC, 0 to 1 (default: the bundle's own)")
    parser.add_argument("--ctc-window", type=positive, metavar="FRAMES", help="frames that the CTC's scores look at (default: all, exact)")
    parser.add_argument("--length-bonus", type=real, metavar="B", help="added to the score of every token (default: the bundle's own)")
    parser.add_argument("--maxlenratio", type=real, default=0.0, metavar="R", help="as in ESPnet: 0 = until ended, negative = absolute")
    parser.add_argument("--minlenratio", type=real, default=0.0, metavar="R", help="the same for the fewest tokens")
    parser.add_argument("--greedy-ctc", action="store_true", help="the CTC's best token of every frame, without a search")
    parser.add_argument("--memory-limit", type=real, metavar="GB", help="refuse audio that may take more, beside the weights (default 4)")
    parser.add_argument("--timings", action="store_true", help="how long each file took, on stderr (with --json always there)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line of text for each file, N with `--nbest`; with `--json` also tokens, scores and times.

    A file that cannot be translated gets its line on stderr, and the others go on; then the exit code is 2.
    """
    with short_notes():
        translator = _open(options)
        rows = list(_translate(translator, options))
    if options.json:
        print_json(rows)
    elif options.timings and (timed := [row for row in rows if "timings_ms" in row]):
        _tell_timings(timed, translator.load_ms)
    return 2 if any("error" in row for row in rows) else 0


def _open(options: argparse.Namespace) -> "Translator":
    from paredown.profilers.machine_lock import machine_share
    from paredown.runtime import Translator

    searching = ("beam_size", "ctc_weight", "ctc_window", "length_bonus")
    if options.greedy_ctc and (options.nbest > 1 or any(getattr(options, name) is not None for name in searching)):
        raise BadInput("--greedy-ctc searches for nothing: it takes no --nbest, --beam-size, --ctc-weight, --ctc-window or --length-bonus")
    settings: dict[str, Any] = {name: getattr(options, name) for name in (*searching, "threads", "target", "maxlenratio", "minlenratio")}
    if options.memory_limit is not None:
        if options.memory_limit > _LARGEST_LIMIT_GB:
            raise BadInput(f"--memory-limit must be at most {_LARGEST_LIMIT_GB:g} GB, got {options.memory_limit:g}")
        settings["memory_limit_bytes"] = round(options.memory_limit * 1e9)
    with machine_share():
        return Translator.from_bundle(options.bundle, search="greedy_ctc" if options.greedy_ctc else "beam", **settings)


def _translate(translator: "Translator", options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is known of each file: its results, or why there are none."""
    from paredown.profilers.machine_lock import machine_share

    for path in options.files:
        try:
            with machine_share():
                result = translator.translate(path, nbest=options.nbest)
        except BadInput as error:
            print(f"paredown: {error}", file=sys.stderr)
            yield {"file": str(path), "error": str(error)}
            continue
        if not result.ids and result.score == -inf:
            note = f"no hypothesis reached the smallest length (--minlenratio {options.minlenratio:g})"
            print(f"paredown: note: {note}: {path}", file=sys.stderr)
        if not options.json:
            _print_result(path, result, options.nbest)
        yield _describe(translator, path, result, options.nbest)


def _print_result(path: Path, result: "Translation", nbest: int) -> None:
    """The text alone; with more than one hypothesis the file, and rank, score and text of each."""
    if nbest == 1:
        print(result.text, flush=True)
        return
    print(path)
    for rank, hypothesis in enumerate(_ranked(result), 1):
        print(f"{rank:4d} {hypothesis.score:9.3f}  {hypothesis.text}", flush=True)


def _describe(translator: "Translator", path: Path, result: "Translation", nbest: int) -> dict[str, Any]:
    frontend = translator.features.frontend
    times = result.timings
    row: dict[str, Any] = {
        "file": str(path),
        "text": result.text,
        "tokens": list(result.tokens),
        "score": _number(result.score),
        "hit_cap": result.hit_cap,
        "seconds": times.total_ms / 1000.0,
        "audio_seconds": result.frames * frontend.hop_samples / frontend.sample_rate_hz,
        "timings_ms": {"features": times.features_ms, "encoder": times.encoder_ms, "search": times.search_ms, "total": times.total_ms},
    }
    if nbest > 1:
        row["nbest"] = [{"text": each.text, "tokens": list(each.tokens), "score": _number(each.score)} for each in _ranked(result)]
    return row


def _ranked(result: "Translation") -> Iterator["Translation | Alternative"]:
    """Its hypotheses, best first."""
    yield result
    yield from result.alternatives


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return value if isfinite(value) else None


def _tell_timings(rows: list[dict[str, Any]], load_ms: float) -> None:
    columns = ("file", "audio s", "features ms", "encoder ms", "search ms", "total ms", "times real time")
    lines = [_timing_line(row) for row in rows]
    caption = f"the bundle was loaded in {load_ms:.0f} ms; the first file warms everything up"
    Console(stderr=True, width=None if sys.stderr.isatty() else 140).print(table("", columns, lines, caption=caption))


def _timing_line(row: dict[str, Any]) -> tuple[str, ...]:
    times = row["timings_ms"]
    milliseconds = (f"{times[stage]:.1f}" for stage in ("features", "encoder", "search", "total"))
    return (Path(row["file"]).name, f"{row['audio_seconds']:.2f}", *milliseconds, f"{1000.0 * row['audio_seconds'] / times['total']:.0f}")
