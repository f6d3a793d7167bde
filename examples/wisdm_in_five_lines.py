"""
WISDM in five lines
===================

From the files of a public data set, in the layout of its authors, to the accuracy for
people who are not in the training data. The archive is a part of WISDM-2019: six
activities of eight people with a watch. The whole data set and others, such as PAMAP2,
are read in the same way; see :func:`~sktext_vq.datasets.load`.
"""

# %%
# Unpack the archive.

import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import sklearn
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load

folder = tempfile.mkdtemp()
here = Path(__file__).parent if "__file__" in globals() else Path()
shutil.unpack_archive(here / "data" / "wisdm-dataset.zip", folder)

# %%
# The five lines: read the recordings, cut them into windows of five seconds, and
# predict each person with a model that is fitted to other people. ``groups`` is passed
# to the splitter and to ``fit``, where penalty and temperature are chosen for unseen
# people. A warning reports that the orientation of some watches differs.

recordings = load("WISDM-2019", folder)
windows = recordings.windows(5)
sklearn.set_config(enable_metadata_routing=True)
model = VQTextClassifier(random_state=0).set_fit_request(groups=True)
predicted = cross_val_predict(
    model, windows.X, windows.y, cv=GroupKFold(4), params={"groups": windows.groups}
)

# %%
# The recordings. Accelerometer and gyroscope are in separate files with one record
# per line, and letters as labels.

print(recordings)
print(windows.table.head(3))

# %%
print(
    f"accuracy for people not in training: {accuracy_score(windows.y, predicted):.2f}"
)
figure, axis = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    windows.y, predicted, ax=axis, xticks_rotation=45, colorbar=False, cmap="Greys"
)
plt.show()

sklearn.set_config(enable_metadata_routing=False)
