"""Mr. TyDi's files (Zhang et al. 2021, arXiv 2108.08787), as published: on the hub, or below a folder.

Topics and qrels are `topics.<split>.txt` and `qrels.<split>.txt` in `mrtydi-v1.1-<name>/ir-format-data` on
the hub, and topics.mrtydi-v1.1-<language>.<split>.txt and so on where anserini keeps them. Passages are
{docid, title, text}, in one corpus.jsonl.gz a language.
"""

from distributed_hbt.config.evaluation import MrTydiBenchmark
from distributed_hbt.evaluation.benchmarks.judged_files import JudgedFiles, corpus_files, published_file
from distributed_hbt.evaluation.corpus.files import CorpusFile

_HUB = "hf://datasets/castorini/mr-tydi"
_HUB_CORPUS = "hf://datasets/castorini/mr-tydi-corpus"
_NAMES = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ja": "japanese",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
    "th": "thai",
}


def mr_tydi_files(benchmark: MrTydiBenchmark, language: str) -> JudgedFiles:
    """Those of one language; fetched first where they are on the hub.

    A folder may hold them in topics/ and qrels/, side by side, or as a clone of the hub's dataset does, or
    as the authors' archives do. Raises DataError for what is not found.
    """
    root, split = benchmark.root or _HUB, benchmark.split
    archive = f"mrtydi-v1.1-{_NAMES[language]}"
    topics, qrels = (
        published_file(
            root,
            [
                f"{kind}/{kind}.mrtydi-v1.1-{language}.{split}.txt",
                f"{kind}.mrtydi-v1.1-{language}.{split}.txt",
                f"{archive}/{in_archive}",
                f"{archive}/ir-format-data/{kind}.{split}.txt",
            ],
        )
        for kind, in_archive in (("topics", f"topic.{split}.tsv"), ("qrels", f"qrels.{split}.txt"))
    )
    found = corpus_files(_corpus_places(benchmark, root, language), incomplete=benchmark.incomplete)
    corpus = tuple(CorpusFile(path, "docid", benchmark.blank_passages) for path in found)
    return JudgedFiles(language, "trec", topics, qrels, corpus)


def _corpus_places(benchmark: MrTydiBenchmark, root: str, language: str) -> list[str]:
    if benchmark.corpus is not None:
        return [benchmark.corpus.replace("{language}", language)]
    archive = f"mrtydi-v1.1-{_NAMES[language]}"
    if root.startswith("hf://"):
        return [f"{_HUB_CORPUS}/{archive}/corpus.jsonl.gz"]
    return [f"{root}/corpus/{language}", f"{root}/corpus/{archive}", f"{root}/{archive}"]
