"""The words that a shell makes of an entrypoint: of the small part of its language that is used here."""

import re
import shlex
from collections.abc import Mapping

_FILES = re.compile(r"\$\(cat ([^()$]+)\)")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def shell_words(command: str, files: Mapping[str, str], variables: Mapping[str, str]) -> list[str]:
    """What `$(cat FILE ...)` and `$VARIABLE` come to in the pod. Raises ValueError for what is not there, and
    for what else a shell would do."""

    def contents(match: re.Match[str]) -> str:
        missing = [name for name in match[1].split() if name not in files]
        if missing:
            raise ValueError(f"reads {', '.join(missing)}, which no ConfigMap brings")
        return " ".join(shlex.quote(word) for name in match[1].split() for word in files[name].split())

    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise ValueError(f"uses ${match[1]}, which the pod does not set")
        return variables[match[1]]

    words = _VARIABLE.sub(value, _FILES.sub(contents, command))
    if re.search(r"[$`;&|<>\n]", words):
        raise ValueError("is more than one command with words, files and variables")
    return shlex.split(words)
