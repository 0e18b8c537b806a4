"""Study files: the design's example, the way back to TOML, and one line for everything that can be wrong."""

import json
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.search.study_file import change_spec, parse_spec, read_spec, spec_schema, to_toml, write_spec
from paredown.space.configuration import Input

EXAMPLE = """
name = "quickstart"
[model]
path = "bundled:tatoeba-en-de"
[data]
search = "dump/\\"odd\\" dir"
[space]
bits     = { average = [2.5, 8.0], choices = [2, 3, 4, 5, 6, 7, 8] }
layers   = { decoder = [2, 6] }
sparsity = { groups = ["encoder.feed_forward", "decoder.cross_attn"], max = 0.9 }
[objectives]
quality = "chrf"
latency = ["cpu"]
energy = []
size = true
[budgets]
size = "12 MB"
"latency@cpu" = "80 ms"
quality = "-1.0"
[search]
sampler = "auto"
trials = 60
time = "5 min"
seed = 0
"""


def test_reads_the_example() -> None:
    spec = parse_spec(EXAMPLE)
    assert spec.space.bits is not None
    assert spec.space.bits.average == (2.5, 8.0)
    assert spec.search.time_s == 300.0
    assert [objective.name for objective in spec.objective_list] == ["quality", "latency_ms@cpu", "size_bytes"]
    assert [(budget.measure, budget.limit) for budget in spec.budget_list] == [
        ("size_bytes", 12e6),
        ("latency_ms@cpu", 80.0),
        ("quality", -1.0),
    ]


def test_written_back_it_is_the_same_study(tmp_path: Path) -> None:
    spec = parse_spec(EXAMPLE)
    write_spec(spec, tmp_path / "study.toml")
    assert read_spec(tmp_path / "study.toml") == spec
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_defaults_are_written_out() -> None:
    spec = parse_spec('name = "a"\n[model]\npath = "m"\n[space]\nlayers = { decoder = [1, 2] }\n')
    assert 'sampler = "auto"' in to_toml(spec)
    assert "trials = 60" in to_toml(spec)
    assert parse_spec(to_toml(spec)) == spec
    assert spec.search.time_s is None
    assert spec.budget_list == ()


def test_command_line_settings_replace_those_of_the_file() -> None:
    spec = change_spec(parse_spec(EXAMPLE), trials=5, time="10m", budgets=["size=3MB"], seed=7)
    assert (spec.search.trials, spec.search.time_s, spec.search.seed) == (5, 600.0, 7)
    assert [budget.limit for budget in spec.budget_list] == [3e6, 80.0, -1.0]
    assert change_spec(parse_spec(EXAMPLE)) == parse_spec(EXAMPLE)


def test_energy_is_an_objective_with_its_budget() -> None:
    text = EXAMPLE.replace("energy = []", 'energy = ["cpu"]').replace('quality = "-1.0"', '"energy@cpu" = "0.2 J"')
    spec = parse_spec(text)
    assert [objective.name for objective in spec.objective_list] == ["quality", "latency_ms@cpu", "energy_mj@cpu", "size_bytes"]
    assert [(budget.measure, budget.limit) for budget in spec.budget_list if budget.unit == "mJ"] == [("energy_mj@cpu", 200.0)]
    assert parse_spec(to_toml(spec)) == spec


def test_several_targets_are_objectives_in_the_order_given() -> None:
    text = EXAMPLE.replace('latency = ["cpu"]', 'latency = ["cuda", "cpu"]').replace("size =", '"latency@cuda" = "20 ms"\nsize =', 2)
    text = text.replace('"latency@cuda" = "20 ms"\nsize = true', "size = true") + '[target]\nkernel = "nbits"\n'
    spec = parse_spec(text)
    assert [objective.name for objective in spec.objective_list] == ["quality", "latency_ms@cuda", "latency_ms@cpu", "size_bytes"]
    assert [(budget.measure, budget.limit) for budget in spec.budget_list if budget.unit == "ms"] == [
        ("latency_ms@cpu", 80.0),
        ("latency_ms@cuda", 20.0),
    ]
    assert parse_spec(to_toml(spec)) == spec
    assert parse_spec(EXAMPLE).target.kernel == "int8"


def test_how_the_search_goes_can_be_changed_part_by_part() -> None:
    default = parse_spec(EXAMPLE).search
    assert (default.staged, default.racing, default.refine, default.warm_start) == (True, True, True, ())
    spec = parse_spec(EXAMPLE + 'staged = false\nracing = false\nrefine = false\nwarm_start = ["runs/a", "runs/b"]\n')
    assert (spec.search.staged, spec.search.racing, spec.search.refine) == (False, False, False)
    assert spec.search.warm_start == ("runs/a", "runs/b")
    assert parse_spec(to_toml(spec)) == spec


def test_an_estimate_of_energy_may_be_told_the_design_power() -> None:
    spec = parse_spec(EXAMPLE.replace("energy = []", 'energy = "estimate"') + "[target]\nthreads = 2\ntdp_w = 15\ntdp_cores = 4\n")
    assert (spec.objectives.energy, spec.target.tdp_w, spec.target.tdp_cores, spec.target.threads) == ("estimate", 15.0, 4, 2)
    assert parse_spec(to_toml(spec)) == spec


def test_input_and_decoding_are_axes() -> None:
    extra = (
        'input = { hop_samples = [160, 250], sample_rate_hz = [8000], variants = ["matched", "naive"] }\ndecode = { beam_size = [1, 10] }\n'
    )
    spec = parse_spec(EXAMPLE.replace("[objectives]", extra + "[objectives]"))
    assert spec.space.input is not None
    assert spec.space.input.inputs == (Input(), Input(None, 8000, "matched"), Input(None, 8000, "naive"))
    assert spec.space.decode is not None
    assert spec.space.decode.beam_size == (1, 10)
    assert parse_spec(to_toml(spec)) == spec


def test_a_study_without_size_has_fewer_objectives() -> None:
    spec = parse_spec(EXAMPLE.replace("size = true", "size = false"))
    assert [objective.name for objective in spec.objective_list] == ["quality", "latency_ms@cpu"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials = 60", "trails = 60", r"unknown key 'search.trails'; did you mean 'trials'\?"),
        ("average", "averge", r"unknown key 'space.bits.averge'; did you mean 'average'\?"),
        ("[model]", "[modle]", r"unknown key 'modle'; did you mean 'model'\?"),
        ('size = "12 MB"', "sise = 3", r"unknown key 'budgets.sise'; did you mean 'size'\?"),
        ('"latency@cpu" =', '"latency@gpu" =', r"did you mean 'latency@cpu'\?"),
        ('"latency@cpu" =', '"latency@cuda" =', r"a budget on latency@cuda needs the objective latency = \[\"cuda\"\], got \['cpu'\]"),
        ("seed = 0", "zzz = 0", r"unknown key 'search.zzz'; known keys are sampler, trials, time, seed"),
        ("max = 0.9 }", "max = 0.9 }\nrank = { eta = [1, 0] }", r"space.rank.eta: eta must run from low to high, got \[1.0, 0.0\]"),
        ("max = 0.9 }", "max = 0.9 }\nwidth = { eta = [-1, 0] }", "space.width.eta.0: must be greater than or equal to 0, got -1"),
        (
            "max = 0.9 }",
            "max = 0.9 }\nwidth = { eta = [0, 1], softmax = 'x' }",
            "space.width.softmax: must be 'gumbel' or 'plain', got 'x'",
        ),
        ("max = 0.9 }", "max = 0.9 }\nheads = { max = 1.0 }", "space.heads: max must lie between 0 and 1, got 1.0"),
        ("max = 0.9 }", "max = 0.9 }\nheads = { max = 0.5, groups = [] }", r"space.heads: groups must name each group once, got \[\]"),
        (
            "average =",
            "rounds = 1, sensitivity = 'encoder_output', average =",
            "rounds measure posteriors, so sensitivity must be posteriors",
        ),
        ("max = 0.9 }", "max = 0.9, scope = 'all' }", "space.sparsity.scope: must be 'component' or 'global', got 'all'"),
        ("max = 0.9 }", "max = 0.9 }\nactivations = 'none'", "space.activations: must be 'dynamic' or 'static', got 'none'"),
        ("max = 0.9 }", "max = 0.9 }\ninput = { hop_samples = [200, 160] }", r"hop_samples must be ascending, got \[200, 160\]"),
        ("max = 0.9 }", "max = 0.9 }\ninput = { hop_samples = [160, 160] }", "hop_samples must name each choice once"),
        (
            "max = 0.9 }",
            "max = 0.9 }\ninput = { hop_samples = [160, 20000] }",
            r"hop_samples must be .* in \[1, 16384\] or null, got 20000",
        ),
        ("max = 0.9 }", "max = 0.9 }\ninput = { sample_rate_hz = [900000] }", "sample_rate_hz must be a whole number .* got 900000"),
        ("max = 0.9 }", "max = 0.9 }\ndecode = { ctc_weight = [false, true] }", "must be a number, got false"),
        ("max = 0.9 }", "max = 0.9 }\ninput = { }", "axis input needs hop_samples or sample_rate_hz, got neither"),
        (
            "max = 0.9 }",
            'max = 0.9 }\ninput = { sample_rate_hz = [8000], variants = ["fast"] }',
            "must be 'naive' or 'matched', got 'fast'",
        ),
        ("max = 0.9 }", "max = 0.9 }\ndecode = { }", "axis decode needs beam_size, ctc_weight or length_bonus, got none"),
        ("max = 0.9 }", "max = 0.9 }\ndecode = { beam_size = [4, 2] }", r"beam_size must run from low to high, got \[4, 2\]"),
        ("max = 0.9 }", "max = 0.9 }\ndecode = { beam_size = [0, 2] }", "beam size must be a whole number of at least 1, got 0"),
        ("max = 0.9 }", "max = 0.9 }\ndecode = { ctc_weight = [0.0, 1.5] }", r"CTC weight must lie in \[0, 1\], got 1.5"),
        ("energy = []", 'energy = ["gpu"]', r"energy must be .* or \"estimate\" \(a labelled model\), got \['gpu'\]"),
        ("energy = []", "energy = true", "energy must be .*, got True"),
        ('quality = "-1.0"', '"energy@cpu" = "1 J"', "a budget on energy@cpu needs the objective energy"),
        ("seed = 0", "seed = 0\n[target]\nthreads = 0", "target.threads: must be greater than or equal to 1, got 0"),
        ("seed = 0", "seed = 0\n[target]\ntdp_w = true", "target.tdp_w: must be a number, got true"),
        ("seed = 0", "seed = 0\n[target]\ntdp_w = 15", 'target.tdp_w is for energy = "estimate" alone, got 15 beside energy = '),
        ('latency = ["cpu"]', 'latency = ["gpu"]', "objectives.latency.0: must be 'cpu' or 'cuda', got 'gpu'"),
        ('latency = ["cpu"]', 'latency = ["cpu", "cpu"]', r"latency must name a target, and each once, got \['cpu', 'cpu'\]"),
        ('latency = ["cpu"]', 'latency = ["cpu", "cuda"]', 'needs target.kernel = "nbits": kernel int8 runs on the CPU alone, got int8'),
        ("seed = 0", 'seed = 0\n[target]\nkernel = "fp16"', "target.kernel: must be 'int8' or 'nbits', got 'fp16'"),
        (
            "max = 0.9 }",
            'max = 0.9 }\nactivations = "static"\n[target]\nkernel = "nbits"',
            'is for target.kernel = "int8" alone, got nbits',
        ),
        ("seed = 0", "seed = 0\nwarm_start = 'runs/a'", "search.warm_start: must be a valid tuple, got 'runs/a'"),
        ('latency = ["cpu"]', "latency = []", r"latency must name a target, and each once, got \[\]"),
        ('latency = ["cpu"]', 'latency = ["cuda"]', "a budget on latency@cpu needs the objective"),
        ("12 MB", "12 XB", "budget size must have a unit, .*got '12 XB'"),
        ("80 ms", "80", "budget latency@cpu must have a unit"),
        ('"-1.0"', '"lots"', "budget quality must be chrF points"),
        ("trials = 60", "trials = 0", "search.trials: must be greater than or equal to 1, got 0"),
        ("trials = 60", "trials = true", "search.trials: must be a whole number, got true"),
        ("seed = 0", "seed = -1", "search.seed: must be greater than or equal to 0, got -1"),
        ("[2.5, 8.0]", "[2.5, 9.5]", r"average bits must lie in \[2, 8\], low before high, got \[2.5, 9.5\]"),
        ("[2.5, 8.0]", "[8.0, 2.5]", r"average bits must lie in \[2, 8\], low before high"),
        ("2, 3, 4, 5", "2, 4, 3, 5", "choices must be ascending widths"),
        ("decoder = [2, 6]", "decoder = [0, 6]", "blocks kept must be at least 1"),
        ("encoder.feed_forward", "encoder.feedforward", r"got 'encoder.feedforward'; did you mean 'encoder.feed_forward'\?"),
        ("max = 0.9", "max = 1.0", "max must lie between 0 and 1, got 1.0"),
        ('"decoder.cross_attn"', '"encoder.feed_forward"', "groups must name each group once"),
        ('"auto"', '"atuo"', "search.sampler: must be 'auto', .*got 'atuo'"),
        ('"5 min"', '"5 parsecs"', "time must have a unit"),
        ('"quickstart"', '"a/b"', "a name becomes a folder"),
        ('"quickstart"', '".."', "a name becomes a folder"),
        ('path = "bundled:tatoeba-en-de"', "", "the key 'model.path' is required"),
        ("seed = 0", "seed = ", "must be TOML: .*line"),
    ],
)
def test_every_mistake_gets_one_line(old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(BadInput, match=message) as caught:
        parse_spec(EXAMPLE.replace(old, new, 1), "study.toml")
    assert str(caught.value).startswith("study.toml")
    assert "\n" not in str(caught.value)


def test_a_space_without_axes_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one axis"):
        parse_spec('name = "a"\n[model]\npath = "m"\n[space]\n')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must exist"):
        read_spec(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(BadInput, match="UTF-8"):
        read_spec(tmp_path / "latin.toml")
    with pytest.raises(BadInput, match="must be readable"):
        read_spec(tmp_path)


def test_command_line_mistakes() -> None:
    spec = parse_spec(EXAMPLE)
    with pytest.raises(BadInput, match="did you mean size"):
        change_spec(spec, budgets=["sise=3MB"])
    with pytest.raises(BadInput, match=r"command line: search\.trials: must be greater"):
        change_spec(spec, trials=0)


def test_schema_knows_every_section_and_is_plain_json() -> None:
    schema = json.loads(json.dumps(spec_schema()))
    assert set(schema["properties"]) == {"name", "model", "data", "space", "objectives", "budgets", "target", "search", "recovery"}
    assert "latency@cpu" in schema["$defs"]["BudgetsSection"]["properties"]
    assert schema["additionalProperties"] is False
