"""A folder in BEIR's form (Thakur et al. 2021, arXiv 2104.08663), also on the hub."""

from distributed_hbt.config.evaluation import BeirBenchmark
from distributed_hbt.data import files
from distributed_hbt.evaluation.benchmarks.judged_files import JudgedFiles
from distributed_hbt.evaluation.corpus.files import CorpusFile


def beir_files(benchmark: BeirBenchmark) -> JudgedFiles:
    """corpus.jsonl {_id, title, text}, queries.jsonl and qrels/<split>.tsv, each may be .gz.

    Raises DataError for what is missing.
    """
    queries = files.one_file(files.member(benchmark.path, "queries.jsonl"))
    qrels = files.one_file(benchmark.qrels or files.member(benchmark.path, f"qrels/{benchmark.split}.tsv"))
    corpus = files.one_file(files.member(benchmark.path, "corpus.jsonl"))
    passages = CorpusFile(corpus, "_id", benchmark.blank_passages)
    return JudgedFiles(benchmark.split, "beir", queries, qrels, (passages,))
