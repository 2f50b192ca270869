"""What the package does not call: whatever would run what is only to be read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "distributed_hbt").rglob("*.py"), *(ROOT / "k8s").rglob("*.py")])

FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "os.system", "os.popen", "torch.hub.load", "yaml.unsafe_load"),
    *("yaml.full_load", "pd.read_pickle", "pandas.read_pickle", "shutil.unpack_archive"),
}
SAFE_LOADERS = ("_Loader", "SafeLoader", "CSafeLoader")


def violations(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if module.partition(".")[0] in FORBIDDEN_IMPORTS:
                    yield node.lineno, f"import of {module}"
        if isinstance(node, ast.Call):
            yield from ((node.lineno, what) for what in of_call(node))


def of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in FORBIDDEN_CALLS or name.endswith((".extractall", ".read_pickle")):
        yield f"call of {name}"
    if given.get("allow_pickle", "False") != "False" or given.get("shell", "False") != "False":
        yield f"{name} with {given}"
    if given.get("trust_remote_code", "False") != "False":
        yield f"{name} with trust_remote_code={given['trust_remote_code']}"
    if given.get("weights_only", "True") != "True":
        yield f"{name} with weights_only={given['weights_only']}"
    if name == "torch.load" and "weights_only" not in given:
        yield f"{name} without weights_only=True"
    # Left out, transformers asks at the terminal.
    if name.startswith("Auto") and name.endswith(".from_pretrained") and "trust_remote_code" not in given:
        yield f"{name} without trust_remote_code=False"
    if name == "AutoModel.from_pretrained" and given.get("use_safetensors") != "True":
        yield f"{name} without use_safetensors=True"
    if name in ("yaml.load", "yaml.load_all") and not any(
        loader in given.get("Loader", "") for loader in SAFE_LOADERS
    ):
        yield f"{name} without a safe loader"


def test_nothing_that_is_read_is_run() -> None:
    """A pickle, code beside a model, a shell, or an archive that writes where it likes."""
    assert FILES
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in FILES
        for line, what in violations(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "AutoTokenizer.from_pretrained(name)",
        "AutoConfig.from_pretrained(name, trust_remote_code=model.trust_remote_code)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run(line, shell=True)",
        "archive.extractall(folder)",
        "eval(text)",
    ],
)
def test_the_rule_sees_what_it_forbids(code: str) -> None:
    """A rule that nothing can break."""
    assert len(list(violations(ast.parse(code)))) == 1
