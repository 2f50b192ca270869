"""The two sides of benchmarks/gpu.py, on random tokens: the product's step, and sentence-transformers'."""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_arithmetic import (
    LORA_RANK,
    PASSAGE_QUANTILES,
    QUERY_QUANTILES,
    VOCABULARY,
    Lengths,
    sample_lengths,
    training_flops,
)
from benchmarks.gpu_cases import PEER, ROOT, Case, Cut, Measured
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.chunks import cut as cut_chunks
from distributed_hbt.data.chunks import padded_tokens
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.losses.info_nce import Columns

QUERY_LONGEST = 64
WARM_UP = 2
FEWEST, MOST = 3, 30
"""Steps that are measured."""


@dataclass(frozen=True)
class RandomBatches:
    """In the place of the product's batches: a function of the step."""

    rows: int
    passages: int
    max_tokens_per_chunk: int
    padding_free: bool

    def lengths(self, step: int) -> Lengths:
        """Of the queries, then the passages."""
        queries = sample_lengths(QUERY_QUANTILES, self.rows, QUERY_LONGEST, seed=2 * step)
        passages = sample_lengths(PASSAGE_QUANTILES, self.rows, self.passages, seed=2 * step + 1)
        return np.concatenate([queries, passages])

    def sequences(self, step: int) -> list[np.ndarray]:
        generator = np.random.default_rng(step)
        return [generator.integers(10, VOCABULARY, n, dtype=np.int32) for n in self.lengths(step)]

    def batch(self, step: int) -> RankBatch:
        lengths, free = self.lengths(step), self.padding_free
        chunks = cut_chunks(lengths, self.max_tokens_per_chunk, padding_free=free)
        own_B = torch.arange(self.rows)
        return RankBatch(
            step=step,
            kind="random",
            languages=(),
            sequences=tuple(self.sequences(step)),
            chunks=tuple(chunks),
            query_counts=(self.rows,),
            passage_counts=(self.rows,),
            passages=Columns(own_B, torch.empty(2, 0, dtype=torch.int64)),
            queries=None,
            own_BP=own_B[:, None],
            score_BP=torch.full((self.rows, 1), torch.nan),
            real_tokens=int(lengths.sum()),
            padded_tokens=padded_tokens(chunks, lengths, padding_free=free),
            repeated_tokens=0,
            query_entries=np.arange(self.rows),
            global_query_entries=np.arange(self.rows),
        )


class Padding:
    """In the place of the product's tokenizer: only its padding is asked for."""

    def pad(self, token_lists: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """input_ids_BL and attention_mask_BL."""
        lists = [torch.tensor(tokens, dtype=torch.int64) for tokens in token_lists]
        padded = torch.nn.utils.rnn.pad_sequence
        return padded(lists, batch_first=True), padded([torch.ones_like(t) for t in lists], batch_first=True)


@dataclass
class Clock:
    """Steps, and when enough of them have been measured."""

    case: Case
    batches: RandomBatches
    seconds: list[float] = field(default_factory=list)
    lengths: list[Lengths] = field(default_factory=list)

    def steps(self) -> Iterator[int]:
        for step in range(WARM_UP + MOST):
            if step == WARM_UP:
                torch.cuda.reset_peak_memory_stats()
            if len(self.seconds) >= FEWEST and sum(self.seconds) > self.case.seconds:
                return
            yield step

    def took(self, step: int, seconds: float) -> None:
        if step >= WARM_UP:
            self.seconds.append(seconds)
            self.lengths.append(self.batches.lengths(step))

    def measured(self, padded: int) -> Measured:
        real = sum(int(lengths.sum()) for lengths in self.lengths)
        flops = sum(training_flops(self.case.shape, one, lora=self.case.lora) for one in self.lengths)
        return Measured(self.seconds, real, padded, flops, torch.cuda.max_memory_allocated())


def measure(case: Case, cut: Cut) -> Measured:
    """Run one case in this process."""
    batches = RandomBatches(case.rows, case.passages, cut.tokens, case.padding_free)
    return _peer(case, cut, batches) if case.layout == PEER else _ours(case, cut, batches)


def run_of(case: Case, cut: Cut) -> RunConfig:
    """The run of a case, as a run file would have it."""
    model: dict[str, Any] = {
        "architecture": case.shape.architecture(),
        "tokenizer": "none is asked for",
        "dtype": "bfloat16",
        "padding_free": case.padding_free,
        "attention_implementation": case.layout if case.padding_free else "sdpa",
        "max_query_length": QUERY_LONGEST,
        "max_passage_length": case.passages,
    }
    if case.lora:
        model["lora"] = {"rank": LORA_RANK, "alpha": 32.0}
    train = {
        "global_batch_size": case.rows,
        "max_steps": WARM_UP + MOST,
        "gradient": case.gradient,
        "max_tokens_per_chunk": cut.tokens,
        "activation_checkpointing": cut.recompute,
        "learning_rate": 1e-5,
        "deepspeed": str(ROOT / "ds_configs/zero1.json"),
    }
    data = {"sources": [{"format": "hbt_jsonl", "path": "none is read"}]}
    return validate({"name": "gpu", "model": model, "data": data, "train": train})


def _ours(case: Case, cut: Cut, batches: RandomBatches) -> Measured:
    from distributed_hbt.distributed.process_group import ranks_from_environment
    from distributed_hbt.train.assembly import adapt_layers, build_objective
    from distributed_hbt.train.chunked import ChunkedEncoder
    from distributed_hbt.train.engine import build_engine, start_session
    from distributed_hbt.train.inputs import InputMaker
    from distributed_hbt.train.loop import Trainer

    config = run_of(case, cut)
    session = start_session(config, ranks_from_environment())
    session.before_building(pretrained=False)
    encoder = _encoder(config)
    adapt_layers(encoder, config.train, session)
    engine = build_engine(session, ChunkedEncoder(encoder), config.train)
    padding: Any = Padding()
    source: Any = batches
    inputs = InputMaker(source, padding, 1, 0, 4096, session.device, config.model.padding_free)
    objective = build_objective(config)
    trainer = Trainer(session, engine, inputs, objective, config.train, config.reduces_once)
    clock, padded = Clock(case, batches), 0
    ahead = inputs.ahead(0, WARM_UP + MOST)
    for step in clock.steps():
        began = time.perf_counter()
        given = next(ahead)
        trainer.step(given, began=began)
        torch.cuda.synchronize()
        clock.took(step, time.perf_counter() - began)
        padded += given.batch.padded_tokens if step >= WARM_UP else 0
    ahead.close()
    return clock.measured(padded)


def _peer(case: Case, cut: Cut, batches: RandomBatches) -> Measured:
    from distributed_hbt.train.engine import parameter_groups

    config = run_of(case, cut)
    encoder = _encoder(config)
    encoder.backbone.train()
    model = _sentence_transformer(encoder.backbone, case.shape.width)
    if cut.recompute:
        encoder.enable_activation_checkpointing()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=1e-5, fused=True)
    loss, clock, padded = _loss(model, case, cut), Clock(case, batches), 0
    for step in clock.steps():
        sequences = [tokens.tolist() for tokens in batches.sequences(step)]
        columns = [_features(sequences[: case.rows]), _features(sequences[case.rows :])]
        torch.cuda.synchronize()
        began = time.perf_counter()
        optimizer.zero_grad()
        loss([dict(column) for column in columns], None).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch.cuda.synchronize()
        clock.took(step, time.perf_counter() - began)
        padded += sum(c["input_ids"].numel() for c in columns) if step >= WARM_UP else 0
    return clock.measured(padded)


def _encoder(config: RunConfig) -> Any:
    from distributed_hbt.models.build import build_encoder

    torch.cuda.init()
    with torch.device("cuda"):  # drawing billions of weights on a CPU takes minutes
        encoder = build_encoder(config.model, config.seed)
    gc.collect()
    return encoder


def _sentence_transformer(backbone: Any, width: int) -> Any:
    """With this backbone in the place of a tiny one: it only loads folders."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import Qwen3Config, Qwen3Model

    from distributed_hbt.models.tokenizer import train_tokenizer

    tiny = Qwen3Config(
        vocab_size=400,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        Qwen3Model(tiny).save_pretrained(folder)
        train_tokenizer(iter(["a text"]), 400).save_pretrained(folder)
        transformer = Transformer(str(Path(folder)))
    transformer.model = backbone
    return SentenceTransformer(modules=[transformer, Pooling(width, "lasttoken")], device="cuda").train()


def _loss(model: Any, case: Case, cut: Cut) -> Callable[..., Tensor]:
    from sentence_transformers.sentence_transformer import losses

    if case.gradient == "plain":
        return losses.MultipleNegativesRankingLoss(model, scale=50.0)
    return losses.CachedMultipleNegativesRankingLoss(
        model, scale=50.0, mini_batch_size=case.rows, mini_batch_num_tokens=cut.tokens
    )


def _features(token_lists: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    ids_BL, mask_BL = Padding().pad(token_lists)
    return {"input_ids": ids_BL.cuda(), "attention_mask": mask_BL.cuda()}
