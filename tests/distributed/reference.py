"""What the distributed code must equal: one plain-torch process over the whole global batch.

Written with the whole score matrix, a mask made from the data file's own rows, and torch's own optimizer;
nothing of train/, losses/ or distributed/ is used.
"""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distributed_hbt.config.load import load_run
from distributed_hbt.data.rank_batch import RankBatch, RankBatches
from distributed_hbt.data.store import prepare_store
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.saved import load_encoder
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.prepared import make_plan, store_folder
from tests.distributed.run_for_tests import wake_adapters


class Reference:
    """One process, whole batches."""

    def __init__(self, run_file: Path, overrides: list[str]) -> None:
        self.config = load_run(run_file, overrides)
        tokenizer = prepare_tokenizer(self.config, store_folder(self.config))
        self.texts = TextEncoder(tokenizer, self.config.model)
        self.store = prepare_store(self.config, self.texts, store_folder(self.config))
        self.encoder = build_encoder(self.config.model, self.config.seed, vocab_size=len(tokenizer))
        wake_adapters(self.encoder)
        self.batches: RankBatches = build_batches(
            self.config, Ranks(0, 1, 0), self.store, make_plan(self.config, self.store)
        )
        self.positives: dict[str, set[tuple[int, ...]]] = defaultdict(set)
        self.scores: dict[tuple[str, tuple[int, ...]], float] = {}
        self._teacher_passages: dict[tuple[str, str], list[str]] = {}
        self._teacher_queries: dict[str, str] = {}
        self.teacher = None
        if self.config.train.teacher is not None:
            assert self.config.train.teacher.encoder is not None
            self.teacher = load_encoder(Path(self.config.train.teacher.encoder))
        self._read_file()

    def _read_file(self) -> None:
        source: Any = self.config.data.sources[0]
        for line in Path(source.path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts = [passage["text"] for passage in row["positive_passages"]]
            self._teacher_passages[row["group_id"], row["passage_language"]] = texts
            if row["query_language"] == "en":
                self._teacher_queries[row["group_id"]] = row["query"]
            for passage in row["positive_passages"] + row["negative_passages"]:
                tokens = tuple(self.texts.passages([passage["text"]])[0])
                if passage in row["positive_passages"]:
                    self.positives[row["group_id"]].add(tokens)
                if "score" in passage:
                    self.scores[row["group_id"], tokens] = passage["score"]

    def loss(self, step: int) -> torch.Tensor:
        batch = self.batches.batch(step)
        ids_BL, mask_BL = self.texts.pad([tokens.tolist() for tokens in batch.sequences])
        embedding_SD = self.encoder(ids_BL, mask_BL)
        rows = len(batch.query_entries)
        query_BD, passage_ND = embedding_SD[:rows], embedding_SD[rows:]
        train = self.config.train
        scores_BN = query_BD @ passage_ND.T / train.temperature
        target_B = self._targets(batch)
        masked_BN = self._masked(batch, target_B)
        cross_entropy = torch.nn.functional.cross_entropy
        loss = cross_entropy(scores_BN.masked_fill(masked_BN, -math.inf), target_B)
        if train.distillation is not None:
            loss = loss + train.distillation.weight * self._divergence(batch, scores_BN)
        if train.teacher is not None:
            taught = train.teacher.weight * self._taught(batch, target_B)
            return (loss if train.teacher.contrastive else 0) + taught
        if not train.symmetric:
            return loss
        positive_BB, masked_BB = scores_BN[:, target_B], masked_BN[:, target_B]
        # Two rows that share their positive: each is a known answer to the other's question.
        masked_BB = masked_BB | ((target_B[:, None] == target_B) & ~torch.eye(rows, dtype=torch.bool))
        backward_BB = positive_BB.masked_fill(masked_BB, -math.inf).T
        return (loss + cross_entropy(backward_BB, torch.arange(rows))) / 2

    def _targets(self, batch: RankBatch) -> torch.Tensor:
        """Which of the batch's passages, all distinct, is each row's positive: the data file knows several of
        some rows, the batch has one of them."""
        return batch.passages.target_B

    def _masked(self, batch: RankBatch, target_B: torch.Tensor) -> torch.Tensor:
        rows = len(batch.query_entries)
        passages = [tuple(tokens.tolist()) for tokens in batch.sequences[rows:]]
        assert len(set(passages)) == len(passages)
        masked_BN = torch.zeros(rows, len(passages), dtype=torch.bool)
        for i, entry in enumerate(batch.query_entries):
            known = self.positives[self._group(entry)]
            target = int(target_B[i])
            assert passages[target] in known
            for j, tokens in enumerate(passages):
                masked_BN[i, j] = tokens in known and j != target
                if self.config.train.loss == "printed" and not self._is_negative(batch, j) and j != target:
                    masked_BN[i, j] = True
        return masked_BN

    def _group(self, entry: int) -> str:
        return self.store.group_name(int(self.store.index.query_group[entry])).rpartition("/")[2]

    def _divergence(self, batch: RankBatch, scores_BN: torch.Tensor) -> torch.Tensor:
        """Mean over all rows; a row whose passages have no scores counts as 0."""
        distillation = self.config.train.distillation
        assert distillation is not None
        ratio = self.config.train.temperature / (distillation.temperature or self.config.train.temperature)
        passages = [tuple(tokens.tolist()) for tokens in batch.sequences[len(batch.query_entries) :]]
        total = scores_BN.new_zeros(())
        for i, entry in enumerate(batch.query_entries):
            own = [column for column in batch.own_BP[i].tolist() if column >= 0]
            given = [self.scores.get((self._group(entry), passages[column])) for column in own]
            if None in given:
                continue
            student = (scores_BN[i, own] * ratio).log_softmax(0)
            teacher = (torch.tensor(given) / distillation.teacher_temperature).softmax(0)
            total = total + (teacher * (teacher.log() - student)).sum()
        return total / len(batch.query_entries)

    def _taught(self, batch: RankBatch, target_B: torch.Tensor) -> torch.Tensor:
        """Mean over the rows, text by text, without chunks: the query's cost and the positive's."""
        total, rows = torch.zeros(()), len(batch.query_entries)
        for i, entry in enumerate(batch.query_entries):
            group = self._group(entry)
            positive = batch.sequences[rows + int(target_B[i])].tolist()
            (place,) = {
                own.index(positive)
                for (of_group, _), texts in self._teacher_passages.items()
                if of_group == group and positive in (own := self.texts.passages(texts))
            }
            english = self._teacher_passages[group, "en"][place]
            assert self.teacher is not None
            (query,) = self.teacher.texts.queries([self._teacher_queries[group]])
            (passage,) = self.teacher.texts.passages([english])
            for tokens, theirs in ((batch.sequences[i].tolist(), query), (positive, passage)):
                total = total + self._cost(tokens, theirs)
        return total / rows

    def _cost(self, tokens: list[int], theirs: list[int]) -> torch.Tensor:
        """Of one text and what the teacher reads in its place."""
        settings = self.config.train.teacher
        assert settings is not None
        assert self.teacher is not None
        own, other = self.texts.pad([tokens]), self.teacher.texts.pad([theirs])
        if settings.form == "embedding":
            return ((self.encoder(*own) - self.teacher.encoder(*other).detach()) ** 2).sum()
        states_LD = self.encoder.backbone(input_ids=own[0], attention_mask=own[1]).last_hidden_state[0]
        backbone = self.teacher.encoder.backbone
        theirs_MD = backbone(input_ids=other[0], attention_mask=other[1]).last_hidden_state[0].detach()
        lengths = states_LD.norm(dim=1)[:, None] * theirs_MD.norm(dim=1)[None]
        cost_LM = 1 - states_LD @ theirs_MD.T / lengths
        kernel_LM = np.exp(-cost_LM.detach().double().numpy() / settings.regularisation)
        row_L, column_M = np.ones(len(kernel_LM)), np.full(kernel_LM.shape[1], 1 / kernel_LM.shape[1])
        for _ in range(settings.iterations):
            row_L = 1 / len(row_L) / (kernel_LM @ column_M)
            column_M = 1 / len(column_M) / (row_L @ kernel_LM)
        plan_LM = torch.from_numpy(row_L[:, None] * kernel_LM * column_M).float()
        return (plan_LM * cost_LM).sum()

    def _is_negative(self, batch: RankBatch, column: int) -> bool:
        """Whether the passage is a hard negative of any row."""
        return bool((batch.own_BP[:, 1:] == column).any())

    def gradients(self) -> dict[str, np.ndarray]:
        self.loss(0).backward()
        return {
            name: parameter.grad.numpy().copy()
            for name, parameter in self.encoder.named_parameters()
            if parameter.requires_grad and parameter.grad is not None
        }

    def losses_and_weights(self, steps: int) -> tuple[list[float], list[float], dict[str, np.ndarray]]:
        """AdamW with weight decay on matrices alone, linear warm-up and decay."""
        train = self.config.train
        trainable = [p for p in self.encoder.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trainable if p.dim() > 1], "weight_decay": train.weight_decay},
            {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            [g for g in groups if g["params"]], betas=train.betas, eps=train.epsilon
        )
        losses, norms = [], []
        for step in range(steps):
            warm = (step + 1) / train.warmup_steps
            left = (train.max_steps - step) / (train.max_steps - train.warmup_steps)
            for group in optimizer.param_groups:
                group["lr"] = train.learning_rate * min(warm, left)
            optimizer.zero_grad()
            loss = self.loss(step)
            loss.backward()
            max_norm = train.max_grad_norm or math.inf
            norms.append(float(torch.nn.utils.clip_grad_norm_(trainable, max_norm)))
            optimizer.step()
            losses.append(loss.item())
        weights = {n: p.detach().numpy() for n, p in self.encoder.named_parameters() if p.requires_grad}
        return losses, norms, weights


def relative_error(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Norm of the difference over the norm of what is expected, over all parameters together."""
    assert found.keys() == expected.keys()
    difference = sum(float(np.sum((found[n].astype(float) - expected[n]) ** 2)) for n in expected)
    return math.sqrt(difference / sum(float(np.sum(expected[n].astype(float) ** 2)) for n in expected))
