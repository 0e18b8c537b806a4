"""How a model is decoded where nobody says otherwise."""

from paredown.models.model import Model
from paredown.space.configuration import Decode

ASR_CTC_WEIGHT = 0.3


def default_decode(model: Model) -> Decode:
    """As ESPnet's recipes decode: ASR with the decoder and, where the model has one, its CTC (weight 0.3); ST with the decoder alone."""
    joint = model.task == "asr" and model.network.output_ctc is not None
    return Decode(ctc_weight=ASR_CTC_WEIGHT if joint else 0.0)
