"""The paper's BLEU as it was computed: sacrebleu with references transposed, which scores the first utterance alone.

sacrebleu takes references as streams, one list for each alternative reference, each as long as the hypotheses. Handed over as one list for
each utterance, every reference of the corpus becomes a stream of one line, and hypotheses end with the shortest stream: the first sentence
is scored against all references of the corpus as its alternatives, and nothing else is looked at. So the figure stays to the last digit
for as long as that one sentence does, whatever happens to all others.
"""

from collections.abc import Sequence


def first_utterance_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of the first hypothesis, with every reference [utterances] as an alternative; in [0, 100]. Not a score of a corpus."""
    import sacrebleu

    return float(sacrebleu.corpus_bleu(list(hypotheses), [[reference] for reference in references]).score)


def told_of_sentences(firsts: Sequence[str], figures: Sequence[float]) -> str:
    """How often the first sentence, and with it the figure, changed over rows: `firsts` and `figures` [rows]."""
    return f"{len(set(firsts))} different first sentences in {len(firsts)} rows give {len({round(each, 5) for each in figures})} values"
