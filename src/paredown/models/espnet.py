"""ESPnet's classes, imported in one place: importing them prints a line about flash attention to stdout, where JSON must stand alone."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    from espnet.nets.pytorch_backend.transformer.subsampling import TooShortUttError
    from espnet2.asr.ctc import CTC
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
    from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
    from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder
    from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
    from espnet2.layers.global_mvn import GlobalMVN
    from espnet2.layers.log_mel import LogMel
    from espnet2.layers.stft import Stft
    from espnet2.layers.utterance_mvn import UtteranceMVN

__all__ = [
    "CTC",
    "ConformerEncoder",
    "EBranchformerEncoder",
    "GlobalMVN",
    "LogMel",
    "Stft",
    "TooShortUttError",
    "TransformerDecoder",
    "TransformerEncoder",
    "UtteranceMVN",
]
