import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import draw

from sktext_vq import VQTextClassifier
from sktext_vq._training.texts import encode_texts
from sktext_vq.nn.auxiliary.digits import PATCH, DigitBranch
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.text_branch import (
    ClassMemory,
    CodeDecoder,
    TextBranch,
    Texts,
)
from sktext_vq.nn.usage import share_of_codes
from sktext_vq.text import TextEncoder

TEXT_DIM, DIM = 12, 16


def build(module, *args, **kwargs):
    """Make a module whose weights are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module(*args, **kwargs).double()


@pytest.fixture
def branch():
    return build(TextBranch, TEXT_DIM, DIM)


@pytest.fixture
def texts():
    """Return three texts of two, one and three of four sentences of 2 to 5 words."""
    known = torch.arange(5) < torch.tensor([[5], [2], [3], [4]])
    sentences = torch.tensor([[0, 1, -1], [2, -1, -1], [3, 0, 2]])
    return Texts(draw(4, 5, TEXT_DIM), known, sentences)


def usage_of(*shape, seed=0):
    """Return distributions over the last axis that are far from even."""
    return (2 * draw(*shape, seed=seed)).softmax(-1)


# -- texts and their places ---------------------------------------------------------


@pytest.mark.parametrize("content", [float("nan"), float("inf"), 1e30])
def test_content_of_padding_does_not_move_a_text(branch, texts, content):
    words = texts.words.clone()
    words[~texts.known] = content
    expected = branch(texts)
    found = branch(texts._replace(words=words))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_gradients_stay_finite_beside_padding_of_nan(branch, texts):
    words = texts.words.clone()
    words[~texts.known] = float("nan")
    branch(texts._replace(words=words))[0][:, 0].sum().backward()
    assert all(weight.grad.isfinite().all() for weight in branch.parameters())
    assert (branch.input_projection[0].weight.grad != 0).any()


def test_more_padding_does_not_move_a_text(branch, texts):
    wider = Texts(
        F.pad(texts.words, (0, 0, 0, 4)),
        F.pad(texts.known, (0, 4)),
        F.pad(texts.sentences, (0, 2), value=-1),
    )
    torch.testing.assert_close(branch(wider)[0], branch(texts)[0])


@pytest.mark.parametrize("training", [True, False])
def test_place_does_not_depend_on_texts_beside_it(branch, texts, training):
    """Without gradients and in evaluation torch takes another way: a fused kernel."""
    branch.train(training)
    with torch.inference_mode(not training):
        together = branch(texts)[0]
        for i in range(3):
            alone = texts._replace(sentences=texts.sentences[i : i + 1])
            torch.testing.assert_close(branch(alone)[0], together[i : i + 1])


def test_places_are_unit_vectors(branch, texts):
    places, sentences = branch(texts)
    assert sentences.shape == (4, DIM)
    torch.testing.assert_close(places.norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_order_of_sentences_makes_no_difference():
    texts = ["A fast swing. Both feet jump.", "Both feet jump. A fast swing."]
    branch = build(TextBranch, 384, DIM).float()
    there, back = branch(encode_texts(texts, TextEncoder("hashing")))[0]
    torch.testing.assert_close(there, back)


def test_every_sentence_makes_a_difference(branch, texts):
    places = branch(texts)[0]
    for text, column in ((0, 0), (0, 1), (2, 0), (2, 1), (2, 2)):
        rows = texts.sentences.clone()
        rows[text, column] = next(i for i in range(4) if i not in rows[text])
        moved = branch(texts._replace(sentences=rows))[0]
        assert (moved[text] - places[text]).norm() > 0.01
        others = [i for i in range(3) if i != text]
        assert torch.equal(moved[others], places[others])


def test_every_word_makes_a_difference(branch, texts):
    places = branch(texts)[0]
    for sentence, word in texts.known.nonzero().tolist():
        words = texts.words.clone()
        words[sentence, word] += draw(TEXT_DIM, seed=9)
        moved = branch(texts._replace(words=words))[0]
        concerned = (texts.sentences == sentence).any(1)
        assert ((moved - places).norm(dim=1) > 1e-3).equal(concerned)


def test_vectors_are_means_over_words(texts):
    words, known = texts.words.numpy(), texts.known.numpy()
    expected = [
        np.concatenate([words[row][known[row]] for row in rows if row >= 0]).mean(0)
        for rows in texts.sentences.numpy()
    ]
    np.testing.assert_allclose(texts.vectors(), expected, rtol=1e-12)


@pytest.mark.parametrize("content", [1e30, float("nan")])
def test_vectors_leave_padding_out(texts, content):
    words = texts.words.clone()
    words[~texts.known] = content
    torch.testing.assert_close(texts._replace(words=words).vectors(), texts.vectors())


# -- from places to codes -----------------------------------------------------------


@pytest.fixture
def codebook():
    codebook = Codebook(32, 8).double()  # two heads
    shapes = draw(400, 8, seed=3)
    codebook.seed(
        shapes - shapes.mean(1, keepdim=True), torch.Generator().manual_seed(0)
    )
    return codebook


@pytest.fixture
def usage():
    """Return usage of 3 groups, 2 heads, 4 levels and 16 codes."""
    return usage_of(3, 2, 64).view(3, 2, 4, 16)


@pytest.fixture
def decoder(usage):
    return build(CodeDecoder, DIM, usage, 8)


def test_decoder_returns_distributions_of_each_group_and_head(decoder, codebook):
    log_usage = decoder(F.normalize(draw(5, DIM), dim=1), codebook)
    assert log_usage.shape == (5, 3, 2, 64)
    sums = log_usage.exp().sum(3)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_decoder_depends_on_the_place(decoder, codebook):
    log_usage = decoder(F.normalize(draw(5, DIM), dim=1), codebook)
    assert (log_usage[1:] - log_usage[0]).abs().amax((1, 2, 3)).min() > 0.1


def test_decoder_starts_from_the_usual_usage(decoder, codebook, usage):
    for weight in decoder.to_z.parameters():
        torch.nn.init.zeros_(weight)
    found = decoder(F.normalize(draw(5, DIM), dim=1), codebook).exp()
    expected = usage.flatten(2).expand(5, -1, -1, -1)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=0.01)
    assert usage.max() > 0.05 and usage.min() < 1e-3  # far from even


def test_token_like_a_code_makes_this_code_likely(decoder, codebook):
    """A match raises its code of the head, in its group, head and level alone."""
    for weight in decoder.to_z.parameters():
        torch.nn.init.zeros_(weight)
    place = F.normalize(draw(1, DIM), dim=1)
    usual = decoder(place, codebook)
    group, head, level, code = 2, 1, 3, 5
    bias = torch.zeros(3, 2, 4, decoder.z_dim + 1, dtype=torch.float64)
    bias[group, head, level, :8] = codebook.codes.detach()[16 * head + code]
    decoder.to_z.bias.data = bias.flatten()
    gain = (decoder(place, codebook) - usual)[0]
    assert gain[group, head].argmax() == 16 * level + code
    gain[group, head] = 0
    assert (gain == 0).all()


def test_lift_raises_a_level_as_a_whole(decoder, codebook):
    for weight in decoder.to_z.parameters():
        torch.nn.init.zeros_(weight)
    place = F.normalize(draw(1, DIM), dim=1)
    usual = decoder(place, codebook).exp()[0, 0, 0].view(4, 16)
    decoder.to_z.bias.data.view(3, 2, 4, -1)[0, 0, 1, -1] = 2
    lifted = decoder(place, codebook).exp()[0, 0, 0].view(4, 16)
    assert lifted[1].sum() > 2 * usual[1].sum()
    torch.testing.assert_close(lifted[1] / lifted[1].sum(), usual[1] / usual[1].sum())


def test_codes_get_no_gradient_from_text(decoder, codebook):
    decoder(F.normalize(draw(5, DIM), dim=1), codebook)[..., 0].sum().backward()
    assert codebook.shift.grad is None
    assert (decoder.meanings.grad != 0).any()
    assert (decoder.to_z.weight.grad != 0).any()


def test_keys_are_the_codes_and_their_meanings(decoder, codebook):
    decoder.meanings.data = draw(*decoder.meanings.shape, seed=4)
    keys = decoder.keys(codebook).flatten(0, 1)
    assert torch.equal(keys[:, :8], codebook.codes)
    assert torch.equal(keys[:, 8:], decoder.meanings.flatten(0, 1))


def test_untrained_text_says_what_is_usual(har_like, monkeypatch):
    X, y = har_like
    monkeypatch.setattr("sktext_vq._training.network.train", lambda *args, **kwargs: [])
    classifier = VQTextClassifier(text_encoder="hashing", random_state=0).fit(X, y)
    model = classifier.network_.model
    place = F.normalize(draw(1, 96).float(), dim=1)
    with torch.no_grad():
        usage = model.decoder(place, model.tokenizer.codebook).exp()
    np.testing.assert_allclose(
        share_of_codes(usage)[0], classifier.transform_codes(X).mean(0), atol=0.002
    )


@pytest.mark.parametrize("n_epochs", [1, 10])
def test_texts_spread_over_many_codes(har_like, n_epochs):
    """A text that named one code would have 1 of 64 codes."""
    X, y = har_like
    classifier = VQTextClassifier(
        text_encoder="hashing", max_epochs=n_epochs, random_state=0
    ).fit(X, y)
    shares = classifier.transform_text(["a person walks", "running", "stands still"])
    perplexity = np.exp(-(shares * np.log(shares)).sum(1))
    assert perplexity.min() > 16
    assert shares.max() < 0.25


# -- memory of class texts ----------------------------------------------------------

N_CLASSES = 3


@pytest.fixture
def vectors():
    """Return two texts of each of three classes, alike within a class."""
    middles = 2 * torch.eye(N_CLASSES, TEXT_DIM, dtype=torch.float64)
    return middles.repeat_interleave(2, 0) + 0.1 * draw(6, TEXT_DIM)


@pytest.fixture
def memory(vectors):
    owner = torch.arange(N_CLASSES).repeat_interleave(2)
    return build(ClassMemory, vectors, owner, usage_of(N_CLASSES, 2, 1, 20))


def distance(a, b):
    """Total variation, from 0 to 1."""
    return (a - b).abs().sum(-1).mean() / 2


def remembered(memory, vector, network, itself=None):
    found = memory(network.log(), vector[None], itself).exp()[0]
    sums = found.sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-3, rtol=0)
    return found


@pytest.mark.parametrize("label", range(N_CLASSES))
def test_unknown_wording_is_taken_for_its_neighbours(memory, vectors, label):
    network = usage_of(1, 2, 1, 20, seed=5)
    wording = vectors[2 * label : 2 * label + 2].mean(0) + 0.1 * draw(TEXT_DIM, seed=7)
    found = remembered(memory, wording, network)
    after = torch.stack([distance(found, usage) for usage in memory.usage])
    before = torch.stack([distance(network[0], usage) for usage in memory.usage])
    assert after[label] < 0.2 * before[label]
    assert after.argmin() == label


def test_texts_unlike_all_others_are_left_to_the_network(memory, vectors):
    network = usage_of(1, 2, 1, 20, seed=5)
    directions = vectors - vectors.mean(0)
    other = draw(TEXT_DIM, seed=8)
    basis = torch.linalg.qr(directions.T)[0]
    far = vectors.mean(0) + other - basis @ (basis.T @ other)
    assert distance(remembered(memory, far, network), network[0]) < 0.05


def test_the_nearer_a_text_the_more_is_remembered(memory, vectors):
    network = usage_of(1, 2, 1, 20, seed=5)
    ends = vectors[0], vectors.mean(0) + draw(TEXT_DIM, seed=8)
    found = [
        distance(remembered(memory, torch.lerp(*ends, share), network), network[0])
        for share in torch.linspace(0, 1, 5).tolist()
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


def test_a_text_does_not_remember_itself(memory, vectors):
    """All that it would find of its class is its own: the other text is far away."""
    memory.owner = torch.tensor([0, 1, 1, 1, 2, 2])
    network = usage_of(1, 2, 1, 20, seed=5)
    usage = memory.usage.clone()
    usage[0] = usage_of(2, 1, 20, seed=6)
    itself = torch.tensor([0])
    found = []
    for known in (memory.usage, usage):
        memory.usage = known
        found += [
            remembered(memory, vectors[0], network),
            remembered(memory, vectors[0], network, itself),
        ]
    assert distance(found[0], found[2]) > 0.3
    assert distance(found[1], found[3]) < 1e-4


def test_memory_of_equal_texts_stays_finite(vectors):
    same = vectors[:1].expand(4, -1)
    memory = ClassMemory(same, torch.tensor([0, 0, 1, 1]), usage_of(2, 2, 1, 20))
    network = usage_of(1, 2, 1, 20, seed=5)
    found = remembered(memory, same[0], network)
    assert distance(found, network[0]) < 0.05  # it says nothing


# -- digits -------------------------------------------------------------------------


def digit_branch(n_digits=2, base=10):
    return build(
        DigitBranch,
        draw(base + 2, TEXT_DIM).float(),
        n_words=PATCH * n_digits,
        n_digits=n_digits,
        n_values=base + 1,
        dim=DIM,
        z_dim=16,
        n_heads=2,
    )


def every_number(n_digits, base=10):
    """All numbers as digits, in patches."""
    codes = torch.arange(base**n_digits)
    codes = F.pad(codes, (0, -len(codes) % PATCH))
    places = base ** torch.arange(n_digits - 1, -1, -1)
    return (codes[:, None] // places % base).view(-1, PATCH, n_digits)


@pytest.mark.parametrize(("n_digits", "base"), [(1, 10), (2, 10), (3, 10), (1, 8)])
def test_right_numbers_are_written_digit_by_digit(n_digits, base):
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
def test_numbers_out_of_range_are_written_as_the_outermost(number):
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


def test_right_digits_are_given_to_the_next():
    """A first digit that is off by one shows in what is left for the second."""
    branch = digit_branch()
    numbers = torch.full((1, PATCH), 0.305, dtype=torch.float64)
    right = torch.tensor([2, 9]).expand(1, PATCH, 2)
    present = torch.full_like(numbers, -1e9)
    logits, written = branch.write(numbers, present, right)
    assert torch.equal(written, right)
    assert (logits[:, :, 0].argmax(2) == 3).all()
    assert (logits[:, :, 1].argmax(2) == 9).all()  # .305 is far above .2
    free, _ = branch.write(numbers, present)
    assert (free[:, :, 1].argmax(2) == 0).all()


def test_values_are_middles_of_bins():
    branch = digit_branch()
    found = branch.value(every_number(2)).flatten()[:100]
    np.testing.assert_allclose(found, (np.arange(100) + 0.5) / 100, rtol=1e-6)


def test_digits_see_their_codes_alone(codebook, decoder, branch):
    """What is written is made of keys: without any, all patches are written alike."""
    digits = digit_branch()
    text = build(TextBranch, TEXT_DIM, DIM)
    words = every_number(2)[:6].flatten(1)
    keys = decoder.keys(codebook)
    numbers, missing, use = digits(words, text, keys)
    assert numbers.shape == missing.shape == (6, PATCH)
    torch.testing.assert_close(use.sum(2), torch.ones(6, 2, dtype=torch.float64))
    assert (numbers[1:] - numbers[0]).abs().amax(1).min() > 1e-6
    blind, _, _ = digits(words, text, torch.zeros_like(keys))
    torch.testing.assert_close(blind, blind[:1].expand(6, -1), rtol=1e-12, atol=0)


def test_order_of_digits_makes_a_difference(codebook, decoder):
    """Words of a patch have places, unlike those of a sentence."""
    digits = digit_branch()
    text = build(TextBranch, TEXT_DIM, DIM)
    words = torch.arange(2 * PATCH)[None] % 10
    keys = decoder.keys(codebook)
    there = digits(words, text, keys)[0]
    back = digits(words.flip(1), text, keys)[0]
    assert (there - back).abs().max() > 1e-6
