"""What the code of workers can use."""

# ruff: noqa: F401, F403
import pathlib
import time

import fiftyone as fo
import fiftyone.core.odm as foo
from fiftyone import ViewField as F

from fiftyone_coco_audit import *
from fiftyone_coco_audit import columns
from fiftyone_coco_audit.augmentation import applying
from fiftyone_coco_audit.storage import additions, publishing, writes
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date

fo.config.show_progress_bars = False
