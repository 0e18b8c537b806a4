"""The folder of a recipe's experiment: which of its checkpoints is taken, and where its tokenizer is found."""

import shutil
from pathlib import Path

import pytest
import torch

from paredown.models import ModelError, load_model
from paredown.models.locate import locate, locate_weights
from paredown.models.model import digest_model
from tests.models.checkpoints import asr_config, random_state, st_config, train_tokenizer, write_checkpoint

BPE = "data/en_token_list/bpe_unigram4000/bpe.model"


def write_recipe(root: Path, written: str = BPE) -> Path:
    """`exp/st_train` of a recipe, whose tokenizer lies below `data/`."""
    folder = write_checkpoint(root / "exp" / "st_train", st_config(bpemodel=written), name="valid.acc.ave_10best.pth")
    (root / BPE).parent.mkdir(parents=True)
    shutil.move(folder / "bpe.model", root / BPE)
    return folder


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(name.encode())


def test_the_average_is_taken_among_all_that_training_leaves(tmp_path: Path) -> None:
    touch(tmp_path, "checkpoint.pth", "1epoch.pth", "2epoch.pth", "valid.acc.ave_10best.pth", "valid.acc.ave_5best.pth")
    for link, target in (
        ("valid.acc.ave.pth", "valid.acc.ave_10best.pth"),
        ("valid.acc.best.pth", "2epoch.pth"),
        ("latest.pth", "2epoch.pth"),
    ):
        (tmp_path / link).symlink_to(target)
    assert locate_weights(tmp_path) == tmp_path / "valid.acc.ave_10best.pth"  # the file, not the link that recipes decode with
    (tmp_path / "valid.acc.ave.pth").unlink()
    with pytest.raises(ModelError, match=r"got valid\.acc\.ave_10best\.pth, valid\.acc\.ave_5best\.pth: name the file itself$"):
        locate_weights(tmp_path)


def test_training_state_and_broken_links_are_no_weights(tmp_path: Path) -> None:
    touch(tmp_path, "checkpoint.pth")
    (tmp_path / "valid.acc.ave.pth").symlink_to("gone.pth")
    with pytest.raises(ModelError, match="must hold a"):
        locate_weights(tmp_path)
    touch(tmp_path, "37epoch.pth")
    assert locate_weights(tmp_path) == tmp_path / "37epoch.pth"


def test_a_link_to_a_file_of_another_name_keeps_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "0123abcd")  # as the hub's cache names what it links to
    (tmp_path / "valid.acc.ave.pth").symlink_to("0123abcd")
    assert locate_weights(tmp_path).name == "valid.acc.ave.pth"


def test_the_weights_file_itself_can_be_named(tmp_path: Path) -> None:
    folder = write_recipe(tmp_path)
    other = random_state(st_config(), seed=5)
    torch.save(other, folder / "valid.acc.best.pth")
    named = load_model(folder / "valid.acc.best.pth")
    assert torch.equal(named.network.state_dict()["encoder.after_norm.weight"], other["encoder.after_norm.weight"])
    assert (named.path, named.weights) == (folder, folder / "valid.acc.best.pth")
    assert set(named.files) == {"config.yaml", "valid.acc.best.pth", "bpe.model"}
    assert named.digest == digest_model(folder / "valid.acc.best.pth") != digest_model(folder) == load_model(folder).digest


def test_the_tokenizer_is_found_from_the_recipe_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_recipe(tmp_path / "st1")
    elsewhere = tmp_path / "other" / BPE
    elsewhere.parent.mkdir(parents=True)
    train_tokenizer(elsewhere)
    monkeypatch.chdir(tmp_path / "other")  # another recipe, with a tokenizer of the same name
    assert load_model(folder).bpe_model == tmp_path / "st1" / BPE


def test_an_absolute_path_of_another_machine_is_found_in_the_recipe(tmp_path: Path) -> None:
    folder = write_recipe(tmp_path / "moved", f"/home/gone/data/espnet/egs2/corpus/st1/{BPE}")
    assert load_model(folder).bpe_model == tmp_path / "moved" / BPE


def test_the_tokenizer_of_a_folder_that_was_moved_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_recipe(tmp_path / "st1")
    moved = Path(shutil.copytree(folder, tmp_path / "away" / "model"))
    message = refusal(moved)
    assert message == f"bpemodel must be a file, got {BPE!r}, which is neither there nor in {moved}: copy it to {moved}/bpe.model"
    monkeypatch.chdir(tmp_path / "st1")
    assert load_model(moved).bpe_model == Path(BPE)  # from the working folder
    monkeypatch.chdir(tmp_path)
    shutil.copy(tmp_path / "st1" / BPE, moved)
    assert load_model(moved).bpe_model == moved / "bpe.model"


def test_a_tokenizer_missing_in_a_recipe_names_both_places(tmp_path: Path) -> None:
    folder = write_recipe(tmp_path)
    (tmp_path / BPE).unlink()
    assert f"neither there nor in {folder} nor in the recipe {tmp_path}: copy it to" in refusal(folder)


def test_a_recipes_root_names_the_experiments_inside(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "exp" / "st_b", st_config())
    write_checkpoint(tmp_path / "exp" / "st_a", asr_config())
    assert refusal(tmp_path).endswith("without it; give one of the folders inside: st_a, st_b")
    assert refusal(tmp_path / "exp").endswith("give one of the folders inside: st_a, st_b")


def test_a_weights_file_without_a_config_beside_it_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "model.pth")
    assert "must hold config.yaml" in refusal(tmp_path / "model.pth")
    assert "which is not there" in refusal(tmp_path / "gone.pth")
    touch(tmp_path, "model.bin")
    assert "which is a file" in refusal(tmp_path / "model.bin")


def test_what_is_located_is_what_loads(tmp_path: Path) -> None:
    located = locate(write_recipe(tmp_path))
    assert (located.folder, located.weights.name, located.snapshot) == (tmp_path / "exp" / "st_train", "valid.acc.ave_10best.pth", None)
