"""
WISDM in five lines
===================

This example reads the original files of a public data set, and estimates the accuracy
for people who are not in the training data. The archive contains a part of WISDM-2019:
recordings of a watch for six activities of eight people. The whole data set and other
data sets, such as PAMAP2, are read in the same way; see
:func:`~sktext_vq.datasets.load`.
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
# The following lines read the recordings, cut them into windows of five seconds, and
# predict the activities of each person with a model that is fitted to other people.
# ``groups`` is passed to the splitter and to ``fit``, so that the penalty and the
# temperature are chosen for new people. A warning is issued because the orientation of
# some watches differs.

recordings = load("WISDM-2019", folder)
windows = recordings.windows(5)
sklearn.set_config(enable_metadata_routing=True)
model = VQTextClassifier(random_state=0).set_fit_request(groups=True)
predicted = cross_val_predict(
    model, windows.X, windows.y, cv=GroupKFold(4), params={"groups": windows.groups}
)

# %%
# In the original files, the accelerometer and the gyroscope are stored separately, and
# the labels are letters. ``load`` combines the sensors and returns the names of the
# activities.

print(recordings)
print(windows.table.head(3))

# %%
# The confusion matrix shows which activities are confused with each other.

print(f"accuracy for new people: {accuracy_score(windows.y, predicted):.2f}")
figure, axis = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    windows.y, predicted, ax=axis, xticks_rotation=45, colorbar=False, cmap="Greys"
)
plt.show()

sklearn.set_config(enable_metadata_routing=False)
