"""MIRACL's files (Zhang et al. 2022, arXiv 2210.09984), as published: on the hub, or below a folder.

Topics and qrels are `topics.miracl-v1.0-<language>-<split>.tsv` and `qrels. ...`; passages are
`docs-<n>.jsonl.gz` of {docid, title, text}, in a folder a language.
"""

from distributed_hbt.config.evaluation import MiraclBenchmark
from distributed_hbt.evaluation.benchmarks.judged_files import JudgedFiles, corpus_files, published_file
from distributed_hbt.evaluation.corpus.files import CorpusFile

_HUB = "hf://datasets/miracl/miracl"
_HUB_CORPUS = "hf://datasets/miracl/miracl-corpus"


def miracl_files(benchmark: MiraclBenchmark, language: str) -> JudgedFiles:
    """Those of one language; fetched first where they are on the hub.

    A folder may hold them in topics/ and qrels/, side by side, or as a clone of the hub's dataset does.
    Raises DataError for what is not found.
    """
    root = benchmark.root or _HUB
    topics, qrels = (
        published_file(root, [f"{kind}/{name}", name, f"miracl-v1.0-{language}/{kind}/{name}"])
        for kind in ("topics", "qrels")
        for name in [f"{kind}.miracl-v1.0-{language}-{benchmark.split}.tsv"]
    )
    found = corpus_files(_corpus_places(benchmark, root, language), incomplete=benchmark.incomplete)
    corpus = tuple(CorpusFile(path, "docid", benchmark.blank_passages) for path in found)
    return JudgedFiles(language, "trec", topics, qrels, corpus)


def _corpus_places(benchmark: MiraclBenchmark, root: str, language: str) -> list[str]:
    if benchmark.corpus is not None:
        return [benchmark.corpus.replace("{language}", language)]
    published = f"miracl-corpus-v1.0-{language}"
    if root.startswith("hf://"):
        return [f"{_HUB_CORPUS}/{published}"]
    return [f"{root}/corpus/{language}", f"{root}/corpus/{published}", f"{root}/{published}"]
