"""The paper's figures, as printed. WERs are in percent; a dagger: no significant (MAPSSWE, alpha = 0.05) change against system 1."""

from dataclasses import dataclass

TITLE = "Lossless 4-bit Quantization of Architecture Compressed Conformer ASR Systems (Li et al.)"
STUDY = "conformer_4bit"
MB_OF_MIB = 2**20 / 1e6


@dataclass(frozen=True)
class System:
    """A row of Table 1. `wer`: Hub5'00 swbd / callhm / average; parameters in millions, of everything and of the encoder."""

    number: int
    what: str
    wer: str
    parameters: float
    encoder_parameters: float
    eta: float | None = None


TABLE_1 = (
    System(1, "baseline, FW 4096", "7.2 / 15.0 / 11.1", 69.81, 56.90),
    System(2, "manual, FW 1024", "7.6 / 15.5 / 11.6", 31.98, 19.07),
    System(3, "manual, FW 2048", "7.3 / 15.3 / 11.3", 44.59, 31.68),
    System(4, "manual, FW 5120", "7.1 / 15.0 / 11.1", 82.41, 69.50),
    System(5, "manual, FW 8192", "7.3 / 14.9 / 11.1", 120.24, 107.33),
    System(6, "manual, FW 5120, BN 160", "7.7 / 16.3 / 12.1", 60.79, 47.88),
    System(7, "manual, FW 5120, BN 160 (SLLL)", "7.2 / 15.4 / 11.3", 60.79, 47.88),
    System(8, "manual, FW 5120, BN 160 (SLLS)", "7.2 / 15.1 / 11.2", 60.79, 47.88),
    System(9, "manual, FW 5120, BN 160 (LSSL)", "9.1 / 18.5 / 13.8", 60.79, 47.88),
    System(10, "Gumbel, FW", "7.2† / 14.9† / 11.1†", 55.10, 42.19, 0.0),
    System(11, "Gumbel, FW", "7.4† / 15.1† / 11.3†", 34.54, 21.63, 0.05),
    System(12, "plain softmax, FW", "7.4† / 15.7 / 11.6", 34.81, 21.90, 0.01),
    System(13, "Gumbel, BN", "7.3† / 15.3† / 11.3†", 35.01, 22.10, 0.03),
    System(14, "Gumbel, FW and BN", "7.3† / 15.3† / 11.3†", 32.30, 19.39, 0.03),
)


@dataclass(frozen=True)
class Quantized:
    """A row of Table 2. `wer`: Hub5'00 swbd / callhm; rt02 swbd1 / 2 / 3; rt03 fsh / swbd. Sizes are MiB, though the heading says MB."""

    number: int
    what: str
    bits: float
    wer: str
    size_mib: float
    encoder_size_mib: float
    ratio: float
    encoder_ratio: float
    rtf_hundredths: float


TABLE_2 = (
    Quantized(0, "system 1, baseline", 32, "7.2 / 15.0; 8.6 / 12.7 / 15.3; 10.4 / 16.5", 266.3, 217.1, 1, 1, 0.900),
    Quantized(1, "system 11, start", 32, "7.4† / 15.1†; 9.0† / 12.7† / 15.4†; 10.5† / 16.6†", 131.8, 82.5, 2.0, 2.6, 0.472),
    Quantized(2, "encoder, uniform", 2, "8.1 / 16.3; 9.5 / 13.9 / 17.2; 11.1 / 17.8", 54.4, 5.2, 4.9, 41.6, 0.384),
    Quantized(3, "encoder, uniform", 4, "7.7 / 15.5; 9.1 / 13.1† / 16.0; 10.7 / 17.2", 59.6, 10.3, 4.5, 21.1, 0.398),
    Quantized(4, "encoder, uniform", 8, "7.4† / 15.1†; 8.7† / 13.0† / 15.7†; 10.4† / 16.8†", 69.9, 20.6, 3.8, 10.5, 0.402),
    Quantized(5, "encoder, mixed by hand", 2.6, "7.9 / 16.1; 9.2 / 13.3 / 16.5; 11.0 / 17.1", 55.9, 6.7, 4.8, 32.4, 0.421),
    Quantized(6, "encoder, mixed by KL", 2.5, "7.9 / 15.6; 9.2 / 13.1† / 15.9; 10.8 / 17.4", 55.7, 6.5, 4.8, 33.4, 0.412),
    Quantized(7, "encoder, mixed by KL", 3, "7.9 / 15.7; 9.1 / 13.3 / 16.1; 10.8 / 17.4", 56.9, 7.6, 4.7, 28.5, 0.471),
    Quantized(8, "encoder, mixed by KL", 4, "7.4† / 15.4†; 9.0† / 12.9† / 15.6†; 10.4 / 16.8†", 59.5, 10.2, 4.5, 21.2, 0.438),
    Quantized(9, "ID 3, 4-bit decoder", 4, "7.7 / 15.6; 9.2 / 13.0† / 16.0; 10.5† / 17.0", 16.5, 10.3, 16.1, 21.2, 0.396),
    Quantized(10, "ID 8, 4-bit decoder", 4, "7.5† / 15.2†; 9.0† / 12.9† / 15.4†; 10.5 / 16.2†", 16.4, 10.2, 16.2, 21.2, 0.418),
)
