"""The splits of the bundled model share no German line and no English template, keep components whole, and repeat exactly."""

from itertools import combinations

import pytest

from studies.bundled_model.partition import (
    LARGEST_HELD_OUT,
    UTTERANCES,
    Partition,
    Sentence,
    find_components,
    gather_sentences,
    load_partition,
    partition,
)
from studies.bundled_model.text import bare, find_names, loose_template, normalise, read_pairs, template


@pytest.fixture(scope="module")
def sentences() -> tuple[Sentence, ...]:
    return gather_sentences(read_pairs())


@pytest.fixture(scope="module")
def parts(sentences: tuple[Sentence, ...]) -> Partition:
    return partition(sentences)


def _splits(parts: Partition) -> dict[str, tuple[Sentence, ...]]:
    held_out = {split: tuple(s for utterance in utterances for s in utterance) for split, utterances in parts.held_out.items()}
    return {"train": parts.train, **held_out}


def test_no_german_line_and_no_english_template_in_two_splits(sentences: tuple[Sentence, ...], parts: Partition) -> None:
    names = find_names(sentence.english for sentence in sentences)
    for (_, first), (_, second) in combinations(_splits(parts).items(), 2):
        assert not {bare(g) for s in first for g in s.germans} & {bare(g) for s in second for g in s.germans}
        assert not {template(s.english, names) for s in first} & {template(s.english, names) for s in second}
        assert not {bare(s.english) for s in first} & {bare(s.english) for s in second}


def test_no_train_sentence_resembles_a_held_out_one(sentences: tuple[Sentence, ...], parts: Partition) -> None:
    names = find_names(sentence.english for sentence in sentences)
    splits = {split: {loose_template(s.english, names) for s in chosen} for split, chosen in _splits(parts).items()}
    assert not splits["train"] & (splits["analysis"] | splits["search"] | splits["test"])


def test_no_component_has_sentences_in_two_splits(sentences: tuple[Sentence, ...], parts: Partition) -> None:
    split_of = {s.english: split for split, chosen in _splits(parts).items() for s in chosen}
    for component in find_components(sentences):
        found = {split_of[sentences[index].english] for index in component if sentences[index].english in split_of}
        assert len(found) <= 1
        assert len(component) <= LARGEST_HELD_OUT or found <= {"train"}


def test_every_held_out_sentence_is_used_once_in_utterances_of_one_to_four(parts: Partition) -> None:
    held_out = [s.english for split, chosen in _splits(parts).items() if split != "train" for s in chosen]
    assert len(held_out) == len(set(held_out))
    for split, count in UTTERANCES.items():
        assert len(parts.held_out[split]) == count
        assert {len(utterance) for utterance in parts.held_out[split]} == {1, 2, 3, 4}


def test_train_keeps_enough_and_everything_is_accounted_for(sentences: tuple[Sentence, ...], parts: Partition) -> None:
    assert sum(len(s.pair_ids) for s in parts.train) >= 44_000
    assert sum(map(len, _splits(parts).values())) + parts.dropped == len(sentences) == sum(parts.component_sizes)


def test_equal_seeds_give_equal_partitions_and_other_seeds_do_not(sentences: tuple[Sentence, ...], parts: Partition) -> None:
    assert load_partition() == parts
    assert partition(sentences, seed=1).held_out != parts.held_out


NAMES = frozenset({"tom", "mary"})


@pytest.mark.parametrize(
    ("first", "second"),
    [("Tom is tired.", "Mary's tired!"), ("I'm tired.", "She is tired."), ("He likes my car.", "They like your car.")],
)
def test_template_joins_what_differs_by_name_or_by_pronoun(first: str, second: str) -> None:
    assert template(first, NAMES) == template(second, NAMES)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("She doesn't go.", "I don't go."),
        ("Tom isn't home.", "They are not home."),
        ("I know Tom.", "I know him."),
        ("He cannot swim.", "We can't swim."),
    ],
)
def test_loose_template_joins_negations_and_names_with_pronouns(first: str, second: str) -> None:
    assert loose_template(first, NAMES) == loose_template(second, NAMES)


@pytest.mark.parametrize("english", ["Tom watched us.", "Tom saw two cats.", "Did Tom watch us?"])
def test_templates_tell_other_sentences_apart(english: str) -> None:
    assert loose_template(english, NAMES) != loose_template("Tom watches us.", NAMES)


def test_chains_of_shared_german_lines_form_one_component() -> None:
    chain = (
        Sentence("Go on.", ("Mach weiter.", "Weiter!"), (0, 1)),
        Sentence("Carry forth.", ("Weiter.", "Voran."), (2, 3)),
        Sentence("Lead on.", ("voran",), (4,)),
        Sentence("Nobody came.", ("Niemand kam.",), (5,)),
    )
    assert find_components(chain) == ((0, 1, 2), (3,))


def test_names_are_words_never_seen_in_lower_case() -> None:
    assert find_names(["Ask Tom now.", "I saw Will.", "We will go.", "Do I know?"]) == {"tom"}


def test_normalise_makes_plain_quotes_dashes_and_spaces() -> None:
    assert normalise(" “It’s\u00a0cafe\u0301” ") == "It's caf\u00e9"
