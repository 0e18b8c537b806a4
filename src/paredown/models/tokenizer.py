"""Text to the ids that a model's decoder and output CTC spell it with, by ESPnet's own tokenizers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from espnet2.text.char_tokenizer import CharTokenizer
from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer
from espnet2.text.token_id_converter import TokenIDConverter
from espnet2.text.word_tokenizer import WordTokenizer

from paredown.models.errors import ModelError

if TYPE_CHECKING:
    from paredown.models.model import Model

UNKNOWN = "<unk>"


def text_encoder(model: "Model") -> Callable[[str], tuple[int, ...]]:
    """A line of output text -> its token ids, without sos and eos; what the model cannot spell becomes `<unk>`.

    The line is taken as it stands: a cleaner that training applied must have been applied to it. Raises ModelError if the model has no
    `<unk>` or names a token twice.
    """
    tokenizer: Any
    if model.bpe_model is not None:
        tokenizer = SentencepiecesTokenizer(str(model.bpe_model))
    else:
        tokenizer = CharTokenizer() if model.token_type == "char" else WordTokenizer()
    try:
        converter = TokenIDConverter(list(model.tokens), UNKNOWN)
    except RuntimeError as error:
        raise ModelError(f"token_list must hold {UNKNOWN} and every token once, got: {error}") from error
    return lambda line: tuple(converter.tokens2ids(tokenizer.text2tokens(line)))
