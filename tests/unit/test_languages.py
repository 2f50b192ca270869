"""Language codes."""

from pathlib import Path

import pytest

from distributed_hbt.languages import language_code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("eng", "en"), ("en", "en"), ("EN", "en"), ("en_US", "en"), ("english", "en"),
        ("arb", "ar"), ("ara", "ar"), ("arb_Arab", "ar"),
        ("cmn", "zh"), ("zho", "zh"), ("zho-CN", "zh"), ("zho-TW", "zh"), ("zh-Hans-CN", "zh"), ("chi", "zh"),
        ("pes", "fa"), ("fas", "fa"), ("swh", "sw"), ("swa", "sw"), ("ell", "el"), ("jpn", "ja"),
        ("deu", "de"), ("ger", "de"), ("twi", "tw"), ("yor", "yo"), ("kin", "rw"), ("zul", "zu"),
        ("spa", "es"), ("es-419", "es"), ("portuguese", "pt"), ("por-BR", "pt"), ("srp-Cyrl", "sr"),
    ],
)  # fmt: skip
def test_codes_of_one_language_become_one(code: str, expected: str) -> None:
    """`eng` and `en` were two languages, so their batches never met."""
    assert language_code(code) == expected


@pytest.mark.parametrize(
    "code", ["bem", "fon", "gsw-BE", "yue", "zh-yue", "zh-min-nan", "xx", "X-Klingon", ""]
)
def test_codes_without_a_two_letter_form_stay(code: str) -> None:
    """A language without an ISO 639-1 code, or a language named as a subtag, was folded into another."""
    assert language_code(code) == code


def test_every_ntrex_language_but_these_has_a_two_letter_code(shared_data: Path) -> None:
    """A language of the data was missing in the table."""
    listing = (shared_data / "ntrex-128" / "LANGUAGES.tsv").read_text(encoding="utf-8")
    codes = [line.split()[0] for line in listing.splitlines() if line.strip()]
    assert len(codes) == 129
    assert {code for code in codes if len(language_code(code)) > 2} == {
        "bem", "ckb-Arab", "fil", "fuc", "gsw-BE", "gsw-ZH", "hmn", "mey", "nso", "prs", "shi", "yue",
    }  # fmt: skip
