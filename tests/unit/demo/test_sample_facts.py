"""The sample's facts and their split."""

from collections import Counter, defaultdict

from distributed_hbt.demo.sample.facts import Fact, load_facts, split
from distributed_hbt.demo.sample.tables import read_table


def test_there_are_a_few_hundred_facts() -> None:
    """Catches a table that lost its rows."""
    assert len(load_facts()) == 466
    assert len({fact.relation for fact in load_facts()}) == 16


def test_a_subject_has_one_object_per_relation() -> None:
    """Catches a fact written twice, and a question with two right answers."""
    assert [fact for fact, count in Counter(fact.id for fact in load_facts()).items() if count > 1] == []


def test_subject_and_object_are_of_the_relations_kind() -> None:
    """Catches a mistyped name, and columns swapped: a country whose capital is a currency."""
    kind = {row["entity"]: row["kind"] for row in read_table("entities")}
    kinds = {row["relation"]: (row["subject_kind"], row["object_kind"]) for row in read_table("relations")}
    wrong = [
        fact
        for fact in load_facts()
        if (kind[fact.subject], kind.get(fact.object, "literal")) != kinds[fact.relation]
    ]
    assert wrong == []


def test_no_entity_is_defined_twice_and_each_is_used() -> None:
    """Catches a second entry that silently replaces the first, and leftovers."""
    entities = [row["entity"] for row in read_table("entities")]
    used = {name for fact in load_facts() for name in (fact.subject, fact.object)}
    assert len(entities) == len(set(entities)) == 257
    assert set(entities) - used == set()


def test_literal_objects_are_what_the_relation_says() -> None:
    """Catches a calling code in the column of the internet domain."""
    by_relation = defaultdict(list)
    for fact in load_facts():
        by_relation[fact.relation].append(fact.object)
    assert all(domain[0] == "." and len(domain) == 3 for domain in by_relation["internet_domain"])
    assert all(code[0] == "+" and code[1:].isdigit() for code in by_relation["calling_code"])
    assert all(number.isdigit() for number in by_relation["atomic_number"] + by_relation["legs"])
    assert sorted(by_relation["planet_position"]) == list("12345678")


def test_what_identifies_its_subject_is_not_given_twice() -> None:
    """Catches a slip of the hand: two countries with one calling code, two elements with one symbol."""
    for relation in ("capital", "internet_domain", "calling_code", "symbol", "atomic_number"):
        objects = [fact.object for fact in load_facts() if fact.relation == relation]
        assert len(objects) == len(set(objects)), relation


def test_split_holds_out_a_fifth_and_loses_nothing() -> None:
    """Catches a fact in both parts, or in none."""
    train, held_out = split(load_facts(), seed=13)
    assert (len(train), len(held_out)) == (373, 93)
    assert set(train) | set(held_out) == set(load_facts())
    assert len({fact.relation for fact in held_out}) == 16


def test_every_seed_keeps_half_of_a_subject_and_most_of_a_relation_in_training() -> None:
    """Catches a held-out question about something that was never trained on."""
    for seed in range(5):
        train, held_out = split(load_facts(), seed)
        for part, share in (("subject", 1 / 2), ("relation", 2 / 3)):
            kept = Counter(getattr(fact, part) for fact in train)
            held = Counter(getattr(fact, part) for fact in held_out)
            assert all(kept[name] >= share * (kept[name] + held[name]) for name in held), (seed, part)


def test_split_is_the_same_everywhere_and_follows_the_seed() -> None:
    """Catches a split by `hash()` or by the interpreter's shuffle, which differ between machines."""
    _, held_out = split(load_facts(), seed=13)
    assert held_out[:3] == (
        Fact("capital", "ireland", "dublin"),
        Fact("capital", "india", "new_delhi"),
        Fact("capital", "south_korea", "seoul"),
    )
    assert split(load_facts(), seed=14)[1] != held_out


HELD_OUT_FIRST = ()
