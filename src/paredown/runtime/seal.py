"""JSON files that hold the digest of all their other content, so that a byte that changed anywhere in them is seen.

The text is canonical (keys sorted, no spaces, UTF-8): one value has one text. `digest` is the SHA-256, in hex, of the canonical text of the
value without that key.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"


def canonical_json(value: Any) -> str:
    """JSON without spaces, keys sorted; the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(value: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of everything in `value` but its digest."""
    rest = {key: entry for key, entry in value.items() if key != DIGEST}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def seal(value: Mapping[str, Any]) -> str:
    """The canonical text of `value` with its digest in it."""
    return canonical_json({**value, DIGEST: digest_of(value)})


def check_seal(value: Mapping[str, Any], text: str) -> None:
    """Raises ValueError, saying what differs, unless `text`, which was read as `value`, is what `seal` wrote."""
    expected, found = value.get(DIGEST), digest_of(value)
    if expected != found:
        raise ValueError(f"it was changed (its content has the SHA-256 {found[:12]}…, not {str(expected)[:12]}…)")
    if text != canonical_json(value):
        raise ValueError("it was changed (the same content, written in another way)")
