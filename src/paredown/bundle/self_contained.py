"""A bundle as ONNX files that plain onnxruntime loads: the weights lie in the graphs, packed, with the operators that expand them.

The price is load time and memory while loading: onnxruntime expands planes with general operators, and one by one. Results are those of the
bundle, bit for bit: what is left after loading is the same graph with the same arrays.
"""

import json
from pathlib import Path

import onnx

from paredown.bundle.expand import fill_graph
from paredown.bundle.folder import check_target, write_folder
from paredown.bundle.provenance import PROVENANCE, check_provenance, write_provenance
from paredown.runtime.bundle_files import FRONTEND, MANIFEST, TOKENS, WEIGHTS, GraphRecord, Manifest, check_files, read_manifest
from paredown.runtime.weights import Weights

FORM, README = "self-contained", "README.txt"
_KEPT = ("versions", "model", "configuration", "configuration_digest", "parameters", "keep", "layers")
_TYPES = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.INT64: "int64"}
_HOW = """\
ONNX graphs that hold their weights; onnxruntime {onnxruntime} or newer loads them, paredown is not needed. Opset {opset} and com.microsoft.
Weights lie packed at their true bit-width and are expanded once, while a file is loaded.

frontend.json   what turns a waveform into features: STFT (power), mel filters, logarithm, normalization of means and variances
tokens.txt      one token a line, line number = id, from 0; sos = {sos}, eos = {eos}, blank = 0; tokens are of the type {token_type}
paredown.json   model, configuration and versions that this was made of, and the digests of these files

How to decode: run the encoder on the features of one utterance [frames, {mels}]. Give layer i of memory_keys and memory_values to the
decoder as memory_keys_i and memory_values_i, and no nodes at first: self_keys_i and self_values_i with 0 nodes. A step takes the newest
token of every hypothesis (sos first) at its position (0 first) and gives the k best next tokens with their log-probabilities. Its outputs
new_self_keys_i and new_self_values_i are the next step's self_keys_i and self_values_i: every step appends one node for each hypothesis.
node_mask says with 0 which nodes a hypothesis descends from, its own of this step included, and hides the others with -3e4;
memory_mask does the same for frames (all 0 for one utterance). Where there is a ctc.onnx, it turns encoder_out into log-probabilities of
the tokens for every frame.
"""


def write_self_contained(bundle: Path, directory: Path, *, force: bool = False) -> Path:
    """Write the self-contained form of a bundle into `directory` and return it; equal bundles give equal bytes.

    Raises BadInput if `bundle` is none or was changed, or if something is at `directory` already, unless it is a folder that this
    function wrote and `force` allows to replace it; then nothing is written.
    """
    directory = Path(directory)
    check_target(directory, "a self-contained folder", lambda folder: check_provenance(folder, FORM), force)
    write_folder(directory, render_self_contained(bundle))
    return directory


def render_self_contained(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle's self-contained form by name. Raises BadInput if the bundle is none or was changed."""
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    about = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    about = {key: about[key] for key in _KEPT if key in about} | {"bundle": about["digest"]}
    weights = Weights(bundle / WEIGHTS, manifest.tensors)
    models = {graph.file: _fill(bundle, graph, manifest, weights) for graph in manifest.graphs}
    files = {name: model.SerializeToString(deterministic=True) for name, model in models.items()}
    files |= {name: (bundle / name).read_bytes() for name in (TOKENS, FRONTEND)}
    files[README] = _describe(models, manifest, json.loads(files[FRONTEND])["n_mels"], about["versions"]).encode()
    return files | {PROVENANCE: write_provenance(FORM, about, files)}


def _fill(bundle: Path, graph: GraphRecord, manifest: Manifest, weights: Weights) -> onnx.ModelProto:
    model = onnx.load_model(bundle / graph.file, load_external_data=False)
    fill_graph(model, graph.initializers, weights, {record.name: record for record in manifest.tensors})
    return model


def _describe(models: dict[str, onnx.ModelProto], manifest: Manifest, mels: int, versions: dict[str, str | int]) -> str:
    """The README: how to run the graphs, and the inputs and outputs of each."""
    settings = {"sos": manifest.sos, "eos": manifest.eos, "token_type": manifest.token_type, "mels": mels}
    text = _HOW.format(**settings, onnxruntime=versions.get("onnxruntime", "1.31"), opset=versions.get("opset", 20))
    for file, model in models.items():
        sections = (("inputs", model.graph.input), ("outputs", model.graph.output))
        text += f"\n{file}\n" + "".join(f"  {title}\n" + "".join(map(_describe_value, values)) for title, values in sections)
    return text


def _describe_value(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dims = ", ".join(dim.dim_param or str(dim.dim_value) for dim in kind.shape.dim)
    return f"    {value.name:<20} {_TYPES.get(kind.elem_type, str(kind.elem_type))} [{dims}]\n"
