"""The sample's facts in words."""

import itertools
import re
import unicodedata
from collections import Counter, defaultdict

import pytest

from distributed_hbt.demo.sample.facts import Fact, load_facts
from distributed_hbt.demo.sample.render import VARIANTS, answer, question
from distributed_hbt.demo.sample.tables import LANGUAGES, read_table

SCRIPTS = {
    "en": "LATIN",
    "de": "LATIN",
    "es": "LATIN",
    "ru": "CYRILLIC",
    "el": "GREEK",
    "ar": "ARABIC",
    "hi": "DEVANAGARI",
    "zh": "CJK",
}


def _script_share(text: str, script: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum(unicodedata.name(letter).startswith(script) for letter in letters) / len(letters)


def test_every_language_is_written_in_its_own_script() -> None:
    """Catches columns swapped, and a Latin letter typed within a Greek or Cyrillic name."""
    assert tuple(SCRIPTS) == LANGUAGES
    assert len(set(SCRIPTS.values())) == 6
    for row in read_table("entities"):
        for language, script in SCRIPTS.items():
            for text in re.sub(r"\w+=", "", row[language]).split("; "):
                assert _script_share(text, script) == 1, (row["entity"], language, text)
    for row in read_table("patterns"):
        for language, script in SCRIPTS.items():
            assert _script_share(re.sub(r"\{.*?\}", "", row[language]), script) == 1, row


def test_every_relation_has_two_questions_and_two_answers_in_every_language() -> None:
    """Catches a pattern left out, repeated, or without its slot."""
    wording: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in read_table("patterns"):
        wording[row["relation"], row["kind"]].append(row["variant"])
        for language in LANGUAGES:
            slots = [slot[0] for slot in re.findall(r"\{(\w)(?:\.\w+)?\}", row[language])]
            assert sorted(slots) == (["o", "s"] if row["kind"] == "answer" else ["s"]), (row, language)
    relations = {fact.relation for fact in load_facts()}
    assert wording == {key: ["1", "2"] for key in itertools.product(relations, ("question", "answer"))}


def test_every_fact_can_be_said_and_asked_in_every_language() -> None:
    """Catches an entity without the form that a pattern asks for, and slots left open."""
    for fact, language, variant in itertools.product(load_facts(), LANGUAGES, range(1, VARIANTS + 1)):
        for text in (question(fact, language, variant), answer(fact, language, variant).text):
            assert not set(text) & set("{}=;_") or (language == "el" and text.endswith(";")), text
            assert text == unicodedata.normalize("NFC", text)
            assert "  " not in text


def test_no_two_facts_share_a_sentence_or_a_question() -> None:
    """Catches two candidates with one text: which of them is right would be left to chance."""
    for language in LANGUAGES:
        texts = [
            text
            for fact in load_facts()
            for variant in (1, 2)
            for text in (answer(fact, language, variant).text, question(fact, language, variant))
        ]
        assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_the_object_stands_where_the_answer_says() -> None:
    """Catches offsets that count the pattern's braces, or that are lost behind another name."""
    said = {
        fact.id: answer(fact, language, variant)
        for fact, language, variant in (
            (Fact("legs", "spider", "8"), "zh", 1),
            (Fact("calling_code", "italy", "+39"), "ru", 2),
            (Fact("capital", "cuba", "havana"), "el", 2),
            (Fact("main_language", "egypt", "arabic"), "hi", 1),
        )
    }
    assert {name: (s.text[s.object_start : s.object_end], s.object_start) for name, s in said.items()} == {
        "legs-spider": ("8", 3),
        "calling_code-italy": ("+39", 48),
        "capital-cuba": ("Η Αβάνα", 0),
        "main_language-egypt": ("अरबी", 20),
    }


@pytest.mark.parametrize(
    ("fact", "language", "variant", "expected_question", "expected_answer"),
    [
        (
            Fact("capital", "japan", "tokyo"),
            "en",
            1,
            "What is the capital of Japan?",
            "The capital of Japan is Tokyo.",
        ),
        (
            Fact("driving_side", "france", "right"),
            "ru",
            1,
            "По какой стороне дороги ездят во Франции?",
            "Во Франции ездят по правой стороне дороги.",
        ),
        (
            Fact("capital", "germany", "berlin"),
            "el",
            2,
            "Ποια πόλη είναι η πρωτεύουσα της Γερμανίας;",
            "Το Βερολίνο είναι η πρωτεύουσα της Γερμανίας.",
        ),
        (
            Fact("symbol", "iron", "Fe"),
            "hi",
            1,
            "लोहे का रासायनिक प्रतीक क्या है?",
            "लोहे का रासायनिक प्रतीक Fe है।",
        ),
        (
            Fact("author", "war_and_peace", "tolstoy"),
            "zh",
            2,
            "《战争与和平》是谁写的？",
            "《战争与和平》是列夫·托尔斯泰写的。",
        ),
        (
            Fact("state_of_matter", "mercury", "liquid"),
            "ar",
            2,
            "في الظروف العادية، هل عنصر الزئبق صلب أم سائل أم غازي؟",
            "في الظروف العادية يكون عنصر الزئبق في الحالة السائلة.",
        ),
        (
            Fact("legs", "ant", "6"),
            "de",
            1,
            "Wie viele Beine hat eine Ameise?",
            "Eine Ameise hat 6 Beine.",
        ),
        (
            Fact("animal_class", "owl", "bird"),
            "es",
            1,
            "¿A qué clase de animales pertenece el búho?",
            "El búho pertenece a la clase de las aves.",
        ),
    ],
)
def test_sentences_read_as_written_by_hand(
    fact: Fact, language: str, variant: int, expected_question: str, expected_answer: str
) -> None:
    """Catches a wrong inflected form, a lost capital at the start, and patterns mixed up."""
    assert question(fact, language, variant) == expected_question
    assert answer(fact, language, variant).text == expected_answer
