"""
Toy model: a global latent workspace with a codebook
====================================================

In a bimodal global workspace (Devillers, Maytié and VanRullen, arXiv 2306.15711), two
modalities share an embedding space. Here, series are represented by codes with
positions, and texts by codes only. The script prints the accuracy of the nearest text
(chance level: .25), the decoding errors, and the effect of text on borders.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from sktext_vq import PromptBank, TextEncoder
from sktext_vq.datasets import load
from sktext_vq.inspection import shape_words
from sktext_vq.nn import CodeDecoder, Fusion, ShapeTokenizer, TextBranch, losses
from sktext_vq.nn.auxiliary.joint_losses import cosine_loss
from sktext_vq.nn.auxiliary.segments import SegmentRefiner, quantise, render
from sktext_vq.nn.batches import Batch, Texts
from sktext_vq.nn.constants import SCALE_FLOOR
from sktext_vq.nn.segmentation import cut_segments
from sktext_vq.nn.usage import share_of_codes


class Workspace(nn.Module):
    """Two branches that encode to codes and attend to each other."""

    def __init__(self, codebook, usage, sentences, dim=48):
        super().__init__()
        self.codebook, self.usage, random = codebook, usage, torch.default_generator
        self.borders, self.fusion = SegmentRefiner(generator=random), Fusion(dim, dim)
        self.to_z, self.embed = nn.Linear(dim, 8 * 8), nn.Linear(8 + 4, dim)
        self.decoder = CodeDecoder(dim, codebook.n_codes, codebook.n_heads, 8, random)
        self.to_text = nn.Linear(dim, sentences.shape[1])
        self.encode = TextBranch(sentences.mean(0), self.to_text.weight.detach())

    def to_codes(self, p):
        """Decode points into logarithms of shares of codes, initially the mean."""
        return self.decoder(Texts(7 * p, self.usage, None, None), self.codebook)

    def forward(self, series, sentences):
        """Encode series and texts as codes, embed them, and reconstruct the series."""
        found = cut_segments(series, self.codebook.codes.detach())
        cut = self.borders(series, *found[:2], found.start >= 0)
        z, soft = quantise(cut.shape, self.codebook, 0.5)
        drawn, _ = quantise(cut.shape.detach(), self.codebook, 0.5)
        drawn = drawn * (cut.scale[..., None] + SCALE_FLOOR) + cut.offset[..., None]
        drawn = render(drawn, *cut[:2], cut.mask, series.shape[1])
        where = torch.stack([cut.start / 100, cut.length / 100, *cut[2:4]], 2)
        series = self.embed(torch.cat([z, where], 2))
        z = 7 * self.encode(Texts(sentences, None, None, None))
        z, _ = quantise(self.to_z(z).view(-1, 8, 8), self.codebook, 0.5)  # eight each
        texts = self.embed(nn.functional.pad(z, (0, 4)))  # z alone
        every, none = texts.flatten(0, 1).expand(len(series), -1, -1), 0 * series[:4]
        found = []  # modality dropout: series alone, text alone, series and all texts
        for a, b, keep in (series, every, 0), (none, texts, 1), (series, every, 1):
            known, keep = torch.ones(b.shape[:2]) > 0, torch.full((len(a),), keep) > 0
            found.append(sum(self.fusion(a, cut.mask[: len(a)], b, known, keep)))
        return [nn.functional.normalize(p) for p in found], cut, soft.argmax(2), drawn


parser = argparse.ArgumentParser(description="Series and texts that share codes.")
parser.add_argument("--picture", metavar="PATH", help="file of the figure")
parser.add_argument("--steps", type=int, default=100, help="steps per training")
options, data = parser.parse_args(), load("BasicMotions")
names, y = np.unique([data.y_train, data.y_test], return_inverse=True)
X = np.linalg.norm([data.X_train[:, :3], data.X_test[:, :3]], axis=2)  # acceleration
series = torch.tensor((X - X[0].mean()) / X[0].std()).float()
y = torch.tensor(y).view(2, -1)
wordings, _ = PromptBank().flat(names, ["sentence", "affirmative"])  # 4 of each class
wordings += ["hitting a shuttlecock", "a sprint", "not moving at all", "a stroll"]
sentences = torch.from_numpy(TextEncoder().transform(wordings))
cuts, parts, r2 = [], [], []
for text_weight in (0, 1):
    torch.manual_seed(0)
    tokenizer = ShapeTokenizer(1, 100, 32)
    tokenizer.fit(Batch(series[0, :, None]), torch.default_generator)
    usage = [tokenizer.usage(tokenizer(Batch(x[:, None]))).detach() for x in series]
    book, uses = tokenizer.codebook, [share_of_codes(use.flatten(3)) for use in usage]
    model = Workspace(book, uses[0].mean(0) + 1e-4, sentences[:16])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(options.steps):
        rows = 4 * torch.arange(4) + torch.randint(4, (4,))  # one text per class
        (alone, told, both), _, _, drawn = model(series[0], sentences[rows])
        sides, true = (alone, told[y[0]], both), sentences[rows[y[0]]]
        # Demi-cycles and translations, to series and to text, and contrastive losses.
        codes = [losses.code_loss(model.to_codes(p), uses[0]) for p in sides]
        words = [cosine_loss(model.to_text(p), true) for p in sides]
        pairs = [losses.text_loss(p, told, y[0], 0.1) for p in (alone, both)]
        loss = codes[0] + 3 * losses.reconstruction_loss(drawn, series[0])
        optimiser.zero_grad()
        (loss + text_weight * sum([*codes[1:], *words, *pairs])).backward()
        optimiser.step()
    model.requires_grad_(False)
    (alone, told, both), cut, code, drawn = model(series[1], sentences[16:])
    r2.append(1 - losses.reconstruction_loss(drawn, series[1]) / series[1].var())
    cuts += [cut.start.round().where(cut.mask, torch.inf), code]
    part = torch.stack([*cut[:2], code], 2)[30][cut.mask[30]].round().int()  # badminton
    parts.append(pd.DataFrame(part, columns=["start", "length", "code"]))
    parts[-1]["shape"] = [shape_words(book.codes[k].numpy()) for k in part[:, 2]]
use = (model.to_codes(told) / 2).exp()  # roots, as of Hellinger
scores = [alone @ told.T, uses[1].sqrt() @ use.T, both @ told.T]
for name, side in {"series": alone, "text": told[y[1]], "both": both}.items():
    right = (scores.pop(0).argmax(1) == y[1]).float().mean()
    nats = losses.code_loss(model.to_codes(side), uses[1])
    cosine = 1 - cosine_loss(model.to_text(side), sentences[16:][y[1]])
    print(f"{name}: class {right:.2f}, use of codes {nats:.2f} nats, text {cosine:.2f}")
gap, near = (cuts[2][:, :, None] - cuts[0][:, None]).abs().min(2)
gap, other = gap[cut.mask], (code != cuts[1].gather(1, near))[cut.mask].sum()
far = f"{(gap > 0).sum()} of {len(gap)} borders by {gap[gap > 0].mean():.1f} timepoints"
print(f"text moved {far} and changed {other} codes: x without, y with text")
print(parts[0].merge(parts[1], "outer", "start").fillna("").to_string(index=False))
print(f"R2 of series drawn from segments: {r2[0]:.3f}, with text {r2[1] - r2[0]:+.3f}")
figure, axes = plt.subplots(2, sharex=True, figsize=(9, 5), layout="constrained")
for axis, part, title in zip(axes, parts, ("without", "with"), strict=True):
    colour = plt.cm.tab20(np.unique(pd.concat(parts).code).searchsorted(part.code), 0.5)
    bars = axis.bar(part.start, 7, part.length, -2, align="edge", color=colour, ec="k")
    axis.bar_label(bars, part.code)
    axis.plot(np.arange(100) + 0.5, series[1, 30], "k")
    axis.set(xlim=(0, 100), ylim=(-2, 5), xlabel="timepoint", ylabel="acceleration")
    axis.set_title(f"Badminton, borders learned {title} text; codes by number", pad=18)
if options.picture:
    figure.savefig(options.picture)
