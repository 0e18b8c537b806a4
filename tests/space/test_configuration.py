"""Configurations: equal values have one text and one digest, and what cannot be is refused with rule and value."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paredown.space.configuration import TRANSFORMATIONS, Configuration, Decode, Scheme
from paredown.space.inventory import GROUPS

FULL = Configuration(
    keep=(("decoder", (0, 2)), ("encoder", (1,))),
    bits=(("decoder.output_layer", 4), ("encoder.embed.out", 8)),
    sparsity=(("decoder.feed_forward", 0.25),),
    scheme=Scheme("tensor", "fp32"),
    decode=Decode(3, 0.5),
    width=(("encoder.encoders.1.feed_forward", 7),),
    heads=(("decoder.decoders.2.src_attn", (0, 3)),),
    rank=(("decoder.decoders.0.feed_forward.w_1", 5),),
    schedule=("supernet:" + "ab" * 32, "factorize", "narrow", "drop", "prune", "quantize"),
)
INDICES = st.lists(st.integers(0, 20), min_size=1, unique=True).map(lambda indices: tuple(sorted(indices)))
CONFIGURATIONS = st.builds(
    Configuration,
    keep=st.dictionaries(st.sampled_from(["encoder", "decoder"]), INDICES).map(lambda keep: tuple(keep.items())),
    bits=st.dictionaries(st.text(min_size=1), st.integers(2, 8)).map(lambda bits: tuple(bits.items())),
    sparsity=st.dictionaries(st.sampled_from(GROUPS), st.floats(0, 0.99)).map(lambda shares: tuple(shares.items())),
    width=st.dictionaries(st.text(min_size=1), st.integers(1, 4096)).map(lambda width: tuple(width.items())),
    heads=st.dictionaries(st.text(min_size=1), INDICES).map(lambda heads: tuple(heads.items())),
    rank=st.dictionaries(st.text(min_size=1), st.integers(1, 4096)).map(lambda rank: tuple(rank.items())),
    schedule=st.permutations(["drop", "narrow", "factorize"]).map(lambda first: (*first, "prune", "quantize")),
    scheme=st.builds(Scheme, granularity=st.sampled_from(["channel", "tensor"]), kernel=st.sampled_from(["fp32", "int8"])),
    decode=st.builds(Decode, beam_size=st.integers(1, 50), length_bonus=st.floats(-10, 10)),
)


@settings(deadline=None, max_examples=50)
@given(CONFIGURATIONS)
def test_text_reads_back_as_the_same_value(configuration: Configuration) -> None:
    again = Configuration.from_json(configuration.to_json())
    assert again == configuration
    assert again.digest == configuration.digest


def test_equal_configurations_have_one_digest() -> None:
    turned = replace(FULL, keep=FULL.keep[::-1], bits=FULL.bits[::-1])
    assert turned == FULL
    assert turned.digest == FULL.digest
    zeros = [Configuration(sparsity=(("encoder.conv", zero),), decode=Decode(length_bonus=zero)) for zero in (0, 0.0, -0.0)]
    assert len({zero.digest for zero in zeros}) == 1
    assert Configuration().digest != FULL.digest


@settings(deadline=None, max_examples=100)
@example(field="bits", value={"a\nb": 1})
@example(field="decode.length_bonus", value=10**400)
@example(field="sparsity.encoder.conv", value=10**400)
@given(
    field=st.sampled_from(["keep", "bits", "sparsity", "scheme", "decode", "keep.decoder", "bits.x", "sparsity.encoder.conv"])
    | st.sampled_from(["scheme.kernel", "scheme.granularity", "decode.beam_size", "decode.length_bonus"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=4,
    ),
)
def test_any_json_gives_a_configuration_or_one_line(field: str, value: Any) -> None:
    name, _, key = field.partition(".")
    text = json.dumps({name: {key: value} if key else value})
    try:
        configuration = Configuration.from_json(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either outcome is right; only its form is at stake
    else:
        assert Configuration.from_json(configuration.to_json()) == configuration


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"configuration must be a JSON object, got \[\]"),
        ({"bits": 5}, "bits must be a JSON object, got 5"),
        ({"keep": [1]}, r"keep must be a JSON object, got \[1\]"),
        ({"sparsity": None}, "sparsity must be a JSON object, got None"),
        ({"scheme": "int8"}, "scheme must be a JSON object, got 'int8'"),
        (
            {"widths": {}},
            "configuration has no key 'widths'; its keys are bits, decode, heads, input, keep, kernels, "
            "rank, schedule, scheme, sparsity, width",
        ),
        ({"scheme": {"block": 512}}, "block must be one of 16, 32, 64, 128, 256, got 512"),
        ({"scheme": {"block": 8}}, "block must be one of 16, 32, 64, 128, 256, got 8"),
        ({"scheme": {"block": 32.0}}, "block must be one of 16, 32, 64, 128, 256, got 32.0"),
        ({"scheme": {"activation": 3}}, "scheme has no key 'activation'; its keys are activations, block, granularity, kernel, method"),
        ({"scheme": {"activations": 3}}, "activations must be one of dynamic, static, got 3"),
        ({"scheme": {"activations": "static", "kernel": "fp32"}}, "activations are static for kernel int8 alone, got kernel fp32"),
        ({"width": {"f": 0}}, "hidden units of a feed-forward must be a whole number of at least 1, got 0 for 'f'"),
        ({"width": {"f": 2.0}}, "hidden units of a feed-forward must be a whole number of at least 1, got 2.0 for 'f'"),
        ({"rank": {"f.w_1": True}}, "the rank of a layer must be a whole number of at least 1, got True for 'f.w_1'"),
        ({"heads": {"a": []}}, r"kept heads must be distinct, ascending and at least one, got \(\) for a"),
        ({"heads": {"a": [1, 1]}}, r"kept heads must be distinct, ascending and at least one, got \(1, 1\) for a"),
        ({"heads": {"a": ["0"]}}, r"kept heads must be whole numbers of at least 0, got \('0',\) for a"),
        ({"schedule": "drop"}, "schedule must be a list of stages, got 'drop'"),
        ({"schedule": ["drop", 1]}, r"schedule must be a list of stages, got \('drop', 1\)"),
        ({"schedule": ["drop"]}, "schedule must name each of drop, narrow, factorize, prune, quantize once"),
        ({"schedule": [*TRANSFORMATIONS, "drop"]}, "schedule must name each of drop, narrow, factorize, prune, quantize once"),
        ({"schedule": ["supernet:0", *TRANSFORMATIONS]}, "schedule must name each of drop, narrow, factorize, prune, quantize once"),
        ({"schedule": ["drop", "narrow", "factorize", "quantize", "prune"]}, "schedule must end in quantize"),
        ({"schedule": ["drop", "narrow", "prune", "factorize", "quantize"]}, "schedule must have factorize before prune"),
        ({"schedule": ["prune", "narrow", "drop", "factorize", "quantize"]}, "schedule must have drop before prune"),
        ({"decode": {"beam": 3}}, "decode has no key 'beam'; its keys are beam_size, ctc_weight, length_bonus"),
        ({"scheme": {"kernel": "int4"}}, "kernel must be one of fp32, int8, nbits, fp16, got 'int4'"),
        ({"scheme": {"granularity": "x"}}, "granularity must be one of channel, tensor, got 'x'"),
        ({"scheme": {"kernel": ["int8"]}}, r"kernel must be one of fp32, int8, nbits, fp16, got \['int8'\]"),
        ({"bits": {"a": 4.5}}, r"bit-width must be a whole number in \[2, 8\] or 16, got 4.5 for 'a'"),
        ({"bits": {"a": 4.0}}, r"bit-width must be a whole number in \[2, 8\] or 16, got 4.0 for 'a'"),
        ({"bits": {"a": "4"}}, r"bit-width must be a whole number in \[2, 8\] or 16, got '4' for 'a'"),
        ({"bits": {"a": True}}, r"bit-width must be a whole number in \[2, 8\] or 16, got True for 'a'"),
        ({"bits": {"a": 9}}, r"bit-width must be a whole number in \[2, 8\] or 16, got 9 for 'a'"),
        ({"sparsity": {"encoder.conv": "0.5"}}, r"sparsity must be a number in \[0, 1\), got '0.5' for encoder.conv"),
        ({"sparsity": {"encoder.conv": False}}, r"sparsity must be a number in \[0, 1\), got False for encoder.conv"),
        ({"sparsity": {"encoder.conv": float("nan")}}, r"sparsity must be a number in \[0, 1\), got nan for encoder.conv"),
        ({"sparsity": {"encoder.conv": 1}}, r"sparsity must be a number in \[0, 1\), got 1 for encoder.conv"),
        ({"sparsity": {"encoder.cnn": 0.5}}, "sparsity names a module group, .*; got 'encoder.cnn'"),
        ({"keep": {"decoder": [0, 1.0]}}, r"kept blocks must be whole numbers of at least 0, got \(0, 1.0\) for decoder"),
        ({"keep": {"decoder": [False, True]}}, r"kept blocks must be whole numbers of at least 0, got \(False, True\)"),
        ({"keep": {"decoder": [-1]}}, r"kept blocks must be whole numbers of at least 0, got \(-1,\) for decoder"),
        ({"keep": {"decoder": "01"}}, "kept blocks must be whole numbers of at least 0, got '01' for decoder"),
        ({"keep": {"decoder": 3}}, "kept blocks must be whole numbers of at least 0, got 3 for decoder"),
        ({"keep": {"decoder": []}}, r"kept blocks must be distinct, ascending and at least one, got \(\) for decoder"),
        ({"keep": {"decoder": [1, 0]}}, r"kept blocks must be distinct, ascending and at least one, got \(1, 0\) for decoder"),
        ({"keep": {"ctc": [0]}}, "keep names a stack, encoder or decoder; got 'ctc'"),
        ({"decode": {"beam_size": 0}}, "beam size must be a whole number of at least 1, got 0"),
        ({"decode": {"beam_size": 2.5}}, "beam size must be a whole number of at least 1, got 2.5"),
        ({"decode": {"beam_size": True}}, "beam size must be a whole number of at least 1, got True"),
        ({"decode": {"length_bonus": "0"}}, "length bonus must be a number within 1000 of 0, got '0'"),
        ({"decode": {"length_bonus": float("inf")}}, "length bonus must be a number within 1000 of 0, got inf"),
    ],
)
def test_what_cannot_be_is_named(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Configuration.from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_text_that_is_no_json_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a configuration must be JSON, got text that is none"):
        Configuration.from_json(text)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"bits": {"a": 4}}, "bits must be a tuple of pairs of a name and a value, got {'a': 4}"),
        ({"bits": ((1, 4), ("a", 4))}, "bits must be a tuple of pairs"),
        ({"bits": (("a", 4), ("a", 5))}, r"bits must name each key once, got \['a', 'a'\]"),
        ({"keep": (("decoder", [0]),)}, r"kept blocks must be whole numbers of at least 0, got \[0\] for decoder"),
        ({"scheme": {"kernel": "int8"}}, "scheme must be a Scheme, got"),
        ({"decode": None}, "decode must be a Decode, got None"),
    ],
)
def test_values_made_in_python_are_checked_too(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Configuration(**parts)
