"""Text branch: joint embedding space, shares of codes, and digits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import draw

from sktext_vq import VQTextClassifier
from sktext_vq._heads.align_texts import ChosenTexts, align_texts
from sktext_vq._training.texts import SentenceTable, TrainingTexts
from sktext_vq.nn.auxiliary.digits import PATCH, DigitBranch
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.text_branch import CodeDecoder, TextBranch, Texts
from sktext_vq.text import TextEncoder

TEXT_DIM, DIM, N_CODES = 12, 5, 32


def build(module, *args, **kwargs):
    """Return a module with reproducible initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module(*args, **kwargs).double()


@pytest.fixture
def texts():
    usage = (2 * draw(3, N_CODES, seed=2)).softmax(1)
    rows = torch.tensor([[0, 1, -1], [2, -1, -1], [3, 0, 2]])
    return Texts(draw(3, TEXT_DIM), usage, rows, draw(4, TEXT_DIM, seed=1))


@pytest.fixture
def codebook():
    codebook = Codebook(N_CODES, 8).double()  # two heads
    shapes = draw(400, 8, seed=3)
    codebook.seed(
        shapes - shapes.mean(1, keepdim=True), torch.Generator().manual_seed(0)
    )
    return codebook


@pytest.fixture
def decoder():
    generator = torch.Generator().manual_seed(0)
    return CodeDecoder(TEXT_DIM, N_CODES, 2, 8, generator).double()


def test_texts_start_as_in_closed_form(texts):
    mean, weight = draw(TEXT_DIM, seed=4), draw(TEXT_DIM, DIM, seed=5)
    found = TextBranch(mean, weight)(texts)
    expected = (texts.vectors - mean) @ weight
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found, expected)


def test_shares_of_codes_start_as_in_closed_form(decoder, codebook, texts):
    torch.testing.assert_close(decoder(texts, codebook).exp(), texts.usage)


def test_a_token_similar_to_a_code_increases_its_share(decoder, codebook, texts):
    head, code = 1, 5
    with torch.no_grad():
        z = decoder.to_z[-1].view(2, -1)
        z[head, :8] = codebook.codes[16 * head + code]
    gain = decoder(texts, codebook) - texts.usage.log()
    others = gain[:, :16]
    torch.testing.assert_close(others, others[:, :1].expand(-1, 16))
    assert (gain.argmax(1) == 16 * head + code).all()


def test_codes_get_no_gradient_from_text(decoder, codebook, texts):
    decoder(texts, codebook)[:, 0].sum().backward()
    assert codebook.shift.grad is None
    assert (decoder.to_z.grad != 0).any()


def test_training_texts_equal_texts_of_the_alignment():
    """Each sentence is encoded once, and a text vector is the mean of its sentences."""
    encoded = []

    class Counting(TextEncoder):
        def transform(self, texts):
            encoded.extend(texts)
            return super().transform(texts)

    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 8)).astype(np.float32)
    case_texts = [["Fast. Up.", "Slow. Up.", "Fast."][i % 3] for i in range(30)]
    classes = np.arange(30) % 2
    chosen = ChosenTexts(["a run", "a walk"], np.arange(2), case_texts)
    encoder = SentenceTable(Counting("hashing"))
    shares = rng.dirichlet(np.ones(6), 30)
    alignment = align_texts(features, shares, chosen, classes, encoder)
    found = TrainingTexts.read(chosen, alignment, encoder)
    assert len(encoded) == len(set(encoded))
    assert found.case_text.tolist() == [2 + i % 3 for i in range(30)]
    texts = found.texts
    mean = texts.sentences[texts.rows[3, :2]].mean(0)
    torch.testing.assert_close(texts.vectors[3], mean)
    every = ["a run", "a walk", "Fast. Up.", "Slow. Up.", "Fast."]
    usage = alignment.usage(every, encoder)
    np.testing.assert_allclose(texts.usage, usage, rtol=1e-5)


def test_texts_spread_over_many_codes(many_rhythms):
    """The predicted shares of a text are spread over many of 64 codes."""
    X, y = many_rhythms
    classifier = VQTextClassifier(
        text_encoder="hashing", max_epochs=10, random_state=0
    ).fit(X, y)
    shares = classifier.transform_text(["a person walks", "running", "stands still"])
    perplexity = np.exp(-(shares * np.log(shares)).sum(1))
    assert perplexity.min() > 16
    assert shares.max() < 0.25


# -- digits -------------------------------------------------------------------------


def digit_branch(n_digits=2, base=10):
    return build(
        DigitBranch,
        draw(base + 2, TEXT_DIM).float(),
        n_words=PATCH * n_digits,
        n_digits=n_digits,
        n_values=base + 1,
        n_codes=32,
        n_heads=2,
    )


def every_number(n_digits, base=10):
    """Return the digits of all numbers, in patches."""
    codes = torch.arange(base**n_digits)
    codes = F.pad(codes, (0, -len(codes) % PATCH))
    places = base ** torch.arange(n_digits - 1, -1, -1)
    return (codes[:, None] // places % base).view(-1, PATCH, n_digits)


@pytest.mark.parametrize(("n_digits", "base"), [(1, 10), (2, 10), (3, 10), (1, 8)])
def test_numbers_are_written_digit_by_digit(n_digits, base):
    branch = digit_branch(n_digits, base)
    digits = every_number(n_digits, base)
    numbers = branch.value(digits).double()
    present = torch.full_like(numbers, -1e9)
    logits, written = branch.write(numbers, present)
    assert torch.equal(written, digits)
    assert logits.shape == (*digits.shape, base + 1)


@pytest.mark.parametrize("off", [-0.49, -0.2, 0.2, 0.49])
def test_numbers_within_a_bin_are_written_as_this_bin(off):
    branch = digit_branch()
    digits = every_number(2)
    numbers = branch.value(digits).double() + off / 100
    assert torch.equal(branch.write(numbers, torch.full_like(numbers, -1e9))[1], digits)


@pytest.mark.parametrize("number", [-3.0, -0.01, 1.01, 40.0])
def test_numbers_out_of_range_are_clipped(number):
    numbers = torch.full((1, PATCH), number, dtype=torch.float64)
    _, written = digit_branch().write(numbers, torch.full_like(numbers, -1e9))
    assert (written == (0 if number < 0 else 9)).all()


def test_missing_numbers_are_written_as_missing():
    branch = digit_branch()
    digits = every_number(2)
    numbers = branch.value(digits).double()
    missing = torch.where(torch.arange(PATCH) % 2 == 0, 1e9, -1e9)
    _, written = branch.write(numbers, missing.expand_as(numbers).double())
    assert (written[:, ::2] == 10).all()
    assert torch.equal(written[:, 1::2], digits[:, 1::2])


def test_true_digits_are_used_for_the_next_digit():
    """If the first digit is too small, the remainder for the second digit is large."""
    branch = digit_branch()
    numbers = torch.full((1, PATCH), 0.305, dtype=torch.float64)
    right = torch.tensor([2, 9]).expand(1, PATCH, 2)
    present = torch.full_like(numbers, -1e9)
    logits, written = branch.write(numbers, present, right)
    assert torch.equal(written, right)
    assert (logits[:, :, 0].argmax(2) == 3).all()
    assert (logits[:, :, 1].argmax(2) == 9).all()  # .305 exceeds .2
    free, _ = branch.write(numbers, present)
    assert (free[:, :, 1].argmax(2) == 0).all()


def test_values_are_centres_of_bins():
    branch = digit_branch()
    found = branch.value(every_number(2)).flatten()[:100]
    np.testing.assert_allclose(found, (np.arange(100) + 0.5) / 100, rtol=1e-6)


def test_digits_depend_on_codes_only(codebook):
    """Digits depend on keys only, so without keys all patches have the same digits."""
    digits = digit_branch()
    words = every_number(2)[:6].flatten(1)
    keys = digits.keys(codebook)
    numbers, missing, use = digits(words, keys)
    assert numbers.shape == missing.shape == (6, PATCH)
    torch.testing.assert_close(use.sum(2), torch.ones(6, 2, dtype=torch.float64))
    assert (numbers[1:] - numbers[0]).abs().amax(1).min() > 1e-6
    blind, _, _ = digits(words, torch.zeros_like(keys))
    torch.testing.assert_close(blind, blind[:1].expand(6, -1), rtol=1e-12, atol=0)


def test_order_of_digits_matters(codebook):
    """Reversed words of a patch have different digits."""
    digits = digit_branch()
    words = torch.arange(2 * PATCH)[None] % 10
    keys = digits.keys(codebook)
    there = digits(words, keys)[0]
    back = digits(words.flip(1), keys)[0]
    assert (there - back).abs().max() > 1e-6
