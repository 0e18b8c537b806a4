"""Module groups against the components of the first paper's 5.3.2, and its Table 4 as corrected."""

from paredown.space.configuration import Configuration
from paredown.space.inventory import GROUPS

# 5.3.2's list: feed-forward, convolution with batch norm, self-attention and norms of encoder or decoder; the rest on their own. A
# transformer decoder has no convolution; output layer and CTC are in no experiment of theirs.
COMPONENTS = {
    "encoder ff": "encoder.feed_forward",
    "encoder conv": "encoder.conv",
    "encoder self_attn": "encoder.self_attn",
    "encoder norm": "encoder.norm",
    "decoder ff": "decoder.feed_forward",
    "decoder self_attn": "decoder.self_attn",
    "decoder norm": "decoder.norm",
    "encoder subsampling": "encoder.subsampling",
    "decoder cross attention": "decoder.cross_attn",
    "decoder embedding": "decoder.embed",
}
# Table 4, its rows for embedding, self-attention and cross-attention read as the decoder's (errata.md).
TABLE_4 = {
    "encoder.subsampling": 0.9,
    "encoder.conv": 0.7,
    "encoder.feed_forward": 0.5,
    "encoder.self_attn": 0.5,
    "decoder.embed": 0.5,
    "decoder.self_attn": 0.5,
    "decoder.cross_attn": 0.33,
}


def test_every_component_of_the_paper_is_a_group() -> None:
    assert set(GROUPS) == set(COMPONENTS.values()) | {"decoder.output", "ctc"}
    assert len(set(GROUPS)) == len(GROUPS)


def test_table_4_is_a_configuration() -> None:
    assert Configuration(sparsity=tuple(TABLE_4.items())).sparsity_of == TABLE_4
