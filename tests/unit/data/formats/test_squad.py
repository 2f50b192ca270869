"""SQuAD-style JSON."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.errors import DataError

# The mark counts as a code point and the smiley as one: the sentences are [0, 8) and [9, 15).
CONTEXT = "\ufeffOne 😀 .. Two ok"


def question(identifier: Any, *starts: Any, text: str = "Q?") -> dict[str, Any]:
    return {"id": identifier, "question": text, "answers": [{"answer_start": s, "text": "x"} for s in starts]}


def document(*paragraphs: Any, articles_before: int = 0) -> str:
    empty = {"title": "E", "paragraphs": []}
    return json.dumps({"data": [empty] * articles_before + [{"title": "T", "paragraphs": list(paragraphs)}]})


def paragraph(*questions: Any, breaks: Any = ((0, 8), (9, 15))) -> dict[str, Any]:
    return {
        "context": CONTEXT,
        "sentence_breaks": breaks,
        "sentences": ["no", "matter"],
        "qas": list(questions),
    }


def test_paragraph_answers_in_every_language(write: Any, read: Any, tmp_path: Path) -> None:
    """Languages were not read in turn, or positions did not name the passage."""
    for language in ("eng", "de"):
        content = document(paragraph(), paragraph(question("q1", 9)), articles_before=2)
        write(f"{language}.json.gz", content)
    settings = {"path": f"{tmp_path}/{{language}}.json.gz", "languages": ["eng", "de"]}
    english, german = read(format="squad", **settings)
    assert english == Example(
        "q1", "Q?", "en", "en", (Passage("en:2:1", "", CONTEXT),), (), f"{tmp_path}/eng.json.gz:2/1/q1"
    )
    assert german.positives == (Passage("de:2:1", "", CONTEXT),)


@pytest.mark.parametrize(
    ("start", "docid", "text"),
    [
        (0, "en:0:0:0", "\ufeffOne 😀 ."),
        (7, "en:0:0:0", "\ufeffOne 😀 ."),
        (9, "en:0:0:1", " Two o"),
        (14, "en:0:0:1", " Two o"),
    ],
)
def test_answer_sentence_is_cut_by_code_point(
    write: Any, read: Any, start: int, docid: str, text: str
) -> None:
    """The mark at the start was stripped before cutting, the end was taken as inclusive, or UTF-16 units
    or the `sentences` field were used."""
    path = write("en.json", document(paragraph(question("q", start))))
    (example,) = read(format="squad", path=path, languages=["en"], passage="sentence")
    assert example.positives == (Passage(docid, "", text),)


def test_sentence_with_context_is_sentence_then_paragraph(write: Any, read: Any) -> None:
    """Training wrote a candidate in another form than the evaluation does."""
    path = write("en.json", document(paragraph(question("q", 9))))
    (example,) = read(format="squad", path=path, languages=["en"], passage="sentence_with_context")
    assert example.positives == (Passage("en:0:0:1", "", f" Two o {CONTEXT}"),)


def test_sentences_of_several_annotators_all_answer(write: Any, read: Any) -> None:
    """The second annotator's sentence became a negative; one marked twice was listed twice."""
    path = write("en.json", document(paragraph(question("q", 9, 0, 10))))
    (example,) = read(format="squad", path=path, languages=["en"], passage="sentence")
    assert [p.docid for p in example.positives] == ["en:0:0:1", "en:0:0:0"]


def test_articles_count_on_over_files_and_the_range_keeps_positions(
    write: Any, read: Any, tmp_path: Path
) -> None:
    """Each file began again at 0, or a slice of articles was renumbered."""
    for number in range(3):
        write(f"part_{number}.json", document(paragraph(question(f"q{number}", 0)), articles_before=1))
    settings = {"format": "squad", "path": f"{tmp_path}/part_*.json", "languages": ["ja"]}
    assert [row.positives[0].docid for row in read(**settings)] == ["ja:1:0", "ja:3:0", "ja:5:0"]
    sliced = read(**settings, article_range=[3, 5])
    assert [(row.group_id, row.positives[0].docid) for row in sliced] == [("q1", "ja:3:0")]


def test_faults_name_article_paragraph_and_question(write: Any, read: Any) -> None:
    """A question without an answer, an id or a sentence was dropped in silence."""
    path = write(
        "en.json",
        document(
            paragraph(
                question("a", 8), question("b"), question(None, 0), question("d", 0, text=" "), "no question",
                question("e", "0"), question("f", 0),
            ),
            {"sentence_breaks": [[0, 8]], "qas": []},
            paragraph(question("g", 0), breaks=[[0, 99]]),
        ),
    )  # fmt: skip
    rows = read(format="squad", path=path, languages=["en"], passage="sentence")
    assert [(row.where, row.reason) for row in rows if isinstance(row, BadRow)] == [
        (f"{path}:0/0/a", "answer_start 8 is in no sentence"),
        (f"{path}:0/0/b", "the question has no answer"),
        (f"{path}:0/0/None", "field 'id' is null"),
        (f"{path}:0/0/d", "field 'question' is empty"),
        (f"{path}:0/0/4", "is no JSON object"),
        (f"{path}:0/0/e", "answer_start '0' is in no sentence"),
        (f"{path}:0/1", "field 'context' is missing"),
        (f"{path}:0/2", "sentence_breaks holds [0, 99], no [start, end] within the paragraph"),
    ]
    assert [row.group_id for row in rows if isinstance(row, Example)] == ["f"]


def test_sentences_need_sentence_breaks(write: Any, read: Any) -> None:
    """Paragraphs were passed off as sentences."""
    content = {"context": CONTEXT, "qas": [question("q", 0)]}
    path = write("en.json", document(content))
    assert len(read(format="squad", path=path, languages=["en"])) == 1
    with pytest.raises(DataError, match=rf"^{path}:0/0: has no sentence_breaks; use passage: paragraph"):
        read(format="squad", path=path, languages=["en"], passage="sentence")


@pytest.mark.parametrize("content", ["{", "[]", '{"data": {}}', '{"data": [], "x": NaN}', "{}"])
def test_document_of_another_form_is_refused(write: Any, read: Any, content: str) -> None:
    """A file that is no SQuAD document gave no rows, or a traceback."""
    with pytest.raises(DataError, match="give a SQuAD-style JSON document"):
        read(format="squad", path=write("en.json", content), languages=["en"])


XQUAD = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]


@pytest.mark.parametrize("passage", ["paragraph", "sentence", "sentence_with_context"])
def test_every_xquad_question_is_read_in_every_language(read: Any, shared_data: Path, passage: str) -> None:
    """A question was lost where a paragraph begins with U+FEFF or a `sentences` field differs."""
    path = f"{shared_data}/xquad-r/{{language}}.json.gz"
    rows = read(format="squad", path=path, languages=XQUAD, passage=passage)
    assert Counter(row.query_language for row in rows) == dict.fromkeys(XQUAD, 1190)
    assert len({row.group_id for row in rows}) == 1190
    answers = {(row.query_language, row.positives[0].docid) for row in rows}
    expected = {"ar": 790, "de": 818, "el": 798, "en": 787, "th": 603, "tr": 764}
    if passage != "paragraph":
        counts = Counter(language for language, _ in answers)
        assert {language: counts[language] for language in expected} == expected
    else:
        assert len(answers) == 11 * 240


def test_first_38_articles_of_xquad_hold_970_questions(read: Any, shared_data: Path) -> None:
    """The slice of articles that is trained on overlapped the one that is evaluated on."""
    settings = {"path": f"{shared_data}/xquad-r/{{language}}.json.gz", "languages": ["en", "tr"]}
    first = {row.group_id for row in read(format="squad", article_range=[0, 38], **settings)}
    last = {row.group_id for row in read(format="squad", article_range=[38, 48], **settings)}
    assert (len(first), len(last), len(first & last)) == (970, 220, 0)


def test_other_squad_files_are_read_whole(read: Any, shared_data: Path) -> None:
    """Published files differ in layout, or es and it did not meet in the question ids."""
    folder = shared_data / "squad-dev-es-it"
    spanish = f"{folder}/squad-es-dev-v1.1-small.minus-xquad.json.gz"
    italian = f"{folder}/squad-it-test.minus-xquad.json.gz"
    es = {row.group_id for row in read(format="squad", path=spanish, languages=["es"])}
    it = {row.group_id for row in read(format="squad", path=italian, languages=["it"])}
    assert (len(es), len(it), len(es & it)) == (5851, 6831, 4029)
    path = f"{shared_data}/jaquad/train/*.json.gz"
    japanese = read(format="squad", path=path, languages=["jpn"])
    assert len(japanese) == 31748
    assert len({row.positives[0].docid for row in japanese}) == 9713


def test_the_other_sentences_of_the_paragraph_are_hard_negatives(write: Any, read: Any) -> None:
    """Catches an answer that a second annotator marked among the negatives."""
    breaks = ((0, 8), (9, 15))
    path = write("x.json", document(paragraph(question("q", 0), question("both", 0, 9), breaks=breaks)))
    settings = {"format": "squad", "path": str(path), "languages": ["en"], "passage": "sentence"}
    rows = read(**settings, negatives="paragraph")
    assert [[one.docid for one in row.negatives] for row in rows] == [["en:0:0:1"], []]
    assert [row.negatives for row in read(**settings)] == [(), ()]
    with pytest.raises(ValueError, match="negatives: paragraph needs sentences"):
        read(**{**settings, "passage": "paragraph"}, negatives="paragraph")
