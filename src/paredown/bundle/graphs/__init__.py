"""The ONNX graphs of a bundle, built by hand: encoder, decoder, output CTC; no weights in them."""
