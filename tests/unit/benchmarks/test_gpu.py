"""What the GPU benchmark counts with, and how it cuts a case to fit."""

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_arithmetic import (
    PASSAGE_QUANTILES,
    QUERY_QUANTILES,
    SHAPES,
    peak_teraflops,
    sample_lengths,
    training_flops,
    utilisation,
    weight_bytes,
)
from benchmarks.gpu_cases import Case, Cut, Measured, cut_to_fit, row
from benchmarks.gpu_sides import RandomBatches, run_of
from distributed_hbt.models.build import build_encoder

H100, H200 = 80 * 2**30, 139 * 2**30


def case(size: str = "8B", tuning: str = "lora", gradient: str = "cached", layout: str = "sdpa") -> Case:
    return Case(size, tuning, gradient, layout, 256, 256, 20.0)


@pytest.mark.parametrize(("size", "billions"), [("0.6B", 0.44), ("4B", 3.63), ("8B", 6.95)])
def test_parameters_are_those_of_the_model(size: str, billions: float) -> None:
    """A shape that is not Qwen3's, or parameters that count embeddings."""
    shape = SHAPES[size]
    assert shape.parameters / 1e9 == pytest.approx(billions, abs=0.005)
    model = run_of(case(size), Cut(1_024, recompute=False)).model
    with torch.device("meta"):
        encoder = build_encoder(model, 1)
    counted = {"lora": 0, "matrices": 0, "embeddings": 0}
    for name, parameter in encoder.named_parameters():
        kind = "lora" if ".lora_" in name else "embeddings" if "embed_tokens" in name else "matrices"
        counted[kind] += parameter.numel() if parameter.ndim == 2 else 0
    assert counted["lora"] == shape.lora_parameters
    assert counted["matrices"] == shape.parameters
    assert counted["embeddings"] == shape.embedding_parameters


def test_flops_by_hand() -> None:
    """Attention forgotten or counted for padding; LoRA counted as full fine-tuning."""
    shape = SHAPES["0.6B"]
    full = training_flops(shape, [10, 20], lora=False)
    attention = sum(3 * 4 * 28 * 16 * 128 * length * length / 2 for length in (10, 20))
    assert full == 6 * shape.parameters * 30 + attention
    assert full - training_flops(shape, np.array([10, 20]), lora=True) == 2 * shape.parameters * 30


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("Quadro K420", None),
    ],
)
def test_peaks_go_by_the_name_of_the_device(device: str, peak: float | None) -> None:
    """An L40S that is taken for an L4, an H100 on PCIe for one on SXM: an MFU that is wrong by a third."""
    assert peak_teraflops(device) == peak


def test_utilisation_is_a_share_of_the_peak() -> None:
    """A factor of a thousand, or a made-up peak."""
    assert utilisation(989.4e12, 2.0, "NVIDIA H200") == pytest.approx(0.5)
    assert utilisation(1e12, 1.0, "unknown") is None


def test_lengths_follow_their_quantiles() -> None:
    """Lengths that are all alike, where padding costs nothing; lengths beyond what is asked for."""
    for quantiles, longest in ((PASSAGE_QUANTILES, 256), (PASSAGE_QUANTILES, 512), (QUERY_QUANTILES, 64)):
        assert len(quantiles) == 21
        assert list(quantiles) == sorted(quantiles)
        drawn = sample_lengths(quantiles, 20_000, longest, seed=1)
        assert drawn.max() <= longest
        for share in (10, 50, 90):
            expected = min(quantiles[share // 5], longest)
            assert np.percentile(drawn, share) == pytest.approx(expected, rel=0.05, abs=1)
    assert np.array_equal(
        sample_lengths(QUERY_QUANTILES, 9, 64, seed=3), sample_lengths(QUERY_QUANTILES, 9, 64, seed=3)
    )


def test_a_case_is_cut_to_what_the_memory_holds() -> None:
    """A case that dies after minutes of building, or one that is left out though it fits."""
    assert weight_bytes(SHAPES["8B"], lora=True) < 0.3 * H100
    assert cut_to_fit(case("8B", "full"), H200) is None
    assert cut_to_fit(case("4B", "full"), H100) is None
    assert cut_to_fit(case("4B", "full"), H200) is not None
    lora = cut_to_fit(case("8B", "lora"), H100)
    assert lora is not None
    assert 1_024 <= lora.tokens < 16_384
    assert not lora.recompute
    plain = cut_to_fit(case("8B", "lora", "plain"), H200)
    assert plain is not None
    assert plain.recompute
    small = cut_to_fit(case("0.6B", "full"), H200)
    assert small == Cut(16_384, recompute=False)


def test_batches_hold_the_tokens_that_are_counted() -> None:
    """Tokens a second of texts that were not encoded."""
    for padding_free in (False, True):
        batches = RandomBatches(32, 256, 2_048, padding_free)
        batch = batches.batch(3)
        lengths = [len(tokens) for tokens in batch.sequences]
        assert lengths == batches.lengths(3).tolist()
        assert batch.real_tokens == sum(lengths)
        assert (batch.padded_tokens == batch.real_tokens) is padding_free
        assert sorted(np.concatenate(batch.chunks).tolist()) == list(range(64))
    assert batches.lengths(3).tolist() != batches.lengths(4).tolist()


def test_a_row_has_what_the_header_promises() -> None:
    """Cells in other columns than their names."""
    measured = Measured([2.0, 1.0, 3.0], 60_000, 66_000, 0.5 * 989.4e12 * 6.0, 2**33)
    cells = [c.strip() for c in row(case(), Cut(8_192, False), measured, "NVIDIA H200").split("|")[1:-1]]
    assert len(cells) == gpu.HEADER.splitlines()[0].count("|") - 1
    assert cells[5:] == ["8,192", "10,000", "10.0%", "50.0%", "8.0", "2.00 (1.00 to 3.00, 3)"]


def test_unknown_choices_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt size that measures nothing for ten minutes."""
    with pytest.raises(SystemExit):
        gpu.parse(["--sizes", "7B"])
    assert "--sizes: 7B is none of 0.6B, 4B, 8B" in capsys.readouterr().err
    options = gpu.parse(["--sizes", "4B", "--layouts", "sdpa", "--passages", "256"])
    assert [str(c) for c in gpu.cases(options)] == [
        "4B lora plain sdpa 256",
        "4B lora cached sdpa 256",
        "4B full plain sdpa 256",
        "4B full cached sdpa 256",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback of CUDA."""
    monkeypatch.setattr("sys.argv", ["gpu"])
    gpu.main()
    assert "needs an NVIDIA GPU, and there is none here" in capsys.readouterr().out
