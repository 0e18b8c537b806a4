"""Where every command of README and docs is executed: here, by another test, or nowhere, and why.

A command that stands in no table is executed as it is, after the substitutions. So one that is new needs a place only where it fails.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """What stands in the place of a part of a command (a regular expression), and why."""

    part: str
    instead: str
    why: str


# Both runs. Names in capitals stand for the reader's own.
NAMES = (Change(r"^(paredown (?:convert|export) .*)$", r"\1 --force", "several pages write to one folder"),)

# The fast run: `bundled:` names are tiny random models with noise for speech, `studies/quickstart.toml` searches four trials of them.
FAST = (
    *NAMES,
    Change(r"quality=-1\.0", "quality=-100", "a random model's chrF means nothing"),
    Change(r"size=6\.9MB", "size=6.9GB", "bytes of a tiny model are graphs, no weights"),
    Change(r"--trial \d+", "--trial 1", "the tiny study has four trials"),
    Change(r"^(paredown (?:evaluate|compare) .*)$", r"\1 --workers 1", "processes take longer to start than to decode"),
    Change(r"^(paredown profile .*)$", r"\1 --quick --first 2 --fixed-tokens 3", "a measurement that can be trusted takes minutes"),
    Change(r"^(paredown finish .*)$", r"\1 --time 1s", "a strict measurement takes minutes"),
)

# The slow run: the bundled models themselves, `studies/quickstart.toml` with fewer trials.
SLOW = (
    *NAMES,
    Change(r"\bDIR\b", "{place}/train", "the reader's speech to train on"),
    Change(r"--minutes \S+", "--steps 2", "ten minutes of training"),
    Change(r"^(paredown (?:evaluate|compare) .*)$", r"\1 --first 40", "1,000 utterances take minutes"),
    Change(r"^(paredown profile .*)$", r"\1 --quick --first 4", "a measurement that can be trusted takes minutes"),
    Change(r"^(paredown profile .*) --protocol on-device-st", r"\1", "2,000 runs"),
    Change(r"^(paredown analyse .*)$", r"\1 --utterances 4 --by loss", "blocks by chrF take minutes"),
    Change(r"^(paredown finish .*)$", r"\1 --time 30s", "a strict measurement takes minutes"),
    Change(r"--trial \d+", "--trial 1", "a study of few trials, of which some are stopped early"),
)

CONFIRM = "tests/commands/test_confirm.py::test_all_is_real_once"
CLUSTER = "tests/cluster/test_conduct.py::test_a_study_on_the_cluster_is_the_study_on_this_machine"
OWN_MODEL = "tests/commands/test_own_model.py::test_a_recipe_becomes_a_bundle_as_the_guide_tells"
RECOVERED = "tests/commands/test_recovery_study.py::test_candidates_are_trained_and_kept_by_their_recovery"
ABLATED = "tests/commands/test_axes.py::test_every_axis_moves_what_bundles_do"
PROFILED = "tests/commands/test_profile.py::test_tables_tell_everything"
# command as told: the test that executes it, or what it does.
ELSEWHERE = {
    "paredown run STUDY.toml --ray auto": CLUSTER,
    "paredown dashboard runs/quickstart": "tests/commands/test_dashboard.py::test_a_signal_ends_it_in_order",
    "make docs": "tests/docs/test_build.py::test_it_builds_without_a_warning_and_loads_nothing_from_elsewhere",
    "make study": "tests/docs/test_commands_run.py::test_make_study_is_made_of_commands_that_run",
    "paredown init exp/st_train_st_ebf_raw_en_de_bpe_tc4000 --data dump/raw -o mine.toml": OWN_MODEL,
    "paredown run mine.toml --dry-run": OWN_MODEL,
    "paredown run mine.toml": OWN_MODEL,
    "paredown front runs/mine": OWN_MODEL,
    "paredown report runs/mine": OWN_MODEL,
    "paredown export runs/mine --pick knee -o mine": OWN_MODEL,
    "paredown translate mine dump/raw/tst-COMMON.en-de/data/format.1/tst-COMMON.en-de_0000.flac": OWN_MODEL,
}
# The same for the fast run alone: the slow one executes these.
ELSEWHERE_FAST = {
    "paredown confirm runs/quickstart": CONFIRM,  # needs the 1,000 utterances of the bundled *test*
    "paredown export runs/quickstart --pick lossless -o lossless": CONFIRM,
    "paredown convert bundled:tatoeba-en-de --bits 3 --recover qat --train DIR --minutes 10 -o three": (
        "tests/commands/test_recovering.py::test_a_model_is_trained_and_then_quantized"
    ),
    "paredown run studies/recovery.toml": RECOVERED,
    "paredown show runs/recovery --trial 6 --ablate": ABLATED,
    "paredown profile small --energy estimate --tdp 45 --tdp-cores 8": PROFILED,
    "paredown profile small --protocol on-device-st": PROFILED,
    "paredown analyse bundled:tatoeba-en-de --data bundled:tatoeba-en-de/analysis --agreement": (
        "tests/commands/test_whole_space.py::test_losses_that_rank_nothing_are_told_as_such"
    ),
    "paredown evaluate best --data bundled:tatoeba-en-de/test": "tests/commands/test_commands.py::test_evaluate_gives_the_stable_keys",
    "paredown compare small bundled:tatoeba-en-de --data bundled:tatoeba-en-de/test --margin 1.0": (
        "tests/commands/test_compare.py::test_figures_are_those_of_the_tests"
    ),
}

# command as told: why no test can execute it.
NOT_HERE = {
    "make test": "this is one of its tests",
    "make reproduce": "about an hour; tests/studies makes every table at toy size",
    "pip install 'paredown[ray]'": "no test installs anything",
    "pip install 'paredown[hub]'": "no test installs anything",
    "ray get-auth-token --generate": "it would replace the token of whoever runs the tests",
    "ray start --head --port=6379": "it needs a second machine; tests/cluster starts nodes of its own",
    "ray start --address=WORKSTATION:6379": "a second machine",
    "RAY_worker_niceness=0 ray start --address=WORKSTATION:6379 --num-cpus=0 --resources='{\"target:cpu\": 1}'": "a second machine",
}

# Benchmarks take minutes to hours each: `make bench` runs them. The slow run tries that they run, at the smallest size that each has.
SMALLEST = {
    "activations": "--quick",
    "bits": "--quick",
    "energy": "--windows 1 --seconds 1.5 --utterances 1",
    "judgement": "--quick",
    "kl": "--quick",
    "layers": "--quick",
    "report": "--trials 20",
    "size": "--count 2",
    "structure": "--quick",
}
# The others have no size below some minutes: tests look at their parts, and that they start.
BENCHMARKS_WHOLE = {
    "quantization": "decodes 1,000 utterances eight times",
    "widths": "searches at several penalties",
    "runtime": "times networks of the first paper's size for minutes",
    "latency": "repeats a strict measurement hundreds of times",
    "predictor": "times 40 configurations; tests/benchmarks/test_predictor_draw.py",
    "solver": "solves problems of 1,000 layers and by brute force",
    "recovery": "needs the recipe's train split and two hours",
    "search": "two hours",
    "racing": "records 100 configurations",
    "large_study": "2,000 trials",
    "cluster": "eight nodes, for minutes",
}
