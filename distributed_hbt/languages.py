"""Language codes: ISO 639-1 where such a code exists, else the code as it is."""

import re

# Two-letter code, then what names the same language: ISO 639-3 (and the individual languages that data
# sets write for a macrolanguage), ISO 639-2/B, and the English names in mMARCO's file names.
_TABLE = """
af afr|ak aka|am amh|ar ara arb arabic|as asm|az aze azj|ba bak|be bel|bg bul|bn ben|bo bod tib|bs bos
ca cat|cs ces cze|cy cym wel|da dan|de deu ger german|dv div|dz dzo|ee ewe|el ell gre|en eng english
es spa spanish|et est ekk|eu eus baq|fa fas per pes|ff ful|fi fin|fj fij|fo fao|fr fra fre french|ga gle
gl glg|gu guj|ha hau|he heb|hi hin hindi|hr hrv|hu hun|hy hye arm|id ind indonesian|ig ibo|is isl ice
it ita italian|ja jpn japanese|jv jav|ka kat geo|kk kaz|km khm|kn kan|ko kor|ku kur kmr|ky kir|lb ltz
lg lug|ln lin|lo lao|lt lit|lv lav lvs|mg mlg plt|mi mri mao|mk mkd mac|ml mal|mn mon khk|mr mar
ms msa may zsm|mt mlt|my mya bur|nb nob|nd nde|ne nep npi|nl nld dut dutch|nn nno|no nor|ny nya|om orm gaz
or ori ory|pa pan|pl pol|ps pus pbt|pt por portuguese|ro ron rum|ru rus russian|rw kin|sd snd|si sin
sk slk slo|sl slv|sm smo|sn sna|so som|sq sqi alb als|sr srp|ss ssw|st sot|su sun|sv swe|sw swa swh|ta tam
te tel|tg tgk|th tha|ti tir|tk tuk|tl tgl|tn tsn|to ton|tr tur|ts tso|tt tat|tw twi|ty tah|ug uig|uk ukr
ur urd|uz uzb uzn|ve ven|vi vie vietnamese|wo wol|xh xho|yi yid ydd|yo yor|zh zho chi cmn chinese|zu zul
"""


def _codes() -> dict[str, str]:
    entries = (entry.split() for line in _TABLE.split("\n") for entry in line.split("|") if entry)
    return {name: names[0] for names in entries for name in names}


_CODES = _codes()
LANGUAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Codes of languages, and names of them as data sets have them; they become names of tasks and files."""

_SUBTAGS = re.compile(r"(?:[-_](?:[A-Za-z]{2}|[A-Za-z]{4}|[0-9]{3}))*")  # region or script, nothing else


def language_code(code: str) -> str:
    """The ISO 639-1 code of a language code, with region and script dropped; unknown codes unchanged.

    `eng`, `en_US` -> `en`; `arb` -> `ar`; `cmn`, `zho-TW`, `zh-Hans-CN` -> `zh`. A code without a
    two-letter form (`bem`, `fon`, `gsw-BE`, `zh-yue`) passes through.
    """
    base = re.split("[-_]", code, maxsplit=1)[0]
    if base.lower() in _CODES and _SUBTAGS.fullmatch(code[len(base) :]):
        return _CODES[base.lower()]
    return code
