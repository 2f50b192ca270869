"""Training and loading tokenizers."""

import itertools
import unicodedata

import pytest

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.tokenizer import load_tokenizer, train_tokenizer


def test_the_same_texts_give_the_same_tokenizer(sentences):
    """Ranks or runs that train tokenizers of their own and disagree."""
    one, other = (train_tokenizer(iter(sentences * 4), 350) for _ in range(2))
    assert one.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()
    assert one.backend_tokenizer.to_str() != train_tokenizer(iter(sentences), 350).backend_tokenizer.to_str()


def test_special_tokens_have_fixed_ids_and_the_vocabulary_its_size(tokenizer):
    """A padding id that differs from XLM-R's, from which its positions are counted."""
    assert (tokenizer.bos_token_id, tokenizer.cls_token_id) == (0, 0)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (1, 2)
    assert tokenizer.unk_token is None
    assert len(tokenizer) == 400


def test_any_text_comes_back_as_its_nfc_form(tokenizer, sentences):
    """Unknown tokens, marks torn from letters for good, or a missing normalisation."""
    unseen = ("日本語のテキスト", "🌍🌎 ok\n\ttabs  and   spaces", "ǹ ṩ", "e\u0301 \u1100\u1161", "x\x00y")
    for text in itertools.chain(sentences, unseen):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == unicodedata.normalize("NFC", text)


def test_composed_and_decomposed_letters_have_the_same_tokens(tokenizer):
    """The same word encoded in two ways, which are different queries then."""
    assert tokenizer("caf\u00e9")["input_ids"] == tokenizer("cafe\u0301")["input_ids"]


def test_a_tokenizer_comes_back_from_its_folder(tokenizer, sentences, tmp_path):
    """A reader that rebuilds the tokenizer by the rules of some model family."""
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again(list(sentences))["input_ids"] == tokenizer(list(sentences))["input_ids"]
    assert (again.pad_token, again.eos_token, again.cls_token) == ("<pad>", "</s>", "<s>")


def test_a_tokenizer_without_padding_pads_with_its_eos(tokenizer, tmp_path):
    """Llama's: no padding token, and no batch can be made."""
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>")
    bare.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again.pad_token == "</s>"
    assert again.pad_token_id == 2


def test_a_tokenizer_without_padding_and_eos_is_refused(tokenizer, tmp_path):
    """A padding token that is made up."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="neither a padding nor an EOS token"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("content", [None, "{}", "{", '{"version": "1.0", "model": {"type": "Oops"}}'])
def test_what_is_no_tokenizer_is_one_line(content, tmp_path):
    """A traceback of some reader inside the tokenizer library."""
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ConfigError, match=r"^model.tokenizer: no tokenizer can be loaded from ") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
