"""Dependencies point one way: space <- search, profilers <- search, and src/paredown joins them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"space": ROOT / "space", "profilers": ROOT / "profilers", "search": ROOT / "search"}
FOLDERS |= {folder.name: folder for folder in (ROOT / "src" / "paredown").iterdir() if (folder / "__init__.py").exists()}

# What a folder may import of paredown itself (beside itself and paredown.errors).
ALLOWED = {
    "space": set(),
    "profilers": set(),
    "search": {"space", "profilers"},
    "runtime": set(),
    "quality": set(),
    "data": set(),
    "models": {"space", "data"},
    "compress": {"space", "models"},
    "recover": {"models", "data", "space", "compress", "runtime"},
    "analysis": {"space", "models", "compress"},
    "bundle": {"space", "models", "compress", "runtime"},
    "bundled": set(),
    "cluster": {"trials", "data", "profilers", "runtime", "space"},
}
# Third parties that must stay out, at any depth of the file.
FORBIDDEN = {
    "space": {"torch", "optuna", "espnet", "espnet2", "onnxruntime", "onnx"},
    "profilers": {"torch", "optuna", "espnet", "espnet2"},
    "search": {"torch", "espnet", "espnet2", "onnxruntime", "onnx"},
    "runtime": {"torch", "espnet", "espnet2", "onnx", "scipy", "librosa", "optuna", "sentencepiece"},
    "quality": {"torch", "espnet", "espnet2"},
    "cluster": {"torch", "espnet", "espnet2", "optuna"},
}


def imported_names(path: Path) -> set[str]:
    """Every module name that a file imports, wherever in it the statement stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_no_arrow_runs_back(folder: str) -> None:
    for path in FOLDERS[folder].rglob("*.py"):
        for name in imported_names(path):
            parts = name.split(".")
            if parts[0] == "paredown" and len(parts) > 1 and parts[1] in FOLDERS:
                assert parts[1] in ALLOWED[folder] | {folder}, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_heavy_libraries_stay_out(folder: str) -> None:
    for path in FOLDERS[folder].rglob("*.py"):
        for name in imported_names(path):
            assert name.split(".")[0] not in FORBIDDEN[folder], f"{path.relative_to(ROOT)} imports {name}"


def test_the_reader_of_imports_sees_a_forbidden_one(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def late():\n    from torch.nn import Linear\n    import paredown.search.study\n    return Linear\n")
    assert imported_names(module) == {"torch.nn.Linear", "paredown.search.study"}
