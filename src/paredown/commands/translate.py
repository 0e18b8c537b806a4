"""`paredown translate BUNDLE FILE…`: run a bundle. Needs neither torch nor ESPnet."""

import argparse
import time
from math import isfinite
from pathlib import Path
from typing import Any

from paredown.commands.printing import add_json, positive, print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("translate", help="run a bundle on audio files")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.wav")
    parser.add_argument("--threads", type=positive, default=1, help="threads of onnxruntime (default 1)")
    parser.add_argument("--beam-size", type=positive, help="beams (default: the bundle's own)")
    parser.add_argument("--maxlenratio", type=float, default=0.0, help="as in ESPnet: 0 = until ended, negative = absolute")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line of text for each file; with `--json` also tokens, score and seconds."""
    from paredown.runtime import Translator

    translator = Translator.from_bundle(
        options.bundle, threads=options.threads, beam_size=options.beam_size, maxlenratio=options.maxlenratio
    )
    rows = []
    for path in options.files:
        start = time.perf_counter()
        result = translator.translate(path)
        seconds = time.perf_counter() - start
        if not options.json:
            print(result.text, flush=True)
        rows.append(
            {
                "file": str(path),
                "text": result.text,
                "tokens": list(result.tokens),
                "score": result.score if isfinite(result.score) else None,
                "seconds": seconds,
            }
        )
    if options.json:
        print_json(rows)
    return 0
