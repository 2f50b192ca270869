"""Input files: finding them, locally or on the hub, and reading their lines as a stream."""

import glob
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from distributed_hbt.errors import DataError, one_line

_DATA_SUFFIXES = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".txt", ".parquet")
_HUB_PATH = re.compile(r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<inner>.*))?")
LONGEST_LINE = 2**28
LONGEST_DOCUMENT = 2**30
"""Bytes, uncompressed: a few kilobytes of gzip may hold more than any machine's memory."""
_BOM = b"\xef\xbb\xbf"
_MAGIC_GZIP = b"\x1f\x8b"


def expand(path: str) -> list[Path]:
    """The files that a path names, sorted.

    A file names itself. A folder names the data files directly in it (.jsonl, .json, .csv, .tsv, .txt,
    .parquet, each also .gz), so that a README beside the data is no data. A glob may hold `**`.
    `hf://datasets/<owner>/<name>[@revision]/<file, folder or glob>` is fetched into the hub's
    cache, or under HF_HUB_OFFLINE taken from there.

    Raises DataError where nothing is found or the hub can not be reached.
    """
    if path.startswith("hf://"):
        return _from_hub(path)
    local = Path(path).expanduser()
    if local.is_file():
        return [local]
    if local.is_dir():
        found = [file for file in local.iterdir() if file.is_file() and _is_data_file(file.name)]
    else:
        named = glob.glob(str(local), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        found = [Path(name) for name in named if Path(name).is_file()]
    if not found:
        raise DataError(path, "no data file is found", "check the path (or data.root)")
    return sorted(found)


def one_file(path: str) -> Path:
    """The only file that a path names. Raises DataError where it names several."""
    found = expand(path)
    if len(found) > 1:
        raise DataError(path, f"names {len(found)} files where one is read", "name one file")
    return found[0]


def member(folder: str, name: str) -> str:
    """The path of a file in a folder, which may be there as `name` or `name`.gz."""
    plain = f"{folder.rstrip('/')}/{name}"
    if not folder.startswith("hf://"):
        packed = f"{plain}.gz"
        only_packed = Path(packed).expanduser().exists() and not Path(plain).expanduser().exists()
        return packed if only_packed else plain
    return str(one_file(f"{plain}*"))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of a UTF-8 text file, .gz transparently, as a stream.

    Raises DataError with file:line for invalid UTF-8 and for a damaged gzip file.
    """
    for number, line in raw_lines(path):
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            what = f"is not valid UTF-8 (byte {error.start + 1} of the line)"
            raise DataError(f"{path}:{number}", what, "convert the file to UTF-8") from error


def raw_lines(path: Path, *, max_bytes: int = LONGEST_LINE) -> Iterator[tuple[int, bytes]]:
    """As `lines`, undecoded, for readers that can go on after a line of invalid UTF-8.

    Raises DataError for a line of more than `max_bytes`, of which no more than that is read.
    """
    number = 0
    try:
        with _open(path) as file:
            read = partial(file.readline, max_bytes + 1)
            for number, line in enumerate(iter(read, b""), start=1):
                if len(line) > max_bytes:
                    what = f"the line is longer than {max_bytes} bytes"
                    raise DataError(f"{path}:{number}", what, "check that the file has a row a line")
                content = line.removeprefix(_BOM) if number == 1 else line
                yield number, content.removesuffix(b"\n").removesuffix(b"\r")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(f"{path}:{number + 1}", error) from error
    except OSError as error:
        raise DataError(str(path), f"can not be read ({error.strerror})", "check the file") from error


def filled_lines(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """(file:line, line) of the lines of all files that are not blank, undecoded."""
    for path in paths:
        for number, line in raw_lines(path):
            if line.strip():
                yield f"{path}:{number}", line


def whole_text(path: Path) -> str:
    """The whole of a UTF-8 document, .gz transparently. Raises DataError as `lines` does, and where it is too
    long."""
    found: list[str] = []
    length = 0
    for _, line in lines(path):
        length += len(line) + 1
        if length > LONGEST_DOCUMENT:
            what = f"is longer than {LONGEST_DOCUMENT} characters"
            raise DataError(str(path), what, "check that it is the file that was meant")
        found.append(line)
    return "\n".join(found)


def _open(path: Path) -> BinaryIO:
    """A gzip file is told by its first bytes, as some tools drop the suffix; `.gz` must be one."""
    with path.open("rb") as file:
        magic = file.read(2)
    if magic == _MAGIC_GZIP:
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".gz":
        raise gzip.BadGzipFile("it does not begin as a gzip file")
    return path.open("rb")


def _damaged(where: str, error: Exception) -> DataError:
    what = f"the gzip stream is truncated or damaged here ({error})"
    return DataError(where, what, "fetch or compress the file again")


def _is_data_file(name: str) -> bool:
    return not name.startswith(".") and name.removesuffix(".gz").endswith(_DATA_SUFFIXES)


def _from_hub(path: str) -> list[Path]:
    match = _HUB_PATH.fullmatch(path)
    if match is None:
        raise DataError(path, "is no dataset path", "write hf://datasets/<owner>/<name>[@revision]/<path>")
    from huggingface_hub import hf_hub_download

    repo, revision, inner = match["repo"], match["revision"], (match["inner"] or "").strip("/")
    try:
        listed = _listed(repo, revision)
        chosen = sorted(select(listed, inner))
        fetched = [hf_hub_download(repo, name, repo_type="dataset", revision=revision) for name in chosen]
    # The client lets through the errors of whichever HTTP library it is built on; all mean the same here.
    except Exception as error:
        what = f"could not be fetched from the hub ({type(error).__name__}: {one_line(error)})"
        raise DataError(
            path, what, "check the name, the network and HF_TOKEN, or give a local path"
        ) from error
    if not fetched:
        raise DataError(path, f"no such file among the {len(listed)} of the repository", "check the path")
    return [Path(name) for name in fetched]


def _listed(repo: str, revision: str | None) -> list[str]:
    """The files of a repository; under HF_HUB_OFFLINE those that were fetched before."""
    from huggingface_hub import constants, list_repo_files, snapshot_download

    if not constants.HF_HUB_OFFLINE:
        return list(list_repo_files(repo, repo_type="dataset", revision=revision))
    folder = Path(snapshot_download(repo, repo_type="dataset", revision=revision))
    return [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]


def select(listed: list[str], inner: str) -> list[str]:
    """The files of a repository that a file path, a folder or a glob names."""
    if inner in listed:
        return [inner]
    if re.search(r"[*?\[]", inner):
        pattern = re.compile(_glob_expression(inner))
        return [name for name in listed if pattern.fullmatch(name)]
    prefix = f"{inner}/" if inner else ""
    below = [name.removeprefix(prefix) for name in listed if name.startswith(prefix)]
    return [prefix + name for name in below if "/" not in name and _is_data_file(name)]


def _glob_expression(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` goes down any number."""
    forms = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return "".join(
        forms.get(part, part.replace("[!", "[^") if part.startswith("[") else re.escape(part))
        for part in parts
    )
