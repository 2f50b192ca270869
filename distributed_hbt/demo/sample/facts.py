"""The facts of the sample, and which of them are held out from training."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from distributed_hbt.demo.sample.tables import read_table

HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Fact:
    """`relation` of `subject` is `object`: entities by their names in `entities.tsv`, or a literal object."""

    relation: str
    subject: str
    object: str

    @property
    def id(self) -> str:
        """The group id of its question and answer in every language."""
        return f"{self.relation}-{self.subject}"


def load_facts() -> tuple[Fact, ...]:
    """All facts, in the order of `facts.tsv`."""
    return tuple(Fact(**row) for row in read_table("facts"))


def split(facts: Iterable[Fact], seed: int) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """Training facts and held-out facts, each in the order given; the same for the same seed everywhere.

    A fifth is held out. Every held-out fact's subject keeps at least half of its facts in training, and
    every relation at least two thirds: what a model must carry over to a held-out fact was seen elsewhere.
    """
    all_facts = tuple(facts)
    per_subject = Counter(fact.subject for fact in all_facts)
    per_relation = Counter(fact.relation for fact in all_facts)
    held_subject: Counter[str] = Counter()
    held_relation: Counter[str] = Counter()
    held: set[str] = set()
    for fact in sorted(all_facts, key=lambda fact: _order(seed, fact)):
        if len(held) >= int(len(all_facts) * HELD_OUT_SHARE):
            break
        subject_is_full = held_subject[fact.subject] + 1 > per_subject[fact.subject] / 2
        relation_is_full = held_relation[fact.relation] + 1 > per_relation[fact.relation] / 3
        if not (subject_is_full or relation_is_full):
            held.add(fact.id)
            held_subject[fact.subject] += 1
            held_relation[fact.relation] += 1
    train = tuple(fact for fact in all_facts if fact.id not in held)
    return train, tuple(fact for fact in all_facts if fact.id in held)


def _order(seed: int, fact: Fact) -> str:
    # A hash, since the standard library's shuffle is not promised to stay the same between versions.
    return hashlib.sha256(f"{seed}:{fact.id}".encode()).hexdigest()
