"""Fingerprints of benchmarks: of what is in them, wherever it lies."""

import json
import shutil
from pathlib import Path

from distributed_hbt.config.evaluation import BeirBenchmark
from distributed_hbt.evaluation.benchmarks.fingerprint import collection_fingerprint, judged_fingerprint
from distributed_hbt.evaluation.benchmarks.judged import load_judged
from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa
from distributed_hbt.evaluation.corpus.survey import read_survey, survey_file
from tests.lareqa_files import write_lareqa


def test_a_collection_is_told_by_its_texts_judgments_and_slice(tmp_path: Path) -> None:
    """Figures of two data sets under one name."""
    write_lareqa(tmp_path / "a", ["de", "en"])
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    def of(name: str, languages: tuple[str, ...] = ("de", "en"), stop: int = 3) -> str:
        return collection_fingerprint(load_lareqa(tmp_path / name, languages, article_range=(0, stop)))

    first = of("a")
    assert of("b") == first
    assert len(first) == 32
    content = json.loads((tmp_path / "b" / "en.json").read_text())
    question = content["data"][0]["paragraphs"][0]["qas"][0]
    question["answers"][0]["answer_start"] = question["answers"][0]["answer_start"] + 13
    (tmp_path / "b" / "en.json").write_text(json.dumps(content))
    prints = [first, of("a", ("en",)), of("a", stop=2), of("b")]
    assert len(set(prints)) == len(prints)


def test_a_corpus_is_told_by_its_queries_judgments_and_passages(tmp_path: Path) -> None:
    """The same queries over a smaller corpus, which are easier."""

    def of(name: str, *, query: str = "why", relevant: str = "d1", passages: int = 3) -> str:
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True)
        rows = [{"_id": f"d{i}", "title": "", "text": f"text {i}"} for i in range(passages)]
        (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": query}) + "\n")
        (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\t{relevant}\t1\n")
        judged = load_judged(BeirBenchmark(name="beir", label="b", path=str(folder)))
        surveys = []
        for file in judged[0].corpus:
            survey_file(file, folder / "survey.npz", max_characters=99)
            survey = read_survey(file, folder / "survey.npz")
            assert survey is not None
            surveys.append(survey)
        return judged_fingerprint(judged, [surveys])

    prints = [of("a"), of("c", query="how"), of("d", relevant="d2"), of("e", passages=4)]
    assert of("b") == prints[0]
    assert len(set(prints)) == len(prints)
