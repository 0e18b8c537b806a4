"""Models of the hub: a faked client lays out what espnet_model_zoo uploads, as the hub's own cache does, with links into `blobs/`."""

import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from paredown.models import ModelError, load_model
from paredown.models.hub import INSTALL, is_hub_tag, pinned
from paredown.trials.default_study import anchored, default_name, default_spec
from tests.models.checkpoints import random_state, st_config, train_tokenizer, write_checkpoint

TAG = "espnet/brianyan918_mustc-v2_en-de_st_conformer_asrinit_v2_raw_en-de_bpe_tc4000_sp"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
EXP = "exp/st_train_st_conformer_raw_en_de_bpe_tc4000_sp"
BPE = "data/en_token_list/tgt_bpe_unigram4000/bpe.model"
META: dict[str, Any] = {
    "espnet": "202204",
    "files": {"st_model_file": f"{EXP}/valid.acc.ave_10best.pth"},
    "yaml_files": {"st_train_config": f"{EXP}/config.yaml"},
    "python": "3.9",
}


class Hub:
    """Stands in the place of the client: `repository` holds the files, `asked` what was wanted of them."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.cache = folder / "repository", folder / "cache"
        self.asked: list[tuple[str, str | None, tuple[str, ...]]] = []
        self.error: Exception | None = None

    def snapshot_download(self, repo_id: str, revision: str | None = None, allow_patterns: Iterable[str] = ()) -> str:
        self.asked.append((repo_id, revision, tuple(allow_patterns)))
        if self.error is not None:
            raise self.error
        base = self.cache / f"models--{repo_id.replace('/', '--')}"
        snapshot = base / "snapshots" / COMMIT
        (base / "blobs").mkdir(parents=True, exist_ok=True)
        snapshot.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.repository.rglob("*")):
            name = str(path.relative_to(self.repository))
            if path.is_dir() or not any(fnmatch(name, pattern) for pattern in allow_patterns):
                continue
            link = snapshot / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():  # what a hostile client of the cache might leave
                link.unlink(missing_ok=True)
                link.symlink_to(path.readlink())
                continue
            blob = base / "blobs" / f"{abs(hash(name)):x}"
            blob.write_bytes(path.read_bytes())
            if not link.exists():
                link.symlink_to(blob)
        return str(snapshot)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The first paper's model, tiny, as its repository lies on the hub."""
    found = Hub(tmp_path)
    folder = write_checkpoint(found.repository / EXP, st_config(bpemodel=BPE), name="valid.acc.ave_10best.pth")
    (folder / "bpe.model").unlink()
    (found.repository / BPE).parent.mkdir(parents=True)
    train_tokenizer(found.repository / BPE)
    (found.repository / "run.py").write_text("raise SystemExit('code of the repository ran')")
    (folder / "37epoch.pth").write_bytes(b"another checkpoint")
    write_meta(found, META)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", found.snapshot_download)
    monkeypatch.chdir(tmp_path)
    return found


def write_meta(hub: Hub, meta: Any) -> None:
    (hub.repository / "meta.yaml").write_text(meta if isinstance(meta, str) else yaml.safe_dump(meta))


def refusal(tag: str = TAG) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(tag)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_tag_loads_what_meta_names_and_downloads_no_code(hub: Hub) -> None:
    model = load_model(TAG)
    snapshot = hub.cache / f"models--{TAG.replace('/', '--')}" / "snapshots" / COMMIT
    assert model.path == snapshot / EXP
    assert model.weights == snapshot / EXP / "valid.acc.ave_10best.pth"
    assert model.bpe_model == snapshot / BPE
    assert set(model.files) == {"config.yaml", "valid.acc.ave_10best.pth", "bpe.model"}  # names, not those of blobs
    assert sorted(path.name for path in snapshot.rglob("*") if path.is_file()) == [
        "bpe.model",
        "config.yaml",
        "meta.yaml",
        "valid.acc.ave_10best.pth",
    ]
    assert hub.asked[0] == (TAG, None, ("meta.yaml",))
    assert hub.asked[1][:2] == (TAG, COMMIT)  # both of one commit, whatever is uploaded meanwhile


def test_a_revision_is_asked_for_and_a_study_pins_its_model(hub: Hub) -> None:
    load_model(f"{TAG}@v1.0")
    assert hub.asked[0] == (TAG, "v1.0", ("meta.yaml",))
    assert pinned(TAG) == pinned(f"{TAG}@v1.0") == f"{TAG}@{COMMIT}"
    assert load_model(f"{TAG}@{COMMIT}").digest == load_model(TAG).digest


def test_a_repository_without_meta_has_one_folder_with_a_model(hub: Hub) -> None:
    (hub.repository / "meta.yaml").unlink()
    assert load_model(TAG).weights.name == "valid.acc.ave_10best.pth"
    write_checkpoint(hub.repository / "exp" / "other", st_config(), name="valid.acc.ave.pth")
    assert f"or one folder with config.yaml and an average of checkpoints; got exp/other, {EXP}" in refusal()


@pytest.mark.parametrize("named", ["../../../../etc/passwd", "/etc/passwd", f"{EXP}/../../../../secret.pth"])
@pytest.mark.parametrize("key", ["files", "yaml_files"])
def test_a_path_that_leads_out_is_refused(hub: Hub, named: str, key: str) -> None:
    write_meta(hub, META | {key: dict.fromkeys(META[key], named)})
    assert refusal() == f"paths of a hub model must stay inside its download, got {named!r}"
    assert len(hub.asked) == 1  # nothing was downloaded for it


def test_links_that_lead_out_are_refused(hub: Hub, tmp_path: Path) -> None:
    outside = write_checkpoint(tmp_path / "outside", st_config(), random_state(st_config(), seed=3))
    weights = hub.repository / EXP / "valid.acc.ave_10best.pth"
    weights.unlink()
    weights.symlink_to(outside / "model.pth")
    load_error = "paths of a hub model must stay inside its download"
    assert load_error in refusal()
    weights.unlink()
    (hub.repository / "meta.yaml").unlink()
    (hub.repository / "meta.yaml").symlink_to(outside / "config.yaml")
    assert load_error in refusal()


def test_a_tokenizer_outside_the_download_is_not_opened(hub: Hub, tmp_path: Path) -> None:
    train_tokenizer(tmp_path / "mine.model")
    for written in (str(tmp_path / "mine.model"), "mine.model", "../../../../mine.model"):
        config = st_config(bpemodel=written)
        (hub.repository / EXP / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        assert f"bpemodel must be a file, got {written!r}" in refusal()


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ("a: [", "meta.yaml must be readable plain YAML"),
        ("!!python/object/apply:os.system ['true']", "meta.yaml must be readable plain YAML"),
        ("- 1", "meta.yaml must name st_model_file with st_train_config or asr_model_file with asr_train_config"),
        (META | {"files": {"s2t_model_file": "a.pth"}}, "names s2t_model_file, st_train_config"),
        (META | {"files": {"st_model_file": f"{EXP}/gone.pth"}}, "got 'exp/st_train_st_conformer_raw_en_de_bpe_tc4000_sp/gone.pth', which"),
        (META | {"yaml_files": {"st_train_config": "meta.yaml"}}, "must be named config.yaml, got 'meta.yaml'"),
    ],
)
def test_a_meta_that_names_no_model_is_refused(hub: Hub, meta: Any, expected: str) -> None:
    write_meta(hub, meta)
    assert expected in refusal()


def test_an_asr_model_is_named_by_its_own_keys(hub: Hub) -> None:
    files = {"asr_model_file": META["files"]["st_model_file"], "lm_file": "exp/lm/20epoch.pth"}
    write_meta(hub, META | {"files": files, "yaml_files": {"asr_train_config": META["yaml_files"]["st_train_config"]}})
    assert load_model(TAG).weights.name == "valid.acc.ave_10best.pth"
    assert not any("lm" in pattern for _, _, patterns in hub.asked for pattern in patterns)


def _http_error(kind: type[Exception]) -> Exception:
    """The client's errors take a response; what they say does not matter here."""
    error = kind.__new__(kind)
    Exception.__init__(error, "404 Client Error.\nRepository Not Found for url")
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_http_error(RepositoryNotFoundError), "no such folder, and the hub has no such model"),
        (_http_error(RevisionNotFoundError), "has no revision 'main' on the hub"),
        (
            LocalEntryNotFoundError("no connection\nand no file"),
            "could not be downloaded (LocalEntryNotFoundError: no connection): is there a network?",
        ),
        (ConnectionError("Name or service not known"), "is there a network?"),
    ],
)
def test_what_the_client_fails_with_is_one_line(hub: Hub, error: Exception, expected: str) -> None:
    hub.error = error
    assert expected in refusal(f"{TAG}@main")


def test_without_the_extra_the_command_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert refusal() == f"a model must be a folder, got {TAG}, which is none here; as a tag of the hub it takes {INSTALL}"


def test_what_is_here_is_no_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp").mkdir()
    assert is_hub_tag(TAG)
    assert is_hub_tag(f"{TAG}@main")
    assert not any(
        is_hub_tag(text) for text in ("exp/st_train", "models", "/a/b", "a/b/c", "gone/a.pth", "x/study.toml", "../a/b", "bundled:a")
    )
    (tmp_path / "espnet").mkdir()
    assert is_hub_tag(TAG)  # a checkout of ESPnet in the working folder
    (tmp_path / TAG).mkdir()
    assert not is_hub_tag(TAG)


def test_a_study_keeps_a_tag_as_it_is(hub: Hub) -> None:
    spec = default_spec(TAG)
    assert spec.objectives.quality == "chrf"
    assert spec.name == TAG.partition("/")[2] == default_name(f"{TAG}@{COMMIT}")
    assert anchored(spec).model.path == TAG
