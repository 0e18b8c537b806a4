"""Tables 1, 2 and Figure 2 of "Lossless 4-bit Quantization of Architecture Compressed Conformer ASR Systems", made again here."""
