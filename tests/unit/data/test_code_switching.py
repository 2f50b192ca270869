"""Code-switched queries."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distributed_hbt.config.data import CodeSwitchingConfig, DataConfig
from distributed_hbt.data.code_switching import CodeSwitching, read_lexicon
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_examples
from distributed_hbt.data.store.prepare import data_identity
from distributed_hbt.errors import DataError


@pytest.fixture
def lexicons(tmp_path: Path) -> dict[str, str]:
    """German by blanks, Swahili by tabs, packed."""
    (tmp_path / "de.txt").write_text("dog Hund\ncat Katze\nthe der\nthe die\n\n", encoding="utf-8")
    swahili = "dog\tmbwa\nwhere\tsehemu gani\n"
    (tmp_path / "sw.tsv.gz").write_bytes(gzip.compress(swahili.encode()))
    return {"de": f"{tmp_path}/de.txt", "sw": f"{tmp_path}/sw.tsv.gz"}


def switching(lexicons: dict[str, str], **more: Any) -> CodeSwitching:
    return CodeSwitching(CodeSwitchingConfig.model_validate({"lexicons": lexicons, **more}))


def test_every_known_word_is_replaced_and_nothing_else(lexicons: dict[str, str]) -> None:
    """A part of a word replaced (catalogue, dogs), a capital that hides a word, lost blanks or marks."""
    german = switching({"de": lexicons["de"]}, probability=1.0)
    text = german.text('Does  "Dog" (cat) like dogs, catalogues\tand hot-dog? cat')
    assert text == 'Does  "Hund" (Katze) like dogs, catalogues\tand hot-dog? Katze'
    assert switching({"sw": lexicons["sw"]}, probability=1.0).text("Where is it?") == "sehemu gani is it?"


def test_probability_is_that_of_a_word(lexicons: dict[str, str]) -> None:
    """All words of a query switched together, or a share of all words instead of the known ones."""
    text = switching({"de": lexicons["de"]}, probability=0.3).text("cat bird " * 4000)
    counts = Counter(text.split())
    assert counts["bird"] == 4000
    assert 1100 < counts["Katze"] < 1300
    assert counts["cat"] == 4000 - counts["Katze"]


def test_languages_and_translations_are_drawn_evenly(lexicons: dict[str, str]) -> None:
    """Always the first lexicon, or the first translation."""
    counts = Counter(switching(lexicons, probability=1.0).text("dog the " * 2000).split())
    assert counts.keys() == {"Hund", "mbwa", "der", "die"}
    assert all(900 < count < 1100 for count in counts.values())


def test_a_query_may_have_one_language(lexicons: dict[str, str]) -> None:
    """Bilingual switching that mixes languages in a query, or that knows one language alone."""
    one = switching(lexicons, probability=1.0, draw="query")
    found = {one.text(f"dog dog {i}").rpartition(" ")[0] for i in range(40)}
    assert found == {"Hund Hund", "mbwa mbwa"}


def test_switching_is_a_function_of_seed_and_text(lexicons: dict[str, str]) -> None:
    """Another order of rows, or another rank, that trains on other queries."""
    texts = [f"the dog and the cat {i}" for i in range(50)]
    first = [switching(lexicons).text(text) for text in texts]
    assert [switching(dict(reversed(lexicons.items()))).text(text) for text in reversed(texts)] == first[::-1]
    assert [switching(lexicons, seed=1).text(text) for text in texts] != first
    assert switching(lexicons).text("the dog and the cat") == "der dog and die Katze"


def rows(tmp_path: Path, **switching: Any) -> list[Example]:
    passages = [{"docid": "p", "title": "", "text": "the dog"}]
    pairs = [("en", "the dog"), ("de", "the dog")]
    lines = [
        {
            **{"group_id": "1", "query": text, "query_language": language},
            **{"passage_language": "en", "positive_passages": passages},
        }
        for language, text in pairs
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    found = [row for _, row in read_examples(config(tmp_path, **switching))]
    assert all(isinstance(row, Example) for row in found)
    return found  # type: ignore[return-value]


def config(tmp_path: Path, **switching: Any) -> DataConfig:
    content = {"sources": [{"format": "hbt_jsonl", "path": f"{tmp_path}/rows.jsonl"}]}
    if switching:
        content["code_switching"] = switching  # type: ignore[assignment]
    return DataConfig.model_validate_json(json.dumps(content))


def test_only_queries_of_the_source_language_are_switched(lexicons: dict[str, str], tmp_path: Path) -> None:
    """Passages, or queries of other languages, switched too; a query that changes its language."""
    english, german = rows(tmp_path, lexicons={"de": lexicons["de"]}, probability=1.0)
    assert english.query in ("der Hund", "die Hund")
    assert (english.query_language, english.positives[0].text) == ("en", "the dog")
    assert german.query == "the dog"
    assert rows(tmp_path)[0].query == "the dog"
    as_german = rows(tmp_path, lexicons={"en": lexicons["de"]}, source_language="deu", probability=1.0)
    assert [row.query == "the dog" for row in as_german] == [True, False]


def test_identity_of_the_data_has_the_switching_in_it(lexicons: dict[str, str], tmp_path: Path) -> None:
    """A store of unswitched queries, or of another lexicon, taken for this one."""
    rows(tmp_path)
    seen = []
    for settings in ({}, {"seed": 1}, {"probability": 0.4}, {"draw": "query"}):
        seen.append(data_identity(config(tmp_path, lexicons=lexicons, **settings), tmp_path / "s"))
    seen.append(data_identity(config(tmp_path), tmp_path / "s"))
    Path(lexicons["de"]).write_text("dog Koeter\n", encoding="utf-8")
    seen.append(data_identity(config(tmp_path, lexicons=lexicons), tmp_path / "s"))
    assert len({json.dumps(one) for one in seen}) == 6
    assert str(tmp_path) not in json.dumps(seen)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog Hund\ndog\n", r"lexicon:2: holds 'dog', not a word and a translation"),
        ("dog Hund weg\n", "lexicon:1: holds"),
        ("dog\t\n", "lexicon:1: holds"),
        ("\n", "lexicon: the lexicon is empty"),
    ],
)
def test_faulty_lexicons_are_named(tmp_path: Path, content: str, message: str) -> None:
    """A file of another form that leaves all queries as they are."""
    (tmp_path / "lexicon").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_lexicon(f"{tmp_path}/lexicon")


def test_a_language_is_no_translation_of_itself() -> None:
    """English words replaced by English words."""
    with pytest.raises(ValidationError, match="en and eng name one language"):
        CodeSwitchingConfig.model_validate({"lexicons": {"eng": "x"}})
