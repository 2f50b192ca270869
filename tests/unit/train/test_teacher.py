"""What the teacher reads in the place of each text, and teachers that do not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from distributed_hbt.config.load import load_run
from distributed_hbt.data.counterparts import Counterparts
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import CheckpointError, ConfigError, DataError
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.inputs import InputMaker, TaughtInputs
from distributed_hbt.train.prepared import prepare
from distributed_hbt.train.teacher import build_teacher
from tests.distributed.run_for_tests import write_run
from tests.tiny_encoder import write_checkpoint


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("t"), ["house tree river"] * 3, vocab=300) / "encoder"


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


def row(group: str, language: str, query: str, *positives: str, negative: str = "") -> dict[str, Any]:
    return {
        **{"group_id": group, "query": query, "query_language": language, "passage_language": language},
        "positive_passages": [{"docid": text, "title": "", "text": text} for text in positives],
        "negative_passages": [{"docid": "n", "title": "", "text": negative}] if negative else [],
    }


ROWS = [
    row("a", "en", "query a", "first a", "second a"),
    row("a", "de", "frage a", "erste a", "zweite a", negative="falsch"),
    row("b", "de", "frage b", "erste b"),
    row("c", "en", "query c", "only c"),
    row("c", "de", "frage c", "eins c", "zwei c"),
]


def test_counterparts_are_the_texts_of_the_group_in_the_language(run_file: Path, tmp_path: Path) -> None:
    """A second positive taught by the translation of the first; a hard negative taught at all; a text of a
    group without English taught by another group's."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in ROWS), "utf-8")
    config = load_run(
        run_file, [f"data.sources=[{{format: hbt_jsonl, path: {tmp_path}/rows.jsonl}}]", "name=x"]
    )
    store = prepare(config.model_copy(update={"train": config.train.model_copy(update=SMALL)})).store
    counterparts = Counterparts(store, "eng")
    texts = {store.docid(passage): passage for passage in range(len(store.passage_lengths))}
    queries = [int(q) for q in counterparts.of_queries(store.index.answer_group[:0])]
    assert queries == []
    found = counterparts.of_queries(torch.arange(5).numpy())
    assert found.tolist() == [0, 0, -1, 3, 3]
    assert counterparts._of_positive(texts["erste a"], 0) == texts["first a"]
    assert counterparts._of_positive(texts["zweite a"], 0) == texts["second a"]
    assert counterparts._of_positive(texts["second a"], 0) == texts["second a"]
    assert counterparts._of_positive(texts["zwei c"], 2) == texts["only c"]
    assert counterparts._of_positive(texts["erste b"], 1) == -1


SMALL = {"global_batch_size": 2}


def asked(teacher: Path, **more: str) -> str:
    fields = "".join(f", {name}: {value}" for name, value in more.items())
    return f"train.teacher={{encoder: {teacher}{fields}}}"


def test_every_rank_is_taught_its_own_sequences_once(run_file: Path, teacher: Path) -> None:
    """Surplus sequences, which only fill up a rank's chunks, counted; a shared passage counted once."""
    config = load_run(run_file, [asked(teacher), "train.max_tokens_per_chunk=1"])
    prepared = prepare(config)
    assert prepared.teacher is not None
    surplus = 0
    makers = [
        InputMaker(
            *(build_batches(config, Ranks(rank, 2, rank), prepared.store, prepared.plan), prepared.texts),
            *(1, rank, 64, torch.device("cpu")),
            teacher=prepared.teacher,
        )
        for rank in range(2)
    ]
    for step in range(8):
        total = 0.0
        for maker in makers:
            inputs = maker.make(step)
            taught = inputs.taught
            assert isinstance(taught, TaughtInputs)
            assert len(taught.lessons) == len(inputs.chunks)
            assert len(taught.count_S) == sum(chunk.texts for chunk in inputs.chunks)
            total += float(taught.count_S.sum())
            surplus += inputs.surplus
        assert total == 2 * config.train.global_batch_size
    assert surplus


def test_teacher_without_a_text_in_its_language_is_refused(run_file: Path, teacher: Path) -> None:
    """A run that trains for days and is never taught."""
    with pytest.raises(
        DataError, match=r"train\.teacher\.language: no text of the data is in sw; it has de, en"
    ):
        prepare(load_run(run_file, [asked(teacher, language="swa")]))


def test_teacher_of_another_width_is_refused(run_file: Path, tmp_path: Path) -> None:
    """An error of shapes, from within a step."""
    wide = write_checkpoint(tmp_path, ["a b c"] * 3, vocab=300, hidden=64) / "encoder"
    config = load_run(run_file, [asked(wide)])
    message = r"train\.teacher: its embeddings have 64 dimensions, those of the model 32"
    with pytest.raises(ConfigError, match=message):
        build_teacher(config, 32, torch.device("cpu"))


def test_folder_without_an_encoder_is_refused(run_file: Path, tmp_path: Path) -> None:
    """A traceback of another library."""
    with pytest.raises(CheckpointError, match=r"encoder\.json: no such file"):
        prepare(load_run(run_file, [asked(tmp_path)]))


def test_a_pretrained_model_teaches_with_its_own_prompts(run_file: Path, tmp_path: Path) -> None:
    """A teacher from the hub, which has no encoder.json, asked with the student's prompts."""
    folder = write_checkpoint(tmp_path, ["a b c"] * 3, vocab=300) / "encoder"
    model = f"{{base: {folder}, dtype: float32, pooling: mean, query_prompt: ask, passage_prompt: say}}"
    config = load_run(run_file, [f"train.teacher={{model: {model}}}"])
    prepared = prepare(config)
    assert prepared.teacher is not None
    settings = prepared.teacher.texts.settings
    assert (settings.query_prompt, settings.passage_prompt, settings.pooling) == ("ask", "say", "mean")
    built = build_teacher(config, 32, torch.device("cpu"))
    assert built is not None
    assert not built.encoder.training
    assert not any(parameter.requires_grad for parameter in built.encoder.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["train.teacher={}"], "exactly one of encoder and model is needed"),
        (["train.teacher={encoder: a, model: {base: b}}"], "exactly one of encoder and model"),
        (["train.teacher={model: {base: b, lora: {}}}"], "model.lora makes no teacher"),
        (["train.teacher={model: {base: b, tokenizer: {train: {}}}}"], "model.tokenizer is the teacher's"),
        (["train.teacher={encoder: a}", "data.code_switching={lexicons: {fr: x}}"], "code-switched queries"),
        (
            ["train.teacher={encoder: a, contrastive: false}", "train.distillation={}"],
            "train.distillation goes with the contrastive loss",
        ),
        (
            ["train.teacher={encoder: a, form: optimal_transport}", "model.padding_free=true"],
            "optimal_transport needs padded texts",
        ),
    ],
)
def test_settings_that_contradict_are_refused(run_file: Path, options: list[str], message: str) -> None:
    """A setting without effect."""
    with pytest.raises(ConfigError, match=message):
        load_run(run_file, options)
