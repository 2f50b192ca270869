"""README.md of an exported folder: the model card. What is not known is said to be so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from distributed_hbt import __version__
from distributed_hbt.export.card_measures import measures, table
from distributed_hbt.export.data_facts import is_hub_id, languages, place, trained_slice
from distributed_hbt.export.provenance import Provenance
from distributed_hbt.export.usage import sentence_transformers_code, transformers_code
from distributed_hbt.models.manifest import EncoderManifest

CONFIG_FILE = "training_config.yaml"
"""The resolved configuration of the run, beside the card."""

_TAGS = ("distributed-hbt", "dense-retrieval", "feature-extraction", "multilingual")
_LICENSE = "# license: not set. Choose one that the base model and the training data allow."


@dataclass(frozen=True)
class Exported:
    """What the card is about. `trained` is the checkpoint's manifest; `files` that of the export."""

    name: str
    format: str
    trained: EncoderManifest
    files: EncoderManifest


def model_card(exported: Exported, run: Provenance | None) -> str:
    """The whole page, Markdown with a YAML front matter."""
    sections = [
        _front_matter(exported, run),
        f"# {_title(exported, run)}\n\n{_what_it_is(exported, run)}",
        *_use(exported),
        *_training(exported, run),
        *measures(run),
        *_limits(exported, run),
        *_reproduce(run),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(exported: Exported, run: Provenance | None) -> str:
    base = exported.trained.base
    sentence = exported.format == "sentence-transformers"
    content: dict[str, Any] = {}
    if run is not None and (codes := languages(run)):
        content["language"] = codes
    content["library_name"] = "peft" if exported.files.adapter and not sentence else exported.format
    if content["library_name"] == "hf":
        content["library_name"] = "transformers"
    content["pipeline_tag"] = "sentence-similarity" if sentence else "feature-extraction"
    content["tags"] = [*_TAGS, *(["sentence-transformers"] if sentence else [])]
    if base is not None and is_hub_id(base):
        content["base_model"] = base
        content["base_model_relation"] = "adapter" if exported.files.adapter else "finetune"
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return f"---\n{text}{_LICENSE}\n---"


def _title(exported: Exported, run: Provenance | None) -> str:
    if run is None:
        return exported.name
    return run.config.name if run.step is None else f"{run.config.name}, step {run.step}"


def _what_it_is(exported: Exported, run: Provenance | None) -> str:
    manifest = exported.files
    base = exported.trained.base
    origin = "trained from random weights"
    if base is not None and not base.startswith("."):
        origin = f"trained from {base if is_hub_id(base) else place(base)}"
    ends = "every text ends with EOS" if manifest.append_eos else "no EOS is put behind a text"
    facts = [
        f"A text encoder for dense retrieval, {origin} with distributed_hbt: a query and a passage become "
        f"vectors of {manifest.embedding_dimension} dimensions, and the passages with the highest "
        f"{'cosine' if manifest.normalize else 'inner product'} are the answer.",
        "",
        f"- pooling: {manifest.pooling}; attention: {manifest.attention}; weights: {manifest.dtype}",
        f"- queries: prompt {manifest.query_prompt!r}, {manifest.max_query_length} tokens at most",
        f"- passages: prompt {manifest.passage_prompt!r}, {manifest.max_passage_length} tokens at most",
        f"- the tokens are counted with the prompt; {ends}",
    ]
    if manifest.matryoshka_dimensions:
        prefixes = ", ".join(map(str, sorted(manifest.matryoshka_dimensions)))
        facts.append(
            f"- Matryoshka: the first {prefixes} dimensions are embeddings too; compare them by cosine"
        )
    if manifest.adapter:
        facts.append(f"- this folder holds an adapter (LoRA) alone, which stands on {manifest.base}")
    if run is None:
        facts += ["", "How it was trained is not known: the checkpoint was exported without its run."]
    return "\n".join(facts)


def _use(exported: Exported) -> Iterator[str]:
    yield "## How to use it"
    if exported.format == "sentence-transformers":
        yield (
            "With sentence-transformers 6.2 or newer. `encode_query` and `encode_document` add the prompts "
            "and cut at the lengths above; `encode` alone adds no prompt."
        )
        yield f"```python\n{sentence_transformers_code()}\n```"
        if exported.files.matryoshka_dimensions:
            smallest = min(exported.files.matryoshka_dimensions)
            yield f"Shorter embeddings: `SentenceTransformer(..., truncate_dim={smallest})`."
    yield "With transformers alone:"
    yield f"```python\n{transformers_code(exported.files)}\n```"


def _training(exported: Exported, run: Provenance | None) -> Iterator[str]:
    if run is None:
        return
    config, train = run.config, run.config.train
    yield "## Training"
    counts = run.source_counts or (None,) * len(config.data.sources)
    rows = [_source_row(i, source, counts[i]) for i, source in enumerate(config.data.sources)]
    yield table(("source", "data", "queries", "groups", "queries per language"), rows)
    if not run.source_counts:
        yield "The store of the training data is gone, so its counts are not known."
    sampling = config.sampling
    alpha = f", alpha {sampling.alpha:g}" if sampling.strategy == "hybrid" else ""
    lora = config.model.lora
    yield table(
        ("setting", "value"),
        [
            ("batches", f"{sampling.strategy}{alpha}, languages {sampling.language_distribution}"),
            ("languages", ", ".join(languages(run)) or "not known"),
            ("steps", f"{run.step if run.step is not None else 'not known'} of {train.max_steps}"),
            ("global batch size", train.global_batch_size),
            ("hard negatives a row", config.data.num_hard_negatives),
            (
                "learning rate",
                f"{train.learning_rate:g}, {train.schedule}, {train.warmup_steps} steps warm-up",
            ),
            ("weight decay", f"{train.weight_decay:g}"),
            ("temperature", f"{train.temperature:g}"),
            ("loss", train.loss + (", symmetric" if train.symmetric else "")),
            ("fine-tuning", "full" if lora is None else f"LoRA, rank {lora.rank}, alpha {lora.alpha:g}"),
            ("seed", config.seed),
        ],
    )
    yield f"Every setting stands in [{CONFIG_FILE}]({CONFIG_FILE})."


def _source_row(position: int, source: Any, counts: Mapping[str, Any] | None) -> tuple[object, ...]:
    what = f"{position}: {source.format}"
    if counts is None:
        return (what, trained_slice(source), "not known", "not known", "not known")
    per_language = ", ".join(f"{code} {number}" for code, number in counts["queries_per_language"].items())
    return (what, trained_slice(source), counts["queries"], counts["groups"], per_language)


def _limits(exported: Exported, run: Provenance | None) -> Iterator[str]:
    manifest = exported.files
    yield "## Intended use and limits"
    limits = [
        "Made for retrieval: short queries against passages. Other uses, such as clustering or "
        "classification, were not measured.",
        f"What goes beyond {manifest.max_passage_length} tokens of a passage is not seen.",
        "Whatever is wrong or one-sided in the training data and in the base model may be in the embeddings "
        "too; distributed_hbt does nothing about that, and nothing of it was measured"
        + (" beyond the figures above." if run is not None and run.measured else "."),
    ]
    limits += _unmeasured(run)
    yield "\n".join(f"- {limit}" for limit in limits)


def _unmeasured(run: Provenance | None) -> Iterator[str]:
    if run is None:
        yield "Languages, training data and quality are not known here."
        return
    known = languages(run)
    measured = {
        code for one in run.measured for code in one.summary.get("languages") or () if isinstance(code, str)
    }
    if missing := [code for code in known if code not in measured]:
        yield f"Trained on, and not evaluated in: {', '.join(missing)}."
    if foreign := sorted(measured - set(known)) if known else []:
        yield f"Evaluated in, and not trained on: {', '.join(foreign)}."
    if known:
        yield "Languages that are named neither here nor above were not looked at."
    if run.step is not None and run.step < run.config.train.max_steps:
        yield f"The training went on after this checkpoint, to step {run.config.train.max_steps}."


def _reproduce(run: Provenance | None) -> Iterator[str]:
    yield "## How to reproduce it"
    if run is None:
        yield f"Not known. It was exported with distributed_hbt {__version__}."
        return
    ranks = run.state.get("world_size")
    yield (
        f"With the data in place (paths in [{CONFIG_FILE}]({CONFIG_FILE}) are those of the machine that "
        "trained it):"
    )
    flag = f"--nproc-per-node {ranks}" if ranks else "--nproc-per-node RANKS"
    yield f"```sh\ntorchrun --standalone {flag} -m distributed_hbt.train {CONFIG_FILE}\n```"
    commit = run.tags.get("git_commit")
    versions = {
        key.removeprefix("version."): value for key, value in run.tags.items() if key.startswith("version.")
    }
    dirty = ", with changes that were not committed" if run.tags.get("git_dirty") == "true" else ""
    facts = [
        ("commit", f"{commit}{dirty}" if commit else "not known"),
        ("exported with", f"distributed_hbt {__version__}"),
        ("ranks", ranks if ranks is not None else "not known"),
        ("ZeRO stage", run.state.get("zero_stage", "not known")),
        ("data fingerprint", run.tags.get("data_fingerprint", "not known")),
        ("MLflow run", run.run_id or "not known"),
        ("packages", ", ".join(f"{name} {value}" for name, value in sorted(versions.items())) or "not known"),
    ]
    yield table(("fact", "value"), facts)
