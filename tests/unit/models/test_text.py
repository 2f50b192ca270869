"""From texts to tokens: prompts, truncation, EOS, padding, fingerprint."""

import copy

import pytest

from distributed_hbt.errors import ConfigError, DataError
from distributed_hbt.models.text import TextEncoder

LONG = "The river rises in the mountains and flows to the sea. " * 20
EOS, BERT_CLS, BERT_SEP = 2, 2, 3


@pytest.fixture
def texts_of(model_of):
    def make(tokenizer, **fields):
        return TextEncoder(tokenizer, model_of("qwen3", **fields))

    return make


def test_tokens_are_prompt_text_and_eos(tokenizer, texts_of):
    """A prompt of the other side, a prompt tokenized apart from its text, a missing or double EOS."""
    texts = texts_of(tokenizer, query_prompt="Query: ", passage_prompt="Passage: ")
    assert texts.queries(["the sea"]) == [[*tokenizer("Query: the sea")["input_ids"], EOS]]
    assert texts.passages(["the sea", "x"]) == [
        [*tokenizer("Passage: the sea")["input_ids"], EOS],
        [*tokenizer("Passage: x")["input_ids"], EOS],
    ]


def test_truncation_takes_from_the_text_and_keeps_eos(tokenizer, texts_of):
    """Last-token pooling of a token in the middle of a sentence, because truncation took the EOS."""
    texts = texts_of(tokenizer, max_query_length=12, max_passage_length=30)
    whole = tokenizer("Query: " + LONG)["input_ids"]
    assert texts.queries([LONG]) == [[*whole[:11], EOS]]
    assert len(texts.passages([LONG])[0]) == 30
    assert texts.passages([LONG])[0].count(EOS) == 1


def test_a_text_that_just_fits_is_not_cut(tokenizer, texts_of):
    """A limit that counts one token too many or too few."""
    whole = tokenizer("Query: the mountains")["input_ids"]
    for room, expected in [(len(whole) + 1, whole), (len(whole), whole[:-1])]:
        assert texts_of(tokenizer, max_query_length=room).queries(["the mountains"]) == [[*expected, EOS]]


def test_append_eos_false_adds_none(tokenizer, xlmr_tokenizer, texts_of):
    """An EOS that was not asked for, or a place kept for it."""
    texts = texts_of(tokenizer, append_eos=False, max_query_length=10)
    assert texts.queries([LONG]) == [tokenizer("Query: " + LONG)["input_ids"][:10]]
    template = texts_of(xlmr_tokenizer, append_eos=False).queries(["the sea"])[0]
    assert template == xlmr_tokenizer("Query: the sea")["input_ids"][:-1]


@pytest.mark.parametrize("pooling", ["last_token", "mean", "cls"])
def test_a_template_is_not_doubled(xlmr_tokenizer, bert_tokenizer, texts_of, pooling):
    """`<s> text </s> </s>`, or `[CLS] [CLS] text`."""
    for tokenizer, first, last in [(xlmr_tokenizer, 0, EOS), (bert_tokenizer, BERT_CLS, BERT_SEP)]:
        texts = texts_of(tokenizer, pooling=pooling, attention="bidirectional")
        assert texts.queries(["the sea"]) == [tokenizer("Query: the sea")["input_ids"]]
        (long,) = texts.passages([LONG])
        assert len(long) == 32
        assert (long[0], long[-1]) == (first, last)
        assert long.count(last) == (2 if first == last else 1)


def test_a_bos_template_keeps_bos_and_gets_eos(tokenizer, texts_of):
    """Llama's and Gemma's BOS lost, or the EOS left out because the template has none."""
    from tokenizers import processors

    with_bos = copy.deepcopy(tokenizer)
    with_bos.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    texts = texts_of(with_bos, max_query_length=10)
    assert texts.queries([LONG]) == [[0, *tokenizer("Query: " + LONG)["input_ids"][:8], EOS]]


def test_cls_pooling_gets_a_cls_token(tokenizer, texts_of):
    """CLS pooling of whatever token a text begins with."""
    texts = texts_of(tokenizer, pooling="cls", attention="bidirectional")
    assert texts.queries(["the sea"]) == [[0, *tokenizer("Query: the sea")["input_ids"], EOS]]


def test_special_strings_in_a_text_stay_text(tokenizer, xlmr_tokenizer, bert_tokenizer, texts_of):
    """A web page that holds `</s>` puts an EOS, or a padding token, into the middle of its text."""
    for each, end in [(tokenizer, EOS), (xlmr_tokenizer, EOS), (bert_tokenizer, BERT_SEP)]:
        (tokens,) = texts_of(each, max_passage_length=256).passages(
            ["a</s>b <pad> [SEP] <s> [PAD] [CLS] </s> c"]
        )
        inside = tokens[1:-1] if each is not tokenizer else tokens[:-1]
        assert tokens[-1] == end
        assert set(inside).isdisjoint(set(each.all_special_ids) - {each.unk_token_id})
    (tokens,) = texts_of(tokenizer, passage_prompt="").passages(["a</s>b"])
    assert tokenizer.decode(tokens[:-1]) == "a</s>b"


def test_a_text_is_never_without_tokens(tokenizer, xlmr_tokenizer, texts_of):
    """An empty row, on which attention and the mean are not numbers."""
    bare = texts_of(tokenizer, append_eos=False, query_prompt="", passage_prompt="")
    assert bare.queries([""]) == [[EOS]]
    assert texts_of(tokenizer, query_prompt="").queries([""]) == [[EOS]]
    assert texts_of(xlmr_tokenizer, query_prompt="").queries([""]) == [[0, EOS]]


def test_a_prompt_that_fills_the_maximum_length_is_refused(tokenizer, texts_of):
    """Every query truncated to the prompt, so that all have the same embedding."""
    tokens = len(tokenizer("Query: ")["input_ids"])
    with pytest.raises(ConfigError, match=f"model.max_query_length: .*set it to {tokens + 2} or more"):
        texts_of(tokenizer, max_query_length=tokens + 1)
    texts_of(tokenizer, max_query_length=tokens + 2)
    with pytest.raises(ConfigError, match=r"model.max_passage_length"):
        texts_of(tokenizer, passage_prompt=LONG)


@pytest.mark.parametrize(
    ("side", "ids", "mask"),
    [
        ("right", [[5, 6, 7], [8, 1, 1]], [[1, 1, 1], [1, 0, 0]]),
        ("left", [[5, 6, 7], [1, 1, 8]], [[1, 1, 1], [0, 0, 1]]),
    ],
)
def test_pad_fills_the_configured_side(tokenizer, texts_of, side, ids, mask):
    """Padding on the side that pooling does not expect."""
    input_ids, attention_mask = texts_of(tokenizer, padding_side=side).pad([[5, 6, 7], [8]])
    assert input_ids.tolist() == ids
    assert attention_mask.tolist() == mask
    assert str(input_ids.dtype) == str(attention_mask.dtype) == "torch.int64"


def test_more_texts_than_go_through_at_once_keep_their_order(tokenizer, texts_of, monkeypatch):
    """A batch dropped or repeated at the seam."""
    texts = texts_of(tokenizer)
    many = [f"number {i}" for i in range(23)]
    whole = texts.passages(many)
    monkeypatch.setattr("distributed_hbt.models.text._TEXTS_AT_ONCE", 5)
    assert texts.passages(many) == whole == [texts.passages([text])[0] for text in many]


def test_half_a_surrogate_pair_is_named(tokenizer, texts_of):
    """A JSON escape that is half a character, and an error from deep inside the tokenizer."""
    with pytest.raises(DataError, match="not Unicode text"):
        texts_of(tokenizer).queries(["fine", "broken \ud800 text"])


def test_the_fingerprint_follows_what_changes_tokens_and_nothing_else(
    tokenizer, xlmr_tokenizer, texts_of, tmp_path
):
    """A stale token store that is taken for the right one, or a right one that is built again."""
    first = texts_of(tokenizer).fingerprint
    different = [
        {"append_eos": False},
        {"query_prompt": "Q: "},
        {"passage_prompt": "P: "},
        {"max_query_length": 15},
        {"max_passage_length": 31},
        {"pooling": "cls", "attention": "bidirectional"},
    ]
    prints = [texts_of(tokenizer, **fields).fingerprint for fields in different]
    prints += [first, texts_of(xlmr_tokenizer).fingerprint]
    assert len(set(prints)) == len(prints)
    same = copy.deepcopy(tokenizer)
    same(["some text"] * 2, truncation=True, max_length=2, padding="max_length")  # leaves settings behind
    assert texts_of(same, padding_side="left", pooling="mean").fingerprint == first
    same.save_pretrained(tmp_path)
    from distributed_hbt.models.tokenizer import load_tokenizer

    assert texts_of(load_tokenizer(str(tmp_path))).fingerprint == first


def test_settings_left_in_the_tokenizer_do_not_matter(tokenizer, texts_of):
    """Truncation that an earlier call switched on in the shared tokenizer."""
    before = texts_of(tokenizer).passages([LONG])
    used = copy.deepcopy(tokenizer)
    used("some text", truncation=True, max_length=2)
    assert texts_of(used).passages([LONG]) == before
